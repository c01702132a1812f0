//! Who owns a database, and copies of it.

use std::fs::TryLockError;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use fs_err as fs;
use rusqlite::Connection;

use super::{Revision, StoreError, database};

/// The name of the database in its folder.
const DATABASE: &str = "objects.db";

/// The list of a database's copies, the newest last.
const SNAPSHOTS: &str = "snapshots.json";

/// How many copies the list has.
const MAX_REMEMBERED: usize = 32;

/// How many pages a copy takes before it lets writers through.
const PAGES_A_STEP: i32 = 1024;

/// The lock of a database's owner; the process that holds it has described itself in the file.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "held for its lock")] fs::File);

impl Lock {
    /// Takes the lock of the database in a folder, making the folder (mode 0700) where it is
    /// missing.
    pub(super) fn take(folder: &Path, owner: &str) -> Result<Self, StoreError> {
        use std::os::unix::fs::DirBuilderExt as _;
        let path = folder.join("objects.lock");
        let refused = |error: std::io::Error| StoreError::Unwritable {
            path: path.clone(),
            cause: error.to_string(),
        };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(refused)?;
        let mut file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(refused)?;
        match file.file().try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut owner = String::new();
                file.read_to_string(&mut owner).map_err(refused)?;
                return Err(StoreError::InUse { path: folder.join(DATABASE), owner });
            }
            Err(TryLockError::Error(error)) => return Err(refused(error)),
        }
        file.set_len(0).map_err(refused)?;
        file.rewind().map_err(refused)?;
        file.write_all(owner.as_bytes()).map_err(refused)?;
        Ok(Self(file))
    }
}

/// What a copy holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The revision it was taken at.
    pub revision: Revision,
    /// How many keys it has.
    pub keys: u64,
    /// Its size.
    pub bytes: u64,
    /// The process that had the database meanwhile, as it described itself.
    pub owner: Option<String>,
}

/// Copies the database of a folder, as of one moment, to a file that only its owner may read;
/// whether a server runs meanwhile makes no difference. The file appears when it is whole.
///
/// # Errors
/// [`StoreError::NotFound`] where the folder has no database; [`StoreError::Corrupt`] where the
/// database is damaged, so that no good copy is replaced by a bad one; [`StoreError::Unwritable`].
pub fn backup(folder: &Path, to: &Path) -> Result<Snapshot, StoreError> {
    let path = folder.join(DATABASE);
    if !path.exists() {
        return Err(StoreError::NotFound(path.display().to_string()));
    }
    // Without a server the lock is held, so that none begins to restore meanwhile.
    let (_lock, owner) = match Lock::take(folder, "loopline backup") {
        Ok(lock) => (Some(lock), None),
        Err(StoreError::InUse { owner, .. }) => (None, Some(owner)),
        Err(error) => return Err(error),
    };
    let refused = |error: std::io::Error| StoreError::Unwritable {
        path: to.to_path_buf(),
        cause: error.to_string(),
    };
    let beside = match to.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let fresh = tempfile::Builder::new()
        .prefix(".loopline-backup-")
        .tempfile_in(beside)
        .map_err(refused)?
        .into_temp_path();
    copy(&path, &fresh)?;
    let (state, keys) = database::seal(&fresh).map_err(|error| error.about(&path))?;
    let file = fs::File::open(&fresh).map_err(refused)?;
    file.sync_all().map_err(refused)?;
    let bytes = file.metadata().map_err(refused)?.len();
    fresh.persist(to).map_err(|error| refused(error.error))?;
    fs::File::open(beside).and_then(|folder| folder.sync_all()).map_err(refused)?;
    remember(folder, to).map_err(refused)?;
    Ok(Snapshot { revision: state.revision, keys, bytes, owner })
}

/// Returns the newest copy of a folder's database that is still there.
///
/// # Errors
/// Where the list of copies cannot be read.
pub fn newest_snapshot(folder: &Path) -> std::io::Result<Option<PathBuf>> {
    Ok(remembered(folder)?.into_iter().rev().find(|path| path.exists()))
}

/// Notes where a copy lies, so that a server with a damaged database can name it.
fn remember(folder: &Path, to: &Path) -> std::io::Result<()> {
    let to = fs::canonicalize(to)?;
    let mut paths = remembered(folder)?;
    paths.retain(|path| *path != to);
    paths.push(to);
    let first = paths.len().saturating_sub(MAX_REMEMBERED);
    let mut list = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer(&mut list, &paths[first..])?;
    list.persist(folder.join(SNAPSHOTS)).map_err(|error| error.error)?;
    Ok(())
}

fn remembered(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    match fs::read(folder.join(SNAPSHOTS)) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Copies the database at `from`, as of one moment, to a new file.
fn copy(from: &Path, to: &Path) -> Result<(), StoreError> {
    let source = database::open_reader(from)?;
    // A copy starts again whenever another process writes; a transaction keeps to one moment.
    source
        .execute_batch("begin; select count(*) from sqlite_schema")
        .map_err(|error| StoreError::of_read(from, &error))?;
    let at = |error: rusqlite::Error| StoreError::of_write(to, &error).about(from);
    let mut target = Connection::open(to).map_err(at)?;
    let backup = rusqlite::backup::Backup::new(&source, &mut target).map_err(at)?;
    backup.run_to_completion(PAGES_A_STEP, std::time::Duration::ZERO, None).map_err(at)
}

/// Puts a copy made by [`backup`] in the place of a folder's database. What
/// was there is kept beside it under the name that is returned.
///
/// # Errors
/// [`StoreError::InUse`] while a server has the database; [`StoreError::NotFound`] where there is
/// no copy, and [`StoreError::Corrupt`] where it is damaged: the database is left as it was.
pub fn restore(folder: &Path, from: &Path) -> Result<Option<PathBuf>, StoreError> {
    let _lock = Lock::take(folder, "loopline restore")?;
    let path = folder.join(DATABASE);
    let refused = |error: std::io::Error| StoreError::Unwritable {
        path: path.clone(),
        cause: error.to_string(),
    };
    let fresh = folder.join("objects.db.restoring");
    for suffix in ["", "-wal", "-shm"] {
        remove(&folder.join(format!("objects.db.restoring{suffix}"))).map_err(refused)?;
    }
    if !from.exists() {
        return Err(StoreError::NotFound(from.display().to_string()));
    }
    copy(from, &fresh)?;
    // Opening checks that it is ours, of a format we know, and whole.
    drop(database::open_writer(&fresh, true).map_err(|error| error.about(from))?);
    let kept = path.exists().then(|| folder.join("objects.db.replaced"));
    if let Some(kept) = &kept {
        for suffix in ["-wal", "-shm", ""] {
            let old = folder.join(format!("objects.db{suffix}"));
            let new = kept.with_extension(format!("replaced{suffix}"));
            remove(&new).map_err(refused)?;
            if old.exists() {
                fs::rename(&old, &new).map_err(refused)?;
            }
        }
    }
    fs::rename(&fresh, &path).map_err(refused)?;
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(refused)?;
    Ok(kept)
}

fn remove(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
