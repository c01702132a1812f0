//! The collector of errors, and a cursor that knows where in the object it is.

use loopline_units::quantity::Quantity;
use serde_json::Value;

use crate::error::{Cause, FieldError, quote};

/// A value and its path. What is absent or null is a cursor too.
#[derive(Clone)]
pub(crate) struct At<'a> {
    /// The value.
    pub(crate) value: &'a Value,
    /// Where it is.
    pub(crate) path: String,
}

impl<'a> At<'a> {
    /// Starts at an object.
    pub(crate) fn root(value: &'a Value) -> Self {
        Self { value, path: String::new() }
    }

    /// Goes to a field, or through several with dots between them.
    pub(crate) fn get(&self, keys: &str) -> Self {
        let value = keys.split('.').fold(self.value, |value, key| &value[key]);
        let path = match self.path.as_str() {
            "" => keys.to_owned(),
            path => format!("{path}.{keys}"),
        };
        Self { value, path }
    }

    /// Returns the same value at another path; Kubernetes reports some values elsewhere.
    pub(crate) fn shown_at(&self, path: String) -> Self {
        Self { value: self.value, path }
    }

    /// Goes to the element or the entry with this key: `path[key]`.
    pub(crate) fn key(&self, key: &str) -> Self {
        Self { value: &self.value[key], path: format!("{}[{key}]", self.path) }
    }

    /// Returns the elements of a list.
    pub(crate) fn items(&self) -> impl Iterator<Item = Self> {
        self.value
            .as_array()
            .into_iter()
            .flatten()
            .enumerate()
            .map(|(index, value)| Self { value, path: format!("{}[{index}]", self.path) })
    }

    /// Returns the entries of a map with their keys.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'a str, Self)> {
        self.value.as_object().into_iter().flatten().map(|(key, value)| {
            (key.as_str(), Self { value, path: format!("{}[{key}]", self.path) })
        })
    }

    /// Shows an absent text as an empty one.
    pub(crate) fn or_empty(&self) -> Self {
        static EMPTY: Value = Value::String(String::new());
        if self.is_set() { self.clone() } else { Self { value: &EMPTY, path: self.path.clone() } }
    }

    /// Returns how many elements or entries there are.
    pub(crate) fn len(&self) -> usize {
        match self.value {
            Value::Array(items) => items.len(),
            Value::Object(fields) => fields.len(),
            _ => 0,
        }
    }

    /// Returns the text, or an empty one.
    pub(crate) fn text(&self) -> &'a str {
        self.value.as_str().unwrap_or_default()
    }

    /// Returns the number, or 0.
    pub(crate) fn number(&self) -> i64 {
        self.value.as_i64().unwrap_or(0)
    }

    /// Returns whether there is a value.
    pub(crate) fn is_set(&self) -> bool {
        !self.value.is_null()
    }

    /// Returns whether the value is `true`.
    pub(crate) fn is_true(&self) -> bool {
        *self.value == true
    }

    /// Returns the quantity, if it is one.
    pub(crate) fn quantity(&self) -> Option<Quantity> {
        match self.value {
            Value::String(text) => Quantity::parse(text).ok(),
            Value::Number(number) => Quantity::parse(&number.to_string()).ok(),
            _ => None,
        }
    }
}

/// Collects errors.
#[derive(Default)]
pub(crate) struct Checker {
    /// What was found, in order.
    pub(crate) found: Vec<FieldError>,
}

impl Checker {
    fn add(&mut self, cause: Cause, at: &At<'_>, value: Value, detail: impl Into<String>) {
        self.found.push(FieldError::new(cause, at.path.clone(), value, detail));
    }

    /// A value that must be there is not.
    pub(crate) fn required(&mut self, at: &At<'_>, detail: impl Into<String>) {
        self.add(Cause::Required, at, "".into(), detail);
    }

    /// The value does not fit.
    pub(crate) fn invalid(&mut self, at: &At<'_>, detail: impl Into<String>) {
        self.add(Cause::Invalid, at, at.value.clone(), detail);
    }

    /// The value does not fit, and another value is shown for it.
    pub(crate) fn invalid_as(
        &mut self,
        at: &At<'_>,
        shown: impl Into<Value>,
        detail: impl Into<String>,
    ) {
        self.add(Cause::Invalid, at, shown.into(), detail);
    }

    /// The value has these problems.
    pub(crate) fn problems(&mut self, at: &At<'_>, problems: Vec<String>) {
        for problem in problems {
            self.invalid(at, problem);
        }
    }

    /// The field must not be there, or must not change.
    pub(crate) fn forbidden(&mut self, at: &At<'_>, detail: impl Into<String>) {
        self.add(Cause::Forbidden, at, "".into(), detail);
    }

