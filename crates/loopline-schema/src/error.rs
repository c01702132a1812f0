//! Errors of fields, worded as the Kubernetes API words them.
//!
//! The wording and the `reason` strings are those of `k8s.io/apimachinery/pkg/util/validation/field`.

use std::fmt;

use serde_json::Value;

/// What is wrong with a field; its name is the `reason` of the cause in a `Status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A field that must be there is not.
    Required,
    /// The value does not fit.
    Invalid,
    /// The value is none of those allowed.
    NotSupported,
    /// The field must not be there, or must not change.
    Forbidden,
    /// The value stands more than once in a list of distinct values.
    Duplicate,
    /// The value refers to something that is not there.
    NotFound,
    /// The value has too many bytes.
    TooLong,
    /// The list has too many elements.
    TooMany,
    /// The value is of another JSON type.
    TypeInvalid,
    /// The server failed at the check.
    Internal,
}

impl Cause {
    /// Returns the `reason` of this cause in a `Status`.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::Duplicate => "FieldValueDuplicate",
            Self::NotFound => "FieldValueNotFound",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::Internal => "InternalError",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Required => "Required value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::Duplicate => "Duplicate value",
            Self::NotFound => "Not found",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::Internal => "Internal error",
        }
    }

    /// Returns whether the message shows the value.
    fn shows_value(self) -> bool {
        !matches!(self, Self::Required | Self::Forbidden | Self::TooLong | Self::Internal)
    }
}

/// One field that is wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldError {
    /// What is wrong with it.
    pub cause: Cause,
    /// Where it is: `spec.template.spec.containers[0].image`.
    pub field: String,
    /// The value that was found.
    pub value: Value,
    /// How the value is written, where that is not how JSON is.
    pub shown: Option<String>,
    /// Why it is wrong, as a fragment; may be empty.
    pub detail: String,
}

impl FieldError {
    /// Describes a field.
    pub fn new(
        cause: Cause,
        field: impl Into<String>,
        value: Value,
        detail: impl Into<String>,
    ) -> Self {
        Self { cause, field: field.into(), value, shown: None, detail: detail.into() }
    }

    /// Writes the value in this way: as Go prints what JSON has no form for.
    #[must_use]
    pub fn shown_as(mut self, shown: impl Into<String>) -> Self {
        self.shown = Some(shown.into());
        self
    }

    /// Returns the message without the field: what a `Status` cause carries.
    pub fn body(&self) -> String {
        let mut text = self.cause.title().to_owned();
        if self.cause.shows_value() {
            text.push_str(": ");
            match (&self.shown, &self.value) {
                (Some(shown), _) => text.push_str(shown),
                (None, Value::String(value)) => quote(value, &mut text),
                // A value that is not there is shown as this word, as a text.
                (None, Value::Null) => text.push_str("\"null\""),
                (None, value) => text.push_str(&value.to_string()),
            }
        }
        if !self.detail.is_empty() {
            text.push_str(": ");
            text.push_str(&self.detail);
        }
        text
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.body())
    }
}

/// Quotes a text as Go's `%q` does.
pub(crate) fn quote(value: &str, text: &mut String) {
    text.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\x07' => text.push_str("\\a"),
            '\x08' => text.push_str("\\b"),
            '\x0b' => text.push_str("\\v"),
            '\x0c' => text.push_str("\\f"),
            c if c.is_ascii_control() => text.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if is_shown(c) => text.push(c),
            c if u32::from(c) > 0xffff => text.push_str(&format!("\\U{:08x}", u32::from(c))),
            c => text.push_str(&format!("\\u{:04x}", u32::from(c))),
        }
    }
    text.push('"');
}

fn is_shown(c: char) -> bool {
    let hidden = matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e000}'..='\u{f8ff}');
    c == ' ' || !(c.is_control() || c.is_whitespace() || hidden)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn errors_read_as_those_of_the_kubernetes_api() {
        for (cause, value, detail, expected) in [
            (Cause::Required, json!(""), "", "f: Required value"),
            (Cause::Required, json!(""), "must be set", "f: Required value: must be set"),
            (
                Cause::Invalid,
                json!("a\"\n\u{1}é\u{200b}"),
                "no",
                r#"f: Invalid value: "a\"\n\x01é\u200b": no"#,
            ),
            (Cause::Invalid, json!(-1), "no", "f: Invalid value: -1: no"),
            (Cause::Invalid, json!(null), "no", "f: Invalid value: \"null\": no"),
            (Cause::Invalid, json!({"a": "b"}), "no", "f: Invalid value: {\"a\":\"b\"}: no"),
            (
                Cause::NotSupported,
                json!("x"),
                "supported values: \"A\", \"B\"",
                "f: Unsupported value: \"x\": supported values: \"A\", \"B\"",
            ),
            (Cause::Forbidden, json!("x"), "no", "f: Forbidden: no"),
            (Cause::Duplicate, json!("x"), "", "f: Duplicate value: \"x\""),
            (Cause::NotFound, json!("x"), "", "f: Not found: \"x\""),
            (
                Cause::TooLong,
                json!("x"),
                "may not be more than 63 bytes",
                "f: Too long: may not be more than 63 bytes",
            ),
            (
                Cause::TooMany,
                json!(5),
                "must have at most 3 items",
                "f: Too many: 5: must have at most 3 items",
            ),
        ] {
            assert_eq!(FieldError::new(cause, "f", value, detail).to_string(), expected);
        }
    }
}
