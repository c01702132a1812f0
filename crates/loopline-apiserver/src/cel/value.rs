//! Values of JSON as values of expressions, and back.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube_cel::cel::Value;
use kube_cel::cel::objects::{Key, Map, OptionalValue};
use serde_json::{Value as Json, json};

/// Words that are no names of fields in expressions.
const RESERVED: &[&str] = &[
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// Returns a value as expressions see it; the names of fields stay as they are.
pub fn from_json(value: &Json) -> Value {
    match value {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Bool(*flag),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::Int(number),
            (None, Some(number)) => Value::UInt(number),
            (None, None) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::String(Arc::new(text.clone())),
        Json::Array(list) => Value::List(Arc::new(list.iter().map(from_json).collect())),
        Json::Object(map) => object(map.iter().map(|(key, value)| (key.clone(), from_json(value)))),
    }
}

/// Returns a value of a custom resource: fields have the names that expressions can spell, and
/// texts with the formats of times, durations and bytes are such.
pub fn from_schema(value: &Json, schema: &Json) -> Value {
    match value {
        Json::Array(list) => Value::List(Arc::new(
            list.iter().map(|one| from_schema(one, &schema["items"])).collect(),
        )),
        Json::Object(map) => {
            let declared = schema["properties"].as_object();
            let values = schema.get("additionalProperties").filter(|values| values.is_object());
            object(map.iter().map(|(key, value)| {
                match (declared.and_then(|declared| declared.get(key)), values) {
                    (Some(inner), _) => (field_name(key), from_schema(value, inner)),
                    (None, Some(inner)) => (key.clone(), from_schema(value, inner)),
                    (None, None) => (field_name(key), from_json(value)),
                }
            }))
        }
        Json::String(text) => formatted(text, schema["format"].as_str().unwrap_or_default())
            .unwrap_or_else(|| from_json(value)),
        Json::Number(number) if schema["type"] == "number" => {
            Value::Float(number.as_f64().unwrap_or(f64::NAN))
        }
        other => from_json(other),
    }
}

fn object(fields: impl Iterator<Item = (String, Value)>) -> Value {
    let map: HashMap<Key, Value> =
        fields.map(|(key, value)| (Key::String(Arc::new(key)), value)).collect();
    Value::Map(Map { map: Arc::new(map) })
}

fn formatted(text: &str, format: &str) -> Option<Value> {
    match format {
        "date-time" => chrono::DateTime::parse_from_rfc3339(text).ok().map(Value::Timestamp),
        "duration" => {
            let duration = super::evaluate_constant("duration(text)", text)?;
            matches!(duration, Value::Duration(_)).then_some(duration)
        }
        "byte" => STANDARD.decode(text).ok().map(|bytes| Value::Bytes(Arc::new(bytes))),
        _ => None,
    }
}

/// Returns the name of a field as expressions spell it.
pub fn field_name(name: &str) -> String {
    if RESERVED.contains(&name) {
        return format!("__{name}__");
    }
    name.replace("__", "__underscores__")
        .replace('.', "__dot__")
        .replace('-', "__dash__")
        .replace('/', "__slash__")
}

/// Returns a value that may be missing, and is there.
pub fn optional(value: Value) -> Value {
    Value::Opaque(Arc::new(OptionalValue::of(value)))
}

/// Returns a value that may be missing, and is.
pub fn none() -> Value {
    Value::Opaque(Arc::new(OptionalValue::none()))
}

/// Returns a value of an expression as JSON, or nothing for what JSON has no form of.
pub fn to_json(value: &Value) -> Option<Json> {
    Some(match value {
        Value::Null => Json::Null,
        Value::Bool(flag) => json!(flag),
        Value::Int(number) => json!(number),
        Value::UInt(number) => json!(number),
        Value::Float(number) => json!(number),
        Value::String(text) => json!(**text),
        Value::Bytes(bytes) => json!(STANDARD.encode(&**bytes)),
        Value::Timestamp(time) => json!(time.to_rfc3339()),
        Value::List(list) => Json::Array(list.iter().map(to_json).collect::<Option<_>>()?),
        Value::Map(map) => {
            let mut fields = serde_json::Map::new();
            for (key, value) in map.map.iter() {
                fields.insert(key.to_string(), to_json(value)?);
            }
            Json::Object(fields)
        }
        _ => return None,
    })
}
