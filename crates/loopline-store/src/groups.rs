//! Concurrency groups: at most one holder each, across all processes of a data folder.
//!
//! A group is two lock files: who holds `running` runs, who holds `pending` is next. The
//! operating system drops both when a process dies, so no group outlives its holder. Each file
//! names its holder (`RUN JOB`), so that newcomers can ask it to give way.

use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::PathBuf;

use fs_err as fs;
use rustix::fs::{FlockOperation, flock};

use crate::folder::{DataFolder, make_private, short_hash};

/// How many may wait for a group with `queue: max`.
pub(crate) const MAX_WAITING: usize = 100;

/// Who waits when a group is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// The newest only: it takes the place of the one that waited.
    Single,
    /// Up to [`MAX_WAITING`], in order.
    Max,
}

/// Who asks for a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The run's number.
    pub run: u64,
    /// The job's key, where the group is a job's.
    pub job: Option<String>,
}

/// Why a group could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    /// A newer claim took the waiting place.
    #[error("a newer run of the same concurrency group took its place")]
    Superseded,
    /// Too many wait.
    #[error("{MAX_WAITING} others already wait for the concurrency group")]
    Full,
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A group that is held; dropping it lets the next one run.
#[derive(Debug)]
pub struct Group {
    _running: fs::File,
}

impl Group {
    /// Takes `group` if nobody holds it, else returns who does.
    ///
    /// # Errors
    /// Where the lock files cannot be used.
    pub fn try_take(
        data: &DataFolder,
        group: &str,
        claim: &Claim,
    ) -> Result<Result<Self, Option<Claim>>, GroupError> {
        let mut running = open(data, group, "running")?;
        match flock(&running, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                sign(&mut running, claim)?;
                Ok(Ok(Self { _running: running }))
            }
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(Err(holder(&mut running)?)),
            Err(error) => Err(io::Error::from(error).into()),
        }
    }

    /// Returns who waits for `group` in the single place, if somebody does.
    ///
    /// # Errors
    /// Where the lock files cannot be used.
    pub fn pending(data: &DataFolder, group: &str) -> Result<Option<Claim>, GroupError> {
        let mut pending = open(data, group, "pending")?;
        match flock(&pending, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(None),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(holder(&mut pending)?),
            Err(error) => Err(io::Error::from(error).into()),
        }
    }

    /// Waits for `group`, blocking the thread. With [`Queue::Single`] the caller has asked the
    /// one that waited before to give way (see [`Group::pending`]).
    ///
    /// # Errors
    /// Where the lock files cannot be used.
    pub fn wait(
        data: &DataFolder,
        group: &str,
        claim: &Claim,
        queue: Queue,
    ) -> Result<Self, GroupError> {
        let pending = match queue {
            Queue::Single => {
                let mut pending = open(data, group, "pending")?;
                flock(&pending, FlockOperation::LockExclusive).map_err(io::Error::from)?;
                sign(&mut pending, claim)?;
                Some(pending)
            }
            Queue::Max => None,
        };
        let mut running = open(data, group, "running")?;
        flock(&running, FlockOperation::LockExclusive).map_err(io::Error::from)?;
        sign(&mut running, claim)?;
        drop(pending);
        Ok(Self { _running: running })
    }
}

fn path(data: &DataFolder, group: &str) -> PathBuf {
    // Group names are compared without regard to case.
    data.root().join("groups").join(short_hash(group.to_lowercase().as_bytes()))
}

fn open(data: &DataFolder, group: &str, role: &str) -> io::Result<fs::File> {
    let folder = path(data, group);
    let file = folder.join(role);
    let open =
        || fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&file);
    match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_private(&folder)?;
            open()
        }
        other => other,
    }
}

fn sign(file: &mut fs::File, claim: &Claim) -> io::Result<()> {
    file.rewind()?;
    file.set_len(0)?;
    write!(file, "{} {}", claim.run, claim.job.as_deref().unwrap_or(""))
}

fn holder(file: &mut fs::File) -> io::Result<Option<Claim>> {
    let mut text = String::new();
    file.rewind()?;
    file.read_to_string(&mut text)?;
    let (run, job) = text.split_once(' ').unwrap_or((&text, ""));
    let job = Some(job).filter(|job| !job.is_empty()).map(str::to_owned);
    Ok(run.parse().ok().map(|run| Claim { run, job }))
}
