//! How deeply values may nest: every entry point checks it, so that recursion below is bounded.

use serde_json::Value;

/// The deepest nesting of objects and lists that is merged.
pub const MAX_DEPTH: usize = 256;

/// A value nests deeper than [`MAX_DEPTH`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value nests deeper than {MAX_DEPTH} levels")]
pub struct TooDeep;

/// Returns an error if a value nests deeper than [`MAX_DEPTH`].
pub(crate) fn bounded(value: &Value) -> Result<(), TooDeep> {
    if fits(value, MAX_DEPTH) { Ok(()) } else { Err(TooDeep) }
}

fn fits(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => levels > 0 && items.iter().all(|item| fits(item, levels - 1)),
        Value::Object(map) => levels > 0 && map.values().all(|item| fits(item, levels - 1)),
        _ => true,
    }
}
