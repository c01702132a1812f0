//! Why the object store could not do what it was asked.

use std::path::PathBuf;

use super::{Record, Revision};

/// Why the object store could not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The key is there although it must not be, or has another revision.
    #[error("{} has revision {}", .0.key, .0.revision)]
    Conflict(Box<Record>),
    /// There is no such key.
    #[error("there is no {0}")]
    NotFound(String),
    /// The revision was compacted away.
    #[error("revision {asked} was compacted: the oldest is {oldest}")]
    Compacted {
        /// The revision that was asked for.
        asked: Revision,
        /// The oldest revision that can be had.
        oldest: Revision,
    },
    /// The revision is not there yet.
    #[error("revision {asked} is ahead of the latest, {latest}")]
    Future {
        /// The revision that was asked for.
        asked: Revision,
        /// The latest revision.
        latest: Revision,
    },
    /// The key or the value is too long.
    #[error("{what} has {bytes} bytes, more than {limit}")]
    TooLong {
        /// `the key` or `the value`.
        what: &'static str,
        /// Its length.
        bytes: usize,
        /// The longest there may be.
        limit: usize,
    },
    /// The disk is full, or refuses to be written; nothing was changed.
    #[error("write to {}: {cause}", path.display())]
    Unwritable {
        /// The database.
        path: PathBuf,
        /// What the disk said.
        cause: String,
    },
    /// The disk does not give what was asked for, or the database is held by another program.
    #[error("read {}: {cause}", path.display())]
    Unreadable {
        /// The database.
        path: PathBuf,
        /// What the disk said.
        cause: String,
    },
    /// The file is damaged, or is no database of ours.
    #[error("read {}: {cause}", path.display())]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// The database was made by a newer Loopline.
    #[error("{} has format {found}, and this Loopline knows up to {known}", path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// The format it has.
        found: i64,
        /// The newest format known.
        known: i64,
    },
    /// Another process has the database.
    #[error("{} is in use by {owner}", path.display())]
    InUse {
        /// The database.
        path: PathBuf,
        /// Who has it, as that process described itself.
        owner: String,
    },
    /// The store is being closed.
    #[error("the object store is closed")]
    Closed,
}

impl StoreError {
    /// Sorts an error of the database while it was read into ours.
    pub(super) fn of_read(path: &std::path::Path, error: &rusqlite::Error) -> Self {
        Self::corrupt(path, error).unwrap_or_else(|| Self::Unreadable {
            path: path.to_path_buf(),
            cause: error.to_string(),
        })
    }

    /// Sorts an error of the database while it was written into ours.
    pub(super) fn of_write(path: &std::path::Path, error: &rusqlite::Error) -> Self {
        Self::corrupt(path, error).unwrap_or_else(|| Self::Unwritable {
            path: path.to_path_buf(),
            cause: error.to_string(),
        })
    }

    /// Names the file that a finding about its copy is about.
    pub(super) fn about(self, path: &std::path::Path) -> Self {
        match self {
            Self::Corrupt { cause, .. } => Self::Corrupt { path: path.to_path_buf(), cause },
            other => other,
        }
    }

    fn corrupt(path: &std::path::Path, error: &rusqlite::Error) -> Option<Self> {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
            .then(|| Self::Corrupt { path: path.to_path_buf(), cause: error.to_string() })
    }
}
