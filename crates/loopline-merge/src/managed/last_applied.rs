//! The annotation of client-side apply, and how `kubectl` goes from it to server-side apply.

use serde_json::{Map, Value};

use crate::path::PathSet;
use crate::structured::{Duplicates, compare, field_set, validate};
use crate::types::Type;

/// Where client-side apply keeps what it applied last.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The manager that takes over what client-side apply owns.
pub(crate) const KUBECTL: &str = "kubectl";
/// How large all annotations of an object may be together.
const MAX_ANNOTATIONS_BYTES: usize = 256 * 1024;

/// Returns the annotation of an object, if it has a non-empty one.
pub(crate) fn annotation(object: &Value) -> Option<&str> {
    let annotations = object.get("metadata")?.get("annotations")?;
    annotations.get(LAST_APPLIED)?.as_str().filter(|text| !text.is_empty())
}

/// Returns the fields that client-side apply still owns: those it applied last and that nobody
/// changed since. Nothing if the annotation is missing or cannot be used.
pub(crate) fn still_owned<T: Type>(live: &Value, version: &str, ty: T) -> Option<PathSet> {
    let last: Value = serde_json::from_str(annotation(live)?).ok()?;
    if last.get("apiVersion").and_then(Value::as_str) != Some(version) {
        return None;
    }
    validate(&last, ty, Duplicates::Refused).ok()?;
    let set = field_set(&last, ty).ok()?;
    let changed = compare(&last, live, ty).ok()?;
    Some(set.difference(&changed.modified).difference(&changed.added).difference(&changed.removed))
}

/// Writes what was applied into the annotation, where there is one already: client-side apply
/// would compute its next patch from stale data otherwise. Returns whether that changed anything.
pub(crate) fn refresh(object: &mut Value, config: &Value) -> bool {
    let has = object
        .get("metadata")
        .and_then(|metadata| metadata.get("annotations"))
        .is_some_and(|annotations| annotations.get(LAST_APPLIED).is_some());
    if !has {
        return false;
    }
    let mut config = config.clone();
    if let Some(Value::Object(metadata)) = config.get_mut("metadata") {
        metadata.shift_remove("managedFields");
        if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
            annotations.shift_remove(LAST_APPLIED);
        }
    }
    // The encoder of real API servers ends with a line feed.
    let text = format!("{config}\n");
    let annotations =
        object.get_mut("metadata").and_then(|metadata| metadata.get_mut("annotations"));
    let Some(Value::Object(annotations)) = annotations else { return false };
    let before = annotations.insert(LAST_APPLIED.to_owned(), Value::from(text));
    if size(annotations) > MAX_ANNOTATIONS_BYTES {
        annotations.insert(LAST_APPLIED.to_owned(), Value::from(""));
    }
    before.as_ref() != annotations.get(LAST_APPLIED)
}

fn size(annotations: &Map<String, Value>) -> usize {
    annotations.iter().map(|(name, value)| name.len() + value.as_str().map_or(0, str::len)).sum()
}
