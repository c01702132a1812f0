//! The same object in the forms of several versions: horizontal pod autoscalers (autoscaling v1
//! and v2) and events (core and events.k8s.io).
//!
//! What the older form of an autoscaler has no field for travels in the annotations that the API
//! uses for it, so that nothing is lost on the way there and back.

use serde_json::{Map, Value, json};

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

/// The names of an event's fields in core and in events.k8s.io, where they differ.
const EVENT_FIELDS: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

/// A conversion that nobody described.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no conversion of {kind} from {from} to {to}")]
pub struct Error {
    /// The kind.
    pub kind: String,
    /// The version it has.
    pub from: String,
    /// The version it should have.
    pub to: String,
}

/// Converts a built-in object in place to another `apiVersion` that serves its kind.
///
/// # Errors
/// [`Error`] where the kind is not served in both.
pub fn convert(object: &mut Value, to: &str) -> Result<(), Error> {
    let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (kind, from) = (text("kind"), text("apiVersion"));
    if from == to {
        return Ok(());
    }
    let Some(map) = object.as_object_mut() else { return Err(Error { kind, from, to: to.into() }) };
    match (kind.as_str(), from.as_str(), to) {
        ("Event", "v1", "events.k8s.io/v1") => {
            *map = rename(std::mem::take(map), |name| {
                EVENT_FIELDS.iter().find(|pair| pair.0 == name).map(|pair| pair.1)
            });
        }
        ("Event", "events.k8s.io/v1", "v1") => {
            *map = rename(std::mem::take(map), |name| {
                EVENT_FIELDS.iter().find(|pair| pair.1 == name).map(|pair| pair.0)
            });
        }
        ("HorizontalPodAutoscaler", "autoscaling/v1", "autoscaling/v2") => newer(map),
        ("HorizontalPodAutoscaler", "autoscaling/v2", "autoscaling/v1") => older(map),
        _ => return Err(Error { kind, from, to: to.into() }),
    }
    map.insert("apiVersion".to_owned(), Value::from(to));
    Ok(())
}

fn rename(
    map: Map<String, Value>,
    name: impl Fn(&str) -> Option<&'static str>,
) -> Map<String, Value> {
    map.into_iter().map(|(key, value)| (name(&key).map_or(key, str::to_owned), value)).collect()
}

fn part<'a>(map: &'a mut Map<String, Value>, name: &str) -> Option<&'a mut Map<String, Value>> {
    map.get_mut(name)?.as_object_mut()
}

fn annotate(map: &mut Map<String, Value>, name: &str, value: &Value) {
    let metadata = map.entry("metadata").or_insert_with(|| json!({}));
    let Some(metadata) = metadata.as_object_mut() else { return };
    let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.insert(name.to_owned(), Value::from(value.to_string()));
    }
}

/// Takes an annotation that holds JSON. What is no JSON is left where it is.
fn unannotate(map: &mut Map<String, Value>, name: &str) -> Option<Value> {
    let metadata = part(map, "metadata")?;
    let annotations = part(metadata, "annotations")?;
    let value = serde_json::from_str(annotations.get(name)?.as_str()?).ok()?;
    annotations.remove(name);
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
    Some(value)
}

fn is_cpu_utilization(metric: &Value, side: &str, field: &str) -> bool {
    metric["type"] == "Resource"
        && metric["resource"]["name"] == "cpu"
        && !metric["resource"][side][field].is_null()
}

fn older(map: &mut Map<String, Value>) {
    let mut metrics = Value::Null;
    let mut behavior = Value::Null;
    if let Some(spec) = part(map, "spec") {
        metrics = spec.remove("metrics").unwrap_or_default();
        behavior = spec.remove("behavior").unwrap_or_default();
        if let Some(list) = metrics.as_array_mut()
            && let Some(index) =
                list.iter().position(|m| is_cpu_utilization(m, "target", "averageUtilization"))
        {
            let metric = list.remove(index);
            let target = metric["resource"]["target"]["averageUtilization"].clone();
            spec.insert("targetCPUUtilizationPercentage".to_owned(), target);
        }
    }
    if let Some(list) = metrics.as_array()
        && !list.is_empty()
    {
        let list = list.iter().map(|metric| older_metric(metric, "target")).collect();
        annotate(map, METRICS, &Value::Array(list));
    }
    if behavior.is_object() {
        annotate(map, BEHAVIOR, &recase(&behavior, |c| c.to_ascii_uppercase()));
    }
    let mut current = Value::Null;
    let mut conditions = Value::Null;
    if let Some(status) = part(map, "status") {
        current = status.remove("currentMetrics").unwrap_or_default();
        conditions = status.remove("conditions").unwrap_or_default();
        if let Some(list) = current.as_array()
            && let Some(metric) =
                list.iter().find(|m| is_cpu_utilization(m, "current", "averageUtilization"))
        {
            let used = metric["resource"]["current"]["averageUtilization"].clone();
            status.insert("currentCPUUtilizationPercentage".to_owned(), used);
        }
    }
    if let Some(list) = current.as_array()
        && !list.is_empty()
    {
        let list = list.iter().map(|metric| older_metric(metric, "current")).collect();
        annotate(map, CURRENT_METRICS, &Value::Array(list));
    }
    if conditions.as_array().is_some_and(|list| !list.is_empty()) {
        annotate(map, CONDITIONS, &conditions);
    }
}

