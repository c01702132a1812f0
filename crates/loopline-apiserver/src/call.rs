//! One request for a resource, and the options that all verbs share.

use std::sync::Arc;

use loopline_schema::{Cause, FieldError};
use serde_json::{Value, json};

use crate::Server;
use crate::auth::{Action, User};
use crate::registry::Entry;
use crate::request::body::{self, Decoded};
use crate::request::{Accept, Query, ResourcePath};
use crate::status::{Result, Status};

/// One request for a resource.
#[derive(Debug)]
pub struct Call {
    /// The server that is asked.
    pub server: Server,
    /// The verb, as authorization names it.
    pub verb: &'static str,
    /// The resource.
    pub entry: Arc<Entry>,
    /// The parts of the path.
    pub path: ResourcePath,
    /// The options.
    pub query: Query,
    /// Who asks.
    pub user: Arc<User>,
    /// What representations the client takes.
    pub accept: Accept,
    /// The client's program, as it names itself.
    pub user_agent: String,
    /// What the client is told beside the answer.
    pub warnings: Vec<String>,
}

/// What is done about fields that the type does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldValidation {
    /// Nothing: they are dropped.
    Ignore,
    /// They are dropped, and the client is warned.
    Warn,
    /// The request is refused.
    Strict,
}

/// The longest name of a field manager.
const MAX_MANAGER_BYTES: usize = 128;

impl Call {
    /// Reads the body of a create or update.
    ///
    /// # Errors
    /// 415 for media types that the resource does not take, 400 for texts that cannot be read.
    pub(crate) fn decode(&self, content_type: &str, bytes: &[u8]) -> Result<Decoded> {
        if self.entry.custom().is_some() && content_type == body::PROTOBUF {
            return Err(Status::unsupported_media_type(
                content_type,
                &["application/json", "application/yaml"],
            ));
        }
        body::decode(content_type, bytes)
    }

    /// Refuses who may change objects, and would make one by it, unless they may do that, too.
    ///
    /// # Errors
    /// 403.
    pub(crate) async fn may_create(&self) -> Result<()> {
        let action = Action {
            verb: "create".to_owned(),
            group: self.path.group.clone(),
            version: self.path.version.clone(),
            resource: self.path.resource.clone(),
            subresource: String::new(),
            namespace: self.namespace().to_owned(),
            name: self.name()?.to_owned(),
            path: String::new(),
        };
        self.server
            .authorize(&self.user, &action)
            .await
            .map_err(|why| Status::forbidden(&self.entry.resource, &action.name, why))
    }

    /// Returns the namespace of the path, empty where there is none.
    pub fn namespace(&self) -> &str {
        self.path.namespace.as_deref().unwrap_or("")
    }

    /// Returns the name of the path.
    ///
    /// # Errors
    /// 400 where the path has none.
    pub fn name(&self) -> Result<&str> {
        self.path.name.as_deref().ok_or_else(|| Status::bad_request("name is required"))
    }

    /// Returns the subresource of the path, empty where there is none.
    pub fn subresource(&self) -> &str {
        self.path.subresource.as_deref().unwrap_or("")
    }

    /// Returns whether nothing is to be stored.
    ///
    /// # Errors
    /// 422 for any value but `All`.
    pub fn dry_run(&self) -> Result<bool> {
        let mut dry = false;
        for value in self.query.all("dryRun") {
            match value {
                "" => {}
                "All" => dry = true,
                other => {
                    let why = "supported values: \"All\"";
                    let error = FieldError::new(Cause::NotSupported, "dryRun", json!(other), why)
                        .shown_as(format!("[]string{{{other:?}}}"));
                    return Err(Status::invalid_options(self.options_kind(), &[error]));
                }
            }
        }
        Ok(dry)
    }

    /// Returns what is done about unknown fields.
    ///
    /// # Errors
    /// 422 for an unknown value.
    pub fn field_validation(&self) -> Result<FieldValidation> {
        match self.query.get("fieldValidation") {
            None | Some("Warn") => Ok(FieldValidation::Warn),
            Some("Ignore") => Ok(FieldValidation::Ignore),
            Some("Strict") => Ok(FieldValidation::Strict),
            Some(other) => Err(self.invalid_option(
                Cause::NotSupported,
                "fieldValidation",
                other,
                "supported values: \"Ignore\", \"Strict\", \"Warn\"",
            )),
        }
    }

