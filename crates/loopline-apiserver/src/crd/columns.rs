//! The columns that a definition asks to be printed.

use loopline_clock::Timestamp;
use loopline_units::show_age;
use serde_json::{Value, json};

use super::jsonpath::JsonPath;
use crate::object;

/// One column after the name.
#[derive(Clone, Debug)]
pub(super) struct Column {
    definition: Value,
    kind: String,
    /// Nothing for a path that cannot be read; definitions with such are refused.
    path: Option<JsonPath>,
}

/// Returns the columns of a version; the age where it names none.
pub(super) fn columns(version: &Value) -> Vec<Column> {
    let age = [json!({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"})];
    let given = version["additionalPrinterColumns"].as_array().map(Vec::as_slice);
    given
        .filter(|given| !given.is_empty())
        .unwrap_or(&age)
        .iter()
        .map(|column| {
            let text = |key: &str| column[key].as_str().unwrap_or_default();
            let described = match text("description") {
                "" if text("jsonPath") == ".metadata.creationTimestamp" => {
                    "When the server made the object."
                }
                "" => text("jsonPath"),
                given => given,
            };
            Column {
                definition: json!({
                    "name": text("name"),
                    "type": text("type"),
                    "format": text("format"),
                    "description": described,
                    "priority": column["priority"].as_i64().unwrap_or(0),
                }),
                kind: text("type").to_owned(),
                path: JsonPath::parse(text("jsonPath")).ok(),
            }
        })
        .collect()
}

/// Returns what a table says of its columns.
pub(super) fn definitions(columns: &[Column]) -> Vec<Value> {
    let name = json!({
        "name": "Name",
        "type": "string",
        "format": "name",
        "description": "The name of the object, unique in its namespace.",
        "priority": 0,
    });
    std::iter::once(name).chain(columns.iter().map(|column| column.definition.clone())).collect()
}

/// Returns the cells of an object.
pub(super) fn cells(columns: &[Column], object: &Value, now: Timestamp) -> Vec<Value> {
    let name = json!(object::name(object));
    std::iter::once(name).chain(columns.iter().map(|column| column.cell(object, now))).collect()
}

impl Column {
    fn cell(&self, object: &Value, now: Timestamp) -> Value {
        let found = self.path.as_ref().and_then(|path| path.find(object).first().copied());
        let Some(value) = found.filter(|value| !value.is_null()) else { return Value::Null };
        match (self.kind.as_str(), value) {
            ("string", Value::String(text)) => json!(text),
            ("string", other) => json!(other.to_string()),
            ("integer", value) => match (value.as_i64(), value.as_f64()) {
                (Some(whole), _) => json!(whole),
                #[expect(clippy::cast_possible_truncation, reason = "the API cuts fractions off")]
                (None, Some(number)) => json!(number as i64),
                (None, None) => Value::Null,
            },
            ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) => value.clone(),
            ("date", Value::String(text)) => match text.parse::<Timestamp>() {
                Ok(then) => json!(show_age(now.as_second() - then.as_second())),
                Err(_) => json!("<invalid>"),
            },
            _ => Value::Null,
        }
    }
}
