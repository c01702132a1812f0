//! What applying a configuration and updating an object do to values and to owners.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::compare::{Comparison, compare};
use super::fields::{FieldSetError, field_set};
use super::merge::{contains, merge};
use super::reconcile::reconcile;
use super::remove::remove;
use crate::depth::{TooDeep, bounded};
use crate::order::equal;
use crate::path::{Path, PathSet};
use crate::types::Type;

/// What one manager owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    /// The fields.
    pub set: PathSet,
    /// The version of the API that the fields are fields of: `apps/v1`.
    pub version: Arc<str>,
    /// Whether the manager applies configurations, rather than updates objects.
    pub applied: bool,
}

/// All managers of an object, by whatever names them.
pub type Managers<K> = BTreeMap<K, Owned>;

/// The versions of a kind and the ways between them.
pub trait Versions {
    /// What tells about a version's fields.
    type Type: Type;

    /// Returns the type of the objects of a version; nothing if it is not served (any more).
    fn type_of(&self, version: &str) -> Option<Self::Type>;

    /// Returns an object as another version has it.
    ///
    /// # Errors
    ///
    /// Fails if there is no such version, or no way there.
    fn convert<'v>(
        &self,
        object: &'v Value,
        from: &str,
        to: &str,
    ) -> Result<Cow<'v, Value>, ConversionError>;
}

/// An object that cannot be had in a version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConversionError {
    /// There is no such version (any more): its managers are forgotten.
    #[error("no version {0}")]
    Missing(String),
    /// The conversion failed.
    #[error("cannot convert to {version}: {reason}")]
    Failed {
        /// The version that was asked for.
        version: String,
        /// What the converter says.
        reason: String,
    },
}

/// The single version of a kind.
#[derive(Clone, Copy, Debug)]
pub struct OneVersion<'a, T> {
    /// The version: `apps/v1`.
    pub version: &'a str,
    /// Its type.
    pub ty: T,
}

impl<T: Type> Versions for OneVersion<'_, T> {
    type Type = T;

    fn type_of(&self, version: &str) -> Option<T> {
        (version == self.version).then_some(self.ty)
    }

    fn convert<'v>(
        &self,
        object: &'v Value,
        _from: &str,
        to: &str,
    ) -> Result<Cow<'v, Value>, ConversionError> {
        if to == self.version {
            Ok(Cow::Borrowed(object))
        } else {
            Err(ConversionError::Missing(to.to_owned()))
        }
    }
}

/// Versions with one schema for all, as custom resources without conversion have them.
#[derive(Clone, Copy, Debug)]
pub struct SameSchema<T>(pub T);

impl<T: Type> Versions for SameSchema<T> {
    type Type = T;

    fn type_of(&self, _version: &str) -> Option<T> {
        Some(self.0)
    }

    fn convert<'v>(
        &self,
        object: &'v Value,
        _from: &str,
        _to: &str,
    ) -> Result<Cow<'v, Value>, ConversionError> {
        Ok(Cow::Borrowed(object))
    }
}

/// A field that another manager owns and that would change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conflict<K> {
    /// Who owns the field.
    pub manager: K,
    /// The field.
    pub path: Path,
}

