//! Tables of leases, classes of priority and runtime, aggregated services, flow control.

use serde_json::{Value, json};

use super::{AGE, Column, NAME, Table, boolean, core, integer, text};
use crate::tree::{list, text as get};

pub(super) fn table(group: &str, kind: &str) -> Option<&'static Table> {
    Some(match (group, kind) {
        ("events.k8s.io", "Event") => &core::EVENT,
        ("coordination.k8s.io", "Lease") => &LEASE,
        ("scheduling.k8s.io", "PriorityClass") => &PRIORITY_CLASS,
        ("node.k8s.io", "RuntimeClass") => &RUNTIME_CLASS,
        ("apiregistration.k8s.io", "APIService") => &API_SERVICE,
        ("flowcontrol.apiserver.k8s.io", "FlowSchema") => &FLOW_SCHEMA,
        ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration") => &PRIORITY_LEVEL,
        _ => return None,
    })
}

static LEASE: Table = Table {
    columns: &[NAME, text("Holder", "Who holds it."), AGE],
    print: |row| vec![row.name(), row.text(&["spec", "holderIdentity"]).into(), row.age()],
};

static PRIORITY_CLASS: Table = Table {
    columns: &[
        NAME,
        integer("Value", "The priority of its pods."),
        boolean("Global-Default", "Whether pods without a class are of it."),
        AGE,
        Column {
            name: "PreemptionPolicy",
            kind: "string",
            format: "",
            description: "Whether its pods drive out others.",
            priority: 1,
        },
    ],
    print: |row| {
        vec![
            row.name(),
            row.integer(&["value"]).into(),
            row.at(&["globalDefault"]).as_bool().unwrap_or(false).into(),
            row.age(),
            row.text(&["preemptionPolicy"]).into(),
        ]
    },
};

static RUNTIME_CLASS: Table = Table {
    columns: &[NAME, text("Handler", "What the node's agent calls it."), AGE],
    print: |row| vec![row.name(), row.text(&["handler"]).into(), row.age()],
};

static API_SERVICE: Table = Table {
    columns: &[
        NAME,
        text("Service", "Who serves the version."),
        text("Available", "Whether it is served."),
        AGE,
    ],
    print: |row| {
        let service = row.at(&["spec", "service"]);
        let service = if service.is_object() {
            format!("{}/{}", get(service, "namespace"), get(service, "name"))
        } else {
            "Local".to_owned()
        };
        let condition = list(row.at(&["status"]), "conditions")
            .iter()
            .find(|condition| get(condition, "type") == "Available");
        let available = match condition.map(|condition| get(condition, "status")) {
            None => "Unknown".to_owned(),
            Some("True") => "True".to_owned(),
            Some(status) => {
                format!("{status} ({})", condition.map_or("", |found| get(found, "reason")))
            }
        };
        vec![row.name(), service.into(), available.into(), row.age()]
    },
};

static FLOW_SCHEMA: Table = Table {
    columns: &[
        NAME,
        text("PriorityLevel", "The level of its requests."),
        text("MatchingPrecedence", "Its place among the schemas."),
        text("DistinguisherMethod", "What makes requests one flow."),
        AGE,
        text("MissingPL", "Whether its level does not exist."),
    ],
    print: |row| {
        let dangling = list(row.at(&["status"]), "conditions")
            .iter()
            .find(|condition| get(condition, "type") == "Dangling");
        vec![
            row.name(),
            row.text(&["spec", "priorityLevelConfiguration", "name"]).into(),
            row.integer(&["spec", "matchingPrecedence"]).into(),
            row.text_or(&["spec", "distinguisherMethod", "type"], "<none>"),
            row.age(),
            dangling.map_or("?", |condition| get(condition, "status")).into(),
        ]
    },
};

static PRIORITY_LEVEL: Table = Table {
    columns: &[
        NAME,
        text("Type", "Whether it is limited."),
        text("NominalConcurrencyShares", "Its share of the server."),
        text("Queues", "How many queues it has."),
        text("HandSize", "How many queues a flow is dealt."),
        text("QueueLengthLimit", "How long a queue may be."),
        AGE,
    ],
    print: |row| {
        let limited = row.at(&["spec", "limited"]);
        let or_none = |value: &Value| if value.is_null() { json!("<none>") } else { value.clone() };
        let queuing = &limited["limitResponse"]["queuing"];
        vec![
            row.name(),
            row.text(&["spec", "type"]).into(),
            or_none(&limited["nominalConcurrencyShares"]),
            or_none(&queuing["queues"]),
            or_none(&queuing["handSize"]),
            or_none(&queuing["queueLengthLimit"]),
            row.age(),
        ]
    },
};
