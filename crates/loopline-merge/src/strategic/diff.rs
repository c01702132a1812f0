//! Making strategic merge patches: what turns one object into another, and what `apply` sends.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::directive::{
    DELETE_FROM_PRIMITIVE_LIST, Error, PATCH, RETAIN_KEYS, SET_ELEMENT_ORDER, kind, of_objects,
};
use super::order::Identity;
use crate::depth::bounded;
use crate::types::Type;

/// Returns the patch that turns one object into another.
///
/// # Errors
///
/// Fails with lists that are merged and whose items have no merge key.
pub fn two_way<T: Type>(original: &Value, modified: &Value, ty: T) -> Result<Value, Error> {
    make(Some(original), modified, original, ty)
}

/// Returns the patch that client-side apply sends: everything in which the current object differs
/// from the modified one, and the removal of what the original had and the modified has not. What
/// others added to the current object stays.
///
/// # Errors
///
/// Fails with lists that are merged and whose items have no merge key.
pub fn three_way<T: Type>(
    original: Option<&Value>,
    modified: &Value,
    current: &Value,
    ty: T,
) -> Result<Value, Error> {
    make(original, modified, current, ty)
}

fn make<T: Type>(
    original: Option<&Value>,
    modified: &Value,
    current: &Value,
    ty: T,
) -> Result<Value, Error> {
    let map = |value: &Value| match value {
        Value::Object(map) => Ok(map.clone()),
        other => Err(Error::NotAMap(kind(other))),
    };
    for value in [Some(modified), Some(current), original].into_iter().flatten() {
        bounded(value)?;
    }
    let original = match original {
        Some(Value::Null) | None => Map::new(),
        Some(original) => map(original)?,
    };
    let patch = diff_maps(&original, &map(modified)?, &map(current)?, Some(ty))?;
    Ok(Value::Object(patch))
}

fn diff_maps<T: Type>(
    original: &Map<String, Value>,
    modified: &Map<String, Value>,
    current: &Map<String, Value>,
    ty: Option<T>,
) -> Result<Map<String, Value>, Error> {
    let mut patch = Map::new();
    for (name, wanted) in modified {
        let field = ty.and_then(|ty| ty.field(name));
        let strategy = field.as_ref().map(Type::patch_strategy).unwrap_or_default();
        let before = original.get(name);
        let Some(now) = current.get(name) else {
            patch.insert(name.clone(), wanted.clone());
            continue;
        };
        match (wanted, now) {
            (Value::Object(wanted_map), Value::Object(now)) => {
                if strategy.replace {
                    if wanted_map != now {
                        patch.insert(name.clone(), wanted.clone());
                    }
                    continue;
                }
                let empty = Map::new();
                let before = before.and_then(Value::as_object).unwrap_or(&empty);
                let mut inner = diff_maps(before, wanted_map, now, field)?;
                if strategy.retain_keys {
                    retain(&mut inner, wanted_map, now);
                }
                if !inner.is_empty() {
                    patch.insert(name.clone(), Value::Object(inner));
                }
            }
            (Value::Array(wanted_items), Value::Array(now)) if strategy.merge => {
                let before = before.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
                let lists = Lists { original: before, modified: wanted_items, current: now };
                match of_objects(&[before, wanted_items, now])? {
                    Some(true) => {
                        let key =
                            strategy.merge_key.ok_or_else(|| Error::NoKeyDeclared(name.clone()))?;
                        let element = field.and_then(|field| field.element());
                        lists.diff_objects(name, key, strategy.retain_keys, element, &mut patch)?;
                    }
                    Some(false) => lists.diff_scalars(name, &mut patch),
                    None => {}
                }
            }
            (wanted, now) if wanted == now => {}
            (wanted, _) => {
                patch.insert(name.clone(), wanted.clone());
            }
        }
    }
    for name in original.keys().filter(|name| !modified.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    Ok(patch)
}

/// Says which fields stay, if anything changes or the current object has others.
fn retain(patch: &mut Map<String, Value>, wanted: &Map<String, Value>, now: &Map<String, Value>) {
    if patch.is_empty() && now.keys().all(|name| wanted.contains_key(name)) {
        return;
    }
    let mut keys: Vec<&String> = wanted.keys().collect();
    keys.sort_unstable();
    patch.insert(RETAIN_KEYS.to_owned(), keys.into_iter().cloned().collect());
}

/// Items by their names, in their order.
type Index<'v> = HashMap<String, Vec<&'v Map<String, Value>>>;

fn nth<'v>(index: &Index<'v>, name: &str, occurrence: usize) -> Option<&'v Map<String, Value>> {
    index.get(name)?.get(occurrence).copied()
}

