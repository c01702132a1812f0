//! `ResourceQuota`: how much a namespace may have, and how much it has.
//!
//! What is used is counted from the stored objects whenever something is added, under a lock of
//! the namespace that is held until the object is written: so writes at the same time cannot go
//! over together. `status.used` follows every write and deletion.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use loopline_store::object::Precondition;
use loopline_units::quantity::{Format, Quantity};
use serde_json::{Value, json};
use tokio::sync::OwnedMutexGuard;

use super::amounts::{self, Amounts, of_pod, read};
use super::{Attributes, Operation};
use crate::Server;
use crate::object;
use crate::registry::Entry;
use crate::selector::Filter;
use crate::status::Result;
use crate::storage::WriteError;

/// How often the status of a quota is written again after another write came first.
const MAX_TRIES: usize = 8;

/// The namespaces that have quotas, each with the lock of its additions.
#[derive(Debug, Default)]
pub(crate) struct Quotas(Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>);

impl Quotas {
    fn lock_of(&self, namespace: &str) -> Option<Arc<tokio::sync::Mutex<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(namespace).cloned()
    }

    /// Learns that a namespace has a quota.
    pub(crate) fn learn(&self, namespace: &str) {
        let mut namespaces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        namespaces.entry(namespace.to_owned()).or_default();
    }
}

/// Keeps others from adding to a namespace until the write is over.
pub(crate) type Guard = OwnedMutexGuard<()>;

fn is_quota(entry: &Entry) -> bool {
    entry.custom().is_none()
        && entry.resource.group.is_empty()
        && entry.resource.kind == "ResourceQuota"
}

impl Server {
    /// Refuses what goes over a quota. What is returned must live until the object is written.
    ///
    /// # Errors
    /// 403 for what goes over, or does not say how much it needs.
    pub(crate) async fn check_quota(&self, attributes: &Attributes) -> Result<Option<Guard>> {
        let writes = matches!(attributes.operation, Operation::Create | Operation::Update);
        let counted = attributes.subresource.is_empty()
            || attributes.is_kind("", "Pod") && attributes.subresource == "resize";
        if !writes || !counted || attributes.namespace.is_empty() {
            return Ok(None);
        }
        let Some(lock) = self.quotas().lock_of(&attributes.namespace) else { return Ok(None) };
        let guard = lock.lock_owned().await;
        let entry = self.built_in_entry("", "v1", "resourcequotas")?;
        let quotas = self.list_all(&entry, &attributes.namespace, &Filter::default()).await?;
        for quota in quotas.objects {
            self.check_one(attributes, &quota).await?;
        }
        Ok(Some(guard))
    }

    async fn check_one(&self, attributes: &Attributes, quota: &Value) -> Result<()> {
        let entry = &attributes.entry;
        let hard = read(&quota["spec"]["hard"]);
        let creates = attributes.operation == Operation::Create;
        if !selects(entry, quota, &attributes.object) {
            return Ok(());
        }
        let name = object::name(quota);
        if creates && attributes.is_kind("", "Pod") {
            let missing = missing(&hard, &attributes.object);
            if !missing.is_empty() {
                return Err(attributes
                    .forbidden(format_args!("failed quota: {name}: must specify {missing}")));
            }
        }
        let mut requested = usage(entry, &attributes.object);
        if !creates && selects(entry, quota, &attributes.old) {
            for (resource, amount) in usage(entry, &attributes.old) {
                let rest = requested.get(&resource).copied().unwrap_or(Quantity::ZERO);
                requested.insert(resource, rest.minus(amount));
            }
        }
        requested.retain(|resource, amount| amount.sign() > 0 && hard.contains_key(resource));
        if requested.is_empty() {
            return Ok(());
        }
        let used = self.used(quota, Some(&requested)).await?;
        let (mut over, mut had, mut limited) = (Amounts::new(), Amounts::new(), Amounts::new());
        for (resource, amount) in &requested {
            let limit = hard[resource];
            let before = used.get(resource).copied().unwrap_or(Quantity::ZERO);
            if before.plus(*amount) > limit {
                over.insert(resource.clone(), *amount);
                had.insert(resource.clone(), before);
                limited.insert(resource.clone(), limit);
            }
        }
        if over.is_empty() {
            return Ok(());
        }
        Err(attributes.forbidden(format_args!(
            "exceeded quota: {name}, requested: {}, used: {}, limited: {}",
            amounts::show(&over),
            amounts::show(&had),
            amounts::show(&limited)
        )))
    }

