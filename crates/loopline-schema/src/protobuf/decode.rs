//! From protobuf to JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value};

use super::wire::{Field, Reader};
use super::{Error, MAGIC, MAXIMUM_MESSAGE_DEPTH, MAXIMUM_VALUES, kind_type};
use crate::normal::is_nothing;
use crate::text::{duration_text, time_text};
use crate::types::{self, Kind, Scalar, TypeRef};

/// Decodes a body of the media type [`super::MEDIA_TYPE`].
///
/// # Errors
/// [`Error`] for a body that is none, or of a kind that is not built in.
pub fn decode(body: &[u8]) -> Result<Value, Error> {
    let mut decoder = Decoder { values: 0 };
    decoder.envelope(body, 0)
}

struct Decoder {
    values: usize,
}

impl Decoder {
    fn envelope(&mut self, body: &[u8], depth: usize) -> Result<Value, Error> {
        let mut reader = Reader::new(body.strip_prefix(MAGIC).ok_or(Error::Magic)?);
        let (mut api_version, mut kind) = (String::new(), String::new());
        let (mut raw, mut encoding, mut content): (&[u8], _, _) =
            (&[], String::new(), String::new());
        while let Some((number, field)) = reader.next()? {
            match number {
                1 => {
                    let mut meta = Reader::new(bytes(field, "typeMeta")?);
                    while let Some((number, field)) = meta.next()? {
                        match number {
                            1 => api_version = string(field, "apiVersion")?.to_owned(),
                            2 => kind = string(field, "kind")?.to_owned(),
                            _ => {}
                        }
                    }
                }
                2 => raw = bytes(field, "raw")?,
                3 => encoding = string(field, "contentEncoding")?.to_owned(),
                4 => content = string(field, "contentType")?.to_owned(),
                _ => {}
            }
        }
        if !encoding.is_empty() {
            return Err(Error::ContentEncoding(encoding));
        }
        match content.as_str() {
            "" | super::MEDIA_TYPE => {}
            "application/json" => return json(raw, "raw"),
            _ => return Err(Error::ContentType(content)),
        }
        let at = kind_type(&api_version, &kind)?;
        let mut map = Map::new();
        map.insert("apiVersion".to_owned(), Value::from(api_version));
        map.insert("kind".to_owned(), Value::from(kind));
        self.fields(at, raw, &mut map, depth)?;
        Ok(Value::Object(map))
    }

    fn count(&mut self) -> Result<(), Error> {
        self.values += 1;
        if self.values > MAXIMUM_VALUES { Err(Error::Size) } else { Ok(()) }
    }

    fn fields(
        &mut self,
        at: TypeRef<'_>,
        raw: &[u8],
        map: &mut Map<String, Value>,
        depth: usize,
    ) -> Result<(), Error> {
        if depth > MAXIMUM_MESSAGE_DEPTH {
            return Err(Error::Depth);
        }
        let at = at.target();
        let Some(object) = at.object() else { return Ok(()) };
        let mut reader = Reader::new(raw);
        while let Some((number, value)) = reader.next()? {
            self.count()?;
            if let Some((inlined, _)) = object.inlined.iter().find(|(_, tag)| *tag == number) {
                self.fields(at.at(*inlined), bytes(value, "inlined")?, map, depth + 1)?;
            } else if let Some(field) = object.fields.iter().find(|field| field.tag == number) {
                self.field(field, at.at(field.node), value, map, depth)?;
            }
        }
        Ok(())
    }

