//! Rules of config maps, secrets, quotas, limits, namespaces and nodes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use loopline_units::quantity::Quantity;

use super::check::{At, Checker, equal};
use super::resources::{self, Use};
use super::{meta, names, scheduling};

/// The most that a config map or a secret holds, in bytes.
const DATA: usize = 1024 * 1024;
const SEALED: &str = "field is immutable when `immutable` is set";

/// Returns how many bytes a base64 text stands for.
fn decoded_len(text: &str) -> usize {
    text.len() / 4 * 3 - text.bytes().rev().take_while(|byte| *byte == b'=').count().min(2)
}

/// Checks a config map, new or changed.
pub(super) fn config_map(c: &mut Checker, at: &At<'_>, old: Option<&At<'_>>) {
    metadata(c, at, old);
    sealed(c, at, old, &["data", "binaryData"]);
    let (data, binary) = (at.get("data"), at.get("binaryData"));
    let mut size = 0;
    for (key, entry) in data.entries() {
        for problem in names::config_key(key) {
            c.invalid_as(&entry, key, problem);
        }
        if binary.key(key).is_set() {
            c.invalid_as(&entry, key, "duplicate of key present in binaryData");
        }
        size += entry.text().len();
    }
    for (key, entry) in binary.entries() {
        for problem in names::config_key(key) {
            c.invalid_as(&entry, key, problem);
        }
        size += decoded_len(entry.text());
    }
    if size > DATA {
        c.too_long(&at.shown_at("[]".to_owned()), DATA);
    }
}

fn metadata(c: &mut Checker, at: &At<'_>, old: Option<&At<'_>>) {
    match old {
        None => meta::create(c, &at.get("metadata"), names::subdomain),
        Some(old) => meta::update(c, &at.get("metadata"), &old.get("metadata")),
    }
}

fn sealed(c: &mut Checker, at: &At<'_>, old: Option<&At<'_>>, keys: &[&str]) {
    let Some(old) = old.filter(|old| old.get("immutable").is_true()) else { return };
    if !at.get("immutable").is_true() {
        c.forbidden(&at.get("immutable"), SEALED);
    }
    for key in keys {
        if !equal(&at.value[*key], &old.value[*key]) {
            c.forbidden(&at.get(key), SEALED);
        }
    }
}

/// Checks a secret, new or changed.
pub(super) fn secret(c: &mut Checker, at: &At<'_>, old: Option<&At<'_>>) {
    metadata(c, at, old);
    if let Some(old) = old {
        c.immutable(&at.get("type"), &old.get("type"));
    }
    sealed(c, at, old, &["data"]);
    let data = at.get("data");
    let mut size = 0;
    for (key, entry) in data.entries() {
        for problem in names::config_key(key) {
            c.invalid_as(&entry, key, problem);
        }
        size += decoded_len(entry.text());
    }
    if size > DATA {
        c.too_long(&data, DATA);
    }
    let require = |c: &mut Checker, key: &str| {
        if !data.key(key).is_set() {
            c.required(&data.key(key), "");
        }
    };
    match at.get("type").text() {
        "kubernetes.io/service-account-token" => {
            let name = at.get("metadata.annotations").key("kubernetes.io/service-account.name");
            c.required_text(&name);
        }
        "kubernetes.io/dockercfg" => json_key(c, &data.key(".dockercfg")),
        "kubernetes.io/dockerconfigjson" => json_key(c, &data.key(".dockerconfigjson")),
        "kubernetes.io/basic-auth"
            if !data.key("username").is_set() && !data.key("password").is_set() =>
        {
            require(c, "username");
            require(c, "password");
        }
        "kubernetes.io/ssh-auth" => c.required_text(&data.key("ssh-privatekey")),
        "kubernetes.io/tls" => {
            require(c, "tls.crt");
            require(c, "tls.key");
        }
        _ => {}
    }
}

fn json_key(c: &mut Checker, at: &At<'_>) {
    if !at.is_set() {
        c.required(at, "");
        return;
    }
    let bytes = STANDARD.decode(at.text()).unwrap_or_default();
    let parsed = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&bytes);
    if let Err(error) = parsed {
        let detail = if bytes.is_empty() {
            "unexpected end of JSON input".to_owned()
        } else {
            error.to_string()
        };
        c.invalid_as(at, "<secret contents redacted>", detail);
    }
}

/// Checks a namespace, new or changed.
pub(super) fn namespace(c: &mut Checker, at: &At<'_>, old: Option<&At<'_>>) {
    match old {
        None => meta::create(c, &at.get("metadata"), names::label),
        Some(old) => {
            meta::update(c, &at.get("metadata"), &old.get("metadata"));
            return;
        }
    }
    let finalizers = at.get("spec.finalizers");
    for one in finalizers.items() {
        let shown = one.shown_at(finalizers.path.clone());
        c.problems(&shown, loopline_units::selector::check_key(one.text()));
        meta::finalizer_name(c, &shown);
    }
}

