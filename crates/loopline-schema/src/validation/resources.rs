//! Rules of resources: their names, quantities, and that requests stay within limits.

use loopline_units::quantity::Quantity;
use loopline_units::selector::{check_key, check_subdomain};

use super::check::{At, Checker};

/// What a resource is named for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// A container's requests and limits.
    Container,
    /// A pod's own requests and limits.
    Pod,
    /// A quota.
    Quota,
    /// A limit of claims and the like.
    Any,
}

const QUOTA: [&str; 22] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "persistentvolumeclaims",
    "configmaps",
    "services.nodeports",
    "services.loadbalancers",
    "storage",
    "hugepages-",
    "requests.hugepages-",
];

fn is_huge_page(name: &str) -> bool {
    name.starts_with("hugepages-")
}

fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

fn is_extended(name: &str) -> bool {
    !is_native(name)
        && !name.starts_with("requests.")
        && check_key(&format!("requests.{name}")).is_empty()
}

/// Returns whether requests may be below limits.
pub(super) fn may_overcommit(name: &str) -> bool {
    is_native(name) && !is_huge_page(name)
}

fn is_standard_quota(name: &str) -> bool {
    name.starts_with("hugepages-")
        || name.starts_with("requests.hugepages-")
        || name.starts_with("count/")
        || QUOTA.contains(&name)
}

/// Returns whether a resource comes in whole numbers.
fn is_integer(name: &str) -> bool {
    const WHOLE: [&str; 9] = [
        "pods",
        "services",
        "replicationcontrollers",
        "resourcequotas",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "services.nodeports",
        "services.loadbalancers",
    ];
    WHOLE.contains(&name) || is_extended(name)
}

/// Checks the name of a resource; the cursor stands at its entry.
pub(super) fn name(c: &mut Checker, at: &At<'_>, name: &str, purpose: Use) {
    let problems = check_key(name);
    if !problems.is_empty() {
        for problem in problems {
            c.invalid_as(at, name, problem);
        }
        return;
    }
    let before = c.found.len();
    if !name.contains('/') {
        let standard = is_standard_quota(name) || is_huge_page(name);
        if !standard {
            c.invalid_as(at, name, "must be a standard resource type or fully qualified");
        }
        let container =
            matches!(name, "cpu" | "memory" | "ephemeral-storage") || is_huge_page(name);
        match purpose {
            Use::Container if !container => {
                c.invalid_as(at, name, "must be a standard resource for containers");
            }
            Use::Quota if !standard => {
                c.invalid_as(at, name, "must be a standard resource for quota");
            }
            _ => {}
        }
    } else if purpose == Use::Container && !is_native(name) && !is_extended(name) {
        c.invalid_as(at, name, "doesn't follow extended resource name standard");
    }
    if purpose == Use::Pod
        && c.found.len() == before
        && !(matches!(name, "cpu" | "memory") || is_huge_page(name))
    {
        let shown = serde_json::Value::from(name);
        let named = At { value: &shown, path: at.path.clone() };
        c.unsupported(&named, &["cpu", "memory", "hugepages-"]);
    }
}

/// Checks a quantity of a resource.
pub(super) fn quantity(c: &mut Checker, at: &At<'_>, name: &str) -> Option<Quantity> {
    let Some(quantity) = at.quantity() else {
        let text = at.text();
        match Quantity::parse(text) {
            Err(error) => c.invalid(at, error.to_string()),
            Ok(_) => c.invalid(at, "must be a quantity"),
        }
        return None;
    };
    if quantity.sign() < 0 {
        c.invalid_as(at, quantity.to_string(), "must be greater than or equal to 0");
    }
    if is_integer(name) && !quantity.is_whole() {
        c.invalid_as(at, quantity.to_string(), "must be an integer");
    }
    Some(quantity)
}

fn huge_page(c: &mut Checker, at: &At<'_>, resource: &str, quantity: Quantity) {
    let Some(size) = resource.strip_prefix("hugepages-") else { return };
    let divides = Quantity::parse(size).is_ok_and(|size| {
        size.sign() > 0
            && quantity.sign() > 0
            && size.is_whole()
            && quantity.is_whole()
            && quantity.units() % size.units() == 0
    });
    if !divides {
        let detail = format!("{quantity} is not positive integer multiple of {resource}");
        c.invalid_as(at, quantity.to_string(), detail);
    }
}