    /// Counts what is used of what a quota limits; only of some resources, where they are named.
    async fn used(&self, quota: &Value, only: Option<&Amounts>) -> Result<Amounts> {
        let hard = read(&quota["spec"]["hard"]);
        let namespace = object::namespace(quota);
        let mut kinds: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        for name in hard.keys().filter(|name| only.is_none_or(|only| only.contains_key(*name))) {
            kinds.entry(counted_resource(name)).or_default().push(name.clone());
        }
        let mut used: Amounts = Amounts::new();
        let registry = self.registry();
        for ((group, plural), names) in kinds {
            for name in &names {
                used.insert(name.clone(), Quantity::ZERO);
            }
            let entry = registry
                .stored()
                .into_iter()
                .find(|entry| entry.resource.group == *group && entry.resource.plural == *plural);
            let Some(entry) = entry else { continue };
            for object in self.list_all(&entry, namespace, &Filter::default()).await?.objects {
                if !selects(&entry, quota, &object) {
                    continue;
                }
                let mut own = usage(&entry, &object);
                own.retain(|name, _| names.contains(name));
                amounts::add(&mut used, &own);
            }
        }
        Ok(used)
    }

    /// Brings the status of a namespace's quotas up to date, after what was written or deleted
    /// there.
    pub(crate) fn refresh_quotas(&self, entry: &Entry, namespace: &str) {
        if is_quota(entry) && !namespace.is_empty() {
            self.quotas().learn(namespace);
        }
        let Some(lock) = self.quotas().lock_of(namespace) else { return };
        let (server, namespace) = (self.clone(), namespace.to_owned());
        tokio::spawn(async move {
            let _guard = lock.lock_owned().await;
            // A failure leaves the old numbers, which the next write brings up to date.
            let _refreshed = server.write_quotas(&namespace).await;
        });
    }

    /// Learns which namespaces have quotas, when the server begins.
    pub(crate) async fn learn_quotas(&self) -> Result<()> {
        let entry = self.built_in_entry("", "v1", "resourcequotas")?;
        for quota in self.list_all(&entry, "", &Filter::default()).await?.objects {
            self.refresh_quotas(&entry, object::namespace(&quota));
        }
        Ok(())
    }

    async fn write_quotas(&self, namespace: &str) -> Result<()> {
        let entry = self.built_in_entry("", "v1", "resourcequotas")?;
        let quotas = self.list_all(&entry, namespace, &Filter::default()).await?.objects;
        for quota in quotas {
            let name = object::name(&quota).to_owned();
            for _ in 0..MAX_TRIES {
                let Some(stored) = self.find(&entry, namespace, &name).await? else { break };
                let mut changed = stored.object.clone();
                let used = self.used(&changed, None).await?;
                let used: serde_json::Map<String, Value> = used
                    .iter()
                    .map(|(name, amount)| (name.clone(), json!(amount.to_string())))
                    .collect();
                changed["status"] = json!({"hard": changed["spec"]["hard"], "used": used});
                if changed == stored.object {
                    break;
                }
                let at = Precondition::Revision(stored.revision);
                match self.write(&entry, namespace, &name, &changed, at).await {
                    Ok(_) => break,
                    Err(WriteError::Raced) => {}
                    Err(WriteError::Refused(status)) => return Err(status),
                }
            }
        }
        Ok(())
    }
}

