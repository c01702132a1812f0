//! The store of API objects: versioned values under keys, changes in order, watches that miss
//! nothing.
//!
//! [`ObjectStore`] is what the API server sees; [`SqliteStore`] keeps it in one file. The shape
//! follows what Kubernetes asks of etcd: one revision counter for everything, writes that name the
//! revision they replace, lists as of a revision, and watches from a revision.
//!
//! **Durability.** A write that was answered is on the disk (`synchronous=FULL`); writes that
//! arrive together share one transaction, so that many writers do not wait for one disk flush
//! each.

mod backup;
mod database;
mod error;
mod ring;
mod sqlite;
mod watch;
mod window;
mod writer;

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;

pub use backup::{Snapshot, backup, newest_snapshot, restore};
pub use error::StoreError;
pub use sqlite::{Durability, SqliteOptions, SqliteStore, Statistics};
pub use watch::Watcher;
pub use window::Retention;

/// A position in the order of all changes; the first change of a new store is 1.
pub type Revision = u64;

/// A boxed future, so that stores can be used behind a pointer.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// The longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 1024;

/// The largest value, in bytes.
pub const MAX_VALUE_BYTES: usize = 3 * 1024 * 1024;

/// A value as it stands under its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The key.
    pub key: String,
    /// The revision at which the key was made.
    pub created: Revision,
    /// The revision of the value.
    pub revision: Revision,
    /// The value.
    pub value: Bytes,
}

/// What must hold for a write to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// There must be no such key.
    Absent,
    /// The key must have this revision.
    Revision(Revision),
}

/// What happened to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: String,
    /// The revision of the change.
    pub revision: Revision,
    /// The revision at which the key was made.
    pub created: Revision,
    /// The new value; nothing where the key was deleted.
    pub value: Option<Bytes>,
    /// The value before, with its revision; nothing where the key is new.
    pub previous: Option<(Revision, Bytes)>,
}

impl Change {
    /// Returns how many bytes the new value has.
    fn bytes(&self) -> u64 {
        self.value.as_ref().map_or(0, |value| value.len() as u64)
    }

    /// Returns how many bytes the change takes in memory. The value before is usually also the
    /// value of an earlier change; it is counted all the same, because its bytes are its own.
    fn size(&self) -> usize {
        self.value.as_ref().map_or(0, Bytes::len)
            + self.previous.as_ref().map_or(0, |(_, value)| value.len())
            + self.key.len()
    }
}

/// A stretch of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The records, in the order of their keys.
    pub records: Vec<Record>,
    /// The revision as of which the list was read.
    pub revision: Revision,
    /// How many records follow after the last one of this page.
    pub remaining: u64,
}

/// What to list.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// Only keys that begin with this; ends in `/`.
    pub prefix: String,
    /// Only keys after this one, itself left out.
    pub after: Option<String>,
    /// As of this revision; nothing means now.
    pub revision: Option<Revision>,
    /// At most so many; nothing means all.
    pub limit: Option<usize>,
}

/// A store of versioned values. Implementations are cheap to share behind an `Arc`.
pub trait ObjectStore: Send + Sync + 'static {
    /// Writes a value and returns the revision of the write.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where the precondition does not hold, with the record that is
    /// there; [`StoreError::NotFound`] where a revision was asked for and there is no such key.
    fn put(&self, key: &str, value: Bytes, precondition: Precondition)
    -> StoreFuture<'_, Revision>;

    /// Deletes a key, if it still has `revision`, and returns the revision of the deletion.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Conflict`].
    fn delete(&self, key: &str, revision: Revision) -> StoreFuture<'_, Revision>;

    /// Returns what stands under a key now.
    fn get(&self, key: &str) -> StoreFuture<'_, Option<Record>>;

    /// Lists keys.
    ///
    /// # Errors
    /// [`StoreError::Compacted`] and [`StoreError::Future`] for revisions that cannot be had.
    fn list(&self, options: ListOptions) -> StoreFuture<'_, Page>;

    /// Watches the keys that begin with `prefix` (which ends in `/`), or the one key that equals
    /// it, for changes after `after`.
    ///
    /// # Errors
    /// [`StoreError::Compacted`] and [`StoreError::Future`] for revisions that cannot be had.
    fn watch(&self, prefix: &str, after: Revision) -> StoreFuture<'_, Watcher>;

    /// Returns the revision of the latest change.
    fn revision(&self) -> Revision;

    /// Forgets what was replaced or deleted at or before `revision`: lists and watches from
    /// before are refused afterwards.
    fn compact(&self, revision: Revision) -> StoreFuture<'_, ()>;
}
