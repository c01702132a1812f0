//! The forms of `-o`.

use serde_json::Value;

use crate::error::CommandError;
use crate::show::template::Template;
use crate::show::{self, yaml};

/// How objects are printed.
#[derive(Debug)]
pub(super) enum Form {
    Table,
    Wide,
    Name,
    Json,
    Yaml,
    Template(Template),
}

impl Form {
    /// Reads `-o`.
    pub(super) fn parse(text: Option<&str>) -> Result<Self, CommandError> {
        Ok(match text {
            None => Self::Table,
            Some("wide") => Self::Wide,
            Some("name") => Self::Name,
            Some("json") => Self::Json,
            Some("yaml") => Self::Yaml,
            Some(other) => match other.strip_prefix("jsonpath=") {
                Some(template) => Self::Template(Template::parse(template).map_err(|why| {
                    CommandError::usage(format!("error parsing jsonpath {template}, {why}"))
                })?),
                None => {
                    let message = format!("unable to match a printer for the output {other:?}");
                    return Err(CommandError::usage(message)
                        .hint("-o takes wide, name, json, yaml and jsonpath=TEMPLATE"));
                }
            },
        })
    }

    /// Returns whether it prints whole objects.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self, Self::Json | Self::Yaml | Self::Template(_))
    }

    /// Returns an object's text, with its line break; nothing for forms of lines.
    pub(super) fn whole(&self, object: &Value) -> Option<String> {
        match self {
            Self::Json => Some(format!("{}\n", show::json(object))),
            Self::Yaml => Some(yaml::yaml(object)),
            Self::Template(template) => Some(template.fill(object)),
            Self::Table | Self::Wide | Self::Name => None,
        }
    }
}

/// Leaves out who owns which field, which fills screens.
pub(super) fn without_managed_fields(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.shift_remove("managedFields");
    }
}
