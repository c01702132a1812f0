//! Files that only their owner may read.

use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use fs_err as fs;

/// The permissions of a file with a secret.
const MODE: u32 = 0o600;

/// Why a file with a secret is not used.
#[derive(Debug, thiserror::Error)]
pub enum PrivateError {
    /// The file system refuses.
    #[error("use a file with a secret")]
    Io(#[from] io::Error),
    /// Others could read the file.
    #[error("{} can be read by others (mode {mode:o}); next: chmod 600 {}", .path.display(), .path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
}

/// Writes a file that only its owner may read, whole or not at all.
///
/// # Errors
/// [`PrivateError::Io`].
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), PrivateError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        .permissions(std::fs::Permissions::from_mode(MODE))
        .tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    fs::File::open(folder)?.sync_all()?;
    Ok(())
}

/// Reads a file that only its owner may read; nothing where there is none.
///
/// # Errors
/// [`PrivateError::Exposed`] where others may read it too.
pub fn read_private(path: &Path) -> Result<Option<Vec<u8>>, PrivateError> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(PrivateError::Exposed { path: path.to_owned(), mode });
    }
    Ok(Some(fs::read(path)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_for_their_owner() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keys/one");
        assert!(read_private(&path).expect("no file").is_none());
        write_private(&path, b"a").expect("a file");
        write_private(&path, b"b").expect("the file again");
        assert_eq!(read_private(&path).expect("a file").as_deref(), Some(&b"b"[..]));
        assert_eq!(fs::metadata(&path).expect("a file").mode() & 0o777, 0o600);
        fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("a file");
        let error = read_private(&path).expect_err("others can read it").to_string();
        assert!(error.contains("(mode 644); next: chmod 600 "), "{error}");
        assert_eq!(fs::read_dir(path.parent().expect("a folder")).expect("a folder").count(), 1);
    }
}
