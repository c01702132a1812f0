//! Patching objects: JSON patch, merge patch, strategic merge patch, server-side apply.

use std::sync::Arc;

use loopline_merge::managed::{self, FieldManager};
use loopline_merge::{json_patch, merge_patch, strategic};
use loopline_schema::{Cause, FieldError};
use serde_json::{Value, json};

use super::create::Managing;
use super::update::Changed;
use crate::call::{Call, FieldValidation};
use crate::managing::{KindVersions, resets};
use crate::object;
use crate::request::body;
use crate::status::{Result, Status};

/// The media types of patches that built-in kinds take; custom resources take no strategic ones.
const KNOWN: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/apply-patch+yaml",
    "application/strategic-merge-patch+json",
];

/// A patch of one of the kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Json,
    Merge,
    Strategic,
    Apply,
}

impl Call {
    /// Patches the object of the path; returns it, and whether it was made.
    ///
    /// # Errors
    /// As the API has them: 400, 404, 409, 415, 422.
    pub async fn patch(&mut self, content_type: &str, bytes: &[u8]) -> Result<(Value, bool)> {
        let custom = self.entry.custom().is_some();
        let kind = match content_type {
            "application/json-patch+json" => Kind::Json,
            "application/merge-patch+json" => Kind::Merge,
            "application/strategic-merge-patch+json" if !custom => Kind::Strategic,
            "application/apply-patch+yaml" => Kind::Apply,
            other => {
                let known = if custom { &KNOWN[..3] } else { KNOWN };
                return Err(Status::unsupported_media_type(other, known));
            }
        };
        if kind != Kind::Apply && self.query.get("force").is_some() {
            return Err(invalid_patch_option(
                Cause::Forbidden,
                "force",
                "may not be specified for non-apply patch",
            ));
        }
        if kind == Kind::Apply {
            return self.apply(bytes).await;
        }
        let patch = body::json(bytes)?;
        self.refuse_repeated(&patch.duplicates)?;
        let manager = self.field_manager()?;
        let name = self.name()?.to_owned();
        let object = self
            .change(&mut |call, live, _| {
                let object = call.patched(kind, live, &patch.value)?;
                let object = call.decode_patched(object, &name, bytes)?;
                Ok(Changed { object, managing: Managing::Update(manager.clone()) })
            })
            .await?;
        Ok((object, false))
    }

