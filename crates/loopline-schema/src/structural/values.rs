//! Whether a value fits a schema, in the words of the API's validator.

use serde_json::{Map, Value, json};

use super::build::{flag, text};
use super::{Custom, formats};
use crate::types::MAXIMUM_DEPTH;
use crate::{Cause, FieldError};

/// How many errors are told of one object.
const MAXIMUM_ERRORS: usize = 200;

/// Validates a value against a schema; `path` is where the value stands.
pub(super) fn validate(
    custom: &Custom,
    schema: &Value,
    path: &str,
    value: &Value,
) -> Vec<FieldError> {
    let validator = Validator { custom };
    let mut found = Found::default();
    validator.value(schema, path, value, &mut found, 0);
    let mut errors = found.errors;
    duplicates(schema, path, value, &mut errors, 0);
    errors.truncate(MAXIMUM_ERRORS);
    errors
}

#[derive(Default)]
struct Found {
    errors: Vec<FieldError>,
    /// How many checks passed: of several alternatives, the best is told of.
    matches: usize,
}

impl Found {
    fn add(&mut self, cause: Cause, path: &str, value: Value, detail: impl Into<String>) {
        if self.errors.len() < MAXIMUM_ERRORS {
            let path = if path.is_empty() { NOWHERE } else { path };
            self.errors.push(FieldError::new(cause, path, value, detail));
        }
    }

    fn check(&mut self, passed: bool, error: impl FnOnce(&mut Self)) {
        if passed {
            self.matches += 1;
        } else {
            error(self);
        }
    }
}

struct Validator<'a> {
    custom: &'a Custom,
}

fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if is_whole(number) => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn is_whole(number: &serde_json::Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|n| n.fract() == 0.0)
}

/// Returns a number as Go's `%v` shows a float.
fn go_number(value: &Value) -> String {
    let number = value.as_f64().unwrap_or_default();
    let text = format!("{number:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if number == 0.0 || (-4..6).contains(&exponent) {
        format!("{number}")
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{digits}e{sign}{:02}", exponent.abs())
    }
}

/// Returns a bound as the message about a value shows it: whole beside a whole value.
fn bound_text(bound: &Value, value: &Value) -> String {
    match (value.is_f64(), bound.as_f64()) {
        (false, Some(bound)) => (bound as i64).to_string(),
        _ => go_number(bound),
    }
}

