//! Whether a value is one of its type, as far as merging needs to know.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use super::walk::item_element;
use crate::depth::{TooDeep, bounded};
use crate::path::PathElement;
use crate::types::{ScalarKind, Shape, Type};

/// How many problems of one value are reported.
const MAX_PROBLEMS: usize = 100;

/// What to do about items of a set or list map that are there twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duplicates {
    /// They are problems: a configuration must not have them.
    Refused,
    /// They are let through: objects from before the rule may have them.
    Tolerated,
}

/// One problem of a value, with the path of the field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The field, such as `.spec.ports`; empty for the value itself.
    pub path: String,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            formatter.write_str(&self.message)
        } else {
            write!(formatter, "{}: {}", self.path, self.message)
        }
    }
}

/// The problems of a value, at least one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [problem] => problem.fmt(formatter),
            problems => {
                formatter.write_str("errors:")?;
                problems.iter().try_for_each(|problem| write!(formatter, "\n  {problem}"))
            }
        }
    }
}

impl From<TooDeep> for Problems {
    fn from(error: TooDeep) -> Self {
        Self(vec![Problem { path: String::new(), message: error.to_string() }])
    }
}

/// Checks a value against its type.
///
/// # Errors
///
/// Fails with undeclared fields, values of another kind than the type's, list items without
/// their keys and, if so asked, duplicate items.
pub fn validate<T: Type>(value: &Value, ty: T, duplicates: Duplicates) -> Result<(), Problems> {
    bounded(value)?;
    let mut checker = Checker { duplicates, problems: Vec::new() };
    checker.check(value, ty, &Trail { parent: None, step: Step::Root });
    if checker.problems.is_empty() { Ok(()) } else { Err(Problems(checker.problems)) }
}

/// The way to a value, kept on the stack and spelt out only for problems.
struct Trail<'a> {
    parent: Option<&'a Trail<'a>>,
    step: Step<'a>,
}

enum Step<'a> {
    Root,
    Field(&'a str),
    Item(&'a PathElement),
    Index(usize),
}

impl fmt::Display for Trail<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(formatter)?;
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Field(name) => write!(formatter, ".{name}"),
            Step::Item(element) => element.fmt(formatter),
            Step::Index(index) => write!(formatter, "[{index}]"),
        }
    }
}

struct Checker {
    duplicates: Duplicates,
    problems: Vec<Problem>,
}

impl Checker {
    fn report(&mut self, trail: &Trail<'_>, message: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Problem { path: trail.to_string(), message });
        }
    }

    fn check<T: Type>(&mut self, value: &Value, ty: T, trail: &Trail<'_>) {
        if value.is_null() {
            return;
        }
        match ty.shape() {
            Shape::Scalar => self.check_scalar(value, ty.scalar(), trail),
            Shape::AtomicList => {
                let Some(items) = self.list(value, trail) else { return };
                let Some(element) = ty.element() else { return };
                for (index, item) in items.iter().enumerate() {
                    let trail = Trail { parent: Some(trail), step: Step::Index(index) };
                    self.check(item, element, &trail);
                }
            }
            Shape::Set => self.check_items(value, ty, &[], trail),
            Shape::ListMap(keys) => self.check_items(value, ty, keys, trail),
            Shape::AtomicMap | Shape::Map => {
                let Value::Object(map) = value else {
                    return self.report(trail, format!("expected map, got {value}"));
                };
                for (name, value) in map {
                    let trail = Trail { parent: Some(trail), step: Step::Field(name) };
                    match ty.field(name) {
                        Some(field) => self.check(value, field, &trail),
                        None => {
                            self.report(&trail, "field not declared in schema".to_owned());
                        }
                    }
                }
            }
            Shape::Deduced => {}
        }
    }

    fn check_scalar(&mut self, value: &Value, kind: ScalarKind, trail: &Trail<'_>) {
        let expected = match (kind, value) {
            (ScalarKind::Any, _)
            | (ScalarKind::Number, Value::Number(_))
            | (ScalarKind::String, Value::String(_))
            | (ScalarKind::Boolean, Value::Bool(_)) => return,
            (ScalarKind::Number, _) => "numeric (int or float)",
            (ScalarKind::String, _) => "string",
            (ScalarKind::Boolean, _) => "boolean",
        };
        self.report(trail, format!("expected {expected}, got {value}"));
    }

    fn list<'v>(&mut self, value: &'v Value, trail: &Trail<'_>) -> Option<&'v [Value]> {
        if let Value::Array(items) = value {
            return Some(items);
        }
        self.report(trail, format!("expected list, got {value}"));
        None
    }

    fn check_items<T: Type>(&mut self, value: &Value, ty: T, keys: &[String], trail: &Trail<'_>) {
        let Some(items) = self.list(value, trail) else { return };
        let element = ty.element();
        let mut seen = BTreeSet::new();
        for (index, item) in items.iter().enumerate() {
            let step = match item_element(keys, element, item) {
                Ok(step) => step,
                Err(error) => {
                    self.report(trail, format!("element {index}: {error}"));
                    continue;
                }
            };
            if self.duplicates == Duplicates::Refused && seen.contains(&step) {
                self.report(trail, format!("duplicate entries for key {step}"));
            }
            if let Some(element) = element {
                let trail = Trail { parent: Some(trail), step: Step::Item(&step) };
                self.check(item, element, &trail);
            }
            if self.duplicates == Duplicates::Refused {
                seen.insert(step);
            }
        }
    }
}
