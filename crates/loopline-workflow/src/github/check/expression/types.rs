//! The types that values in expressions have, as far as they are known before the run.

use std::collections::BTreeMap;
use std::fmt;

/// A type.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Type {
    Any,
    Null,
    Number,
    Boolean,
    String,
    Object(Object),
    /// A list of elements; `filtered` where `.*` made it.
    Array(Box<Type>, bool),
}

/// An object: the properties that are known, and what any other one would be.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Object {
    pub(crate) properties: BTreeMap<String, Type>,
    /// `None` where there are no others.
    pub(crate) others: Option<Box<Type>>,
}

impl Object {
    /// Returns an object that has these properties and no others.
    pub(crate) fn strict<K: Into<String>>(properties: impl IntoIterator<Item = (K, Type)>) -> Self {
        let properties = properties.into_iter().map(|(key, value)| (key.into(), value)).collect();
        Self { properties, others: None }
    }

    /// Returns an object all of whose properties have one type.
    pub(crate) fn map(value: Type) -> Self {
        Self { properties: BTreeMap::new(), others: Some(Box::new(value)) }
    }

    pub(crate) fn property(&self, name: &str) -> Option<&Type> {
        self.properties.get(name).or(self.others.as_deref())
    }
}

impl Type {
    pub(crate) fn strict<K: Into<String>>(properties: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::Object(Object::strict(properties))
    }

    pub(crate) fn map(value: Self) -> Self {
        Self::Object(Object::map(value))
    }

    /// Returns an object of which nothing is known.
    pub(crate) fn loose() -> Self {
        Self::map(Self::Any)
    }

    pub(crate) fn array(element: Self) -> Self {
        Self::Array(Box::new(element), false)
    }

    /// Returns the type of a value that is of this type or the other.
    #[must_use]
    pub(crate) fn merge(self, other: Self) -> Self {
        match (self, other) {
            (a, b) if a == b => a,
            (Self::String, Self::Number | Self::Boolean)
            | (Self::Number | Self::Boolean, Self::String) => Self::String,
            (Self::Array(a, x), Self::Array(b, y)) => Self::Array(Box::new(a.merge(*b)), x && y),
            (Self::Object(a), Self::Object(b)) => Self::Object(merge_objects(a, b)),
            _ => Self::Any,
        }
    }

    /// Returns whether a value of this type may stand where `wanted` is wanted.
    pub(crate) fn fits(&self, wanted: &Self) -> bool {
        match (self, wanted) {
            (Self::Any, _) | (_, Self::Any | Self::Boolean) => true,
            (Self::Number | Self::Boolean, Self::String) => true,
            (Self::Array(a, _), Self::Array(b, _)) => a.fits(b),
            (Self::Object(a), Self::Object(b)) => {
                b.properties.iter().all(|(key, b)| a.property(key).is_none_or(|a| a.fits(b)))
            }
            (a, b) => a == b,
        }
    }

    /// Returns whether the value would be useless as text.
    pub(crate) fn is_structured(&self) -> bool {
        matches!(self, Self::Object(_) | Self::Array(..) | Self::Null)
    }
}

fn merge_objects(mut a: Object, b: Object) -> Object {
    let others = match (a.others, b.others) {
        (None, None) => None,
        (Some(x), Some(y)) => Some(Box::new(x.merge(*y))),
        (Some(x), None) | (None, Some(x)) => Some(x),
    };
    for (key, value) in b.properties {
        let value = match a.properties.remove(&key) {
            Some(own) => own.merge(value),
            None => value,
        };
        a.properties.insert(key, value);
    }
    Object { properties: a.properties, others }
}

/// The number of properties that are written out in messages.
const MAX_SHOWN: usize = 12;

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Null => f.write_str("null"),
            Self::Number => f.write_str("number"),
            Self::Boolean => f.write_str("boolean"),
            Self::String => f.write_str("string"),
            Self::Array(element, _) => write!(f, "array of {element}"),
            Self::Object(object) => object.fmt(f),
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.properties.is_empty() && self.others.is_some() {
            return f.write_str("object");
        }
        f.write_str("{")?;
        for (index, key) in self.properties.keys().enumerate() {
            if index == MAX_SHOWN {
                f.write_str(", ...")?;
                break;
            }
            write!(f, "{}{key}", if index == 0 { "" } else { ", " })?;
        }
        f.write_str("}")
    }
}
