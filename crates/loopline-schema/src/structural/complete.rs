//! Pruning what a type does not declare, and completing what has a default.

use loopline_merge::Type as _;
use serde_json::Value;

use crate::TypeRef;
use crate::types::{Kind, MAXIMUM_DEPTH};

/// Removes the fields that a type does not declare, and returns their paths in the order of the
/// document.
pub fn prune(at: TypeRef<'_>, value: &mut Value) -> Vec<String> {
    let mut removed = Vec::new();
    prune_below(at, value, &mut String::new(), &mut removed, 0);
    removed
}

fn prune_below(
    at: TypeRef<'_>,
    value: &mut Value,
    path: &mut String,
    removed: &mut Vec<String>,
    depth: usize,
) {
    if depth > MAXIMUM_DEPTH {
        return;
    }
    let length = path.len();
    match (at.kind(), value) {
        (Kind::Object(object), Value::Object(map)) => map.retain(|name, value| {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(name);
            let kept = match at.declared(name) {
                Some((_, inner)) => {
                    prune_below(inner, value, path, removed, depth + 1);
                    true
                }
                None => object.open,
            };
            if !kept {
                removed.push(path.clone());
            }
            path.truncate(length);
            kept
        }),
        (Kind::Map(_), Value::Object(map)) => {
            let Some(values) = at.values() else { return };
            for (name, value) in map {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(name);
                prune_below(values, value, path, removed, depth + 1);
                path.truncate(length);
            }
        }
        (Kind::List(_), Value::Array(list)) => {
            let Some(element) = at.items() else { return };
            for (index, value) in list.iter_mut().enumerate() {
                path.push_str(&format!("[{index}]"));
                prune_below(element, value, path, removed, depth + 1);
                path.truncate(length);
            }
        }
        _ => {}
    }
}

/// Sets what is missing and has a default. A null that the schema does not allow counts as
/// missing, and goes away where there is no default.
pub fn apply_defaults(at: TypeRef<'_>, value: &mut Value) {
    complete(at, value, 0);
}

fn is_stray_null(at: TypeRef<'_>, value: &Value) -> bool {
    // Nothing is known of the values of types without a declaration, nor of metadata's.
    value.is_null()
        && !at.nullable()
        && !matches!(at.kind(), Kind::Any)
        && at.target().site().definition.is_none()
}

fn complete(at: TypeRef<'_>, value: &mut Value, depth: usize) {
    if depth > MAXIMUM_DEPTH {
        return;
    }
    match (at.kind(), value) {
        (Kind::Object(object), Value::Object(map)) => {
            let target = at.target();
            // Metadata has the defaults of its own type, which are none.
            if target.site().definition.is_some() {
                return;
            }
            map.retain(|name, value| match at.declared(name) {
                Some((_, inner)) => !is_stray_null(inner, value),
                None => true,
            });
            for field in &object.fields {
                let inner = target.at(field.node);
                if let Some(default) = inner.default()
                    && !map.contains_key(field.name.as_ref())
                {
                    map.insert(field.name.to_string(), default.clone());
                }
                if let Some(value) = map.get_mut(field.name.as_ref()) {
                    complete(inner, value, depth + 1);
                }
            }
        }
        (Kind::Map(_), Value::Object(map)) => {
            let Some(values) = at.values() else { return };
            map.retain(|_, value| {
                if is_stray_null(values, value) {
                    match values.default() {
                        Some(default) => *value = default.clone(),
                        None => return false,
                    }
                }
                complete(values, value, depth + 1);
                true
            });
        }
        (Kind::List(_), Value::Array(list)) => {
            let Some(element) = at.items() else { return };
            for value in list {
                if is_stray_null(element, value)
                    && let Some(default) = element.default()
                {
                    *value = default.clone();
                }
                complete(element, value, depth + 1);
            }
        }
        _ => {}
    }
}