/// An update whose owners cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// A value's fields cannot be told.
    #[error(transparent)]
    Fields(#[from] FieldSetError),
    /// An object cannot be had in a manager's version.
    #[error(transparent)]
    Conversion(#[from] ConversionError),
}

impl From<TooDeep> for UpdateError {
    fn from(error: TooDeep) -> Self {
        Self::Fields(error.into())
    }
}

/// A configuration that is not applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError<K: std::fmt::Debug> {
    /// Other managers own fields that would change. In order, at least one.
    #[error("{} fields belong to other managers", .0.len())]
    Conflicts(Vec<Conflict<K>>),
    /// The owners cannot be told.
    #[error(transparent)]
    Update(#[from] UpdateError),
}

impl<K: std::fmt::Debug> From<TooDeep> for ApplyError<K> {
    fn from(error: TooDeep) -> Self {
        Self::Update(error.into())
    }
}

impl<K: std::fmt::Debug> From<FieldSetError> for ApplyError<K> {
    fn from(error: FieldSetError) -> Self {
        Self::Update(error.into())
    }
}

/// What applying a configuration led to.
#[derive(Clone, Debug)]
pub struct Applied<K> {
    /// The object; nothing if it stays as it was.
    pub object: Option<Value>,
    /// Who owns what now.
    pub managers: Managers<K>,
}

/// Merges a manager's configuration into a live object of the same version. What the manager
/// applied before and does not mention any more is removed, unless others own it.
///
/// `ignored` fields are owned by nobody: the endpoint resets them. With `force` conflicting fields
/// are taken from their owners.
///
/// # Errors
///
/// Fails on conflicts without `force`, and if the owners cannot be told.
#[expect(clippy::too_many_arguments, reason = "the terms of one formula; callers name them")]
pub fn apply<K: Ord + Clone + std::fmt::Debug, V: Versions>(
    versions: &V,
    live: &Value,
    config: &Value,
    version: &str,
    mut managers: Managers<K>,
    manager: &K,
    force: bool,
    ignored: &PathSet,
) -> Result<Applied<K>, ApplyError<K>> {
    let ty = type_of(versions, version)?;
    reconcile_all(versions, live, version, &mut managers)?;
    bounded(live)?;
    bounded(config)?;
    // Most applies change nothing; that is found out without making an object.
    let merged = match contains(live, config, ty) {
        true => Cow::Borrowed(live),
        false => Cow::Owned(merge(live, config, ty)?),
    };
    let mut set = field_set(config, ty)?;
    set.subtract_recursively(ignored);
    let owned = Owned { set, version: Arc::from(version), applied: true };
    let last = managers.insert(manager.clone(), owned);
    let object = match prune(versions, &merged, version, &managers, manager, last.as_ref())? {
        // An empty list is owned by nobody, so it may have gone with the items it had before.
        Some(pruned) => Cow::Owned(merge(&pruned, config, ty)?),
        None => merged,
    };
    if matches!(object, Cow::Borrowed(_))
        && managers.values().all(|owned| *owned.version == *version)
    {
        managers.retain(|_, owned| !owned.set.is_empty());
        return Ok(Applied { object: None, managers });
    }
    let (conflicts, _) =
        change(versions, live, &object, version, &mut managers, manager, ignored, force)?;
    if !conflicts.is_empty() {
        return Err(ApplyError::Conflicts(conflicts));
    }
    let object = (!equal(live, &object)).then(|| object.into_owned());
    Ok(Applied { object, managers })
}

/// Tells who owns what after a manager replaced a live object by a new one. Never conflicts.
///
/// # Errors
///
/// Fails if the owners cannot be told.
pub fn update<K: Ord + Clone, V: Versions>(
    versions: &V,
    live: &Value,
    new: &Value,
    version: &str,
    mut managers: Managers<K>,
    manager: &K,
    ignored: &PathSet,
) -> Result<Managers<K>, UpdateError> {
    reconcile_all(versions, live, version, &mut managers)?;
    let (_, changed) = change(versions, live, new, version, &mut managers, manager, ignored, true)?;
    let own = managers.remove(manager).map(|owned| owned.set).unwrap_or_default();
    let mut set = own;
    set.subtract(&changed.removed);
    let mut set = set.union(&changed.modified).union(&changed.added);
    set.subtract_recursively(ignored);
    if !set.is_empty() {
        let owned = Owned { set, version: Arc::from(version), applied: false };
        managers.insert(manager.clone(), owned);
    }
    Ok(managers)
}

fn type_of<V: Versions>(versions: &V, version: &str) -> Result<V::Type, UpdateError> {
    versions.type_of(version).ok_or_else(|| ConversionError::Missing(version.to_owned()).into())
}

/// An object in some version, and its type there.
type Converted<'v, T> = (Cow<'v, Value>, T);

