//! The objects that shape admission, kept in memory: every write asks for them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use crate::Server;
use crate::registry::Entry;
use crate::selector::Filter;
use crate::status::Result;

/// The group of these objects.
const GROUP: &str = "admissionregistration.k8s.io";

/// Lists by the plural of their resource. A write of the group forgets all of them.
#[derive(Debug, Default)]
pub(crate) struct Cache(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Counts writes: a list that was read while one happened is not kept.
    writes: u64,
    lists: HashMap<&'static str, Arc<Vec<Value>>>,
}

impl Cache {
    /// Forgets the lists after an object was written or removed that may be in one.
    pub(crate) fn written(&self, entry: &Entry) {
        if entry.resource.group == GROUP {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            state.writes += 1;
            state.lists.clear();
        }
    }
}

impl Server {
    /// Returns the objects of a resource that shapes admission, in the order of their names.
    pub(crate) async fn configured(
        &self,
        version: &str,
        plural: &'static str,
    ) -> Result<Arc<Vec<Value>>> {
        let cache = &self.configuration().0;
        let writes = {
            let state = cache.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(list) = state.lists.get(plural) {
                return Ok(Arc::clone(list));
            }
            state.writes
        };
        let entry = self.built_in_entry(GROUP, version, plural)?;
        let list = Arc::new(self.list_all(&entry, "", &Filter::default()).await?.objects);
        let mut state = cache.lock().unwrap_or_else(PoisonError::into_inner);
        if state.writes == writes {
            state.lists.insert(plural, Arc::clone(&list));
        }
        Ok(list)
    }
}
