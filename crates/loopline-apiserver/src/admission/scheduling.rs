//! `Priority` and `DefaultTolerationSeconds`: which pods go first, and how long they stay on a
//! node that is in trouble.

use serde_json::{Value, json};

use super::{Attributes, Operation};
use crate::Server;
use crate::object;
use crate::selector::Filter;
use crate::status::Result;

/// How long pods stay on a node that is not ready or not reached.
const TOLERATION_SECONDS: u32 = 300;

/// The taints of such nodes.
const TROUBLES: &[&str] = &["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];

/// Lets pods stay for a while on nodes in trouble, where they do not say how long.
pub(crate) async fn tolerate(attributes: &mut Attributes) -> Result<()> {
    let writes = matches!(attributes.operation, Operation::Create | Operation::Update);
    if !writes || !attributes.subresource.is_empty() || !attributes.is_kind("", "Pod") {
        return Ok(());
    }
    let spec = object::map_mut(&mut attributes.object, "spec");
    let mut tolerations =
        spec.get("tolerations").and_then(Value::as_array).cloned().unwrap_or_default();
    for taint in TROUBLES {
        let tolerated = tolerations.iter().any(|toleration| {
            let key = toleration["key"].as_str().unwrap_or("");
            let effect = toleration["effect"].as_str().unwrap_or("");
            (key.is_empty() || key == *taint) && (effect.is_empty() || effect == "NoExecute")
        });
        if !tolerated {
            tolerations.push(json!({
                "key": taint,
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": TOLERATION_SECONDS,
            }));
        }
    }
    spec.insert("tolerations".to_owned(), Value::Array(tolerations));
    Ok(())
}

/// Gives a pod the priority of its class.
pub(crate) async fn prioritize(server: &Server, attributes: &mut Attributes) -> Result<()> {
    if !attributes.makes_pod() {
        return Ok(());
    }
    let entry = server.built_in_entry("scheduling.k8s.io", "v1", "priorityclasses")?;
    let named = attributes.object["spec"]["priorityClassName"].as_str().unwrap_or("").to_owned();
    let class = if named.is_empty() {
        default_class(server).await?
    } else {
        let Some(stored) = server.find(&entry, "", &named).await? else {
            return Err(
                attributes.forbidden(format_args!("no PriorityClass with name {named} was found"))
            );
        };
        Some(stored.object)
    };
    let (value, policy) = match &class {
        Some(class) => (
            class["value"].as_i64().unwrap_or(0),
            class["preemptionPolicy"].as_str().unwrap_or("PreemptLowerPriority"),
        ),
        None => (0, "PreemptLowerPriority"),
    };
    let spec = &attributes.object["spec"];
    if let Some(given) = spec["priority"].as_i64()
        && given != value
    {
        return Err(attributes.forbidden(format_args!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority \
             admission controller computed {value} from the given PriorityClass name"
        )));
    }
    if let Some(given) = spec["preemptionPolicy"].as_str()
        && given != policy
    {
        return Err(attributes.forbidden(format_args!(
            "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; \
             priority admission controller computed {policy} from the given PriorityClass name"
        )));
    }
    let policy = policy.to_owned();
    let spec = object::map_mut(&mut attributes.object, "spec");
    if let Some(class) = &class {
        spec.insert("priorityClassName".to_owned(), json!(object::name(class)));
    }
    spec.insert("priority".to_owned(), json!(value));
    spec.insert("preemptionPolicy".to_owned(), json!(policy));
    Ok(())
}

/// Refuses a second default among the classes.
pub(crate) async fn check(server: &Server, attributes: &mut Attributes) -> Result<()> {
    let writes = matches!(attributes.operation, Operation::Create | Operation::Update);
    if !writes || !attributes.is_kind("scheduling.k8s.io", "PriorityClass") {
        return Ok(());
    }
    if attributes.object["globalDefault"].as_bool() != Some(true) {
        return Ok(());
    }
    match default_class(server).await? {
        Some(other) if object::name(&other) != attributes.name => {
            Err(attributes.forbidden(format_args!(
                "PriorityClass {} is already marked as default. Only one default can exist",
                object::name(&other)
            )))
        }
        _ => Ok(()),
    }
}

/// Returns the class of pods that name none: of several the lowest.
async fn default_class(server: &Server) -> Result<Option<Value>> {
    let entry = server.built_in_entry("scheduling.k8s.io", "v1", "priorityclasses")?;
    let classes = server.list_all(&entry, "", &Filter::default()).await?.objects;
    Ok(classes
        .into_iter()
        .filter(|class| class["globalDefault"].as_bool() == Some(true))
        .min_by_key(|class| class["value"].as_i64().unwrap_or(0)))
}