fn newer(map: &mut Map<String, Value>) {
    let list = |value: Option<Value>| match value {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    };
    let mut metrics: Vec<_> =
        list(unannotate(map, METRICS)).iter().map(|m| newer_metric(m, "target")).collect();
    let current: Vec<_> =
        list(unannotate(map, CURRENT_METRICS)).iter().map(|m| newer_metric(m, "current")).collect();
    let conditions = unannotate(map, CONDITIONS);
    let behavior = unannotate(map, BEHAVIOR);
    if let Some(spec) = part(map, "spec") {
        if let Some(target) = spec.remove("targetCPUUtilizationPercentage").filter(|t| !t.is_null())
        {
            let metric = json!({"type": "Resource", "resource": {
                "name": "cpu", "target": {"type": "Utilization", "averageUtilization": target},
            }});
            metrics.push(metric);
        }
        if !metrics.is_empty() {
            spec.insert("metrics".to_owned(), Value::Array(metrics));
        }
        if let Some(behavior) = behavior {
            spec.insert("behavior".to_owned(), recase(&behavior, |c| c.to_ascii_lowercase()));
        }
    }
    if let Some(status) = part(map, "status") {
        let used = status.remove("currentCPUUtilizationPercentage");
        if !current.is_empty() {
            status.insert("currentMetrics".to_owned(), Value::Array(current));
        } else if let Some(used) = used.filter(|used| !used.is_null()) {
            let metric = json!([{"type": "Resource", "resource": {
                "name": "cpu", "current": {"averageUtilization": used},
            }}]);
            status.insert("currentMetrics".to_owned(), metric);
        }
        if let Some(conditions) = conditions {
            status.insert("conditions".to_owned(), conditions);
        }
    }
}

/// Changes the first letter of every field: the annotation holds Go's own names.
fn recase(value: &Value, letter: fn(&char) -> char) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| {
                    let mut letters = key.chars();
                    let first = letters.next().map(|first| letter(&first));
                    (first.into_iter().chain(letters).collect(), recase(value, letter))
                })
                .collect(),
        ),
        Value::Array(list) => list.iter().map(|value| recase(value, letter)).collect(),
        other => other.clone(),
    }
}

/// The names of a metric's amounts in the older form: the prefix is `target` or `current`.
fn older_metric(metric: &Value, side: &str) -> Value {
    let kind = metric["type"].as_str().unwrap_or_default();
    let name = source_name(kind);
    let source = &metric[name];
    let mut out = Map::new();
    let mut put = |key: &str, value: &Value| {
        if !value.is_null() {
            out.insert(key.to_owned(), value.clone());
        }
    };
    let amount = &source[side];
    match kind {
        "Object" => {
            put("target", &source["describedObject"]);
            put("metricName", &source["metric"]["name"]);
            put("selector", &source["metric"]["selector"]);
            put(&format!("{side}Value"), &amount["value"]);
            put("averageValue", &amount["averageValue"]);
        }
        "Pods" => {
            put("metricName", &source["metric"]["name"]);
            put("selector", &source["metric"]["selector"]);
            put(&format!("{side}AverageValue"), &amount["averageValue"]);
        }
        "External" => {
            put("metricName", &source["metric"]["name"]);
            put("metricSelector", &source["metric"]["selector"]);
            put(&format!("{side}Value"), &amount["value"]);
            put(&format!("{side}AverageValue"), &amount["averageValue"]);
        }
        _ => {
            put("name", &source["name"]);
            put("container", &source["container"]);
            put(&format!("{side}AverageUtilization"), &amount["averageUtilization"]);
            put(&format!("{side}AverageValue"), &amount["averageValue"]);
        }
    }
    json!({"type": kind, name: out})
}

fn newer_metric(metric: &Value, side: &str) -> Value {
    let kind = metric["type"].as_str().unwrap_or_default();
    let name = source_name(kind);
    let source = &metric[name];
    let (utilization, average, whole) = (
        &source[format!("{side}AverageUtilization")],
        match kind {
            "Object" => &source["averageValue"],
            _ => &source[format!("{side}AverageValue")],
        },
        match kind {
            "Object" | "External" => &source[format!("{side}Value")],
            _ => &Value::Null,
        },
    );
    let mut amount = Map::new();
    if side == "target" {
        let kind = match (utilization.is_null(), average.is_null()) {
            (false, _) => "Utilization",
            (true, false) => "AverageValue",
            (true, true) => "Value",
        };
        amount.insert("type".to_owned(), Value::from(kind));
    }
    for (key, value) in
        [("averageUtilization", utilization), ("averageValue", average), ("value", whole)]
    {
        if !value.is_null() {
            amount.insert(key.to_owned(), value.clone());
        }
    }
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| {
        if !value.is_null() {
            out.insert(key.to_owned(), value);
        }
    };
    if matches!(kind, "Object" | "Pods" | "External") {
        let selector = match kind {
            "External" => &source["metricSelector"],
            _ => &source["selector"],
        };
        let mut identifier = json!({"name": source["metricName"]});
        if !selector.is_null() {
            identifier["selector"] = selector.clone();
        }
        put("metric", identifier);
        if kind == "Object" {
            put("describedObject", source["target"].clone());
        }
    } else {
        put("name", source["name"].clone());
        put("container", source["container"].clone());
    }
    put(side, Value::Object(amount));
    json!({"type": kind, name: out})
}

fn source_name(kind: &str) -> &'static str {
    match kind {
        "Object" => "object",
        "Pods" => "pods",
        "External" => "external",
        "ContainerResource" => "containerResource",
        _ => "resource",
    }
}
