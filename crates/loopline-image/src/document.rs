//! Manifests and configurations as bytes: the same document always gives the same ones.

use serde::Serialize;
use serde_json::Value;

/// Maps whose keys are in no order of their own.
const MAPS: &[&str] = &["labels", "Labels", "annotations"];

/// Returns a document's bytes.
///
/// # Errors
/// Where it cannot be written as JSON.
pub fn to_bytes(document: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut value = serde_json::to_value(document)?;
    sort(&mut value, false);
    serde_json::to_vec(&value)
}

/// Sorts the maps that come from hash maps, whose order is random.
fn sort(value: &mut Value, is_map: bool) {
    match value {
        Value::Object(members) => {
            if is_map {
                members.sort_keys();
            }
            for (key, member) in members.iter_mut() {
                sort(member, MAPS.contains(&key.as_str()));
            }
        }
        Value::Array(members) => members.iter_mut().for_each(|member| sort(member, false)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn labels_are_sorted_and_the_rest_stays() {
        let value =
            serde_json::json!({ "z": 1, "config": { "Labels": { "b": "1", "a": "2" } }, "a": 1 });
        let bytes = super::to_bytes(&value).expect("JSON");
        assert_eq!(bytes, br#"{"z":1,"config":{"Labels":{"a":"2","b":"1"}},"a":1}"#);
    }
}
