//! One version of a custom resource: how its objects are read, written, checked and shown.

use loopline_clock::Timestamp;
use loopline_schema::{Cause, FieldError, Schema, structural, validation};
use serde_json::Value;

use super::columns::{self, Column};
use super::ratchet;
use super::rules::Rules;
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
    /// What its clients are warned of.
    pub deprecation: Option<String>,
    columns: Vec<Column>,
    rules: Rules,
}

impl Custom {
    /// Compiles one of the `spec.versions` of a definition, which stands at `path`.
    ///
    /// # Errors
    /// Every reason for which its schema is refused.
    pub(super) fn compile(
        group: &str,
        kind: &str,
        version: &Value,
        path: &str,
    ) -> std::result::Result<Self, Vec<FieldError>> {
        let openapi = version["schema"]["openAPIV3Schema"].clone();
        let path = format!("{path}.schema.openAPIV3Schema");
        let schema = structural::compile(&openapi, &path)?;
        let rules = Rules::compile(&openapi, &path)?;
        let deprecation = version["deprecated"].as_bool().unwrap_or(false).then(|| {
            let given = version["deprecationWarning"].as_str().map(ToOwned::to_owned);
            let name = version["name"].as_str().unwrap_or_default();
            given.unwrap_or_else(|| format!("{group}/{name} {kind} is deprecated"))
        });
        Ok(Self {
            schema,
            openapi,
            scale: places(version),
            deprecation,
            columns: columns::columns(version),
            rules,
        })
    }

    /// Brings a stored object to the entry's version, as its schema has it now: what the schema
    /// no longer declares goes, and new defaults come.
    pub(crate) fn read_version(&self, entry: &Entry, object: &mut Value) -> Result<()> {
        object::set_type(object, &entry.api_version(), &entry.resource.kind);
        structural::prune(self.schema.root(), object);
        self.apply_defaults(object);
        Ok(())
    }

    /// Brings an object to the version in which it is stored.
    pub(crate) fn write_version(&self, entry: &Entry, object: &mut Value) -> Result<()> {
        let version = object::api_version(&entry.storage.group, &entry.storage.version);
        object::set_type(object, &version, &entry.resource.kind);
        Ok(())
    }

    /// Fills in the defaults of the schema.
    pub(crate) fn apply_defaults(&self, object: &mut Value) {
        structural::apply_defaults(self.schema.root(), object);
    }

    /// Checks an object that is made, or changed from `live`.
    pub(crate) fn validate(
        &self,
        entry: &Entry,
        object: &Value,
        live: Option<&Value>,
    ) -> Vec<FieldError> {
        let resource = &entry.resource;
        // Metadata is judged as of every object; no kind has rules of its own here.
        let mut errors = match live {
            None => validation::create(&resource.group, &resource.version, "", object),
            Some(live) => validation::update(&resource.group, &resource.version, "", object, live),
        };
        // That a finalizer's name has a domain is asked of built-in kinds alone.
        errors.retain(|error| {
            !(error.field.starts_with("metadata.finalizers[")
                && error.detail.ends_with("nor is it fully qualified"))
        });
        let mut found = structural::validate(&self.schema, object);
        if let Some(live) = live {
            found.retain(|error| !ratchet::was_there(&self.openapi, error, object, live));
        }
        errors.append(&mut found);
        // Rules take for granted that values have their types, and that what must be there is.
        let blocking = |error: &FieldError| {
            use Cause::{Required, TooLong, TooMany, TypeInvalid};
            matches!(error.cause, Required | TooLong | TooMany | TypeInvalid)
        };
        if errors.iter().any(blocking) {
            if !self.rules.is_empty() {
                let detail = "some validation rules were not checked because the object was \
                              invalid; correct the existing errors to complete validation";
                errors.push(FieldError::new(Cause::Invalid, "<nil>", Value::Null, detail));
            }
        } else {
            errors.append(&mut self.rules.check(object, live));
        }
        errors
    }

    /// Returns what tables of its objects say of their columns.
    pub(crate) fn column_definitions(&self) -> Vec<Value> {
        columns::definitions(&self.columns)
    }

    /// Returns the cells of an object's row.
    pub(crate) fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        columns::cells(&self.columns, object, now)
    }
}

/// Returns where a version keeps its scale.
fn places(version: &Value) -> Option<Places> {
    let scale = version["subresources"].get("scale")?;
    let pointer = |key: &str| scale[key].as_str().map(|path| path.replace('.', "/"));
    Some(Places {
        spec_replicas: pointer("specReplicasPath")?,
        status_replicas: pointer("statusReplicasPath")?,
        selector: pointer("labelSelectorPath").filter(|path| !path.is_empty()),
    })
}
