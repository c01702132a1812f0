//! What differs between two values of a type: fields added, changed and removed.

use serde_json::Value;

use super::fields::FieldSetError;
use super::walk::{Form, ItemError, Items, as_items, form};
use crate::depth::bounded;
use crate::order::equal;
use crate::path::{Node, PathElement, PathSet};
use crate::types::Type;

/// The fields that differ. No field is in more than one of the sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// What only the first value has.
    pub removed: PathSet,
    /// What both have, with different values.
    pub modified: PathSet,
    /// What only the second value has.
    pub added: PathSet,
}

impl Comparison {
    /// Returns whether nothing differs.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.removed.is_empty() && self.modified.is_empty() && self.added.is_empty()
    }

    /// Returns the comparison without some fields and what is below them.
    #[must_use]
    pub fn without(mut self, fields: &PathSet) -> Self {
        self.removed.subtract_recursively(fields);
        self.modified.subtract_recursively(fields);
        self.added.subtract_recursively(fields);
        self
    }
}

/// Compares two values of a type.
///
/// Items that are there twice are compared as one leaf.
///
/// # Errors
///
/// Fails with the first list item that has no name of its own, and with values too deep.
pub fn compare<T: Type>(old: &Value, new: &Value, ty: T) -> Result<Comparison, FieldSetError> {
    bounded(old)?;
    bounded(new)?;
    let found = compare_at(Some(old), Some(new), ty)?;
    Ok(Comparison {
        removed: PathSet::of_nodes(found.below.removed),
        modified: PathSet::of_nodes(found.below.modified),
        added: PathSet::of_nodes(found.below.added),
    })
}

/// What was found about one value, and below it.
#[derive(Default)]
struct Found {
    removed: bool,
    modified: bool,
    added: bool,
    below: Below,
}

/// Nodes below a value, by what happened to them. A step is in each list at most once.
#[derive(Default)]
struct Below {
    removed: Vec<Node>,
    modified: Vec<Node>,
    added: Vec<Node>,
}

impl Below {
    fn push(&mut self, element: impl Fn() -> PathElement, found: Found) {
        for (nodes, member, children) in [
            (&mut self.removed, found.removed, found.below.removed),
            (&mut self.modified, found.modified, found.below.modified),
            (&mut self.added, found.added, found.below.added),
        ] {
            if member || !children.is_empty() {
                let children = PathSet::of_nodes(children);
                nodes.push(Node { element: element(), member, children });
            }
        }
    }
}

fn compare_at<T: Type>(
    old: Option<&Value>,
    new: Option<&Value>,
    ty: T,
) -> Result<Found, (usize, ItemError)> {
    let mut found = Found::default();
    let mut leaf = false;
    match (old, new) {
        (None, None) => return Ok(found),
        (Some(value), None) | (None, Some(value)) => {
            leaf = visit(form(&ty, value), old, new, ty, &mut found.below)?;
        }
        (Some(old_value), Some(new_value)) => {
            let (old_form, new_form) = (form(&ty, old_value), form(&ty, new_value));
            // A leaf that became an object, or the other way round, changed as a leaf and has
            // parts on one side.
            if std::mem::discriminant(&old_form) != std::mem::discriminant(&new_form) {
                leaf |= visit(old_form, old, new, ty, &mut found.below)?;
            }
            leaf |= visit(new_form, old, new, ty, &mut found.below)?;
        }
    }
    if leaf {
        note_leaf(old, new, &mut found);
    } else {
        found.removed |= new.is_none();
        found.added |= old.is_none();
    }
    Ok(found)
}

fn note_leaf(old: Option<&Value>, new: Option<&Value>, found: &mut Found) {
    match (old, new) {
        (Some(old), Some(new)) => found.modified |= !equal(old, new),
        (Some(_), None) => found.removed = true,
        (None, _) => found.added = true,
    }
}

