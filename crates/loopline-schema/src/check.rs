//! What the decoder of the API finds in a document: values of the wrong JSON type, in the words
//! of Go's decoder, and fields that a type does not have.

use std::fmt;

use serde_json::{Map, Value};

use crate::types::{Kind, MAXIMUM_DEPTH, Scalar, TypeRef};

/// How many unknown fields are told of one document.
const MAXIMUM_UNKNOWN_FIELDS: usize = 100;

/// A value of the wrong type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeError {
    /// Where it is: `spec.template.spec.containers[0].image`.
    pub field: String,
    /// What Go's decoder says.
    pub message: String,
}

impl fmt::Display for TypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Returns the paths of the fields of `value` that `at` does not declare, in the order of the
/// document, at most a hundred of them. [`unknown_field_message`] words them.
pub fn unknown_fields(at: TypeRef<'_>, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut path = String::new();
    unknown(at, value, &mut path, &mut found, 0);
    found
}

/// Returns how the API words an unknown field.
pub fn unknown_field_message(path: &str) -> String {
    format!("unknown field {path:?}")
}

fn unknown(
    at: TypeRef<'_>,
    value: &Value,
    path: &mut String,
    found: &mut Vec<String>,
    depth: usize,
) {
    if depth > MAXIMUM_DEPTH || found.len() >= MAXIMUM_UNKNOWN_FIELDS {
        return;
    }
    let length = path.len();
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(name);
                match inner(at, name) {
                    Inner::Known(at) => unknown(at, value, path, found, depth + 1),
                    Inner::Open => {}
                    Inner::Unknown if found.len() < MAXIMUM_UNKNOWN_FIELDS => {
                        found.push(path.clone());
                    }
                    Inner::Unknown => {}
                }
                path.truncate(length);
            }
        }
        Value::Array(list) => {
            let Some(element) = element(at) else { return };
            for (index, value) in list.iter().enumerate() {
                path.push_str(&format!("[{index}]"));
                unknown(element, value, path, found, depth + 1);
                path.truncate(length);
            }
        }
        _ => {}
    }
}

/// Removes what `at` does not declare, and fields that are null, which to the API's own types is
/// the same as absent. Returns the complaints of [`unknown_fields`], worded.
pub fn prune_unknown(at: TypeRef<'_>, value: &mut Value) -> Vec<String> {
    let complaints: Vec<String> =
        unknown_fields(at, value).iter().map(|path| unknown_field_message(path)).collect();
    prune(at, value, 0);
    complaints
}

fn prune(at: TypeRef<'_>, value: &mut Value, depth: usize) {
    if depth > MAXIMUM_DEPTH {
        return;
    }
    match value {
        Value::Object(map) => {
            let declares = matches!(at.kind(), Kind::Object(_));
            map.retain(|name, value| match inner(at, name) {
                Inner::Known(at) => {
                    prune(at, value, depth + 1);
                    !(declares && value.is_null() && !at.nullable())
                }
                Inner::Open => true,
                Inner::Unknown => false,
            });
        }
        Value::Array(list) => {
            let Some(element) = element(at) else { return };
            for value in list {
                prune(element, value, depth + 1);
            }
        }
        _ => {}
    }
}

enum Inner<'a> {
    Known(TypeRef<'a>),
    Open,
    Unknown,
}

pub(crate) fn schema_properties() -> TypeRef<'static> {
    crate::definition("apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps")
        .unwrap_or(TypeRef::any())
}

fn inner<'a>(at: TypeRef<'a>, name: &str) -> Inner<'a> {
    match at.kind() {
        Kind::Object(_) => match at.get(name) {
            // Below an open object only what is declared is looked at.
            Some(inner) if at.declared(name).is_none() => {
                debug_assert!(inner.is_open());
                Inner::Open
            }
            Some(inner) => Inner::Known(inner),
            None => Inner::Unknown,
        },
        Kind::Map(_) => at.get(name).map_or(Inner::Open, Inner::Known),
        Kind::Scalar(Scalar::SchemaOrArray | Scalar::SchemaOrBool | Scalar::SchemaOrStrings) => {
            match schema_properties().get(name) {
                Some(inner) => Inner::Known(inner),
                None => Inner::Unknown,
            }
        }
        // A scalar that is an object is a value of the wrong type, which is another complaint.
        _ => Inner::Open,
    }
}

