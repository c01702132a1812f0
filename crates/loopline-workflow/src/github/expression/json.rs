//! JSON as `fromJSON` reads it and `toJSON` writes it.
//!
//! A reader of its own because keys keep their order and duplicates their rule, numbers may be
//! as large as they like, and nesting has GitHub's limit.

use std::fmt::Write;
use std::sync::Arc;

use super::object::Object;
use super::value::Value;

/// How deep JSON may nest.
const MAX_DEPTH: usize = 100;

/// Why a text is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// There is nothing.
    #[error("empty input")]
    Empty,
    /// The text ends too early.
    #[error("unexpected end of JSON input")]
    End,
    /// Something stands where it must not.
    #[error("unexpected token at byte {0}")]
    Unexpected(usize),
    /// Nesting is deeper than allowed.
    #[error("nesting deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

/// Reads one JSON value.
///
/// # Errors
/// Returns what is wrong with the text.
pub fn from_json_text(text: &str) -> Result<Value, JsonError> {
    if text.trim().is_empty() {
        return Err(JsonError::Empty);
    }
    let mut reader = Reader { text, bytes: text.as_bytes(), at: 0 };
    let value = reader.value(0)?;
    reader.skip_space();
    if reader.at < reader.bytes.len() { Err(JsonError::Unexpected(reader.at)) } else { Ok(value) }
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn skip_space(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Result<u8, JsonError> {
        self.bytes.get(self.at).copied().ok_or(JsonError::End)
    }

    fn unexpected<T>(&self) -> Result<T, JsonError> {
        Err(if self.at < self.bytes.len() {
            JsonError::Unexpected(self.at)
        } else {
            JsonError::End
        })
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.bytes.get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.eat(byte) { Ok(()) } else { self.unexpected() }
    }

    fn value(&mut self, depth: usize) -> Result<Value, JsonError> {
        if depth > MAX_DEPTH {
            return Err(JsonError::TooDeep);
        }
        self.skip_space();
        match self.peek()? {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => self.string().map(Value::String),
            b't' => self.word("true", Value::Bool(true)),
            b'f' => self.word("false", Value::Bool(false)),
            b'n' => self.word("null", Value::Null),
            b'-' | b'0'..=b'9' => self.number(),
            _ => self.unexpected(),
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, JsonError> {
        if self.bytes[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            return Ok(value);
        }
        self.unexpected()
    }

    fn number(&mut self) -> Result<Value, JsonError> {
        let start = self.at;
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _sign = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        self.text[start..self.at]
            .parse()
            .map(Value::Number)
            .map_err(|_| JsonError::Unexpected(start))
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let count = self.bytes[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return self.unexpected();
        }
        self.at += count;
        Ok(())
    }

    fn array(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.at += 1;
        let mut items = Vec::new();
        self.skip_space();
        if self.eat(b']') {
            return Ok(items.into());
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.skip_space();
            if self.eat(b']') {
                return Ok(items.into());
            }
            self.expect(b',')?;
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.at += 1;
        let mut object = Object::new();
        self.skip_space();
        if self.eat(b'}') {
            return Ok(object.into());
        }
        loop {
            self.skip_space();
            let name = self.string()?;
            self.skip_space();
            self.expect(b':')?;
            let value = self.value(depth + 1)?;
            object.insert_json(name, value);
            self.skip_space();
            if self.eat(b'}') {
                return Ok(object.into());
            }
            self.expect(b',')?;
        }
    }

    fn string(&mut self) -> Result<Arc<str>, JsonError> {
        self.expect(b'"')?;
        let start = self.at;
        let mut text = String::new();
        let mut copied = start;
        loop {
            match self.peek()? {
                b'"' => {
                    let rest = &self.text[copied..self.at];
                    self.at += 1;
                    if copied == start {
                        return Ok(rest.into());
                    }
                    text.push_str(rest);
                    return Ok(text.into());
                }
                b'\\' => {
                    text.push_str(&self.text[copied..self.at]);
                    self.at += 1;
                    text.push(self.escape()?);
                    copied = self.at;
                }
                0..0x20 => return self.unexpected(),
                _ => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let byte = self.peek()?;
        self.at += 1;
        Ok(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{C}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.hex()?;
                let pair =
                    (0xD800..0xDC00).contains(&first) && self.bytes[self.at..].starts_with(b"\\u");
                let code = if pair {
                    let back = self.at;
                    self.at += 2;
                    let second = self.hex()?;
                    if (0xDC00..0xE000).contains(&second) {
                        0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00)
                    } else {
                        self.at = back;
                        first
                    }
                } else {
                    first
                };
                // Half a pair has no place in a Rust string.
                char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            _ => {
                self.at -= 1;
                return self.unexpected();
            }
        })
    }

    fn hex(&mut self) -> Result<u32, JsonError> {
        let mut code = 0;
        for _ in 0..4 {
            let Some(digit) = char::from(self.peek()?).to_digit(16) else {
                return self.unexpected();
            };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }
}

/// Returns a value as JSON text with two spaces a level, as `toJSON` shows it.
pub fn to_json_text(value: &Value) -> String {
    let mut writer = Writer::new(usize::MAX);
    writer.value(value, 0);
    writer.text
}

/// What a piece of text costs beside its characters, in bytes of GitHub's evaluator.
pub(super) const STRING_OVERHEAD_BYTES: usize = 26;

/// Writes JSON until it costs more than allowed.
pub(super) struct Writer {
    pub(super) text: String,
    pieces: usize,
    limit: usize,
}

impl Writer {
    pub(super) fn new(limit: usize) -> Self {
        Self { text: String::new(), pieces: 0, limit }
    }

    /// Writes a value; returns whether it stayed within the limit.
    pub(super) fn value(&mut self, value: &Value, level: usize) -> bool {
        self.pieces += 1;
        match value {
            Value::Null => self.text.push_str("null"),
            Value::Bool(_) | Value::Number(_) => self.text.push_str(&value.to_text()),
            Value::String(string) => write_string(&mut self.text, string),
            Value::Array(items) if items.is_empty() => self.text.push_str("[]"),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.text.push(if index == 0 { '[' } else { ',' });
                    line(&mut self.text, level + 1);
                    if !self.value(item, level + 1) {
                        return false;
                    }
                }
                line(&mut self.text, level);
                self.text.push(']');
                self.pieces += 1;
            }
            Value::Object(object) if object.is_empty() => self.text.push_str("{}"),
            Value::Object(object) => {
                for (index, (name, item)) in object.iter().enumerate() {
                    self.text.push(if index == 0 { '{' } else { ',' });
                    line(&mut self.text, level + 1);
                    write_string(&mut self.text, name);
                    self.text.push_str(": ");
                    self.pieces += 1;
                    if !self.value(item, level + 1) {
                        return false;
                    }
                }
                line(&mut self.text, level);
                self.text.push('}');
                self.pieces += 1;
            }
        }
        self.pieces.saturating_mul(STRING_OVERHEAD_BYTES) + self.text.len().saturating_mul(2)
            <= self.limit
    }
}

fn line(text: &mut String, level: usize) {
    text.push('\n');
    text.extend(std::iter::repeat_n("  ", level));
}

fn write_string(text: &mut String, string: &str) {
    text.push('"');
    for character in string.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '\u{C}' => text.push_str("\\f"),
            '\0'..'\u{20}' | '\u{85}' | '\u{2028}' | '\u{2029}' => {
                // Writing to a string cannot fail.
                let _infallible = write!(text, "\\u{:04x}", u32::from(character));
            }
            other => text.push(other),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn text_is_read_and_written_in_order() {
        let text = r#" {"b": [1, 2.50, -0, 1e2, {}], "a": {"x": "\u00e4\n\ud83d\ude0a\ud800"}, "B": 1, "e": []} "#;
        let value = from_json_text(text).unwrap();
        expect![[r#"
            {
              "b": [
                1,
                2.5,
                0,
                100,
                {}
              ],
              "a": {
                "x": "ä\n😊�"
              },
              "e": []
            }"#]]
        .assert_eq(&to_json_text(&value));
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for (text, error) in [
            ("", JsonError::Empty),
            (" \n", JsonError::Empty),
            ("[", JsonError::End),
            ("[1,]", JsonError::Unexpected(3)),
            ("{a:1}", JsonError::Unexpected(1)),
            ("{\"a\":1,}", JsonError::Unexpected(7)),
            ("01", JsonError::Unexpected(1)),
            ("1.", JsonError::End),
            ("+1", JsonError::Unexpected(0)),
            ("NaN", JsonError::Unexpected(0)),
            ("nul", JsonError::Unexpected(0)),
            ("'a'", JsonError::Unexpected(0)),
            ("\"a\nb\"", JsonError::Unexpected(2)),
            ("\"\\x\"", JsonError::Unexpected(2)),
            ("\"\\u12", JsonError::End),
            ("1 2", JsonError::Unexpected(2)),
            ("// no\n1", JsonError::Unexpected(0)),
        ] {
            assert_eq!(from_json_text(text).unwrap_err(), error, "{text}");
        }
        assert!(from_json_text(&"[".repeat(100_000)).is_err());
    }
}
