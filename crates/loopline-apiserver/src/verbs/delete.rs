//! Deleting objects: at once, after a grace period, or when the last finalizer is gone.

use std::sync::Arc;

use loopline_clock::Timestamp;
use loopline_schema::{Cause, FieldError};
use loopline_store::object::{Precondition, Revision, StoreError};
use serde_json::{Value, json};

use super::create::seconds;
use crate::Server;
use crate::admission::{Attributes, Operation};
use crate::call::Call;
use crate::object;
use crate::registry::Entry;
use crate::selector::Filter;
use crate::status::{self, Result, Status};
use crate::storage::{Stored, WriteError, of_store};

/// How often a deletion that raced with a write is tried again.
const MAX_TRIES: usize = 8;

/// How long a pod gets to end, where it does not say.
const DEFAULT_POD_GRACE_SECONDS: i64 = 30;

/// The finalizer that holds an owner until its dependents are gone.
pub const FOREGROUND: &str = "foregroundDeletion";

/// The finalizer that holds an owner until its dependents forgot it.
pub const ORPHAN: &str = "orphan";

/// What becomes of the objects that an object owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// They are deleted afterwards.
    Background,
    /// They are deleted first.
    Foreground,
    /// They stay.
    Orphan,
}

/// The options of a deletion.
#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    /// How long the object gets to end.
    pub grace_period_seconds: Option<i64>,
    /// What becomes of what it owns.
    pub propagation: Option<Propagation>,
    /// The identifier it must have.
    pub uid: Option<String>,
    /// The revision it must have.
    pub resource_version: Option<String>,
    /// Nothing is to happen.
    pub dry_run: bool,
}

impl DeleteOptions {
    /// Reads options from the body, completed from the query.
    ///
    /// # Errors
    /// 400 and 422 for values that are none.
    pub fn parse(body: &Value, call: &Call) -> Result<Self> {
        check_types(body)?;
        let text = |field: &str| body[field].as_str().filter(|text| !text.is_empty());
        let policy = text("propagationPolicy").or_else(|| call.query.get("propagationPolicy"));
        let orphans = match &body["orphanDependents"] {
            Value::Bool(orphans) => Some(*orphans),
            _ if call.query.get("orphanDependents").is_some() => {
                Some(call.query.flag("orphanDependents")?)
            }
            _ => None,
        };
        let propagation = match (policy, orphans) {
            (Some(_), Some(_)) => {
                let why = "orphanDependents and deletionPropagation cannot be both set";
                return Err(invalid(Cause::Invalid, "propagationPolicy", json!(policy), why, None));
            }
            (Some("Background"), None) | (None, Some(false)) => Some(Propagation::Background),
            (Some("Foreground"), None) => Some(Propagation::Foreground),
            (Some("Orphan"), None) | (None, Some(true)) => Some(Propagation::Orphan),
            (Some(other), None) => {
                let why = "supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"";
                let cause = Cause::NotSupported;
                return Err(invalid(cause, "propagationPolicy", json!(other), why, None));
            }
            (None, None) => None,
        };
        let grace = match body["gracePeriodSeconds"].as_i64() {
            None => call.query.number::<i64>("gracePeriodSeconds")?,
            given => given,
        };
        // As little as there is: zero means at once, which must be asked for.
        let grace = grace.map(|grace| if grace < 0 { 1 } else { grace });
        let precondition =
            |field: &str| body["preconditions"][field].as_str().map(ToOwned::to_owned);
        let listed = body["dryRun"].as_array().map(Vec::as_slice).unwrap_or_default();
        if listed.iter().any(|one| one != "All") {
            let texts: Vec<String> = listed.iter().map(ToString::to_string).collect();
            let shown = format!("[]string{{{}}}", texts.join(", "));
            let why = "supported values: \"All\"";
            let value = body["dryRun"].clone();
            return Err(invalid(Cause::NotSupported, "dryRun", value, why, Some(shown)));
        }
        Ok(Self {
            grace_period_seconds: grace,
            propagation,
            uid: precondition("uid"),
            resource_version: precondition("resourceVersion"),
            dry_run: !listed.is_empty() || call.dry_run()?,
        })
    }
}

