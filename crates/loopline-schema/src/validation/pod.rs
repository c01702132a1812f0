//! Rules of pods and of pod templates.

use loopline_units::selector::check_key;
use serde_json::Value;

use super::check::{At, Checker, equal, put};
use super::{container, meta, names, resources, scheduling, security, volume};

/// What the rules of containers need to know of their pod.
pub(super) struct Pod<'a> {
    /// The pod's specification.
    pub(super) spec: At<'a>,
    /// Its sound volumes by name.
    pub(super) volumes: Vec<(&'a str, At<'a>)>,
    /// The names of its resource claims.
    pub(super) claims: Vec<&'a str>,
}

/// Checks a pod that is made.
pub(super) fn create(c: &mut Checker, pod: &At<'_>) {
    meta::create(c, &pod.get("metadata"), names::subdomain);
    body(c, pod);
    let spec = pod.get("spec");
    if spec.get("ephemeralContainers").len() > 0 {
        c.forbidden(&spec.get("ephemeralContainers"), "cannot be set on create");
    }
    if !spec.get("nodeName").text().is_empty() && spec.get("schedulingGates").len() > 0 {
        let detail = "cannot be set until all schedulingGates have been cleared";
        c.forbidden(&spec.get("nodeName"), detail);
    }
}

fn body(c: &mut Checker, pod: &At<'_>) {
    let (metadata, spec) = (pod.get("metadata"), pod.get("spec"));
    annotations(c, &metadata, &spec);
    self::spec(c, &spec, Some(metadata.get("name").text()));
    if spec.get("serviceAccountName").text().is_empty() {
        for one in spec.get("volumes").items() {
            for source in one.get("projected.sources").items() {
                let token = source.get("serviceAccountToken");
                if token.is_set() {
                    let detail = "must not be specified when serviceAccountName is not set";
                    c.forbidden(&token, detail);
                }
            }
        }
    }
    for kind in ["containers", "initContainers"] {
        spec.get(kind).items().for_each(|one| container::image_spaces(c, &one));
    }
}

fn annotations(c: &mut Checker, metadata: &At<'_>, spec: &At<'_>) {
    const MIRROR: &str = "kubernetes.io/config.mirror";
    const COST: &str = "controller.kubernetes.io/pod-deletion-cost";
    let annotations = metadata.get("annotations");
    let mirror = annotations.key(MIRROR);
    if mirror.is_set() && spec.get("nodeName").text().is_empty() {
        c.invalid(&mirror, "must set spec.nodeName if mirror pod annotation is set");
    }
    let cost = annotations.key(COST);
    let text = cost.text();
    let plain = text.parse::<i32>().is_ok_and(|number| number.to_string() == text);
    if cost.is_set() && !plain {
        c.invalid(&cost, "must be a 32bit integer");
    }
}

/// Checks a template of pods.
pub(super) fn template(c: &mut Checker, at: &At<'_>) {
    // Kubernetes reports the template's labels and annotations without `metadata` in the path.
    let metadata = at.get("metadata");
    meta::labels(c, &metadata.get("labels").shown_at(format!("{}.labels", at.path)));
    let own = metadata.get("annotations").shown_at(format!("{}.annotations", at.path));
    meta::annotations(c, &own);
    let spec = at.get("spec");
    self::spec(c, &spec, None);
    if spec.get("ephemeralContainers").len() > 0 {
        let detail = "ephemeral containers not allowed in pod template";
        c.forbidden(&spec.get("ephemeralContainers"), detail);
    }
}

