//! Field sets that were written when the schema was another: what was whole has parts now, or the
//! other way round.

use serde_json::Value;

use super::fields::{FieldSetError, field_set};
use crate::path::{PathElement, PathSet};
use crate::types::{Shape, Type};

/// Returns a manager's set as the type of today would have it; nothing if it is the same.
///
/// A set that owns a field whole owns all its parts once the type has parts; a set that owns parts
/// owns the whole once the type is atomic.
///
/// # Errors
///
/// Fails if the live value's own fields cannot be told.
pub fn reconcile<T: Type>(
    set: &PathSet,
    live: &Value,
    ty: T,
) -> Result<Option<PathSet>, FieldSetError> {
    if ty.shape() == Shape::Deduced {
        return Ok(None);
    }
    let mut walk = Walk {
        live,
        ty,
        live_set: None,
        path: Vec::new(),
        removed: PathSet::new(),
        added: PathSet::new(),
    };
    walk.visit(Some(set), false, ty)?;
    if walk.removed.is_empty() && walk.added.is_empty() {
        return Ok(None);
    }
    Ok(Some(set.recursive_difference(&walk.removed).union(&walk.added)))
}

struct Walk<'a, T> {
    live: &'a Value,
    ty: T,
    /// All fields of the live value, made when first needed.
    live_set: Option<PathSet>,
    path: Vec<PathElement>,
    removed: PathSet,
    added: PathSet,
}

impl<T: Type> Walk<'_, T> {
    /// `whole` says that the set owns the value itself and nothing below it.
    fn visit(&mut self, set: Option<&PathSet>, whole: bool, ty: T) -> Result<(), FieldSetError> {
        match ty.shape() {
            Shape::Scalar | Shape::Deduced => return Ok(()),
            Shape::AtomicList => {
                if !whole {
                    self.join();
                }
                return Ok(());
            }
            Shape::AtomicMap => {
                if !whole && set.is_some_and(|set| !set.is_empty()) {
                    self.join();
                }
                return Ok(());
            }
            Shape::Set | Shape::ListMap(_) | Shape::Map => {
                if whole && ty.splits() {
                    self.split()?;
                }
            }
        }
        for node in set.map(PathSet::nodes).unwrap_or_default() {
            let below = match &node.element {
                PathElement::Field(name) => ty.field(name),
                _ => ty.element(),
            };
            // What the type does not know any more is left as it is.
            let Some(below) = below else { continue };
            let children = (!node.children.is_empty()).then_some(&node.children);
            self.path.push(node.element.clone());
            let visited = self.visit(children, node.member && children.is_none(), below);
            self.path.pop();
            visited?;
        }
        Ok(())
    }

    /// The parts become the whole.
    fn join(&mut self) {
        self.removed.insert(&self.path);
        self.added.insert(&self.path);
    }

    /// The whole becomes its parts.
    fn split(&mut self) -> Result<(), FieldSetError> {
        if self.live_set.is_none() {
            self.live_set = Some(field_set(self.live, self.ty)?);
        }
        let below = self.live_set.as_ref().and_then(|set| set.below(&self.path));
        match below {
            Some(below) => self.added.insert_tree(&self.path, below),
            None => self.added.insert(&self.path),
        }
        Ok(())
    }
}