/// Visits what is below two values; returns true if they are to be compared as leaves instead.
fn visit<T: Type>(
    form: Form<'_>,
    old: Option<&Value>,
    new: Option<&Value>,
    ty: T,
    below: &mut Below,
) -> Result<bool, (usize, ItemError)> {
    match form {
        Form::Leaf => Ok(true),
        Form::List(keys) => {
            let (olds, news) = (as_items(old), as_items(new));
            // Empty and null are told apart only as leaves.
            if olds.is_empty() && news.is_empty() {
                return Ok(true);
            }
            // Most lists do not change: naming their items costs more than comparing them.
            if olds.len() == news.len() && olds.iter().zip(news).all(|(old, new)| equal(old, new)) {
                return Ok(false);
            }
            let element = ty.element();
            let olds = Items::of(keys, element, olds)?;
            let news = Items::of(keys, element, news)?;
            for (step, positions) in &olds.positions {
                let others = news.positions.get(step).map_or(&[][..], Vec::as_slice);
                compare_items(step, (&olds, positions), (&news, others), element, below)?;
            }
            for (step, positions) in &news.positions {
                if !olds.positions.contains_key(step) {
                    compare_items(step, (&olds, &[]), (&news, positions), element, below)?;
                }
            }
            Ok(false)
        }
        Form::Map => {
            let olds = old.and_then(Value::as_object).filter(|map| !map.is_empty());
            let news = new.and_then(Value::as_object).filter(|map| !map.is_empty());
            if olds.is_none() && news.is_none() {
                return Ok(true);
            }
            for (name, old) in olds.into_iter().flatten() {
                let new = news.and_then(|map| map.get(name));
                compare_field(name, Some(old), new, ty, below)?;
            }
            for (name, new) in news.into_iter().flatten() {
                if !olds.is_some_and(|map| map.contains_key(name)) {
                    compare_field(name, None, Some(new), ty, below)?;
                }
            }
            Ok(false)
        }
    }
}

fn compare_field<T: Type>(
    name: &str,
    old: Option<&Value>,
    new: Option<&Value>,
    ty: T,
    below: &mut Below,
) -> Result<(), (usize, ItemError)> {
    let found = match ty.field(name) {
        Some(field) => compare_at(old, new, field)?,
        None => {
            let mut found = Found::default();
            note_leaf(old, new, &mut found);
            found
        }
    };
    below.push(|| PathElement::field(name), found);
    Ok(())
}

/// Compares the items of one name. Where there are several, they are compared as one leaf.
fn compare_items<T: Type>(
    step: &PathElement,
    (olds, old_positions): (&Items<'_>, &[usize]),
    (news, new_positions): (&Items<'_>, &[usize]),
    element: Option<T>,
    below: &mut Below,
) -> Result<(), (usize, ItemError)> {
    let single = |old: Option<&Value>, new: Option<&Value>| match element {
        Some(element) => compare_at(old, new, element),
        None => {
            let mut found = Found::default();
            note_leaf(old, new, &mut found);
            Ok(found)
        }
    };
    let first = |items: &Items<'_>, positions: &[usize]| -> Option<usize> {
        positions.first().copied().filter(|position| *position < items.values.len())
    };
    let old_first = first(olds, old_positions).map(|position| &olds.values[position]);
    let new_first = first(news, new_positions).map(|position| &news.values[position]);
    let found = match (old_positions.len(), new_positions.len()) {
        (0 | 1, 0 | 1) => single(old_first, new_first)?,
        (0 | 1, _) => {
            // The one item went, several came.
            let mut found =
                if old_first.is_some() { single(old_first, None)? } else { Found::default() };
            found.added = true;
            found
        }
        (_, 0 | 1) => {
            let mut found =
                if new_first.is_some() { single(None, new_first)? } else { Found::default() };
            found.removed = true;
            found
        }
        _ => {
            let same = old_positions.len() == new_positions.len()
                && old_positions
                    .iter()
                    .zip(new_positions)
                    .all(|(old, new)| equal(&olds.values[*old], &news.values[*new]));
            Found { modified: !same, ..Found::default() }
        }
    };
    below.push(|| step.clone(), found);
    Ok(())
}
