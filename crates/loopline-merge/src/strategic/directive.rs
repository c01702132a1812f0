//! The words of the patch language, and what is wrong with a patch.

use serde_json::{Map, Value};

use crate::depth::TooDeep;

pub(super) const PATCH: &str = "$patch";
pub(super) const RETAIN_KEYS: &str = "$retainKeys";
pub(super) const SET_ELEMENT_ORDER: &str = "$setElementOrder/";
pub(super) const DELETE_FROM_PRIMITIVE_LIST: &str = "$deleteFromPrimitiveList/";

/// A patch that is not applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// `$patch` in an object is neither `replace` nor `delete`.
    #[error("unknown patch type: {directive} in map: {map}")]
    PatchType {
        /// What it is.
        directive: String,
        /// The object it is in.
        map: String,
    },
    /// `$patch: merge` in a list's item.
    #[error("merging lists cannot yet be specified in the patch")]
    MergeDirective,
    /// An item does not have the list's merge key.
    #[error("map: {map} does not contain declared merge key: {key}")]
    NoMergeKey {
        /// The item.
        map: String,
        /// The key.
        key: String,
    },
    /// A list is merged that has objects and no merge key.
    #[error("cannot merge lists without merge key for {0}")]
    NoKeyDeclared(String),
    /// A list has objects and other values.
    #[error("list element types are not identical: {0}")]
    MixedList(String),
    /// A list has lists.
    #[error("lists of lists are not supported")]
    ListOfLists,
    /// `$retainKeys` is not a list of strings.
    #[error("invalid patch format of retainKeys")]
    RetainKeys,
    /// A patch has a field that its own `$retainKeys` does not list.
    #[error("patch content doesn't match retainKeys list")]
    NotRetained,
    /// `$deleteFromPrimitiveList` is not a list.
    #[error("invalid patch format of primitive list")]
    PrimitiveList,
    /// `$setElementOrder` is not a list, or stands beside what is not one.
    #[error("invalid patch format of setElementOrder list")]
    SetElementOrder,
    /// `$setElementOrder` lists the patch's items in another order, or not all of them.
    #[error("The order in patch list:\n{patch}\n doesn't match $setElementOrder list:\n{order}\n")]
    OrderDiffers {
        /// The patch's items.
        patch: String,
        /// The order.
        order: String,
    },
    /// A directive does not name a field.
    #[error("directive {0:?} names no field")]
    NoField(String),
    /// The patch is not an object.
    #[error("expected a map, but received a {0}")]
    NotAMap(&'static str),
    /// A value nests too deep.
    #[error(transparent)]
    TooDeep(#[from] TooDeep),
}

/// Returns the value of an item's merge key.
pub(super) fn merge_key<'v>(item: &'v Value, key: &str) -> Result<&'v Value, Error> {
    item.get(key).ok_or_else(|| Error::NoMergeKey { map: item.to_string(), key: key.to_owned() })
}

/// Returns the field that a directive is about, if it is that directive.
pub(super) fn about<'a>(key: &'a str, prefix: &str) -> Option<&'a str> {
    key.strip_prefix(prefix)
}

/// Returns whether a list's items are objects; nothing if there are none.
pub(super) fn of_objects(lists: &[&[Value]]) -> Result<Option<bool>, Error> {
    let mut found = None;
    for item in lists.iter().copied().flatten() {
        if item.is_array() {
            return Err(Error::ListOfLists);
        }
        let object = item.is_object();
        if found.is_some_and(|found| found != object) {
            return Err(Error::MixedList(item.to_string()));
        }
        found = Some(object);
    }
    Ok(found)
}

/// Returns whether a member is a directive rather than a field.
pub(super) fn is_directive(name: &str) -> bool {
    name == PATCH
        || name == RETAIN_KEYS
        || name.starts_with(SET_ELEMENT_ORDER)
        || name.starts_with(DELETE_FROM_PRIMITIVE_LIST)
}

/// Returns what kind of value it is.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "map",
    }
}

/// Returns a patch's `$patch`, whatever it is.
pub(super) fn directive(map: &Map<String, Value>) -> Option<&Value> {
    map.get(PATCH)
}