/// Checks the specification of a pod; its name is known only for pods.
fn spec(c: &mut Checker, spec: &At<'_>, name: Option<&str>) {
    if !spec.get("terminationGracePeriodSeconds").is_set() {
        c.required(&spec.get("terminationGracePeriodSeconds"), "");
    }
    let pod = Pod {
        volumes: volume::volumes(c, &spec.get("volumes"), name),
        claims: claims(c, &spec.get("resourceClaims")),
        spec: spec.clone(),
    };
    container::regular(c, &spec.get("containers"), &pod);
    container::initial(c, &spec.get("initContainers"), &pod);
    container::ephemeral(c, &spec.get("ephemeralContainers"), &pod);
    resources::pod_requirements(c, spec, &pod.claims);
    host_network(c, spec, name.is_some());
    c.required_one_of(&spec.get("restartPolicy"), &["Always", "OnFailure", "Never"]);
    let policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    c.required_one_of(&spec.get("dnsPolicy"), &policies);
    meta::labels(c, &spec.get("nodeSelector"));
    security::pod(c, spec);
    scheduling::affinity(c, &spec.get("affinity"));
    dns(c, spec);
    for gate in spec.get("readinessGates").items() {
        let kind = gate.get("conditionType").or_empty();
        c.problems(&kind, check_key(kind.text()));
    }
    let mut seen: Vec<&str> = Vec::new();
    for gate in spec.get("schedulingGates").items() {
        let name = gate.value["name"].as_str().unwrap_or_default();
        for problem in check_key(name) {
            c.invalid_as(&gate, name, problem);
        }
        if seen.contains(&name) {
            c.duplicate_as(&gate, name, "");
        }
        seen.push(name);
    }
    scheduling::spread(c, &spec.get("topologySpreadConstraints"));
    security::host(c, spec);
    for key in ["serviceAccountName", "nodeName"] {
        named(c, &spec.get(key));
    }
    let deadline = spec.get("activeDeadlineSeconds");
    let most = i64::from(i32::MAX);
    if deadline.is_set() && !(1..=most).contains(&deadline.number()) {
        c.invalid(&deadline, names::between(1, most));
    }
    for key in ["hostname", "subdomain"] {
        let label = spec.get(key);
        if !label.text().is_empty() {
            c.problems(&label, names::dns_label(label.text()));
        }
    }
    scheduling::tolerations(c, &spec.get("tolerations"));
    for alias in spec.get("hostAliases").items() {
        let address = alias.get("ip").or_empty();
        c.problems(&address, names::address(address.text()));
        for host in alias.get("hostnames").items() {
            c.problems(&host, names::subdomain(host.text(), false));
        }
    }
    for key in ["priorityClassName", "runtimeClassName"] {
        named(c, &spec.get(key));
    }
    c.one_of(&spec.get("preemptionPolicy"), &["PreemptLowerPriority", "Never"]);
    for (resource, entry) in spec.get("overhead").entries() {
        resources::name(c, &entry, resource, resources::Use::Container);
        resources::quantity(c, &entry, resource);
    }
    security::system(c, spec);
}

fn named(c: &mut Checker, at: &At<'_>) {
    if !at.text().is_empty() {
        c.problems(at, names::subdomain(at.text(), false));
    }
}

fn claims<'a>(c: &mut Checker, claims: &At<'a>) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for claim in claims.items() {
        let name = claim.get("name");
        if name.text().is_empty() {
            c.required(&name, "");
        } else if names.contains(&name.text()) {
            c.duplicate(&name);
        } else {
            c.problems(&name, names::dns_label(name.text()));
            names.push(name.text());
        }
        let (own, template) =
            (claim.get("resourceClaimName"), claim.get("resourceClaimTemplateName"));
        match (own.is_set(), template.is_set()) {
            (true, true) => c.invalid(&claim, "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"),
            (false, false) => c.invalid(&claim, "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"),
            _ => {}
        }
        named(c, &own);
        named(c, &template);
    }
    names
}

fn host_network(c: &mut Checker, spec: &At<'_>, is_pod: bool) {
    if !spec.get("hostNetwork").is_true() {
        return;
    }
    for one in spec.get("containers").items() {
        for port in one.get("ports").items() {
            let host = port.get("hostPort");
            let number = host.number();
            if (is_pod || number != 0) && number != port.get("containerPort").number() {
                let detail = "must match `containerPort` when `hostNetwork` is true";
                c.invalid_as(&host, number, detail);
            }
        }
    }
}

fn dns(c: &mut Checker, spec: &At<'_>) {
    const SERVERS: usize = 3;
    const SEARCHES: usize = 32;
    const SEARCH_BYTES: usize = 2048;
    let at = spec.get("dnsConfig");
    let (servers, searches) = (at.get("nameservers"), at.get("searches"));
    if spec.get("dnsPolicy").text() == "None" {
        if !at.is_set() {
            c.required(&at, "must provide `dnsConfig` when `dnsPolicy` is None");
            return;
        }
        if servers.len() == 0 {
            let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            c.required(&servers, detail);
            return;
        }
    }
    if servers.len() > SERVERS {
        c.invalid(&servers, format!("must not have more than {SERVERS} nameservers"));
    }
    for server in servers.items() {
        c.problems(&server, names::address(server.text()));
    }
    if searches.len() > SEARCHES {
        c.invalid(&searches, format!("must not have more than {SEARCHES} search paths"));
    }
    let size: usize = searches.items().map(|one| one.text().len() + 1).sum();
    if size > SEARCH_BYTES + 1 {
        c.invalid(&searches, format!("must not have more than {SEARCH_BYTES} characters (including spaces) in the search list"));
    }
    for search in searches.items().filter(|one| one.text() != ".") {
        let text = search.text().strip_suffix('.').unwrap_or(search.text());
        for problem in names::underscored_subdomain(text) {
            c.invalid_as(&search, text, problem);
        }
    }
    for option in at.get("options").items() {
        if option.get("name").text().is_empty() {
            c.required(&option, "must not be empty");
        }
    }
}