struct Lists<'a> {
    original: &'a [Value],
    modified: &'a [Value],
    current: &'a [Value],
}

impl Lists<'_> {
    fn diff_objects<T: Type>(
        &self,
        name: &str,
        key: &str,
        retain_keys: bool,
        element: Option<T>,
        patch: &mut Map<String, Value>,
    ) -> Result<(), Error> {
        let identity = Identity { key: Some(key) };
        let (originals, currents) =
            (Self::index(self.original, &identity)?, Self::index(self.current, &identity)?);
        let modified_names = identity.positions(self.modified)?;
        let mut items = Vec::new();
        let empty = Map::new();
        let mut occurrences: HashMap<String, usize> = HashMap::new();
        for item in self.modified {
            let Value::Object(wanted) = item else { return Err(Error::NotAMap(kind(item))) };
            let item_name = identity.of(item)?;
            // Items of one name are paired in their order.
            let occurrence = occurrences.entry(item_name.clone()).or_default();
            let (before, now) = (
                nth(&originals, &item_name, *occurrence).unwrap_or(&empty),
                nth(&currents, &item_name, *occurrence),
            );
            *occurrence += 1;
            let Some(now) = now else {
                items.push(item.clone());
                continue;
            };
            let mut inner = diff_maps(before, wanted, now, element)?;
            if retain_keys {
                retain(&mut inner, wanted, now);
            }
            if !inner.is_empty() {
                if let Some(value) = wanted.get(key) {
                    inner.insert(key.to_owned(), value.clone());
                }
                items.push(Value::Object(inner));
            }
        }
        let changed = !items.is_empty();
        for item in self.original {
            if !modified_names.contains_key(&identity.of(item)?) {
                items.push(json!({ PATCH: "delete", key: item.get(key) }));
            }
        }
        let deleted = self
            .original
            .iter()
            .any(|item| identity.of(item).is_ok_and(|name| !modified_names.contains_key(&name)));
        let same_order = self.current.len() == self.modified.len()
            && self
                .current
                .iter()
                .zip(self.modified)
                .all(|(now, wanted)| now.get(key) == wanted.get(key));
        let reordered = !self.current.is_empty() && (changed || !same_order);
        if (deleted || reordered) && !self.modified.is_empty() {
            let order = self.modified.iter().map(|item| json!({ key: item.get(key) })).collect();
            patch.insert(format!("{SET_ELEMENT_ORDER}{name}"), Value::Array(order));
        }
        if !items.is_empty() {
            patch.insert(name.to_owned(), Value::Array(items));
        }
        Ok(())
    }

    /// Lists items by their names, in their order.
    fn index<'v>(list: &'v [Value], identity: &Identity<'_>) -> Result<Index<'v>, Error> {
        let mut index: Index<'v> = HashMap::with_capacity(list.len());
        for item in list {
            let Value::Object(map) = item else { return Err(Error::NotAMap(kind(item))) };
            index.entry(identity.of(item)?).or_default().push(map);
        }
        Ok(index)
    }

    fn diff_scalars(&self, name: &str, patch: &mut Map<String, Value>) {
        let added: Vec<Value> =
            self.modified.iter().filter(|item| !self.current.contains(item)).cloned().collect();
        let mut removed: Vec<Value> = Vec::new();
        for item in self.original {
            if !self.modified.contains(item) && !removed.contains(item) {
                removed.push(item.clone());
            }
        }
        let reordered = !self.current.is_empty() && self.current != self.modified;
        if (!removed.is_empty() || reordered) && !self.modified.is_empty() {
            let order = Value::Array(self.modified.to_vec());
            patch.insert(format!("{SET_ELEMENT_ORDER}{name}"), order);
        }
        if !added.is_empty() {
            patch.insert(name.to_owned(), Value::Array(added));
        }
        if !removed.is_empty() {
            patch.insert(format!("{DELETE_FROM_PRIMITIVE_LIST}{name}"), Value::Array(removed));
        }
    }
}
