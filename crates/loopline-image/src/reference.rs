//! References: how people name images. The grammar and the shorthands are Docker's.

use std::fmt;
use std::str::FromStr;

use crate::digest::Digest;

/// The registry of references that name none.
pub const DEFAULT_REGISTRY: &str = "docker.io";
/// The name space of that registry's images without one.
const OFFICIAL: &str = "library";
/// The tag of references that have neither tag nor digest.
const DEFAULT_TAG: &str = "latest";
/// The longest name of a repository, registry included.
const MAX_NAME: usize = 255;
/// The longest tag.
const MAX_TAG: usize = 128;

/// The name of an image: registry, repository, and a tag or a digest or both.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is no reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no image reference: {why}")]
pub struct BadReference {
    text: String,
    why: &'static str,
}

impl Reference {
    /// Returns the reference to what `repository` of `registry` has under `tag`.
    ///
    /// # Errors
    /// [`BadReference`] where a part is not what it has to be.
    pub fn of(registry: &str, repository: &str, tag: &str) -> Result<Self, BadReference> {
        format!("{registry}/{repository}:{tag}").parse()
    }

    /// Returns the registry: a host, with a port where it has one.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Returns the repository in the registry.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Returns the tag.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Returns the digest.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Returns the registry and the repository, `docker.io/library/busybox`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// Returns the reference as people write it: without what goes without saying.
    pub fn familiar(&self) -> String {
        let name = if self.registry == DEFAULT_REGISTRY {
            let short = self.repository.strip_prefix("library/");
            short.filter(|rest| !rest.contains('/')).unwrap_or(&self.repository).to_owned()
        } else {
            self.name()
        };
        self.with_name(name)
    }

    /// Returns the same repository with `digest` and nothing else.
    #[must_use]
    pub fn at(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    fn with_name(&self, mut name: String) -> String {
        if let Some(tag) = &self.tag {
            name.push(':');
            name.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            name.push('@');
            name.push_str(digest.as_str());
        }
        name
    }
}

impl FromStr for Reference {
    type Err = BadReference;

    fn from_str(text: &str) -> Result<Self, BadReference> {
        let bad = |why| BadReference { text: text.chars().take(MAX_NAME).collect(), why };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let digest = digest.parse().map_err(|_| {
                    bad("what follows `@` is not `sha256:` and 64 lowercase hexadecimal digits")
                })?;
                (rest, Some(digest))
            }
            None => (text, None),
        };
        // A colon before the last slash belongs to a port.
        let after_slash = rest.rfind('/').map_or(0, |at| at + 1);
        let (name, tag) = match rest[after_slash..].find(':') {
            Some(at) => {
                let (name, tag) = rest.split_at(after_slash + at);
                (name, Some(&tag[1..]))
            }
            None => (rest, None),
        };
        if name.is_empty() {
            return Err(bad("it has no name"));
        }
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(bad(
                "a tag is up to 128 letters, digits, `_`, `.` and `-`, and begins with none of the last two",
            ));
        }
        let (registry, repository) = match name.split_once('/') {
            Some((first, rest)) if is_registry(first) => (first, rest.to_owned()),
            _ => (DEFAULT_REGISTRY, name.to_owned()),
        };
        let registry = if registry == "index.docker.io" { DEFAULT_REGISTRY } else { registry };
        let repository = if registry == DEFAULT_REGISTRY && !repository.contains('/') {
            format!("{OFFICIAL}/{repository}")
        } else {
            repository
        };
        if !is_host(registry) {
            return Err(bad("its registry is no host name with or without a port"));
        }
        if !is_repository(&repository) {
            if repository.bytes().any(|byte| byte.is_ascii_uppercase()) {
                return Err(bad("a repository's name is lowercase"));
            }
            return Err(bad(
                "the parts of a repository's name are lowercase letters and digits, joined by `.`, `_`, `__` or dashes",
            ));
        }
        if registry.len() + 1 + repository.len() > MAX_NAME {
            return Err(bad("its name is longer than 255 characters"));
        }
        let tag = match (tag, &digest) {
            (Some(tag), _) => Some(tag.to_owned()),
            (None, Some(_)) => None,
            (None, None) => Some(DEFAULT_TAG.to_owned()),
        };
        Ok(Self { registry: registry.to_owned(), repository, tag, digest })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with_name(self.name()))
    }
}

/// Says whether the first part of a name is a registry rather than a name space.
fn is_registry(part: &str) -> bool {
    part == "localhost"
        || part.contains(['.', ':'])
        || part.bytes().any(|it| it.is_ascii_uppercase())
}

fn is_host(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !text.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    if port.is_some_and(|port| port.parse::<u16>().is_err()) {
        return false;
    }
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    host.split('.').all(is_label)
}

/// Says whether `text` can be a repository's name: components joined by slashes.
pub fn is_repository(text: &str) -> bool {
    text.len() <= MAX_NAME && text.split('/').all(is_component)
}

fn is_component(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    if !is_word(*first) || !is_word(*last) {
        return false;
    }
    // Between words there is one dot, one or two underscores, or dashes.
    bytes.split(|byte| is_word(*byte)).all(|joint| {
        matches!(joint, [] | b"." | b"_" | b"__") || joint.iter().all(|byte| *byte == b'-')
    })
}

/// Says whether `text` can be a tag.
pub fn is_tag(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= MAX_TAG
        && text.bytes().next().is_some_and(is_word)
        && text.bytes().all(|byte| is_word(byte) || byte == b'.' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shorthands_mean_what_they_mean_to_docker() {
        let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let at = format!("a/b@{digest}");
        let both = format!("busybox:1@{digest}");
        for (text, whole) in [
            ("busybox", "docker.io/library/busybox:latest"),
            ("busybox:1.36", "docker.io/library/busybox:1.36"),
            ("team/app", "docker.io/team/app:latest"),
            ("index.docker.io/busybox", "docker.io/library/busybox:latest"),
            ("localhost/app", "localhost/app:latest"),
            ("localhost:5000/a/b:v1", "localhost:5000/a/b:v1"),
            ("[::1]:5000/a", "[::1]:5000/a:latest"),
            ("ghcr.io/o/a__b-c--d.e", "ghcr.io/o/a__b-c--d.e:latest"),
            ("Registry/app", "Registry/app:latest"),
            (&at, &format!("docker.io/{at}")),
            (&both, &format!("docker.io/library/{both}")),
        ] {
            let reference: Reference = text.parse().expect(text);
            assert_eq!(reference.to_string(), whole);
            assert_eq!(reference.familiar().parse(), Ok(reference));
        }
        assert_eq!(
            "docker.io/library/busybox".parse::<Reference>().map(|it| it.familiar()).as_deref(),
            Ok("busybox:latest")
        );
    }

    #[test]
    fn what_is_no_reference_says_why() {
        for (text, why) in [
            ("", "no name"),
            (":tag", "no name"),
            ("App", "lowercase"),
            ("a/../b", "joined by"),
            ("a//b", "joined by"),
            ("a___b", "joined by"),
            ("-a", "joined by"),
            ("a:-t", "a tag is"),
            ("a:", "a tag is"),
            ("a@sha256:abc", "what follows `@`"),
            ("-x.y/a", "no host name"),
            ("host:99999/a", "no host name"),
        ] {
            let error = text.parse::<Reference>().expect_err(text).to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
        assert!(format!("a/{}", "b".repeat(260)).parse::<Reference>().is_err());
    }
}
