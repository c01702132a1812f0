//! The data folder: where it keeps what, and which version it is.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use fs_err as fs;
use sha2::{Digest as _, Sha256};

/// The version of the folder's layout. A newer Loopline migrates, an older one refuses.
const VERSION: u32 = 1;

/// Why the data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It was made by a newer Loopline.
    #[error(
        "data folder {} has layout {found}, and this Loopline knows up to {VERSION}",
        path.display()
    )]
    Newer {
        /// The folder.
        path: PathBuf,
        /// The version it has.
        found: u32,
    },
    /// The version file holds something else.
    #[error("{} does not hold a version number", path.display())]
    BadVersion {
        /// The file.
        path: PathBuf,
    },
    /// There is no run with this number.
    #[error("there is no run {0}")]
    NoRun(String),
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A part of the data folder with a quota of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Area {
    /// Journals, logs and kept work folders.
    Runs,
    /// Uploaded artifacts.
    Artifacts,
    /// `actions/cache` entries.
    Caches,
    /// Fetched actions.
    Actions,
    /// Toolchains.
    Tools,
}

impl Area {
    /// All areas, in the order in which they are shown.
    pub const ALL: [Self; 5] =
        [Self::Runs, Self::Artifacts, Self::Caches, Self::Actions, Self::Tools];

    /// Returns the folder's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Runs => "runs",
            Self::Artifacts => "artifacts",
            Self::Caches => "caches",
            Self::Actions => "actions",
            Self::Tools => "tools",
        }
    }
}

/// The folder in which Loopline keeps what outlives a command.
#[derive(Clone, Debug)]
pub struct DataFolder {
    root: PathBuf,
}

impl DataFolder {
    /// Opens the folder at `root`, making it (mode 0700) where it is missing.
    ///
    /// # Errors
    /// [`FolderError::Newer`] where a newer Loopline made it; [`FolderError::Io`].
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, FolderError> {
        let root = root.into();
        let version = root.join("VERSION");
        match fs::read_to_string(&version) {
            Ok(text) => {
                let found: u32 = text
                    .trim()
                    .parse()
                    .map_err(|_| FolderError::BadVersion { path: version.clone() })?;
                if found > VERSION {
                    return Err(FolderError::Newer { path: root, found });
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_private(&root)?;
                make_private(&root.join(Area::Runs.name()))?;
                let mut file = fs::File::create(&version)?;
                writeln!(file, "{VERSION}")?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(Self { root })
    }

    /// Returns the folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the folder of one area; it may not exist yet.
    pub fn area(&self, area: Area) -> PathBuf {
        self.root.join(area.name())
    }

    /// Returns the folder of the run with number `run`.
    pub fn run(&self, run: u64) -> PathBuf {
        self.area(Area::Runs).join(run.to_string())
    }

    /// Returns the numbers of all runs, newest first.
    ///
    /// # Errors
    /// Where the folder cannot be listed.
    pub fn runs(&self) -> Result<Vec<u64>, FolderError> {
        let mut runs: Vec<u64> = Vec::new();
        for entry in fs::read_dir(self.area(Area::Runs))? {
            if let Some(number) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) {
                runs.push(number);
            }
        }
        runs.sort_unstable_by(|a, b| b.cmp(a));
        Ok(runs)
    }

    /// Makes the folder of a new run and returns its number: the next after the newest.
    ///
    /// Two processes never get the same number, because making a folder that exists fails.
    ///
    /// # Errors
    /// Where the folder cannot be made.
    pub fn new_run(&self) -> Result<u64, FolderError> {
        /// How often another process may be faster before we give up.
        const TRIES: usize = 1000;
        // The file only saves listing the folder; the folders decide.
        let hint_path = self.area(Area::Runs).join("next");
        let hint = fs::read_to_string(&hint_path).ok().and_then(|text| text.trim().parse().ok());
        let mut number = match hint {
            Some(hint) => hint,
            None => self.runs()?.first().map_or(1, |newest| newest + 1),
        };
        for _ in 0..TRIES {
            match fs::create_dir(self.run(number)) {
                Ok(()) => {
                    fs::write(&hint_path, (number + 1).to_string())?;
                    return Ok(number);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::Error::new(io::ErrorKind::AlreadyExists, "no free run number").into())
    }

    /// Counts one more run of `workflow` in the repository at `root`, and returns how many
    /// there were with it (GitHub's `run_number`).
    ///
    /// # Errors
    /// Where the counter cannot be read or written.
    pub fn next_run_number(&self, root: &Path, workflow: &str) -> Result<u64, FolderError> {
        use std::io::{Read as _, Seek as _};
        let mut key = root.as_os_str().as_encoded_bytes().to_vec();
        key.push(0);
        key.extend_from_slice(workflow.as_bytes());
        let folder = self.root.join("counters");
        let path = folder.join(short_hash(&key));
        let open = || {
            fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)
        };
        let mut file = match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_private(&folder)?;
                open()?
            }
            other => other?,
        };
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)
            .map_err(io::Error::from)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let number = text.trim().parse::<u64>().unwrap_or(0) + 1;
        file.rewind()?;
        file.write_all(number.to_string().as_bytes())?;
        Ok(number)
    }
}

/// Makes a folder and its parents, readable by its owner only.
pub(crate) fn make_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| {
        io::Error::new(error.kind(), format!("failed to create {}: {error}", path.display()))
    })
}

/// Returns 32 hexadecimal digits that stand for `bytes`.
pub(crate) fn short_hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
