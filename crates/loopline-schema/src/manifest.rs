//! Manifests as text: JSON and YAML to values, with what the API's strict decoding looks for.
//!
//! YAML scalars mean what they mean to `kubectl` (`sigs.k8s.io/yaml`, YAML 1.1): `yes` and `on`
//! are booleans, `0o17` and `017` are octal, dates are strings.

use std::fmt;

use loopline_source::yaml::{self, Node, Style};
use loopline_source::{SourceFile, Span};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The deepest nesting of a manifest.
pub const MAX_DEPTH: usize = 100;

/// A manifest that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// What it says; of a repeated key the last value counts.
    pub value: Value,
    /// The paths of keys that stand more than once, in the order of the text.
    pub duplicates: Vec<String>,
    /// Where the document stands in the text.
    pub span: Span,
}

/// Why a text is no manifest.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{message}")]
pub struct ManifestError {
    /// What is wrong.
    pub message: String,
    /// Where.
    pub span: Span,
}

/// Reads one JSON text.
///
/// # Errors
/// Where the text is not JSON, or nested deeper than [`MAX_DEPTH`].
pub fn from_json(text: &[u8]) -> Result<Manifest, ManifestError> {
    let mut duplicates = Vec::new();
    let mut reader = serde_json::Deserializer::from_slice(text);
    let seed = Seed { duplicates: &mut duplicates, path: String::new(), depth: 0 };
    let value = seed.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    let end = u32::try_from(text.len()).unwrap_or(u32::MAX);
    match value {
        Ok(value) => Ok(Manifest { value, duplicates, span: Span::new(0, end) }),
        Err(error) => Err(ManifestError { message: error.to_string(), span: Span::at(end) }),
    }
}

/// Reads all documents of a YAML text (which JSON texts are too); empty documents are left out.
///
/// # Errors
/// Where the text is not YAML, with what came before the error lost: half a file is not applied.
pub fn from_yaml(file: &SourceFile) -> Result<Vec<Manifest>, ManifestError> {
    let limits = yaml::Limits { depth: MAX_DEPTH, ..yaml::Limits::default() };
    let parsed = yaml::parse(file, &limits);
    if let Some(error) = parsed.error {
        return Err(ManifestError { message: error.kind.to_string(), span: error.span });
    }
    let mut manifests = Vec::new();
    for document in &parsed.documents {
        let mut duplicates = Vec::new();
        let value = convert(&document.root, "", &mut duplicates)?;
        if !value.is_null() {
            manifests.push(Manifest { value, duplicates, span: document.root.span });
        }
    }
    Ok(manifests)
}

/// Returns whether a text is a string where it stands in YAML without quotes.
pub fn is_plain_string(text: &str) -> bool {
    matches!(plain(text), Value::String(_))
}

/// Turns a YAML node into a JSON value.
fn convert(node: &Node, path: &str, duplicates: &mut Vec<String>) -> Result<Value, ManifestError> {
    if let Some(items) = node.as_sequence() {
        let items = items
            .iter()
            .enumerate()
            .map(|(index, item)| convert(item, &format!("{path}[{index}]"), duplicates));
        return Ok(Value::Array(items.collect::<Result<_, _>>()?));
    }
    let Some(entries) = node.as_mapping() else { return scalar(node) };
    let mut object = Map::with_capacity(entries.len());
    let mut merged = Map::new();
    for entry in entries {
        if is_merge(&entry.key) {
            merge(&entry.value, path, &mut merged)?;
            continue;
        }
        let key = key(&entry.key)?;
        let place = join(path, &key);
        let value = convert(&entry.value, &place, duplicates)?;
        if object.insert(key, value).is_some() {
            duplicates.push(place);
        }
    }
    for (key, value) in merged {
        object.entry(key).or_insert(value);
    }
    Ok(Value::Object(object))
}

fn is_merge(key: &Node) -> bool {
    key.as_scalar().is_some_and(|scalar| &*scalar.value == "<<" && scalar.style == Style::Plain)
}

/// Adds what a `<<` entry brings: a mapping, or several of which the first counts.
fn merge(node: &Node, path: &str, into: &mut Map<String, Value>) -> Result<(), ManifestError> {
    let sources = node.as_sequence().unwrap_or(std::slice::from_ref(node));
    for source in sources {
        // Keys repeated inside a merged mapping were reported where it is anchored.
        let Value::Object(object) = convert(source, path, &mut Vec::new())? else {
            return Err(ManifestError {
                message: "map merge requires map or sequence of maps as the value".to_owned(),
                span: source.site(),
            });
        };
        for (key, value) in object {
            into.entry(key).or_insert(value);
        }
    }
    Ok(())
}

fn key(node: &Node) -> Result<String, ManifestError> {
    match scalar(node)? {
        Value::String(text) => Ok(text),
        // Keys that are numbers or booleans become their JSON text, as for kubectl.
        other @ (Value::Number(_) | Value::Bool(_)) => Ok(other.to_string()),
        Value::Null => Ok("null".to_owned()),
        _ => Err(ManifestError { message: "a key must be a scalar".to_owned(), span: node.site() }),
    }
}

