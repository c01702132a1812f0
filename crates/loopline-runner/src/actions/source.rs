//! Where remote actions and called workflows come from.
//!
//! In this order: a folder of the user's (`--actions DIR`), the cache of this machine, the
//! network. What is fetched is kept by commit and never changed; which commit a branch or tag
//! stood for when it was last asked is kept beside it, for `--offline`.

use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use loopline_clock::Clock;
use loopline_git::{Repository, TreeLimit};

use super::git::{Git, GitError};
use super::links::{Confined, LinkError};
use super::remote::{Prefer, ReferenceError, Remote, check_reference, is_commit};
use crate::host::{Actions, FetchError, FetchedAction};

/// How large an action's tree may be.
pub const ACTION_LIMIT: TreeLimit =
    TreeLimit { entries: 200_000, size_bytes: 2 * 1024 * 1024 * 1024 };

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
        source: ReferenceError,
    },
    /// It cannot be read, or is too large.
    #[error(transparent)]
    Tree(#[from] loopline_git::Error),
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
        if reference.is_empty() || check_reference(reference).is_err() {
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
        let git_failed = |error| failed(ReferenceError::Git(error));
        let folder = self.cache.join(owner).join(repository);
        fs::create_dir_all(folder.join("refs"))?;
        remove_stale(&folder)?;
        // Each fetch has a repository of its own, so that two at once cannot meet.
        let work = WorkFolder::make(&folder, &self.clock)?;
        let bare = work.path.join("git");
        fs::create_dir(&bare)?;
        self.git.run(&bare, &["init", "--quiet", "--bare"], None, None).map_err(git_failed)?;
        let remote = Remote { git: &self.git, url, access: None, leash: None };
        let known = remote.find(&bare, reference, Prefer::Tag).map_err(failed)?;
        let commit = match known.commit.as_ref().filter(|commit| folder.join(commit).is_dir()) {
            Some(commit) => commit.clone(),
            None => {
                let commit = remote.fetch(&bare, &known, &["--depth=1"], &[]).map_err(failed)?;
                let root = folder.join(&commit);
                if !root.is_dir() {
                    self.unpack(&work.path, &commit, &root, git_failed)?;
                }
                commit
            }
        };
        let staged = work.path.join("ref");
        fs::write(&staged, &commit)?;
        fs::rename(&staged, folder.join("refs").join(escape(reference)))?;
        let origin = format!("{name} from {url}, at {commit}");
        Ok(FetchedAction { root: folder.join(&commit), commit, origin })
    }

    /// Writes the tree of `commit` to `root`, whole and looked through or not at all.
    fn unpack(
        &self,
        work: &Path,
        commit: &str,
        root: &Path,
        failed: impl Fn(GitError) -> SourceError,
    ) -> Result<(), SourceError> {
        let (bare, tree) = (work.join("git"), work.join("tree"));
        Repository::discover(&bare)?.check_tree_size(commit, ACTION_LIMIT)?;
        fs::create_dir(&tree)?;
        let work_tree = format!("--work-tree={}", tree.display());
        self.git.run(&bare, &["read-tree", commit], None, None).map_err(&failed)?;
        let checkout = ["--git-dir=.", &work_tree, "checkout-index", "--all"];
        self.git.run(&bare, &checkout, None, None).map_err(&failed)?;
        Confined::open(&tree)?.check_links()?;
        match fs::rename(&tree, root) {
            // Somebody else was faster with the same commit.
            Err(_) if root.is_dir() => Ok(()),
            other => Ok(other?),
        }
    }
}

/// What one fetch works in. Its lock says that somebody does.
struct WorkFolder {
    path: PathBuf,
    _lock: fs::File,
}

impl WorkFolder {
    const PREFIX: &str = ".fetch-";

    fn make(parent: &Path, clock: &Clock) -> io::Result<Self> {
        /// How often somebody else may take a new folder for a forgotten one.
        const TRIES: usize = 16;
        for _ in 0..TRIES {
            let path = parent.join(format!("{}{}", Self::PREFIX, clock.random_hex(8)));
            fs::create_dir(&path)?;
            let lock = fs::File::open(&path)?;
            if lock_now(&lock) && path.is_dir() {
                return Ok(Self { path, _lock: lock });
            }
        }
        Err(io::Error::other("another process removes every folder made for a fetch"))
    }
}

impl Drop for WorkFolder {
    fn drop(&mut self) {
        // What is left is removed by the next fetch, or by `loopline prune`.
        let _left = fs::remove_dir_all(&self.path);
    }
}

fn lock_now(folder: &fs::File) -> bool {
    use rustix::fs::{FlockOperation, flock};
    flock(folder, FlockOperation::NonBlockingLockExclusive).is_ok()
}

/// Removes what fetches that were killed left in one repository's folder.
fn remove_stale(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_name().as_encoded_bytes().starts_with(WorkFolder::PREFIX.as_bytes()) {
            continue;
        }
        match fs::File::open(entry.path()) {
            Ok(file) if lock_now(&file) => match fs::remove_dir_all(entry.path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            },
            // Somebody works in it, or has just finished.
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Removes what fetches that were killed left in the cache of actions.
///
/// # Errors
/// Where the cache cannot be listed, or something in it cannot be removed.
pub fn remove_stale_fetches(cache: &Path) -> io::Result<()> {
    let folders = |folder: &Path| -> io::Result<Vec<PathBuf>> {
        match fs::read_dir(folder) {
            Ok(entries) => entries
                .map(|entry| entry.map(|entry| entry.path()))
                .filter(|path| path.as_ref().map_or(true, |path| path.is_dir()))
                .collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    };
    for owner in folders(cache)? {
        for repository in folders(&owner)? {
            remove_stale(&repository)?;
        }
    }
    Ok(())
}

fn plain(root: PathBuf) -> FetchedAction {
    let origin = format!("taken from {}", root.display());
    FetchedAction { root, commit: String::new(), origin }
}

/// Returns whether `name` is one part of a path, and stays where it is put.
fn is_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\\', '\0'])
}

/// Returns a reference as one file name.
fn escape(reference: &str) -> String {
    reference.replace('%', "%25").replace('/', "%2F")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_fetch_left_is_removed_and_a_running_ones_is_not() {
        let cache = tempfile::tempdir().unwrap();
        let folder = cache.path().join("acme/tools");
        fs::create_dir_all(folder.join(".fetch-killed/git")).unwrap();
        let running = WorkFolder::make(&folder, &Clock::real()).unwrap();
        fs::write(running.path.join("ref"), "x").unwrap();
        remove_stale_fetches(cache.path()).unwrap();
        assert!(!folder.join(".fetch-killed").exists() && running.path.join("ref").exists());
        let path = running.path.clone();
        drop(running);
        assert!(!path.exists());
        remove_stale_fetches(&cache.path().join("missing")).unwrap();
    }
}