/// Refuses a body that holds something else than options of a deletion: what they say counts.
fn check_types(body: &Value) -> Result<()> {
    let refuse = |why: String| {
        Err(Status::bad_request(format!(
            "DeleteOptions in version \"v1\" cannot be handled as a DeleteOptions: {why}"
        )))
    };
    let Some(map) = body.as_object() else { return refuse("the body is no object".to_owned()) };
    if let Some(kind) = map.get("kind").and_then(Value::as_str)
        && !matches!(kind, "" | "DeleteOptions")
    {
        return refuse(format!("the body is a {kind}"));
    }
    let texts =
        |value: &Value| value.as_array().is_some_and(|list| list.iter().all(Value::is_string));
    let precondition = |name: &str| body["preconditions"].get(name).unwrap_or(&Value::Null);
    for (name, value, fits) in [
        ("propagationPolicy", &body["propagationPolicy"], Value::is_string as fn(&Value) -> bool),
        ("orphanDependents", &body["orphanDependents"], Value::is_boolean),
        ("gracePeriodSeconds", &body["gracePeriodSeconds"], Value::is_i64),
        ("preconditions", &body["preconditions"], Value::is_object),
        ("preconditions.uid", precondition("uid"), Value::is_string),
        ("preconditions.resourceVersion", precondition("resourceVersion"), Value::is_string),
        ("dryRun", &body["dryRun"], texts),
    ] {
        if !value.is_null() && !fits(value) {
            return refuse(format!("{name} has the wrong type"));
        }
    }
    Ok(())
}

/// Returns what a client is told that deletes a job and does not say what becomes of its pods.
fn warning(entry: &Entry, options: &DeleteOptions) -> Option<String> {
    (options.propagation.is_none() && is_kind(entry, "batch", "Job")).then(|| {
        "child pods are preserved by default when jobs are deleted; set \
         propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress \
         this warning"
            .to_owned()
    })
}

fn invalid(cause: Cause, option: &str, value: Value, why: &str, shown: Option<String>) -> Status {
    let mut error = FieldError::new(cause, option, value, why);
    error.shown = shown;
    Status::invalid_options("DeleteOptions", &[error])
}

impl Call {
    /// Deletes the object of the path.
    ///
    /// # Errors
    /// As the API has them: 403, 404, 409.
    pub async fn delete(&mut self, options: &DeleteOptions, body: &Value) -> Result<Value> {
        let name = self.name()?.to_owned();
        self.warnings.extend(warning(&self.entry, options));
        self.delete_named(&name, options, body).await
    }

    /// Deletes everything in the collection of the path that matches the selectors.
    ///
    /// # Errors
    /// As the API has them.
    pub async fn delete_collection(
        &mut self,
        options: &DeleteOptions,
        body: &Value,
    ) -> Result<Value> {
        let server = self.server.clone();
        let filter = Filter::parse(&self.query, &self.entry.resource)?;
        let list = server.list_all(&self.entry, self.namespace(), &filter).await?;
        let revision = list.revision;
        let mut deleted = Vec::new();
        for object in list.objects {
            let name = object::name(&object).to_owned();
            self.path.namespace =
                Some(object::namespace(&object).to_owned()).filter(|name| !name.is_empty());
            match self.delete_named(&name, options, body).await {
                Ok(_) => deleted.push(object),
                // Gone in between is what was asked for.
                Err(status) if status.code == 404 => {}
                Err(status) => return Err(status),
            }
        }
        Ok(json!({
            "kind": self.entry.resource.list_kind,
            "apiVersion": self.entry.api_version(),
            "metadata": {"resourceVersion": revision.to_string()},
            "items": deleted,
        }))
    }

