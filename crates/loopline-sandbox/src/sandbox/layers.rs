//! The folders on disk that hold what a job writes outside its binds, and their second use: making
//! and deleting a few dozen folders a job costs more than all of a sandbox's mounts, so what a
//! job left empty is kept for the next one.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use fs_err as fs;
use rustix::fs::{CWD, RenameFlags, llistxattr, renameat_with};

use super::removal::remove_state;

/// The most sets of layers that wait for their next use.
const POOL: usize = 16;
/// The permissions of every folder here, short of what the user's mask takes away.
const MODE: u32 = 0o755;

/// The layers of one sandbox: paths relative to its state folder.
#[derive(Debug, Default)]
pub(super) struct Layers {
    /// Every folder that is there before the job writes anything, mount points included.
    folders: BTreeSet<PathBuf>,
    /// The folders the kernel works in; what it leaves there is nobody's.
    work: BTreeSet<PathBuf>,
}

impl Layers {
    /// Adds a folder and what leads to it.
    pub(super) fn folder(&mut self, path: &Path) {
        self.folders.extend(path.ancestors().filter(|it| *it != Path::new("")).map(Path::to_owned));
    }

    /// Adds a folder for the kernel to work in.
    pub(super) fn work_folder(&mut self, path: &Path) {
        self.folder(path);
        self.work.insert(path.to_owned());
    }

    /// Creates what is missing, taking a former sandbox's layers if there are any.
    pub(super) fn lay(&self, state: &Path, pool: Option<&Path>) -> io::Result<()> {
        if let Some(pool) = pool
            && !state.exists()
            && (0..POOL).any(|slot| fs::rename(pool.join(slot.to_string()), state).is_ok())
        {
            self.clean(state)?;
        }
        fs::create_dir_all(state)?;
        for path in &self.folders {
            let path = state.join(path);
            match std::fs::DirBuilder::new().mode(MODE).create(&path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        for path in &self.work {
            // In it a mark keeps the kernel from mounting again what may not have reached the
            // disk before a power cut; layers need no more than any other files of a job.
            let stale = state.join(path).join("work");
            if stale.symlink_metadata().is_ok() {
                remove_state(&stale)?;
            }
        }
        Ok(())
    }

    /// Empties the layers of a sandbox that has ended and puts them by; removes them where that
    /// is not possible.
    pub(super) fn put_by(&self, state: &Path, pool: &Path) -> io::Result<()> {
        self.clean(state)?;
        fs::create_dir_all(pool)?;
        for slot in 0..POOL {
            let slot = pool.join(slot.to_string());
            if renameat_with(CWD, state, CWD, &slot, RenameFlags::NOREPLACE).is_ok() {
                return Ok(());
            }
        }
        remove_state(state)
    }

    /// Removes everything but the folders that belong there as they were made. Nothing runs in
    /// the sandbox any more, so what is looked at stays as it is.
    fn clean(&self, state: &Path) -> io::Result<()> {
        let mut left = vec![PathBuf::new()];
        while let Some(folder) = left.pop() {
            for entry in fs::read_dir(state.join(&folder))? {
                let entry = entry?;
                let path = folder.join(entry.file_name());
                let ours = self.folders.contains(&path) && entry.file_type()?.is_dir();
                if ours && self.work.contains(&path) {
                    continue;
                }
                if ours && is_untouched(&entry.path())? {
                    left.push(path);
                } else if entry.file_type()?.is_dir() {
                    remove_state(&entry.path())?;
                } else {
                    fs::remove_file(entry.path())?;
                }
            }
        }
        Ok(())
    }
}

/// Says whether a folder's permissions and attributes are as it was made.
fn is_untouched(folder: &Path) -> io::Result<bool> {
    let mode = fs::symlink_metadata(folder)?.permissions().mode();
    let mut none: [u8; 0] = [];
    let attributes = llistxattr(folder, &mut none).unwrap_or(0);
    Ok(mode & 0o7777 == MODE && attributes == 0)
}
