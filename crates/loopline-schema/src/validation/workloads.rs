//! Rules of deployments, replica sets, stateful sets, daemon sets and the like.

use super::check::{At, Checker, equal};
use super::{meta, names, pod};
use crate::label_selector;

const MISMATCH: &str = "`selector` does not match template `labels`";

/// Checks an object that is made.
pub(super) fn create(c: &mut Checker, kind: &str, at: &At<'_>) {
    meta::create(c, &at.get("metadata"), names::subdomain);
    spec(c, kind, at);
}

/// Checks an object that is changed.
pub(super) fn update(c: &mut Checker, kind: &str, new: &At<'_>, old: &At<'_>) {
    meta::update(c, &new.get("metadata"), &old.get("metadata"));
    match kind {
        "StatefulSet" => stateful_update(c, new, old),
        "ControllerRevision" => {
            spec(c, kind, new);
            c.immutable(&new.get("data"), &old.get("data"));
        }
        "Deployment" | "ReplicaSet" | "DaemonSet" => {
            spec(c, kind, new);
            c.immutable(&new.get("spec.selector"), &old.get("spec.selector"));
        }
        _ => spec(c, kind, new),
    }
}

fn spec(c: &mut Checker, kind: &str, at: &At<'_>) {
    let spec = at.get("spec");
    match kind {
        "Deployment" => deployment(c, &spec),
        "ReplicaSet" => {
            c.not_negative(&spec.get("replicas"));
            c.not_negative(&spec.get("minReadySeconds"));
            selected(c, &spec, "deployment");
            template(c, &spec, "ReplicaSet");
        }
        "StatefulSet" => stateful_set(c, &spec),
        "DaemonSet" => daemon_set(c, &spec),
        "ReplicationController" => replication_controller(c, &spec),
        "PodTemplate" => pod::template(c, &at.get("template")),
        "ControllerRevision" => {
            if !at.get("data").is_set() {
                c.required(&at.get("data"), "data is mandatory");
            }
            c.not_negative(&at.get("revision"));
        }
        _ => {}
    }
}

/// Checks the selector: it is there, sound and not empty.
fn selected(c: &mut Checker, spec: &At<'_>, what: &str) {
    let selector = spec.get("selector");
    if !selector.is_set() {
        c.required(&selector, "");
        return;
    }
    meta::selector(c, &selector);
    if selector.get("matchLabels").len() + selector.get("matchExpressions").len() == 0 {
        c.invalid(&selector, format!("empty selector is invalid for {what}"));
    }
}

/// Checks that the template's labels are selected.
fn matched(c: &mut Checker, spec: &At<'_>) {
    let selector = spec.get("selector");
    let labels = spec.get("template.metadata.labels");
    match label_selector::parse(selector.value) {
        Some(parsed) if selector.is_set() => {
            if !parsed.is_empty() && !label_selector::matches(&parsed, labels.value) {
                c.invalid_as(&labels, shown_labels(&labels), MISMATCH);
            }
        }
        Some(_) => {}
        None => c.invalid(&selector, "invalid label selector"),
    }
}

fn shown_labels(labels: &At<'_>) -> serde_json::Value {
    if labels.is_set() { labels.value.clone() } else { serde_json::Map::new().into() }
}

fn template(c: &mut Checker, spec: &At<'_>, what: &str) {
    matched(c, spec);
    pod::template(c, &spec.get("template"));
    always(c, spec, what);
}

fn always(c: &mut Checker, spec: &At<'_>, what: &str) {
    let policy = spec.get("template.spec.restartPolicy").or_empty();
    if policy.text() != "Always" {
        c.unsupported(&policy, &["Always"]);
    }
    let deadline = spec.get("template.spec.activeDeadlineSeconds");
    if deadline.is_set() {
        c.forbidden(&deadline, format!("activeDeadlineSeconds in {what} is not Supported"));
    }
}

