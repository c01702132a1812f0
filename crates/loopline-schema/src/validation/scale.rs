//! Rules of autoscalers, disruption budgets, priorities, runtimes, leases and events.

use loopline_units::selector::check_key;

use super::check::{At, Checker};
use super::workloads::{most_all, share};
use super::{meta, names, resources, scheduling};

/// Checks the specification of an autoscaler.
pub(super) fn autoscaler(c: &mut Checker, version: &str, at: &At<'_>, old: Option<&At<'_>>) {
    let spec = at.get("spec");
    let (least, most) = (spec.get("minReplicas"), spec.get("maxReplicas"));
    let was_zero = old.is_some_and(|old| *old.get("spec.minReplicas").value == 0);
    let bound = if was_zero { 0 } else { 1 };
    if least.is_set() && least.number() < bound {
        c.invalid(&least, format!("must be greater than or equal to {bound}"));
    }
    if most.number() < 1 {
        c.invalid_as(&most, most.number(), "must be greater than 0");
    }
    if least.is_set() && most.number() < least.number() {
        let detail = "must be greater than or equal to `minReplicas`";
        c.invalid_as(&most, most.number(), detail);
    }
    target_reference(c, &spec.get("scaleTargetRef"));
    if version == "v1" {
        let percent = spec.get("targetCPUUtilizationPercentage");
        if percent.is_set() && percent.number() < 1 {
            let path = "spec.metrics[0].resource.target.averageUtilization";
            c.invalid(&percent.shown_at(path.to_owned()), "must be greater than 0");
        }
        return;
    }
    spec.get("metrics").items().for_each(|one| metric(c, &one));
    for direction in ["scaleUp", "scaleDown"] {
        let rules = spec.get("behavior").get(direction);
        if rules.is_set() {
            scaling(c, &rules);
        }
    }
}

fn target_reference(c: &mut Checker, at: &At<'_>) {
    for key in ["kind", "name"] {
        let part = at.get(key);
        if part.text().is_empty() {
            c.required(&part, "");
        } else {
            c.problems(&part, names::path_segment(part.text(), false));
        }
    }
}

fn metric(c: &mut Checker, at: &At<'_>) {
    const TYPES: [&str; 5] = ["ContainerResource", "External", "Object", "Pods", "Resource"];
    const FIELDS: [(&str, &str); 5] = [
        ("Object", "object"),
        ("External", "external"),
        ("Pods", "pods"),
        ("Resource", "resource"),
        ("ContainerResource", "containerResource"),
    ];
    let kind = at.get("type").or_empty();
    if kind.text().is_empty() {
        c.required(&kind, "must specify a metric source type");
    }
    c.one_of(&kind, &TYPES);
    let present: Vec<_> = FIELDS.iter().filter(|(_, key)| at.get(key).is_set()).collect();
    if let Some((_, first)) = present.first() {
        source(c, &at.get(first), first);
    }
    let expected = FIELDS.iter().find(|(name, _)| *name == kind.text()).map(|(_, key)| *key);
    if let Some(key) = expected.filter(|key| !at.get(key).is_set()) {
        let detail = "must populate information for the given metric source";
        c.required(&at.get(key), detail);
    }
    if present.len() > 1 {
        for (_, key) in present.iter().filter(|(_, key)| Some(*key) != expected) {
            c.forbidden(&at.get(key), "must populate the given metric source only");
        }
    }
}

