//! A folder on disk as the [`FileTree`] that engines read.

use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

use fs_err as fs;
use loopline_source::{FileTree, SourceFile, TreeError};

/// How many files one listing may give.
const MAX_FILES: usize = 1_000_000;

/// A folder on disk. Links that lead out of it are not followed.
#[derive(Clone, Debug)]
pub struct FolderTree {
    root: PathBuf,
}

impl FolderTree {
    /// Returns the tree of `root`, which is made absolute and free of links.
    ///
    /// # Errors
    /// Where `root` does not exist.
    pub fn new(root: &Path) -> io::Result<Self> {
        Ok(Self { root: fs::canonicalize(root)? })
    }

    /// Returns the folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn resolve(&self, path: &str) -> Result<PathBuf, TreeError> {
        let relative = Path::new(path);
        let inside = relative
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !inside {
            return Err(TreeError::NotAFile);
        }
        let full =
            fs::canonicalize(self.root.join(relative)).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => TreeError::NotFound,
                _ => TreeError::Io(error),
            })?;
        if full.starts_with(&self.root) { Ok(full) } else { Err(TreeError::NotAFile) }
    }
}

impl FileTree for FolderTree {
    fn read(&self, path: &str) -> Result<String, TreeError> {
        let full = self.resolve(path)?;
        let limit_bytes = SourceFile::MAX_BYTES as u64;
        let file = fs::File::open(&full)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(TreeError::NotAFile);
        }
        let mut bytes = Vec::with_capacity(metadata.len().min(limit_bytes) as usize + 1);
        file.take(limit_bytes + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit_bytes {
            return Err(TreeError::TooLarge { limit_bytes });
        }
        String::from_utf8(bytes)
            .map_err(|error| TreeError::NotUtf8 { offset: error.utf8_error().valid_up_to() })
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, TreeError> {
        let mut files = Vec::new();
        let mut open = vec![folder.trim_matches('/').to_owned()];
        while let Some(folder) = open.pop() {
            let entries = match fs::read_dir(self.root.join(&folder)) {
                Ok(entries) => entries,
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                    ) =>
                {
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            for entry in entries {
                let entry = entry?;
                let Ok(name) = entry.file_name().into_string() else { continue };
                let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
                let kind = entry.file_type()?;
                if kind.is_dir() {
                    if path != ".git" {
                        open.push(path);
                    }
                } else if files.len() < MAX_FILES {
                    files.push(path);
                }
            }
        }
        files.sort();
        Ok(files)
    }

    fn is_file(&self, path: &str) -> bool {
        self.resolve(path).is_ok_and(|full| full.is_file())
    }
}
