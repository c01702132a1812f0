//! A watch: changes in order, none missing, none twice.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::Notify;

use super::ring::Taken;
use super::sqlite::Shared;
use super::{Change, Revision, StoreError};

/// A watch of a prefix or of one key. It holds no changes beyond the few it has just taken, so
/// one that is not read costs nothing; one that falls behind what was compacted ends with
/// [`StoreError::Compacted`].
pub struct Watcher {
    shared: Arc<Shared>,
    prefix: String,
    /// All changes up to here were taken.
    position: Revision,
    taken: VecDeque<Arc<Change>>,
    notify: Arc<Notify>,
}

impl Watcher {
    pub(super) fn new(shared: Arc<Shared>, prefix: String, after: Revision) -> Self {
        let notify = shared.ring.register(&prefix);
        Self { shared, prefix, position: after, taken: VecDeque::new(), notify }
    }

    /// Waits for the next change. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`StoreError::Compacted`] where the watch fell too far behind; [`StoreError::Closed`].
    pub async fn next(&mut self) -> Result<Arc<Change>, StoreError> {
        loop {
            if let Some(change) = self.taken.pop_front() {
                return Ok(change);
            }
            if !self.take().await? {
                self.notify.notified().await;
            }
        }
    }

    /// Returns the next change if there is one now.
    ///
    /// # Errors
    /// As [`Watcher::next`].
    pub async fn try_next(&mut self) -> Result<Option<Arc<Change>>, StoreError> {
        while self.taken.is_empty() && self.take().await? {}
        Ok(self.taken.pop_front())
    }

    /// Returns all changes up to now without waiting; nothing where the ring has left the watcher
    /// behind, so that [`Watcher::try_next`] has to read the log.
    ///
    /// # Errors
    /// [`StoreError::Closed`].
    pub fn take_ready(&mut self) -> Result<Option<Vec<Arc<Change>>>, StoreError> {
        let mut all = Vec::from(std::mem::take(&mut self.taken));
        loop {
            match self.shared.ring.take(&self.prefix, self.position) {
                Taken::Changes(changes, position) => {
                    self.position = position;
                    if changes.is_empty() {
                        return Ok(Some(all));
                    }
                    all.extend(changes);
                }
                Taken::TooOld(_) => {
                    self.taken = all.into();
                    return Ok(None);
                }
                Taken::Closed => return Err(StoreError::Closed),
            }
        }
    }

    /// Returns a revision up to which every change was returned, brought up to date first.
    /// Nothing where changes wait to be returned.
    pub async fn progress(&mut self) -> Option<Revision> {
        if self.taken.is_empty() {
            // An error shows at the next call of `next`.
            let _ = self.take().await;
        }
        self.taken.is_empty().then_some(self.position)
    }

    /// Takes changes from the ring or the log; returns whether there were any, or more may be.
    async fn take(&mut self) -> Result<bool, StoreError> {
        match self.shared.ring.take(&self.prefix, self.position) {
            Taken::Changes(changes, position) => {
                self.position = position;
                self.taken = changes.into();
                Ok(!self.taken.is_empty())
            }
            Taken::TooOld(until) => {
                let (changes, position) =
                    self.shared.replay(self.prefix.clone(), self.position, until).await?;
                self.position = position;
                self.taken = changes.into_iter().map(Arc::new).collect();
                Ok(true)
            }
            Taken::Closed => Err(StoreError::Closed),
        }
    }
}
