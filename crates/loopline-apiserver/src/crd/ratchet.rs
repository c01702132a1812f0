//! Ratcheting: an update is not refused for what was wrong before and did not change.

use loopline_schema::{Cause, FieldError};
use serde_json::Value;

/// Returns whether the value that an error is about is as it was in the live object.
pub(super) fn was_there(schema: &Value, error: &FieldError, object: &Value, live: &Value) -> bool {
    // Errors of alternatives stand nowhere, and quote their place.
    let path = match error.field.as_str() {
        "<nil>" => error.detail.strip_prefix('"').and_then(|rest| rest.split('"').next()),
        path => Some(path),
    };
    let Some(steps) = path.and_then(|path| steps(path, object)) else { return false };
    // What is missing is missed by the object around it.
    let kept = match error.cause {
        Cause::Required => steps.len().saturating_sub(1),
        _ => steps.len(),
    };
    if kept == 0 {
        return object == live;
    }
    matches!(correlate(schema, &steps[..kept], object, live), Some((new, old)) if new == old)
}

/// A step from a value to one below.
enum Step<'a> {
    Field(&'a str),
    Index(usize),
}

/// Takes a path apart; names of fields may have dots, so the object says how far they go.
fn steps<'a>(path: &'a str, object: &Value) -> Option<Vec<Step<'a>>> {
    let mut rest = path;
    let mut steps = Vec::new();
    let mut at = Some(object);
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let (key, after) = inner.split_once(']')?;
            let index: Option<usize> =
                key.parse().ok().filter(|_| !matches!(at, Some(Value::Object(_))));
            match index {
                Some(index) => {
                    at = at.and_then(|at| at.get(index));
                    steps.push(Step::Index(index));
                }
                None => {
                    at = at.and_then(|at| at.get(key));
                    steps.push(Step::Field(key));
                }
            }
            rest = after.strip_prefix('.').unwrap_or(after);
            continue;
        }
        let ends = rest.match_indices(['.', '[']).map(|(index, _)| index);
        let length = ends
            .chain([rest.len()])
            .filter(|end| *end > 0)
            .find(|end| at.is_some_and(|at| at.get(&rest[..*end]).is_some()))
            .or_else(|| Some(rest.find(['.', '[']).unwrap_or(rest.len())))?;
        let (name, after) = rest.split_at(length);
        at = at.and_then(|at| at.get(name));
        steps.push(Step::Field(name));
        rest = after.strip_prefix('.').unwrap_or(after);
    }
    Some(steps)
}

/// Returns the values at a place of both objects; elements of lists belong together by their keys.
fn correlate<'a>(
    schema: &Value,
    steps: &[Step<'_>],
    object: &'a Value,
    live: &'a Value,
) -> Option<(&'a Value, &'a Value)> {
    let (mut schema, mut new, mut old) = (schema, object, live);
    for step in steps {
        match step {
            Step::Field(name) => {
                new = new.get(name)?;
                old = old.get(name)?;
                schema = schema["properties"]
                    .get(name)
                    .unwrap_or_else(|| &schema["additionalProperties"]);
            }
            Step::Index(index) => {
                new = new.get(index)?;
                old = counterpart(schema, new, old)?;
                schema = &schema["items"];
            }
        }
    }
    Some((new, old))
}

/// Returns the element of a list that has the keys of another, where the list is a map.
pub(super) fn counterpart<'a>(schema: &Value, new: &Value, old: &'a Value) -> Option<&'a Value> {
    if schema["x-kubernetes-list-type"] != "map" {
        return None;
    }
    let keys = schema["x-kubernetes-list-map-keys"].as_array()?;
    old.as_array()?
        .iter()
        .find(|old| keys.iter().filter_map(Value::as_str).all(|key| old.get(key) == new.get(key)))
}
