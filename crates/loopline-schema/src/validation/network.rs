//! Rules of ingresses and network policies.

use super::check::{At, Checker};
use super::{meta, names};

/// Checks an ingress, new or changed.
pub(super) fn ingress(c: &mut Checker, at: &At<'_>, old: Option<&At<'_>>) {
    const CLASS: &str = "kubernetes.io/ingress.class";
    match old {
        None => meta::create(c, &at.get("metadata"), names::subdomain),
        Some(old) => meta::update(c, &at.get("metadata"), &old.get("metadata")),
    }
    let spec = at.get("spec");
    let (rules, backend) = (spec.get("rules"), spec.get("defaultBackend"));
    if rules.len() == 0 && !backend.is_set() {
        let shown = if rules.is_set() { rules.value.clone() } else { serde_json::json!([]) };
        c.invalid_as(&spec, shown, "either `defaultBackend` or `rules` must be specified");
    }
    if backend.is_set() {
        self::backend(c, &backend);
    }
    for rule in rules.items() {
        host(c, &rule.get("host"));
        let http = rule.get("http");
        if !http.is_set() {
            continue;
        }
        if http.get("paths").len() == 0 {
            c.required(&http.get("paths"), "");
        }
        http.get("paths").items().for_each(|path| self::path(c, &path));
    }
    for tls in spec.get("tls").items() {
        for one in tls.get("hosts").items() {
            let problems = if one.text().contains('*') {
                names::wildcard(one.text())
            } else {
                names::subdomain(one.text(), false)
            };
            c.problems(&one, problems);
        }
        let secret = tls.get("secretName");
        if !secret.text().is_empty() {
            c.problems(&secret, names::subdomain(secret.text(), false));
        }
    }
    let class = spec.get("ingressClassName");
    if class.is_set() {
        c.problems(&class, names::subdomain(class.text(), false));
    }
    let annotated = at.get("metadata.annotations").key(CLASS);
    if old.is_none() && annotated.is_set() && class.is_set() && annotated.text() != class.text() {
        let shown = annotated.shown_at(format!("annotations.{CLASS}"));
        c.invalid(&shown, "must match `ingressClassName` when both are specified");
    }
}

fn host(c: &mut Checker, host: &At<'_>) {
    let text = host.text();
    if text.is_empty() {
        return;
    }
    if names::parse_address(text).is_some() {
        c.invalid(host, "must be a DNS name, not an IP address");
    }
    let wild = text.contains('*');
    c.problems(host, if wild { names::wildcard(text) } else { names::subdomain(text, false) });
}

fn path(c: &mut Checker, at: &At<'_>) {
    let (kind, path) = (at.get("pathType"), at.get("path").or_empty());
    let text = path.text();
    match kind.text() {
        "" if !kind.is_set() => {
            c.required(&kind, "pathType must be specified");
            return;
        }
        "Exact" | "Prefix" => {
            if !text.starts_with('/') {
                c.invalid(&path, "must be an absolute path");
            }
            for part in ["//", "/./", "/../", "%2f", "%2F"] {
                if text.contains(part) {
                    c.invalid(&path, format!("must not contain '{part}'"));
                }
            }
            for end in ["/..", "/."] {
                if text.ends_with(end) {
                    c.invalid(&path, format!("cannot end with '{end}'"));
                }
            }
        }
        "ImplementationSpecific" => {
            if !text.is_empty() && !text.starts_with('/') {
                c.invalid(&path, "must be an absolute path");
            }
        }
        _ => c.unsupported(&kind, &["Exact", "ImplementationSpecific", "Prefix"]),
    }
    backend(c, &at.get("backend"));
}

fn backend(c: &mut Checker, at: &At<'_>) {
    let (resource, service) = (at.get("resource"), at.get("service"));
    match (resource.is_set(), service.is_set()) {
        (true, true) => c.invalid_as(at, "", "cannot set both resource and service backends"),
        (false, false) => c.invalid_as(at, "", "resource or service backend is required"),
        (true, false) => reference(c, &resource),
        (false, true) => {
            let name = service.get("name");
            if name.text().is_empty() {
                c.required(&name, "");
            } else {
                c.problems(&name, names::service(name.text(), false));
            }
            let (named, number) = (service.get("port.name"), service.get("port.number"));
            match (!named.text().is_empty(), number.number() != 0) {
                (true, true) => c.invalid_as(at, "", "cannot set both port name & port number"),
                (true, false) => c.problems(&named, names::port_name(named.text())),
                (false, true) => c.problems(&number, names::port_number(number.number())),
                (false, false) => c.required(at, "port name or number is required"),
            }
        }
    }
}

