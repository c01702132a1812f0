//! The type of the JSON text given to `fromJSON`.

use serde_json::Value;

use super::types::Type;

/// Returns the type of `value`.
pub(crate) fn type_of(value: &Value) -> Type {
    match value {
        Value::Null => Type::Null,
        Value::Bool(_) => Type::Boolean,
        Value::Number(_) => Type::Number,
        Value::String(_) => Type::String,
        Value::Array(items) => {
            Type::array(items.iter().map(type_of).reduce(Type::merge).unwrap_or(Type::Any))
        }
        Value::Object(entries) => {
            Type::strict(entries.iter().map(|(key, value)| (key.to_lowercase(), type_of(value))))
        }
    }
}
