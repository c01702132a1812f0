//! The view of files that engines get: paths and bytes, never the file system itself.

use std::collections::BTreeMap;

/// Why a [`FileTree`] could not give a file.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// Nothing is there.
    #[error("no such file")]
    NotFound,
    /// The path is not a regular file, or leaves the tree.
    #[error("not a regular file inside the tree")]
    NotAFile,
    /// The file is larger than the reader accepts.
    #[error("larger than {limit_bytes} bytes")]
    TooLarge {
        /// The largest size that would have been read, in bytes.
        limit_bytes: u64,
    },
    /// The text is not UTF-8.
    #[error("not UTF-8 (first bad byte at offset {offset})")]
    NotUtf8 {
        /// The offset of the first bad byte.
        offset: usize,
    },
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// A tree of files, by paths with `/` relative to its root.
///
/// Engines read through this trait, so that a check over a commit, an archive or a test's
/// map of strings is the same code as one over a folder.
pub trait FileTree: Send + Sync {
    /// Returns the text of the file at `path`.
    ///
    /// # Errors
    /// [`TreeError`], each variant as it says.
    fn read(&self, path: &str) -> Result<String, TreeError>;

    /// Returns the paths of all files below `folder` ("" for the root), sorted.
    ///
    /// # Errors
    /// [`TreeError::Io`] where the folder cannot be listed; a missing folder is empty.
    fn list(&self, folder: &str) -> Result<Vec<String>, TreeError>;

    /// Returns whether `path` is a regular file.
    fn is_file(&self, path: &str) -> bool {
        self.read(path).is_ok()
    }
}

/// A tree held in memory: for tests, and for documents nested in other documents.
#[derive(Clone, Debug, Default)]
pub struct MemoryTree(BTreeMap<String, String>);

impl MemoryTree {
    /// Returns an empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces a file.
    pub fn insert(&mut self, path: impl Into<String>, text: impl Into<String>) -> &mut Self {
        self.0.insert(path.into(), text.into());
        self
    }
}

impl<P: Into<String>, T: Into<String>> FromIterator<(P, T)> for MemoryTree {
    fn from_iter<I: IntoIterator<Item = (P, T)>>(files: I) -> Self {
        Self(files.into_iter().map(|(path, text)| (path.into(), text.into())).collect())
    }
}

impl FileTree for MemoryTree {
    fn read(&self, path: &str) -> Result<String, TreeError> {
        self.0.get(path).cloned().ok_or(TreeError::NotFound)
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, TreeError> {
        let folder = folder.trim_end_matches('/');
        Ok(self
            .0
            .keys()
            .filter(|path| {
                folder.is_empty()
                    || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
            })
            .cloned()
            .collect())
    }
}
