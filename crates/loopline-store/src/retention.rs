//! How much is kept, and what goes first.

use std::io;
use std::path::Path;
use std::time::Duration;

use fs_err as fs;
use loopline_clock::Clock;

use crate::folder::{Area, DataFolder, FolderError};
use crate::read::RunReader;

/// What is kept of one area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The largest size of the area, in bytes.
    pub bytes: u64,
    /// The largest age of an entry.
    pub age: Duration,
}

impl Policy {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    /// Returns what is kept of `area` unless the user says otherwise: GitHub's own retention
    /// (artifacts and logs 90 days, caches 7 days and 10 GB) within what a laptop can spare.
    pub const fn default_of(area: Area) -> Self {
        const GB: u64 = 1_000_000_000;
        match area {
            Area::Runs => Self { bytes: 2 * GB, age: Self::DAY.saturating_mul(90) },
            Area::Artifacts => Self { bytes: 5 * GB, age: Self::DAY.saturating_mul(90) },
            Area::Caches => Self { bytes: 10 * GB, age: Self::DAY.saturating_mul(7) },
            Area::Actions => Self { bytes: 2 * GB, age: Self::DAY.saturating_mul(90) },
            Area::Tools => Self { bytes: 5 * GB, age: Self::DAY.saturating_mul(365) },
        }
    }
}

/// What an area holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// How many entries.
    pub entries: u64,
    /// Their size on disk, in bytes.
    pub bytes: u64,
}

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// How many entries.
    pub entries: u64,
    /// Their size on disk, in bytes.
    pub bytes: u64,
}

struct Entry {
    path: std::path::PathBuf,
    bytes: u64,
    age: Duration,
}

impl DataFolder {
    /// Returns what `area` holds.
    ///
    /// # Errors
    /// Where it cannot be listed.
    pub fn kept(&self, area: Area, clock: &Clock) -> Result<Kept, FolderError> {
        let entries = self.entries(area, clock)?;
        let bytes = entries.iter().map(|entry| entry.bytes).sum();
        Ok(Kept { entries: entries.len() as u64, bytes })
    }

    /// Removes from `area` what is older than `policy` allows, and then the oldest until the
    /// rest is small enough. Runs that a process owns stay.
    ///
    /// # Errors
    /// Where something cannot be listed or removed.
    pub fn prune(&self, area: Area, policy: Policy, clock: &Clock) -> Result<Pruned, FolderError> {
        let mut entries = self.entries(area, clock)?;
        entries.sort_by_key(|entry| entry.age);
        let mut pruned = Pruned::default();
        let mut kept = 0_u64;
        for entry in entries {
            kept += entry.bytes;
            if entry.age <= policy.age && kept <= policy.bytes {
                continue;
            }
            if self.is_busy(area, &entry.path)? {
                continue;
            }
            kept -= entry.bytes;
            remove(&entry.path)?;
            pruned.entries += 1;
            pruned.bytes += entry.bytes;
        }
        Ok(pruned)
    }

    fn is_busy(&self, area: Area, path: &Path) -> Result<bool, FolderError> {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            return Ok(false);
        };
        if area != Area::Runs {
            return Ok(false);
        }
        match RunReader::open(self, name) {
            Ok(run) => Ok(run.is_owned()?),
            Err(FolderError::NoRun(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn entries(&self, area: Area, clock: &Clock) -> Result<Vec<Entry>, FolderError> {
        let folder = self.area(area);
        let mut entries = Vec::new();
        let listed = match fs::read_dir(&folder) {
            Ok(listed) => listed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(entries),
            Err(error) => return Err(error.into()),
        };
        let now = clock.now();
        for entry in listed {
            let entry = entry?;
            let name = entry.file_name();
            if area == Area::Runs && !name.as_encoded_bytes().iter().all(u8::is_ascii_digit) {
                continue;
            }
            let modified = entry.metadata()?.modified()?;
            let age = loopline_clock::Timestamp::try_from(modified)
                .ok()
                .and_then(|modified| Duration::try_from(now - modified).ok())
                .unwrap_or_default();
            let path = entry.path();
            let bytes = size(&path)?;
            entries.push(Entry { path, bytes, age });
        }
        Ok(entries)
    }
}

/// Returns the size on disk of everything at `path`, links not followed.
fn size(path: &Path) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt as _;
    let mut bytes = 0;
    let mut open = vec![path.to_path_buf()];
    while let Some(path) = open.pop() {
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            // A run in progress removes files while they are counted.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        bytes += metadata.blocks() * 512;
        if metadata.is_dir() {
            let entries = match fs::read_dir(&path) {
                Ok(entries) => entries,
                // An overlay's own work folder has no permissions at all, and holds nothing.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => continue,
                Err(error) => return Err(error),
            };
            for entry in entries {
                open.push(entry?.path());
            }
        }
    }
    Ok(bytes)
}

/// Removes what is at `path`, also where a job took away its own permissions.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_dir() {
        return fs::remove_file(path);
    }
    if fs::remove_dir_all(path).is_ok() {
        return Ok(());
    }
    use std::os::unix::fs::PermissionsExt as _;
    let mut open = vec![path.to_path_buf()];
    while let Some(folder) = open.pop() {
        fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            }
        }
    }
    fs::remove_dir_all(path)
}
