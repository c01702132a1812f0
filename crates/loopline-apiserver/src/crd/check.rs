//! What definitions must be beside well-formed: schemas that compile, paths that lead somewhere,
//! conversions that can be made. Their names and versions are judged with the built-in kinds.

use std::collections::HashSet;

use loopline_schema::{Cause, FieldError};
use serde_json::{Value, json};

use super::custom::Custom;
use super::jsonpath::JsonPath;

/// The formats of printer columns.
const COLUMN_FORMATS: &[&str] =
    &["", "binary", "byte", "date", "date-time", "double", "float", "int32", "int64", "password"];

/// The most selectable fields of a version.
const MAX_SELECTABLE_FIELDS: usize = 8;

/// Returns what is wrong with a definition.
pub(crate) fn check(definition: &Value) -> Vec<FieldError> {
    let mut checker = Checker { errors: Vec::new() };
    let spec = &definition["spec"];
    let versions = spec["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (index, version) in versions.iter().enumerate() {
        checker.version(spec, version, &format!("spec.versions[{index}]"));
    }
    // A webhook is asked only where there is something to convert.
    if spec["conversion"]["strategy"] == "Webhook" && versions.len() > 1 {
        let detail = "conversion by webhook is not supported here: serve one version, or use the \
                      strategy None where the versions have the same fields";
        checker.invalid("spec.conversion.strategy", json!("Webhook"), detail);
    }
    checker.errors
}

struct Checker {
    errors: Vec<FieldError>,
}

impl Checker {
    fn invalid(&mut self, path: impl Into<String>, value: Value, detail: impl Into<String>) {
        self.errors.push(FieldError::new(Cause::Invalid, path, value, detail));
    }

    fn required(&mut self, path: impl Into<String>, detail: &str) {
        self.errors.push(FieldError::new(Cause::Required, path, json!(""), detail));
    }

    fn version(&mut self, spec: &Value, version: &Value, path: &str) {
        let schema = &version["schema"]["openAPIV3Schema"];
        let group = spec["group"].as_str().unwrap_or_default();
        let kind = spec["names"]["kind"].as_str().unwrap_or_default();
        if schema.is_object()
            && let Err(mut errors) = Custom::compile(group, kind, version, path)
        {
            self.errors.append(&mut errors);
        }
        if let Some(scale) = version["subresources"].get("scale").filter(|one| one.is_object()) {
            let path = format!("{path}.subresources.scale");
            for key in ["specReplicasPath", "statusReplicasPath", "labelSelectorPath"] {
                self.place(scale, key, &path);
            }
        }
        let columns = version["additionalPrinterColumns"].as_array();
        for (index, column) in columns.into_iter().flatten().enumerate() {
            self.column(column, &format!("{path}.additionalPrinterColumns[{index}]"));
        }
        self.selectable(version, schema, path);
    }

    fn place(&mut self, scale: &Value, key: &str, path: &str) {
        let path = format!("{path}.{key}");
        let value = scale[key].as_str().unwrap_or_default();
        if value.is_empty() {
            return;
        }
        if !JsonPath::parse(value).is_ok_and(|path| path.fields().is_some()) {
            return self.invalid(path, json!(value), "should be a json path of fields only");
        }
        let fits = value.starts_with(".spec.") || value.starts_with(".status.");
        if key == "labelSelectorPath" && !fits {
            let detail = "should be a json path under either .spec or .status";
            self.invalid(path, json!(value), detail);
        }
    }

    fn column(&mut self, column: &Value, path: &str) {
        let text = |key: &str| column[key].as_str().unwrap_or_default();
        if !COLUMN_FORMATS.contains(&text("format")) {
            let detail = format!("must be one of {}", COLUMN_FORMATS[1..].join(","));
            self.invalid(format!("{path}.format"), json!(text("format")), detail);
        }
        if !text("jsonPath").is_empty()
            && let Err(error) = JsonPath::parse(text("jsonPath"))
        {
            self.invalid(format!("{path}.jsonPath"), json!(text("jsonPath")), error);
        }
    }

    fn selectable(&mut self, version: &Value, schema: &Value, path: &str) {
        let path = format!("{path}.selectableFields");
        let fields = version["selectableFields"].as_array().map(Vec::as_slice).unwrap_or_default();
        if fields.len() > MAX_SELECTABLE_FIELDS {
            let detail = format!("must have at most {MAX_SELECTABLE_FIELDS} items");
            let count = json!(fields.len());
            self.errors.push(FieldError::new(Cause::TooMany, path.clone(), count, detail));
        }
        let mut seen = HashSet::new();
        for (index, field) in fields.iter().enumerate() {
            let path = format!("{path}[{index}].jsonPath");
            let text = field["jsonPath"].as_str().unwrap_or_default();
            if text.is_empty() {
                self.required(path, "");
                continue;
            }
            let parsed = JsonPath::parse(text);
            let Some(names) = parsed.as_ref().ok().and_then(JsonPath::fields) else {
                self.invalid(path, json!(text), "is an invalid path: only fields are allowed");
                continue;
            };
            let at = names.iter().try_fold(schema, |at, name| at["properties"].get(name));
            match at.map(|at| at["type"].as_str().unwrap_or_default()) {
                _ if names.first() == Some(&"metadata") => {
                    self.invalid(path, json!(text), "must not point to fields in metadata");
                }
                None => self.invalid(
                    path,
                    json!(text),
                    format!("is an invalid path: does not refer to a valid field: {text}"),
                ),
                Some("string" | "boolean" | "integer") => {
                    if !seen.insert(text) {
                        self.errors.push(FieldError::new(Cause::Duplicate, path, json!(text), ""));
                    }
                }
                Some(_) => {
                    let detail = "must point to a field of type string, boolean or integer. \
                                  Enum string fields and strings with formats are allowed.";
                    self.invalid(path, json!(text), detail);
                }
            }
        }
    }
}