/// Checks a new status of a namespace.
pub(super) fn namespace_status(c: &mut Checker, new: &At<'_>, old: &At<'_>) {
    meta::update(c, &new.get("metadata"), &old.get("metadata"));
    let phase = new.get("status.phase").shown_at("status.Phase".to_owned());
    let deleted = new.get("metadata.deletionTimestamp").is_set();
    if !deleted && phase.text() != "Active" {
        c.invalid_as(&phase, phase.text(), "may only be 'Active' if `deletionTimestamp` is empty");
    } else if deleted && phase.text() != "Terminating" {
        let detail = "may only be 'Terminating' if `deletionTimestamp` is not empty";
        c.invalid_as(&phase, phase.text(), detail);
    }
}

/// Checks a quota, new or changed.
pub(super) fn quota(c: &mut Checker, at: &At<'_>, old: Option<&At<'_>>) {
    const SCOPES: [&str; 7] = [
        "Terminating",
        "NotTerminating",
        "BestEffort",
        "NotBestEffort",
        "PriorityClass",
        "CrossNamespacePodAffinity",
        "VolumeAttributesClass",
    ];
    metadata(c, at, old);
    let spec = at.get("spec");
    amounts(c, &spec.get("hard"));
    let scopes = spec.get("scopes");
    let hard: Vec<&str> = spec.get("hard").entries().map(|(key, _)| key).collect();
    let fits = |scope: &str, resource: &str| match scope {
        "BestEffort" => resource == "pods",
        "VolumeAttributesClass" => resource == "persistentvolumeclaims",
        _ => {
            resource == "pods"
                || resource.ends_with("cpu")
                || resource.ends_with("memory")
                || resource.ends_with("ephemeral-storage")
                || resource.contains('/')
                || resource.contains("hugepages-")
        }
    };
    for scope in scopes.items() {
        if !SCOPES.contains(&scope.text()) {
            c.invalid(&scopes, "unsupported scope");
        }
        if hard.iter().any(|resource| !fits(scope.text(), resource)) {
            c.invalid(&scopes, "unsupported scope applied to resource");
        }
    }
    for pair in [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]] {
        if pair.iter().all(|name| scopes.items().any(|one| one.text() == *name)) {
            c.invalid(&scopes, "conflicting scopes");
        }
    }
    let expressions = spec.get("scopeSelector.matchExpressions");
    let shown = &expressions.path;
    for expression in expressions.items() {
        let at = |key: &str| expression.get(key).shown_at(format!("{shown}.{key}"));
        let (scope, operator, values) = (at("scopeName"), at("operator"), at("values"));
        if !SCOPES.contains(&scope.text()) {
            c.invalid_as(&scope, scope.text(), "unsupported scope");
        }
        match operator.text() {
            "In" | "NotIn" => {
                if values.len() == 0 {
                    c.required(&values, "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector");
                }
            }
            "Exists" | "DoesNotExist" => {
                if values.len() > 0 {
                    c.invalid(&values, "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector");
                }
            }
            text => c.invalid_as(&operator, text, "not a valid selector operator"),
        }
    }
    if let Some(old) = old {
        let list = |at: &At<'_>| {
            let mut names: Vec<String> =
                at.get("spec.scopes").items().map(|one| one.text().to_owned()).collect();
            names.sort();
            names
        };
        if list(at) != list(old) {
            c.invalid(&scopes, "field is immutable");
        }
    }
}

fn amounts(c: &mut Checker, map: &At<'_>) {
    for (resource, entry) in map.entries() {
        resources::name(c, &entry, resource, Use::Quota);
        resources::quantity(c, &entry, resource);
    }
}

/// Checks a new status of a quota.
pub(super) fn quota_status(c: &mut Checker, new: &At<'_>, old: &At<'_>) {
    meta::update(c, &new.get("metadata"), &old.get("metadata"));
    for key in ["hard", "used"] {
        amounts(c, &new.get("status").get(key));
    }
}

/// Checks limits of a namespace, new or changed.
pub(super) fn limit_range(c: &mut Checker, at: &At<'_>, old: Option<&At<'_>>) {
    metadata(c, at, old);
    let mut seen: Vec<&str> = Vec::new();
    for item in at.get("spec.limits").items() {
        let kind = item.get("type").or_empty();
        let problems = loopline_units::selector::check_key(kind.text());
        let known = ["Pod", "Container", "PersistentVolumeClaim"].contains(&kind.text());
        if !problems.is_empty() {
            c.problems(&kind, problems);
        } else if !known && !kind.text().contains('/') {
            c.invalid(&kind, "must be a standard limit type or fully qualified");
        }
        if seen.contains(&kind.text()) {
            c.duplicate(&kind);
        }
        seen.push(item.value["type"].as_str().unwrap_or_default());
        limits(c, &item, kind.text());
    }
}

