//! Applying a strategic merge patch.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::directive::{
    DELETE_FROM_PRIMITIVE_LIST, Error, PATCH, RETAIN_KEYS, SET_ELEMENT_ORDER, about, directive,
    is_directive, kind, merge_key, of_objects,
};
use super::order::{Identity, arrange};
use crate::depth::bounded;
use crate::types::Type;

/// Applies a strategic merge patch to an object of a type.
///
/// What the type does not know is merged as by a merge patch: objects field by field, lists whole.
///
/// # Errors
///
/// Fails with the first part of the patch that is malformed.
pub fn apply<T: Type>(original: Value, patch: &Value, ty: T) -> Result<Value, Error> {
    bounded(&original)?;
    bounded(patch)?;
    let Value::Object(patch) = patch else { return Err(Error::NotAMap(kind(patch))) };
    let original = match original {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    Ok(Value::Object(merge_map(original, patch, Some(ty))?))
}

/// What is known of a field: its type, and how it is merged.
struct Rule<'a> {
    merge: bool,
    replace: bool,
    key: Option<&'a str>,
}

fn with_rule<T: Type, R>(field: Option<T>, then: impl FnOnce(Rule<'_>) -> R) -> R {
    match field {
        Some(field) => {
            let strategy = field.patch_strategy();
            then(Rule { merge: strategy.merge, replace: strategy.replace, key: strategy.merge_key })
        }
        None => then(Rule { merge: false, replace: false, key: None }),
    }
}

fn merge_map<T: Type>(
    mut original: Map<String, Value>,
    patch: &Map<String, Value>,
    ty: Option<T>,
) -> Result<Map<String, Value>, Error> {
    let field_of = |name: &str| ty.and_then(|ty| ty.field(name));
    if let Some(directive) = directive(patch) {
        return match directive.as_str() {
            Some("replace") => {
                let mut content = patch.clone();
                content.shift_remove(PATCH);
                merge_map(Map::new(), &content, ty)
            }
            Some("delete") => Ok(Map::new()),
            _ => Err(Error::PatchType {
                directive: directive.as_str().map_or_else(|| directive.to_string(), str::to_owned),
                map: Value::Object(patch.clone()).to_string(),
            }),
        };
    }
    retain_keys(&mut original, patch)?;
    for (key, wanted) in patch {
        if let Some(name) = about(key, SET_ELEMENT_ORDER) {
            let name = named(key, name)?;
            set_element_order(&mut original, patch, name, wanted, field_of(name))?;
        }
    }
    for (key, value) in patch {
        if let Some(name) = about(key, DELETE_FROM_PRIMITIVE_LIST) {
            delete_from_list(&mut original, named(key, name)?, value)?;
            continue;
        }
        if is_directive(key) {
            continue;
        }
        // The list was merged together with its order.
        if value.is_array() && patch.contains_key(&format!("{SET_ELEMENT_ORDER}{key}")) {
            continue;
        }
        if value.is_null() {
            original.shift_remove(key);
            continue;
        }
        let field = field_of(key);
        match original.get_mut(key) {
            Some(slot) => {
                let old = slot.take();
                *slot = merge_value(old, value, field)?;
            }
            None => {
                let merged = merge_value(Value::Null, value, field)?;
                original.insert(key.clone(), merged);
            }
        }
    }
    Ok(original)
}

/// Merges a patch's value over another; over nothing, if it is of another kind.
fn merge_value<T: Type>(old: Value, patch: &Value, field: Option<T>) -> Result<Value, Error> {
    with_rule(field, |rule| match patch {
        Value::Object(patch) => {
            let old = match old {
                Value::Object(old) if !rule.replace => old,
                _ => Map::new(),
            };
            Ok(Value::Object(merge_map(old, patch, field)?))
        }
        Value::Array(patch) if rule.merge => {
            let old = match old {
                Value::Array(old) => old,
                _ => Vec::new(),
            };
            Ok(Value::Array(merge_list(old, patch, &rule, field)?))
        }
        _ => Ok(patch.clone()),
    })
}

fn named<'a>(directive: &str, name: &'a str) -> Result<&'a str, Error> {
    if name.is_empty() { Err(Error::NoField(directive.to_owned())) } else { Ok(name) }
}

