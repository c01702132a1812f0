//! Defaults of workloads, jobs and autoscalers.

use serde_json::{Value, json};

use super::{core, pod};
use crate::tree::{descend, ensure, fill, fill_zero, items, list, object, text};

pub(super) fn apply(version: &str, kind: &str, value: &mut Value) {
    if kind == "Job" {
        job(value);
    }
    let Some(spec) = ensure(value, "spec") else { return };
    match kind {
        "Deployment" => deployment(spec),
        "ReplicaSet" => fill(spec, "replicas", 1),
        "StatefulSet" => stateful_set(spec),
        "DaemonSet" => daemon_set(spec),
        "CronJob" => cron_job(spec),
        "HorizontalPodAutoscaler" => {
            fill(spec, "minReplicas", 1);
            if version == "v1" {
                let annotated =
                    value["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/metrics"]
                        .is_string();
                if !annotated && let Some(spec) = object(value, "spec") {
                    fill(spec, "targetCPUUtilizationPercentage", 80);
                }
            } else {
                autoscaler(spec);
            }
            return;
        }
        _ => {}
    }
    if let Some(template) = descend(spec, &["template", "spec"]) {
        pod::spec(template);
    }
}

fn deployment(spec: &mut Value) {
    fill(spec, "replicas", 1);
    if let Some(strategy) = ensure(spec, "strategy") {
        fill_zero(strategy, "type", "RollingUpdate");
        if text(strategy, "type") == "RollingUpdate"
            && let Some(rolling) = ensure(strategy, "rollingUpdate")
        {
            fill(rolling, "maxUnavailable", "25%");
            fill(rolling, "maxSurge", "25%");
        }
    }
    fill(spec, "revisionHistoryLimit", 10);
    fill(spec, "progressDeadlineSeconds", 600);
}

fn daemon_set(spec: &mut Value) {
    if let Some(strategy) = ensure(spec, "updateStrategy") {
        fill_zero(strategy, "type", "RollingUpdate");
        if text(strategy, "type") == "RollingUpdate"
            && let Some(rolling) = ensure(strategy, "rollingUpdate")
        {
            fill(rolling, "maxUnavailable", 1);
            fill(rolling, "maxSurge", 0);
        }
    }
    fill(spec, "revisionHistoryLimit", 10);
}

fn stateful_set(spec: &mut Value) {
    fill_zero(spec, "podManagementPolicy", "OrderedReady");
    if let Some(strategy) = ensure(spec, "updateStrategy") {
        if text(strategy, "type").is_empty() {
            strategy["type"] = "RollingUpdate".into();
            fill(strategy, "rollingUpdate", json!({}));
        }
        if text(strategy, "type") == "RollingUpdate"
            && let Some(rolling) = object(strategy, "rollingUpdate")
        {
            fill(rolling, "partition", 0);
        }
    }
    if let Some(policy) = ensure(spec, "persistentVolumeClaimRetentionPolicy") {
        fill_zero(policy, "whenDeleted", "Retain");
        fill_zero(policy, "whenScaled", "Retain");
    }
    fill(spec, "replicas", 1);
    fill(spec, "revisionHistoryLimit", 10);
    for claim in items(spec, "volumeClaimTemplates") {
        fill_zero(claim, "apiVersion", "v1");
        fill_zero(claim, "kind", "PersistentVolumeClaim");
        core::claim(claim);
    }
}

fn job(value: &mut Value) {
    let labels = value["spec"]["template"]["metadata"]["labels"].clone();
    if labels.is_object()
        && let Some(metadata) = ensure(value, "metadata")
    {
        fill_zero(metadata, "labels", labels);
    }
    let Some(spec) = ensure(value, "spec") else { return };
    if spec["parallelism"].is_null() {
        fill(spec, "completions", 1);
        // Work queues have a parallelism and no completions.
    }
    fill(spec, "parallelism", 1);
    let per_index = !spec["backoffLimitPerIndex"].is_null();
    fill(spec, "backoffLimit", if per_index { i32::MAX } else { 6 });
    fill(spec, "completionMode", "NonIndexed");
    fill(spec, "suspend", false);
    let policy = spec["podFailurePolicy"].is_object();
    fill(spec, "podReplacementPolicy", if policy { "Failed" } else { "TerminatingOrFailed" });
    fill(spec, "manualSelector", false);
    failure_policy(spec);
}

fn failure_policy(spec: &mut Value) {
    let Some(policy) = object(spec, "podFailurePolicy") else { return };
    for rule in items(policy, "rules") {
        for pattern in items(rule, "onPodConditions") {
            fill_zero(pattern, "status", "True");
        }
    }
}

/// Gives a job that has no selector of its own the one made from its uid.
pub(super) fn job_selector(value: &mut Value) {
    const UID: &str = "batch.kubernetes.io/controller-uid";
    const NAME: &str = "batch.kubernetes.io/job-name";
    let metadata = &value["metadata"];
    let (uid, name) = (text(metadata, "uid").to_owned(), text(metadata, "name").to_owned());
    let Some(spec) = ensure(value, "spec") else { return };
    if uid.is_empty() || spec["manualSelector"] == true {
        return;
    }
    let labels = ensure(spec, "template")
        .and_then(|template| ensure(template, "metadata"))
        .and_then(|metadata| ensure(metadata, "labels"));
    if let Some(labels) = labels {
        for (key, text) in
            [("job-name", &name), ("controller-uid", &uid), (NAME, &name), (UID, &uid)]
        {
            fill_zero(labels, key, text.as_str());
        }
    }
    if let Some(selector) = ensure(spec, "selector")
        && let Some(labels) = ensure(selector, "matchLabels")
    {
        fill_zero(labels, UID, uid);
    }
}

fn cron_job(spec: &mut Value) {
    fill_zero(spec, "concurrencyPolicy", "Allow");
    fill(spec, "suspend", false);
    fill(spec, "successfulJobsHistoryLimit", 3);
    fill(spec, "failedJobsHistoryLimit", 1);
    if let Some(job) = descend(spec, &["jobTemplate", "spec"]) {
        failure_policy(job);
        if let Some(template) = descend(job, &["template", "spec"]) {
            pod::spec(template);
        }
    }
}

fn autoscaler(spec: &mut Value) {
    if list(spec, "metrics").is_empty() {
        fill_zero(
            spec,
            "metrics",
            json!([{
                "type": "Resource",
                "resource": {
                    "name": "cpu",
                    "target": {"type": "Utilization", "averageUtilization": 80},
                },
            }]),
        );
    }
    let Some(behavior) = object(spec, "behavior") else { return };
    let percent = json!({"type": "Percent", "value": 100, "periodSeconds": 15});
    if let Some(up) = ensure(behavior, "scaleUp") {
        fill(up, "stabilizationWindowSeconds", 0);
        fill(up, "selectPolicy", "Max");
        let pods = json!({"type": "Pods", "value": 4, "periodSeconds": 15});
        fill(up, "policies", json!([pods, percent]));
    }
    if let Some(down) = ensure(behavior, "scaleDown") {
        fill(down, "selectPolicy", "Max");
        fill(down, "policies", json!([percent]));
    }
}