/// Checks a pod that is changed.
pub(super) fn update(c: &mut Checker, new: &At<'_>, old: &At<'_>) {
    meta::update(c, &new.get("metadata"), &old.get("metadata"));
    body(c, new);
    let (spec, before) = (new.get("spec"), old.get("spec"));
    for kind in ["containers", "initContainers"] {
        let containers = spec.get(kind);
        if containers.len() != before.get(kind).len() {
            c.forbidden(&containers, "pod updates may not add or remove containers");
            return;
        }
    }
    if !deadline(c, &spec, &before) {
        return;
    }
    let tolerations = spec.get("tolerations");
    let kept = before.get("tolerations").items().all(|old| {
        tolerations.items().any(|new| {
            let mut same = old.value.clone();
            put(&mut same, "tolerationSeconds", new.value["tolerationSeconds"].clone());
            equal(&same, new.value)
        })
    });
    if !kept {
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        c.forbidden(&tolerations, detail);
    }
    let gates = before.get("schedulingGates");
    for gate in spec.get("schedulingGates").items() {
        let name = gate.get("name");
        if !gates.items().any(|old| old.get("name").text() == name.text()) {
            let detail = format!(
                "only deletion is allowed, but found new scheduling gate '{}'",
                name.text()
            );
            c.forbidden(&name, detail);
        }
    }
    let gated = gates.len() > 0;
    let nodes = spec.get("nodeSelector");
    let kept = before
        .get("nodeSelector")
        .entries()
        .all(|(key, was)| nodes.value.get(key).is_some_and(|now| now == was.value));
    if gated && !kept {
        let detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
        c.invalid(&nodes, detail);
    }
    let munged = munge(spec.value, before.value, gated);
    if !equal(&munged, before.value) {
        c.forbidden(&spec, format!("pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n{}", changed(&munged, before.value)));
    }
}

/// Checks a new deadline; returns whether the check goes on.
fn deadline(c: &mut Checker, spec: &At<'_>, before: &At<'_>) -> bool {
    let (new, old) = (spec.get("activeDeadlineSeconds"), before.get("activeDeadlineSeconds"));
    let most = i64::from(i32::MAX);
    if new.is_set() && !(0..=most).contains(&new.number()) {
        c.invalid(&new, names::between(0, most));
        return false;
    }
    if new.is_set() && old.is_set() && old.number() < new.number() {
        c.invalid(&new, "must be less than or equal to previous value");
        return false;
    }
    if !new.is_set() && old.is_set() {
        c.invalid(&new, "must not update from a positive integer to nil value");
    }
    true
}

/// Returns the new specification with everything put back that may change.
fn munge(new: &Value, old: &Value, gated: bool) -> Value {
    let mut munged = new.clone();
    for kind in ["containers", "initContainers"] {
        let list = munged.get_mut(kind).and_then(Value::as_array_mut);
        for (index, container) in list.into_iter().flatten().enumerate() {
            if container.is_object() {
                container["image"] = old[kind][index]["image"].clone();
            }
        }
    }
    let Some(fields) = munged.as_object_mut() else { return munged };
    let mut keys = vec!["activeDeadlineSeconds", "tolerations", "schedulingGates"];
    let grace = "terminationGracePeriodSeconds";
    if old[grace].as_i64().is_some_and(|seconds| seconds < 0) && new[grace] == 1 {
        keys.push(grace);
    }
    if gated {
        keys.push("nodeSelector");
    }
    for key in keys {
        fields.insert(key.to_owned(), old[key].clone());
    }
    if gated && let Some(affinity) = fields.get_mut("affinity") {
        put(affinity, "nodeAffinity", old["affinity"]["nodeAffinity"].clone());
    }
    munged
}

/// Lists the top fields that differ, each with both values.
pub(super) fn changed(new: &Value, old: &Value) -> String {
    let empty = serde_json::Map::new();
    let (new, old) = (new.as_object().unwrap_or(&empty), old.as_object().unwrap_or(&empty));
    let keys = old.keys().chain(new.keys().filter(|key| !old.contains_key(*key)));
    let null = Value::Null;
    keys.filter_map(|key| {
        let (before, after) = (old.get(key).unwrap_or(&null), new.get(key).unwrap_or(&null));
        (!equal(before, after)).then(|| format!("- {key}: {before}\n+ {key}: {after}\n"))
    })
    .collect()
}

