//! Which writes a webhook or a policy is about: its rules, and its selectors of namespaces and
//! objects.

use std::sync::Arc;

use loopline_schema::label_selector;
use serde_json::Value;

use super::Attributes;
use crate::Server;
use crate::object;
use crate::registry::Entry;
use crate::status::{Result, Status};

/// What shapes admission itself is never admitted by webhooks and policies, so that nobody locks
/// themselves out.
const EXEMPT: &[&str] = &[
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "MutatingWebhookConfiguration",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
];

/// Returns whether webhooks and policies are not asked about the resource.
pub(crate) fn is_exempt(attributes: &Attributes) -> bool {
    EXEMPT.iter().any(|kind| attributes.is_kind("admissionregistration.k8s.io", kind))
}

/// Returns the resource as whose write a webhook's rules take this one.
pub(crate) fn matched(
    server: &Server,
    hook: &Value,
    attributes: &Attributes,
) -> Option<Arc<Entry>> {
    let rules = hook["rules"].as_array().map(Vec::as_slice).unwrap_or_default();
    matched_rules(server, rules, hook["matchPolicy"] == "Exact", attributes)
}

/// Returns the resource as whose write rules take this one: in the version of the request, or,
/// unless they are to be taken exactly, in another version of the same.
pub(crate) fn matched_rules(
    server: &Server,
    rules: &[Value],
    exact: bool,
    attributes: &Attributes,
) -> Option<Arc<Entry>> {
    let fits = |entry: &Entry| rules.iter().any(|rule| rule_matches(rule, attributes, entry));
    if fits(&attributes.entry) {
        return Some(Arc::clone(&attributes.entry));
    }
    if exact {
        return None;
    }
    let registry = server.registry();
    registry
        .groups()
        .flat_map(|(_, group)| &group.versions)
        .flat_map(|(_, entries)| entries)
        .find(|entry| entry.storage.prefix == attributes.entry.storage.prefix && fits(entry))
        .cloned()
}

fn rule_matches(rule: &Value, attributes: &Attributes, entry: &Entry) -> bool {
    let any = |field: &str, wanted: &str| {
        let list = rule[field].as_array().into_iter().flatten();
        list.filter_map(Value::as_str).any(|one| one == "*" || one == wanted)
    };
    let resource = &entry.resource;
    let scope = match rule["scope"].as_str() {
        Some("Cluster") => !resource.namespaced,
        Some("Namespaced") => resource.namespaced,
        _ => true,
    };
    let names = rule["resourceNames"].as_array().map(Vec::as_slice).unwrap_or_default();
    scope
        && (names.is_empty() || names.iter().any(|name| *name == *attributes.name))
        && any("operations", attributes.operation.name())
        && any("apiGroups", &resource.group)
        && any("apiVersions", &resource.version)
        && rule["resources"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .any(|pattern| resource_matches(pattern, &resource.plural, &attributes.subresource))
}

/// Returns whether `pods`, `pods/*`, `*/scale`, `*` or `*/*` is about a resource.
fn resource_matches(pattern: &str, plural: &str, subresource: &str) -> bool {
    match pattern.split_once('/') {
        None => subresource.is_empty() && (pattern == "*" || pattern == plural),
        Some((resource, part)) => {
            (resource == "*" || resource == plural) && (part == "*" || part == subresource)
        }
    }
}

/// Returns whether the selectors of namespaces and objects take a write.
///
/// # Errors
/// Where the namespace is gone.
pub(crate) async fn selected(
    server: &Server,
    hook: &Value,
    attributes: &Attributes,
) -> Result<bool> {
    if !objects_selected(&hook["objectSelector"], attributes)? {
        return Ok(false);
    }
    let selector = &hook["namespaceSelector"];
    if is_empty(selector) {
        return Ok(true);
    }
    let labels = if attributes.is_kind("", "Namespace") {
        let object = if attributes.object.is_null() { &attributes.old } else { &attributes.object };
        object["metadata"]["labels"].clone()
    } else if attributes.namespace.is_empty() {
        return Ok(true);
    } else {
        server.namespace(&attributes.namespace).await?["metadata"]["labels"].clone()
    };
    selects(selector, &labels)
}

fn objects_selected(selector: &Value, attributes: &Attributes) -> Result<bool> {
    if is_empty(selector) {
        return Ok(true);
    }
    for object in [&attributes.object, &attributes.old] {
        if !object.is_null() && selects(selector, &object["metadata"]["labels"])? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_empty(selector: &Value) -> bool {
    selector.as_object().is_none_or(|fields| fields.values().all(Value::is_null))
}

fn selects(selector: &Value, labels: &Value) -> Result<bool> {
    let selector = label_selector::parse(selector)
        .ok_or_else(|| Status::internal("a stored selector has an unknown operator"))?;
    Ok(label_selector::matches(&selector, labels))
}

/// Returns an object in the version of an entry.
///
/// # Errors
/// Where it cannot be converted.
pub(crate) fn in_version(object: &Value, entry: &Entry) -> Result<Value> {
    if object.is_null() || object["apiVersion"] == *entry.api_version() {
        return Ok(object.clone());
    }
    let mut converted = object.clone();
    if entry.custom().is_none() {
        loopline_schema::convert(&mut converted, &entry.api_version()).map_err(Status::internal)?;
    }
    object::set_type(&mut converted, &entry.api_version(), &entry.resource.kind);
    Ok(converted)
}
