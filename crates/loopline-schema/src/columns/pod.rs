//! The row of a pod: what its containers make of it.

use serde_json::{Value, json};

use super::row::{Row, seconds};
use crate::tree::{list, text};

/// What the containers say together.
#[derive(Default)]
struct Summary {
    reason: String,
    ready: usize,
    restarts: i64,
    last_restart: Option<i64>,
}

impl Summary {
    fn count_restarts(&mut self, status: &Value) {
        self.restarts += status["restartCount"].as_i64().unwrap_or(0);
        self.last_restart =
            self.last_restart.max(seconds(&status["lastState"]["terminated"]["finishedAt"]));
    }
}

pub(super) fn print(row: &Row<'_>) -> Vec<Value> {
    let (spec, status) = (row.at(&["spec"]), row.at(&["status"]));
    let summary = summarize(row, spec, status);
    let sidecars = list(spec, "initContainers").iter().filter(|one| is_sidecar(one)).count();
    let total = list(spec, "containers").len() + sidecars;
    let restarts = match summary.last_restart {
        Some(time) if summary.restarts != 0 => {
            let ago = loopline_units::show_age(row.now - time);
            format!("{} ({ago} ago)", summary.restarts)
        }
        _ => summary.restarts.to_string(),
    };
    let address = match list(status, "podIPs").first() {
        Some(first) => text(first, "ip"),
        None => text(status, "podIP"),
    };
    let or_none = |text: &str| if text.is_empty() { json!("<none>") } else { json!(text) };
    vec![
        row.name(),
        format!("{}/{total}", summary.ready).into(),
        summary.reason.into(),
        restarts.into(),
        row.age(),
        or_none(address),
        or_none(text(spec, "nodeName")),
        or_none(text(status, "nominatedNodeName")),
        gates(row, spec).into(),
    ]
}

fn summarize(row: &Row<'_>, spec: &Value, status: &Value) -> Summary {
    let phase = text(status, "phase");
    let mut summary = Summary { reason: phase.to_owned(), ..Summary::default() };
    if !text(status, "reason").is_empty() {
        summary.reason = text(status, "reason").to_owned();
    }
    let gated = list(status, "conditions").iter().any(|condition| {
        text(condition, "type") == "PodScheduled" && text(condition, "reason") == "SchedulingGated"
    });
    if gated {
        "SchedulingGated".clone_into(&mut summary.reason);
    }
    let mut sidecars = Summary::default();
    let initializing = initial(spec, status, &mut summary, &mut sidecars);
    if !initializing || row.has("Initialized") {
        summary.restarts = sidecars.restarts;
        summary.last_restart = sidecars.last_restart;
        regular(row, status, &mut summary);
    }
    if row.is_deleted() {
        if text(status, "reason") == "NodeLost" {
            "Unknown".clone_into(&mut summary.reason);
        } else if !matches!(phase, "Succeeded" | "Failed") {
            "Terminating".clone_into(&mut summary.reason);
        }
    }
    summary
}

fn is_sidecar(container: &Value) -> bool {
    text(container, "restartPolicy") == "Always"
}

/// Goes through the init containers; returns whether one of them is still at it.
fn initial(spec: &Value, status: &Value, all: &mut Summary, sidecars: &mut Summary) -> bool {
    let containers = list(spec, "initContainers");
    for (index, state) in list(status, "initContainerStatuses").iter().enumerate() {
        let name = text(state, "name");
        let sidecar = containers
            .iter()
            .any(|container| text(container, "name") == name && is_sidecar(container));
        all.count_restarts(state);
        if sidecar {
            sidecars.count_restarts(state);
        }
        let (terminated, waiting) = (&state["state"]["terminated"], &state["state"]["waiting"]);
        if terminated.is_object() && terminated["exitCode"].as_i64().unwrap_or(0) == 0 {
            continue;
        }
        if sidecar && state["started"] == true {
            all.ready += usize::from(state["ready"] == true);
            continue;
        }
        let waits_for = text(waiting, "reason");
        all.reason = if terminated.is_object() {
            format!("Init:{}", end(terminated))
        } else if !waits_for.is_empty() && waits_for != "PodInitializing" {
            format!("Init:{waits_for}")
        } else {
            format!("Init:{index}/{}", containers.len())
        };
        return true;
    }
    false
}

fn regular(row: &Row<'_>, status: &Value, summary: &mut Summary) {
    let mut running = false;
    for state in list(status, "containerStatuses").iter().rev() {
        summary.count_restarts(state);
        let (terminated, waiting) = (&state["state"]["terminated"], &state["state"]["waiting"]);
        let waits_for = text(waiting, "reason");
        if !waits_for.is_empty() {
            waits_for.clone_into(&mut summary.reason);
        } else if terminated.is_object() {
            summary.reason = end(terminated);
        } else if state["ready"] == true && state["state"]["running"].is_object() {
            running = true;
            summary.ready += 1;
        }
    }
    if running && summary.reason == "Completed" {
        let reason = if row.has("Ready") { "Running" } else { "NotReady" };
        reason.clone_into(&mut summary.reason);
    }
}

/// Says how a container ended.
fn end(terminated: &Value) -> String {
    match text(terminated, "reason") {
        "" => match terminated["signal"].as_i64().unwrap_or(0) {
            0 => format!("ExitCode:{}", terminated["exitCode"].as_i64().unwrap_or(0)),
            signal => format!("Signal:{signal}"),
        },
        reason => reason.to_owned(),
    }
}

fn gates(row: &Row<'_>, spec: &Value) -> String {
    let gates = list(spec, "readinessGates");
    if gates.is_empty() {
        return "<none>".to_owned();
    }
    let open = gates.iter().filter(|gate| row.has(text(gate, "conditionType"))).count();
    format!("{open}/{}", gates.len())
}
