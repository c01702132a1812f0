//! Rules of where pods may go: affinities, tolerations, spread, node selectors, taints.

use loopline_units::selector::{check_key, check_value};

use super::check::{At, Checker};
use super::{meta, names};

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// Checks affinities of a pod.
pub(super) fn affinity(c: &mut Checker, at: &At<'_>) {
    let node = at.get("nodeAffinity");
    let required = node.get(REQUIRED);
    if required.is_set() {
        node_selector(c, &required);
    }
    for term in node.get(PREFERRED).items() {
        weight(c, &term.get("weight"));
        node_term(c, &term.get("preference"), false);
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        let pods = at.get(kind);
        for term in pods.get(REQUIRED).items() {
            pod_term(c, &term);
        }
        for term in pods.get(PREFERRED).items() {
            weight(c, &term.get("weight"));
            pod_term(c, &term.get("podAffinityTerm"));
        }
    }
}

fn weight(c: &mut Checker, at: &At<'_>) {
    if !(1..=100).contains(&at.number()) {
        c.invalid_as(at, at.number(), "must be in the range 1-100");
    }
}

/// Checks a selector of nodes.
pub(super) fn node_selector(c: &mut Checker, at: &At<'_>) {
    let terms = at.get("nodeSelectorTerms");
    if terms.len() == 0 {
        c.required(&terms, "must have at least one node selector term");
    }
    for term in terms.items() {
        node_term(c, &term, true);
    }
}

