//! Where artifacts and caches are kept, as traits, and what is known of them.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Why something cannot be stored or found.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// There is one of that name.
    #[error("store {0}: there is one already")]
    Exists(String),
    /// It is larger than everything of its kind together may be.
    #[error("store {name}: it has {size_bytes} bytes, and the quota is {quota_bytes}")]
    OverQuota {
        /// What.
        name: String,
        /// How large it is.
        size_bytes: u64,
        /// How large everything may be.
        quota_bytes: u64,
    },
    /// A name that no file system and no archive should meet.
    #[error("use {0:?} as a name")]
    Name(String),
    /// What is known of it cannot be read.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// A file could not be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// One stored artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Unique on this machine; fits a JavaScript number.
    pub id: u64,
    /// The run that stored it.
    pub run: String,
    /// The job that stored it, as the token names it.
    pub job: String,
    /// Its name.
    pub name: String,
    /// Its size, in bytes.
    pub size_bytes: u64,
    /// `sha256:...` of the stored file.
    pub digest: String,
    /// What it is; a zip archive unless the client says otherwise.
    pub mime_type: String,
    /// When it was stored, RFC 3339.
    pub created: String,
    /// When it may be removed, RFC 3339, if the workflow says.
    #[serde(default)]
    pub expires: Option<String>,
}

/// An artifact to be stored.
#[derive(Clone, Copy, Debug)]
pub struct NewArtifact<'a> {
    /// The run that stores it.
    pub run: &'a str,
    /// The job that stores it.
    pub job: &'a str,
    /// Its name.
    pub name: &'a str,
    /// What it is.
    pub mime_type: &'a str,
    /// When it may be removed.
    pub expires: Option<&'a str>,
    /// Whether one of the same name is replaced.
    pub overwrite: bool,
}

/// Keeps the artifacts of runs.
pub trait Artifacts: Send + Sync {
    /// Returns a folder on the same file system, for files that will be stored.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    fn staging(&self) -> Result<PathBuf, StorageError>;

    /// Moves `file` into the store.
    ///
    /// # Errors
    /// [`StorageError`].
    fn put(&self, new: NewArtifact<'_>, file: &Path) -> Result<Artifact, StorageError>;

    /// Returns the artifacts of a run, oldest first.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    fn list(&self, run: &str) -> Result<Vec<Artifact>, StorageError>;

    /// Returns the file of an artifact.
    fn file(&self, artifact: &Artifact) -> PathBuf;

    /// Removes an artifact; returns what was removed.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    fn delete(&self, run: &str, name: &str) -> Result<Option<Artifact>, StorageError>;
}

/// One stored cache entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheEntry {
    /// Unique on this machine; fits a JavaScript number.
    pub id: u64,
    /// Whose it is.
    pub repository: String,
    /// The ref that stored it.
    pub scope: String,
    /// Its key.
    pub key: String,
    /// What the client says must be equal beside the key: paths and compression.
    pub version: String,
    /// Its size, in bytes.
    pub size_bytes: u64,
    /// When it was stored, RFC 3339.
    pub created: String,
    /// When it was last used, RFC 3339.
    pub used: String,
}

/// Which caches a job may see, and where its own go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheScope {
    /// `owner/name`.
    pub repository: String,
    /// The ref new entries belong to.
    pub write: String,
    /// The refs whose entries are seen, nearest first: the own one, the base, the default.
    pub read: Vec<String>,
}

/// Keeps caches.
pub trait Caches: Send + Sync {
    /// Returns a folder on the same file system, for files that will be stored.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    fn staging(&self) -> Result<PathBuf, StorageError>;

    /// Returns whether this scope has an entry of exactly this key.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    fn has(&self, scope: &CacheScope, key: &str, version: &str) -> Result<bool, StorageError>;

    /// Moves `file` into the store; makes room by removing what was used longest ago.
    ///
    /// # Errors
    /// [`StorageError::Exists`] where the scope has the key, and others.
    fn put(
        &self,
        scope: &CacheScope,
        key: &str,
        version: &str,
        file: &Path,
    ) -> Result<CacheEntry, StorageError>;

    /// Returns the entry that fits best: scope by scope the exact key, then the newest whose key
    /// begins with the key or with one of `restore_keys`, in order.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    fn find(
        &self,
        scope: &CacheScope,
        key: &str,
        restore_keys: &[String],
        version: &str,
    ) -> Result<Option<CacheEntry>, StorageError>;

    /// Returns the file of an entry.
    fn file(&self, entry: &CacheEntry) -> PathBuf;
}
