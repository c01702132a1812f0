//! Uploads in progress: blocks that arrive in any order, and the list that puts them together.
//!
//! This is the part of Azure's block blob protocol that the clients use.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use sha2::{Digest as _, Sha256};

/// How many uploads a job has at once.
const MAX_UPLOADS: usize = 1000;
/// How many blocks one upload has (Azure's limit).
const MAX_BLOCKS: usize = 50_000;

/// What an upload will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Artifact { name: String, mime_type: String, expires: Option<String> },
    Cache { key: String, version: String },
}

/// One upload.
#[derive(Clone, Debug)]
pub(super) struct Upload {
    pub(super) target: Target,
    folder: PathBuf,
}

/// The uploads of a job, by the secret in their address.
#[derive(Debug, Default)]
pub(super) struct Uploads(HashMap<String, Upload>);

impl Uploads {
    /// Begins an upload in `folder`; an older one of the same target is given up.
    pub(super) fn begin(&mut self, secret: String, target: Target, folder: PathBuf) -> bool {
        self.0.retain(|_, upload| upload.target != target);
        if self.0.len() >= MAX_UPLOADS {
            return false;
        }
        self.0.insert(secret, Upload { target, folder });
        true
    }

    pub(super) fn get(&self, secret: &str) -> Option<&Upload> {
        self.0.get(secret)
    }

    /// Takes the finished upload of that secret.
    pub(super) fn remove(&mut self, secret: &str) -> Option<Upload> {
        self.0.remove(secret)
    }

    /// Takes the finished upload that `wanted` picks.
    pub(super) fn take(&mut self, wanted: impl Fn(&Target) -> bool) -> Option<Upload> {
        let secret =
            self.0.iter().find(|(_, upload)| wanted(&upload.target)).map(|(key, _)| key.clone())?;
        self.0.remove(&secret)
    }
}

impl Upload {
    /// Returns where the whole file is, or will be.
    pub(super) fn file(&self) -> PathBuf {
        self.folder.join("whole")
    }

    /// Returns where a block goes.
    pub(super) fn block(&self, id: &str) -> PathBuf {
        let name: String =
            Sha256::digest(id).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        self.folder.join(name)
    }

    /// Puts the blocks of a list together.
    pub(super) fn commit(&self, list: &str) -> io::Result<()> {
        let blocks = block_ids(list)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a malformed block list"))?;
        let mut whole = fs::File::create(self.file())?;
        for id in &blocks {
            let mut block = fs::File::open(self.block(id))?;
            io::copy(&mut block, &mut whole)?;
        }
        for id in &blocks {
            remove(&self.block(id))?;
        }
        Ok(())
    }

    /// Removes what is left in the upload's folder.
    pub(super) fn clean(&self) {
        // What cannot be removed now goes with the staging folder.
        let _gone = fs::remove_dir_all(&self.folder);
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Reads `<BlockList><Latest>ID</Latest>...</BlockList>`; identifiers are base64, so nothing
/// in them is escaped.
fn block_ids(list: &str) -> Option<Vec<&str>> {
    let inside = list.split_once("<BlockList")?.1.split_once('>')?.1;
    let mut rest = inside.split_once("</BlockList>").map_or("", |(inside, _)| inside);
    let mut ids = Vec::new();
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return Some(ids);
        }
        let (kind, after) = rest.strip_prefix('<')?.split_once('>')?;
        if !["Latest", "Uncommitted", "Committed"].contains(&kind) || ids.len() >= MAX_BLOCKS {
            return None;
        }
        let (id, after) = after.split_once("</")?;
        ids.push(id.trim());
        rest = after.strip_prefix(kind)?.strip_prefix('>')?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_block_lists() {
        let list = "<?xml version=\"1.0\"?><BlockList>\n <Latest>YQ==</Latest><Committed>Yg==\
                    </Committed></BlockList>";
        assert_eq!(block_ids(list), Some(vec!["YQ==", "Yg=="]));
        assert_eq!(block_ids("<BlockList></BlockList>"), Some(vec![]));
        for wrong in ["", "<BlockList><X>a</X></BlockList>", "<BlockList><Latest>a</BlockList>"] {
            assert_eq!(block_ids(wrong), None, "{wrong}");
        }
    }
}