    fn refuse_repeated(&mut self, duplicates: &[String]) -> Result<()> {
        let complaints = duplicates
            .iter()
            .map(|path| format!("json patch unmarshal error: duplicate field {path:?}"));
        match self.field_validation()? {
            FieldValidation::Strict if !duplicates.is_empty() => {
                Err(Status::bad_request(complaints.collect::<Vec<_>>().join(", ")))
            }
            FieldValidation::Warn => {
                let complaints: Vec<String> = complaints.collect();
                self.warnings.extend(complaints);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Returns what the patch makes of the live object.
    fn patched(&self, kind: Kind, live: &Value, patch: &Value) -> Result<Value> {
        match kind {
            Kind::Json => json_patch::apply(live, patch).map_err(|error| {
                if error.is_malformed() {
                    Status::bad_request(error.to_string())
                } else {
                    Status::new(422, "Invalid", format!("the server rejected our request due to an error in our request: {error}"))
                }
            }),
            Kind::Merge => {
                expect_object(patch)?;
                merge_patch::apply(live.clone(), patch)
                    .map_err(|error| Status::bad_request(error.to_string()))
            }
            Kind::Strategic => {
                expect_object(patch)?;
                strategic::apply(live.clone(), patch, self.entry.type_of())
                    .map_err(|error| Status::bad_request(error.to_string()))
            }
            Kind::Apply => Err(Status::internal("an apply is no patch of the live object")),
        }
    }

    /// Checks what a patch made: still the same object, of its type, without unknown fields.
    fn decode_patched(&mut self, mut object: Value, name: &str, patch: &[u8]) -> Result<Value> {
        let entry = Arc::clone(&self.entry);
        self.expect_type(&mut object, &entry.api_version(), &entry.resource.kind)?;
        self.check_identity(&mut object, name)?;
        let validation = self.field_validation()?;
        // Warnings are told once, whatever the number of tries.
        let told = self.warnings.len();
        let complaints = self
            .check_fields(&mut object, &[], validation)
            .map_err(|status| self.refused_patch(patch, &status.message))?;
        let mut fresh = self.warnings.split_off(told);
        fresh.retain(|warning| !self.warnings.contains(warning));
        self.warnings.append(&mut fresh);
        if complaints.is_empty() {
            return Ok(object);
        }
        let why = format!("strict decoding error: {}", complaints.join(", "));
        Err(self.refused_patch(patch, &why))
    }

    /// Refuses a patch for what it would make of the object.
    fn refused_patch(&self, patch: &[u8], why: &str) -> Status {
        let patch = json!(String::from_utf8_lossy(patch));
        let error = FieldError::new(Cause::Invalid, "patch", patch, why);
        Status::invalid(&self.entry.resource, "", &[error])
    }

    /// Applies a configuration (server-side apply).
    async fn apply(&mut self, bytes: &[u8]) -> Result<(Value, bool)> {
        let entry = Arc::clone(&self.entry);
        let Some(manager) = self.query.get("fieldManager").map(ToOwned::to_owned) else {
            return Err(invalid_patch_option(
                Cause::Required,
                "fieldManager",
                "is required for apply patch",
            ));
        };
        self.field_manager()?;
        let force = self.query.flag("force")?;
        let config = body::yaml(bytes)?;
        let repeated = config.duplicates.iter().map(|path| format!("duplicate field {path:?}"));
        match self.field_validation()? {
            FieldValidation::Strict if !config.duplicates.is_empty() => {
                let list = repeated.collect::<Vec<_>>().join(", ");
                return Err(Status::bad_request(format!("error strict decoding YAML: {list}")));
            }
            FieldValidation::Warn => self.warnings.extend(repeated),
            FieldValidation::Strict | FieldValidation::Ignore => {}
        }
        let mut config = config.value;
        for field in ["apiVersion", "kind"] {
            if config[field].as_str().unwrap_or("").is_empty() {
                return Err(Status::bad_request(format!(
                    "the applied configuration has no {field}"
                )));
            }
        }
        self.expect_type(&mut config, &entry.api_version(), &entry.resource.kind)?;
        let name = self.name()?.to_owned();
        if !object::name(&config).is_empty() {
            self.check_identity(&mut config, &name)?;
        }
        if let Some(error) = loopline_schema::check_types(entry.type_of(), &config).first() {
            if entry.custom().is_some() {
                return Err(Status::bad_request(format!(
                    "failed to create typed patch object ({}/{name}; {}, Kind={}): .{}: {error}",
                    self.namespace(),
                    entry.api_version(),
                    entry.resource.kind,
                    error.field,
                )));
            }
            return Err(Status::bad_request(error.to_string()));
        }
        let namespace = self.namespace().to_owned();
        if self.server.find(&entry, &namespace, &name).await?.is_none() {
            if !self.subresource().is_empty() {
                return Err(Status::not_found(&entry.resource, &name));
            }
            // What is there has its name; what is made must bring it.
            self.check_identity(&mut config, &name)?;
            let now = self.server.clock().now();
            let empty = json!({"apiVersion": entry.api_version(), "kind": entry.resource.kind});
            if !object::uid(&config).is_empty() {
                return Err(Status::conflict(
                    &entry.resource,
                    &name,
                    format_args!(
                        "uid mismatch: the provided object specified uid {}, and no existing \
                         object was found",
                        object::uid(&config)
                    ),
                ));
            }
            let object = self.applied(&empty, &config, &manager, force, now)?;
            self.may_create().await?;
            match self.create_object(object, &Managing::Recorded).await {
                Ok(object) => return Ok((object, true)),
                // Somebody else made it in between: apply to that.
                Err(status) if status.reason == "AlreadyExists" => {}
                Err(status) => return Err(status),
            }
        }
        let object = self
            .change(&mut |call, live, now| {
                let object = call.applied(live, &config, &manager, force, now)?;
                Ok(Changed { object, managing: Managing::Recorded })
            })
            .await?;
        Ok((object, false))
    }

    /// Returns what a configuration makes of the live object, with the owners recorded.
    fn applied(
        &self,
        live: &Value,
        config: &Value,
        manager: &str,
        force: bool,
        now: loopline_clock::Timestamp,
    ) -> Result<Value> {
        let kinds = KindVersions::new(&self.server, &self.entry);
        let versions = &kinds;
        let reset = resets(&self.entry, self.subresource());
        let manager_of = FieldManager {
            versions: &versions,
            version: &self.entry.api_version(),
            subresource: self.subresource(),
            reset: &reset,
        };
        let mut object = manager_of
            .apply(live, config, manager, force, now)
            .map_err(|error| refused_apply(&error))?;
        // A configuration that names a revision asks for that one.
        let asked = config["metadata"]["resourceVersion"].clone();
        object::set_meta(&mut object, "resourceVersion", asked);
        Ok(object)
    }
}

fn refused_apply(error: &managed::ApplyError) -> Status {
    match error {
        managed::ApplyError::Conflicts(conflicts) => {
            let mut status = Status::new(409, "Conflict", conflicts.to_string());
            for cause in conflicts.causes() {
                status = status.because("FieldManagerConflict", cause.message, cause.field);
            }
            status
        }
        managed::ApplyError::ManagedFieldsGiven | managed::ApplyError::Version { .. } => {
            Status::bad_request(error.to_string())
        }
        // As Kubernetes has it: a failure without a reason.
        managed::ApplyError::Config { .. } => Status::new(500, "", error.to_string()),
        other => Status::internal(other),
    }
}

fn expect_object(patch: &Value) -> Result<()> {
    if patch.is_object() {
        return Ok(());
    }
    Err(Status::bad_request("the patch must be a JSON object"))
}

fn invalid_patch_option(cause: Cause, field: &str, why: &str) -> Status {
    Status::invalid_options("PatchOptions", &[FieldError::new(cause, field, json!(""), why)])
}