    async fn delete_named(
        &mut self,
        name: &str,
        options: &DeleteOptions,
        body: &Value,
    ) -> Result<Value> {
        let server = self.server.clone();
        let entry = Arc::clone(&self.entry);
        let namespace = self.namespace().to_owned();
        let resource = &entry.resource;
        for _ in 0..MAX_TRIES {
            let live = server.read(&entry, &namespace, name).await?;
            check_preconditions(&entry, name, &live, options)?;
            let mut attributes = Attributes {
                entry: Arc::clone(&entry),
                subresource: String::new(),
                namespace: namespace.clone(),
                name: name.to_owned(),
                operation: Operation::Delete,
                object: Value::Null,
                old: live.object.clone(),
                options: body.clone(),
                user: Arc::clone(&self.user),
                dry_run: options.dry_run,
                warnings: Vec::new(),
            };
            server.admit_mutating(&mut attributes).await?;
            server.admit_validating(&mut attributes).await?;
            self.warnings.append(&mut attributes.warnings);
            let mut object = live.object.clone();
            let now = server.clock().now();
            if crate::crd::is_definition(&entry) {
                crate::crd::cleanup::hold(&mut object, now);
            }
            mark(&entry, &mut object, options, now);
            if may_go(&entry, &object) {
                if !options.dry_run {
                    match server.remove(&entry, &namespace, name, &object, live.revision).await {
                        Ok(true) => {}
                        Ok(false) => continue,
                        Err(status) => return Err(status),
                    }
                }
                if crate::strategy::returns_deleted(&entry) {
                    return Ok(live.object);
                }
                let mut details = json!({"name": name});
                if !resource.group.is_empty() {
                    details["group"] = json!(resource.group);
                }
                details["kind"] = json!(resource.plural);
                details["uid"] = json!(object::uid(&live.object));
                return Ok(status::success(details));
            }
            if options.dry_run || object == live.object {
                return Ok(object);
            }
            let at = Precondition::Revision(live.revision);
            match server.write(&entry, &namespace, name, &object, at).await {
                Ok(revision) => {
                    object::set_revision(&mut object, revision);
                    if crate::crd::is_definition(&entry) {
                        server.definition_written(name).await?;
                    }
                    return Ok(object);
                }
                Err(WriteError::Raced) => {}
                Err(WriteError::Refused(status)) => return Err(status),
            }
        }
        Err(Status::modified(resource, name))
    }
}

impl Server {
    /// Removes an object from the store if it still has `revision`; returns whether it was.
    ///
    /// # Errors
    /// The store's.
    pub async fn remove(
        &self,
        entry: &Entry,
        namespace: &str,
        name: &str,
        object: &Value,
        revision: Revision,
    ) -> Result<bool> {
        match self.store().delete(&entry.key(namespace, name), revision).await {
            Ok(_) => {
                self.forget(entry, object);
                if crate::crd::is_definition(entry) {
                    self.definition_written(name).await?;
                }
                Ok(true)
            }
            Err(StoreError::Conflict(_) | StoreError::NotFound(_)) => Ok(false),
            Err(other) => Err(of_store(other)),
        }
    }
}

fn check_preconditions(
    entry: &Entry,
    name: &str,
    live: &Stored,
    options: &DeleteOptions,
) -> Result<()> {
    let found = object::uid(&live.object);
    if let Some(asked) = &options.uid
        && asked != found
    {
        return Err(Status::conflict(
            &entry.resource,
            name,
            format_args!(
                "Precondition failed: UID in precondition: {asked}, UID in object meta: {found}"
            ),
        ));
    }
    let found = live.revision.to_string();
    if let Some(asked) = &options.resource_version
        && *asked != found
    {
        return Err(Status::conflict(
            &entry.resource,
            name,
            format_args!(
                "Precondition failed: ResourceVersion in precondition: {asked}, ResourceVersion \
                 in object meta: {found}"
            ),
        ));
    }
    Ok(())
}