    /// The value is there already.
    pub(crate) fn duplicate(&mut self, at: &At<'_>) {
        self.add(Cause::Duplicate, at, at.value.clone(), "");
    }

    /// Something shown is there already.
    pub(crate) fn duplicate_as(
        &mut self,
        at: &At<'_>,
        shown: impl Into<Value>,
        detail: impl Into<String>,
    ) {
        self.add(Cause::Duplicate, at, shown.into(), detail);
    }

    /// What the value names is not there.
    pub(crate) fn not_found(&mut self, at: &At<'_>, detail: impl Into<String>) {
        self.add(Cause::NotFound, at, at.value.clone(), detail);
    }

    /// The value is too long, in bytes.
    pub(crate) fn too_long(&mut self, at: &At<'_>, most: usize) {
        let unit = if most == 1 { "byte" } else { "bytes" };
        self.add(Cause::TooLong, at, "".into(), format!("may not be more than {most} {unit}"));
    }

    /// The list is too long.
    pub(crate) fn too_many(&mut self, at: &At<'_>, most: usize) {
        let unit = if most == 1 { "item" } else { "items" };
        let detail = format!("must have at most {most} {unit}");
        self.add(Cause::TooMany, at, at.len().into(), detail);
    }

    /// The value is none of those allowed.
    pub(crate) fn unsupported(&mut self, at: &At<'_>, supported: &[&str]) {
        let mut detail = "supported values: ".to_owned();
        for (index, value) in supported.iter().enumerate() {
            if index > 0 {
                detail.push_str(", ");
            }
            quote(value, &mut detail);
        }
        self.add(Cause::NotSupported, at, at.value.clone(), detail);
    }

    /// Checks that a text that is there is one of those allowed.
    pub(crate) fn one_of(&mut self, at: &At<'_>, supported: &[&str]) {
        if at.is_set() && !supported.contains(&at.text()) {
            self.unsupported(at, supported);
        }
    }

    /// Checks that there is a text and that it is one of those allowed.
    pub(crate) fn required_one_of(&mut self, at: &At<'_>, supported: &[&str]) {
        if at.text().is_empty() {
            self.required(at, "");
        } else if !supported.contains(&at.text()) {
            self.unsupported(at, supported);
        }
    }

    /// Checks that there is a text.
    pub(crate) fn required_text(&mut self, at: &At<'_>) {
        if at.text().is_empty() {
            self.required(at, "");
        }
    }

    /// Checks that a number is not negative.
    pub(crate) fn not_negative(&mut self, at: &At<'_>) {
        if at.number() < 0 {
            self.invalid(at, "must be greater than or equal to 0");
        }
    }

    /// Checks that a value stays as it was.
    pub(crate) fn immutable(&mut self, new: &At<'_>, old: &At<'_>) {
        if !equal(new.value, old.value) {
            self.invalid(new, "field is immutable");
        }
    }
}

/// Sets a field of an object, or of one that is to be made; null removes it.
pub(super) fn put(holder: &mut Value, key: &str, value: Value) {
    if holder.is_null() && !value.is_null() {
        *holder = Value::Object(serde_json::Map::new());
    }
    let Some(fields) = holder.as_object_mut() else { return };
    if value.is_null() {
        fields.shift_remove(key);
    } else {
        fields.insert(key.to_owned(), value);
    }
}

/// Returns whether two values say the same: null is absence, `[]` and `{}` are absence, numbers
/// are equal by value, and so are amounts of resources.
pub(crate) fn equal(a: &Value, b: &Value) -> bool {
    const AMOUNTS: [&str; 4] = ["requests", "limits", "capacity", "overhead"];
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    };
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let same = |key: &String, a: &Value, b: &Value| {
                equal(a, b) || AMOUNTS.contains(&key.as_str()) && equal_amounts(a, b)
            };
            a.iter().all(|(key, value)| same(key, value, b.get(key).unwrap_or(&Value::Null)))
                && b.iter().all(|(key, value)| a.contains_key(key) || empty(value))
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        _ => a == b || empty(a) && empty(b),
    }
}

/// Returns whether two maps of resources have the same quantities.
fn equal_amounts(a: &Value, b: &Value) -> bool {
    let (Some(a), Some(b)) = (a.as_object(), b.as_object()) else { return false };
    let amount = |value: &Value| At::root(value).quantity();
    a.len() == b.len()
        && a.iter().all(|(key, value)| {
            b.get(key).is_some_and(|other| {
                value == other || amount(value).is_some() && amount(value) == amount(other)
            })
        })
}
