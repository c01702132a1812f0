//! Which objects a list or watch is about: label and field selectors.

use loopline_schema::Resource;
use loopline_units::selector::Selector;
use serde_json::Value;

use crate::object;
use crate::request::Query;
use crate::status::{Result, Status};

/// A label selector and a field selector, both of which must match.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    resource: Resource,
    labels: Option<Selector>,
    fields: Vec<FieldTerm>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct FieldTerm {
    path: String,
    value: String,
    equal: bool,
}

impl Filter {
    /// Reads `labelSelector` and `fieldSelector`.
    ///
    /// # Errors
    /// 400 for selectors that cannot be read or name fields that the resource does not index.
    pub fn parse(query: &Query, resource: &Resource) -> Result<Self> {
        let labels = query
            .get("labelSelector")
            .map(|text| {
                Selector::parse(text).map_err(|error| Status::bad_request(error.to_string()))
            })
            .transpose()?
            .filter(|selector| !selector.is_empty());
        let fields = query
            .get("fieldSelector")
            .map(|text| fields(text, resource))
            .transpose()?
            .unwrap_or_default();
        Ok(Self { resource: resource.clone(), labels, fields })
    }

    /// Returns the filter that matches the one object of this name.
    #[must_use]
    pub fn and_name(mut self, name: &str) -> Self {
        self.fields.push(FieldTerm {
            path: "metadata.name".to_owned(),
            value: name.to_owned(),
            equal: true,
        });
        self
    }

    /// Returns whether everything matches.
    pub fn is_empty(&self) -> bool {
        self.labels.is_none() && self.fields.is_empty()
    }

    /// Returns the name that the objects must have, if the filter asks for one.
    pub fn name(&self) -> Option<&str> {
        self.fields
            .iter()
            .find(|term| term.equal && term.path == "metadata.name")
            .map(|term| &*term.value)
    }

    /// Returns whether an object matches.
    pub fn matches(&self, object: &Value) -> bool {
        self.labels.as_ref().is_none_or(|labels| labels.matches(|key| object::label(object, key)))
            && self.fields.iter().all(|term| {
                let found = self.resource.selected(&term.path, object).unwrap_or_default();
                (found == term.value) == term.equal
            })
    }
}

/// Reads `a=b,c!=d`; backslashes escape `\`, `,` and `=`.
fn fields(text: &str, resource: &Resource) -> Result<Vec<FieldTerm>> {
    let mut terms = Vec::new();
    for term in split(text) {
        if term.is_empty() {
            continue;
        }
        let (path, value, equal) = if let Some((path, value)) = term.split_once("!=") {
            (path, value, false)
        } else if let Some((path, value)) = term.split_once("==") {
            (path, value, true)
        } else if let Some((path, value)) = term.split_once('=') {
            (path, value, true)
        } else {
            return Err(Status::bad_request(format!(
                "invalid selector: {text:?}; can't understand {term:?}"
            )));
        };
        let known = matches!(path, "metadata.name" | "metadata.namespace")
            || resource.selectable_fields.iter().any(|known| *known == path);
        if !known {
            return Err(Status::bad_request(format!("field label not supported: {path}")));
        }
        terms.push(FieldTerm { path: path.to_owned(), value: unescape(value), equal });
    }
    Ok(terms)
}

/// Splits at commas that are not escaped.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b',' => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        plain.extend(if char == '\\' { chars.next() } else { Some(char) });
    }
    plain
}
