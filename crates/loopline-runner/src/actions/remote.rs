//! Other repositories: which addresses are good, which commit a name means there, and how it is
//! fetched. What is done with the commit is the callers' business.

use std::path::Path;

use base64::Engine as _;

use super::git::{Access, Git, GitError};
use crate::leash::Leash;

/// The most bytes that one fetch may bring.
pub const FETCHED_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;

/// Why an address is not used. Texts never hold the address: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It holds a user or a password, which would end up in process lists and messages.
    #[error(
        "the address holds a user name or a password; give it without, and a token where one is \
         asked for"
    )]
    Credentials,
    /// Anybody on the way could read or change what goes over it.
    #[error("the address is plain http, which anybody on the way can read and change; use https")]
    Plain,
    /// It is none.
    #[error("the address is neither https://..., ssh://..., file:///... nor an absolute path")]
    Form,
}

/// Returns an address without a slash at its end, where it may be used. Plain http is good for
/// this machine's own servers only (`localhost`, `127.0.0.0/8`, `[::1]`).
///
/// # Errors
/// [`AddressError`], each variant as it says.
pub fn check_address(address: &str) -> Result<&str, AddressError> {
    let address = address.trim_end_matches('/');
    if address.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(AddressError::Form);
    }
    if address.starts_with('/') {
        return Ok(address);
    }
    let (scheme, rest) = address.split_once("://").ok_or(AddressError::Form)?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let scheme = scheme.to_ascii_lowercase();
    if authority.is_empty() && scheme != "file" {
        return Err(AddressError::Form);
    }
    let user = authority.rsplit_once('@').map(|(user, _)| user);
    match scheme.as_str() {
        // The user of an ssh address is its account; a password does not belong there either.
        "ssh" if user.is_none_or(|user| !user.contains(':')) => Ok(address),
        "https" | "file" if user.is_none() => Ok(address),
        "http" if user.is_none() && is_loopback(authority) => Ok(address),
        "http" if user.is_none() => Err(AddressError::Plain),
        "ssh" | "https" | "file" | "http" => Err(AddressError::Credentials),
        _ => Err(AddressError::Form),
    }
}

fn is_loopback(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => authority.split(':').next().unwrap_or(authority),
    };
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Why a name means no commit.
#[derive(Debug, thiserror::Error)]
pub enum ReferenceError {
    /// No branch, tag or commit can have it.
    #[error("`{0}` is no name of a branch, a tag or a commit")]
    Form(String),
    /// There is none.
    #[error("there is no branch or tag `{0}`")]
    Missing(String),
    /// It is the beginning of a commit's id.
    #[error("there is no branch or tag `{0}`, and a commit must be given with its whole id")]
    Short(String),
    /// The server has no such commit, or does not hand it out.
    #[error("the server has no commit {0}, or no branch or tag leads to it")]
    Unreachable(String),
    /// Git said no.
    #[error(transparent)]
    Git(#[from] GitError),
}

/// A commit as another repository knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its reference's whole name, or its own id where it was asked for by that.
    pub name: String,
    /// Its id, where the server said.
    pub commit: Option<String>,
}

/// Which of a branch and a tag with the same name is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefer {
    /// The branch, as checkout has it.
    Branch,
    /// The tag, as `uses` has it.
    Tag,
}

/// Returns whether `text` is a commit's whole id.
pub(crate) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Refuses what git would take for an option, a pattern, a range or two references.
pub(crate) fn check_reference(reference: &str) -> Result<(), ReferenceError> {
    let good = !reference.starts_with(['-', '+', '/'])
        && !reference.ends_with(['/', '.'])
        && !["..", "@{", "//"].iter().any(|bad| reference.contains(bad))
        && !reference.chars().any(|c| c.is_control() || " ~^:?*[\\".contains(c));
    if good { Ok(()) } else { Err(ReferenceError::Form(reference.to_owned())) }
}

/// The refusal of a name that nothing has.
pub(crate) fn missing(reference: &str) -> ReferenceError {
    let short = (4..40).contains(&reference.len())
        && reference.bytes().all(|byte| byte.is_ascii_hexdigit());
    match short {
        true => ReferenceError::Short(reference.to_owned()),
        false => ReferenceError::Missing(reference.to_owned()),
    }
}

/// Another repository.
#[derive(Clone, Copy)]
pub(crate) struct Remote<'a> {
    pub(crate) git: &'a Git,
    pub(crate) url: &'a str,
    pub(crate) access: Option<&'a Access>,
    pub(crate) leash: Option<&'a Leash<'a>>,
}