fn deployment(c: &mut Checker, spec: &At<'_>) {
    c.not_negative(&spec.get("replicas"));
    selected(c, spec, "deployment");
    template(c, spec, "ReplicaSet");
    let strategy = spec.get("strategy");
    let (kind, rolling) = (strategy.get("type").or_empty(), strategy.get("rollingUpdate"));
    match kind.text() {
        "Recreate" => {
            if rolling.is_set() {
                let detail = "may not be specified when strategy `type` is 'Recreate'";
                c.forbidden(&rolling, detail);
            }
        }
        "RollingUpdate" => {
            if rolling.is_set() {
                let (away, surge) = (rolling.get("maxUnavailable"), rolling.get("maxSurge"));
                share(c, &away);
                share(c, &surge);
                if is_none(&away) && is_none(&surge) {
                    c.invalid(&away, "may not be 0 when `maxSurge` is 0");
                }
                most_all(c, &away);
            } else {
                c.required(&rolling, "this should be defaulted and never be nil");
            }
        }
        _ => c.unsupported(&kind, &["Recreate", "RollingUpdate"]),
    }
    c.not_negative(&spec.get("minReadySeconds"));
    c.not_negative(&spec.get("revisionHistoryLimit"));
    let deadline = spec.get("progressDeadlineSeconds");
    if deadline.is_set() {
        c.not_negative(&deadline);
        if deadline.number() <= spec.get("minReadySeconds").number() {
            c.invalid(&deadline, "must be greater than minReadySeconds");
        }
    }
}

/// Checks a number or a percentage.
pub(super) fn share(c: &mut Checker, at: &At<'_>) {
    match at.value.as_str() {
        Some(text) if percent(text).is_none() => {
            c.invalid(at, "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')");
        }
        Some(_) => {}
        None => c.not_negative(at),
    }
}

fn percent(text: &str) -> Option<u64> {
    let digits = text.strip_suffix('%')?;
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().unwrap_or(u64::MAX))
}

fn is_none(at: &At<'_>) -> bool {
    match at.value.as_str() {
        Some(text) => percent(text).unwrap_or(0) == 0,
        None => at.number() == 0,
    }
}

/// Checks that a percentage is not above 100.
pub(super) fn most_all(c: &mut Checker, at: &At<'_>) {
    if at.value.as_str().and_then(percent).is_some_and(|percent| percent > 100) {
        c.invalid(at, "must not be greater than 100%");
    }
}

fn daemon_set(c: &mut Checker, spec: &At<'_>) {
    let selector = spec.get("selector");
    meta::selector(c, &selector);
    matched(c, spec);
    if selector.is_set()
        && selector.get("matchLabels").len() + selector.get("matchExpressions").len() == 0
    {
        c.invalid(&selector, "empty selector is invalid for daemonset");
    } else if !selector.is_set() {
        // Nothing is selected, so the template is not.
        let labels = spec.get("template.metadata.labels");
        c.invalid_as(&labels, shown_labels(&labels), MISMATCH);
    }
    pod::template(c, &spec.get("template"));
    always(c, spec, "DaemonSet");
    c.not_negative(&spec.get("minReadySeconds"));
    let strategy = spec.get("updateStrategy");
    let rolling = strategy.get("rollingUpdate");
    match strategy.get("type").text() {
        "OnDelete" => {}
        "RollingUpdate" => {
            if rolling.is_set() {
                let (away, surge) = (rolling.get("maxUnavailable"), rolling.get("maxSurge"));
                share(c, &away);
                share(c, &surge);
                match (is_none(&away), is_none(&surge)) {
                    (false, false) => {
                        c.invalid(&surge, "may not be set when maxUnavailable is non-zero");
                    }
                    (true, true) => c.required(&away, "cannot be 0 when maxSurge is 0"),
                    _ => {}
                }
                most_all(c, &away);
                most_all(c, &surge);
            } else {
                c.required(&rolling, "");
            }
        }
        _ => c.unsupported(&strategy, &["RollingUpdate", "OnDelete"]),
    }
    c.not_negative(&spec.get("revisionHistoryLimit"));
}

