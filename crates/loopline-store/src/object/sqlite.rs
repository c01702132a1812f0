//! The object store in one SQLite file.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::ring::Ring;
use super::watch::Watcher;
use super::window::Retention;
use super::writer::{Request, Write, Writer};
use super::{
    Change, ListOptions, MAX_KEY_BYTES, MAX_VALUE_BYTES, ObjectStore, Page, Precondition, Record,
    Revision, StoreError, StoreFuture, database,
};

/// The most requests that wait for the writer; more wait at the door.
const MAX_WAITING_WRITES: usize = 1024;

/// The most connections that are kept open for reading.
const MAX_READERS: usize = 8;

/// What a write's answer stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// It survives a power cut.
    Full,
    /// It is forgotten with the process: for tests and throw-away servers.
    Ephemeral,
}

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// The folder of the database; made where it is missing.
    pub folder: PathBuf,
    /// What a write's answer stands for.
    pub durability: Durability,
    /// How this process describes itself to one that wants the same database.
    pub owner: String,
}

/// How large a store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// How many keys there are.
    pub keys: u64,
    /// How many changes are kept.
    pub changes: u64,
    /// The revision of the latest change.
    pub revision: Revision,
    /// The oldest revision that lists and watches can ask for.
    pub oldest: Revision,
    /// How large the database is, without its write-ahead log.
    pub bytes: u64,
    /// How much of it lies free, to be used by later writes.
    pub free_bytes: u64,
}

/// The object store in one SQLite file, `objects.db`.
///
/// It has one owner process, which holds a lock on `objects.lock` beside it.
pub struct SqliteStore {
    shared: Arc<Shared>,
    requests: Option<SyncSender<Request>>,
    writer: Option<std::thread::JoinHandle<()>>,
    _lock: super::backup::Lock,
    _scratch: Option<tempfile::TempDir>,
}

/// What readers, watchers and the writer share.
pub(super) struct Shared {
    pub(super) path: PathBuf,
    pub(super) ring: Arc<Ring>,
    readers: Mutex<Vec<Connection>>,
}

impl SqliteStore {
    /// Opens the store in a folder.
    ///
    /// # Errors
    /// [`StoreError::InUse`], [`StoreError::Corrupt`], [`StoreError::Newer`],
    /// [`StoreError::Unwritable`].
    pub fn open(options: &SqliteOptions) -> Result<Self, StoreError> {
        Self::open_in(&options.folder, options.durability, &options.owner, None)
    }

    /// Opens an empty store in a temporary folder that goes with it.
    ///
    /// # Errors
    /// [`StoreError::Unwritable`].
    pub fn ephemeral() -> Result<Self, StoreError> {
        let scratch = tempfile::tempdir().map_err(|error| StoreError::Unwritable {
            path: std::env::temp_dir(),
            cause: error.to_string(),
        })?;
        let folder = scratch.path().to_path_buf();
        Self::open_in(&folder, Durability::Ephemeral, "an ephemeral store", Some(scratch))
    }

    fn open_in(
        folder: &Path,
        durability: Durability,
        owner: &str,
        scratch: Option<tempfile::TempDir>,
    ) -> Result<Self, StoreError> {
        let lock = super::backup::Lock::take(folder, owner)?;
        let path = folder.join("objects.db");
        let (connection, state) = database::open_writer(&path, durability == Durability::Full)?;
        let ring = Arc::new(Ring::new(state.revision));
        let (requests, incoming) = sync_channel(MAX_WAITING_WRITES);
        let writer = Writer::new(connection, path.clone(), state, Arc::clone(&ring));
        let writer = std::thread::Builder::new()
            .name("object-writer".to_owned())
            .spawn(move || writer.run(&incoming))
            .map_err(|error| StoreError::Unwritable {
                path: path.clone(),
                cause: error.to_string(),
            })?;
        Ok(Self {
            shared: Arc::new(Shared { path, ring, readers: Mutex::new(Vec::new()) }),
            requests: Some(requests),
            writer: Some(writer),
            _lock: lock,
            _scratch: scratch,
        })
    }

