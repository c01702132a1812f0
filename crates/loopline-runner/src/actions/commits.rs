//! What checkout checks out: the run's own working tree, and other commits by git.
//!
//! Git runs outside the job's sandbox here, so it only ever works in folders that were made for
//! it a moment before, never in a `.git` that a job's steps could have written to.

use std::path::{Path, PathBuf};

use fs_err as fs;
use loopline_git::{FileKind, Repository, TreeLimit};

use super::builtin::{CloneRequest, Cloned, Extras, Failure, Sources, Submodules};
use super::git::{Access, Git};
use super::remote::{self, Prefer, Remote, access, check_address, check_reference};
use crate::leash::Leash;

/// How large another repository's tree may be.
pub const CHECKOUT_LIMIT: TreeLimit =
    TreeLimit { entries: 2_000_000, size_bytes: 64 * 1024 * 1024 * 1024 };

/// The run's own working tree, and other commits by git.
pub struct Commits {
    /// The repository's folder.
    pub repository: PathBuf,
    /// `owner/name` of it.
    pub slug: String,
    /// The server the user named for actions; the only one that may be asked over plain http.
    pub server: String,
    /// Whether the network may not be used.
    pub offline: bool,
    /// Starts git.
    pub git: Git,
}

/// Git in one checkout.
struct Checkout<'a> {
    git: &'a Git,
    folder: &'a Path,
    access: Option<&'a Access>,
    leash: &'a Leash<'a>,
}

impl Checkout<'_> {
    fn run(&self, arguments: &[&str]) -> Result<String, Failure> {
        self.git
            .run(self.folder, arguments, self.access, Some(self.leash))
            .map_err(|error| failed(&error))
    }

    /// Says which files are wanted; `git checkout` or `sparse-checkout reapply` then has effect.
    fn set_sparse(&self, extras: &Extras) -> Result<(), Failure> {
        if extras.sparse.is_empty() {
            return Ok(());
        }
        if extras.sparse_cone {
            let mut arguments = vec!["sparse-checkout", "set", "--cone", "--"];
            if let Some(bad) = extras.sparse.iter().find(|folder| folder.starts_with('-')) {
                return Err(Failure(format!("`{bad}` in `sparse-checkout` is no folder")));
            }
            arguments.extend(extras.sparse.iter().map(String::as_str));
            self.run(&arguments)?;
            return Ok(());
        }
        self.run(&["config", "core.sparseCheckout", "true"])?;
        self.run(&["config", "core.sparseCheckoutCone", "false"])?;
        let info = self.folder.join(".git/info");
        fs::create_dir_all(&info).map_err(|error| failed(&error))?;
        let patterns = extras.sparse.join("\n") + "\n";
        fs::write(info.join("sparse-checkout"), patterns).map_err(|error| failed(&error))
    }

    fn set_lfs(&self, extras: &Extras) -> Result<(), Failure> {
        if !extras.lfs {
            return Ok(());
        }
        self.run(&["lfs", "version"]).map_err(|_| {
            Failure("`lfs: true` needs the program git-lfs, which is not on PATH".to_owned())
        })?;
        self.run(&["lfs", "install", "--local", "--skip-repo"]).map(|_| ())
    }

    /// Gets the submodules at `paths`, or all; relative addresses are relative to `origin`.
    fn update_submodules(
        &self,
        which: Submodules,
        origin: Option<&str>,
        paths: &[String],
    ) -> Result<(), Failure> {
        let recursive = match which {
            Submodules::No => return Ok(()),
            Submodules::Yes => false,
            Submodules::Recursive => true,
        };
        let url = origin.map(|origin| format!("remote.origin.url={origin}"));
        let mut arguments = Vec::new();
        if let Some(url) = &url {
            arguments.extend(["-c", url]);
        }
        // Git lets submodules lead to folders of the machine only where it is told to: here
        // where the user's own clone came from one.
        if origin.is_some_and(|origin| origin.starts_with('/') || origin.starts_with("file://")) {
            arguments.extend(["-c", "protocol.file.allow=always"]);
        }
        arguments.extend(["submodule", "--quiet", "update", "--init", "--force"]);
        if recursive {
            arguments.push("--recursive");
        }
        arguments.push("--");
        arguments.extend(paths.iter().map(String::as_str));
        self.run(&arguments).map(|_| ())
    }
}

