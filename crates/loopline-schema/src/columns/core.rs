//! Tables of the kinds without a group.

use serde_json::{Value, json};

use super::row::{Row, containers, joined, quantity, some};
use super::{
    AGE, CONTAINERS, Column, IMAGES, NAME, SELECTOR, Table, integer, network, pod, storage, text,
    wide,
};
use crate::label_selector::show_labels;
use crate::tree::{fields, list, text as get};

pub(super) fn table(kind: &str) -> Option<&'static Table> {
    Some(match kind {
        "Pod" => &POD,
        "PodTemplate" => &POD_TEMPLATE,
        "ReplicationController" => &REPLICATION_CONTROLLER,
        "Service" => &network::SERVICE,
        "Endpoints" => &ENDPOINTS,
        "Node" => &NODE,
        "Event" => &EVENT,
        "Namespace" => &NAMESPACE,
        "Secret" => &SECRET,
        "ConfigMap" => &CONFIG_MAP,
        "ServiceAccount" => &SERVICE_ACCOUNT,
        "PersistentVolume" => &storage::VOLUME,
        "PersistentVolumeClaim" => &storage::CLAIM,
        "ComponentStatus" => &COMPONENT_STATUS,
        "ResourceQuota" => &RESOURCE_QUOTA,
        _ => return None,
    })
}

static POD: Table = Table {
    columns: &[
        NAME,
        text("Ready", "How many of the containers are ready."),
        text("Status", "What the containers make of the pod."),
        text("Restarts", "How often containers were started again, and when last."),
        AGE,
        wide("IP", "The address of the pod."),
        wide("Node", "The node the pod is on."),
        wide("Nominated Node", "The node that makes room for the pod."),
        wide("Readiness Gates", "How many of the pod's readiness gates are open."),
    ],
    print: pod::print,
};

static POD_TEMPLATE: Table = Table {
    columns: &[
        NAME,
        text("Containers", "The names of the containers of the template."),
        text("Images", "The images of the containers of the template."),
        text("Pod Labels", "The labels of the template."),
    ],
    print: |row| {
        let [names, images] = containers(row.at(&["template", "spec"]));
        let labels = show_labels(row.at(&["template", "metadata", "labels"]));
        vec![row.name(), names, images, labels.into()]
    },
};

