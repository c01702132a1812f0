//! `binding`: gives a pod its node, once.

use bytes::Bytes;
use loopline_schema::{Cause, FieldError, Resource};
use loopline_store::object::Precondition;
use serde_json::{Value, json};

use crate::admission::Operation;
use crate::call::Call;
use crate::http::Asked;
use crate::http::handle::collect;
use crate::object;
use crate::request::body;
use crate::status::{Result, Status, success};
use crate::storage::WriteError;
use crate::verbs::create::seconds;

/// How often a write that raced with another one is tried again.
const MAX_TRIES: usize = 8;

/// Answers a request for `pods/NAME/binding`.
pub(crate) async fn answer<B>(call: &mut Call, asked: &Asked, body: B) -> Result<Value>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let binding = body::decode(asked.content_type(), &collect(body).await?)?.value;
    let found = object::name(&binding);
    if !found.is_empty() && found != call.name()? {
        return Err(Status::bad_request("name in URL does not match name in Binding object"));
    }
    bind(call, &binding).await
}

/// Answers the creation of a `Binding`, which names its pod itself.
pub(crate) async fn create(call: &mut Call, binding: &Value) -> Result<Value> {
    call.path.name = Some(object::name(binding).to_owned());
    call.entry = call.server.registry().get("", "v1", "pods").ok_or_else(Status::no_such_path)?;
    call.path.resource = "pods".to_owned();
    call.path.subresource = Some("binding".to_owned());
    bind(call, binding).await
}

async fn bind(call: &mut Call, binding: &Value) -> Result<Value> {
    let name = call.name()?.to_owned();
    let target = &binding["target"];
    let mut errors = Vec::new();
    let kind = target["kind"].as_str().unwrap_or("");
    if !matches!(kind, "" | "Node") {
        errors.push(FieldError::new(
            Cause::NotSupported,
            "target.kind",
            json!(kind),
            "supported values: \"Node\", \"<empty>\"",
        ));
    }
    let host = target["name"].as_str().unwrap_or("");
    if host.is_empty() {
        errors.push(FieldError::new(Cause::Required, "target.name", json!(""), ""));
    }
    if !errors.is_empty() {
        let resource = Resource { kind: "Binding".into(), ..Resource::default() };
        return Err(Status::invalid(&resource, &name, &errors));
    }
    super::admit(call, Operation::Create, binding).await?;
    let server = call.server.clone();
    let dry_run = call.dry_run()?;
    for _ in 0..MAX_TRIES {
        let live = server.read(&call.entry, call.namespace(), &name).await?;
        let mut pod = live.object;
        let conflict = |why: String| {
            let resource = Resource { plural: "pods/binding".into(), ..Resource::default() };
            Status::conflict(&resource, &name, why)
        };
        let asked = object::meta(binding, "resourceVersion");
        let uid = object::uid(binding);
        if (!asked.is_empty() && asked != live.revision.to_string())
            || (!uid.is_empty() && uid != object::uid(&pod))
        {
            return Err(Status::modified(&call.entry.resource, &name));
        }
        if object::is_deleting(&pod) {
            return Err(conflict(format!(
                "pod {name} is being deleted, cannot be assigned to a host"
            )));
        }
        let before = pod["spec"]["nodeName"].as_str().unwrap_or("");
        if !before.is_empty() {
            return Err(conflict(format!("pod {name} is already assigned to node {before:?}")));
        }
        if pod["spec"]["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty()) {
            return Err(conflict(format!("pod {name} has non-empty .spec.schedulingGates")));
        }
        pod["spec"]["nodeName"] = json!(host);
        if let Some(annotations) = binding["metadata"]["annotations"].as_object() {
            let metadata = object::metadata_mut(&mut pod);
            let slot = metadata.entry("annotations").or_insert_with(|| json!({}));
            for (key, value) in annotations {
                slot[key] = value.clone();
            }
        }
        schedule(&mut pod, &seconds(server.clock().now()));
        if !dry_run {
            let at = Precondition::Revision(live.revision);
            match server.write(&call.entry, call.namespace(), &name, &pod, at).await {
                Ok(_) => {}
                Err(WriteError::Raced) => continue,
                Err(WriteError::Refused(status)) => return Err(status),
            }
        }
        let mut done = success(Value::Null);
        if let Some(done) = done.as_object_mut() {
            done.shift_remove("details");
        }
        done["code"] = json!(201);
        return Ok(done);
    }
    Err(Status::modified(&call.entry.resource, &name))
}

/// Notes in a pod's conditions that it has its node.
fn schedule(pod: &mut Value, now: &str) {
    let status = object::map_mut(pod, "status");
    let slot = status.entry("conditions").or_insert_with(|| json!([]));
    let Some(conditions) = slot.as_array_mut() else { return };
    conditions.retain(|condition| condition["type"] != "PodScheduled");
    conditions.push(json!({
        "type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now,
    }));
}