fn scalar(node: &Node) -> Result<Value, ManifestError> {
    let Some(scalar) = node.as_scalar() else {
        return Err(ManifestError {
            message: "a key must be a scalar".to_owned(),
            span: node.site(),
        });
    };
    let text = &*scalar.value;
    let tag = node.tag.as_deref().and_then(|tag| tag.strip_prefix("tag:yaml.org,2002:"));
    let fail = |what: &str| ManifestError {
        message: format!("cannot read {text:?} as {what}"),
        span: node.site(),
    };
    match tag {
        None if scalar.style != Style::Plain => Ok(Value::String(text.to_owned())),
        None => Ok(plain(text)),
        Some("str" | "timestamp") => Ok(Value::String(text.to_owned())),
        Some("binary") => Ok(Value::String(text.to_owned())),
        Some("int") => match plain(text) {
            Value::Number(number) if !number.is_f64() => Ok(Value::Number(number)),
            _ => Err(fail("an integer")),
        },
        Some("float") => match plain(text) {
            Value::Number(number) => Ok(Value::Number(number)),
            _ => Err(fail("a number")),
        },
        Some("bool") => match plain(text) {
            Value::Bool(flag) => Ok(Value::Bool(flag)),
            _ => Err(fail("a boolean")),
        },
        Some("null") => Ok(Value::Null),
        Some(other) => Err(fail(&format!("a value with the tag {other:?}"))),
    }
}

/// Returns what a plain scalar means.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Value::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Value::Bool(false);
        }
        _ => {}
    }
    let first = text.as_bytes()[0];
    if !(first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.')) {
        return Value::String(text.to_owned());
    }
    let digits = text.replace('_', "");
    if let Some(number) = integer(&digits) {
        return Value::Number(number);
    }
    if is_float(&digits)
        && let Ok(float) = digits.parse::<f64>()
        && let Some(number) = float_number(float)
    {
        return Value::Number(number);
    }
    Value::String(text.to_owned())
}

fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, digits) = match digits.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0x") => (16, &digits[2..]),
        Some("0o") => (8, &digits[2..]),
        Some("0b") => (2, &digits[2..]),
        _ if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    if negative {
        i64::from_str_radix(&format!("-{digits}"), radix).ok().map(Number::from)
    } else {
        u64::from_str_radix(digits, radix).ok().map(Number::from)
    }
}

/// Returns whether a text has the form of a YAML float: digits, a point, an exponent.
fn is_float(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => {
            (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent)))
        }
        None => (text, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}

/// Returns a float as Go's JSON encoder writes it: whole numbers without a point.
fn float_number(float: f64) -> Option<Number> {
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked before")]
    if float.fract() == 0.0 && float.abs() < 9.0e15 {
        return Some(Number::from(float as i64));
    }
    Number::from_f64(float)
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Builds a value and notes repeated keys.
struct Seed<'a> {
    duplicates: &'a mut Vec<String>,
    path: String,
    depth: usize,
}

impl Seed<'_> {
    fn child(&mut self, path: String) -> Seed<'_> {
        Seed { duplicates: self.duplicates, path, depth: self.depth + 1 }
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.depth > MAX_DEPTH {
            return Err(D::Error::custom(format_args!("nested deeper than {MAX_DEPTH} levels")));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(float_number(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        loop {
            let path = format!("{}[{}]", self.path, array.len());
            match items.next_element_seed(self.child(path))? {
                Some(item) => array.push(item),
                None => return Ok(Value::Array(array)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let place = join(&self.path, &key);
            let value = entries.next_value_seed(self.child(place.clone()))?;
            if object.insert(key, value).is_some() {
                self.duplicates.push(place);
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn yaml(text: &str) -> Result<Vec<Manifest>, ManifestError> {
        from_yaml(&SourceFile::new("test.yaml", text.to_owned()))
    }

    #[test]
    fn yaml_means_what_it_means_to_kubectl() {
        let text = "a: yes\nb: 017\nc: 0x1F\nd: 1e3\ne: 1.50\nf: '1'\ng: 2024-01-01\nh: ~\n\
                    i: 1_000\nj: 10.0.0.1\nk: 1Gi\n1: x\ntrue: y\nl: -5\nm: !!str 5\no: .5\n";
        assert_eq!(
            yaml(text).unwrap()[0].value,
            json!({
                "a": true, "b": 15, "c": 31, "d": 1000, "e": 1.5, "f": "1", "g": "2024-01-01",
                "h": null, "i": 1000, "j": "10.0.0.1", "k": "1Gi", "1": "x", "true": true,
                "l": -5, "m": "5", "o": 0.5,
            })
        );
    }

    #[test]
    fn documents_merges_and_repeated_keys() {
        let text = "---\nx: &x {a: 1, b: 2}\nw:\n  <<: *x\n  b: 3\n---\n---\nz: [{k: 1, k: 2}]\n";
        let manifests = yaml(text).unwrap();
        assert_eq!(manifests[0].value["w"], json!({"b": 3, "a": 1}));
        assert_eq!(manifests.len(), 2);
        assert_eq!(manifests[1].duplicates, ["z[0].k"]);
        let json = from_json(br#"{"a":{"b":1,"b":2},"c":[{"d":1,"d":1}]}"#).unwrap();
        assert_eq!(json.duplicates, ["a.b", "c[0].d"]);
        assert!(yaml("a: [1").is_err());
        assert!(from_json(b"{\"a\":1} x").is_err());
        let deep = "[".repeat(5000) + &"]".repeat(5000);
        assert!(
            from_json(deep.as_bytes()).unwrap_err().message.contains("deep")
                || from_json(deep.as_bytes()).unwrap_err().message.contains("recursion")
        );
    }
}
