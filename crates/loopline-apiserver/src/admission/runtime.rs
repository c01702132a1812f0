//! `RuntimeClass`: what a runtime costs and where it runs.

use serde_json::{Value, json};

use super::Attributes;
use crate::Server;
use crate::object;
use crate::status::Result;

/// Completes a pod from its runtime class.
pub(crate) async fn complete(server: &Server, attributes: &mut Attributes) -> Result<()> {
    let Some(class) = class(server, attributes).await? else { return Ok(()) };
    let overhead = &class["overhead"]["podFixed"];
    if !overhead.is_null() {
        let given = &attributes.object["spec"]["overhead"];
        if !given.is_null() && given != overhead {
            return Err(attributes.forbidden(
                "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
            ));
        }
        attributes.object["spec"]["overhead"] = overhead.clone();
    }
    let scheduling = &class["scheduling"];
    for (key, value) in scheduling["nodeSelector"].as_object().into_iter().flatten() {
        let selector = object::map_mut(&mut attributes.object["spec"], "nodeSelector");
        let given = selector.entry(key.clone()).or_insert_with(|| value.clone());
        if given != value {
            let (value, given) =
                (value.as_str().unwrap_or(""), given.as_str().unwrap_or("").to_owned());
            return Err(attributes.forbidden(format_args!(
                "pod rejected: conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; \
                 pod.spec.nodeSelector[{key}] = {given}"
            )));
        }
    }
    let spec = object::map_mut(&mut attributes.object, "spec");
    let tolerations = scheduling["tolerations"].as_array().map(Vec::as_slice).unwrap_or_default();
    for toleration in tolerations {
        let list = spec.entry("tolerations").or_insert_with(|| json!([]));
        if list.is_null() {
            *list = json!([]);
        }
        if let Some(list) = list.as_array_mut()
            && !list.contains(toleration)
        {
            list.push(toleration.clone());
        }
    }
    Ok(())
}

/// Refuses an overhead that no class defines.
pub(crate) async fn check(server: &Server, attributes: &mut Attributes) -> Result<()> {
    if !attributes.makes_pod() || attributes.object["spec"]["overhead"].is_null() {
        return Ok(());
    }
    let class = class(server, attributes).await?;
    if class.is_none_or(|class| class["overhead"]["podFixed"].is_null()) {
        return Err(attributes.forbidden(
            "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
        ));
    }
    Ok(())
}

async fn class(server: &Server, attributes: &Attributes) -> Result<Option<Value>> {
    let name = attributes.object["spec"]["runtimeClassName"].as_str().unwrap_or("");
    if !attributes.makes_pod() || name.is_empty() {
        return Ok(None);
    }
    let entry = server.built_in_entry("node.k8s.io", "v1", "runtimeclasses")?;
    match server.find(&entry, "", name).await? {
        Some(stored) => Ok(Some(stored.object)),
        None => {
            Err(attributes.forbidden(format_args!("pod rejected: RuntimeClass {name:?} not found")))
        }
    }
}