fn stateful_set(c: &mut Checker, spec: &At<'_>) {
    let policy = spec.get("podManagementPolicy");
    match policy.text() {
        "" => c.required(&policy, ""),
        "OrderedReady" | "Parallel" => {}
        _ => c.invalid(&policy, "must be 'OrderedReady' or 'Parallel'"),
    }
    let strategy = spec.get("updateStrategy");
    let rolling = strategy.get("rollingUpdate");
    match strategy.get("type").text() {
        "" => c.required(&strategy, ""),
        "OnDelete" => {
            if rolling.is_set() {
                c.invalid(&rolling, "only allowed for updateStrategy 'RollingUpdate'");
            }
        }
        "RollingUpdate" => {
            c.not_negative(&rolling.get("partition"));
            let away = rolling.get("maxUnavailable");
            if away.is_set() {
                share(c, &away);
                if is_none(&away) {
                    c.invalid(&away, "cannot be 0");
                }
                most_all(c, &away);
            }
        }
        _ => c.invalid(&strategy, "must be 'RollingUpdate' or 'OnDelete'"),
    }
    for key in ["whenDeleted", "whenScaled"] {
        let retention = spec.get("persistentVolumeClaimRetentionPolicy").get(key);
        c.one_of(&retention.or_empty(), &["Retain", "Delete"]);
    }
    c.not_negative(&spec.get("replicas"));
    c.not_negative(&spec.get("minReadySeconds"));
    c.not_negative(&spec.get("ordinals.start"));
    selected(c, spec, "statefulset");
    // The claims a set makes are volumes too, so its template is checked when its pods are made.
    matched(c, spec);
    let (at, metadata) = (spec.get("template"), spec.get("template.metadata"));
    meta::labels(c, &metadata.get("labels").shown_at(format!("{}.labels", at.path)));
    let annotations = metadata.get("annotations").shown_at(format!("{}.annotations", at.path));
    meta::annotations(c, &annotations);
    always(c, spec, "StatefulSet");
}

fn stateful_update(c: &mut Checker, new: &At<'_>, old: &At<'_>) {
    const MAY_CHANGE: [&str; 7] = [
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    ];
    let (spec, before) = (new.get("spec"), old.get("spec"));
    let rest = |at: &At<'_>| {
        let mut value = at.value.clone();
        if let Some(fields) = value.as_object_mut() {
            fields.retain(|key, _| !MAY_CHANGE.contains(&key.as_str()));
            for claim in fields
                .get_mut("volumeClaimTemplates")
                .and_then(|v| v.as_array_mut())
                .into_iter()
                .flatten()
            {
                if let Some(claim) = claim.as_object_mut() {
                    claim.shift_remove("status");
                }
            }
        }
        value
    };
    if !equal(&rest(&spec), &rest(&before)) {
        c.forbidden(&spec, "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden");
    }
    stateful_set(c, &spec);
}

fn replication_controller(c: &mut Checker, spec: &At<'_>) {
    c.not_negative(&spec.get("minReadySeconds"));
    let selector = spec.get("selector");
    if selector.len() == 0 {
        c.required(&selector, "");
    }
    c.not_negative(&spec.get("replicas"));
    let template = spec.get("template");
    if !template.is_set() {
        c.required(&template, "");
        return;
    }
    let labels = template.get("metadata.labels");
    if selector.entries().any(|(key, value)| labels.value[key] != *value.value) {
        c.invalid_as(&labels, shown_labels(&labels), MISMATCH);
    }
    pod::template(c, &template);
    always(c, spec, "ReplicationController");
}

/// Checks a new status: counts that cannot be.
pub(super) fn status(c: &mut Checker, new: &At<'_>, old: &At<'_>) {
    meta::update(c, &new.get("metadata"), &old.get("metadata"));
    let status = new.get("status");
    let counts = [
        "replicas",
        "fullyLabeledReplicas",
        "readyReplicas",
        "currentReplicas",
        "updatedReplicas",
        "availableReplicas",
        "unavailableReplicas",
        "observedGeneration",
        "collisionCount",
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberUnavailable",
    ];
    for key in counts {
        c.not_negative(&status.get(key));
    }
    let total = status.get("replicas");
    if total.is_set() {
        for key in [
            "fullyLabeledReplicas",
            "readyReplicas",
            "currentReplicas",
            "updatedReplicas",
            "availableReplicas",
        ] {
            let count = status.get(key);
            if count.number() > total.number() {
                c.invalid(&count, "cannot be greater than status.replicas");
            }
        }
        let (ready, available) = (status.get("readyReplicas"), status.get("availableReplicas"));
        if available.number() > ready.number() {
            c.invalid(&available, "cannot be greater than readyReplicas");
        }
    }
    let (count, before) = (status.get("collisionCount"), old.get("status.collisionCount"));
    if before.is_set() && count.number() < before.number() {
        c.invalid_as(&count, count.number(), "cannot be decremented");
    }
}
