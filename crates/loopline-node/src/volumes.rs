//! Volumes: folders that outlive the containers they are mounted in.

use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use loopline_clock::Clock;
use loopline_sandbox::{Mount, MountSource, remove_state};

use crate::containers::NodeError;
use crate::names::is_name;
use crate::options::{Volume, VolumeSource};

/// The folder of the data folder that they are in.
const FOLDER: &str = "volumes";

/// Returns the folder of a volume, made where it is missing.
pub(crate) fn open(data: &Path, name: &str) -> Result<PathBuf, NodeError> {
    if !is_name(name) {
        return Err(NodeError::Name { what: "volume", name: name.to_owned() });
    }
    let folder = data.join(FOLDER).join(name);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Removes a volume and what is in it.
pub(crate) fn remove(data: &Path, name: &str) -> io::Result<()> {
    if is_name(name) { remove_state(&data.join(FOLDER).join(name)) } else { Ok(()) }
}

/// Turns volumes into mounts. Returns the names of those that were made up, too.
pub(crate) fn mounts(
    data: &Path,
    volumes: &[Volume],
    clock: &Clock,
) -> Result<(Vec<Mount>, Vec<String>), NodeError> {
    let mut mounts = Vec::new();
    let mut anonymous = Vec::new();
    for volume in volumes {
        let (source, is_volume) = match &volume.source {
            VolumeSource::Host(path) => {
                // As Docker does for `--volume`: a folder that is missing is made.
                if fs::symlink_metadata(path).is_err() {
                    fs::create_dir_all(path)?;
                }
                (MountSource::Bind(fs::canonicalize(path)?), false)
            }
            VolumeSource::Named(name) => (MountSource::Bind(open(data, name)?), true),
            VolumeSource::Anonymous => {
                let name = clock.random_hex(32);
                let folder = open(data, &name)?;
                anonymous.push(name);
                (MountSource::Bind(folder), true)
            }
            VolumeSource::Memory(size_bytes, mode) => {
                let (size_bytes, mode) = (*size_bytes, *mode);
                (MountSource::Memory { size_bytes, mode, executable: false }, false)
            }
        };
        mounts.push(Mount {
            target: volume.target.clone(),
            source,
            read_only: volume.read_only,
            // An empty volume begins with what the image has there.
            filled: is_volume,
        });
    }
    Ok((mounts, anonymous))
}