/// Checks a new list of ephemeral containers.
pub(super) fn update_ephemeral(c: &mut Checker, new: &At<'_>, old: &At<'_>) {
    meta::update(c, &new.get("metadata"), &old.get("metadata"));
    body(c, new);
    let now = new.get("spec.ephemeralContainers");
    for before in old.get("spec.ephemeralContainers").items() {
        let name = before.get("name").text();
        match now.items().find(|one| one.get("name").text() == name) {
            None => {
                let detail = format!("existing ephemeral containers {name:?} may not be removed\n");
                c.forbidden(&now, detail);
            }
            Some(one) if !equal(one.value, before.value) => {
                let what = changed(one.value, before.value);
                let detail =
                    format!("existing ephemeral containers {name:?} may not be changed\n{what}");
                c.forbidden(&now, detail);
            }
            Some(_) => {}
        }
    }
}

/// Checks new resources of a running pod.
pub(super) fn resize(c: &mut Checker, new: &At<'_>, old: &At<'_>) {
    meta::update(c, &new.get("metadata"), &old.get("metadata"));
    body(c, new);
    let (spec, before) = (new.get("spec"), old.get("spec"));
    let mut munged = spec.value.clone();
    for kind in ["containers", "initContainers"] {
        for (index, container) in before.get(kind).items().enumerate() {
            let sidecar = container.get("restartPolicy").text() == "Always";
            let gone = !spec.value[kind][index].is_object();
            if kind == "initContainers" && !sidecar || gone {
                continue;
            }
            for list in ["requests", "limits"] {
                for resource in ["cpu", "memory"] {
                    let was = container.value["resources"][list][resource].clone();
                    let holder = munged
                        .pointer_mut(&format!("/{kind}/{index}/resources/{list}"))
                        .and_then(Value::as_object_mut);
                    if was.is_null() {
                        if let Some(fields) = holder {
                            fields.shift_remove(resource);
                        }
                    } else if munged_is_removed(&spec, kind, index, list, resource) {
                        let path = format!("spec.{kind}[{index}].resources.{list}");
                        let what = list.trim_end_matches('s');
                        let detail = format!("resource {what}s cannot be removed");
                        c.forbidden(&spec.shown_at(path), detail);
                        return;
                    } else if let Some(fields) = holder {
                        fields.insert(resource.to_owned(), was);
                    }
                }
            }
        }
    }
    if !equal(&munged, before.value) {
        c.forbidden(&spec, "only cpu and memory resources are mutable");
    }
}

fn munged_is_removed(spec: &At<'_>, kind: &str, index: usize, list: &str, resource: &str) -> bool {
    spec.value[kind][index]["resources"][list][resource].is_null()
}

/// Checks a new status of a pod.
pub(super) fn status(c: &mut Checker, new: &At<'_>, old: &At<'_>) {
    meta::update(c, &new.get("metadata"), &old.get("metadata"));
    let status = new.get("status");
    for (index, condition) in status.get("conditions").items().enumerate() {
        let kind = condition.value["type"].as_str().unwrap_or_default();
        for problem in check_key(kind) {
            let path = format!("metadata.conditions[{index}].Type");
            c.invalid_as(&condition.shown_at(path), kind, problem);
        }
    }
    let nominated = status.get("nominatedNodeName");
    named(c, &nominated);
    let (class, before) = (status.get("qosClass"), old.get("status.qosClass"));
    if class.is_set() && before.is_set() {
        c.immutable(&class, &before);
    }
    let policy = old.get("spec.restartPolicy").text();
    for list in ["containerStatuses", "ephemeralContainerStatuses"] {
        if policy == "Always" && list == "containerStatuses" {
            continue;
        }
        for (index, was) in old.get("status").get(list).items().enumerate() {
            let ended = was.get("state.terminated");
            let may_restart = policy == "OnFailure"
                && list == "containerStatuses"
                && ended.get("exitCode").number() != 0;
            if !ended.is_set() || may_restart {
                continue;
            }
            let name = was.get("name").text();
            let now = status.get(list).items().find(|one| one.get("name").text() == name);
            if now.is_some_and(|now| !now.get("state.terminated").is_set()) {
                let path = format!("status.{list}[{index}].state");
                c.forbidden(&was.shown_at(path), "may not be transitioned to non-terminated state");
            }
        }
    }
    for (list, key) in [("podIPs", "ip"), ("hostIPs", "ip")] {
        for one in status.get(list).items() {
            let address = one.value[key].as_str().unwrap_or_default();
            for problem in names::address(address) {
                c.invalid_as(&one, address, problem);
            }
        }
    }
}
