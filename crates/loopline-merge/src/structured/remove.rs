//! A value without some of its fields, or with only those.

use serde_json::{Map, Value};

use super::walk::{Form, form, item_element};
use crate::depth::{TooDeep, bounded};
use crate::path::PathSet;
use crate::types::Type;

/// Returns a value without the fields and items of a set. Objects and lists that lose everything
/// they hold that way, without being in the set, become null. Items keep their keys.
///
/// # Errors
///
/// Fails with values too deep.
pub fn remove<T: Type>(value: &Value, fields: &PathSet, ty: T) -> Result<Value, TooDeep> {
    bounded(value)?;
    // An object stays one, even if nothing of it is left.
    let nothing = if value.is_object() { Value::Object(Map::new()) } else { Value::Null };
    Ok(remove_at(value, fields, ty).unwrap_or(nothing))
}

/// Returns only the fields and items of a set out of a value; items of list maps keep their keys.
///
/// # Errors
///
/// Fails with values too deep.
pub fn extract<T: Type>(value: &Value, fields: &PathSet, ty: T) -> Result<Value, TooDeep> {
    bounded(value)?;
    Ok(extract_at(value, fields, ty).unwrap_or(Value::Null))
}

fn remove_at<T: Type>(value: &Value, fields: &PathSet, ty: T) -> Option<Value> {
    if fields.is_empty() {
        return Some(value.clone());
    }
    match (form(&ty, value), value) {
        (Form::List(keys), Value::Array(items)) => {
            let element = ty.element();
            let mut kept = Vec::with_capacity(items.len());
            for item in items {
                // An item without a name is nobody's, so it is not removed for anybody.
                let step = item_element(keys, element, item).ok();
                match (step.and_then(|step| fields.node(&step)), element) {
                    (Some(node), _) if node.member => {}
                    (Some(node), Some(element)) => {
                        let rest = remove_at(item, &node.children, element);
                        let mut rest = rest.unwrap_or_else(|| Value::Object(Map::new()));
                        keep_keys(&mut rest, item, keys);
                        kept.push(rest);
                    }
                    _ => kept.push(item.clone()),
                }
            }
            (!kept.is_empty() || items.is_empty()).then_some(Value::Array(kept))
        }
        (Form::Map, Value::Object(map)) => {
            let mut kept = Map::with_capacity(map.len());
            for (name, value) in map {
                match (fields.field(name), ty.field(name)) {
                    (Some(node), _) if node.member => {}
                    (Some(node), Some(field)) => {
                        let rest = remove_at(value, &node.children, field);
                        kept.insert(name.clone(), rest.unwrap_or(Value::Null));
                    }
                    _ => {
                        kept.insert(name.clone(), value.clone());
                    }
                }
            }
            (!kept.is_empty() || map.is_empty()).then_some(Value::Object(kept))
        }
        _ => Some(value.clone()),
    }
}

/// Gives a part of an item the keys of the item, without which it would be another.
fn keep_keys(part: &mut Value, item: &Value, keys: &[String]) {
    let Value::Object(part) = part else { return };
    for key in keys {
        if let Some(value) = item.get(key)
            && !part.contains_key(key)
        {
            part.insert(key.clone(), value.clone());
        }
    }
}

fn extract_at<T: Type>(value: &Value, fields: &PathSet, ty: T) -> Option<Value> {
    match (form(&ty, value), value) {
        (Form::List(keys), Value::Array(items)) => {
            let element = ty.element();
            let mut kept = Vec::new();
            for item in items {
                let Ok(step) = item_element(keys, element, item) else { continue };
                let Some(node) = fields.node(&step) else { continue };
                let mut part =
                    element.and_then(|element| extract_at(item, &node.children, element));
                if item.is_object() {
                    let part = part.get_or_insert_with(|| Value::Object(Map::new()));
                    keep_keys(part, item, keys);
                }
                kept.push(part.unwrap_or_else(|| item.clone()));
            }
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        (Form::Map, Value::Object(map)) => {
            let mut kept = Map::new();
            for (name, value) in map {
                let Some(node) = fields.field(name) else { continue };
                let part = match ty.field(name) {
                    Some(field) => extract_at(value, &node.children, field),
                    None => Some(value.clone()),
                };
                match part {
                    Some(part) => {
                        kept.insert(name.clone(), part);
                    }
                    // The owner set the field without owning anything in it.
                    None if node.member => {
                        let empty = if value.is_array() {
                            Value::Array(Vec::new())
                        } else {
                            Value::Object(Map::new())
                        };
                        kept.insert(name.clone(), empty);
                    }
                    None => {}
                }
            }
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        _ => Some(value.clone()),
    }
}
