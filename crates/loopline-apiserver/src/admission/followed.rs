//! Objects that most writes ask for (their namespace, the account of a pod), decoded and kept in
//! memory.
//!
//! Before every use the store's changes since the last one are heeded, so a write that was
//! answered is never overlooked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use loopline_store::object::Watcher;
use serde_json::Value;

use crate::Server;
use crate::registry::Entry;
use crate::status::Result;
use crate::storage::of_store;

/// The most objects that are kept of one resource.
const MAX_OBJECTS: usize = 1024;

/// The largest stored object that is kept, in bytes: decoded it is several times as large.
const MAX_VALUE_BYTES: usize = 8 * 1024;

/// Objects of one resource in memory.
#[derive(Default)]
pub(crate) struct Followed(Mutex<State>);

#[derive(Default)]
struct State {
    /// Tells of changes; nothing before the first use, and where it fell behind.
    watcher: Option<Watcher>,
    /// By their keys.
    objects: HashMap<String, Arc<Value>>,
    /// Counts the changes that were seen: what was read while one came is not kept.
    changes: u64,
}

impl State {
    /// Forgets what changed; returns whether all changes by now are known.
    fn catch_up(&mut self) -> bool {
        let taken = self.watcher.as_mut().map(Watcher::take_ready);
        let Some(Ok(Some(changes))) = taken else {
            self.watcher = None;
            self.objects.clear();
            self.changes += 1;
            return false;
        };
        for change in changes {
            self.objects.remove(&change.key);
            self.changes += 1;
        }
        true
    }
}

impl Followed {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the object of a name, or nothing where there is none.
    pub(crate) async fn find(
        &self,
        server: &Server,
        entry: &Entry,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Arc<Value>>> {
        let key = entry.key(namespace, name);
        let mut follows = false;
        let seen = {
            let mut state = self.lock();
            if state.catch_up() {
                follows = true;
                if let Some(object) = state.objects.get(&key) {
                    return Ok(Some(Arc::clone(object)));
                }
            }
            state.changes
        };
        if !follows {
            let revision = server.store().revision();
            let watcher = server.store().watch(&entry.storage.prefix, revision).await;
            let watcher = watcher.map_err(of_store)?;
            let mut state = self.lock();
            if state.changes == seen {
                state.watcher = Some(watcher);
            }
        }
        let Some(record) = server.store().get(&key).await.map_err(of_store)? else {
            return Ok(None);
        };
        let object = Arc::new(server.decode_record(entry, &record)?.object);
        if record.value.len() <= MAX_VALUE_BYTES {
            let mut state = self.lock();
            if state.catch_up() && state.changes == seen {
                if state.objects.len() == MAX_OBJECTS {
                    state.objects.clear();
                }
                state.objects.insert(key, Arc::clone(&object));
            }
        }
        Ok(Some(object))
    }
}
