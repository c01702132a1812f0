//! What differs between two objects, for people: paths with the old and the new value.

use serde_json::Value;

use crate::depth::{TooDeep, bounded};
use crate::order::equal;
use crate::path::{Path, PathElement};
use crate::structured::ItemError;
use crate::types::{Shape, Type};

/// One place where two objects differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference<'v> {
    /// The place, such as `.spec.ports[port=80,protocol="TCP"].name`.
    pub path: Path,
    /// What was there; nothing if it is new.
    pub old: Option<&'v Value>,
    /// What is there now; nothing if it was removed.
    pub new: Option<&'v Value>,
}

/// Returns all places where two objects of a type differ, in the order of the old object.
///
/// Items of list maps and sets are paired by their keys, all others by their position. What is
/// only on one side is one difference, not one for every field in it.
///
/// # Errors
///
/// Fails with values too deep.
pub fn between<'v, T: Type>(
    old: &'v Value,
    new: &'v Value,
    ty: T,
) -> Result<Vec<Difference<'v>>, TooDeep> {
    bounded(old)?;
    bounded(new)?;
    let mut walk = Walk { path: Vec::new(), found: Vec::new() };
    walk.visit(Some(old), Some(new), Some(ty));
    Ok(walk.found)
}

struct Walk<'v> {
    path: Vec<PathElement>,
    found: Vec<Difference<'v>>,
}

impl<'v> Walk<'v> {
    fn step<T: Type>(
        &mut self,
        element: PathElement,
        old: Option<&'v Value>,
        new: Option<&'v Value>,
        ty: Option<T>,
    ) {
        self.path.push(element);
        self.visit(old, new, ty);
        self.path.pop();
    }

    fn visit<T: Type>(&mut self, old: Option<&'v Value>, new: Option<&'v Value>, ty: Option<T>) {
        match (old, new) {
            (Some(Value::Object(olds)), Some(Value::Object(news))) => {
                let field = |name: &str| ty.and_then(|ty| ty.field(name));
                for (name, old) in olds {
                    self.step(PathElement::field(name), Some(old), news.get(name), field(name));
                }
                for (name, new) in news.iter().filter(|(name, _)| !olds.contains_key(*name)) {
                    self.step(PathElement::field(name), None, Some(new), field(name));
                }
            }
            (Some(Value::Array(olds)), Some(Value::Array(news))) => {
                let element = ty.and_then(|ty| ty.element());
                let named = ty.and_then(|ty| match ty.shape() {
                    Shape::ListMap(keys) => names(keys, element, olds, news),
                    Shape::Set => names(&[], element, olds, news),
                    _ => None,
                });
                match named {
                    Some((old_names, new_names)) => {
                        for (old, name) in olds.iter().zip(&old_names) {
                            let position = new_names.iter().position(|other| other == name);
                            let new = position.and_then(|position| news.get(position));
                            self.step(name.clone(), Some(old), new, element);
                        }
                        for (new, name) in news.iter().zip(new_names) {
                            if !old_names.contains(&name) {
                                self.step(name, None, Some(new), element);
                            }
                        }
                    }
                    None => {
                        for index in 0..olds.len().max(news.len()) {
                            let step = i64::try_from(index).unwrap_or(i64::MAX);
                            let (old, new) = (olds.get(index), news.get(index));
                            self.step(PathElement::Index(step), old, new, element);
                        }
                    }
                }
            }
            (Some(old), Some(new)) if equal(old, new) => {}
            (None, None) => {}
            (old, new) => self.found.push(Difference { path: Path(self.path.clone()), old, new }),
        }
    }
}

/// Names the items of both lists; nothing if they cannot all be told apart.
fn names<T: Type>(
    keys: &[String],
    element: Option<T>,
    olds: &[Value],
    news: &[Value],
) -> Option<(Vec<PathElement>, Vec<PathElement>)> {
    let name = |items: &[Value]| -> Option<Vec<PathElement>> {
        let named: Result<Vec<PathElement>, ItemError> =
            items.iter().map(|item| crate::structured::item_element(keys, element, item)).collect();
        let named = named.ok()?;
        let distinct: std::collections::BTreeSet<&PathElement> = named.iter().collect();
        (distinct.len() == named.len()).then_some(named)
    };
    Some((name(olds)?, name(news)?))
}
