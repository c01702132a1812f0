//! What a resource's type asks of its objects: defaults and validity.

use loopline_schema::{FieldError, defaults, normal, validation};
use serde_json::Value;

use crate::crd;
use crate::registry::{Definition, Entry};

impl Entry {
    /// Fills in the defaults of the type.
    pub(crate) fn apply_defaults(&self, object: &mut Value) {
        let resource = &self.resource;
        match &self.definition {
            Definition::BuiltIn => {
                normal::normalize(self.type_of(), object);
                defaults::apply(&resource.group, &resource.version, &resource.kind, object);
            }
            Definition::Custom(custom) => custom.apply_defaults(object),
        }
    }

    /// Checks a new object.
    pub(crate) fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let resource = &self.resource;
        match &self.definition {
            Definition::BuiltIn => {
                let mut errors =
                    validation::create(&resource.group, &resource.version, &resource.kind, object);
                if crd::is_definition(self) {
                    errors.append(&mut crd::check::check(object));
                }
                errors
            }
            Definition::Custom(custom) => custom.validate(self, object, None),
        }
    }

    /// Checks a changed object.
    pub(crate) fn validate_update(
        &self,
        subresource: &str,
        object: &Value,
        live: &Value,
    ) -> Vec<FieldError> {
        let resource = &self.resource;
        match &self.definition {
            Definition::BuiltIn => {
                let mut errors = validation::update_subresource(
                    &resource.group,
                    &resource.version,
                    &resource.kind,
                    Some(subresource).filter(|name| !name.is_empty()),
                    object,
                    live,
                );
                if crd::is_definition(self) {
                    errors.append(&mut crd::check::check(object));
                }
                errors
            }
            Definition::Custom(custom) => custom.validate(self, object, Some(live)),
        }
    }
}