fn element(at: TypeRef<'_>) -> Option<TypeRef<'_>> {
    match at.kind() {
        Kind::Scalar(Scalar::SchemaOrArray) => Some(schema_properties()),
        _ => at.items(),
    }
}

/// Returns the values of `value` that are of another JSON type than `at` declares, in the order
/// of the document.
///
/// The messages are those of Go's decoder, which the API passes on; the API reports the first.
pub fn check_types(at: TypeRef<'_>, value: &Value) -> Vec<TypeError> {
    let mut checker = Checker { path: String::new(), fields: Vec::new(), found: Vec::new() };
    let root = Place { owner: None, go_type: go_type(at) };
    checker.check(at, value, &root, 0);
    checker.found
}

/// The Go struct whose field a value stands in, and the Go type that the value should have.
struct Place {
    owner: Option<String>,
    go_type: String,
}

struct Checker {
    path: String,
    /// The names of the fields on the way; Go's messages leave out indexes and keys.
    fields: Vec<String>,
    found: Vec<TypeError>,
}

impl Checker {
    fn mismatch(&mut self, found: &str, place: &Place, expected: &str) {
        let message = match &place.owner {
            Some(owner) => format!(
                "json: cannot unmarshal {found} into Go struct field {owner}.{} of type {expected}",
                self.fields.join(".")
            ),
            None => format!("json: cannot unmarshal {found} into Go value of type {expected}"),
        };
        self.say(message);
    }

    fn say(&mut self, message: String) {
        self.found.push(TypeError { field: self.path.clone(), message });
    }

    fn check(&mut self, at: TypeRef<'_>, value: &Value, place: &Place, depth: usize) {
        if depth > MAXIMUM_DEPTH {
            return self.say("exceeded max depth".to_owned());
        }
        // Go's decoder leaves a field alone that is null.
        if value.is_null() {
            return;
        }
        match at.kind() {
            Kind::Object(_) => match value {
                Value::Object(map) => self.object(at, map, depth),
                other => self.mismatch(json_type(other), place, &place.go_type),
            },
            Kind::Map(_) => match value {
                Value::Object(map) => {
                    let Some(values) = at.values() else { return };
                    for (name, value) in map {
                        let inner = Place { owner: place.owner.clone(), go_type: go_type(values) };
                        self.below(&format!(".{name}"), |checker| {
                            checker.check(values, value, &inner, depth + 1);
                        });
                    }
                }
                other => self.mismatch(json_type(other), place, &place.go_type),
            },
            Kind::List(_) => match value {
                Value::Array(list) => {
                    let Some(element) = at.items() else { return };
                    for (index, value) in list.iter().enumerate() {
                        let inner = Place { owner: place.owner.clone(), go_type: go_type(element) };
                        self.below(&format!("[{index}]"), |checker| {
                            checker.check(element, value, &inner, depth + 1);
                        });
                    }
                }
                other => self.mismatch(json_type(other), place, &place.go_type),
            },
            Kind::Scalar(scalar) => self.scalar(*scalar, value, place, depth),
            Kind::Any | Kind::Reference(_) | Kind::BuiltIn(_) => {}
        }
    }

    fn below(&mut self, step: &str, check: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        self.path.push_str(if self.path.is_empty() { step.trim_start_matches('.') } else { step });
        check(self);
        self.path.truncate(length);
    }

    fn object(&mut self, at: TypeRef<'_>, map: &Map<String, Value>, depth: usize) {
        let owner = at
            .target()
            .site()
            .definition
            .as_ref()
            .map(|name| name.rsplit('.').next().unwrap_or_default().to_owned());
        for (name, value) in map {
            let Some((_, inner)) = at.declared(name) else { continue };
            let place = Place { owner: owner.clone(), go_type: go_type(inner) };
            self.fields.push(name.clone());
            self.below(&format!(".{name}"), |checker| {
                checker.check(inner, value, &place, depth + 1);
            });
            self.fields.pop();
        }
    }

    fn scalar(&mut self, scalar: Scalar, value: &Value, place: &Place, depth: usize) {
        match (scalar, value) {
            (Scalar::Raw | Scalar::Json, _) => {}
            (Scalar::Fields, Value::Object(_)) => {}
            (Scalar::Quantity, Value::String(text)) => {
                if let Err(error) = loopline_units::quantity::Quantity::parse(text) {
                    self.say(error.to_string());
                }
            }
            (Scalar::Quantity, Value::Number(_)) => {}
            (Scalar::Quantity, _) => self.say(QUANTITY_FORM.to_owned()),
            (Scalar::IntOrString, Value::String(_)) => {}
            (Scalar::IntOrString, value) => self.integer(value, place, "int32"),
            (Scalar::Time | Scalar::MicroTime, Value::String(text)) => {
                let layout = match scalar {
                    Scalar::Time => "2006-01-02T15:04:05Z07:00",
                    _ => "2006-01-02T15:04:05.000000Z07:00",
                };
                if let Some(message) = crate::text::time_problem(text, layout) {
                    self.say(message);
                }
            }
            (Scalar::Bytes, Value::String(text)) => {
                if let Some(at) = crate::text::corrupt_base64(text) {
                    self.say(format!("illegal base64 data at input byte {at}"));
                }
            }
            (Scalar::String | Scalar::Duration, Value::String(_)) => {}
            (Scalar::Boolean, Value::Bool(_)) => {}
            (Scalar::Number, Value::Number(_)) => {}
            (Scalar::Integer32, value) => self.integer(value, place, "int32"),
            (Scalar::Integer | Scalar::Integer64, value) => self.integer(value, place, "int64"),
            (Scalar::SchemaOrBool, Value::Bool(_)) => {}
            (Scalar::SchemaOrArray, Value::Array(list)) => {
                for (index, value) in list.iter().enumerate() {
                    let inner = Place { owner: None, go_type: "v1.JSONSchemaProps".to_owned() };
                    self.below(&format!("[{index}]"), |checker| {
                        checker.check(schema_properties(), value, &inner, depth + 1);
                    });
                }
            }
            (Scalar::SchemaOrStrings, Value::Array(_)) => {}
            (
                Scalar::SchemaOrArray | Scalar::SchemaOrBool | Scalar::SchemaOrStrings,
                value @ Value::Object(_),
            ) => self.check(schema_properties(), value, place, depth + 1),
            (_, value) => {
                let expected = place.go_type.clone();
                self.mismatch(json_type(value), place, &expected);
            }
        }
    }

    fn integer(&mut self, value: &Value, place: &Place, expected: &str) {
        let Value::Number(number) = value else {
            return self.mismatch(json_type(value), place, expected);
        };
        let fits = match expected {
            "int32" => number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
            _ => number.is_i64(),
        };
        if !fits {
            self.mismatch(&format!("number {number}"), place, expected);
        }
    }
}

const QUANTITY_FORM: &str =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Returns the name of a type as Go writes it: `[]v1.Container`, `map[string]string`, `int32`.
fn go_type(at: TypeRef<'_>) -> String {
    match at.kind() {
        Kind::List(_) => format!("[]{}", at.items().map_or_else(String::new, go_type)),
        Kind::Map(_) => format!("map[string]{}", at.values().map_or_else(String::new, go_type)),
        Kind::Scalar(Scalar::Boolean) => "bool".to_owned(),
        Kind::Scalar(Scalar::Integer32) => "int32".to_owned(),
        Kind::Scalar(Scalar::Integer | Scalar::Integer64) => "int64".to_owned(),
        Kind::Scalar(Scalar::Number) => "float64".to_owned(),
        Kind::Scalar(Scalar::Bytes) => "[]uint8".to_owned(),
        Kind::Scalar(Scalar::Time) => "string".to_owned(),
        Kind::Object(_) | Kind::Scalar(_) => match &at.target().site().definition {
            Some(name) => {
                let mut parts = name.rsplit('.');
                let name = parts.next().unwrap_or_default();
                format!("{}.{name}", parts.next().unwrap_or_default())
            }
            None => "string".to_owned(),
        },
        Kind::Any | Kind::Reference(_) | Kind::BuiltIn(_) => "interface {}".to_owned(),
    }
}
