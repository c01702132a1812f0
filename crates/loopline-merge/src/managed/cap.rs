//! The cap on managers that update: the oldest are merged, or objects would grow for ever.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::entry::{ManagedFields, ManagerId, Operation};

/// How many managers that update an object has at most.
pub const MAX_UPDATE_MANAGERS: usize = 10;
/// The manager that the oldest are merged into, one for every version.
pub const ANCIENT_CHANGES: &str = "ancient-changes";

/// Merges the oldest managers that update, until there are few enough. Different versions are not
/// merged, so there may be more if there are many versions.
pub(crate) fn cap(managed: &mut ManagedFields) {
    let mut updaters: Vec<ManagerId> = managed
        .managers
        .iter()
        .filter(|(_, owned)| !owned.applied)
        .map(|(id, _)| id.clone())
        .collect();
    let mut count = updaters.len();
    if count <= MAX_UPDATE_MANAGERS {
        return;
    }
    updaters
        .sort_by_key(|id| (managed.times.get(id).map_or(0, |time| time.as_second()), id.clone()));
    let mut first_of_version: BTreeMap<Arc<str>, ManagerId> = BTreeMap::new();
    for id in updaters {
        if count <= MAX_UPDATE_MANAGERS {
            return;
        }
        let Some(owned) = managed.managers.get(&id) else { continue };
        let version = Arc::clone(&owned.version);
        let Some(first) = first_of_version.get(&version) else {
            first_of_version.insert(version, id);
            continue;
        };
        let bucket = ManagerId {
            manager: Arc::from(ANCIENT_CHANGES),
            operation: Operation::Update,
            api_version: Arc::clone(&version),
            subresource: Arc::from(""),
        };
        if !managed.managers.contains_key(&bucket)
            && let Some(owned) = managed.managers.remove(first)
        {
            managed.times.remove(first);
            managed.managers.insert(bucket.clone(), owned);
        }
        if id == bucket {
            continue;
        }
        let Some(owned) = managed.managers.remove(&id) else { continue };
        if let Some(bucket) = managed.managers.get_mut(&bucket) {
            bucket.set = bucket.set.union(&owned.set);
        }
        // The merged change is the more recent one.
        match managed.times.remove(&id) {
            Some(time) => managed.times.insert(bucket, time),
            None => managed.times.remove(&bucket),
        };
        count -= 1;
    }
}