/// Checks a reference to an object by group, kind and name.
fn reference(c: &mut Checker, at: &At<'_>) {
    let group = at.get("apiGroup");
    if group.is_set() {
        c.problems(&group, names::subdomain(group.text(), false));
    }
    for key in ["kind", "name"] {
        let part = at.get(key);
        if part.text().is_empty() {
            c.required(&part, "");
        } else {
            c.problems(&part, names::path_segment(part.text(), false));
        }
    }
}

/// Checks a class of ingresses, new or changed.
pub(super) fn class(c: &mut Checker, at: &At<'_>, old: Option<&At<'_>>) {
    const CONTROLLER: usize = 250;
    match old {
        None => meta::create(c, &at.get("metadata"), names::subdomain),
        Some(old) => {
            meta::update(c, &at.get("metadata"), &old.get("metadata"));
            c.immutable(&at.get("spec.controller"), &old.get("spec.controller"));
        }
    }
    let (controller, parameters) = (at.get("spec.controller"), at.get("spec.parameters"));
    if controller.text().is_empty() {
        c.required(&controller, "");
    } else {
        if controller.text().len() > CONTROLLER {
            c.too_long(&controller, CONTROLLER);
        }
        c.problems(&controller, names::domain_prefixed(controller.text()));
    }
    if !parameters.is_set() {
        return;
    }
    reference(c, &parameters);
    let (scope, namespace) = (parameters.get("scope"), parameters.get("namespace"));
    c.required_one_of(&scope, &["Cluster", "Namespace"]);
    match scope.text() {
        "Namespace" if !namespace.is_set() => {
            c.required(&namespace, "`parameters.scope` is set to 'Namespace'");
        }
        "Namespace" => c.problems(&namespace, names::label(namespace.text(), false)),
        "Cluster" if namespace.is_set() => {
            c.forbidden(&namespace, "`parameters.scope` is set to 'Cluster'");
        }
        _ => {}
    }
}

/// Checks a network policy, new or changed.
pub(super) fn policy(c: &mut Checker, at: &At<'_>, old: Option<&At<'_>>) {
    match old {
        None => meta::create(c, &at.get("metadata"), names::subdomain),
        Some(old) => meta::update(c, &at.get("metadata"), &old.get("metadata")),
    }
    let spec = at.get("spec");
    meta::selector(c, &spec.get("podSelector"));
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        for rule in spec.get(direction).items() {
            rule.get("ports").items().for_each(|one| port(c, &one));
            rule.get(peers).items().for_each(|one| peer(c, &one));
        }
    }
    let types = spec.get("policyTypes");
    if types.len() > 2 {
        c.invalid(&types, "may not specify more than two policyTypes");
        return;
    }
    types.items().for_each(|one| c.one_of(&one, &["Ingress", "Egress"]));
}

fn port(c: &mut Checker, at: &At<'_>) {
    c.one_of(&at.get("protocol"), &["TCP", "UDP", "SCTP"]);
    let (port, end) = (at.get("port"), at.get("endPort"));
    if !port.is_set() {
        if end.is_set() {
            c.invalid(&end, "may not be specified when `port` is not specified");
        }
    } else if let Some(name) = port.value.as_str() {
        if end.is_set() {
            c.invalid(&end, "may not be specified when `port` is non-numeric");
        }
        c.problems(&port, names::port_name(name));
    } else {
        c.problems(&port, names::port_number(port.number()));
        if end.is_set() {
            if end.number() < port.number() {
                c.invalid(&end, "must be greater than or equal to `port`");
            }
            c.problems(&end, names::port_number(end.number()));
        }
    }
}

fn peer(c: &mut Checker, at: &At<'_>) {
    let selectors = [at.get("podSelector"), at.get("namespaceSelector")];
    let block = at.get("ipBlock");
    selectors.iter().for_each(|selector| meta::selector(c, selector));
    if block.is_set() {
        let range = block.get("cidr");
        if range.text().is_empty() {
            c.required(&range, "");
        } else {
            c.problems(&range, names::range(range.text()));
        }
        if let Some((network, length, six)) = names::parse_range(range.text()) {
            for except in block.get("except").items() {
                match names::parse_range(except.text()) {
                    None => c.problems(&except, names::range(except.text())),
                    Some((inner, inner_length, inner_six)) => {
                        let mask = if length == 0 { 0 } else { u128::MAX << (128 - length) };
                        let inside = six == inner_six && inner & mask == network;
                        if !inside || length >= inner_length {
                            c.invalid(&except, "must be a strict subset of `cidr`");
                        }
                    }
                }
            }
        }
    }
    let selected = selectors.iter().any(At::is_set);
    if !selected && !block.is_set() {
        c.required(at, "must specify a peer");
    } else if selected && block.is_set() {
        c.forbidden(at, "may not specify both ipBlock and another peer");
    }
}
