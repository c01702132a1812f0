//! Who may collect, and who may not be collected from.
//!
//! Whoever begins to use something holds `lock` shared for that moment, a collection holds it
//! alone. `gate` keeps newcomers out while a collection waits for the lock, so that it is not
//! starved by a busy registry. The kernel drops both when a process dies.

use std::io;

use fs_err as fs;
use rustix::fs::{FlockOperation, flock};

use super::Store;

/// A lock that is held until it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    _lock: fs::File,
}

impl Store {
    /// Holds collections off.
    pub(crate) fn begin_use(&self) -> io::Result<Held> {
        let gate = self.lock_file("gate")?;
        flock(&gate, FlockOperation::LockShared)?;
        let lock = self.lock_file("lock")?;
        flock(&lock, FlockOperation::LockShared)?;
        Ok(Held { _lock: lock })
    }

    /// Waits until nobody begins to use anything, and holds off who wants to.
    pub(super) fn begin_collection(&self) -> io::Result<(Held, Held)> {
        let gate = self.lock_file("gate")?;
        flock(&gate, FlockOperation::LockExclusive)?;
        let lock = self.lock_file("lock")?;
        flock(&lock, FlockOperation::LockExclusive)?;
        Ok((Held { _lock: gate }, Held { _lock: lock }))
    }

    fn lock_file(&self, name: &str) -> io::Result<fs::File> {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        options.open(self.path(name))
    }
}
