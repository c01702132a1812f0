//! Writes that change nothing but the times of entries change nothing.

use serde_json::Value;

use super::entry::entries;
use crate::order::equal;

/// Gives an object the times of the old object's entries, if both differ in nothing else.
///
/// Without this, every request that changes nothing would be written as a new revision.
pub fn keep_times(old: &Value, new: &mut Value) {
    let (Some(Value::Array(olds)), Some(Value::Array(news))) = (entries(old), entries(new)) else {
        return;
    };
    let same_entries = olds.len() == news.len()
        && olds.iter().zip(news).all(|(old, new)| same_but(old, new, "time", &[]));
    let same_objects = same_but(old, new, "metadata", &["resourceVersion"])
        && match (old.get("metadata"), new.get("metadata")) {
            (Some(old), Some(new)) => same_but(old, new, "managedFields", &["resourceVersion"]),
            _ => false,
        };
    if same_entries && same_objects {
        let kept = olds.clone();
        if let Some(Value::Object(metadata)) = new.get_mut("metadata") {
            metadata.insert("managedFields".to_owned(), Value::Array(kept));
        }
    }
}

/// Compares two objects without one member and a few others.
fn same_but(old: &Value, new: &Value, but: &str, also: &[&str]) -> bool {
    let (Value::Object(old), Value::Object(new)) = (old, new) else { return equal(old, new) };
    let counts = |name: &str| name != but && !also.contains(&name);
    let all = |left: &serde_json::Map<String, Value>, right: &serde_json::Map<String, Value>| {
        left.iter()
            .filter(|(name, _)| counts(name))
            .all(|(name, value)| right.get(name).is_some_and(|other| equal(value, other)))
    };
    all(old, new) && new.keys().filter(|name| counts(name)).all(|name| old.contains_key(name))
}