fn child(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn limit(schema: &Value, key: &str) -> Option<u64> {
    schema.get(key).and_then(Value::as_u64)
}

impl Validator<'_> {
    fn value(&self, schema: &Value, path: &str, value: &Value, found: &mut Found, depth: usize) {
        if depth > MAXIMUM_DEPTH {
            let detail = format!("values nest at most {MAXIMUM_DEPTH} deep");
            return found.add(Cause::Invalid, path, Value::Null, detail);
        }
        self.of_type(schema, path, value, found);
        if !value.is_null() {
            self.junctions(schema, path, value, found, depth);
            match value {
                Value::String(text) => self.string(schema, path, text, found),
                Value::Number(_) => Self::number(schema, path, value, found),
                Value::Array(list) => self.list(schema, path, list, found, depth),
                _ => {}
            }
        }
        if let Some(Value::Array(allowed)) = schema.get("enum") {
            found.check(allowed.iter().any(|one| same(one, value)), |found| {
                let quoted: Vec<_> = allowed
                    .iter()
                    .map(|one| match one {
                        Value::String(text) => format!("{text:?}"),
                        other => format!("{:?}", other.to_string()),
                    })
                    .collect();
                let detail = format!("supported values: {}", quoted.join(", "));
                found.add(Cause::NotSupported, path, value.clone(), detail);
            });
        }
        if let Value::Object(map) = value {
            self.object(schema, path, map, found, depth);
        }
    }

    fn of_type(&self, schema: &Value, path: &str, value: &Value, found: &mut Found) {
        let declared = text(schema, "type");
        let actual = json_type(value);
        let fits = match (declared, actual) {
            (_, "null") => {
                flag(schema, "nullable") || (declared.is_empty() && !flag(schema, INT_OR_STRING))
            }
            ("", "integer" | "string") => true,
            ("", _) => !flag(schema, INT_OR_STRING),
            ("number", "integer") => true,
            _ => declared == actual,
        };
        found.check(fits, |found| {
            let declared = if declared.is_empty() { "integer,string" } else { declared };
            let detail = format!("{path} in body must be of type {declared}: {actual:?}");
            found.add(Cause::TypeInvalid, path, json!(actual), detail);
        });
    }

    fn junctions(
        &self,
        schema: &Value,
        path: &str,
        value: &Value,
        found: &mut Found,
        depth: usize,
    ) {
        let alternatives = |key: &str| {
            schema.get(key).and_then(Value::as_array).filter(|list| !list.is_empty()).map(|list| {
                list.iter()
                    .map(|inner| {
                        let mut found = Found::default();
                        self.value(inner, path, value, &mut found, depth + 1);
                        found
                    })
                    .collect::<Vec<_>>()
            })
        };
        // The API's validator tells of these as of nowhere; the place is in the text.
        let say = |found: &mut Found, text: String| {
            found.add(Cause::Invalid, "", json!(""), format!("{path:?} {text}"));
        };
        if let Some(results) = alternatives("anyOf") {
            let fits = results.iter().any(|result| result.errors.is_empty());
            found.check(fits, |found| {
                say(found, "must validate at least one schema (anyOf)".to_owned());
                found.errors.extend(best(results));
            });
        }
        if let Some(results) = alternatives("oneOf") {
            let valid = results.iter().filter(|result| result.errors.is_empty()).count();
            found.check(valid == 1, |found| {
                let how = match valid {
                    0 => "Found none valid".to_owned(),
                    _ => format!("Found {valid} valid alternatives"),
                };
                say(found, format!("must validate one and only one schema (oneOf). {how}"));
                if valid == 0 {
                    found.errors.extend(best(results));
                }
            });
        }
        if let Some(results) = alternatives("allOf") {
            let valid = results.iter().filter(|result| result.errors.is_empty()).count();
            found.check(valid == results.len(), |found| {
                let none = if valid == 0 { ". None validated" } else { "" };
                say(found, format!("must validate all the schemas (allOf){none}"));
                found.errors.extend(results.into_iter().flat_map(|result| result.errors));
            });
        }
        if let Some(inner) = schema.get("not") {
            let mut result = Found::default();
            self.value(inner, path, value, &mut result, depth + 1);
            found.check(!result.errors.is_empty(), |found| {
                say(found, "must not validate the schema (not)".to_owned());
            });
        }
    }

    fn string(&self, schema: &Value, path: &str, value: &str, found: &mut Found) {
        let length = value.chars().count() as u64;
        if let Some(most) = limit(schema, "maxLength") {
            found.check(length <= most, |found| {
                let detail = format!("may not be more than {most} bytes");
                found.add(Cause::TooLong, path, json!(value), detail);
            });
        }
        if let Some(least) = limit(schema, "minLength") {
            found.check(length >= least, |found| {
                let detail = format!("{path} in body should be at least {least} chars long");
                found.add(Cause::Invalid, path, json!(value), detail);
            });
        }
        let pattern = text(schema, "pattern");
        if let Some(regex) = self.custom.patterns.get(pattern) {
            found.check(regex.is_match(value), |found| {
                let detail = format!("{path} in body should match '{pattern}'");
                found.add(Cause::Invalid, path, json!(value), detail);
            });
        }
        let format = text(schema, "format");
        found.check(formats::fits(format, value), |found| {
            let detail = format!("{path} in body must be of type {format}: {value:?}");
            found.add(Cause::TypeInvalid, path, json!(value), detail);
        });
    }

    fn number(schema: &Value, path: &str, value: &Value, found: &mut Found) {
        let number = value.as_f64().unwrap_or_default();
        let mut bound =
            |key: &str, exclusive: &str, fits: fn(f64, f64, bool) -> bool, than: &str| {
                let Some(bound) = schema.get(key).filter(|bound| bound.is_number()) else { return };
                let exclusive = flag(schema, exclusive);
                found.check(fits(number, bound.as_f64().unwrap_or_default(), exclusive), |found| {
                    let equal = if exclusive { "" } else { " or equal to" };
                    let than = than.replace(" than", &format!(" than{equal}"));
                    let detail =
                        format!("{path} in body should be {than} {}", bound_text(bound, value));
                    found.add(Cause::Invalid, path, value.clone(), detail);
                });
            };
        let at_most = |number: f64, bound: f64, exclusive: bool| {
            number < bound || (!exclusive && number == bound)
        };
        bound("maximum", "exclusiveMaximum", at_most, "less than");
        let at_least = |number: f64, bound: f64, exclusive: bool| {
            number > bound || (!exclusive && number == bound)
        };
        bound("minimum", "exclusiveMinimum", at_least, "greater than");
        if let Some(factor) = schema.get("multipleOf").filter(|factor| factor.is_number()) {
            let quotient = number / factor.as_f64().unwrap_or(1.0);
            found.check(quotient.fract() == 0.0, |found| {
                let detail =
                    format!("{path} in body should be a multiple of {}", bound_text(factor, value));
                found.add(Cause::Invalid, path, value.clone(), detail);
            });
        }
    }

    fn list(&self, schema: &Value, path: &str, list: &[Value], found: &mut Found, depth: usize) {
        if let Some(items) = schema.get("items").filter(|items| items.is_object()) {
            for (index, value) in list.iter().enumerate() {
                self.value(items, &format!("{path}[{index}]"), value, found, depth + 1);
            }
        }
        let length = list.len() as u64;
        if let Some(least) = limit(schema, "minItems") {
            found.check(length >= least, |found| {
                let detail = format!("{path} in body should have at least {least} items");
                found.add(Cause::Invalid, path, json!(length), detail);
            });
        }
        if let Some(most) = limit(schema, "maxItems") {
            found.check(length <= most, |found| {
                let detail = format!("must have at most {most} item{}", plural(most));
                found.add(Cause::TooMany, path, json!(length), detail);
            });
        }
        if flag(schema, "uniqueItems") {
            let twice = |(index, one): (usize, &Value)| list[..index].iter().any(|b| same(one, b));
            found.check(!list.iter().enumerate().any(twice), |found| {
                let detail = format!("{path} in body shouldn't contain duplicates");
                found.add(Cause::Invalid, path, Value::Array(list.to_vec()), detail);
            });
        }
    }

    fn object(
        &self,
        schema: &Value,
        path: &str,
        map: &Map<String, Value>,
        found: &mut Found,
        depth: usize,
    ) {
        let length = map.len() as u64;
        if let Some(least) = limit(schema, "minProperties") {
            found.check(length >= least, |found| {
                let detail = format!("{path} in body should have at least {least} properties");
                found.add(Cause::Invalid, path, json!(length), detail);
            });
        }
        if let Some(most) = limit(schema, "maxProperties") {
            found.check(length <= most, |found| {
                let detail = format!("must have at most {most} item{}", plural(most));
                found.add(Cause::TooMany, path, json!(length), detail);
            });
        }
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            let Some(name) = name.as_str() else { continue };
            found.check(map.contains_key(name), |found| {
                found.add(Cause::Required, &child(path, name), Value::Null, "");
            });
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        let values = schema.get("additionalProperties").filter(|values| values.is_object());
        for (name, value) in map {
            let inner = properties.and_then(|properties| properties.get(name)).or(values);
            if let Some(inner) = inner {
                self.value(inner, &child(path, name), value, found, depth + 1);
            }
        }
    }
}