impl Sources for Commits {
    fn copy_working_tree(
        &self,
        extras: &Extras,
        target: &Path,
        leash: &Leash<'_>,
    ) -> Result<(), Failure> {
        let copying = |error| Failure(format!("copy the working tree: {}", causes(&error)));
        crate::workspace::copy_working_tree(&self.repository, target, leash).map_err(copying)?;
        let checkout = Checkout { git: &self.git, folder: target, access: None, leash };
        if !extras.sparse.is_empty() {
            // The files are copies, so the index has to get to know them first.
            self.git.run(target, &["update-index", "-q", "--refresh"], None, Some(leash)).or_else(
                |error| {
                    match error {
                        // Files with uncommitted changes are what it reports that way.
                        super::git::GitError::Failed { .. } => Ok(String::new()),
                        error => Err(failed(&error)),
                    }
                },
            )?;
            checkout.set_sparse(extras)?;
            checkout.run(&["sparse-checkout", "reapply"])?;
        }
        checkout.set_lfs(extras)?;
        if extras.lfs {
            checkout.run(&["lfs", "checkout"])?;
        }
        if extras.submodules == Submodules::No {
            return Ok(());
        }
        // What the user's clone has of its submodules is copied already.
        let repository = Repository::discover(&self.repository).map_err(|error| failed(&error))?;
        let files = repository.working_files().map_err(|error| failed(&error))?;
        let missing: Vec<String> = files
            .into_iter()
            .filter(|file| file.tracked && file.kind == FileKind::Repository)
            .filter(|file| {
                let mut entries = fs::read_dir(target.join(&file.path)).into_iter().flatten();
                entries.next().is_none()
            })
            .map(|file| file.path.to_string_lossy().into_owned())
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        if self.offline {
            return Err(Failure(format!(
                "the submodule {} is not in this clone, and the network may not be used; \
                 `git submodule update --init --recursive` brings it",
                missing.join(", ")
            )));
        }
        checkout.update_submodules(extras.submodules, self.origin(&repository).as_deref(), &missing)
    }

    fn clone_repository(
        &self,
        request: CloneRequest<'_>,
        target: &Path,
        leash: &Leash<'_>,
    ) -> Result<Cloned, Failure> {
        fs::create_dir_all(target).map_err(|error| failed(&error))?;
        if request.repository.eq_ignore_ascii_case(&self.slug) {
            self.check_out_own(&request, target, leash)
        } else {
            self.check_out_other(&request, target, leash)
        }
    }
}

