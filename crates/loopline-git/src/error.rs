//! Why reading a repository failed.

use std::path::PathBuf;

/// The result of an operation on a repository.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation on a repository failed; texts never hold a credential.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No repository holds the folder.
    #[error("find a git repository at or above {}", folder.display())]
    NotARepository {
        /// The folder the search began at.
        folder: PathBuf,
        /// What the reader said.
        source: Box<gix::Error>,
    },
    /// The repository has no commit yet.
    #[error("read HEAD: the repository has no commit yet")]
    NoCommit,
    /// The repository has no working tree.
    #[error("list the working tree: the repository is bare")]
    Bare,
    /// A revision does not name exactly one commit.
    #[error("resolve revision `{revision}`")]
    Revision {
        /// The revision as given.
        revision: String,
        /// What the reader said.
        source: Box<gix::Error>,
    },
    /// An object, reference or index could not be read.
    #[error("read {what}")]
    Read {
        /// What was being read.
        what: &'static str,
        /// What the reader said.
        source: Box<gix::Error>,
    },
    /// A path in a tree would leave its folder or touch git's own.
    #[error("write `{path}` of commit {commit}: {reason}")]
    UnsafePath {
        /// The commit that holds the path.
        commit: String,
        /// The path, with control characters escaped.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A bound was passed.
    #[error("read {what}: more than {limit}")]
    TooMuch {
        /// What grew too large.
        what: &'static str,
        /// The bound.
        limit: u64,
    },
    /// The file system refused.
    #[error("use the file system")]
    Io(#[from] std::io::Error),
}

/// Wraps a reader's error with what was being read.
pub(crate) fn reading(what: &'static str) -> impl FnOnce(gix::Error) -> Error {
    move |source| Error::Read { what, source: Box::new(source) }
}
