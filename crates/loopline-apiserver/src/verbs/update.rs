//! Changing objects that are there.

use std::sync::Arc;

use loopline_clock::Timestamp;
use loopline_store::object::{Precondition, Revision};
use serde_json::{Value, json};

use super::create::{Managing, refuse_strict};
use crate::admission::{Attributes, Operation};
use crate::call::Call;
use crate::object;
use crate::status::{Result, Status};
use crate::storage::{Stored, WriteError};
use crate::strategy;

/// How often a write that raced with another one is tried again, where the client allows it.
const MAX_TRIES: usize = 8;

/// What a write makes of the live object.
#[derive(Debug)]
pub struct Changed {
    /// The object as the client wants it.
    pub object: Value,
    /// Who manages what it changes.
    pub managing: Managing,
}

/// What the object is turned into, given what it is now.
pub type Transform<'a> =
    &'a mut (dyn FnMut(&mut Call, &Value, Timestamp) -> Result<Changed> + Send);

impl Call {
    /// Replaces an object by the body (PUT); returns it, and whether it was made.
    ///
    /// # Errors
    /// As the API has them: 400, 403, 404, 409, 422.
    pub async fn replace(
        &mut self,
        mut body: Value,
        duplicates: &[String],
    ) -> Result<(Value, bool)> {
        let validation = self.field_validation()?;
        let entry = Arc::clone(&self.entry);
        self.expect_type(&mut body, &entry.api_version(), &entry.resource.kind)?;
        let complaints = self.check_fields(&mut body, duplicates, validation)?;
        refuse_strict(&complaints)?;
        let name = self.name()?.to_owned();
        self.check_identity(&mut body, &name)?;
        let manager = self.field_manager()?;
        if strategy::creates_on_update(&entry)
            && self.subresource().is_empty()
            && self.server.find(&entry, self.namespace(), &name).await?.is_none()
        {
            self.may_create().await?;
            object::set_meta(&mut body, "resourceVersion", Value::Null);
            let managing = Managing::Update(manager);
            return Ok((self.create_object(body, &managing).await?, true));
        }
        let unconditional = object::meta(&body, "resourceVersion").is_empty();
        if unconditional && !strategy::updates_unconditionally(&entry) {
            // This is told of the resource, not of the kind.
            let mut told = entry.resource.clone();
            told.kind.clone_from(&told.plural);
            return Err(Status::invalid(
                &told,
                &name,
                &[loopline_schema::FieldError::new(
                    loopline_schema::Cause::Invalid,
                    "metadata.resourceVersion",
                    json!(0),
                    "must be specified for an update",
                )
                .shown_as("0x0")],
            ));
        }
        let object = self
            .change(&mut |_, _, _| {
                Ok(Changed { object: body.clone(), managing: Managing::Update(manager.clone()) })
            })
            .await?;
        Ok((object, false))
    }

    /// Changes the object of the path. Where the changed object names no revision, a write that
    /// races with another is tried again on what the other left.
    ///
    /// # Errors
    /// As the API has them: 403, 404, 409, 422, and the transformation's own.
    pub async fn change(&mut self, transform: Transform<'_>) -> Result<Value> {
        let name = self.name()?.to_owned();
        let server = self.server.clone();
        let entry = Arc::clone(&self.entry);
        for _ in 0..MAX_TRIES {
            let live = server
                .read(&entry, &self.path.namespace.clone().unwrap_or_default(), &name)
                .await?;
            let now = server.clock().now();
            let changed = transform(self, &live.object, now)?;
            let asked = object::meta(&changed.object, "resourceVersion").to_owned();
            if !asked.is_empty() && asked != live.revision.to_string() {
                return Err(Status::modified(&entry.resource, &name));
            }
            let uid = object::uid(&changed.object);
            if !uid.is_empty() && uid != object::uid(&live.object) {
                return Err(Status::conflict(
                    &entry.resource,
                    &name,
                    format_args!(
                        "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
                        object::uid(&live.object)
                    ),
                ));
            }
            // Otherwise the live object moved on; a revision that the client gave is checked again.
            if let Some(object) = self.write_changed(changed, &live, &name, now).await? {
                return Ok(object);
            }
        }
        Err(Status::modified(&entry.resource, &name))
    }

