//! The latest changes in memory, and who waits for more.
//!
//! Watchers have no queues of their own: each keeps its position, reads the ring from there, and
//! falls back to the log where the ring no longer reaches. A watcher that does not read costs
//! nothing and holds nobody up.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;

use super::{Change, Revision};

/// The most changes the ring holds.
const MAX_CHANGES: usize = 8192;

/// The most bytes of values the ring holds.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// The most changes a watcher takes in one go.
pub(super) const MAX_TAKEN: usize = 256;

/// How many bytes of values a watcher takes in one go, give or take one change: one that is not
/// read holds what it took.
pub(super) const MAX_TAKEN_BYTES: usize = 256 * 1024;

/// The latest changes.
#[derive(Debug)]
pub(super) struct Ring(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    changes: VecDeque<Arc<Change>>,
    bytes: usize,
    /// The revision before the oldest change of the ring.
    before: Revision,
    /// The revision of the latest change of the store.
    latest: Revision,
    waiting: HashMap<String, Vec<Weak<Notify>>>,
    closed: bool,
}

/// What a watcher finds in the ring.
pub(super) enum Taken {
    /// Changes, and the revision up to which there are no others.
    Changes(Vec<Arc<Change>>, Revision),
    /// The ring begins after the watcher's position: read the log up to this revision first.
    TooOld(Revision),
    /// The store is closed.
    Closed,
}

impl Ring {
    pub(super) fn new(latest: Revision) -> Self {
        Self(Mutex::new(Inner {
            changes: VecDeque::new(),
            bytes: 0,
            before: latest,
            latest,
            waiting: HashMap::new(),
            closed: false,
        }))
    }

    /// Adds committed changes and wakes those who wait for them.
    pub(super) fn push(&self, changes: Vec<Arc<Change>>) {
        let mut inner = self.lock();
        for change in changes {
            inner.latest = change.revision;
            inner.wake(&change.key);
            inner.bytes += change.size();
            inner.changes.push_back(change);
        }
        while inner.changes.len() > MAX_CHANGES || inner.bytes > MAX_BYTES {
            let Some(oldest) = inner.changes.pop_front() else { break };
            inner.before = oldest.revision;
            inner.bytes -= oldest.size();
        }
    }

    /// Returns the changes after `after` that `prefix` covers.
    pub(super) fn take(&self, prefix: &str, after: Revision) -> Taken {
        let inner = self.lock();
        if inner.closed {
            return Taken::Closed;
        }
        if after < inner.before {
            return Taken::TooOld(inner.before);
        }
        let start = inner.changes.partition_point(|change| change.revision <= after);
        let mut taken = Vec::new();
        let mut bytes = 0;
        for change in inner.changes.range(start..) {
            if covers(prefix, &change.key) {
                taken.push(Arc::clone(change));
                bytes += change.size();
                if taken.len() == MAX_TAKEN || bytes >= MAX_TAKEN_BYTES {
                    return Taken::Changes(taken, change.revision);
                }
            }
        }
        Taken::Changes(taken, inner.latest)
    }

    /// Registers for changes that `prefix` covers. The registration ends with the returned value.
    pub(super) fn register(&self, prefix: &str) -> Arc<Notify> {
        let notify = Arc::new(Notify::new());
        let mut inner = self.lock();
        let waiting = inner.waiting.entry(prefix.to_owned()).or_default();
        waiting.retain(|one| one.strong_count() > 0);
        waiting.push(Arc::downgrade(&notify));
        notify
    }

    /// Returns the revision of the latest change.
    pub(super) fn latest(&self) -> Revision {
        self.lock().latest
    }

    /// Ends all watches.
    pub(super) fn close(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        for one in inner.waiting.values().flatten().filter_map(Weak::upgrade) {
            one.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Wakes the watchers of the key and of every prefix of it that ends in `/`.
    fn wake(&mut self, key: &str) {
        let prefixes = key.match_indices('/').map(|(at, _)| &key[..=at]);
        for prefix in prefixes.chain([key, ""]) {
            let Some(waiting) = self.waiting.get_mut(prefix) else { continue };
            waiting.retain(|one| one.upgrade().inspect(|notify| notify.notify_one()).is_some());
            if waiting.is_empty() {
                self.waiting.remove(prefix);
            }
        }
    }
}

/// Returns whether a watch of `prefix` is concerned with `key`.
fn covers(prefix: &str, key: &str) -> bool {
    if prefix.is_empty() || prefix.ends_with('/') { key.starts_with(prefix) } else { key == prefix }
}
