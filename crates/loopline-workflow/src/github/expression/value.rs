//! The values of expressions, and how GitHub compares and converts them.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::number::{format_number, parse_number};
use super::object::Object;
use super::ordinal::{compare_ignore_case, equals_ignore_case};

/// A value; cheap to clone. Arrays and objects are equal only to themselves.
#[derive(Clone, Debug, Default)]
pub enum Value {
    /// Nothing.
    #[default]
    Null,
    /// A boolean.
    Bool(bool),
    /// A number; there is only this one kind.
    Number(f64),
    /// A string.
    String(Arc<str>),
    /// An array.
    Array(Arc<Array>),
    /// An object.
    Object(Arc<Object>),
}

/// What a [`Value`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Nothing.
    Null,
    /// A boolean.
    Boolean,
    /// A number.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

impl Kind {
    /// Returns the name GitHub gives it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Null => "Null",
            Self::Boolean => "Boolean",
            Self::Number => "Number",
            Self::String => "String",
            Self::Array => "Array",
            Self::Object => "Object",
        }
    }

    /// Returns whether values of this kind hold no others.
    pub fn is_primitive(self) -> bool {
        !matches!(self, Self::Array | Self::Object)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Values in order.
#[derive(Clone, Debug, Default)]
pub struct Array {
    items: Vec<Value>,
    filtered: bool,
}

impl Array {
    /// Makes an array that `*` produced: an index behind it applies to each of its items.
    pub(super) fn filtered(items: Vec<Value>) -> Self {
        Self { items, filtered: true }
    }

    /// Returns whether `*` produced it.
    pub fn is_filtered(&self) -> bool {
        self.filtered
    }
}

impl Deref for Array {
    type Target = [Value];

    fn deref(&self) -> &[Value] {
        &self.items
    }
}

impl From<Vec<Value>> for Array {
    fn from(items: Vec<Value>) -> Self {
        Self { items, filtered: false }
    }
}

impl FromIterator<Value> for Array {
    fn from_iter<T: IntoIterator<Item = Value>>(items: T) -> Self {
        Vec::from_iter(items).into()
    }
}

impl Value {
    /// Makes a string.
    pub fn string(text: impl Into<Arc<str>>) -> Self {
        Self::String(text.into())
    }

    /// Makes an array.
    pub fn array(items: impl IntoIterator<Item = Value>) -> Self {
        Self::Array(Arc::new(items.into_iter().collect()))
    }

    /// Makes an object whose keys do not know case.
    pub fn object<K: Into<Arc<str>>>(entries: impl IntoIterator<Item = (K, Value)>) -> Self {
        Self::Object(Arc::new(entries.into_iter().collect()))
    }

    /// Returns what it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Null => Kind::Null,
            Self::Bool(_) => Kind::Boolean,
            Self::Number(_) => Kind::Number,
            Self::String(_) => Kind::String,
            Self::Array(_) => Kind::Array,
            Self::Object(_) => Kind::Object,
        }
    }

    /// Returns whether it counts as true: not null, false, zero, NaN or the empty string.
    pub fn truthy(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(value) => *value,
            Self::Number(value) => *value != 0.0 && !value.is_nan(),
            Self::String(text) => !text.is_empty(),
            Self::Array(_) | Self::Object(_) => true,
        }
    }

    /// Returns its text: nothing for null, `Array` and `Object` for those.
    pub fn to_text(&self) -> Cow<'_, str> {
        match self {
            Self::Null => Cow::Borrowed(""),
            Self::Bool(true) => Cow::Borrowed("true"),
            Self::Bool(false) => Cow::Borrowed("false"),
            Self::Number(value) => format_number(*value),
            Self::String(text) => Cow::Borrowed(text),
            Self::Array(_) | Self::Object(_) => Cow::Borrowed(self.kind().name()),
        }
    }

    /// Returns its text as a value, sharing a string.
    pub(super) fn into_text(self) -> Arc<str> {
        match self {
            Self::String(text) => text,
            other => Arc::from(&*other.to_text()),
        }
    }

    /// Returns the number it counts as; NaN for arrays, objects and strings that are no number.
    pub fn to_number(&self) -> f64 {
        match self {
            Self::Null => 0.0,
            Self::Bool(value) => f64::from(u8::from(*value)),
            Self::Number(value) => *value,
            Self::String(text) => parse_number(text),
            Self::Array(_) | Self::Object(_) => f64::NAN,
        }
    }

    /// Returns whether `==` holds: strings without case, different kinds as numbers, arrays and
    /// objects by identity, NaN never.
    pub fn loose_eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(left), Self::Bool(right)) => left == right,
            (Self::String(left), Self::String(right)) => equals_ignore_case(left, right),
            (Self::Array(left), Self::Array(right)) => Arc::ptr_eq(left, right),
            (Self::Object(left), Self::Object(right)) => Arc::ptr_eq(left, right),
            _ => self.both_primitive(other) && self.to_number() == other.to_number(),
        }
    }

    /// Compares as `<` and `>` do; `None` where neither holds.
    pub fn loose_cmp(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Null, Self::Null) => None,
            (Self::Bool(left), Self::Bool(right)) => Some(left.cmp(right)),
            (Self::String(left), Self::String(right)) => Some(compare_ignore_case(left, right)),
            _ if self.both_primitive(other) => self.to_number().partial_cmp(&other.to_number()),
            _ => None,
        }
    }

    fn both_primitive(&self, other: &Self) -> bool {
        self.kind().is_primitive() && other.kind().is_primitive()
    }

    /// Returns the member a name stands for, without case unless the object knows it.
    pub fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Object(object) => object.get(name),
            _ => None,
        }
    }

    /// Converts JSON; of keys that differ only in case the first counts.
    pub fn from_json(json: &serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::Number(value) => Self::Number(value.as_f64().unwrap_or(f64::NAN)),
            serde_json::Value::String(text) => Self::string(&**text),
            serde_json::Value::Array(items) => Self::array(items.iter().map(Self::from_json)),
            serde_json::Value::Object(members) => {
                let mut object = Object::new();
                for (name, value) in members {
                    object.insert_json(name.as_str(), Self::from_json(value));
                }
                Self::Object(Arc::new(object))
            }
        }
    }

    /// Converts to JSON; whole numbers become integers, what JSON has no number for becomes null.
    pub fn to_json(&self) -> serde_json::Value {
        /// Above this, not every integer is a double.
        const MAX_SAFE: f64 = 9_007_199_254_740_991.0;
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(value) => (*value).into(),
            #[expect(clippy::cast_possible_truncation, reason = "whole and within 53 bits")]
            Self::Number(value) if value.fract() == 0.0 && value.abs() <= MAX_SAFE => {
                (*value as i64).into()
            }
            Self::Number(value) => (*value).into(),
            Self::String(text) => (&**text).into(),
            Self::Array(items) => items.iter().map(Self::to_json).collect(),
            Self::Object(object) => {
                let members =
                    object.iter().map(|(name, value)| (name.to_string(), value.to_json()));
                serde_json::Value::Object(members.collect())
            }
        }
    }
}

impl From<&serde_json::Value> for Value {
    fn from(json: &serde_json::Value) -> Self {
        Self::from_json(json)
    }
}

impl From<serde_json::Value> for Value {
    fn from(json: serde_json::Value) -> Self {
        Self::from_json(&json)
    }
}

impl From<&Value> for serde_json::Value {
    fn from(value: &Value) -> Self {
        value.to_json()
    }
}

impl From<Value> for serde_json::Value {
    fn from(value: Value) -> Self {
        value.to_json()
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Number(value)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::string(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::string(text)
    }
}

impl From<Arc<str>> for Value {
    fn from(text: Arc<str>) -> Self {
        Self::String(text)
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::Object(Arc::new(object))
    }
}

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Self {
        Self::Array(Arc::new(items.into()))
    }
}
