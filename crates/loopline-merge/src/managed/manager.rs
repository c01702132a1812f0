//! The steps of an apply and of an update, in the order of real API servers.

use std::sync::{Arc, LazyLock};

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::cap::cap;
use super::conflict::Conflicts;
use super::entry::{
    DecodeError, ManagedFields, ManagerId, Operation, entries, put_entries, take_entries,
};
use super::last_applied::{KUBECTL, refresh, still_owned};
use crate::path::PathSet;
use crate::structured::{
    self, ConversionError, Duplicates, Problems, UpdateError, Versions, validate,
};
use crate::types::Type;

/// Who owns what was there before the first apply.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// Fields that nobody owns: the server sets them, or they are the object's identity.
static STRIPPED: LazyLock<PathSet> = LazyLock::new(|| {
    PathSet::of_fields(&[
        &["apiVersion"],
        &["kind"],
        &["metadata"],
        &["metadata", "name"],
        &["metadata", "namespace"],
        &["metadata", "creationTimestamp"],
        &["metadata", "deletionTimestamp"],
        &["metadata", "deletionGracePeriodSeconds"],
        &["metadata", "selfLink"],
        &["metadata", "uid"],
        &["metadata", "clusterName"],
        &["metadata", "generation"],
        &["metadata", "managedFields"],
        &["metadata", "resourceVersion"],
    ])
});

/// Keeps `managedFields` for the requests of one endpoint.
#[derive(Clone, Copy, Debug)]
pub struct FieldManager<'a, V> {
    /// The versions of the kind.
    pub versions: &'a V,
    /// The version of the endpoint: `apps/v1`.
    pub version: &'a str,
    /// The subresource of the endpoint: `status`; empty for the object itself.
    pub subresource: &'a str,
    /// What the endpoint resets, and so nobody owns through it: `status` for the object itself.
    pub reset: &'a PathSet,
}

