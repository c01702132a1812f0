//! The files through which a step talks back: `GITHUB_OUTPUT`, `GITHUB_ENV` and their like.
//!
//! A step gets a set of empty files. A set nobody wrote to is handed to the next step as it is,
//! so that a step that says nothing costs five `stat` calls and no file. What the files mean is
//! read elsewhere.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use fs_err as fs;

/// The largest file that is read back, in bytes; steps have no business writing more.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// The kinds of files, in the order in which they are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `GITHUB_ENV`
    Environment,
    /// `GITHUB_OUTPUT`
    Output,
    /// `GITHUB_PATH`
    Path,
    /// `GITHUB_STATE`
    State,
    /// `GITHUB_STEP_SUMMARY`
    Summary,
}

/// All kinds.
pub(crate) const KINDS: [Kind; 5] =
    [Kind::Environment, Kind::Output, Kind::Path, Kind::State, Kind::Summary];

impl Kind {
    /// Returns the variable that names the file.
    pub(crate) const fn variable(self) -> &'static str {
        match self {
            Self::Environment => "GITHUB_ENV",
            Self::Output => "GITHUB_OUTPUT",
            Self::Path => "GITHUB_PATH",
            Self::State => "GITHUB_STATE",
            Self::Summary => "GITHUB_STEP_SUMMARY",
        }
    }

    const fn stem(self) -> &'static str {
        match self {
            Self::Environment => "set_env",
            Self::Output => "set_output",
            Self::Path => "add_path",
            Self::State => "save_state",
            Self::Summary => "step_summary",
        }
    }
}

/// Why a file cannot be read back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// It is larger than [`MAX_BYTES`].
    #[error("the file behind {0} is larger than {MAX_BYTES} bytes")]
    TooLarge(&'static str),
    /// It is not a regular file any more.
    #[error("{0} no longer names a regular file")]
    NotAFile(&'static str),
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// One step's set of files.
#[derive(Debug)]
pub(crate) struct Files {
    paths: [PathBuf; KINDS.len()],
}

/// Makes sets of files in one folder.
#[derive(Debug)]
pub(crate) struct Pool {
    folder: PathBuf,
    made: u32,
    spare: Option<Files>,
}

impl Pool {
    /// Returns a pool whose files are made in `folder`, each name starting with `prefix`.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, made: 0, spare: None }
    }

    /// Returns a set of empty files.
    ///
    /// # Errors
    /// Where a file cannot be made.
    pub(crate) fn take(&mut self) -> io::Result<Files> {
        if let Some(spare) = self.spare.take() {
            return Ok(spare);
        }
        if self.made == 0 {
            fs::create_dir_all(&self.folder)?;
        }
        self.made += 1;
        let paths = KINDS.map(|kind| self.folder.join(format!("{}_{}", kind.stem(), self.made)));
        for path in &paths {
            fs::File::create(path)?;
        }
        Ok(Files { paths })
    }

    /// Takes back a set; `untouched` says that nobody wrote to it.
    pub(crate) fn give_back(&mut self, files: Files, untouched: bool) {
        if untouched {
            self.spare = Some(files);
        } else {
            for path in &files.paths {
                // A step may have removed it; what is left goes with the job's folder.
                let _gone = fs::remove_file(path);
            }
        }
    }
}

impl Files {
    /// Returns the path of the file of `kind`.
    pub(crate) fn path(&self, kind: Kind) -> &Path {
        &self.paths[kind as usize]
    }

    /// Returns what was written to the file of `kind`, or `None` where it is empty or gone.
    ///
    /// # Errors
    /// [`FileError`], each variant as it says.
    pub(crate) fn read(&self, kind: Kind) -> Result<Option<Vec<u8>>, FileError> {
        let path = self.path(kind);
        let about = match fs::symlink_metadata(path) {
            Ok(about) => about,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // A link or a pipe in the file's place could make the runner read what the step may
        // not, or wait for ever.
        if !about.is_file() {
            return Err(FileError::NotAFile(kind.variable()));
        }
        if about.len() == 0 {
            return Ok(None);
        }
        if about.len() > MAX_BYTES {
            return Err(FileError::TooLarge(kind.variable()));
        }
        let mut bytes = Vec::new();
        fs::File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(FileError::TooLarge(kind.variable()));
        }
        Ok(Some(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untouched_sets_are_reused_and_written_ones_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let mut pool = Pool::new(folder.path().join("files"));
        let first = pool.take().unwrap();
        let path = first.path(Kind::Output).to_path_buf();
        assert!(first.read(Kind::Output).unwrap().is_none());
        pool.give_back(first, true);
        let second = pool.take().unwrap();
        assert_eq!(second.path(Kind::Output), path);
        fs::write(&path, "a=b\n").unwrap();
        assert_eq!(second.read(Kind::Output).unwrap().unwrap(), b"a=b\n");
        pool.give_back(second, false);
        assert!(!path.exists());
        let third = pool.take().unwrap();
        assert_ne!(third.path(Kind::Output), path);
        fs::remove_file(third.path(Kind::State)).unwrap();
        assert!(third.read(Kind::State).unwrap().is_none());
        fs_err::os::unix::fs::symlink("/etc/passwd", third.path(Kind::State)).unwrap();
        assert!(matches!(third.read(Kind::State), Err(FileError::NotAFile("GITHUB_STATE"))));
    }
}
