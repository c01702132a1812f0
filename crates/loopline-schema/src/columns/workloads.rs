//! Tables of workloads, jobs, autoscalers and disruption budgets.

use loopline_units::show_age;
use serde_json::{Value, json};

use super::row::{Row, containers, quantity, seconds};
use super::{AGE, CONTAINERS, IMAGES, NAME, SELECTOR, Table, boolean, integer, text};
use crate::label_selector::{show, show_labels};
use crate::tree::{list, text as get};

pub(super) fn table(kind: &str) -> Option<&'static Table> {
    Some(match kind {
        "Deployment" => &DEPLOYMENT,
        "ReplicaSet" => &REPLICA_SET,
        "StatefulSet" => &STATEFUL_SET,
        "DaemonSet" => &DAEMON_SET,
        "ControllerRevision" => &CONTROLLER_REVISION,
        "Job" => &JOB,
        "CronJob" => &CRON_JOB,
        "HorizontalPodAutoscaler" => &AUTOSCALER,
        "Scale" => &SCALE,
        "PodDisruptionBudget" => &BUDGET,
        _ => return None,
    })
}

fn template(row: &Row<'_>) -> [Value; 2] {
    containers(row.at(&["spec", "template", "spec"]))
}

fn ready(row: &Row<'_>) -> Value {
    let ready = row.integer(&["status", "readyReplicas"]);
    format!("{ready}/{}", row.integer(&["spec", "replicas"])).into()
}