/// Converts an object; nothing if the version is gone.
fn convert<'v, V: Versions>(
    versions: &V,
    object: &'v Value,
    from: &str,
    to: &str,
) -> Result<Option<Converted<'v, V::Type>>, UpdateError> {
    let object = if from == to {
        Cow::Borrowed(object)
    } else {
        match versions.convert(object, from, to) {
            Ok(object) => object,
            Err(ConversionError::Missing(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    };
    Ok(versions.type_of(to).map(|ty| (object, ty)))
}

fn reconcile_all<K: Ord + Clone, V: Versions>(
    versions: &V,
    live: &Value,
    version: &str,
    managers: &mut Managers<K>,
) -> Result<(), UpdateError> {
    for owned in managers.values_mut() {
        // Managers of versions that are gone are forgotten later.
        let Some((live, ty)) = convert(versions, live, version, &owned.version)? else { continue };
        if let Some(set) = reconcile(&owned.set, &live, ty)? {
            owned.set = set;
        }
    }
    Ok(())
}

/// Takes what changed from all other managers. Without `force` it returns the conflicts instead,
/// and the managers are as good as before only if there are none.
#[expect(clippy::too_many_arguments, reason = "the terms of one formula, used twice above")]
fn change<K: Ord + Clone, V: Versions>(
    versions: &V,
    old: &Value,
    new: &Value,
    version: &str,
    managers: &mut Managers<K>,
    manager: &K,
    ignored: &PathSet,
    force: bool,
) -> Result<(Vec<Conflict<K>>, Comparison), UpdateError> {
    let ty = type_of(versions, version)?;
    let changed = compare(old, new, ty)?.without(ignored);
    let mut elsewhere: BTreeMap<Arc<str>, Option<Comparison>> = BTreeMap::new();
    for (other, owned) in managers.iter() {
        if other == manager || *owned.version == *version || elsewhere.contains_key(&owned.version)
        {
            continue;
        }
        let old = convert(versions, old, version, &owned.version)?;
        let new = convert(versions, new, version, &owned.version)?;
        let comparison = match (old, new) {
            (Some((old, ty)), Some((new, _))) => Some(compare(&old, &new, ty)?.without(ignored)),
            _ => None,
        };
        elsewhere.insert(Arc::clone(&owned.version), comparison);
    }
    managers.retain(|other, owned| {
        other == manager || !matches!(elsewhere.get(&owned.version), Some(None))
    });
    let mut conflicts = Vec::new();
    for (other, owned) in managers.iter_mut() {
        if other == manager {
            continue;
        }
        let changed = elsewhere.get(&owned.version).and_then(Option::as_ref).unwrap_or(&changed);
        let taken = changed.modified.union(&changed.added);
        if !force {
            owned.set.intersection(&taken).for_each(|path| {
                conflicts.push(Conflict { manager: other.clone(), path: Path(path.to_vec()) });
            });
        }
        if !changed.is_same() {
            owned.set.subtract(&taken);
            owned.set.subtract(&changed.removed);
        }
    }
    managers.retain(|_, owned| !owned.set.is_empty());
    Ok((conflicts, changed))
}

/// Removes from a merged object what the manager applied last time and not this time, unless
/// another manager owns it, or it was never the manager's. Nothing if there is nothing to remove.
fn prune<K: Ord, V: Versions>(
    versions: &V,
    merged: &Value,
    version: &str,
    managers: &Managers<K>,
    manager: &K,
    last: Option<&Owned>,
) -> Result<Option<Value>, UpdateError> {
    let Some(last) = last.filter(|last| !last.set.is_empty()) else { return Ok(None) };
    let own = managers.get(manager);
    // What is still applied is not removed: nothing to do in the usual case.
    if own.is_some_and(|own| own.version == last.version && last.set.is_subset(&own.set)) {
        return Ok(None);
    }
    let Some((start, ty)) = convert(versions, merged, version, &last.version)? else {
        return Ok(None);
    };
    let last_set = last.set.with_declared_fields(Some(ty));
    let mut pruned = remove(&start, &last_set, ty)?;
    let mut at: Arc<str> = Arc::clone(&last.version);

    let mut owners: BTreeMap<&Arc<str>, PathSet> = BTreeMap::new();
    for owned in managers.values() {
        let set = owners.entry(&owned.version).or_default();
        *set = set.union(&owned.set);
    }
    // The last version first: a conversion might need what was removed.
    let first = owners.remove_entry(&last.version);
    for (owned_version, owned) in first.into_iter().chain(owners) {
        let Some((whole, ty)) = convert(versions, merged, version, owned_version)? else {
            continue;
        };
        let Some((part, _)) = convert(versions, &pruned, &at, owned_version)? else { continue };
        let all = field_set(&whole, ty)?.with_declared_fields(Some(ty));
        let kept = field_set(&part, ty)?
            .with_declared_fields(Some(ty))
            .union(&owned.with_declared_fields(Some(ty)));
        pruned = remove(&whole, &all.difference(&kept), ty)?;
        at = Arc::clone(owned_version);
    }

    let Some((part, _)) = convert(versions, &pruned, &at, &last.version)? else {
        return Ok(None);
    };
    let kept = field_set(&part, ty)?.with_declared_fields(Some(ty));
    let gone = field_set(&start, ty)?
        .with_declared_fields(Some(ty))
        .difference(&kept)
        .intersection(&last_set);
    let result = remove(&start, &gone, ty)?;
    match convert(versions, &result, &last.version, version)? {
        Some((Cow::Owned(result), _)) => Ok(Some(result)),
        Some((Cow::Borrowed(_), _)) => Ok(Some(result)),
        None => Ok(None),
    }
}