    fn field(
        &mut self,
        field: &types::Field,
        at: TypeRef<'_>,
        value: Field<'_>,
        map: &mut Map<String, Value>,
        depth: usize,
    ) -> Result<(), Error> {
        let name = field.name.as_ref();
        match at.kind() {
            Kind::List(_) => {
                let Some(element) = at.items() else { return Ok(()) };
                let list = map.entry(name).or_insert_with(|| Value::Array(Vec::new()));
                let Some(list) = list.as_array_mut() else { return Ok(()) };
                let packed = matches!(
                    element.scalar(),
                    Some(Scalar::Integer | Scalar::Integer32 | Scalar::Integer64 | Scalar::Boolean)
                );
                if packed && let Field::Bytes(raw) = value {
                    let mut reader = Reader::new(raw);
                    while !reader.is_empty() {
                        self.count()?;
                        let number = Field::Varint(reader.varint()?);
                        list.push(self.value(element, number, name, depth)?);
                    }
                } else {
                    list.push(self.value(element, value, name, depth)?);
                }
            }
            Kind::Map(_) => {
                let Some(values) = at.values() else { return Ok(()) };
                let (mut key, mut found) = (String::new(), None);
                let mut entry = Reader::new(bytes(value, name)?);
                while let Some((number, value)) = entry.next()? {
                    match number {
                        1 => key = string(value, name)?.to_owned(),
                        2 => found = Some(value),
                        _ => {}
                    }
                }
                let value = match found {
                    Some(value) => self.value(values, value, name, depth)?,
                    None => self.value(values, Field::Bytes(&[]), name, depth)?,
                };
                let entries = map.entry(name).or_insert_with(|| Value::Object(Map::new()));
                if let Some(entries) = entries.as_object_mut() {
                    entries.insert(key, value);
                }
            }
            Kind::Object(_) => {
                // The parts of a message that comes in several pieces belong together.
                let inner = map.entry(name).or_insert_with(|| Value::Object(Map::new()));
                if let Some(inner) = inner.as_object_mut() {
                    self.fields(at, bytes(value, name)?, inner, depth + 1)?;
                }
            }
            _ => {
                let value = self.value(at, value, name, depth)?;
                // Go never leaves out a time that is no pointer: it is null when it is not set.
                let never_set = value.is_null()
                    && matches!(at.scalar(), Some(Scalar::Time | Scalar::MicroTime));
                if never_set || !is_nothing(field, at, &value) {
                    map.insert(name.to_owned(), value);
                }
            }
        }
        Ok(())
    }

    /// Decodes a value that is not spread over several fields.
    fn value(
        &mut self,
        at: TypeRef<'_>,
        value: Field<'_>,
        name: &str,
        depth: usize,
    ) -> Result<Value, Error> {
        if depth > MAXIMUM_MESSAGE_DEPTH {
            return Err(Error::Depth);
        }
        let Some(scalar) = at.scalar() else {
            return match at.kind() {
                // A list that is the value of a map has a message of its own.
                Kind::List(_) => {
                    let mut list = Vec::new();
                    let mut reader = Reader::new(bytes(value, name)?);
                    let element = at.items().unwrap_or(TypeRef::any());
                    while let Some((_, value)) = reader.next()? {
                        self.count()?;
                        list.push(self.value(element, value, name, depth + 1)?);
                    }
                    Ok(Value::Array(list))
                }
                _ => {
                    let mut map = Map::new();
                    self.fields(at, bytes(value, name)?, &mut map, depth + 1)?;
                    Ok(Value::Object(map))
                }
            };
        };
        Ok(match scalar {
            Scalar::String => Value::from(string(value, name)?),
            Scalar::Bytes => Value::from(STANDARD.encode(bytes(value, name)?)),
            Scalar::Boolean => Value::from(varint(value, name)? != 0),
            // Numbers are cut to 32 bits as protobuf has it.
            Scalar::Integer32 => Value::from(varint(value, name)? as i32),
            Scalar::Integer | Scalar::Integer64 => Value::from(varint(value, name)? as i64),
            Scalar::Number => match value {
                Field::Fixed64(bits) => number(f64::from_bits(bits)),
                other => return Err(wrong(other, name)),
            },
            Scalar::Quantity => {
                let mut text = "0";
                each(bytes(value, name)?, |number, value| {
                    if number == 1 {
                        text = string(value, name)?;
                    }
                    Ok(())
                })?;
                Value::from(text)
            }
            Scalar::IntOrString => {
                let (mut kind, mut int, mut text) = (0, 0, "");
                each(bytes(value, name)?, |number, value| {
                    match number {
                        1 => kind = varint(value, name)?,
                        2 => int = varint(value, name)? as i32,
                        3 => text = string(value, name)?,
                        _ => {}
                    }
                    Ok(())
                })?;
                if kind == 1 { Value::from(text) } else { Value::from(int) }
            }
            Scalar::Time | Scalar::MicroTime => {
                let raw = bytes(value, name)?;
                let (mut seconds, mut nanos) = (0, 0);
                each(raw, |number, value| {
                    match number {
                        1 => seconds = varint(value, name)? as i64,
                        2 => nanos = varint(value, name)? as u32,
                        _ => {}
                    }
                    Ok(())
                })?;
                // The years that the text form has four digits for.
                if raw.is_empty() || !(-62_135_596_800..=253_402_300_799).contains(&seconds) {
                    Value::Null
                } else {
                    let decimals = if scalar == Scalar::Time { 0 } else { 6 };
                    Value::from(time_text(seconds, nanos.min(999_999_999), decimals))
                }
            }
            Scalar::Duration => {
                let mut nanos = 0;
                each(bytes(value, name)?, |number, value| {
                    if number == 1 {
                        nanos = varint(value, name)? as i64;
                    }
                    Ok(())
                })?;
                Value::from(duration_text(nanos))
            }
            Scalar::Raw | Scalar::Fields | Scalar::Json => {
                let mut raw: &[u8] = &[];
                each(bytes(value, name)?, |number, value| {
                    if number == 1 {
                        raw = bytes(value, name)?;
                    }
                    Ok(())
                })?;
                if raw.is_empty() {
                    Value::Null
                } else if raw.starts_with(MAGIC) {
                    self.envelope(raw, depth + 1)?
                } else {
                    json(raw, name)?
                }
            }
            Scalar::SchemaOrArray | Scalar::SchemaOrBool | Scalar::SchemaOrStrings => {
                self.schema_or(scalar, bytes(value, name)?, name, depth + 1)?
            }
        })
    }

