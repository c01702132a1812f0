//! Who owns a database, and copies of it.

use std::fs::TryLockError;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use fs_err as fs;
use rusqlite::Connection;

use super::{StoreError, database};

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
                return Err(StoreError::InUse { path: folder.join("objects.db"), owner });
            }
            Err(TryLockError::Error(error)) => return Err(refused(error)),
        }
        file.set_len(0).map_err(refused)?;
        file.rewind().map_err(refused)?;
        file.write_all(owner.as_bytes()).map_err(refused)?;
        Ok(Self(file))
    }
}

/// Copies the database at `from`, as of one moment, to a new file.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), StoreError> {
    let source = database::open_reader(from)?;
    let at = |error: rusqlite::Error| StoreError::of_write(to, &error);
    let mut target = Connection::open(to).map_err(at)?;
    let backup = rusqlite::backup::Backup::new(&source, &mut target).map_err(at)?;
    backup.run_to_completion(PAGES_A_STEP, std::time::Duration::ZERO, None).map_err(at)
}

/// Puts a copy made by [`super::SqliteStore::backup`] in the place of a folder's database. What
/// was there is kept beside it under the name that is returned.
///
/// # Errors
/// [`StoreError::InUse`] while a server has the database; [`StoreError::Corrupt`] where the copy
/// is damaged: the database is left as it was.
pub fn restore(folder: &Path, from: &Path) -> Result<Option<std::path::PathBuf>, StoreError> {
    let _lock = Lock::take(folder, "loopline restore")?;
    let path = folder.join("objects.db");
    let refused = |error: std::io::Error| StoreError::Unwritable {
        path: path.clone(),
        cause: error.to_string(),
    };
    let fresh = folder.join("objects.db.restoring");
    for suffix in ["", "-wal", "-shm"] {
        remove(&folder.join(format!("objects.db.restoring{suffix}"))).map_err(refused)?;
    }
    if !from.exists() {
        let cause = "there is no such file".to_owned();
        return Err(StoreError::Corrupt { path: from.to_path_buf(), cause });
    }
    copy(from, &fresh)?;
    // Opening checks that it is ours, of a format we know, and whole.
    drop(database::open_writer(&fresh, true).map_err(|error| match error {
        StoreError::Corrupt { cause, .. } => {
            StoreError::Corrupt { path: from.to_path_buf(), cause }
        }
        other => other,
    })?);
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
    Ok(kept)
}

fn remove(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
