//! What all walks share: the shape of a value where it stands, and the names of list items.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::path::PathElement;
use crate::types::{Shape, Type};

/// A list item that cannot be told from others.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ItemError {
    /// An item of a list of objects is null.
    #[error("associative list with keys may not have a null element")]
    Null,
    /// An item of a list of objects is not an object.
    #[error("associative list with keys may not have non-map elements")]
    NotAMap,
    /// An item has no value for a key, and its type has no default.
    #[error("associative list with keys has an element that omits key field {0:?}")]
    NoKey(String),
    /// An item of a set is an object.
    #[error("associative list without keys has an element that's a map type")]
    MapInSet,
    /// An item of a set is a list.
    #[error("not supported: associative list with lists as elements")]
    ListInSet,
    /// An item of a set is null.
    #[error("associative list without keys has an element that's an explicit null")]
    NullInSet,
}

/// How a value is walked: [`Shape`] with deduced types decided.
#[derive(Clone, Copy)]
pub(crate) enum Form<'a> {
    /// A value that is only replaced whole.
    Leaf,
    /// A list whose items are told by keys; without keys by themselves.
    List(&'a [String]),
    /// An object with fields of their own.
    Map,
}

/// Returns how a value of a type is walked.
pub(crate) fn form<'a, T: Type>(ty: &'a T, value: &Value) -> Form<'a> {
    match ty.shape() {
        Shape::Scalar | Shape::AtomicList | Shape::AtomicMap => Form::Leaf,
        Shape::Set => Form::List(&[]),
        Shape::ListMap(keys) => Form::List(keys),
        Shape::Map => Form::Map,
        // A null may stand for whatever the value is elsewhere; it is walked like an object.
        Shape::Deduced => match value {
            Value::Object(_) | Value::Null => Form::Map,
            _ => Form::Leaf,
        },
    }
}

/// Returns the step to a list's item.
pub(crate) fn item_element<T: Type>(
    keys: &[String],
    element: Option<T>,
    item: &Value,
) -> Result<PathElement, ItemError> {
    if keys.is_empty() {
        return match item {
            Value::Object(_) => Err(ItemError::MapInSet),
            Value::Array(_) => Err(ItemError::ListInSet),
            Value::Null => Err(ItemError::NullInSet),
            scalar => Ok(PathElement::value(scalar.clone())),
        };
    }
    let map = match item {
        Value::Object(map) => map,
        Value::Null => return Err(ItemError::Null),
        _ => return Err(ItemError::NotAMap),
    };
    let mut fields = Vec::with_capacity(keys.len());
    for key in keys {
        let value = match map.get(key) {
            Some(value) => value.clone(),
            None => element
                .and_then(|element| element.field(key))
                .and_then(|field| field.default().cloned())
                .ok_or_else(|| ItemError::NoKey(key.clone()))?,
        };
        fields.push((key.as_str().into(), value));
    }
    Ok(PathElement::key(fields))
}

/// A list's items by their steps.
pub(crate) struct Items<'v> {
    /// The steps, in the order of the list.
    pub(crate) elements: Vec<PathElement>,
    /// The items, in the order of the list.
    pub(crate) values: &'v [Value],
    /// The positions of the items, by step; more than one for duplicates.
    pub(crate) positions: BTreeMap<PathElement, Vec<usize>>,
}

impl<'v> Items<'v> {
    /// Names a list's items. An error comes with the item's position.
    pub(crate) fn of<T: Type>(
        keys: &[String],
        element: Option<T>,
        values: &'v [Value],
    ) -> Result<Self, (usize, ItemError)> {
        let mut elements = Vec::with_capacity(values.len());
        let mut positions: BTreeMap<PathElement, Vec<usize>> = BTreeMap::new();
        for (index, value) in values.iter().enumerate() {
            let step = item_element(keys, element, value).map_err(|error| (index, error))?;
            positions.entry(step.clone()).or_default().push(index);
            elements.push(step);
        }
        Ok(Self { elements, values, positions })
    }

    /// Returns the item with a step, if there is exactly one.
    pub(crate) fn single(&self, element: &PathElement) -> Option<&'v Value> {
        match self.positions.get(element)?.as_slice() {
            [position] => self.values.get(*position),
            _ => None,
        }
    }
}

/// Returns a list's items; nothing for null and for what is not a list.
pub(crate) fn as_items(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
