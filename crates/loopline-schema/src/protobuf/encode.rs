//! From JSON to protobuf.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::wire::{put_bytes, put_double, put_number};
use super::{Error, MAGIC, MAXIMUM_MESSAGE_DEPTH, kind_type};
use crate::text::{duration_value, time_value};
use crate::types::{Kind, Scalar, TypeRef};

/// Encodes an object as a body of the media type [`super::MEDIA_TYPE`]. Fields that its kind does
/// not have, and values of another type, are left out.
///
/// # Errors
/// [`Error::Kind`] for a kind that is not built in, [`Error::Depth`] for one nested too deeply.
pub fn encode(object: &Value) -> Result<Vec<u8>, Error> {
    let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let at = kind_type(api_version, kind)?;
    let mut raw = Vec::new();
    if let Some(map) = object.as_object() {
        fields(at, map, &mut raw, 0)?;
    }
    let mut meta = Vec::new();
    put_bytes(&mut meta, 1, api_version.as_bytes());
    put_bytes(&mut meta, 2, kind.as_bytes());
    let mut out = MAGIC.to_vec();
    put_bytes(&mut out, 1, &meta);
    put_bytes(&mut out, 2, &raw);
    put_bytes(&mut out, 3, b"");
    put_bytes(&mut out, 4, b"");
    Ok(out)
}

fn fields(
    at: TypeRef<'_>,
    map: &Map<String, Value>,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), Error> {
    if depth > MAXIMUM_MESSAGE_DEPTH {
        return Err(Error::Depth);
    }
    let at = at.target();
    let Some(object) = at.object() else { return Ok(()) };
    // Decoders take fields in any order; by their numbers is how Go writes them.
    let mut parts: Vec<_> = object.fields.iter().filter(|field| field.tag > 0).collect();
    parts.sort_by_key(|field| field.tag);
    for field in parts {
        let inner = at.at(field.node);
        match map.get(field.name.as_ref()) {
            None => {}
            // A time that is no pointer is never left out: it is an empty message.
            Some(Value::Null) => {
                if matches!(inner.scalar(), Some(Scalar::Time | Scalar::MicroTime)) {
                    put_bytes(out, field.tag, &[]);
                }
            }
            Some(value) => put(inner, field.tag, value, out, depth)?,
        }
    }
    for (inlined, tag) in &object.inlined {
        let mut inner = Vec::new();
        fields(at.at(*inlined), map, &mut inner, depth + 1)?;
        if !inner.is_empty() {
            put_bytes(out, *tag, &inner);
        }
    }
    Ok(())
}

fn put(
    at: TypeRef<'_>,
    tag: u32,
    value: &Value,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), Error> {
    if depth > MAXIMUM_MESSAGE_DEPTH {
        return Err(Error::Depth);
    }
    match (at.kind(), value) {
        (Kind::Object(_), Value::Object(map)) => {
            let mut inner = Vec::new();
            fields(at, map, &mut inner, depth + 1)?;
            put_bytes(out, tag, &inner);
        }
        (Kind::List(_), Value::Array(list)) => {
            let Some(element) = at.items() else { return Ok(()) };
            for value in list {
                put(element, tag, value, out, depth + 1)?;
            }
        }
        (Kind::Map(_), Value::Object(map)) => {
            let Some(values) = at.values() else { return Ok(()) };
            for (key, value) in map {
                let mut entry = Vec::new();
                put_bytes(&mut entry, 1, key.as_bytes());
                if matches!(values.kind(), Kind::List(_)) {
                    // A list that is the value of a map has a message of its own.
                    let mut inner = Vec::new();
                    put(values, 1, value, &mut inner, depth + 1)?;
                    put_bytes(&mut entry, 2, &inner);
                } else {
                    put(values, 2, value, &mut entry, depth + 1)?;
                }
                put_bytes(out, tag, &entry);
            }
        }
        (Kind::Scalar(scalar), value) => put_scalar(*scalar, tag, value, out, depth)?,
        _ => {}
    }
    Ok(())
}

fn put_scalar(
    scalar: Scalar,
    tag: u32,
    value: &Value,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), Error> {
    let mut inner = Vec::new();
    match (scalar, value) {
        (Scalar::String, Value::String(text)) => {
            put_bytes(out, tag, text.as_bytes());
            return Ok(());
        }
        (Scalar::Bytes, Value::String(text)) => {
            if let Ok(bytes) = STANDARD.decode(text) {
                put_bytes(out, tag, &bytes);
            }
            return Ok(());
        }
        (Scalar::Boolean, Value::Bool(flag)) => {
            put_number(out, tag, u64::from(*flag));
            return Ok(());
        }
        (Scalar::Integer | Scalar::Integer32 | Scalar::Integer64, Value::Number(number)) => {
            if let Some(number) = number.as_i64() {
                put_number(out, tag, number as u64);
            }
            return Ok(());
        }
        (Scalar::Number, Value::Number(number)) => {
            if let Some(number) = number.as_f64() {
                put_double(out, tag, number);
            }
            return Ok(());
        }
        (Scalar::Quantity, Value::String(text)) => put_bytes(&mut inner, 1, text.as_bytes()),
        (Scalar::Quantity, Value::Number(number)) => {
            put_bytes(&mut inner, 1, number.to_string().as_bytes());
        }
        (Scalar::IntOrString, Value::String(text)) => {
            put_number(&mut inner, 1, 1);
            put_number(&mut inner, 2, 0);
            put_bytes(&mut inner, 3, text.as_bytes());
        }
        (Scalar::IntOrString, Value::Number(number)) => {
            put_number(&mut inner, 1, 0);
            put_number(&mut inner, 2, number.as_i64().unwrap_or_default() as u64);
            put_bytes(&mut inner, 3, b"");
        }
        (Scalar::Time | Scalar::MicroTime, Value::String(text)) => {
            let Some((seconds, nanos)) = time_value(text) else { return Ok(()) };
            put_number(&mut inner, 1, seconds as u64);
            // Seconds are all that a time keeps, and microseconds all that the other one keeps.
            let nanos = if scalar == Scalar::Time { 0 } else { nanos / 1000 * 1000 };
            put_number(&mut inner, 2, u64::from(nanos));
        }
        (Scalar::Duration, Value::String(text)) => {
            let Some(nanos) = duration_value(text) else { return Ok(()) };
            put_number(&mut inner, 1, nanos as u64);
        }
        (Scalar::Raw | Scalar::Fields | Scalar::Json, value) => {
            put_bytes(&mut inner, 1, value.to_string().as_bytes());
        }
        (Scalar::SchemaOrBool, Value::Bool(allows)) => {
            put_number(&mut inner, 1, u64::from(*allows))
        }
        (Scalar::SchemaOrBool, schema @ Value::Object(_)) => {
            put_number(&mut inner, 1, 1);
            put(crate::check::schema_properties(), 2, schema, &mut inner, depth + 1)?;
        }
        (Scalar::SchemaOrArray | Scalar::SchemaOrStrings, schema @ Value::Object(_)) => {
            put(crate::check::schema_properties(), 1, schema, &mut inner, depth + 1)?;
        }
        (Scalar::SchemaOrArray, Value::Array(list)) => {
            for schema in list {
                put(crate::check::schema_properties(), 2, schema, &mut inner, depth + 1)?;
            }
        }
        (Scalar::SchemaOrStrings, Value::Array(list)) => {
            for text in list.iter().filter_map(Value::as_str) {
                put_bytes(&mut inner, 2, text.as_bytes());
            }
        }
        _ => return Ok(()),
    }
    put_bytes(out, tag, &inner);
    Ok(())
}
