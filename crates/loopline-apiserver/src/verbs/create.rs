//! Making objects.

use std::sync::Arc;

use loopline_clock::Clock;
use loopline_store::object::Precondition;
use serde_json::{Value, json};

use crate::admission::{Attributes, Operation};
use crate::call::Call;
use crate::object;
use crate::status::{Result, Status};
use crate::storage::WriteError;
use crate::strategy;

/// The letters of generated names: no vowels, so that no words come out.
const NAME_LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// How many letters a generated name gets.
const NAME_SUFFIX: usize = 5;

/// The longest base of a generated name.
const MAX_GENERATED_BASE: usize = 58;

/// How often a generated name is tried again when it is taken.
const MAX_NAME_TRIES: usize = 8;

impl Call {
    /// Makes the object of a body.
    ///
    /// # Errors
    /// As the API has them: 400, 403, 409, 422.
    pub async fn create(&mut self, mut body: Value, duplicates: &[String]) -> Result<Value> {
        let validation = self.field_validation()?;
        let entry = Arc::clone(&self.entry);
        self.expect_type(&mut body, &entry.api_version(), &entry.resource.kind)?;
        let complaints = self.check_fields(&mut body, duplicates, validation)?;
        refuse_strict(&complaints)?;
        if !object::meta(&body, "resourceVersion").is_empty() {
            return Err(Status::bad_request(
                "resourceVersion should not be set on objects to be created",
            ));
        }
        let manager = self.field_manager()?;
        self.create_object(body, &Managing::Update(manager)).await
    }

    /// Makes an object that was decoded and checked, with fields managed as told.
    ///
    /// # Errors
    /// As the API has them: 403, 409, 422.
    pub async fn create_object(&mut self, body: Value, managing: &Managing) -> Result<Value> {
        let mut body = body;
        self.place(&mut body)?;
        let generated = object::name(&body).is_empty();
        if generated && object::meta(&body, "generateName").is_empty() && !self.is_virtual() {
            return Err(Status::invalid(
                &self.entry.resource,
                "",
                &[loopline_schema::FieldError::new(
                    loopline_schema::Cause::Required,
                    "metadata.name",
                    json!(""),
                    "name or generateName is required",
                )],
            ));
        }
        for _ in 0..MAX_NAME_TRIES {
            let mut object = body.clone();
            if generated {
                let name = random_name(self.server.clock(), object::meta(&object, "generateName"));
                object::set_meta(&mut object, "name", json!(name));
            }
            match self.try_create(object, managing).await {
                Err(status) if generated && status.reason == "AlreadyExists" => {}
                other => return other,
            }
        }
        Err(Status::already_exists(&self.entry.resource, object::meta(&body, "generateName")))
    }

    async fn try_create(&mut self, mut object: Value, managing: &Managing) -> Result<Value> {
        let server = self.server.clone();
        let entry = Arc::clone(&self.entry);
        let dry_run = self.dry_run()?;
        let resource = &entry.resource;
        for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
            object::set_meta(&mut object, field, Value::Null);
        }
        let now = server.clock().now();
        object::set_meta(&mut object, "uid", json!(server.clock().uuid()));
        object::set_meta(&mut object, "creationTimestamp", json!(seconds(now)));
        entry.apply_defaults(&mut object);
        let mut attributes = Attributes {
            entry: Arc::clone(&entry),
            subresource: String::new(),
            namespace: self.namespace().to_owned(),
            name: object::name(&object).to_owned(),
            operation: Operation::Create,
            object,
            old: Value::Null,
            options: self.options("CreateOptions"),
            user: Arc::clone(&self.user),
            dry_run,
            warnings: Vec::new(),
        };
        server.admit_mutating(&mut attributes).await?;
        entry.apply_defaults(&mut attributes.object);
        strategy::prepare_create(&entry, &mut attributes.object);
        strategy::name_requestor(&entry, &self.user, &mut attributes.object);
        let name = object::name(&attributes.object).to_owned();
        attributes.name.clone_from(&name);
        managing.manage(&server.registry(), &entry, "", &Value::Null, &mut attributes.object, now);
        let errors = entry.validate_create(&attributes.object);
        if !errors.is_empty() {
            return Err(Status::invalid(resource, &name, &errors));
        }
        server.admit_validating(&mut attributes).await?;
        let undo = server.allocate(&mut attributes).await?;
        let Attributes { mut object, mut warnings, .. } = attributes;
        self.warnings.append(&mut warnings);
        if dry_run {
            server.release(undo);
            if server.find(&entry, self.namespace(), &name).await?.is_some() {
                return Err(Status::already_exists(resource, &name));
            }
            return Ok(object);
        }
        let written =
            server.write(&entry, self.namespace(), &name, &object, Precondition::Absent).await;
        match written {
            Ok(revision) => {
                server.keep(undo);
                object::set_revision(&mut object, revision);
                server.made(&entry, &object).await?;
                Ok(object)
            }
            Err(error) => {
                server.release(undo);
                Err(match error {
                    WriteError::Raced => Status::already_exists(resource, &name),
                    WriteError::Refused(status) => status,
                })
            }
        }
    }

    /// Puts an object into the namespace of the path.
    fn place(&self, object: &mut Value) -> Result<()> {
        let found = object::namespace(object).to_owned();
        if !self.entry.resource.namespaced {
            // Many manifests name one for what is in none; it means nothing.
            object::set_meta(object, "namespace", Value::Null);
            return Ok(());
        }
        let namespace = self.namespace().to_owned();
        if namespace.is_empty() {
            return Err(Status::bad_request("an empty namespace may not be set during creation"));
        }
        if found.is_empty() {
            object::set_meta(object, "namespace", json!(namespace));
        } else if found != namespace {
            return Err(Status::bad_request(
                "the namespace of the provided object does not match the namespace sent on the \
                 request",
            ));
        }
        Ok(())
    }

    /// Returns whether objects of the resource are answered and never stored.
    fn is_virtual(&self) -> bool {
        !self.entry.serves("get") && !self.entry.serves("list")
    }
}

/// Returns a name that begins with `base` and ends in random letters.
pub(crate) fn random_name(clock: &Clock, base: &str) -> String {
    let mut end = base.len().min(MAX_GENERATED_BASE);
    while !base.is_char_boundary(end) {
        end -= 1;
    }
    let mut bytes = [0; NAME_SUFFIX];
    clock.fill_random(&mut bytes);
    let letters =
        bytes.iter().map(|byte| char::from(NAME_LETTERS[usize::from(*byte) % NAME_LETTERS.len()]));
    base[..end].chars().chain(letters).collect()
}

/// Who manages the fields of a write.
#[derive(Clone, Debug)]
pub enum Managing {
    /// The manager takes what the write changes.
    Update(String),
    /// The object was applied by a manager; the fields are recorded already.
    Recorded,
}

/// Returns a time as objects carry it: whole seconds, UTC.
pub fn seconds(time: loopline_clock::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Refuses a body for what a strict reading found.
pub fn refuse_strict(complaints: &[String]) -> Result<()> {
    if complaints.is_empty() {
        return Ok(());
    }
    Err(Status::bad_request(format!("strict decoding error: {}", complaints.join(", "))))
}