    /// Decodes the three places of a custom resource's schema that hold one of two things.
    fn schema_or(
        &mut self,
        scalar: Scalar,
        raw: &[u8],
        name: &str,
        depth: usize,
    ) -> Result<Value, Error> {
        let properties = crate::check::schema_properties();
        let (schema_number, other_number) = match scalar {
            Scalar::SchemaOrBool => (2, 1),
            _ => (1, 2),
        };
        let mut others = Vec::new();
        let mut allows = false;
        let mut reader = Reader::new(raw);
        while let Some((number, value)) = reader.next()? {
            self.count()?;
            if number == schema_number {
                return self.value(properties, value, name, depth);
            }
            if number == other_number {
                match scalar {
                    Scalar::SchemaOrBool => allows = varint(value, name)? != 0,
                    Scalar::SchemaOrArray => {
                        others.push(self.value(properties, value, name, depth)?);
                    }
                    _ => others.push(Value::from(string(value, name)?)),
                }
            }
        }
        // A schema comes after the flag that says that there is one.
        Ok(match scalar {
            Scalar::SchemaOrBool => Value::from(allows),
            _ => Value::Array(others),
        })
    }
}

fn each<'a>(
    raw: &'a [u8],
    mut take: impl FnMut(u32, Field<'a>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut reader = Reader::new(raw);
    while let Some((number, value)) = reader.next()? {
        take(number, value)?;
    }
    Ok(())
}

fn wrong(value: Field<'_>, name: &str) -> Error {
    Error::WireType { field: name.to_owned(), wire: value.wire() }
}

fn bytes<'a>(value: Field<'a>, name: &str) -> Result<&'a [u8], Error> {
    match value {
        Field::Bytes(bytes) => Ok(bytes),
        other => Err(wrong(other, name)),
    }
}

fn string<'a>(value: Field<'a>, name: &str) -> Result<&'a str, Error> {
    std::str::from_utf8(bytes(value, name)?).map_err(|_| Error::Utf8(name.to_owned()))
}

fn varint(value: Field<'_>, name: &str) -> Result<u64, Error> {
    match value {
        Field::Varint(number) => Ok(number),
        // The value of a map's entry that was left out.
        Field::Bytes([]) => Ok(0),
        other => Err(wrong(other, name)),
    }
}

/// Returns a number as Go writes it: without a fraction where there is none.
fn number(value: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < EXACT {
        Value::from(value as i64)
    } else {
        Number::from_f64(value).map_or(Value::Null, Value::Number)
    }
}

fn json(raw: &[u8], name: &str) -> Result<Value, Error> {
    serde_json::from_slice(raw)
        .map_err(|error| Error::Json { field: name.to_owned(), message: error.to_string() })
}
