//! Removes what a sandbox left on disk. Plain removal fails for an unprivileged user: overlay
//! keeps a folder without permissions in each layer, and jobs make such folders too.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use fs_err as fs;

/// Removes the state folder of a sandbox that has ended.
pub fn remove_state(state: &Path) -> io::Result<()> {
    match fs::remove_dir_all(state) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_folders(state)?;
            fs::remove_dir_all(state)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Gives the owner back every right to the folders below. Links are not followed.
fn open_folders(state: &Path) -> io::Result<()> {
    let mut left: Vec<PathBuf> = vec![state.to_owned()];
    while let Some(folder) = left.pop() {
        fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                left.push(entry.path());
            }
        }
    }
    Ok(())
}
