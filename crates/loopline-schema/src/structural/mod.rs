//! Custom resources: their schemas are checked to be structural and compiled to the same types
//! as built-in kinds; their objects are pruned, completed with defaults and validated.
//!
//! Rules in CEL (`x-kubernetes-validations`) are listed with their places; they run elsewhere.

mod build;
mod complete;
mod form;
mod formats;
mod values;

use std::collections::HashMap;

use regex::{Regex, RegexBuilder};
use serde_json::Value;

pub use complete::{apply_defaults, prune};

use crate::types::MAXIMUM_DEPTH;
use crate::{Cause, FieldError, Schema};

/// How many bytes a compiled pattern may take.
const MAXIMUM_PATTERN_BYTES: usize = 1 << 20;

/// What a custom resource's schema asks beyond types.
#[derive(Clone, Debug, Default)]
pub(crate) struct Custom {
    /// The schema as it was given.
    pub(crate) schema: Value,
    /// The compiled form of every pattern in it.
    pub(crate) patterns: HashMap<String, Regex>,
}

/// Compiles the `openAPIV3Schema` of a version of a custom resource; `path` is where it stands:
/// `spec.versions[0].schema.openAPIV3Schema`.
///
/// # Errors
/// Every reason for which the API refuses the schema.
pub fn compile(schema: &Value, path: &str) -> Result<Schema, Vec<FieldError>> {
    let mut errors = form::check(schema, path);
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut patterns = HashMap::new();
    collect_patterns(schema, &mut patterns);
    let mut compiled = build::build(schema);
    compiled.custom = Some(Box::new(Custom { schema: schema.clone(), patterns }));
    check_defaults(&compiled, schema, path, &mut errors);
    if errors.is_empty() { Ok(compiled) } else { Err(errors) }
}

/// Validates an object of a custom resource. Metadata is validated as of every object, elsewhere.
pub fn validate(schema: &Schema, object: &Value) -> Vec<FieldError> {
    match &schema.custom {
        Some(custom) => values::validate(custom, &custom.schema, "", object),
        None => Vec::new(),
    }
}

/// Compiles a pattern; an error is told in the manner of Go's parser.
pub(crate) fn compile_pattern(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern).size_limit(MAXIMUM_PATTERN_BYTES).build().map_err(|error| {
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or_default();
        let reason = reason.strip_prefix("error: ").unwrap_or(reason);
        format!("error parsing regexp: {reason}: `{pattern}`")
    })
}

/// Calls with every schema below a schema, itself included, and where it stands.
fn each_schema<'a>(
    schema: &'a Value,
    path: &str,
    depth: usize,
    take: &mut dyn FnMut(&'a Value, &str),
) {
    if depth > MAXIMUM_DEPTH {
        return;
    }
    take(schema, path);
    for key in ["items", "additionalProperties", "not"] {
        if let Some(inner) = schema.get(key).filter(|inner| inner.is_object()) {
            each_schema(inner, &format!("{path}.{key}"), depth + 1, take);
        }
    }
    if let Some(Value::Object(properties)) = schema.get("properties") {
        for (name, inner) in properties {
            each_schema(inner, &format!("{path}.properties[{name}]"), depth + 1, take);
        }
    }
    for key in ["allOf", "anyOf", "oneOf"] {
        for (index, inner) in
            schema.get(key).and_then(Value::as_array).into_iter().flatten().enumerate()
        {
            each_schema(inner, &format!("{path}.{key}[{index}]"), depth + 1, take);
        }
    }
}

fn collect_patterns(schema: &Value, patterns: &mut HashMap<String, Regex>) {
    each_schema(schema, "", 0, &mut |schema, _| {
        if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
            && let Ok(regex) = compile_pattern(pattern)
        {
            patterns.insert(pattern.to_owned(), regex);
        }
    });
}

/// Checks that every default is a value of its own schema and has no field that it does not have.
fn check_defaults(compiled: &Schema, schema: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let Some(custom) = &compiled.custom else { return };
    each_schema(schema, path, 0, &mut |schema, path| {
        let Some(default) = schema.get("default") else { return };
        let path = format!("{path}.default");
        let part = build::build_part(schema);
        let mut pruned = default.clone();
        if !prune(part.root(), &mut pruned).is_empty() {
            let detail = "must not have unknown fields";
            errors.push(FieldError::new(Cause::Invalid, path, default.clone(), detail));
            return;
        }
        let mut completed = default.clone();
        apply_defaults(part.root(), &mut completed);
        // The validator knows of the default alone; its errors stand below the schema's place.
        errors.extend(values::validate(custom, schema, "", &completed).into_iter().map(
            |mut error| {
                error.field = match error.field.as_str() {
                    values::NOWHERE => path.clone(),
                    field if field.starts_with('[') => format!("{path}{field}"),
                    field => format!("{path}.{field}"),
                };
                error
            },
        ));
    });
}

/// A step from an object to a place in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A field of an object.
    Field(String),
    /// Every element of a list.
    Items,
    /// Every value of a map.
    Values,
}

/// The rules in CEL of one place.
#[derive(Clone, Debug, PartialEq)]
pub struct Validations<'a> {
    /// How one gets there from the object.
    pub steps: Vec<Step>,
    /// The schema of the place.
    pub schema: &'a Value,
    /// Its `x-kubernetes-validations`.
    pub rules: &'a [Value],
}

/// Returns the places of a compiled schema that have rules in CEL, outer ones first.
pub fn validations(schema: &Schema) -> Vec<Validations<'_>> {
    let mut found = Vec::new();
    if let Some(custom) = &schema.custom {
        collect_validations(&custom.schema, &mut Vec::new(), &mut found);
    }
    found
}

fn collect_validations<'a>(
    schema: &'a Value,
    steps: &mut Vec<Step>,
    found: &mut Vec<Validations<'a>>,
) {
    if steps.len() > MAXIMUM_DEPTH {
        return;
    }
    if let Some(Value::Array(rules)) = schema.get("x-kubernetes-validations")
        && !rules.is_empty()
    {
        found.push(Validations { steps: steps.clone(), schema, rules });
    }
    let mut below = |step: Step, inner: &'a Value| {
        steps.push(step);
        collect_validations(inner, steps, found);
        steps.pop();
    };
    if let Some(Value::Object(properties)) = schema.get("properties") {
        for (name, inner) in properties {
            below(Step::Field(name.clone()), inner);
        }
    }
    if let Some(items) = schema.get("items") {
        below(Step::Items, items);
    }
    if let Some(values) = schema.get("additionalProperties").filter(|v| v.is_object()) {
        below(Step::Values, values);
    }
}
