//! Field sets as `managedFields` has them (`FieldsV1`): `f:` fields, `k:` keys, `v:` values, `i:`
//! positions, and `.` for the item itself.

use serde_json::{Map, Value};

use super::element::PathElement;
use super::set::{Node, PathSet};
use crate::depth::MAX_DEPTH;

/// A field set that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldsError {
    /// A set, or a part of one, is not an object.
    #[error("field set at {0:?} must be an object")]
    NotAnObject(String),
    /// A key has no kind, as `f:` is one.
    #[error("field set key {0:?} does not start with a kind and a colon")]
    NoKind(String),
    /// What stands after the kind is not what the kind asks for.
    #[error("field set key {0:?} has a malformed {1}")]
    Malformed(String, &'static str),
    /// A set names the same path twice in different spellings.
    #[error("field set key {0:?} is given twice")]
    Twice(String),
    /// A set nests deeper than values may.
    #[error("field set nests deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

impl PathSet {
    /// Returns the set as `fieldsV1` holds it, in its canonical order.
    #[must_use]
    pub fn to_fields_v1(&self) -> Value {
        Value::Object(encode(self, false))
    }

    /// Reads a set from what `fieldsV1` holds.
    ///
    /// Kinds of a newer format than ours are left out, as the format asks readers to do.
    ///
    /// # Errors
    ///
    /// Fails on anything that is not a field set.
    pub fn from_fields_v1(fields: &Value) -> Result<Self, FieldsError> {
        Ok(decode(".", fields, MAX_DEPTH)?.1)
    }
}

fn encode(set: &PathSet, member: bool) -> Map<String, Value> {
    let mut map = Map::with_capacity(set.nodes().len() + usize::from(member));
    if member && !set.is_empty() {
        map.insert(".".to_owned(), Value::Object(Map::new()));
    }
    for node in set.nodes() {
        let children = encode(&node.children, node.member);
        map.insert(encode_element(&node.element), Value::Object(children));
    }
    map
}

fn encode_element(element: &PathElement) -> String {
    match element {
        PathElement::Field(name) => format!("f:{name}"),
        PathElement::Key(fields) => {
            let fields: Map<String, Value> =
                fields.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
            format!("k:{}", Value::Object(fields))
        }
        PathElement::Value(value) => format!("v:{value}"),
        PathElement::Index(index) => format!("i:{index}"),
    }
}

/// Returns whether the item itself is in the set, and what is below it.
fn decode(key: &str, fields: &Value, levels: usize) -> Result<(bool, PathSet), FieldsError> {
    let Value::Object(fields) = fields else {
        return Err(FieldsError::NotAnObject(key.to_owned()));
    };
    if levels == 0 {
        return Err(FieldsError::TooDeep);
    }
    let mut itself = false;
    let mut nodes = Vec::with_capacity(fields.len());
    for (key, value) in fields {
        if key == "." {
            if value.as_object().is_none_or(|value| !value.is_empty()) {
                return Err(FieldsError::Malformed(key.clone(), "value"));
            }
            itself = true;
            continue;
        }
        let Some(element) = decode_element(key)? else { continue };
        let (member, children) = decode(key, value, levels - 1)?;
        // Nothing below means the item itself.
        let member = member || children.is_empty();
        nodes.push((key, Node { element, member, children }));
    }
    nodes.sort_by(|left, right| left.1.element.cmp(&right.1.element));
    for pair in nodes.windows(2) {
        if pair[0].1.element == pair[1].1.element {
            return Err(FieldsError::Twice(pair[1].0.clone()));
        }
    }
    Ok((itself, PathSet::of_nodes(nodes.into_iter().map(|(_, node)| node).collect())))
}

fn decode_element(key: &str) -> Result<Option<PathElement>, FieldsError> {
    let mut characters = key.chars();
    let (Some(kind), Some(':')) = (characters.next(), characters.next()) else {
        return Err(FieldsError::NoKind(key.to_owned()));
    };
    let rest = characters.as_str();
    let malformed = |what| FieldsError::Malformed(key.to_owned(), what);
    Ok(Some(match kind {
        'f' => PathElement::field(rest),
        'k' => {
            let Ok(Value::Object(fields)) = serde_json::from_str(rest) else {
                return Err(malformed("object of key fields"));
            };
            PathElement::key(
                fields.into_iter().map(|(name, value)| (name.into_boxed_str(), value)).collect(),
            )
        }
        'v' => PathElement::value(serde_json::from_str(rest).map_err(|_| malformed("JSON value"))?),
        'i' => PathElement::Index(rest.parse().map_err(|_| malformed("position"))?),
        _ => return Ok(None),
    }))
}