impl Remote<'_> {
    /// Asks what `reference` means there: the default branch if it is empty.
    pub(crate) fn find(
        &self,
        folder: &Path,
        reference: &str,
        prefer: Prefer,
    ) -> Result<Known, ReferenceError> {
        if is_commit(reference) {
            let commit = reference.to_ascii_lowercase();
            return Ok(Known { name: commit.clone(), commit: Some(commit) });
        }
        check_reference(reference)?;
        let head = ["HEAD".to_owned()];
        let (branch, tag) = (format!("refs/heads/{reference}"), format!("refs/tags/{reference}"));
        let names: Vec<String> = match reference {
            "" | "HEAD" => head.into(),
            full if full.starts_with("refs/") => vec![full.to_owned()],
            _ if prefer == Prefer::Branch => vec![branch, tag],
            _ => vec![tag, branch],
        };
        let patterns: Vec<String> =
            names.iter().flat_map(|name| [name.clone(), format!("{name}^{{}}")]).collect();
        let mut arguments = vec!["ls-remote", "--symref"];
        self.add_upload_pack(&mut arguments);
        arguments.extend(["--", self.url]);
        arguments.extend(patterns.iter().map(String::as_str));
        let said = self.git.run(folder, &arguments, self.access, self.leash)?;
        // Patterns match the ends of names; only whole names count.
        let lines: Vec<(&str, &str)> =
            said.lines().filter_map(|line| line.split_once('\t')).collect();
        let id = |name: &str| {
            let found = lines.iter().find(|(id, known)| *known == name && is_commit(id));
            found.map(|(id, _)| (*id).to_owned())
        };
        for name in &names {
            let Some(plain) = id(name) else { continue };
            let symbolic = lines.iter().find_map(|(target, known)| {
                target.strip_prefix("ref: ").filter(|_| *known == name.as_str())
            });
            // An annotated tag is an object of its own.
            let commit = id(&format!("{name}^{{}}")).unwrap_or(plain);
            let name = symbolic.map_or_else(|| name.clone(), str::to_owned);
            return Ok(Known { name, commit: Some(commit) });
        }
        Err(missing(reference))
    }

    /// Fetches `known` into the repository at `folder` and returns its commit. `options` come
    /// before the address; what `more` names is fetched too.
    pub(crate) fn fetch(
        &self,
        folder: &Path,
        known: &Known,
        options: &[&str],
        more: &[&str],
    ) -> Result<String, ReferenceError> {
        let mut arguments = vec!["fetch", "--quiet", "--no-tags", "--force"];
        self.add_upload_pack(&mut arguments);
        let start = arguments.clone();
        arguments.extend(options);
        let specification = match known.name.strip_prefix("refs/heads/") {
            Some(branch) => format!("+{}:refs/remotes/origin/{branch}", known.name),
            None if known.name.starts_with("refs/tags/") => format!("+{0}:{0}", known.name),
            None => known.name.clone(),
        };
        arguments.extend(["--", self.url, &specification]);
        arguments.extend(more);
        let fetched =
            self.git.run_bounded(folder, &arguments, self.access, self.leash, FETCHED_BYTES_MAX);
        let verify = |name: &str| -> Result<String, GitError> {
            let name = format!("{name}^{{commit}}");
            Ok(self
                .git
                .run(folder, &["rev-parse", "--verify", &name], None, self.leash)?
                .trim()
                .to_owned())
        };
        match fetched {
            Ok(_) => Ok(verify("FETCH_HEAD")?),
            Err(GitError::Failed { .. }) if is_commit(&known.name) => {
                // Some servers hand out only what a name leads to.
                let mut arguments = start;
                arguments.extend([
                    "--",
                    self.url,
                    "+refs/heads/*:refs/remotes/origin/*",
                    "+refs/tags/*:refs/tags/*",
                ]);
                self.git.run_bounded(
                    folder,
                    &arguments,
                    self.access,
                    self.leash,
                    FETCHED_BYTES_MAX,
                )?;
                verify(&known.name).map_err(|error| match error {
                    GitError::Failed { .. } => ReferenceError::Unreachable(known.name.clone()),
                    error => error.into(),
                })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A folder may be somebody else's; git would refuse it, and of what the user trusts
    /// (`safe.directory`) only the arguments reach the program that reads it.
    fn add_upload_pack(&self, arguments: &mut Vec<&str>) {
        if self.url.starts_with('/') || self.url.starts_with("file://") {
            arguments.push("--upload-pack=git -c 'safe.directory=*' upload-pack");
        }
    }
}

/// Returns what shows `token` to `server`, and to nobody else.
pub(crate) fn access(server: &str, token: &str) -> Option<Access> {
    (!token.is_empty()).then(|| {
        let pair = format!("x-access-token:{token}");
        let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
        Access { server: server.to_owned(), header: format!("Authorization: Basic {encoded}") }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_keep_secrets_and_are_not_plain() {
        use AddressError::{Credentials, Form, Plain};
        for (address, expected) in [
            ("https://github.com/", Ok("https://github.com")),
            ("https://ghe.example:8443/base", Ok("https://ghe.example:8443/base")),
            ("ssh://git@github.com", Ok("ssh://git@github.com")),
            ("file:///srv/git", Ok("file:///srv/git")),
            ("/srv/git", Ok("/srv/git")),
            ("http://127.0.0.1:80", Ok("http://127.0.0.1:80")),
            ("http://[::1]:80/x", Ok("http://[::1]:80/x")),
            ("http://localhost", Ok("http://localhost")),
            ("https://u:p@github.com", Err(Credentials)),
            ("https://token@github.com", Err(Credentials)),
            ("http://u:p@127.0.0.1", Err(Credentials)),
            ("ssh://git:secret@github.com", Err(Credentials)),
            ("http://github.com", Err(Plain)),
            ("http://localhost.example.com", Err(Plain)),
            ("http://127.0.0.1.example.com", Err(Plain)),
            ("ext::sh -c x", Err(Form)),
            ("ftp://x", Err(Form)),
            ("github.com", Err(Form)),
            ("https://", Err(Form)),
        ] {
            assert_eq!(check_address(address), expected, "{address}");
        }
    }

    #[test]
    fn references_are_one_name() {
        for good in ["main", "feature/x", "v1.2.3", "refs/pull/1/merge", "v1+build", ""] {
            assert!(check_reference(good).is_ok(), "{good}");
        }
        for bad in ["-x", "+main", "a:b", "a..b", "refs/heads/*", "a b", "x^{}", "@{u}", "a\n"] {
            assert!(check_reference(bad).is_err(), "{bad}");
        }
        assert!(matches!(missing("c0ffee"), ReferenceError::Short(_)));
        assert!(matches!(missing("coffee"), ReferenceError::Missing(_)));
    }
}