/// A configuration that is not applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// The configuration says who owns what.
    #[error("metadata.managedFields must be nil")]
    ManagedFieldsGiven,
    /// The configuration is of another version than the endpoint.
    #[error(
        "Incorrect version specified in apply patch. Specified patch version: {given}, \
         expected: {expected}"
    )]
    Version {
        /// The version that the configuration has.
        given: String,
        /// The endpoint's version.
        expected: String,
    },
    /// The live object's entries cannot be read.
    #[error("failed to decode managed fields: {0}")]
    Decode(#[from] DecodeError),
    /// The configuration is not of the type.
    #[error("failed to create typed patch object ({object}): {problems}")]
    Config {
        /// Namespace, name and kind.
        object: String,
        /// What is wrong.
        problems: Problems,
    },
    /// The live object is not of the type.
    #[error("failed to create typed live object ({object}): {problems}")]
    Live {
        /// Namespace, name and kind.
        object: String,
        /// What is wrong.
        problems: Problems,
    },
    /// Others own fields that would change.
    #[error(transparent)]
    Conflicts(#[from] Conflicts),
    /// The owners cannot be told.
    #[error(transparent)]
    Update(#[from] UpdateError),
}

impl<V: Versions> FieldManager<'_, V> {
    fn id(&self, manager: &str, operation: Operation) -> ManagerId {
        ManagerId {
            // Requests without a name are somebody's too.
            manager: Arc::from(if manager.is_empty() { "unknown" } else { manager }),
            operation,
            api_version: match operation {
                Operation::Apply => Arc::from(""),
                Operation::Update => Arc::from(self.version),
            },
            subresource: Arc::from(self.subresource),
        }
    }

    /// Returns the object that a manager's configuration makes of a live one; of the kind's empty
    /// object, if there is none yet. An object that stays as it was is returned as it was.
    ///
    /// # Errors
    ///
    /// Fails on conflicts without `force`, and on configurations that are not of the type.
    pub fn apply(
        &self,
        live: &Value,
        config: &Value,
        manager: &str,
        force: bool,
        now: Timestamp,
    ) -> Result<Value, ApplyError> {
        let given = config.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
        if given != self.version {
            let (given, expected) = (given.to_owned(), self.version.to_owned());
            return Err(ApplyError::Version { given, expected });
        }
        if entries(config).is_some() {
            return Err(ApplyError::ManagedFieldsGiven);
        }
        let mut managed = ManagedFields::of(live)?;
        let ty = self.versions.type_of(self.version).ok_or_else(|| {
            UpdateError::Conversion(ConversionError::Missing(self.version.to_owned()))
        })?;
        validate(config, ty, Duplicates::Refused)
            .map_err(|problems| ApplyError::Config { object: name(config), problems })?;
        if managed.managers.is_empty() {
            let empty = Value::Object(Map::new());
            let before = self.id(BEFORE_FIRST_APPLY, Operation::Update);
            self.own_changes(&empty, live, &mut managed, before, now)?;
        }
        let id = self.id(manager, Operation::Apply);
        let attempt = |managers, force| {
            structured::apply(
                self.versions,
                live,
                config,
                self.version,
                managers,
                &id,
                force,
                self.reset,
            )
        };
        let before = managed.managers.clone();
        let applied = match attempt(std::mem::take(&mut managed.managers), force) {
            Ok(applied) => applied,
            Err(structured::ApplyError::Update(error)) => return Err(explain(live, ty, error)),
            Err(structured::ApplyError::Conflicts(conflicts)) => {
                // Going from client-side to server-side apply, kubectl takes its own fields over.
                let own = (manager == KUBECTL)
                    .then(|| still_owned(live, self.version, ty))
                    .flatten()
                    .unwrap_or_default();
                let foreign: Vec<_> =
                    conflicts.into_iter().filter(|conflict| !own.has(&conflict.path.0)).collect();
                if !foreign.is_empty() {
                    return Err(Conflicts(foreign).into());
                }
                match attempt(before.clone(), true) {
                    Ok(applied) => applied,
                    Err(structured::ApplyError::Update(error)) => return Err(error.into()),
                    Err(structured::ApplyError::Conflicts(conflicts)) => {
                        return Err(Conflicts(conflicts).into());
                    }
                }
            }
        };
        managed.managers = applied.managers;
        strip(&mut managed, &id);
        if applied.object.is_some() || managed.managers.get(&id) != before.get(&id) {
            managed.times.insert(id.clone(), now);
        }
        let changed = applied.object.is_some() || before != managed.managers;
        let mut object = applied.object.unwrap_or_else(|| live.clone());
        let refreshed = manager == KUBECTL && refresh(&mut object, config);
        if !changed && !refreshed {
            return Ok(live.clone());
        }
        put_entries(&mut object, &managed);
        Ok(object)
    }

    /// Returns the new object with who owns what in it, after a manager replaced the live one by
    /// it; the kind's empty object, if it is created.
    ///
    /// The request may say who owns what; it clears that with one empty entry. Entries that cannot
    /// be read are left out in favour of the live object's. Objects that nobody ever owned
    /// anything of are not tracked before they are applied.
    #[must_use]
    pub fn update(&self, live: &Value, mut new: Value, manager: &str, now: Timestamp) -> Value {
        let mut managed = self.requested(live, &new);
        take_entries(&mut new);
        let exists = live
            .get("metadata")
            .and_then(|metadata| metadata.get("uid"))
            .and_then(Value::as_str)
            .is_some_and(|uid| !uid.is_empty());
        if managed.managers.is_empty() && exists {
            return new;
        }
        let before = managed.clone();
        let id = self.id(manager, Operation::Update);
        if self.own_changes(live, &new, &mut managed, id, now).is_err() {
            // Objects from before a rule of today must stay writable: their owners stay too.
            managed = before;
        }
        put_entries(&mut new, &managed);
        new
    }

    /// Returns the owners that an update starts from.
    fn requested(&self, live: &Value, new: &Value) -> ManagedFields {
        let of_live = || ManagedFields::of(live).unwrap_or_default();
        if !self.subresource.is_empty() {
            return of_live();
        }
        match entries(new) {
            Some(Value::Array(entries)) if is_reset(entries) => ManagedFields::default(),
            Some(entries) => match ManagedFields::decode(entries) {
                Ok(managed) if !managed.managers.is_empty() => managed,
                _ => of_live(),
            },
            None => of_live(),
        }
    }

    /// Gives a manager what changed between two objects.
    fn own_changes(
        &self,
        live: &Value,
        new: &Value,
        managed: &mut ManagedFields,
        id: ManagerId,
        now: Timestamp,
    ) -> Result<(), UpdateError> {
        // The request is a manager of its own at first, to see whether it changed anything.
        let request = ManagerId {
            manager: Arc::from("current-operation"),
            operation: Operation::Update,
            api_version: Arc::from(""),
            subresource: Arc::from(""),
        };
        managed.managers = structured::update(
            self.versions,
            live,
            new,
            self.version,
            std::mem::take(&mut managed.managers),
            &request,
            self.reset,
        )?;
        strip(managed, &request);
        if let Some(mut owned) = managed.managers.remove(&request) {
            if let Some(previous) = managed.managers.get(&id) {
                owned.set = owned.set.union(&previous.set);
            }
            managed.managers.insert(id.clone(), owned);
            managed.times.insert(id, now);
        }
        cap(managed);
        Ok(())
    }
}

/// One empty entry clears all, and so does an empty list.
fn is_reset(entries: &[Value]) -> bool {
    match entries {
        [] => true,
        [Value::Object(entry)] => entry.values().all(Value::is_null),
        _ => false,
    }
}

/// Takes what nobody owns from a manager; a manager without fields is none.
fn strip(managed: &mut ManagedFields, id: &ManagerId) {
    if let Some(owned) = managed.managers.get_mut(id) {
        owned.set.subtract(&STRIPPED);
        if owned.set.is_empty() {
            managed.managers.remove(id);
        }
    }
}

/// Says what is wrong with the live object, if that is why an apply failed.
fn explain<T: Type>(live: &Value, ty: T, error: UpdateError) -> ApplyError {
    match validate(live, ty, Duplicates::Tolerated) {
        Err(problems) => ApplyError::Live { object: name(live), problems },
        Ok(()) => error.into(),
    }
}

/// Returns namespace, name and kind as messages have them.
fn name(object: &Value) -> String {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let metadata = object.get("metadata");
    let of = |field| text(metadata.and_then(|metadata| metadata.get(field)));
    format!(
        "{}/{}; {}, Kind={}",
        of("namespace"),
        of("name"),
        text(object.get("apiVersion")),
        text(object.get("kind"))
    )
}
