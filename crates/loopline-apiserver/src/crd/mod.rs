//! Custom resources: what a `CustomResourceDefinition` makes of a server.

use loopline_clock::Timestamp;
use loopline_schema::{FieldError, Schema};
use serde_json::Value;

use crate::object;
use crate::registry::Entry;
use crate::status::Result;
use crate::subresource::scale::Places;

/// One version of a custom resource, ready to be served.
#[derive(Debug)]
pub struct Custom {
    /// The types of its objects.
    pub schema: Schema,
    /// The schema as the definition has it, for OpenAPI documents.
    pub openapi: Value,
    /// Where it keeps what a `Scale` shows, if it has that subresource.
    pub scale: Option<Places>,
}

impl Custom {
    pub(crate) fn read_version(&self, entry: &Entry, object: &mut Value) -> Result<()> {
        object::set_type(object, &entry.api_version(), &entry.resource.kind);
        Ok(())
    }

    pub(crate) fn write_version(&self, entry: &Entry, object: &mut Value) -> Result<()> {
        let version = object::api_version(&entry.storage.group, &entry.storage.version);
        object::set_type(object, &version, &entry.resource.kind);
        Ok(())
    }

    pub(crate) fn apply_defaults(&self, _object: &mut Value) {}

    pub(crate) fn validate(
        &self,
        _entry: &Entry,
        _object: &Value,
        _live: Option<&Value>,
    ) -> Vec<FieldError> {
        Vec::new()
    }

    pub(crate) fn column_definitions(&self) -> Vec<Value> {
        Vec::new()
    }

    pub(crate) fn cells(&self, _object: &Value, _now: Timestamp) -> Vec<Value> {
        Vec::new()
    }
}