fn source(c: &mut Checker, at: &At<'_>, kind: &str) {
    let target = at.get("target");
    let (value, average, percent) =
        (target.get("value"), target.get("averageValue"), target.get("averageUtilization"));
    if kind == "object" {
        target_reference(c, &at.get("describedObject"));
    }
    if matches!(kind, "object" | "external" | "pods") {
        let name = at.get("metric.name");
        if name.text().is_empty() {
            c.required(&name, "must specify a metric name");
        } else {
            c.problems(&name, names::path_segment(name.text(), false));
        }
        meta::selector(c, &at.get("metric.selector"));
    } else if at.get("name").text().is_empty() {
        c.required(&at.get("name"), "must specify a resource name");
    }
    if kind == "containerResource" && at.get("container").text().is_empty() {
        c.required(&at.get("container"), "must specify a container");
    }
    metric_target(c, &target);
    match kind {
        "object" if !value.is_set() && !average.is_set() => {
            c.required(&average, "must set either a target value or averageValue");
        }
        "external" => {
            if !value.is_set() && !average.is_set() {
                let detail = "must set either a target value for metric or a per-pod target";
                c.required(&average, detail);
            }
            if value.is_set() && average.is_set() {
                let detail = "may not set both a target value for metric and a per-pod target";
                c.forbidden(&value, detail);
            }
        }
        "pods" if average.quantity().is_none_or(|amount| amount.sign() != 1) => {
            c.required(&average, "must specify a positive target averageValue");
        }
        "resource" | "containerResource" => {
            if !percent.is_set() && !average.is_set() {
                let detail = "must set either a target raw value or a target utilization";
                c.required(&percent, detail);
            }
            if percent.is_set() && average.is_set() {
                let detail = "may not set both a target raw value and a target utilization";
                c.forbidden(&average, detail);
            }
        }
        _ => {}
    }
}

fn metric_target(c: &mut Checker, at: &At<'_>) {
    let kind = at.get("type");
    if kind.text().is_empty() {
        c.required(&kind, "must specify a metric target type");
    }
    if !["Utilization", "Value", "AverageValue"].contains(&kind.text()) {
        c.invalid_as(&kind, kind.text(), "must be either Utilization, Value, or AverageValue");
    }
    for key in ["value", "averageValue"] {
        let amount = at.get(key);
        if amount.is_set() && amount.quantity().is_none_or(|found| found.sign() != 1) {
            c.invalid(&amount, "must be positive");
        }
    }
    let percent = at.get("averageUtilization");
    if percent.is_set() && percent.number() < 1 {
        c.invalid(&percent, "must be greater than 0");
    }
}

fn scaling(c: &mut Checker, rules: &At<'_>) {
    const WINDOW: i64 = 3600;
    const PERIOD: i64 = 1800;
    let window = rules.get("stabilizationWindowSeconds");
    if window.number() < 0 {
        c.invalid(&window, "must be greater than or equal to zero");
    } else if window.number() > WINDOW {
        c.invalid(&window, format!("must be less than or equal to {WINDOW}"));
    }
    c.one_of(&rules.get("selectPolicy"), &["Disabled", "Max", "Min"]);
    let policies = rules.get("policies");
    if policies.len() == 0 {
        c.required(&policies, "must specify at least one Policy");
    }
    for policy in policies.items() {
        c.one_of(&policy.get("type").or_empty(), &["Percent", "Pods"]);
        for key in ["value", "periodSeconds"] {
            let number = policy.get(key);
            if number.number() <= 0 {
                c.invalid_as(&number, number.number(), "must be greater than zero");
            }
        }
        let period = policy.get("periodSeconds");
        if period.number() > PERIOD {
            c.invalid(&period, format!("must be less than or equal to {PERIOD}"));
        }
    }
}

/// Checks the specification of a disruption budget.
pub(super) fn budget(c: &mut Checker, at: &At<'_>) {
    let spec = at.get("spec");
    let bounds = [spec.get("minAvailable"), spec.get("maxUnavailable")];
    if bounds.iter().all(At::is_set) {
        c.invalid(&spec, "minAvailable and maxUnavailable cannot be both set");
    }
    for bound in bounds.iter().filter(|bound| bound.is_set()) {
        share(c, bound);
        most_all(c, bound);
    }
    meta::selector(c, &spec.get("selector"));
    c.one_of(&spec.get("unhealthyPodEvictionPolicy"), &["AlwaysAllow", "IfHealthyBudget"]);
}