fn node_term(c: &mut Checker, term: &At<'_>, check_values: bool) {
    for expression in term.get("matchExpressions").items() {
        let (values, operator) = (expression.get("values"), expression.get("operator"));
        match operator.text() {
            "In" | "NotIn" if values.len() == 0 => {
                c.required(&values, "must be specified when `operator` is 'In' or 'NotIn'");
            }
            "Exists" | "DoesNotExist" if values.len() > 0 => c.forbidden(
                &values,
                "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            ),
            "Gt" | "Lt" if values.len() != 1 => {
                let detail = "must be specified single value when `operator` is 'Lt' or 'Gt'";
                c.required(&values, detail);
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
            text => c.invalid_as(&operator, text, "not a valid selector operator"),
        }
        meta::label_name(c, &expression.get("key").or_empty());
        if check_values {
            for value in values.items() {
                c.problems(&value, check_value(value.text()));
            }
        }
    }
    for field in term.get("matchFields").items() {
        let (values, operator) = (field.get("values"), field.get("operator"));
        match operator.text() {
            "In" | "NotIn" => {
                if values.len() != 1 {
                    c.required(&values, "must be only one value when `operator` is 'In' or 'NotIn' for node field selector");
                }
            }
            text => c.invalid_as(&operator, text, "not a valid selector operator"),
        }
        let key = field.get("key").or_empty();
        if key.text() == "metadata.name" {
            for value in values.items() {
                c.problems(&value, names::subdomain(value.text(), false));
            }
        } else {
            c.invalid(&key, "not a valid field selector key");
        }
    }
}

fn pod_term(c: &mut Checker, term: &At<'_>) {
    meta::selector(c, &term.get("labelSelector"));
    meta::selector(c, &term.get("namespaceSelector"));
    for namespace in term.get("namespaces").items() {
        let shown = namespace.shown_at(format!("{}.namespace", term.path));
        c.problems(&shown, names::label(namespace.text(), false));
    }
    let selected = term.get("labelSelector").is_set();
    for list in ["matchLabelKeys", "mismatchLabelKeys"] {
        let keys = term.get(list);
        if keys.len() > 0 && !selected {
            c.forbidden(&keys, "must not be specified when labelSelector is not set");
            continue;
        }
        keys.items().for_each(|key| meta::label_name(c, &key));
    }
    let mismatched = term.get("mismatchLabelKeys");
    for key in term.get("matchLabelKeys").items() {
        if mismatched.items().any(|one| one.text() == key.text()) {
            c.invalid(&key, "exists in both matchLabelKeys and mismatchLabelKeys");
        }
    }
    let topology = term.get("topologyKey").or_empty();
    if topology.text().is_empty() {
        c.required(&topology, "can not be empty");
    }
    meta::label_name(c, &topology);
}

/// Checks tolerations of a pod.
pub(super) fn tolerations(c: &mut Checker, tolerations: &At<'_>) {
    for one in tolerations.items() {
        let (key, operator) = (one.get("key"), one.get("operator"));
        let (effect, value) = (one.get("effect"), one.get("value"));
        if !key.text().is_empty() {
            meta::label_name(c, &key);
        } else if operator.text() != "Exists" {
            c.invalid_as(&operator, operator.text(), "operator must be Exists when `key` is empty, which means \"match all values and all keys\"");
        }
        if one.get("tolerationSeconds").is_set() && effect.text() != "NoExecute" {
            let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            c.invalid_as(&effect, effect.text(), detail);
        }
        match operator.text() {
            "Equal" | "" => {
                let problems = check_value(value.text());
                if !problems.is_empty() {
                    c.invalid_as(&operator, value.text(), problems.join(";"));
                }
            }
            "Exists" => {
                if !value.text().is_empty() {
                    let detail = "value must be empty when `operator` is 'Exists'";
                    c.invalid_as(&operator, value.text(), detail);
                }
            }
            _ => c.unsupported(&operator, &["Equal", "Exists"]),
        }
        if !effect.text().is_empty() {
            c.one_of(&effect, &EFFECTS);
        }
    }
}

/// Checks taints of a node.
pub(super) fn taints(c: &mut Checker, taints: &At<'_>) {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for taint in taints.items() {
        let (key, value, effect) =
            (taint.get("key").or_empty(), taint.get("value"), taint.get("effect"));
        c.problems(&key, check_key(key.text()));
        let problems = check_value(value.text());
        if !problems.is_empty() {
            c.invalid(&value, problems.join(";"));
        }
        c.required_one_of(&effect, &EFFECTS);
        let pair = (taint.value["key"].as_str().unwrap_or_default(), effect.text());
        if seen.contains(&pair) {
            let detail = "taints must be unique by key and effect pair";
            c.duplicate_as(&taint, taint.value.clone(), detail);
        }
        seen.push(pair);
    }
}

/// Checks how pods are spread.
pub(super) fn spread(c: &mut Checker, constraints: &At<'_>) {
    let all: Vec<_> = constraints.items().collect();
    let pair = |one: &At<'_>| {
        format!("{{{}, {}}}", one.get("topologyKey").text(), one.get("whenUnsatisfiable").text())
    };
    for (index, one) in all.iter().enumerate() {
        let skew = one.get("maxSkew");
        if skew.number() <= 0 {
            c.invalid_as(&skew, skew.number(), "must be greater than zero");
        }
        let key = one.get("topologyKey");
        if key.text().is_empty() {
            c.required(&key, "can not be empty");
        }
        let action = one.get("whenUnsatisfiable").or_empty();
        c.one_of(&action, &["DoNotSchedule", "ScheduleAnyway"]);
        if all[index + 1..].iter().any(|other| pair(other) == pair(one)) {
            let path = format!("{}.{{topologyKey, whenUnsatisfiable}}", one.path);
            c.duplicate_as(&one.shown_at(path), pair(one), "");
        }
        let domains = one.get("minDomains");
        if domains.is_set() {
            if domains.number() <= 0 {
                c.invalid(&domains, "must be greater than zero");
            }
            if action.text() != "DoNotSchedule" {
                let detail = format!(
                    "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {}",
                    action.text()
                );
                c.invalid(&domains, detail);
            }
        }
        for key in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            c.one_of(&one.get(key), &["Honor", "Ignore"]);
        }
        let (keys, selector) = (one.get("matchLabelKeys"), one.get("labelSelector"));
        if keys.len() > 0 && !selector.is_set() {
            c.forbidden(&keys, "must not be specified when labelSelector is not set");
        }
        for key in keys.items() {
            meta::label_name(c, &key);
            let expressions = selector.get("matchExpressions");
            let selects = selector.get("matchLabels").key(key.text()).is_set()
                || expressions.items().any(|one| one.get("key").text() == key.text());
            if selects {
                c.invalid(&key, "exists in both matchLabelKeys and labelSelector");
            }
        }
        meta::selector(c, &selector);
    }
}
