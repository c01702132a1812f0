//! Where remote actions, called workflows and other commits come from.
//!
//! In this order: a folder of the user's (`--actions DIR`), the cache of this machine, the
//! network. What is fetched is kept by commit and never changed; which commit a branch or tag
//! stood for when it was last asked is kept beside it, for `--offline`.

use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use fs_err as fs;
use loopline_clock::Clock;

use super::builtin::{CloneRequest, Cloned, Failure, Sources};
use super::git::{Git, GitError};
use super::links::{Confined, LinkError};
use crate::host::{Actions, FetchError, FetchedAction};
use crate::leash::Leash;

/// Why an action cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The network may not be used.
    #[error(
        "{0} is not in the cache and the network may not be used; run once without `--offline`, or put it into a folder for `--actions DIR` as {1}"
    )]
    Offline(String, String),
    /// The name could lead out of the cache.
    #[error("`{0}` is no name of a repository")]
    Name(String),
    /// Its links cannot be trusted.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// It cannot be fetched.
    #[error("cannot fetch {name} from {url}: {source}")]
    Fetch {
        /// The action.
        name: String,
        /// From where.
        url: String,
        /// Why.
        source: GitError,
    },
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Fetches actions by git into a cache.
#[derive(Clone, Debug)]
pub struct ActionSource {
    /// The user's own folder of actions.
    pub mirror: Option<PathBuf>,
    /// The cache.
    pub cache: PathBuf,
    /// The server, without a slash at the end.
    pub server: String,
    /// Whether the network may not be used.
    pub offline: bool,
    /// Starts git.
    pub git: Git,
    /// Where random names come from.
    pub clock: Clock,
}

impl Actions for ActionSource {
    fn fetch(
        &self,
        owner: &str,
        repository: &str,
        reference: &str,
    ) -> Result<FetchedAction, FetchError> {
        Ok(self.find(owner, repository, reference)?)
    }
}

impl ActionSource {
    fn find(
        &self,
        owner: &str,
        repository: &str,
        reference: &str,
    ) -> Result<FetchedAction, SourceError> {
        // `.github` is the name of many a repository; no owner's name begins with a dot.
        if owner.starts_with('.') || !is_name(owner) || !is_name(repository) {
            return Err(SourceError::Name(format!("{owner}/{repository}")));
        }
        if reference.is_empty() || reference.starts_with('-') || reference.contains('\0') {
            return Err(SourceError::Name(reference.to_owned()));
        }
        let name = format!("{owner}/{repository}@{reference}");
        if let Some(mirror) = &self.mirror {
            let exact = mirror.join(owner).join(format!("{repository}@{}", escape(reference)));
            if exact.is_dir() {
                return Ok(plain(exact));
            }
            let any = mirror.join(owner).join(repository);
            if any.join(".git").exists() || any.join("objects").is_dir() {
                return self.fetch_from(&any.display().to_string(), owner, repository, reference);
            }
            if any.is_dir() {
                return Ok(plain(any));
            }
        }
        let folder = self.cache.join(owner).join(repository);
        let known = match is_commit(reference) {
            true => Some(reference.to_owned()),
            false if self.offline => {
                fs::read_to_string(folder.join("refs").join(escape(reference))).ok()
            }
            false => None,
        };
        if let Some(commit) = known {
            let root = folder.join(&commit);
            if is_commit(&commit) && root.is_dir() {
                let origin = format!("{name} from the cache, at {commit}");
                return Ok(FetchedAction { root, commit, origin });
            }
        }
        if self.offline {
            return Err(SourceError::Offline(name, format!("{owner}/{repository}")));
        }
        let url = format!("{}/{owner}/{repository}", self.server);
        self.fetch_from(&url, owner, repository, reference)
    }