/// Checks requests and limits.
pub(super) fn requirements(c: &mut Checker, at: &At<'_>, purpose: Use, claims: &[&str]) {
    let (limits, requests) = (at.get("limits"), at.get("requests"));
    let (mut computes, mut huge) = (false, false);
    for (resource, entry) in limits.entries() {
        name(c, &entry, resource, purpose);
        if let Some(found) = quantity(c, &entry, resource) {
            huge_page(c, &entry, resource, found);
        }
        computes |= matches!(resource, "cpu" | "memory");
        huge |= is_huge_page(resource);
    }
    for (resource, entry) in requests.entries() {
        name(c, &entry, resource, purpose);
        let found = quantity(c, &entry, resource);
        let limit = limits.key(resource);
        if let (Some(request), Some(limit)) = (found, limit.quantity()) {
            if request != limit && !may_overcommit(resource) {
                let detail = format!("must be equal to {resource} limit of {limit}");
                c.invalid_as(&requests, request.to_string(), detail);
            } else if request > limit {
                let detail = format!("must be less than or equal to {resource} limit of {limit}");
                c.invalid_as(&requests, request.to_string(), detail);
            }
        } else if !limit.is_set() && !may_overcommit(resource) {
            c.required(&limits, "Limit must be set for non overcommitable resources");
        }
        if let Some(request) = found {
            huge_page(c, &entry, resource, request);
        }
        computes |= matches!(resource, "cpu" | "memory");
        huge |= is_huge_page(resource);
    }
    if huge && !computes {
        c.forbidden(at, "HugePages require cpu or memory");
    }
    let mut seen = Vec::new();
    for claim in at.get("claims").items() {
        let named = claim.value["name"].as_str().unwrap_or_default();
        if named.is_empty() {
            c.required(&claim, "");
            continue;
        }
        if seen.contains(&named) {
            c.duplicate_as(&claim, named, "");
        }
        seen.push(named);
        if !claims.contains(&named) {
            let mut detail = "must be one of the names in pod.spec.resourceClaims".to_owned();
            if claims.is_empty() {
                detail.push_str(" which is empty");
            } else {
                detail.push_str(": ");
                detail.push_str(&claims.join(", "));
            }
            let shown = serde_json::Value::from(named);
            c.not_found(&At { value: &shown, path: claim.path.clone() }, detail);
        }
    }
}

/// Checks the requests of a pod against those of its containers.
pub(super) fn pod_requirements(c: &mut Checker, spec: &At<'_>, claims: &[&str]) {
    let at = spec.get("resources");
    if !at.is_set() {
        return;
    }
    if at.get("claims").is_set() {
        c.forbidden(&at.get("claims"), "claims cannot be set for Resources at pod-level");
    }
    requirements(c, &at, Use::Pod, claims);
    for resource in ["cpu", "memory"] {
        let sum = spec
            .get("containers")
            .items()
            .filter_map(|one| one.get("resources.requests").key(resource).quantity())
            .fold(Quantity::ZERO, Quantity::plus);
        let request = at.get("requests").key(resource);
        let own = request.quantity().unwrap_or(Quantity::ZERO);
        if sum > own {
            let detail =
                format!("must be greater than or equal to aggregate container requests of {sum}");
            c.invalid_as(&request, own.to_string(), detail);
        }
        let Some(most) = at.get("limits").key(resource).quantity() else { continue };
        for (index, container) in spec.get("containers").items().enumerate() {
            let limit = container.get("resources.limits").key(resource).quantity();
            if let Some(limit) = limit.filter(|limit| *limit > most) {
                let path = format!("{}.containers[{index}][{resource}].limits", at.path);
                let detail = format!("must be less than or equal to pod limits of {most}");
                c.invalid_as(&at.shown_at(path), limit.to_string(), detail);
            }
        }
    }
}

/// Checks the name of a driver of volumes.
pub(super) fn driver(c: &mut Checker, at: &At<'_>) {
    c.required_text(at);
    if at.text().len() > 63 {
        c.too_long(at, 63);
    }
    for problem in check_subdomain(&at.text().to_lowercase()) {
        c.invalid_as(at, at.text(), problem);
    }
}
