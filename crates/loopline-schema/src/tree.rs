//! Reading and filling JSON trees whose fields may be absent, null or of another type.
//!
//! An absent field and a null are the same thing here, as they are to Kubernetes. What is of
//! another type is left alone: typed decoding reports it.

use serde_json::{Map, Value};

/// Returns whether a value says nothing: null, `""`, `0`, `[]`, `{}`.
pub(crate) fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

/// Returns a string, or an empty one.
pub(crate) fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object[key].as_str().unwrap_or_default()
}

/// Returns the elements of a list, none where there is no list.
pub(crate) fn list<'a>(object: &'a Value, key: &str) -> &'a [Value] {
    object[key].as_array().map_or(&[], Vec::as_slice)
}

/// Returns the fields of a map, none where there is no map.
pub(crate) fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// Sets a field that is absent or null.
pub(crate) fn fill(object: &mut Value, key: &str, default: impl Into<Value>) {
    fill_if(object, key, default, Value::is_null);
}

/// Sets a field that is absent or says nothing.
pub(crate) fn fill_zero(object: &mut Value, key: &str, default: impl Into<Value>) {
    fill_if(object, key, default, is_zero);
}

fn fill_if(object: &mut Value, key: &str, default: impl Into<Value>, is: fn(&Value) -> bool) {
    let Some(fields) = object.as_object_mut() else { return };
    if fields.get(key).is_none_or(is) {
        fields.insert(key.to_owned(), default.into());
    }
}

/// Returns a field that is an object.
pub(crate) fn object<'a>(parent: &'a mut Value, key: &str) -> Option<&'a mut Value> {
    parent.get_mut(key).filter(|value| value.is_object())
}

/// Returns a field that is an object, after making it one where it is absent.
pub(crate) fn ensure<'a>(parent: &'a mut Value, key: &str) -> Option<&'a mut Value> {
    fill(parent, key, Map::new());
    object(parent, key)
}

/// Returns what is at a path of objects.
pub(crate) fn descend<'a>(parent: &'a mut Value, path: &[&str]) -> Option<&'a mut Value> {
    path.iter().try_fold(parent, |value, key| object(value, key))
}

/// Returns the elements of a list.
pub(crate) fn items<'a>(
    parent: &'a mut Value,
    key: &str,
) -> impl Iterator<Item = &'a mut Value> + use<'a> {
    parent.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten()
}