/// Returns the group and the plural of the objects that a limit counts.
fn counted_resource(name: &str) -> (String, String) {
    if let Some(counted) = name.strip_prefix("count/") {
        let (plural, group) = counted.split_once('.').unwrap_or((counted, ""));
        return (group.to_owned(), plural.to_owned());
    }
    let plural = match name {
        "services" | "services.nodeports" | "services.loadbalancers" => "services",
        "persistentvolumeclaims" | "requests.storage" => "persistentvolumeclaims",
        "configmaps" | "secrets" | "replicationcontrollers" | "resourcequotas" => name,
        _ if name.contains(".storageclass.storage.k8s.io/") => "persistentvolumeclaims",
        _ => "pods",
    };
    (String::new(), plural.to_owned())
}

fn one() -> Quantity {
    Quantity::from_units(1, Format::Decimal)
}

/// Returns what an object uses, by the names of limits.
fn usage(entry: &Entry, object: &Value) -> Amounts {
    let resource = &entry.resource;
    let mut used = Amounts::new();
    if !(resource.group.is_empty() && resource.kind == "Pod" && has_ended(object)) {
        let name = crate::status::qualified(&resource.plural, &resource.group);
        used.insert(format!("count/{name}"), one());
    }
    if !resource.group.is_empty() || entry.custom().is_some() {
        return used;
    }
    match &*resource.kind {
        "Pod" if has_ended(object) => {}
        "Pod" => {
            used.insert("pods".to_owned(), one());
            for (name, amount) in of_pod(object, "requests") {
                if matches!(&*name, "cpu" | "memory" | "ephemeral-storage")
                    || name.starts_with("hugepages-")
                {
                    used.insert(name.clone(), amount);
                }
                used.insert(format!("requests.{name}"), amount);
            }
            for (name, amount) in of_pod(object, "limits") {
                used.insert(format!("limits.{name}"), amount);
            }
        }
        "Service" => {
            used.insert("services".to_owned(), one());
            let spec = &object["spec"];
            let kind = spec["type"].as_str().unwrap_or("");
            let ports = spec["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
            let taking = match kind {
                "NodePort" => ports.len(),
                "LoadBalancer"
                    if spec["allocateLoadBalancerNodePorts"].as_bool() == Some(false) =>
                {
                    ports.iter().filter(|port| port["nodePort"].as_u64().unwrap_or(0) != 0).count()
                }
                "LoadBalancer" => ports.len(),
                _ => 0,
            };
            if kind == "LoadBalancer" {
                used.insert("services.loadbalancers".to_owned(), one());
            }
            if taking > 0 {
                let taking = i64::try_from(taking).unwrap_or(i64::MAX);
                used.insert(
                    "services.nodeports".to_owned(),
                    Quantity::from_units(taking, Format::Decimal),
                );
            }
        }
        "PersistentVolumeClaim" => {
            let spec = &object["spec"];
            let class = spec["storageClassName"].as_str().unwrap_or("");
            used.insert("persistentvolumeclaims".to_owned(), one());
            let asked = read(&spec["resources"]["requests"]).get("storage").copied();
            if !class.is_empty() {
                let of_class = format!("{class}.storageclass.storage.k8s.io/");
                used.insert(format!("{of_class}persistentvolumeclaims"), one());
                if let Some(asked) = asked {
                    used.insert(format!("{of_class}requests.storage"), asked);
                }
            }
            if let Some(asked) = asked {
                used.insert("requests.storage".to_owned(), asked);
            }
        }
        "ConfigMap" | "Secret" | "ReplicationController" | "ResourceQuota" => {
            used.insert(resource.plural.to_string(), one());
        }
        _ => {}
    }
    used
}

fn has_ended(pod: &Value) -> bool {
    matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}

/// Says what a pod must say where its namespace limits processor and memory.
fn missing(hard: &Amounts, pod: &Value) -> String {
    let mut lacking: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for name in hard.keys() {
        let (kind, resource) = match &**name {
            "cpu" | "memory" => ("requests", &**name),
            "requests.cpu" => ("requests", "cpu"),
            "requests.memory" => ("requests", "memory"),
            "limits.cpu" => ("limits", "cpu"),
            "limits.memory" => ("limits", "memory"),
            _ => continue,
        };
        for list in ["containers", "initContainers"] {
            for container in pod["spec"][list].as_array().into_iter().flatten() {
                if container["resources"][kind][resource].is_null() {
                    let name_of = container["name"].as_str().unwrap_or("");
                    lacking.entry(name).or_default().push(name_of);
                }
            }
        }
    }
    let parts: Vec<String> = lacking
        .into_iter()
        .map(|(name, containers)| format!("{name} for: {}", containers.join(",")))
        .collect();
    parts.join("; ")
}

/// Returns whether a quota is about an object: quotas with scopes are about some pods only.
fn selects(entry: &Entry, quota: &Value, object: &Value) -> bool {
    let scopes = quota["spec"]["scopes"].as_array().into_iter().flatten();
    let scopes = scopes.filter_map(Value::as_str).map(|scope| (scope, "Exists", &Value::Null));
    let terms = quota["spec"]["scopeSelector"]["matchExpressions"].as_array();
    let terms = terms.into_iter().flatten().map(|term| {
        let scope = term["scopeName"].as_str().unwrap_or("");
        (scope, term["operator"].as_str().unwrap_or(""), &term["values"])
    });
    let is_pod =
        entry.custom().is_none() && entry.resource.group.is_empty() && entry.resource.kind == "Pod";
    scopes
        .chain(terms)
        .all(|(scope, operator, values)| is_pod && in_scope(object, scope, operator, values))
}

fn in_scope(pod: &Value, scope: &str, operator: &str, values: &Value) -> bool {
    let spec = &pod["spec"];
    let terminating = spec["activeDeadlineSeconds"].as_i64().is_some_and(|seconds| seconds >= 0);
    let best_effort = ["containers", "initContainers"].iter().all(|list| {
        spec[*list].as_array().into_iter().flatten().all(|container| {
            ["requests", "limits"].iter().all(|kind| {
                let amounts = read(&container["resources"][*kind]);
                !amounts.contains_key("cpu") && !amounts.contains_key("memory")
            })
        })
    });
    match scope {
        "Terminating" => terminating,
        "NotTerminating" => !terminating,
        "BestEffort" => best_effort,
        "NotBestEffort" => !best_effort,
        "PriorityClass" => {
            let class = spec["priorityClassName"].as_str().unwrap_or("");
            let listed =
                values.as_array().into_iter().flatten().any(|value| value.as_str() == Some(class));
            match operator {
                "In" => listed,
                "NotIn" => !listed,
                "DoesNotExist" => class.is_empty(),
                _ => !class.is_empty(),
            }
        }
        "CrossNamespacePodAffinity" => crosses_namespaces(spec),
        _ => false,
    }
}

/// Returns whether a pod asks to be near to or far from pods of other namespaces.
fn crosses_namespaces(spec: &Value) -> bool {
    let crosses = |term: &Value| {
        term["namespaces"].as_array().is_some_and(|names| !names.is_empty())
            || !term["namespaceSelector"].is_null()
    };
    ["podAffinity", "podAntiAffinity"].iter().any(|kind| {
        let affinity = &spec["affinity"][*kind];
        let required = affinity["requiredDuringSchedulingIgnoredDuringExecution"].as_array();
        let preferred = affinity["preferredDuringSchedulingIgnoredDuringExecution"].as_array();
        required.into_iter().flatten().any(crosses)
            || preferred.into_iter().flatten().any(|term| crosses(&term["podAffinityTerm"]))
    })
}
