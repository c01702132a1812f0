//! Which policies are about a write: by their bindings, with the parameters these give.

use std::sync::Arc;

use loopline_schema::label_selector;
use serde_json::Value;

use crate::Server;
use crate::admission::Attributes;
use crate::admission::matching::{matched_rules, selected};
use crate::object;
use crate::registry::Entry;
use crate::selector::Filter;
use crate::status::Result;

/// A policy that is about a write, through one of its bindings.
pub(super) struct Bound {
    pub(super) policy: Value,
    pub(super) binding: Value,
    /// The resource as whose write the policy sees this one.
    pub(super) entry: Arc<Entry>,
    /// The parameters, each of which is evaluated by itself; null for policies without any.
    pub(super) params: std::result::Result<Vec<Value>, String>,
}

/// Returns the policies that are about a write, in the order of their names.
pub(super) async fn bound(
    server: &Server,
    attributes: &Attributes,
    version: &str,
    policies: &'static str,
    bindings: &'static str,
) -> Result<Vec<Bound>> {
    let all = server.configured(version, policies).await?;
    if all.is_empty() {
        return Ok(Vec::new());
    }
    let bindings = server.configured(version, bindings).await?;
    let mut found = Vec::new();
    for policy in all.iter() {
        let Some(entry) = about(server, &policy["spec"]["matchConstraints"], attributes).await?
        else {
            continue;
        };
        let name = object::name(policy);
        for binding in bindings.iter().filter(|one| one["spec"]["policyName"] == name) {
            let resources = &binding["spec"]["matchResources"];
            if !resources.is_null() && about(server, resources, attributes).await?.is_none() {
                continue;
            }
            found.push(Bound {
                policy: policy.clone(),
                binding: binding.clone(),
                entry: Arc::clone(&entry),
                params: params(server, policy, binding, attributes).await?,
            });
        }
    }
    Ok(found)
}

/// Returns the resource as whose write constraints take this one.
async fn about(
    server: &Server,
    constraints: &Value,
    attributes: &Attributes,
) -> Result<Option<Arc<Entry>>> {
    let rules = |field: &str| constraints[field].as_array().map(Vec::as_slice).unwrap_or_default();
    let exact = constraints["matchPolicy"] == "Exact";
    let included = rules("resourceRules");
    let entry = if included.is_empty() {
        Some(Arc::clone(&attributes.entry))
    } else {
        matched_rules(server, included, exact, attributes)
    };
    let Some(entry) = entry else { return Ok(None) };
    if matched_rules(server, rules("excludeResourceRules"), exact, attributes).is_some() {
        return Ok(None);
    }
    Ok(selected(server, constraints, attributes).await?.then_some(entry))
}

/// Returns the parameters of a binding, or why there are none.
async fn params(
    server: &Server,
    policy: &Value,
    binding: &Value,
    attributes: &Attributes,
) -> Result<std::result::Result<Vec<Value>, String>> {
    let (kind, reference) = (&policy["spec"]["paramKind"], &binding["spec"]["paramRef"]);
    if kind.is_null() || reference.is_null() {
        return Ok(Ok(vec![Value::Null]));
    }
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let (version, kind) = (text(&kind["apiVersion"]), text(&kind["kind"]));
    let (group, version_only) = version.rsplit_once('/').unwrap_or(("", &version));
    let registry = server.registry();
    let entry = registry
        .group(group)
        .and_then(|group| group.versions.iter().find(|(name, _)| name == version_only))
        .and_then(|(_, entries)| {
            entries.iter().find(|entry| entry.resource.kind == *kind && entry.serves("get"))
        });
    let Some(entry) = entry else {
        return Ok(Err(format!(
            "failed to configure binding: paramKind {version}, Kind={kind} is not served"
        )));
    };
    let namespace = match (entry.resource.namespaced, &reference["namespace"]) {
        (false, _) => String::new(),
        (true, Value::String(name)) if !name.is_empty() => name.clone(),
        (true, _) if attributes.namespace.is_empty() => {
            return Ok(Err(
                "failed to configure binding: cannot use namespaced paramRef in policy \
                           binding that matches cluster-scoped resources"
                    .to_owned(),
            ));
        }
        (true, _) => attributes.namespace.clone(),
    };
    let found = match &reference["name"] {
        Value::String(name) if !name.is_empty() => server
            .find(entry, &namespace, name)
            .await?
            .map(|stored| stored.object)
            .into_iter()
            .collect(),
        _ => {
            let selector = label_selector::parse(&reference["selector"]);
            let mut list = server.list_all(entry, &namespace, &Filter::default()).await?.objects;
            list.retain(|object| {
                selector.as_ref().is_some_and(|selector| {
                    label_selector::matches(selector, &object["metadata"]["labels"])
                })
            });
            list
        }
    };
    if found.is_empty() && reference["parameterNotFoundAction"] != "Allow" {
        return Ok(Err("failed to configure binding: no params found for policy binding with \
                       `Deny` parameterNotFoundAction"
            .to_owned()));
    }
    Ok(Ok(found))
}
