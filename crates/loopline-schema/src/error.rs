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
        !matches!(
            self,
            Self::Required | Self::Forbidden | Self::TooLong | Self::TooMany | Self::Internal
        )
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
        Self { cause, field: field.into(), value, detail: detail.into() }
    }

    /// Returns the message without the field: what a `Status` cause carries.
    pub fn body(&self) -> String {
        let mut text = self.cause.title().to_owned();
        if self.cause.shows_value() {
            // Strings are quoted as Go's `%q` does; everything else is shown as JSON.
            text.push_str(": ");
            text.push_str(&self.value.to_string());
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
