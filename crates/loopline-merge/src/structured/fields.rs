//! The set of all fields that a value mentions.

use serde_json::Value;

use super::walk::{Form, ItemError, Items, form};
use crate::depth::{TooDeep, bounded};
use crate::path::{Node, PathElement, PathSet};
use crate::types::Type;

/// Returns the set of the leaves and items of a value.
///
/// Items that are there twice are in the set as one path, without what they hold: nobody can own
/// a part of either.
///
/// # Errors
///
/// Fails with the first list item that has no name of its own, and with values too deep.
pub fn field_set<T: Type>(value: &Value, ty: T) -> Result<PathSet, FieldSetError> {
    bounded(value)?;
    Ok(fields_of(value, ty)?.1)
}

/// A value whose fields cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldSetError {
    /// The value nests too deep.
    #[error(transparent)]
    TooDeep(#[from] TooDeep),
    /// An item has no name of its own.
    #[error("element {0}: {1}")]
    Item(usize, ItemError),
}

impl From<(usize, ItemError)> for FieldSetError {
    fn from((index, error): (usize, ItemError)) -> Self {
        Self::Item(index, error)
    }
}

/// Returns whether a value is a leaf, and what is below it. The value must not be too deep.
pub(crate) fn fields_of<T: Type>(
    value: &Value,
    ty: T,
) -> Result<(bool, PathSet), (usize, ItemError)> {
    match form(&ty, value) {
        Form::Leaf => Ok((true, PathSet::new())),
        Form::List(keys) => {
            let Value::Array(values) = value else { return Ok((false, PathSet::new())) };
            let element = ty.element();
            let items = Items::of(keys, element, values)?;
            let mut nodes = Vec::with_capacity(items.positions.len());
            for (step, positions) in &items.positions {
                let children = match (positions.as_slice(), element) {
                    ([position], Some(element)) => fields_of(&values[*position], element)?.1,
                    _ => PathSet::new(),
                };
                nodes.push(Node { element: step.clone(), member: true, children });
            }
            Ok((false, PathSet::of_nodes(nodes)))
        }
        Form::Map => {
            let Value::Object(map) = value else { return Ok((false, PathSet::new())) };
            let mut nodes = Vec::with_capacity(map.len());
            for (name, value) in map {
                let (leaf, children) = match ty.field(name) {
                    Some(field) => fields_of(value, field)?,
                    None => (true, PathSet::new()),
                };
                let empty = value.is_null() || value.as_object().is_some_and(|map| map.is_empty());
                let member = leaf || empty || !ty.declares(name);
                nodes.push(Node { element: PathElement::field(name), member, children });
            }
            Ok((false, PathSet::of_nodes(nodes)))
        }
    }
}