    /// Returns how large the store is.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub fn statistics(&self) -> Result<Statistics, StoreError> {
        self.shared.read(|connection| {
            let (keys, changes) = database::counts(connection)?;
            let (bytes, free_bytes) = database::sizes(connection)?;
            let oldest = database::oldest(connection)?;
            let revision = self.shared.ring.latest();
            Ok(Statistics { keys, changes, revision, oldest, bytes, free_bytes })
        })
    }

    /// Copies the store, as of one moment, to a file while it is in use.
    ///
    /// # Errors
    /// [`StoreError::Unwritable`] where the copy cannot be written.
    pub async fn backup(&self, to: &Path) -> Result<super::Snapshot, StoreError> {
        let folder = self.shared.path.parent().map(Path::to_path_buf).unwrap_or_default();
        let to = to.to_path_buf();
        blocking(move || super::backup::backup(&folder, &to)).await
    }

    /// Changes how much of the past is kept; a new store keeps what [`Retention::default`] says.
    ///
    /// # Errors
    /// [`StoreError::Closed`].
    pub async fn retain(&self, retention: Retention) -> Result<(), StoreError> {
        self.send(Request::Retain(retention)).await
    }

    async fn write(
        &self,
        key: String,
        value: Option<Bytes>,
        precondition: Precondition,
    ) -> Result<Revision, StoreError> {
        check_size("the key", key.len(), MAX_KEY_BYTES)?;
        check_size("the value", value.as_ref().map_or(0, Bytes::len), MAX_VALUE_BYTES)?;
        let (answer, answered) = oneshot::channel();
        self.send(Request::Write(Write { key, value, precondition, answer })).await?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    /// Hands a request to the writer; waits where its queue is full.
    async fn send(&self, request: Request) -> Result<(), StoreError> {
        let requests = self.requests.as_ref().ok_or(StoreError::Closed)?;
        match requests.try_send(request) {
            Ok(()) => Ok(()),
            Err(TrySendError::Disconnected(_)) => Err(StoreError::Closed),
            Err(TrySendError::Full(request)) => {
                let requests = requests.clone();
                blocking(move || requests.send(request).map_err(|_| StoreError::Closed)).await
            }
        }
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has told its story already.
            let _ = writer.join();
        }
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.shared.path).finish_non_exhaustive()
    }
}

impl ObjectStore for SqliteStore {
    fn put(
        &self,
        key: &str,
        value: Bytes,
        precondition: Precondition,
    ) -> StoreFuture<'_, Revision> {
        let key = key.to_owned();
        Box::pin(self.write(key, Some(value), precondition))
    }

    fn delete(&self, key: &str, revision: Revision) -> StoreFuture<'_, Revision> {
        let key = key.to_owned();
        Box::pin(self.write(key, None, Precondition::Revision(revision)))
    }

    fn get(&self, key: &str) -> StoreFuture<'_, Option<Record>> {
        // One look-up by key takes microseconds: handing it to another thread would cost more.
        let record = self.shared.read(|connection| database::get(connection, key));
        Box::pin(std::future::ready(record))
    }

    fn list(&self, options: ListOptions) -> StoreFuture<'_, Page> {
        let shared = Arc::clone(&self.shared);
        Box::pin(blocking(move || {
            shared.read(|connection| {
                database::list(connection, &options, |state, revision| {
                    known(revision, state.compacted, state.revision)
                })
            })?
        }))
    }

    fn watch(&self, prefix: &str, after: Revision) -> StoreFuture<'_, Watcher> {
        let shared = Arc::clone(&self.shared);
        let watcher = shared.read(database::oldest).and_then(|oldest| {
            known(after, oldest, shared.ring.latest())?;
            Ok(Watcher::new(Arc::clone(&shared), prefix.to_owned(), after))
        });
        Box::pin(std::future::ready(watcher))
    }

    fn revision(&self) -> Revision {
        self.shared.ring.latest()
    }

    fn compact(&self, revision: Revision) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            self.send(Request::Compact { to: revision, answer }).await?;
            answered.await.map_err(|_| StoreError::Closed)?
        })
    }
}

impl Shared {
    /// Reads with a connection of the pool.
    fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let pooled = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match pooled {
            Some(connection) => connection,
            None => database::open_reader(&self.path)?,
        };
        let result = read(&connection).map_err(|error| StoreError::of_read(&self.path, &error));
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < MAX_READERS {
            readers.push(connection);
        }
        result
    }

    /// Reads changes from the log for a watcher that the ring has left behind, as many as a
    /// watcher takes in one go. Returns them with the revision up to which there are no others.
    pub(super) async fn replay(
        self: &Arc<Self>,
        prefix: String,
        after: Revision,
        until: Revision,
    ) -> Result<(Vec<Change>, Revision), StoreError> {
        let shared = Arc::clone(self);
        blocking(move || {
            let (oldest, read) = shared.read(|connection| {
                // Both in one transaction: a compaction in between would leave a gap.
                let transaction = connection.unchecked_transaction()?;
                let oldest = database::oldest(&transaction)?;
                let read = database::changes(&transaction, &prefix, after, until)?;
                Ok((oldest, read))
            })?;
            if after < oldest {
                return Err(StoreError::Compacted { asked: after, oldest });
            }
            Ok(read)
        })
        .await
    }
}

/// Refuses revisions that were compacted or are not there yet.
fn known(asked: Revision, oldest: Revision, latest: Revision) -> Result<(), StoreError> {
    if asked < oldest {
        return Err(StoreError::Compacted { asked, oldest });
    }
    if asked > latest {
        return Err(StoreError::Future { asked, latest });
    }
    Ok(())
}

fn check_size(what: &'static str, bytes: usize, limit: usize) -> Result<(), StoreError> {
    if bytes > limit { Err(StoreError::TooLong { what, bytes, limit }) } else { Ok(()) }
}

/// Runs what may wait for the disk off the runtime's own threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::Closed)?
}