static DEPLOYMENT: Table = Table {
    columns: &[
        NAME,
        text("Ready", "How many of the pods are ready."),
        integer("Up-to-date", "How many pods have the newest template."),
        integer("Available", "How many pods have been ready for long enough."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    print: |row| {
        let [names, images] = template(row);
        let selector = match show(row.at(&["spec", "selector"])).as_str() {
            "<none>" => String::new(),
            shown => shown.to_owned(),
        };
        vec![
            row.name(),
            ready(row),
            row.integer(&["status", "updatedReplicas"]).into(),
            row.integer(&["status", "availableReplicas"]).into(),
            row.age(),
            names,
            images,
            selector.into(),
        ]
    },
};

static REPLICA_SET: Table = Table {
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
        let [names, images] = template(row);
        vec![
            row.name(),
            row.integer(&["spec", "replicas"]).into(),
            row.integer(&["status", "replicas"]).into(),
            row.integer(&["status", "readyReplicas"]).into(),
            row.age(),
            names,
            images,
            show(row.at(&["spec", "selector"])).into(),
        ]
    },
};

static STATEFUL_SET: Table = Table {
    columns: &[NAME, text("Ready", "How many of the pods are ready."), AGE, CONTAINERS, IMAGES],
    print: |row| {
        let [names, images] = template(row);
        vec![row.name(), ready(row), row.age(), names, images]
    },
};

static DAEMON_SET: Table = Table {
    columns: &[
        NAME,
        integer("Desired", "How many nodes should have a pod."),
        integer("Current", "How many of those have one."),
        integer("Ready", "How many of those are ready."),
        integer("Up-to-date", "How many nodes have the newest pod."),
        integer("Available", "How many have been ready for long enough."),
        text("Node Selector", "The labels of the nodes it is for."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    print: |row| {
        let [names, images] = template(row);
        let number = |key| json!(row.integer(&["status", key]));
        vec![
            row.name(),
            number("desiredNumberScheduled"),
            number("currentNumberScheduled"),
            number("numberReady"),
            number("updatedNumberScheduled"),
            number("numberAvailable"),
            show_labels(row.at(&["spec", "template", "spec", "nodeSelector"])).into(),
            row.age(),
            names,
            images,
            show(row.at(&["spec", "selector"])).into(),
        ]
    },
};

static CONTROLLER_REVISION: Table = Table {
    columns: &[
        NAME,
        text("Controller", "Whose revision it is."),
        text("Revision", "Its number."),
        AGE,
    ],
    print: |row| {
        let owner = list(row.at(&["metadata"]), "ownerReferences")
            .iter()
            .find(|owner| owner["controller"] == true);
        let controller = owner.map_or("<none>".to_owned(), |owner| {
            let kind = get(owner, "kind").to_lowercase();
            match get(owner, "apiVersion").split_once('/') {
                Some((group, _)) => format!("{kind}.{group}/{}", get(owner, "name")),
                None => format!("{kind}/{}", get(owner, "name")),
            }
        });
        vec![row.name(), controller.into(), row.integer(&["revision"]).into(), row.age()]
    },
};

static JOB: Table = Table {
    columns: &[
        NAME,
        text("Status", "Where the job is."),
        text("Completions", "How many pods of those asked for have succeeded."),
        text("Duration", "How long it took, or takes."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    print: |row| {
        let done = row.integer(&["status", "succeeded"]);
        let completions = match row.at(&["spec", "completions"]).as_i64() {
            Some(completions) => format!("{done}/{completions}"),
            None => match row.integer(&["spec", "parallelism"]) {
                parallelism @ 2.. => format!("{done}/1 of {parallelism}"),
                _ => format!("{done}/1"),
            },
        };
        let end = seconds(row.at(&["status", "completionTime"])).unwrap_or(row.now);
        let duration = seconds(row.at(&["status", "startTime"]))
            .map_or(String::new(), |start| show_age(end - start));
        let status = if row.has("Complete") {
            "Complete"
        } else if row.has("Failed") {
            "Failed"
        } else if row.is_deleted() {
            "Terminating"
        } else if row.has("Suspended") {
            "Suspended"
        } else if row.has("FailureTarget") {
            "FailureTarget"
        } else {
            "Running"
        };
        let [names, images] = template(row);
        vec![
            row.name(),
            status.into(),
            completions.into(),
            duration.into(),
            row.age(),
            names,
            images,
            show(row.at(&["spec", "selector"])).into(),
        ]
    },
};

static CRON_JOB: Table = Table {
    columns: &[
        NAME,
        text("Schedule", "When it is due."),
        text("Timezone", "The zone the schedule is in."),
        boolean("Suspend", "Whether it makes no jobs for now."),
        integer("Active", "How many of its jobs run."),
        text("Last Schedule", "When it last made a job."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    print: |row| {
        let suspend = match row.at(&["spec", "suspend"]).as_bool() {
            Some(true) => "True",
            Some(false) => "False",
            None => "<unset>",
        };
        let last = match row.at(&["status", "lastScheduleTime"]) {
            Value::Null => "<none>".to_owned(),
            time => row.since(time),
        };
        let job = row.at(&["spec", "jobTemplate", "spec"]);
        let [names, images] = containers(&job["template"]["spec"]);
        vec![
            row.name(),
            row.text(&["spec", "schedule"]).into(),
            row.text_or(&["spec", "timeZone"], "<none>"),
            suspend.into(),
            list(row.at(&["status"]), "active").len().into(),
            last.into(),
            row.age(),
            names,
            images,
            show(&job["selector"]).into(),
        ]
    },
};

static AUTOSCALER: Table = Table {
    columns: &[
        NAME,
        text("Reference", "What it scales."),
        text("Targets", "What it measures, and what that should be."),
        text("MinPods", "The least number of pods."),
        text("MaxPods", "The largest number of pods."),
        text("Replicas", "How many pods there are."),
        AGE,
    ],
    print: |row| {
        let target = row.at(&["spec", "scaleTargetRef"]);
        let least = row.at(&["spec", "minReplicas"]).as_i64();
        vec![
            row.name(),
            format!("{}/{}", get(target, "kind"), get(target, "name")).into(),
            targets(row).into(),
            least.map_or("<unset>".to_owned(), |least| least.to_string()).into(),
            row.integer(&["spec", "maxReplicas"]).into(),
            row.integer(&["status", "currentReplicas"]).into(),
            row.age(),
        ]
    },
};

fn targets(row: &Row<'_>) -> String {
    const SHOWN: usize = 2;
    let percent =
        |value: &Value, none: &str| value.as_i64().map_or(none.to_owned(), |n| format!("{n}%"));
    let (spec, status) = (row.at(&["spec"]), row.at(&["status"]));
    if !spec["targetCPUUtilizationPercentage"].is_null() {
        let current = percent(&status["currentCPUUtilizationPercentage"], "<unknown>");
        return format!("cpu: {current}/{}", percent(&spec["targetCPUUtilizationPercentage"], ""));
    }
    let metrics = list(spec, "metrics");
    if metrics.is_empty() {
        return "<none>".to_owned();
    }
    let shown: Vec<_> = metrics
        .iter()
        .enumerate()
        .map(|(index, metric)| {
            let key = match get(metric, "type") {
                "External" => "external",
                "Pods" => "pods",
                "Object" => "object",
                "Resource" => "resource",
                "ContainerResource" => "containerResource",
                _ => return "<unknown type>".to_owned(),
            };
            let target = &metric[key]["target"];
            let status = list(status, "currentMetrics").get(index).map(|status| &status[key]);
            let current = status.filter(|status| status.is_object()).map(|one| &one["current"]);
            let amount = |value: Option<&Value>| {
                value.filter(|value| !value.is_null()).map_or("<unknown>".to_owned(), quantity)
            };
            let average = !target["averageValue"].is_null();
            let of = |key: &str| current.map(|current| &current[key]);
            match key {
                "pods" => {
                    format!("{}/{}", amount(of("averageValue")), quantity(&target["averageValue"]))
                }
                "resource" | "containerResource" => {
                    let name = get(&metric[key], "name");
                    if average {
                        let target = quantity(&target["averageValue"]);
                        return format!("{name}: {}/{target}", amount(of("averageValue")));
                    }
                    let current = of("averageUtilization").unwrap_or(&Value::Null);
                    let target = percent(&target["averageUtilization"], "<auto>");
                    format!("{name}: {}/{target}", percent(current, "<unknown>"))
                }
                _ if average => {
                    let target = quantity(&target["averageValue"]);
                    format!("{}/{target} (avg)", amount(of("averageValue")))
                }
                _ => format!("{}/{}", amount(of("value")), quantity(&target["value"])),
            }
        })
        .collect();
    if shown.len() > SHOWN {
        return format!("{} + {} more...", shown[..SHOWN].join(", "), shown.len() - SHOWN);
    }
    shown.join(", ")
}

static SCALE: Table = Table {
    columns: &[
        NAME,
        integer("Desired", "How many pods there should be."),
        integer("Available", "How many pods there are."),
        AGE,
    ],
    print: |row| {
        vec![
            row.name(),
            row.integer(&["spec", "replicas"]).into(),
            row.integer(&["status", "replicas"]).into(),
            row.age(),
        ]
    },
};

static BUDGET: Table = Table {
    columns: &[
        NAME,
        text("Min Available", "How many pods must stay."),
        text("Max Unavailable", "How many pods may be away."),
        integer("Allowed Disruptions", "How many pods may be taken down now."),
        AGE,
    ],
    print: |row| {
        let bound = |key| match row.at(&["spec", key]) {
            Value::String(text) => json!(text),
            Value::Number(number) => json!(number.to_string()),
            _ => json!("N/A"),
        };
        vec![
            row.name(),
            bound("minAvailable"),
            bound("maxUnavailable"),
            row.integer(&["status", "disruptionsAllowed"]).into(),
            row.age(),
        ]
    },
};