    fn fetch_from(
        &self,
        url: &str,
        owner: &str,
        repository: &str,
        reference: &str,
    ) -> Result<FetchedAction, SourceError> {
        let name = format!("{owner}/{repository}@{reference}");
        let failed = |source| {
            let (name, url) = (name.clone(), url.to_owned());
            SourceError::Fetch { name, url, source }
        };
        let folder = self.cache.join(owner).join(repository);
        fs::create_dir_all(folder.join("refs"))?;
        // Each fetch has a repository of its own, so that two at once cannot meet.
        let work = folder.join(format!(".fetch-{}", self.clock.random_hex(8)));
        fs::create_dir(&work)?;
        let result = (|| {
            let bare = work.join("git");
            fs::create_dir(&bare)?;
            self.git.run(&bare, &["init", "--quiet", "--bare"], None, None).map_err(failed)?;
            let fetch = ["fetch", "--quiet", "--depth=1", "--no-tags", "--", url, reference];
            self.git.run(&bare, &fetch, None, None).map_err(failed)?;
            let commit = self
                .git
                .run(&bare, &["rev-parse", "--verify", "FETCH_HEAD^{commit}"], None, None)
                .map_err(failed)?;
            let commit = commit.trim().to_owned();
            let root = folder.join(&commit);
            if !root.is_dir() {
                let tree = work.join("tree");
                fs::create_dir(&tree)?;
                let work_tree = format!("--work-tree={}", tree.display());
                self.git.run(&bare, &["read-tree", &commit], None, None).map_err(failed)?;
                let checkout = ["--git-dir=.", &work_tree, "checkout-index", "--all"];
                self.git.run(&bare, &checkout, None, None).map_err(failed)?;
                Confined::open(&tree)?.check_links()?;
                match fs::rename(&tree, &root) {
                    // Somebody else was faster with the same commit.
                    Err(_) if root.is_dir() => {}
                    other => other?,
                }
            }
            let staged = work.join("ref");
            fs::write(&staged, &commit)?;
            fs::rename(&staged, folder.join("refs").join(escape(reference)))?;
            let origin = format!("{name} from {url}, at {commit}");
            Ok(FetchedAction { root, commit, origin })
        })();
        fs::remove_dir_all(&work)?;
        result
    }
}

fn plain(root: PathBuf) -> FetchedAction {
    let origin = format!("taken from {}", root.display());
    FetchedAction { root, commit: String::new(), origin }
}

/// Returns whether `name` is one part of a path, and stays where it is put.
fn is_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\\', '\0'])
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Returns a reference as one file name.
fn escape(reference: &str) -> String {
    reference.replace('%', "%25").replace('/', "%2F")
}

/// The run's own working tree, and other commits by git.
pub struct Commits {
    /// The repository's folder.
    pub repository: PathBuf,
    /// `owner/name` of it.
    pub slug: String,
    /// Whether the network may not be used.
    pub offline: bool,
    /// Starts git.
    pub git: Git,
}

impl Sources for Commits {
    fn copy_working_tree(&self, target: &Path, leash: &Leash<'_>) -> Result<(), Failure> {
        crate::workspace::copy_working_tree(&self.repository, target, leash)
            .map(|_| ())
            .map_err(|error| Failure(format!("copy the working tree: {error}")))
    }

    fn clone_repository(
        &self,
        request: CloneRequest<'_>,
        target: &Path,
        leash: &Leash<'_>,
    ) -> Result<Cloned, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure(error.to_string());
        let own = request.repository.eq_ignore_ascii_case(&self.slug);
        let remote = format!("{}/{}", request.server, request.repository);
        if !own && self.offline {
            return Err(Failure(format!("{remote} is elsewhere, and the network may not be used")));
        }
        // Another commit of the own repository is in it already.
        let url = if own { self.repository.display().to_string() } else { remote.clone() };
        let header = (!own && !request.token.is_empty()).then(|| {
            let pair = format!("x-access-token:{}", request.token);
            let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
            format!("Authorization: Basic {encoded}")
        });
        let header = header.as_deref();
        fs::create_dir_all(target).map_err(|error| failed(&error))?;
        let run = |arguments: &[&str]| {
            self.git.run(target, arguments, header, Some(leash)).map_err(|error| failed(&error))
        };
        let reference = if request.reference.is_empty() { "HEAD" } else { request.reference };
        if reference.starts_with('-') {
            return Err(Failure(format!("`{reference}` is no name of a commit")));
        }
        let depth = format!("--depth={}", request.depth);
        let mut fetch = vec!["fetch", "--quiet", "--no-tags"];
        if request.depth > 0 && !own {
            fetch.push(&depth);
        }
        fetch.extend(["--", &url, reference]);
        run(&["init", "--quiet"])?;
        run(&fetch)?;
        let commit = run(&["rev-parse", "--verify", "FETCH_HEAD^{commit}"])?.trim().to_owned();
        let branch = run(&["ls-remote", "--heads", "--", &url, reference])?;
        let named = branch.split_whitespace().nth(1).map(str::to_owned);
        match named.as_deref().and_then(|name| name.strip_prefix("refs/heads/")) {
            Some(branch) => run(&["checkout", "--quiet", "--force", "-B", branch, &commit])?,
            None => run(&["checkout", "--quiet", "--force", "--detach", &commit])?,
        };
        run(&["remote", "add", "origin", &remote])?;
        Ok(Cloned { commit, reference: named.unwrap_or_else(|| reference.to_owned()) })
    }
}