fn limits(c: &mut Checker, item: &At<'_>, kind: &str) {
    let purpose = if matches!(kind, "Pod" | "Container") { Use::Container } else { Use::Any };
    let mut keys: Vec<&str> = Vec::new();
    for list in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
        let map = item.get(list);
        if kind == "Pod" && matches!(list, "default" | "defaultRequest") {
            if map.len() > 0 {
                c.forbidden(&map, "may not be specified when `type` is 'Pod'");
            }
            continue;
        }
        for (resource, entry) in map.entries() {
            resources::name(c, &entry, resource, purpose);
            if entry.quantity().is_none() {
                resources::quantity(c, &entry, resource);
            }
            if !keys.contains(&resource) {
                keys.push(resource);
            }
        }
    }
    let claim = ["min", "max"].iter().any(|list| item.get(list).key("storage").is_set());
    if kind == "PersistentVolumeClaim" && !claim {
        let detail =
            "either minimum or maximum storage value is required, but neither was provided";
        c.required(&item.get("limits"), detail);
    }
    for key in keys {
        let at = |list: &str| item.get(list).key(key);
        let of = |list: &str| {
            let pods = kind == "Pod" && list.starts_with("default");
            if pods { None } else { at(list).quantity() }
        };
        let (min, max) = (of("min"), of("max"));
        let (default, request) = (of("default"), of("defaultRequest"));
        let mut above = |low: Option<Quantity>,
                         high: Option<Quantity>,
                         list: &str,
                         shown: Option<Quantity>,
                         names: [&str; 2]| {
            if let (Some(low), Some(high)) = (low, high)
                && low > high
            {
                let detail =
                    format!("{} value {low} is greater than {} value {high}", names[0], names[1]);
                let shown = shown.map_or(String::new(), |shown| shown.to_string());
                c.invalid_as(&at(list), shown, detail);
            }
        };
        above(min, max, "min", min, ["min", "max"]);
        above(min, request, "defaultRequest", request, ["min", "default request"]);
        above(request, max, "defaultRequest", request, ["default request", "max"]);
        above(request, default, "defaultRequest", request, ["default request", "default limit"]);
        above(min, default, "default", min, ["min", "default"]);
        above(default, max, "default", max, ["default", "max"]);
        if let Some(ratio) = of("maxLimitRequestRatio") {
            let entry = at("maxLimitRequestRatio");
            if ratio < Quantity::from_milli(1000) {
                c.invalid_as(&entry, ratio.to_string(), format!("ratio {ratio} is less than 1"));
            }
            if let (Some(min), Some(max)) = (min, max) {
                let most = max.milli() as f64 / min.milli() as f64;
                if ratio.milli() as f64 / 1000.0 > most {
                    let detail = format!("ratio {ratio} is greater than max/min = {most:.6}");
                    c.invalid_as(&entry, ratio.to_string(), detail);
                }
            }
        }
        if let (Some(default), Some(request)) = (default, request)
            && default != request
            && !resources::may_overcommit(key)
        {
            let detail = format!(
                "default value {default} must equal to defaultRequest value {request} in {key}"
            );
            c.invalid_as(&at("defaultRequest"), request.to_string(), detail);
        }
    }
}

/// Checks a node, new or changed.
pub(super) fn node(c: &mut Checker, at: &At<'_>, old: Option<&At<'_>>) {
    metadata(c, at, old);
    let spec = at.get("spec");
    // Kubernetes reports taints below the metadata.
    scheduling::taints(c, &spec.get("taints").shown_at("metadata.taints".to_owned()));
    for list in ["capacity", "allocatable"] {
        for (resource, entry) in at.get("status").get(list).entries() {
            let shown = entry.shown_at(format!("status.{list}.{resource}"));
            resources::quantity(c, &shown, resource);
        }
    }
    let ranges = spec.get("podCIDRs");
    for range in ranges.items() {
        c.problems(&range, names::range(range.text()));
    }
    if ranges.len() > 2 {
        c.invalid(&ranges, "may specify no more than one CIDR for each IP family");
    }
    let Some(old) = old else { return };
    let before = old.get("spec");
    if before.get("podCIDRs").len() > 0 && !equal(ranges.value, before.get("podCIDRs").value) {
        let detail = "node updates may not change podCIDR except from \"\" to valid";
        c.forbidden(&ranges, detail);
    }
    let (provider, was) = (spec.get("providerID"), before.get("providerID"));
    if !was.text().is_empty() && provider.text() != was.text() {
        let detail = "node updates may not change providerID except from \"\" to valid";
        c.forbidden(&provider, detail);
    }
}
