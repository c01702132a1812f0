//! The files of an image or stage as its layers show them together, looked at without mounting
//! anything. Links are followed by hand, layer by layer, so none leads out of the image.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Component, Path, PathBuf};

use fs_err as fs;
use loopline_sandbox::follow_links;

/// The mark of a folder that hides those below it.
const OPAQUE: &str = "user.overlay.opaque";

/// Layers, the topmost first.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    pub(super) layers: Vec<PathBuf>,
}

/// A file that was found: where it is on this machine, and what it is.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) metadata: std::fs::Metadata,
}

impl View {
    /// Finds a path, without following a link at its end.
    pub(super) fn find(&self, path: &Path) -> io::Result<Option<Found>> {
        let names: Vec<&OsStr> = names(path);
        'layers: for layer in &self.layers {
            let mut here = layer.clone();
            let mut is_opaque = false;
            let mut metadata = fs::symlink_metadata(&here)?;
            for (index, name) in names.iter().enumerate() {
                here.push(name);
                metadata = match fs::symlink_metadata(&here) {
                    Ok(metadata) => metadata,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        if is_opaque {
                            return Ok(None);
                        }
                        continue 'layers;
                    }
                    Err(error) => return Err(error),
                };
                if is_removed(&metadata) {
                    return Ok(None);
                }
                if !metadata.is_dir() && index + 1 < names.len() {
                    return Ok(None);
                }
                is_opaque |= metadata.is_dir() && has_mark(&here);
            }
            return Ok(Some(Found { path: here, metadata }));
        }
        Ok(None)
    }

    /// Follows the links of a path, those at its end too if asked, as far as it exists.
    pub(super) fn resolve(&self, path: &Path, follow_last: bool) -> io::Result<PathBuf> {
        follow_links(path, follow_last, |path| match self.find(path)? {
            Some(it) if it.metadata.is_symlink() => fs::read_link(it.path).map(Some),
            _ => Ok(None),
        })
    }

    /// Returns the names in a folder, sorted.
    pub(super) fn names(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        let mut all: BTreeMap<OsString, bool> = BTreeMap::new();
        let wanted = names(folder);
        'layers: for layer in &self.layers {
            let mut here = layer.clone();
            let mut is_opaque = false;
            for name in &wanted {
                here.push(name);
                match fs::symlink_metadata(&here) {
                    Ok(it) if it.is_dir() => is_opaque |= has_mark(&here),
                    Ok(_) => break 'layers,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        if is_opaque {
                            break 'layers;
                        }
                        continue 'layers;
                    }
                    Err(error) => return Err(error),
                }
            }
            for entry in fs::read_dir(&here)? {
                let entry = entry?;
                let is_there = !is_removed(&entry.metadata()?);
                all.entry(entry.file_name()).or_insert(is_there);
            }
            if is_opaque {
                break;
            }
        }
        Ok(all.into_iter().filter(|(_, is_there)| *is_there).map(|(name, _)| name).collect())
    }

    /// Reads a small file; nothing where it is not there.
    pub(super) fn read(&self, path: &str) -> io::Result<String> {
        let path = self.resolve(Path::new(path), true)?;
        match self.find(&path)? {
            Some(it) if it.metadata.is_file() => {
                Ok(String::from_utf8_lossy(&fs::read(&it.path)?).into_owned())
            }
            _ => Ok(String::new()),
        }
    }
}

fn names(path: &Path) -> Vec<&OsStr> {
    path.components()
        .filter_map(|it| match it {
            Component::Normal(name) => Some(name),
            _ => None,
        })
        .collect()
}

/// Says whether this is the mark of something that a layer removes.
fn is_removed(metadata: &std::fs::Metadata) -> bool {
    metadata.file_type().is_char_device() && metadata.rdev() == 0
}

fn has_mark(folder: &Path) -> bool {
    let mut value = [0; 1];
    rustix::fs::lgetxattr(folder, OPAQUE, &mut value)
        .is_ok_and(|count| count == 1 && value == *b"y")
}