    /// Carries a changed object through defaulting, admission and validation into the store.
    /// Returns nothing where another write came first.
    async fn write_changed(
        &mut self,
        changed: Changed,
        live: &Stored,
        name: &str,
        now: Timestamp,
    ) -> Result<Option<Value>> {
        let server = self.server.clone();
        let entry = Arc::clone(&self.entry);
        let dry_run = self.dry_run()?;
        let subresource = self.subresource().to_owned();
        let namespace = self.namespace().to_owned();
        let mut object = changed.object;
        object::set_type(&mut object, &entry.api_version(), &entry.resource.kind);
        entry.apply_defaults(&mut object);
        let mut attributes = Attributes {
            entry: Arc::clone(&entry),
            subresource: subresource.clone(),
            namespace: namespace.clone(),
            name: name.to_owned(),
            operation: Operation::Update,
            object,
            old: live.object.clone(),
            options: self.options("UpdateOptions"),
            user: Arc::clone(&self.user),
            dry_run,
            warnings: Vec::new(),
        };
        server.admit_mutating(&mut attributes).await?;
        entry.apply_defaults(&mut attributes.object);
        strategy::prepare_update(&entry, &subresource, &mut attributes.object, &live.object);
        if subresource == "approval" {
            let now = super::create::seconds(now);
            crate::subresource::parts::stamp_conditions(&mut attributes.object, &live.object, &now);
        }
        let registry = server.registry();
        changed.managing.manage(
            &registry,
            &entry,
            &subresource,
            &live.object,
            &mut attributes.object,
            now,
        );
        let errors = entry.validate_update(&subresource, &attributes.object, &live.object);
        if !errors.is_empty() {
            return Err(Status::invalid(&entry.resource, name, &errors));
        }
        server.admit_validating(&mut attributes).await?;
        let undo = server.allocate(&mut attributes).await?;
        let Attributes { mut object, mut warnings, .. } = attributes;
        self.warnings.append(&mut warnings);
        if object::same_but_for_bookkeeping(&object, &live.object) {
            server.release(undo);
            return Ok(Some(live.object.clone()));
        }
        if dry_run {
            server.release(undo);
            object::set_revision(&mut object, live.revision);
            return Ok(Some(object));
        }
        let at = Precondition::Revision(live.revision);
        match server.write(&entry, &namespace, name, &object, at).await {
            Ok(revision) => {
                server.keep(undo);
                object::set_revision(&mut object, revision);
                self.finish_deletion(&object, revision, name).await?;
                if crate::crd::is_definition(&entry) {
                    server.definition_written(name).await?;
                }
                Ok(Some(object))
            }
            Err(WriteError::Raced) => {
                server.release(undo);
                Ok(None)
            }
            Err(WriteError::Refused(status)) => {
                server.release(undo);
                Err(status)
            }
        }
    }

    /// Removes an object that was only waiting for its last finalizer.
    async fn finish_deletion(&self, object: &Value, revision: Revision, name: &str) -> Result<()> {
        if !object::is_deleting(object) || !super::delete::may_go(&self.entry, object) {
            return Ok(());
        }
        self.server.remove(&self.entry, self.namespace(), name, object, revision).await?;
        Ok(())
    }

    /// Checks that the body is about the object of the path, and completes it.
    ///
    /// # Errors
    /// 400 where names or namespaces differ, or the body names none.
    pub fn check_identity(&self, object: &mut Value, name: &str) -> Result<()> {
        let found = object::name(object).to_owned();
        if found.is_empty() {
            return Err(Status::bad_request(format!(
                "the name of the object ({name} based on URL) was undeterminable: name must be \
                 provided"
            )));
        }
        if found != name {
            return Err(Status::bad_request(format!(
                "the name of the object ({found}) does not match the name on the URL ({name})"
            )));
        }
        let found = object::namespace(object).to_owned();
        let namespace = self.namespace();
        if !self.entry.resource.namespaced {
            object::set_meta(object, "namespace", Value::Null);
        } else if found.is_empty() {
            object::set_meta(object, "namespace", json!(namespace));
        } else if found != namespace {
            return Err(Status::bad_request(format!(
                "the namespace of the object ({found}) does not match the namespace on the \
                 request ({namespace})"
            )));
        }
        Ok(())
    }
}