/// How the API names the place of an error that has none.
pub(super) const NOWHERE: &str = "<nil>";

const INT_OR_STRING: &str = "x-kubernetes-int-or-string";

fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn best(results: Vec<Found>) -> Vec<FieldError> {
    let most = results.iter().map(|result| result.matches).max();
    let best = results.into_iter().find(|result| Some(result.matches) == most);
    best.map(|result| result.errors).unwrap_or_default()
}

/// Returns whether two values are the same as JSON has it: `1` and `1.0` are.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => one == other,
    }
}

/// Finds what stands twice in lists that are sets or maps.
fn duplicates(
    schema: &Value,
    path: &str,
    value: &Value,
    errors: &mut Vec<FieldError>,
    depth: usize,
) {
    if depth > MAXIMUM_DEPTH || errors.len() >= MAXIMUM_ERRORS {
        return;
    }
    match value {
        Value::Array(list) => {
            let items = schema.get("items").unwrap_or(&Value::Null);
            let keys: Option<Vec<_>> = match text(schema, "x-kubernetes-list-type") {
                "map" => schema
                    .get("x-kubernetes-list-map-keys")
                    .and_then(Value::as_array)
                    .map(|keys| keys.iter().filter_map(Value::as_str).collect()),
                "set" => Some(Vec::new()),
                _ => None,
            };
            if let Some(keys) = keys {
                let mut seen = std::collections::HashSet::new();
                for (index, value) in list.iter().enumerate() {
                    let identity = identity(value, &keys);
                    if !seen.insert(canonical(&identity)) {
                        let path = format!("{path}[{index}]");
                        errors.push(FieldError::new(Cause::Duplicate, path, identity, ""));
                    }
                }
            }
            for (index, value) in list.iter().enumerate() {
                duplicates(items, &format!("{path}[{index}]"), value, errors, depth + 1);
            }
        }
        Value::Object(map) => {
            let properties = schema.get("properties");
            for (name, value) in map {
                let inner = properties
                    .and_then(|properties| properties.get(name))
                    .or_else(|| schema.get("additionalProperties"));
                if let Some(inner) = inner {
                    duplicates(inner, &child(path, name), value, errors, depth + 1);
                }
            }
        }
        _ => {}
    }
}

/// Returns what tells an element of a list apart: its keys, or the whole of it.
fn identity(value: &Value, keys: &[&str]) -> Value {
    match value {
        Value::Object(map) if !keys.is_empty() => Value::Object(
            keys.iter()
                .filter_map(|key| Some(((*key).to_owned(), map.get(*key)?.clone())))
                .collect(),
        ),
        other => other.clone(),
    }
}

/// Returns a text that is the same for the same value, whatever the order of fields.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut fields: Vec<_> =
                map.iter().map(|(key, value)| format!("{key:?}:{}", canonical(value))).collect();
            fields.sort();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(list) => {
            format!("[{}]", list.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        Value::Number(number) => go_number(&Value::Number(number.clone())),
        other => other.to_string(),
    }
}
