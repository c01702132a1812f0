//! Reads repositories: where they are, what is checked out, what changed, which files belong to
//! the working tree, and what one commit's tree holds on disk.
//!
//! No `git` program is needed and none is started: hooks never run, and configuration that names
//! programs (filters, credential helpers, `core.fsmonitor`, `core.sshCommand`) is never acted on.
//! That is why a repository owned by somebody else is read rather than refused: what
//! `safe.directory` guards against, running the owner's programs, cannot happen here. Only the
//! repository's own configuration is read, not the user's or the system's, so that a run does
//! not depend on who started it. Talking to remotes does not live here yet.

pub mod error;
pub mod files;
pub mod repository;
pub mod slug;
pub mod tree;

pub use error::{Error, Result};
pub use files::{FileKind, WorkingFile};
pub use repository::{CommitSummary, Head, Person, Repository};
pub use slug::Slug;
pub use tree::TreeLimit;
