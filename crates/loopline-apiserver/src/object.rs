//! Objects as JSON values: their metadata, and the parts that the server owns.

use serde_json::{Map, Value, json};

/// Fields of `metadata` that only the server sets.
const SERVER_FIELDS: &[&str] = &["uid", "creationTimestamp", "generation", "selfLink"];

/// Returns a text below `metadata`, empty where there is none.
pub fn meta<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or("")
}

/// Returns the object's name.
pub fn name(object: &Value) -> &str {
    meta(object, "name")
}

/// Returns the object's namespace.
pub fn namespace(object: &Value) -> &str {
    meta(object, "namespace")
}

/// Returns the object's identifier.
pub fn uid(object: &Value) -> &str {
    meta(object, "uid")
}

/// Returns one label.
pub fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object["metadata"]["labels"].get(key)?.as_str()
}

/// Returns whether the object is being deleted.
pub fn is_deleting(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

/// Returns the finalizers.
pub fn finalizers(object: &Value) -> Vec<&str> {
    object["metadata"]["finalizers"]
        .as_array()
        .map(|list| list.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default()
}

/// Returns `metadata`, made where it is missing or is no object.
pub fn metadata_mut(object: &mut Value) -> &mut Map<String, Value> {
    map_mut(object, "metadata")
}

/// Returns an object's field that is an object, made where it is missing or is none.
#[expect(clippy::missing_panics_doc, reason = "the value was made an object in the line before")]
pub fn map_mut<'a>(object: &'a mut Value, field: &str) -> &'a mut Map<String, Value> {
    if !object.is_object() {
        *object = json!({});
    }
    let slot = &mut object[field];
    if !slot.is_object() {
        *slot = json!({});
    }
    #[expect(clippy::unwrap_used, reason = "the slot was made an object in the line before")]
    slot.as_object_mut().unwrap()
}

/// Sets or removes a field of `metadata`.
pub fn set_meta(object: &mut Value, field: &str, value: Value) {
    let metadata = metadata_mut(object);
    if value.is_null() {
        metadata.shift_remove(field);
    } else {
        metadata.insert(field.to_owned(), value);
    }
}

/// Sets the revision that clients see.
pub fn set_revision(object: &mut Value, revision: u64) {
    set_meta(object, "resourceVersion", json!(revision.to_string()));
}

/// Takes from `live` what the server owns, whatever a client sent for it.
pub fn keep_server_fields(object: &mut Value, live: &Value) {
    for field in SERVER_FIELDS {
        set_meta(object, field, live["metadata"][*field].clone());
    }
}

/// Puts `apiVersion` and `kind` first, as every client expects to read them.
pub fn set_type(object: &mut Value, api_version: &str, kind: &str) {
    let Value::Object(map) = object else { return };
    if map.get("apiVersion").and_then(Value::as_str) == Some(api_version)
        && map.get("kind").and_then(Value::as_str) == Some(kind)
    {
        return;
    }
    let mut typed = Map::with_capacity(map.len() + 2);
    typed.insert("kind".to_owned(), json!(kind));
    typed.insert("apiVersion".to_owned(), json!(api_version));
    for (key, value) in std::mem::take(map) {
        typed.entry(key).or_insert(value);
    }
    *map = typed;
}

/// Returns `apps/v1`, or `v1` for the core group.
pub fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// Returns the parts of an object that are compared to tell whether a write changes anything.
pub fn same_but_for_bookkeeping(a: &Value, b: &Value) -> bool {
    let (Some(a), Some(b)) = (a.as_object(), b.as_object()) else { return a == b };
    let rest = |map: &Map<String, Value>| map.keys().filter(|key| *key != "metadata").count();
    if rest(a) != rest(b) {
        return false;
    }
    let same = a
        .iter()
        .filter(|(key, _)| *key != "metadata")
        .all(|(key, value)| b.get(key) == Some(value));
    same && metadata_without_times(a.get("metadata")) == metadata_without_times(b.get("metadata"))
}

/// Returns metadata without the revision and the times of `managedFields`.
fn metadata_without_times(metadata: Option<&Value>) -> Option<Value> {
    let mut metadata = metadata?.clone();
    let map = metadata.as_object_mut()?;
    map.shift_remove("resourceVersion");
    if let Some(entries) = map.get_mut("managedFields").and_then(Value::as_array_mut) {
        for entry in entries.iter_mut().filter_map(Value::as_object_mut) {
            entry.shift_remove("time");
        }
    }
    Some(metadata)
}