static REPLICATION_CONTROLLER: Table = Table {
    columns: &[
        NAME,
        integer("Desired", "How many pods there should be."),
        integer("Current", "How many pods there are."),
        integer("Ready", "How many pods are ready."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    print: |row| {
        let [names, images] = containers(row.at(&["spec", "template", "spec"]));
        vec![
            row.name(),
            row.integer(&["spec", "replicas"]).into(),
            row.integer(&["status", "replicas"]).into(),
            row.integer(&["status", "readyReplicas"]).into(),
            row.age(),
            names,
            images,
            show_labels(row.at(&["spec", "selector"])).into(),
        ]
    },
};

static ENDPOINTS: Table = Table {
    columns: &[NAME, text("Endpoints", "The first addresses with their ports."), AGE],
    print: |row| {
        let mut all = Vec::new();
        for subset in list(row.object, "subsets") {
            let addresses = list(subset, "addresses").iter().map(|address| get(address, "ip"));
            let ports = list(subset, "ports");
            if ports.is_empty() {
                all.extend(addresses.clone().map(str::to_owned));
            }
            for port in ports {
                let number = port["port"].as_i64().unwrap_or(0);
                all.extend(addresses.clone().map(|address| {
                    if address.contains(':') {
                        format!("[{address}]:{number}")
                    } else {
                        format!("{address}:{number}")
                    }
                }));
            }
        }
        let none = if list(row.object, "subsets").is_empty() { "<none>" } else { "" };
        vec![row.name(), some(&all, none).into(), row.age()]
    },
};

static NODE: Table = Table {
    columns: &[
        NAME,
        text("Status", "Whether the node is ready and takes pods."),
        text("Roles", "The roles of the node."),
        AGE,
        text("Version", "The version of the node's agent."),
        wide("Internal-IP", "The first address inside the cluster."),
        wide("External-IP", "The first address outside the cluster."),
        wide("OS-Image", "The operating system."),
        wide("Kernel-Version", "The kernel."),
        wide("Container-Runtime", "The container runtime."),
    ],
    print: |row| {
        let conditions = list(row.at(&["status"]), "conditions");
        let known = conditions.iter().any(|condition| get(condition, "type") == "Ready");
        let mut status = match (known, row.has("Ready")) {
            (false, _) => "Unknown",
            (true, true) => "Ready",
            (true, false) => "NotReady",
        }
        .to_owned();
        if *row.at(&["spec", "unschedulable"]) == true {
            status.push_str(",SchedulingDisabled");
        }
        let address = |kind: &str| -> Value {
            list(row.at(&["status"]), "addresses")
                .iter()
                .find(|address| get(address, "type") == kind)
                .map_or(json!("<none>"), |address| address["address"].clone())
        };
        let info = |key| row.text_or(&["status", "nodeInfo", key], "<unknown>");
        vec![
            row.name(),
            status.into(),
            roles(row).into(),
            row.age(),
            row.text(&["status", "nodeInfo", "kubeletVersion"]).into(),
            address("InternalIP"),
            address("ExternalIP"),
            info("osImage"),
            info("kernelVersion"),
            info("containerRuntimeVersion"),
        ]
    },
};

fn roles(row: &Row<'_>) -> String {
    let mut roles: Vec<&str> = fields(row.at(&["metadata", "labels"]))
        .filter_map(|(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) => Some(role),
            None if key == "kubernetes.io/role" => value.as_str(),
            None => None,
        })
        .filter(|role| !role.is_empty())
        .collect();
    roles.sort_unstable();
    roles.dedup();
    if roles.is_empty() { "<none>".to_owned() } else { roles.join(",") }
}

const NAME_WIDE: Column = Column { priority: 1, ..NAME };

/// The table of events, of both groups.
pub(super) static EVENT: Table = Table {
    columns: &[
        text("Last Seen", "When it happened last."),
        text("Type", "Whether it is a warning."),
        text("Reason", "What happened, in a word."),
        text("Object", "What it happened to."),
        wide("Subobject", "What part of the object."),
        wide("Source", "Who says so."),
        text("Message", "What happened."),
        wide("First Seen", "When it happened first."),
        wide("Count", "How often it happened."),
        NAME_WIDE,
    ],
    print: event,
};

fn event(row: &Row<'_>) -> Vec<Value> {
    // The newer group has other names for the same things.
    let either = |old: &'static str, new: &'static str| {
        let value = row.at(&[old]);
        if value.is_null() { row.at(&[new]) } else { value }
    };
    let first = match either("firstTimestamp", "deprecatedFirstTimestamp") {
        Value::Null => row.since(row.at(&["eventTime"])),
        time => row.since(time),
    };
    let series = row.at(&["series"]);
    let (last, count) = if series.is_object() {
        (row.since(&series["lastObservedTime"]), series["count"].as_i64().unwrap_or(0))
    } else {
        let last = match either("lastTimestamp", "deprecatedLastTimestamp") {
            Value::Null => first.clone(),
            time => row.since(time),
        };
        (last, either("count", "deprecatedCount").as_i64().filter(|count| *count != 0).unwrap_or(1))
    };
    let involved = either("involvedObject", "regarding");
    let kind = get(involved, "kind").to_lowercase();
    let target = match get(involved, "name") {
        "" => kind,
        name => format!("{kind}/{name}"),
    };
    let source = either("source", "deprecatedSource");
    let first_of = |texts: [&'static str; 2], old: &str| {
        let old = get(source, old);
        let new = texts.into_iter().map(|key| row.text(&[key])).find(|text| !text.is_empty());
        if old.is_empty() { new.unwrap_or_default().to_owned() } else { old.to_owned() }
    };
    let component = first_of(["reportingComponent", "reportingController"], "component");
    let instance = first_of(["reportingInstance", "reportingInstance"], "host");
    let origin = if instance.is_empty() { component } else { format!("{component}, {instance}") };
    let message = either("message", "note").as_str().unwrap_or_default().trim().to_owned();
    vec![
        last.into(),
        row.text(&["type"]).into(),
        row.text(&["reason"]).into(),
        target.into(),
        get(involved, "fieldPath").into(),
        origin.into(),
        message.into(),
        first.into(),
        count.into(),
        row.name(),
    ]
}

static NAMESPACE: Table = Table {
    columns: &[NAME, text("Status", "Whether the namespace is on its way out."), AGE],
    print: |row| vec![row.name(), row.text(&["status", "phase"]).into(), row.age()],
};

static SECRET: Table = Table {
    columns: &[
        NAME,
        text("Type", "What the secret is for."),
        text("Data", "How many keys it has."),
        AGE,
    ],
    print: |row| {
        let count = fields(row.at(&["data"])).count();
        vec![row.name(), row.text(&["type"]).into(), count.into(), row.age()]
    },
};

static CONFIG_MAP: Table = Table {
    columns: &[NAME, text("Data", "How many keys it has."), AGE],
    print: |row| {
        let count = fields(row.at(&["data"])).count() + fields(row.at(&["binaryData"])).count();
        vec![row.name(), count.into(), row.age()]
    },
};

static SERVICE_ACCOUNT: Table = Table {
    columns: &[NAME, text("Secrets", "How many secrets its pods may use."), AGE],
    print: |row| vec![row.name(), list(row.object, "secrets").len().into(), row.age()],
};

static COMPONENT_STATUS: Table = Table {
    columns: &[
        NAME,
        text("Status", "Whether the component is healthy."),
        text("Message", "What it says."),
        text("Error", "What it fails at."),
    ],
    print: |row| {
        let healthy = list(row.object, "conditions")
            .iter()
            .find(|condition| get(condition, "type") == "Healthy");
        let status = match healthy.map(|condition| get(condition, "status")) {
            None => "Unknown",
            Some("True") => "Healthy",
            Some(_) => "Unhealthy",
        };
        let of = |key| healthy.map_or("", |condition| get(condition, key));
        vec![row.name(), status.into(), of("message").into(), of("error").into()]
    },
};

static RESOURCE_QUOTA: Table = Table {
    columns: &[
        NAME,
        text("Request", "What is used of what may be asked for."),
        text("Limit", "What is used of what limits may add up to."),
        AGE,
    ],
    print: |row| {
        let hard = row.at(&["status", "hard"]);
        let mut resources: Vec<_> = fields(hard).map(|(resource, _)| resource).collect();
        resources.sort();
        let column = |limits: bool| {
            let entries: Vec<_> = resources
                .iter()
                .filter(|resource| resource.starts_with("limits.") == limits)
                .map(|resource| {
                    let used = quantity(&row.at(&["status", "used"])[resource.as_str()]);
                    format!("{resource}: {used}/{}", quantity(&hard[resource.as_str()]))
                })
                .collect();
            json!(entries.join(", "))
        };
        vec![row.name(), column(false), column(true), row.age()]
    },
};

/// Returns a list of texts, or `<none>`.
pub(super) fn joined_or_none(list: &Value) -> Value {
    let texts = joined(list);
    if texts.is_empty() { "<none>".into() } else { texts.into() }
}
