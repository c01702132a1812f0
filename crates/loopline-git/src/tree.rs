//! How large the tree of a commit is, before it is written anywhere.

use crate::error::{Error, Result, reading};
use crate::repository::Repository;

/// How large a tree may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeLimit {
    /// The most files, folders and links.
    pub entries: u64,
    /// The most bytes of all files together.
    pub size_bytes: u64,
}

impl Repository {
    /// Refuses a commit whose tree is larger than `limit`. Files that a partial clone left out
    /// count as empty.
    ///
    /// # Errors
    /// [`Error::TooMuch`]; and where the tree cannot be read.
    pub fn check_tree_size(&self, revision: &str, limit: TreeLimit) -> Result<()> {
        let partial = self.is_partial();
        let tree = self.commit(revision)?.tree_id().map_err(reading("commit"))?.detach();
        let (mut entries, mut size_bytes) = (0_u64, 0_u64);
        let mut open = vec![tree];
        while let Some(id) = open.pop() {
            let tree = self.inner.find_tree(id).map_err(reading("tree"))?;
            for entry in tree.iter() {
                let entry = entry.map_err(reading("tree"))?;
                entries += 1;
                // Trees can hold one another often enough to fill any memory.
                if entries > limit.entries {
                    return Err(Error::TooMuch { what: "files of the tree", limit: limit.entries });
                }
                let mode = entry.mode();
                if mode.is_tree() {
                    open.push(entry.oid().to_owned());
                } else if !mode.is_commit() {
                    match self.inner.try_find_header(entry.oid()).map_err(reading("file"))? {
                        Some(header) => size_bytes += header.size(),
                        None if partial => {}
                        None => {
                            self.inner.find_header(entry.oid()).map_err(reading("file"))?;
                        }
                    }
                    if size_bytes > limit.size_bytes {
                        let limit = limit.size_bytes;
                        return Err(Error::TooMuch { what: "bytes of the tree", limit });
                    }
                }
            }
        }
        Ok(())
    }
}
