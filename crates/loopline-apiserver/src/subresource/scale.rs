//! `scale`: how many replicas there are and should be, for every kind that has them.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::call::Call;
use crate::http::Asked;
use crate::http::handle::collect;
use crate::object;
use crate::registry::Entry;
use crate::request::body;
use crate::status::{Result, Status};
use crate::verbs::create::Managing;
use crate::verbs::update::Changed;

/// Where a kind keeps what a `Scale` shows: JSON pointers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// The replicas that are asked for.
    pub spec_replicas: String,
    /// The replicas that there are.
    pub status_replicas: String,
    /// The selector of the pods, where the kind has one.
    pub selector: Option<String>,
}

impl Places {
    /// Returns the places of a resource.
    fn of(entry: &Entry) -> Self {
        entry.custom().and_then(|custom| custom.scale.clone()).unwrap_or_else(|| Self {
            spec_replicas: "/spec/replicas".to_owned(),
            status_replicas: "/status/replicas".to_owned(),
            selector: Some("/spec/selector".to_owned()),
        })
    }
}

/// Answers a request for `scale`.
pub(crate) async fn answer<B>(call: &mut Call, verb: &str, asked: &Asked, body: B) -> Result<Value>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let entry = Arc::clone(&call.entry);
    let places = Places::of(&entry);
    if verb == "get" {
        return Ok(scale(&entry, &places, &call.get().await?));
    }
    let bytes = collect(body).await?;
    let manager = call.field_manager()?;
    let name = call.name()?.to_owned();
    // The parts of the whole object are written: `scale` is a view on it, not a status.
    call.path.subresource = None;
    let content_type = asked.content_type().to_owned();
    let object = call
        .change(&mut |_, live, _| {
            let current = scale(&entry, &places, live);
            let wanted = if verb == "update" {
                body::decode(&content_type, &bytes)?.value
            } else {
                patched(&content_type, &current, &bytes)?
            };
            let found = object::name(&wanted);
            if !found.is_empty() && found != name {
                return Err(Status::bad_request(format!(
                    "the name of the object ({found}) does not match the name on the URL ({name})"
                )));
            }
            let replicas = match &wanted["spec"]["replicas"] {
                Value::Null => 0,
                value => value.as_i64().ok_or_else(|| {
                    Status::bad_request(
                        "Scale in version \"v1\" cannot be handled as a Scale: \
                                         spec.replicas must be a whole number",
                    )
                })?,
            };
            if replicas < 0 {
                return Err(invalid(&name, replicas));
            }
            let mut object = live.clone();
            set(&mut object, &places.spec_replicas, json!(replicas));
            let asked = &wanted["metadata"]["resourceVersion"];
            object::set_meta(&mut object, "resourceVersion", asked.clone());
            if verb == "patch" && asked == &current["metadata"]["resourceVersion"] {
                // It was not the patch that named the revision.
                object::set_meta(&mut object, "resourceVersion", Value::Null);
            }
            Ok(Changed { object, managing: Managing::Update(manager.clone()) })
        })
        .await?;
    Ok(scale(&entry, &places, &object))
}

fn invalid(name: &str, replicas: i64) -> Status {
    let body = format!("Invalid value: {replicas}: must be greater than or equal to 0");
    Status::new(
        422,
        "Invalid",
        format!("Scale.autoscaling {name:?} is invalid: spec.replicas: {body}"),
    )
    .because("FieldValueInvalid", body, "spec.replicas")
}

fn patched(content_type: &str, scale: &Value, bytes: &[u8]) -> Result<Value> {
    let patch = body::json(bytes)?.value;
    match content_type {
        "application/merge-patch+json" | "application/strategic-merge-patch+json" => {
            loopline_merge::merge_patch::apply(scale.clone(), &patch)
                .map_err(|error| Status::bad_request(error.to_string()))
        }
        "application/json-patch+json" => loopline_merge::json_patch::apply(scale, &patch)
            .map_err(|error| Status::bad_request(error.to_string())),
        "application/apply-patch+yaml" => {
            let mut merged = scale.clone();
            if !patch["spec"]["replicas"].is_null() {
                merged["spec"]["replicas"] = patch["spec"]["replicas"].clone();
            }
            Ok(merged)
        }
        other => Err(Status::unsupported_media_type(
            other,
            &["application/json-patch+json", "application/merge-patch+json"],
        )),
    }
}

/// Returns the `Scale` of an object.
fn scale(entry: &Entry, places: &Places, object: &Value) -> Value {
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
    let mut metadata = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object["metadata"].get(field) {
            metadata[field] = value.clone();
        }
    }
    let mut status = json!({"replicas": number(&places.status_replicas)});
    let selector = places.selector.as_deref().and_then(|pointer| object.pointer(pointer));
    if let Some(text) = selector.and_then(|selector| selector_text(entry, selector)) {
        status["selector"] = json!(text);
    }
    json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": {"replicas": number(&places.spec_replicas)},
        "status": status,
    })
}

/// Returns a selector as the text that `status.selector` carries.
fn selector_text(entry: &Entry, selector: &Value) -> Option<String> {
    match selector {
        Value::String(text) => Some(text.clone()),
        Value::Object(map) if entry.resource.kind == "ReplicationController" => {
            let mut terms: Vec<String> = map
                .iter()
                .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
                .collect();
            terms.sort();
            Some(terms.join(","))
        }
        Value::Object(_) => Some(loopline_schema::label_selector::query(selector)),
        _ => None,
    }
}

/// Sets a value below objects, which are made where they are missing.
fn set(object: &mut Value, pointer: &str, value: Value) {
    let mut slot = object;
    for part in pointer.split('/').skip(1) {
        if !slot.is_object() {
            *slot = json!({});
        }
        slot = &mut slot[part];
    }
    *slot = value;
}