/// Removes what `$retainKeys` does not list.
fn retain_keys(original: &mut Map<String, Value>, patch: &Map<String, Value>) -> Result<(), Error> {
    let Some(keys) = patch.get(RETAIN_KEYS) else { return Ok(()) };
    let Value::Array(keys) = keys else { return Err(Error::RetainKeys) };
    let mut retained = HashSet::with_capacity(keys.len());
    for key in keys {
        retained.insert(key.as_str().ok_or(Error::RetainKeys)?);
    }
    let strays = patch.iter().any(|(name, value)| {
        !value.is_null() && !is_directive(name) && !retained.contains(name.as_str())
    });
    if strays {
        return Err(Error::NotRetained);
    }
    original.retain(|name, _| retained.contains(name.as_str()));
    Ok(())
}

fn delete_from_list(
    original: &mut Map<String, Value>,
    name: &str,
    gone: &Value,
) -> Result<(), Error> {
    let Value::Array(gone) = gone else { return Err(Error::PrimitiveList) };
    match original.get_mut(name) {
        Some(Value::Array(items)) => {
            let gone: HashSet<String> = gone.iter().map(Value::to_string).collect();
            items.retain(|item| !gone.contains(&item.to_string()));
            Ok(())
        }
        Some(_) => Err(Error::PrimitiveList),
        None => Ok(()),
    }
}

/// Merges a list together with the order that the patch gives its items.
fn set_element_order<T: Type>(
    original: &mut Map<String, Value>,
    patch: &Map<String, Value>,
    name: &str,
    wanted: &Value,
    field: Option<T>,
) -> Result<(), Error> {
    let Value::Array(wanted) = wanted else { return Err(Error::SetElementOrder) };
    let items = match patch.get(name) {
        None => None,
        Some(Value::Array(items)) => Some(items.as_slice()),
        Some(_) => return Err(Error::SetElementOrder),
    };
    let server = match original.get(name) {
        None | Some(Value::Null) => None,
        Some(Value::Array(server)) => Some(server.clone()),
        Some(_) => return Err(Error::SetElementOrder),
    };
    with_rule(field, |rule| {
        if let Some(items) = items {
            check_order(items, wanted, rule.key)?;
        }
        let merged = match (&server, items) {
            (None, None) => return Ok(()),
            (Some(server), None) => server.clone(),
            (server, Some(items)) => {
                let server = server.clone().unwrap_or_default();
                if rule.merge { merge_list(server, items, &rule, field)? } else { items.to_vec() }
            }
        };
        let server = server.unwrap_or_default();
        let objects = of_objects(&[&merged, wanted])?.unwrap_or(false);
        if objects && rule.key.is_none() {
            return Err(Error::NoKeyDeclared(name.to_owned()));
        }
        let identity = Identity { key: rule.key.filter(|_| objects) };
        let server = with_successors(server, items.unwrap_or_default(), &identity)?;
        let arranged = arrange(merged, wanted, &server, &identity)?;
        original.insert(name.to_owned(), Value::Array(arranged));
        Ok(())
    })
}

/// Returns the server's items as they count for the order: as many new items as others are deleted
/// succeed to the places at the end that become free. Real API servers order lists so.
fn with_successors(
    mut server: Vec<Value>,
    items: &[Value],
    identity: &Identity<'_>,
) -> Result<Vec<Value>, Error> {
    let length = server.len();
    for item in items.iter().filter(|item| is_deletion(item)) {
        let gone = identity.of(item)?;
        let mut kept = Vec::with_capacity(server.len());
        for other in server {
            if identity.of(&other)? != gone {
                kept.push(other);
            }
        }
        server = kept;
    }
    let known = identity.positions(&server)?;
    for item in items.iter().filter(|item| !is_deletion(item)) {
        if server.len() >= length {
            break;
        }
        if !known.contains_key(&identity.of(item)?) {
            server.push(item.clone());
        }
    }
    Ok(server)
}