/// Checks a class of priorities.
pub(super) fn priority(c: &mut Checker, at: &At<'_>, old: Option<&At<'_>>) {
    const MOST: i64 = 1_000_000_000;
    const OWN: [(&str, i64); 2] =
        [("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)];
    let (name, value) = (at.get("metadata.name"), at.get("value"));
    if name.text().starts_with("system-") {
        let own =
            OWN.iter().any(|(own, priority)| *own == name.text() && *priority == value.number());
        if !own {
            c.forbidden(&name, format!("priority class names with 'system-' prefix are reserved for system use only. error: {} is not a known system priority class", name.text()));
        }
    } else if value.number() > MOST {
        let detail = format!("maximum allowed value of a user defined priority is {MOST}");
        c.forbidden(&value, detail);
    }
    let policy = at.get("preemptionPolicy");
    c.one_of(&policy, &["PreemptLowerPriority", "Never"]);
    if let Some(old) = old {
        if value.number() != old.get("value").number() {
            c.forbidden(&value.shown_at("value".to_owned()), "may not be changed in an update.");
        }
        c.immutable(&policy, &old.get("preemptionPolicy"));
    }
}

/// Checks a class of runtimes.
pub(super) fn runtime(c: &mut Checker, at: &At<'_>, old: Option<&At<'_>>) {
    let handler = at.get("handler").or_empty();
    c.problems(&handler, names::label(handler.text(), false));
    if let Some(old) = old {
        c.immutable(&at.get("handler"), &old.get("handler"));
    }
    for (resource, entry) in at.get("overhead.podFixed").entries() {
        resources::name(c, &entry, resource, resources::Use::Container);
        resources::quantity(c, &entry, resource);
    }
    let placement = at.get("scheduling");
    meta::labels(c, &placement.get("nodeSelector"));
    scheduling::tolerations(c, &placement.get("tolerations"));
}

/// Checks a lease.
pub(super) fn lease(c: &mut Checker, at: &At<'_>) {
    let spec = at.get("spec");
    let (duration, transitions) = (spec.get("leaseDurationSeconds"), spec.get("leaseTransitions"));
    if duration.is_set() && duration.number() <= 0 {
        c.invalid(&duration, "must be greater than 0");
    }
    if transitions.number() < 0 {
        c.invalid(&transitions, "must be greater than or equal to 0");
    }
    let (preferred, strategy) = (spec.get("preferredHolder"), spec.get("strategy"));
    if !preferred.text().is_empty() && strategy.text().is_empty() {
        c.forbidden(&preferred, "may only be specified when `strategy` is defined");
    }
}

/// Checks an event of either group.
pub(super) fn event(c: &mut Checker, group: &str, at: &At<'_>, old: Option<&At<'_>>) {
    const SHORT: usize = 128;
    const NOTE: usize = 1024;
    let newer = group == "events.k8s.io";
    let involved = at.get(if newer { "regarding" } else { "involvedObject" });
    let namespace = at.get("metadata.namespace").text();
    let other = involved.get("namespace");
    if other.text().is_empty() {
        if !namespace.is_empty() && namespace != "default" {
            c.invalid_as(&other, "", "does not match event.namespace");
        }
    } else if !namespace.is_empty() && other.text() != namespace {
        c.invalid(&other, "does not match event.namespace");
    }
    let time = at.get("eventTime");
    if !time.is_set() {
        if newer && old.is_none() {
            c.required(&time, "");
        }
        return;
    }
    let controller = if newer { "reportingController" } else { "reportingComponent" };
    let controller = at.get(controller);
    if controller.text().is_empty() {
        c.required(&controller, "");
    } else {
        c.problems(&controller, check_key(controller.text()));
    }
    for key in ["reportingInstance", "action", "reason"] {
        let part = at.get(key);
        c.required_text(&part);
        if part.text().len() > SHORT {
            c.invalid_as(&part, "", format!("can have at most {SHORT} characters"));
        }
    }
    let note = at.get(if newer { "note" } else { "message" });
    if note.text().len() > NOTE {
        c.invalid_as(&note, "", format!("can have at most {NOTE} characters"));
    }
    let kind = at.get("type").or_empty();
    if newer && !["Normal", "Warning"].contains(&kind.text()) {
        let detail = format!("has invalid value: {}", kind.text());
        c.invalid_as(&kind, "", detail);
    }
}
