//! The form that the API's own types give a built-in object: what means the same as nothing is
//! left out, and amounts are written in their one canonical way.

use std::borrow::Cow;

use loopline_units::quantity::Quantity;
use serde_json::Value;

use crate::types::{Field, Kind, MAXIMUM_DEPTH, Scalar, TypeRef};

/// Leaves out of a built-in object what Go's `omitempty` leaves out: null, empty lists and maps,
/// and the zeros of scalars that are no pointers. Required fields stay. Amounts become what
/// `resource.Quantity` writes: `1000m` is `1`.
pub fn normalize(at: TypeRef<'_>, value: &mut Value) {
    below(at, value, 0);
}

fn below(at: TypeRef<'_>, value: &mut Value, depth: usize) {
    if depth > MAXIMUM_DEPTH {
        return;
    }
    match (at.kind(), value) {
        (Kind::Object(_), Value::Object(map)) => map.retain(|name, value| {
            let Some((field, inner)) = at.declared(name) else { return true };
            below(inner, value, depth + 1);
            !is_nothing(field, inner, value)
        }),
        (Kind::Map(_), Value::Object(map)) => {
            let Some(values) = at.values() else { return };
            map.values_mut().for_each(|value| below(values, value, depth + 1));
        }
        (Kind::List(_), Value::Array(list)) => {
            let Some(element) = at.items() else { return };
            list.iter_mut().for_each(|value| below(element, value, depth + 1));
        }
        (_, value) if at.scalar() == Some(Scalar::Quantity) => canonicalize(value),
        _ => {}
    }
}

/// Writes an amount in its canonical form; what is none is left for validation.
fn canonicalize(value: &mut Value) {
    let text = match &*value {
        Value::String(text) => Cow::Borrowed(text.trim()),
        Value::Number(number) => Cow::Owned(number.to_string()),
        _ => return,
    };
    if let Ok(quantity) = Quantity::parse(&text) {
        let canonical = quantity.to_string();
        if value.as_str() != Some(&canonical) {
            *value = Value::String(canonical);
        }
    }
}

/// Returns whether a value means that the field is not set.
pub(crate) fn is_nothing(field: &Field, at: TypeRef<'_>, value: &Value) -> bool {
    if field.required {
        return false;
    }
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty() && matches!(at.kind(), Kind::List(_)),
        Value::Object(map) => map.is_empty() && matches!(at.kind(), Kind::Map(_)),
        _ if field.pointer => false,
        // What is a message of its own in Go is a pointer, or is never left out.
        _ if !matches!(
            at.scalar(),
            Some(
                Scalar::String
                    | Scalar::Bytes
                    | Scalar::Boolean
                    | Scalar::Integer
                    | Scalar::Integer32
                    | Scalar::Integer64
                    | Scalar::Number
            )
        ) =>
        {
            false
        }
        Value::String(text) => text.is_empty(),
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
    }
}