fn is_deletion(item: &Value) -> bool {
    item.get(PATCH).and_then(Value::as_str) == Some("delete")
}

/// Checks that an order lists all items of a patch that stay, in their order.
fn check_order(items: &[Value], wanted: &[Value], key: Option<&str>) -> Result<(), Error> {
    if items.is_empty() || wanted.is_empty() {
        return Ok(());
    }
    let mut rest = wanted.iter();
    for item in items.iter().filter(|item| !is_deletion(item)) {
        let found = match key.filter(|_| item.is_object()) {
            Some(key) => {
                let name = merge_key(item, key)?;
                rest.any(|other| other.get(key) == Some(name))
            }
            None => rest.any(|other| other == item),
        };
        if !found {
            return Err(Error::OrderDiffers {
                patch: Value::from(items.to_vec()).to_string(),
                order: Value::from(wanted.to_vec()).to_string(),
            });
        }
    }
    Ok(())
}

fn merge_list<T: Type>(
    original: Vec<Value>,
    patch: &[Value],
    rule: &Rule<'_>,
    field: Option<T>,
) -> Result<Vec<Value>, Error> {
    let Some(objects) = of_objects(&[&original, patch])? else { return Ok(original) };
    if !objects {
        let identity = Identity { key: None };
        let mut seen = HashSet::with_capacity(original.len());
        let mut merged = Vec::with_capacity(original.len() + patch.len());
        for item in original.iter().chain(patch) {
            if seen.insert(item.to_string()) {
                merged.push(item.clone());
            }
        }
        return arrange(merged, patch, &original, &identity);
    }
    let Some(key) = rule.key else {
        let items = Value::from(patch.to_vec()).to_string();
        return Err(Error::NoKeyDeclared(items));
    };
    let (original, patch) = special_items(original, patch, key)?;
    let Some(patch) = patch else { return Ok(original) };
    let identity = Identity { key: Some(key) };
    let mut positions = identity.positions(&original)?;
    let element = field.and_then(|field| field.element());
    let mut merged = original.clone();
    for item in &patch {
        let Value::Object(map) = item else { return Err(Error::NotAMap(kind(item))) };
        let name = identity.of(item)?;
        match positions.get(&name).copied() {
            Some(position) => {
                if let Value::Object(old) = merged[position].take() {
                    let result = merge_map(old, map, element)?;
                    merged[position] = Value::Object(result);
                }
            }
            None => {
                positions.insert(name, merged.len());
                merged.push(Value::Object(merge_map(Map::new(), map, element)?));
            }
        }
    }
    // An item that replaced itself by something without its key cannot be placed.
    arrange(merged, &patch, &original, &identity)
}

/// Does what a list's items with `$patch` say; returns the list, and the items left to merge.
fn special_items(
    mut original: Vec<Value>,
    patch: &[Value],
    key: &str,
) -> Result<(Vec<Value>, Option<Vec<Value>>), Error> {
    let mut rest = Vec::with_capacity(patch.len());
    let mut replace = false;
    for item in patch {
        let Value::Object(map) = item else { return Err(Error::NotAMap(kind(item))) };
        let Some(directive) = directive(map) else {
            rest.push(item.clone());
            continue;
        };
        match directive.as_str() {
            Some("delete") => {
                let name = merge_key(item, key)?;
                original.retain(|other| other.get(key) != Some(name));
            }
            Some("replace") => replace = true,
            Some("merge") => return Err(Error::MergeDirective),
            _ => {
                return Err(Error::PatchType {
                    directive: directive
                        .as_str()
                        .map_or_else(|| directive.to_string(), str::to_owned),
                    map: item.to_string(),
                });
            }
        }
    }
    if replace { Ok((rest, None)) } else { Ok((original, Some(rest))) }
}
