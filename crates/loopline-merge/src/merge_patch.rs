//! JSON merge patch (RFC 7386).

use serde_json::{Map, Value};

use crate::depth::{TooDeep, bounded};

/// Applies a merge patch: objects are merged, null removes, anything else replaces.
///
/// # Errors
///
/// Fails with values too deep.
pub fn apply(target: Value, patch: &Value) -> Result<Value, TooDeep> {
    bounded(patch)?;
    Ok(merge(target, patch))
}

fn merge(target: Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut map = match target {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    for (name, value) in patch {
        if value.is_null() {
            map.shift_remove(name);
        } else if let Some(slot) = map.get_mut(name) {
            let old = slot.take();
            *slot = merge(old, value);
        } else {
            map.insert(name.clone(), merge(Value::Null, value));
        }
    }
    Value::Object(map)
}

/// Returns the merge patch that turns one value into another.
///
/// # Errors
///
/// Fails with values too deep.
pub fn between(old: &Value, new: &Value) -> Result<Value, TooDeep> {
    bounded(old)?;
    bounded(new)?;
    Ok(difference(old, new))
}

fn difference(old: &Value, new: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (old, new) else { return new.clone() };
    let mut patch = Map::new();
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    for (name, value) in new {
        match old.get(name) {
            Some(before) if before == value => {}
            Some(before) => {
                patch.insert(name.clone(), difference(before, value));
            }
            None => {
                patch.insert(name.clone(), value.clone());
            }
        }
    }
    Value::Object(patch)
}