impl Commits {
    /// Checks out another commit of the run's own repository, which has it already.
    fn check_out_own(
        &self,
        request: &CloneRequest<'_>,
        target: &Path,
        leash: &Leash<'_>,
    ) -> Result<Cloned, Failure> {
        let repository = Repository::discover(&self.repository).map_err(|error| failed(&error))?;
        let given = request.reference;
        check_reference(given).map_err(|error| failed(&error))?;
        let names = match given {
            commit if remote::is_commit(commit) => vec![commit.to_owned()],
            full if full.starts_with("refs/") => vec![full.to_owned()],
            // A branch of the server that is not checked out here is a remote-tracking one.
            _ => ["refs/heads/", "refs/remotes/origin/", "refs/tags/"]
                .map(|prefix| format!("{prefix}{given}"))
                .into(),
        };
        let found = names
            .into_iter()
            .find_map(|name| Some((repository.rev_parse(&name).ok()?, name)))
            .ok_or_else(|| {
                Failure(format!(
                    "{} in this clone; `git fetch --tags origin` brings what it does not have yet",
                    remote::missing(given)
                ))
            })?;
        let (commit, name) = found;
        let git = target.join(".git");
        crate::workspace::write_git_folder(&repository, &git).map_err(|error| failed(&error))?;
        // The index is of what is checked out there.
        match fs::remove_file(git.join("index")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed(&error));
            }
            _ => {}
        }
        let checkout = Checkout { git: &self.git, folder: target, access: None, leash };
        let branch =
            name.strip_prefix("refs/heads/").or_else(|| name.strip_prefix("refs/remotes/origin/"));
        switch(&checkout, &request.extras, branch, &commit)?;
        if request.extras.submodules != Submodules::No && self.offline {
            return Err(Failure(
                "submodules of another commit are fetched, and the network may not be used"
                    .to_owned(),
            ));
        }
        let origin = self.origin(&repository);
        checkout.update_submodules(request.extras.submodules, origin.as_deref(), &[])?;
        Ok(Cloned { commit, reference: name })
    }

    fn check_out_other(
        &self,
        request: &CloneRequest<'_>,
        target: &Path,
        leash: &Leash<'_>,
    ) -> Result<Cloned, Failure> {
        let server = check_address(request.server)
            .map_err(|error| Failure(format!("input `github-server-url`: {error}")))?;
        if !server.to_ascii_lowercase().starts_with("https://") && server != self.server {
            return Err(Failure(
                "input `github-server-url` must be https; another server is asked only where it \
                 is the one that LOOPLINE_ACTIONS_URL names"
                    .to_owned(),
            ));
        }
        let address = format!("{server}/{}", request.repository);
        let named = |error: &dyn std::error::Error| {
            Failure(format!("{} from {server}: {}", request.repository, causes(error)))
        };
        if self.offline {
            return Err(Failure(format!(
                "{address} is elsewhere, and the network may not be used"
            )));
        }
        let access = access(server, request.token);
        let checkout = Checkout { git: &self.git, folder: target, access: access.as_ref(), leash };
        checkout.run(&["init", "--quiet"])?;
        checkout.run(&["remote", "add", "--", "origin", &address])?;
        let remote =
            Remote { git: &self.git, url: "origin", access: access.as_ref(), leash: Some(leash) };
        let known = remote
            .find(target, request.reference, Prefer::Branch)
            .map_err(|error| named(&error))?;
        let depth = format!("--depth={}", request.depth);
        let filter = format!("--filter={}", request.filter);
        let mut options = Vec::new();
        if request.depth > 0 {
            options.push(depth.as_str());
        }
        if !request.filter.is_empty() {
            options.push(filter.as_str());
        }
        let mut more = Vec::new();
        if request.depth == 0 {
            more.push("+refs/heads/*:refs/remotes/origin/*");
        }
        if request.depth == 0 || request.fetch_tags {
            more.push("+refs/tags/*:refs/tags/*");
        }
        let commit =
            remote.fetch(target, &known, &options, &more).map_err(|error| named(&error))?;
        Repository::discover(target)
            .and_then(|repository| repository.check_tree_size(&commit, CHECKOUT_LIMIT))
            .map_err(|error| named(&error))?;
        switch(&checkout, &request.extras, known.name.strip_prefix("refs/heads/"), &commit)?;
        checkout.update_submodules(request.extras.submodules, None, &[])?;
        Ok(Cloned { commit, reference: known.name })
    }

    /// Returns where the user's clone came from, without what it may hold of a password.
    fn origin(&self, repository: &Repository) -> Option<String> {
        let url = repository.remote_url("origin")?;
        if let Ok(address) = check_address(&url) {
            return Some(address.to_owned());
        }
        let slug = loopline_git::Slug::from_url(&url)?;
        Some(format!("https://{}/{slug}", slug.host.as_deref()?))
    }
}

/// Checks `commit` out, on `branch` where it is one.
fn switch(
    checkout: &Checkout<'_>,
    extras: &Extras,
    branch: Option<&str>,
    commit: &str,
) -> Result<(), Failure> {
    checkout.set_lfs(extras)?;
    checkout.set_sparse(extras)?;
    match branch {
        Some(branch) => {
            checkout.run(&["checkout", "--quiet", "--force", "-B", branch, commit])?;
            checkout.run(&["config", &format!("branch.{branch}.remote"), "origin"])?;
            let merge = format!("refs/heads/{branch}");
            checkout.run(&["config", &format!("branch.{branch}.merge"), &merge])?;
        }
        None => {
            checkout.run(&["checkout", "--quiet", "--force", "--detach", commit])?;
        }
    }
    Ok(())
}

fn failed(error: &dyn std::error::Error) -> Failure {
    Failure(causes(error))
}

/// Returns an error with what lies behind it.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
