//! Whether a schema is structural: every value has a type, and what stands in `allOf`, `anyOf`,
//! `oneOf` and `not` only narrows what is declared outside of them.

use serde_json::{Value, json};

use super::build::{flag, text};
use crate::types::MAXIMUM_DEPTH;
use crate::{Cause, FieldError};

/// Where a schema stands.
#[derive(Clone, Copy, PartialEq)]
enum Level {
    Root,
    Field,
    Item,
}

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];

/// Keywords of JSON Schema that the API does not take.
const UNSUPPORTED: [&str; 7] = [
    "id",
    "additionalItems",
    "patternProperties",
    "definitions",
    "dependencies",
    "$ref",
    "$schema",
];

/// Returns every reason for which the API refuses a schema.
pub(super) fn check(schema: &Value, path: &str) -> Vec<FieldError> {
    let mut checker = Checker { errors: Vec::new() };
    if flag(schema, "nullable") {
        checker.forbid(format!("{path}.nullable"), "nullable cannot be true at the root");
    }
    checker.structural(schema, Level::Root, path, 0);
    checker.complete(schema, schema, path, path, 0);
    checker.errors
}

/// Returns the inner schemas of a list of them.
fn list<'a>(schema: &'a Value, key: &str) -> impl Iterator<Item = (usize, &'a Value)> {
    schema.get(key).and_then(Value::as_array).into_iter().flatten().enumerate()
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

/// Returns whether a schema says `anyOf: [{type: integer}, {type: string}]`.
fn is_int_or_string_choice(schema: &Value) -> bool {
    schema.get("anyOf") == Some(&json!([{"type": "integer"}, {"type": "string"}]))
}

struct Checker {
    errors: Vec<FieldError>,
}

impl Checker {
    fn say(&mut self, cause: Cause, path: String, value: Value, detail: impl Into<String>) {
        self.errors.push(FieldError::new(cause, path, value, detail));
    }

    fn forbid(&mut self, path: String, detail: impl Into<String>) {
        self.say(Cause::Forbidden, path, Value::Null, detail);
    }

    fn require(&mut self, path: String, detail: impl Into<String>) {
        self.say(Cause::Required, path, Value::Null, detail);
    }

    fn invalid(&mut self, path: String, value: Value, detail: impl Into<String>) {
        self.say(Cause::Invalid, path, value, detail);
    }

    /// Says that a value is required, or another one, depending on whether there is one.
    fn must_be(&mut self, path: String, found: &str, detail: &str) {
        if found.is_empty() {
            self.require(path, detail);
        } else {
            self.invalid(path, json!(found), detail);
        }
    }

    fn too_deep(&mut self, path: &str, depth: usize) -> bool {
        if depth > MAXIMUM_DEPTH {
            self.forbid(path.to_owned(), format!("schemas nest at most {MAXIMUM_DEPTH} deep"));
        }
        depth > MAXIMUM_DEPTH
    }

    fn structural(&mut self, schema: &Value, level: Level, path: &str, depth: usize) {
        if self.too_deep(path, depth) {
            return;
        }
        if !schema.is_object() {
            return self.invalid(path.to_owned(), schema.clone(), "must be a schema object");
        }
        self.keywords(schema, path);
        self.lists_and_maps(schema, path);
        if let Some(items) = schema.get("items").filter(|items| !items.is_array()) {
            self.structural(items, Level::Item, &format!("{path}.items"), depth + 1);
        }
        for (name, inner) in properties(schema) {
            let path = format!("{path}.properties[{name}]");
            self.structural(inner, Level::Field, &path, depth + 1);
        }
        if let Some(values) = schema.get("additionalProperties") {
            let path = format!("{path}.additionalProperties");
            if level == Level::Root {
                self.forbid(path.clone(), "must not be used at the root");
            }
            if schema.get("properties").and_then(Value::as_object).is_some_and(|p| !p.is_empty())
                && values != &Value::Bool(true)
            {
                let detail = "additionalProperties and properties are mutual exclusive";
                self.forbid(path.clone(), detail);
            }
            if values.is_object() {
                self.structural(values, Level::Field, &path, depth + 1);
            }
        }
        self.extensions(schema, path);
        let int_or_string = flag(schema, "x-kubernetes-int-or-string");
        let skip_any = int_or_string && is_int_or_string_choice(schema);
        let skip_first = int_or_string
            && list(schema, "allOf")
                .next()
                .is_some_and(|(_, first)| is_int_or_string_choice(first));
        self.junctions(schema, skip_any, skip_first, path, depth);
        self.types(schema, level, path);
    }

    fn types(&mut self, schema: &Value, level: Level, path: &str) {
        let kind = text(schema, "type");
        let embedded = flag(schema, "x-kubernetes-embedded-resource");
        let open = flag(schema, "x-kubernetes-preserve-unknown-fields");
        let at = format!("{path}.type");
        if embedded && kind != "object" {
            let detail = "must be object if x-kubernetes-embedded-resource is true";
            self.must_be(at, kind, detail);
        } else if kind.is_empty() && !flag(schema, "x-kubernetes-int-or-string") && !open {
            let detail = match level {
                Level::Root => "must not be empty at the root",
                Level::Item => "must not be empty for specified array items",
                Level::Field => "must not be empty for specified object fields",
            };
            self.require(at, detail);
        } else if level == Level::Root && !kind.is_empty() && kind != "object" {
            self.invalid(at, json!(kind), "must be object at the root");
        }
        let whole = level == Level::Root || embedded;
        if !whole {
            return;
        }
        if embedded && !open && properties(schema).next().is_none() {
            let detail = "must not be empty if x-kubernetes-embedded-resource is true without \
                          x-kubernetes-preserve-unknown-fields";
            self.require(format!("{path}.properties"), detail);
        }
        for (name, inner) in properties(schema) {
            let (expected, detail) = match name.as_str() {
                "kind" | "apiVersion" => ("string", "must be string"),
                "metadata" => ("object", "must be object"),
                _ => continue,
            };
            let path = format!("{path}.properties[{name}]");
            let kind = text(inner, "type");
            if kind != expected {
                self.invalid(format!("{path}.type"), json!(kind), detail);
            }
            let restricts = |inner: &Value| {
                let other = |key: &str| !matches!(key, "type" | "properties" | "description");
                inner.as_object().is_some_and(|map| map.keys().any(|key| other(key)))
                    || properties(inner).any(|(name, _)| name != "name" && name != "generateName")
            };
            if name == "metadata" && restricts(inner) {
                let detail = "must not specify anything other than name and generateName, but \
                              metadata is implicitly specified";
                self.forbid(path, detail);
            }
        }
    }

    /// Checks keywords that are no part of the API's dialect, or not with these values.
    fn keywords(&mut self, schema: &Value, path: &str) {
        let kind = text(schema, "type");
        if kind == "null" {
            let detail = "type cannot be set to null, use nullable as an alternative";
            self.forbid(format!("{path}.type"), detail);
        } else if !kind.is_empty() && !TYPES.contains(&kind) {
            self.unsupported(format!("{path}.type"), kind, &TYPES);
        }
        for key in UNSUPPORTED {
            let empty = |value: &Value| {
                value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty)
            };
            if schema.get(key).is_some_and(|value| !empty(value)) {
                self.forbid(format!("{path}.{key}"), format!("{key} is not supported"));
            }
        }
        if flag(schema, "uniqueItems") {
            let detail = "uniqueItems cannot be set to true since the runtime complexity becomes \
                          quadratic";
            self.forbid(format!("{path}.uniqueItems"), detail);
        }
        if schema.get("items").is_some_and(Value::is_array) {
            let detail = "items must be a schema object and not an array";
            self.forbid(format!("{path}.items"), detail);
        }
        if schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)) {
            let at = format!("{path}.x-kubernetes-preserve-unknown-fields");
            self.invalid(at, json!(false), "must be true or undefined");
        }
        if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
            && let Err(error) = super::compile_pattern(pattern)
        {
            let detail = format!("must be a valid regular expression, but isn't: {error}");
            self.invalid(format!("{path}.pattern"), json!(pattern), detail);
        }
        for (index, rule) in list(schema, "x-kubernetes-validations") {
            if text(rule, "rule").trim().is_empty() {
                let at = format!("{path}.x-kubernetes-validations[{index}].rule");
                self.require(at, "rule is not specified");
            }
        }
    }

    fn unsupported(&mut self, path: String, value: &str, supported: &[&str]) {
        let supported: Vec<_> = supported.iter().map(|value| format!("{value:?}")).collect();
        let detail = format!("supported values: {}", supported.join(", "));
        self.say(Cause::NotSupported, path, json!(value), detail);
    }

    fn extensions(&mut self, schema: &Value, path: &str) {
        if !flag(schema, "x-kubernetes-int-or-string") {
            return;
        }
        for key in ["x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"] {
            if flag(schema, key) {
                let detail = "must be false if x-kubernetes-int-or-string is true";
                self.invalid(format!("{path}.{key}"), json!(true), detail);
            }
        }
        let kind = text(schema, "type");
        if !kind.is_empty() {
            let detail = "must be empty if x-kubernetes-int-or-string is true";
            self.invalid(format!("{path}.type"), json!(kind), detail);
        }
    }

    fn lists_and_maps(&mut self, schema: &Value, path: &str) {
        let kind = text(schema, "type");
        let map_type = text(schema, "x-kubernetes-map-type");
        if !map_type.is_empty() {
            if kind != "object" {
                let detail = "must be object if x-kubernetes-map-type is specified";
                self.must_be(format!("{path}.type"), kind, detail);
            }
            if !matches!(map_type, "atomic" | "granular") {
                let at = format!("{path}.x-kubernetes-map-type");
                self.unsupported(at, map_type, &["atomic", "granular"]);
            }
        }
        let list_type = text(schema, "x-kubernetes-list-type");
        let at_type = format!("{path}.x-kubernetes-list-type");
        if !list_type.is_empty() && kind != "array" {
            let detail = "must be array if x-kubernetes-list-type is specified";
            self.must_be(format!("{path}.type"), kind, detail);
        } else if !matches!(list_type, "" | "atomic" | "set" | "map") {
            self.unsupported(at_type.clone(), list_type, &["atomic", "map", "set"]);
        }
        let keys: Vec<_> = list(schema, "x-kubernetes-list-map-keys")
            .filter_map(|(_, key)| key.as_str())
            .collect();
        if !keys.is_empty() && list_type != "map" {
            let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
            self.must_be(at_type, list_type, detail);
        }
        let Some(items) = schema.get("items").filter(|items| items.is_object()) else {
            if list_type == "map" {
                let detail = "must have a schema if x-kubernetes-list-type is map";
                self.require(format!("{path}.items"), detail);
            }
            return;
        };
        if list_type == "map" {
            self.list_map(items, &keys, path);
        }
        if list_type == "set" {
            let detail = "must be atomic as item of a list with x-kubernetes-list-type=set";
            let inner = text(items, "x-kubernetes-list-type");
            if text(items, "type") == "array" && !matches!(inner, "" | "atomic") {
                self.invalid(format!("{path}.items.x-kubernetes-list-type"), json!(inner), detail);
            }
            let inner = text(items, "x-kubernetes-map-type");
            if text(items, "type") == "object" && inner != "atomic" {
                self.invalid(format!("{path}.items.x-kubernetes-map-type"), json!(inner), detail);
            }
        }
        if matches!(list_type, "set" | "map") && flag(items, "nullable") {
            let detail = format!("cannot be nullable when x-kubernetes-list-type is {list_type}");
            self.forbid(format!("{path}.items.nullable"), detail);
        }
    }

    fn list_map(&mut self, items: &Value, keys: &[&str], path: &str) {
        let at_keys = format!("{path}.x-kubernetes-list-map-keys");
        if keys.is_empty() {
            let detail = "must not be empty if x-kubernetes-list-type is map";
            self.require(at_keys.clone(), detail);
        }
        let kind = text(items, "type");
        if kind != "object" {
            let detail = "must be object if parent array's x-kubernetes-list-type is map";
            return self.invalid(format!("{path}.items.type"), json!(kind), detail);
        }
        for (index, key) in keys.iter().enumerate() {
            let property = items.get("properties").and_then(|properties| properties.get(*key));
            let at = format!("{path}.items.properties[{key}]");
            match property {
                None => {
                    let detail = "entries must all be names of item properties";
                    self.invalid(at_keys.clone(), json!(keys), detail);
                }
                Some(property) => {
                    let inner = text(property, "type");
                    if matches!(inner, "array" | "object") {
                        let detail = "must be a scalar type if parent array's \
                                      x-kubernetes-list-type is map";
                        self.invalid(format!("{at}.type"), json!(inner), detail);
                    }
                    let required = list(items, "required").any(|(_, name)| name == *key);
                    if !required && property.get("default").is_none() {
                        let detail = "this property is in x-kubernetes-list-map-keys, so it must \
                                      have a default or be a required property";
                        self.require(format!("{at}.default"), detail);
                    }
                }
            }
            if keys[..index].contains(key) {
                let detail = "must not contain duplicate entries";
                self.invalid(at_keys.clone(), json!(keys), detail);
            }
        }
    }

    /// Checks what stands in `allOf`, `anyOf`, `oneOf` and `not`.
    fn junctions(
        &mut self,
        schema: &Value,
        skip_any: bool,
        skip_first: bool,
        path: &str,
        depth: usize,
    ) {
        if !skip_any {
            for (index, inner) in list(schema, "anyOf") {
                self.nested(inner, false, &format!("{path}.anyOf[{index}]"), depth + 1);
            }
        }
        for (index, inner) in list(schema, "allOf") {
            let skip = skip_first && index == 0;
            self.nested(inner, skip, &format!("{path}.allOf[{index}]"), depth + 1);
        }
        for (index, inner) in list(schema, "oneOf") {
            self.nested(inner, false, &format!("{path}.oneOf[{index}]"), depth + 1);
        }
        if let Some(inner) = schema.get("not") {
            self.nested(inner, false, &format!("{path}.not"), depth + 1);
        }
    }

    fn nested(&mut self, schema: &Value, skip_any: bool, path: &str, depth: usize) {
        if self.too_deep(path, depth) {
            return;
        }
        self.junctions(schema, skip_any, false, path, depth);
        if let Some(items) = schema.get("items") {
            self.nested(items, false, &format!("{path}.items"), depth + 1);
        }
        for (name, inner) in properties(schema) {
            self.nested(inner, false, &format!("{path}.properties[{name}]"), depth + 1);
        }
        for (key, what) in [
            ("type", "empty"),
            ("additionalProperties", "undefined"),
            ("default", "undefined"),
            ("title", "empty"),
            ("description", "empty"),
            ("nullable", "false"),
            ("x-kubernetes-preserve-unknown-fields", "false"),
            ("x-kubernetes-embedded-resource", "false"),
            ("x-kubernetes-int-or-string", "false"),
            ("x-kubernetes-list-map-keys", "empty"),
            ("x-kubernetes-list-type", "undefined"),
            ("x-kubernetes-map-type", "undefined"),
        ] {
            let found = schema.get(key);
            let set = match what {
                "false" => found == Some(&Value::Bool(true)),
                "empty" => found.is_some_and(|value| !matches!(value.as_str(), Some(""))),
                _ => found.is_some(),
            };
            if set {
                self.forbid(format!("{path}.{key}"), format!("must be {what} to be structural"));
            }
        }
        if properties(schema).any(|(name, _)| name == "metadata") {
            let detail = "must not be specified in a nested context";
            self.forbid(format!("{path}.properties[metadata]"), detail);
        }
        if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
            && let Err(error) = super::compile_pattern(pattern)
        {
            let detail = format!("must be a valid regular expression, but isn't: {error}");
            self.invalid(format!("{path}.pattern"), json!(pattern), detail);
        }
    }

    /// Checks that what the junctions of `narrowing` speak of is declared by `schema`.
    fn complete(&mut self, schema: &Value, narrowing: &Value, at: &str, by: &str, depth: usize) {
        if depth > MAXIMUM_DEPTH {
            return;
        }
        for key in ["allOf", "anyOf", "oneOf"] {
            for (index, inner) in list(narrowing, key) {
                self.declared(schema, inner, at, &format!("{by}.{key}[{index}]"), depth + 1);
            }
        }
        if let Some(inner) = narrowing.get("not") {
            self.declared(schema, inner, at, &format!("{by}.not"), depth + 1);
        }
        // Below the declared places there may be junctions of their own.
        if std::ptr::eq(schema, narrowing) {
            for (name, inner) in properties(schema) {
                let path = format!("{at}.properties[{name}]");
                self.complete(inner, inner, &path, &path, depth + 1);
            }
            for key in ["items", "additionalProperties"] {
                if let Some(inner) = schema.get(key).filter(|inner| inner.is_object()) {
                    let path = format!("{at}.{key}");
                    self.complete(inner, inner, &path, &path, depth + 1);
                }
            }
        }
    }

    fn declared(&mut self, schema: &Value, narrowing: &Value, at: &str, by: &str, depth: usize) {
        self.complete(schema, narrowing, at, by, depth);
        for (name, inner) in properties(narrowing) {
            let (at, by) = (format!("{at}.properties[{name}]"), format!("{by}.properties[{name}]"));
            match schema.get("properties").and_then(|properties| properties.get(name)) {
                Some(declared) => self.declared(declared, inner, &at, &by, depth + 1),
                None => self.require(at, format!("because it is defined in {by}")),
            }
        }
        if let Some(inner) = narrowing.get("items") {
            let (at, by) = (format!("{at}.items"), format!("{by}.items"));
            match schema.get("items") {
                Some(declared) => self.declared(declared, inner, &at, &by, depth + 1),
                None => self.require(at, format!("because it is defined in {by}")),
            }
        }
    }
}