/// Marks an object as being deleted: finalizers of the propagation, the time, the grace.
fn mark(entry: &Entry, object: &mut Value, options: &DeleteOptions, now: Timestamp) {
    propagate(entry, object, options);
    let grace = grace(entry, object, options);
    if object::is_deleting(object) {
        let current = object["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
        // A running period can only be made shorter; what is due is due.
        let asked = options.grace_period_seconds.map_or(current, |_| grace);
        if asked < current {
            let began = object::meta(object, "deletionTimestamp")
                .parse::<Timestamp>()
                .ok()
                .and_then(|time| {
                    time.checked_sub(std::time::Duration::from_secs(
                        u64::try_from(current).unwrap_or(0),
                    ))
                    .ok()
                })
                .unwrap_or(now);
            let due = began
                .checked_add(std::time::Duration::from_secs(u64::try_from(asked).unwrap_or(0)))
                .unwrap_or(now);
            object::set_meta(object, "deletionTimestamp", json!(seconds(due)));
            object::set_meta(object, "deletionGracePeriodSeconds", json!(asked));
        }
        return;
    }
    let due = now
        .checked_add(std::time::Duration::from_secs(u64::try_from(grace).unwrap_or(0)))
        .unwrap_or(now);
    object::set_meta(object, "deletionTimestamp", json!(seconds(due)));
    object::set_meta(object, "deletionGracePeriodSeconds", json!(grace));
    if let Some(generation) = object["metadata"]["generation"].as_i64() {
        object::set_meta(object, "generation", json!(generation + 1));
    }
    if is_kind(entry, "", "Namespace") {
        object::map_mut(object, "status").insert("phase".to_owned(), json!("Terminating"));
    }
}

fn propagate(entry: &Entry, object: &mut Value, options: &DeleteOptions) {
    let held = object::finalizers(object);
    let propagation = options.propagation.unwrap_or_else(|| {
        if held.contains(&ORPHAN) {
            Propagation::Orphan
        } else if held.contains(&FOREGROUND) {
            Propagation::Foreground
        } else if is_kind(entry, "", "ReplicationController") || is_kind(entry, "batch", "Job") {
            // The oldest controllers leave their pods unless told otherwise.
            Propagation::Orphan
        } else {
            Propagation::Background
        }
    });
    let mut finalizers: Vec<Value> = held
        .iter()
        .filter(|one| ![ORPHAN, FOREGROUND].contains(*one))
        .map(|one| json!(one))
        .collect();
    match propagation {
        Propagation::Background => {}
        Propagation::Foreground => finalizers.push(json!(FOREGROUND)),
        Propagation::Orphan => finalizers.push(json!(ORPHAN)),
    }
    let list = if finalizers.is_empty() { Value::Null } else { Value::Array(finalizers) };
    object::set_meta(object, "finalizers", list);
}

fn grace(entry: &Entry, object: &Value, options: &DeleteOptions) -> i64 {
    if !is_kind(entry, "", "Pod") {
        return 0;
    }
    let unscheduled = object["spec"]["nodeName"].as_str().unwrap_or("").is_empty();
    let ended = matches!(object["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    if unscheduled || ended {
        return 0;
    }
    options
        .grace_period_seconds
        .or_else(|| object["spec"]["terminationGracePeriodSeconds"].as_i64())
        .unwrap_or(DEFAULT_POD_GRACE_SECONDS)
        .max(0)
}

/// Returns whether nothing holds an object that is being deleted.
pub fn may_go(entry: &Entry, object: &Value) -> bool {
    object::finalizers(object).is_empty()
        && object["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) == 0
        && !(is_kind(entry, "", "Namespace")
            && object["spec"]["finalizers"].as_array().is_some_and(|list| !list.is_empty()))
}

fn is_kind(entry: &Entry, group: &str, kind: &str) -> bool {
    entry.custom().is_none() && entry.resource.group == group && entry.resource.kind == kind
}
