//! `LimitRanger`: what containers ask for and may use where they do not say, and the least and
//! the most that containers, pods and claims may.

use loopline_units::quantity::Quantity;
use serde_json::{Value, json};

use super::amounts::{Amounts, of_pod, read};
use super::{Attributes, Operation};
use crate::Server;
use crate::object;
use crate::selector::Filter;
use crate::status::Result;

/// The annotation that says what was filled in.
const ANNOTATION: &str = "kubernetes.io/limit-ranger";

async fn ranges(server: &Server, namespace: &str) -> Result<Vec<Value>> {
    let entry = server.built_in_entry("", "v1", "limitranges")?;
    Ok(server.list_all(&entry, namespace, &Filter::default()).await?.objects)
}

fn items(range: &Value) -> impl Iterator<Item = &Value> {
    range["spec"]["limits"].as_array().into_iter().flatten()
}

/// Fills in what containers ask for and may use.
pub(crate) async fn complete(server: &Server, attributes: &mut Attributes) -> Result<()> {
    if !attributes.makes_pod() {
        return Ok(());
    }
    let mut told = Vec::new();
    for range in ranges(server, &attributes.namespace).await? {
        for item in items(&range).filter(|item| item["type"] == "Container") {
            for (list, word) in [("containers", "container"), ("initContainers", "init container")]
            {
                let containers = attributes.object["spec"][list].as_array_mut();
                for container in containers.into_iter().flatten() {
                    fill(container, item, word, &mut told);
                }
            }
        }
    }
    if told.is_empty() {
        return Ok(());
    }
    let text = format!("LimitRanger plugin set: {}", told.join("; "));
    let annotations =
        object::metadata_mut(&mut attributes.object).entry("annotations").or_insert(json!({}));
    if annotations.is_null() {
        *annotations = json!({});
    }
    annotations[ANNOTATION] = json!(text);
    Ok(())
}

fn fill(container: &mut Value, item: &Value, word: &str, told: &mut Vec<String>) {
    let name = container["name"].as_str().unwrap_or("").to_owned();
    for (kind, default, what) in
        [("requests", "defaultRequest", "request"), ("limits", "default", "limit")]
    {
        let mut set = Vec::new();
        for (resource, amount) in item[default].as_object().into_iter().flatten() {
            let given = object::map_mut(container, "resources");
            let given = given.entry(kind).or_insert_with(|| json!({}));
            if given.is_null() {
                *given = json!({});
            }
            if given[resource].is_null() {
                given[resource] = amount.clone();
                set.push(resource.clone());
            }
        }
        if !set.is_empty() {
            set.sort();
            told.push(format!("{} {what} for {word} {name}", set.join(", ")));
        }
    }
}

/// Refuses less than the least and more than the most.
pub(crate) async fn check(server: &Server, attributes: &mut Attributes) -> Result<()> {
    let claims = attributes.is_kind("", "PersistentVolumeClaim")
        && attributes.subresource.is_empty()
        && matches!(attributes.operation, Operation::Create | Operation::Update);
    if !attributes.makes_pod() && !claims {
        return Ok(());
    }
    for range in ranges(server, &attributes.namespace).await? {
        let mut errors = Vec::new();
        for item in items(&range) {
            if claims {
                check_claim(item, &attributes.object, &mut errors);
            } else {
                check_pod(item, &attributes.object, &mut errors);
            }
        }
        match errors.as_slice() {
            [] => {}
            [one] => return Err(attributes.forbidden(one)),
            many => {
                return Err(attributes.forbidden(format_args!("[{}]", many.join(", "))));
            }
        }
    }
    Ok(())
}

fn check_pod(item: &Value, pod: &Value, errors: &mut Vec<String>) {
    match item["type"].as_str() {
        Some("Container") => {
            for list in ["containers", "initContainers"] {
                for container in pod["spec"][list].as_array().into_iter().flatten() {
                    let resources = &container["resources"];
                    let requests = read(&resources["requests"]);
                    bounds(item, "Container", &requests, &read(&resources["limits"]), errors);
                }
            }
        }
        Some("Pod") => {
            bounds(item, "Pod", &of_pod(pod, "requests"), &of_pod(pod, "limits"), errors);
        }
        _ => {}
    }
}

/// Checks amounts against the least, the most and the largest ratio.
fn bounds(
    item: &Value,
    kind: &str,
    requests: &Amounts,
    limits: &Amounts,
    errors: &mut Vec<String>,
) {
    for (name, least) in read(&item["min"]) {
        let (request, limit) = (requests.get(&name), limits.get(&name));
        let usage = format!("minimum {name} usage per {kind} is {least}");
        match (request, limit) {
            (None, _) => errors.push(format!("{usage}.  No request is specified")),
            (Some(request), _) if *request < least => {
                errors.push(format!("{usage}, but request is {request}"));
            }
            (_, Some(limit)) if *limit < least => {
                errors.push(format!("{usage}, but limit is {limit}"));
            }
            _ => {}
        }
    }
    for (name, most) in read(&item["max"]) {
        let (request, limit) = (requests.get(&name), limits.get(&name));
        let usage = format!("maximum {name} usage per {kind} is {most}");
        match (request, limit) {
            (_, None) => errors.push(format!("{usage}.  No limit is specified")),
            (_, Some(limit)) if *limit > most => {
                errors.push(format!("{usage}, but limit is {limit}"));
            }
            (Some(request), _) if *request > most => {
                errors.push(format!("{usage}, but request is {request}"));
            }
            _ => {}
        }
    }
    for (name, most) in read(&item["maxLimitRequestRatio"]) {
        let some = |amounts: &Amounts| amounts.get(&name).copied().filter(|one| one.sign() != 0);
        let ratio = format!("{name} max limit to request ratio per {kind} is {most}");
        match (some(requests), some(limits)) {
            (None, _) => {
                errors.push(format!("{ratio}, but no request is specified or request is 0"))
            }
            (_, None) => {
                errors.push(format!("{ratio}, but no limit is specified or limit is 0"));
            }
            (Some(request), Some(limit)) => {
                let found = number(limit) / number(request);
                if found > number(most) {
                    errors.push(format!("{ratio}, but provided ratio is {found:.6}"));
                }
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "ratios are told with six digits")]
fn number(amount: Quantity) -> f64 {
    amount.milli() as f64 / 1000.0
}

fn check_claim(item: &Value, claim: &Value, errors: &mut Vec<String>) {
    const KIND: &str = "PersistentVolumeClaim";
    if item["type"] != KIND {
        return;
    }
    let requests = read(&claim["spec"]["resources"]["requests"]);
    for (name, least) in read(&item["min"]) {
        let usage = format!("minimum {name} usage per {KIND} is {least}");
        match requests.get(&name) {
            None => errors.push(format!("{usage}.  No request is specified")),
            Some(request) if *request < least => {
                errors.push(format!("{usage}, but request is {request}"));
            }
            Some(_) => {}
        }
    }
    for (name, most) in read(&item["max"]) {
        let usage = format!("maximum {name} usage per {KIND} is {most}");
        match requests.get(&name) {
            None => errors.push(format!("{usage}.  No request is specified")),
            Some(request) if *request > most => {
                errors.push(format!("{usage}, but request is {request}"));
            }
            Some(_) => {}
        }
    }
}