    /// Returns who manages the fields that this write sets: the option, or the client's program.
    ///
    /// # Errors
    /// 422 for names that are too long or not printable.
    pub fn field_manager(&self) -> Result<String> {
        if let Some(manager) = self.query.get("fieldManager") {
            if manager.len() > MAX_MANAGER_BYTES {
                let why = format!("may not be more than {MAX_MANAGER_BYTES} bytes");
                return Err(self.invalid_option(Cause::TooLong, "fieldManager", manager, &why));
            }
            if manager.chars().any(char::is_control) {
                let why = "should only contain printable characters";
                return Err(self.invalid_option(Cause::Invalid, "fieldManager", manager, why));
            }
            return Ok(manager.to_owned());
        }
        let program = self.user_agent.split('/').next().unwrap_or("");
        let program: String =
            program.chars().filter(|c| !c.is_control()).take(MAX_MANAGER_BYTES).collect();
        Ok(if program.is_empty() { "unknown".to_owned() } else { program })
    }

    /// Tells that an option of the request cannot be honoured.
    fn invalid_option(&self, cause: Cause, option: &str, value: &str, why: &str) -> Status {
        let error = FieldError::new(cause, option, json!(value), why);
        Status::invalid_options(self.options_kind(), &[error])
    }

    fn options_kind(&self) -> &'static str {
        match self.verb {
            "create" => "CreateOptions",
            "update" => "UpdateOptions",
            "patch" => "PatchOptions",
            _ => "DeleteOptions",
        }
    }

    /// Returns the options of a write as the object that policies and webhooks see.
    pub fn options(&self, kind: &str) -> Value {
        let mut options = json!({"kind": kind, "apiVersion": "meta.k8s.io/v1"});
        for name in ["fieldManager", "fieldValidation"] {
            if let Some(value) = self.query.get(name) {
                options[name] = json!(value);
            }
        }
        if self.query.get("dryRun").is_some() {
            options["dryRun"] = json!(["All"]);
        }
        options
    }

    /// Returns the body's object with its type filled in.
    ///
    /// # Errors
    /// 400 for bodies of another kind or version, or that are no objects.
    pub fn expect_type(&self, object: &mut Value, api_version: &str, kind: &str) -> Result<()> {
        if !object.is_object() {
            return Err(Status::bad_request(format!(
                "the body of the request is no {kind} object"
            )));
        }
        let found_version = object["apiVersion"].as_str().unwrap_or("");
        let found_kind = object["kind"].as_str().unwrap_or("");
        if !found_version.is_empty() && found_version != api_version {
            return Err(Status::bad_request(format!(
                "the API version in the data ({found_version}) does not match the expected API \
                 version ({api_version})"
            )));
        }
        if !found_kind.is_empty() && found_kind != kind {
            let version = api_version.rsplit('/').next().unwrap_or(api_version);
            return Err(Status::bad_request(format!(
                "{found_kind} in version {version:?} cannot be handled as a {kind}: the kinds do \
                 not match"
            )));
        }
        // Names and revisions are written into it, which would hide that it is none.
        if object.get("metadata").is_some_and(|it| !it.is_object() && !it.is_null()) {
            let version = api_version.rsplit('/').next().unwrap_or(api_version);
            return Err(Status::bad_request(format!(
                "{kind} in version {version:?} cannot be handled as a {kind}: metadata is no object"
            )));
        }
        crate::object::set_type(object, api_version, kind);
        Ok(())
    }

    /// Checks the JSON types and the unknown fields of a body against its type; unknown fields
    /// are removed. Returns the complaints of a strict reading, for the caller to refuse.
    ///
    /// # Errors
    /// 400 for values of the wrong type.
    pub fn check_fields(
        &mut self,
        object: &mut Value,
        duplicates: &[String],
        validation: FieldValidation,
    ) -> Result<Vec<String>> {
        let entry = Arc::clone(&self.entry);
        let kind = &entry.resource.kind;
        if entry.custom().is_none()
            && let Some(error) = loopline_schema::check_types(entry.type_of(), object).first()
        {
            return Err(Status::bad_request(format!(
                "{kind} in version {:?} cannot be handled as a {kind}: {error}",
                entry.resource.version
            )));
        }
        let mut complaints: Vec<String> =
            duplicates.iter().map(|path| format!("duplicate field {path:?}")).collect();
        complaints.extend(loopline_schema::prune_unknown(entry.type_of(), object));
        match validation {
            FieldValidation::Strict => Ok(complaints),
            FieldValidation::Warn => {
                self.warnings.append(&mut complaints);
                Ok(Vec::new())
            }
            FieldValidation::Ignore => Ok(Vec::new()),
        }
    }
}
