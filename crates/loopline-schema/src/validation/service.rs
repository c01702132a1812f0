//! Rules of services, endpoints and endpoint slices.

use loopline_units::selector::check_key;

use super::check::{At, Checker};
use super::{container, meta, names};

const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];
const AFFINITY_MOST: i64 = 86_400;

fn is_headless(spec: &At<'_>) -> bool {
    let addresses = spec.get("clusterIPs");
    spec.get("clusterIP").text() == "None"
        || addresses.len() == 1 && addresses.value[0].as_str() == Some("None")
}

/// Checks a service that is made.
pub(super) fn create(c: &mut Checker, at: &At<'_>) {
    meta::create(c, &at.get("metadata"), names::service);
    body(c, at);
}

fn body(c: &mut Checker, at: &At<'_>) {
    let spec = at.get("spec");
    let kind = spec.get("type").text();
    let headless = is_headless(&spec);
    let ports = spec.get("ports");
    if ports.len() == 0 && !headless && kind != "ExternalName" {
        c.required(&ports, "");
    }
    match kind {
        "LoadBalancer" | "NodePort" if headless => {
            let at = spec.get("clusterIPs").shown_at("spec.clusterIPs[0]".to_owned());
            let detail = format!("may not be set to 'None' for {kind} services");
            c.invalid_as(&at, "None", detail);
        }
        "ExternalName" => external_name(c, &spec),
        _ => {}
    }
    let mut seen: Vec<&str> = Vec::new();
    for port in ports.items() {
        self::port(c, &port, ports.len() > 1, &mut seen);
    }
    meta::labels(c, &spec.get("selector"));
    affinity(c, &spec);
    if kind != "ExternalName" {
        addresses(c, &spec);
    }
    for address in spec.get("externalIPs").items() {
        let problems = names::address(address.text());
        if problems.is_empty() {
            c.problems(&address, names::ordinary_address(address.text()));
        } else {
            c.problems(&address, problems);
        }
    }
    let kinds = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    c.required_one_of(&spec.get("type"), &kinds);
    if kind == "ClusterIP" {
        for port in ports.items() {
            if port.get("nodePort").number() != 0 {
                c.forbidden(&port.get("nodePort"), "may not be used when `type` is 'ClusterIP'");
            }
        }
    }
    distinct_ports(c, &ports);
    balancer(c, at, &spec);
    traffic(c, &spec);
}

fn external_name(c: &mut Checker, spec: &At<'_>) {
    const NONE: &str = "may not be set for ExternalName services";
    for key in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        let field = spec.get(key);
        if field.is_set() && (key == "ipFamilyPolicy" || field.len() > 0) {
            c.forbidden(&field, NONE);
        }
    }
    let name = spec.get("externalName");
    match name.text().strip_suffix('.').unwrap_or(name.text()) {
        "" => c.required(&name, ""),
        text => {
            for problem in names::subdomain(text, false) {
                c.invalid_as(&name, text, problem);
            }
        }
    }
}

fn port<'a>(c: &mut Checker, port: &At<'a>, many: bool, seen: &mut Vec<&'a str>) {
    let name = port.get("name");
    if name.text().is_empty() {
        if many {
            c.required(&name, "");
        }
    } else {
        c.problems(&name, names::dns_label(name.text()));
        if seen.contains(&name.text()) {
            c.duplicate(&name);
        }
        seen.push(name.text());
    }
    let number = port.get("port");
    for problem in names::port_number(number.number()) {
        c.invalid_as(&number, number.number(), problem);
    }
    c.required_one_of(&port.get("protocol"), &PROTOCOLS);
    container::port(c, &port.get("targetPort"));
    let application = port.get("appProtocol");
    if application.is_set() {
        c.problems(&application, check_key(application.text()));
    }
    let node = port.get("nodePort");
    if node.number() != 0 {
        c.problems(&node, names::port_number(node.number()));
    }
}

fn affinity(c: &mut Checker, spec: &At<'_>) {
    const WHEN: &str = "when session affinity type is ClientIP";
    let (affinity, configuration) =
        (spec.get("sessionAffinity"), spec.get("sessionAffinityConfig"));
    c.required_one_of(&affinity, &["ClientIP", "None"]);
    match affinity.text() {
        "ClientIP" => {
            let client = configuration.get("clientIP");
            let timeout = client.get("timeoutSeconds");
            if let Some(missing) =
                [&configuration, &client, &timeout].into_iter().find(|at| !at.is_set())
            {
                c.required(missing, WHEN);
            } else if !(1..=AFFINITY_MOST).contains(&timeout.number()) {
                let detail = format!("must be greater than 0 and less than {AFFINITY_MOST}");
                c.invalid(&timeout, detail);
            }
        }
        "None" if configuration.is_set() => {
            c.forbidden(&configuration, "must not be set when session affinity is None");
        }
        _ => {}
    }
}

fn addresses(c: &mut Checker, spec: &At<'_>) {
    let (first, all) = (spec.get("clusterIP"), spec.get("clusterIPs"));
    let families = spec.get("ipFamilies");
    if first.text().is_empty() {
        if all.len() != 0 {
            c.invalid(&all, "must be empty when `clusterIP` is not specified");
        }
    } else if all.len() > 0 && all.value[0].as_str() != Some(first.text()) {
        c.invalid(&all, "first value must match `clusterIP`");
    } else if all.len() == 0 && first.text() != "None" {
        // The list follows the single field; only the single one is checked then.
        let shown = first.shown_at("spec.clusterIPs[0]".to_owned());
        c.problems(&shown, names::address(first.text()));
    }
    let mut seen: Vec<&str> = Vec::new();
    for family in families.items() {
        c.one_of(&family, &["IPv4", "IPv6"]);
        if seen.contains(&family.text()) {
            c.duplicate(&family);
        }
        seen.push(family.value.as_str().unwrap_or_default());
    }
    let policies = ["PreferDualStack", "RequireDualStack", "SingleStack"];
    c.one_of(&spec.get("ipFamilyPolicy"), &policies);
    let before = c.found.len();
    for (index, address) in all.items().enumerate() {
        if index == 0 && address.text() == "None" {
            if all.len() > 1 {
                c.invalid(&all, "'None' must be the first and only value");
            }
            continue;
        }
        c.problems(&address, names::address(address.text()));
    }
    if all.len() > 2 {
        c.invalid(&all, "may only hold up to 2 values");
    }
    if c.found.len() > before {
        return;
    }
    let six = |text: &str| text.contains(':');
    if all.len() == 2
        && six(all.value[0].as_str().unwrap_or("")) == six(all.value[1].as_str().unwrap_or(""))
    {
        c.invalid(&all, "may specify no more than one IP for each IP family");
    }
    for (index, (address, family)) in all.items().zip(families.items()).enumerate() {
        if address.text() != "None" && six(address.text()) != (family.text() == "IPv6") {
            let detail = format!(
                "expected an {} value as indicated by `ipFamilies[{index}]`",
                family.text()
            );
            c.invalid(&address, detail);
        }
    }
}

fn distinct_ports(c: &mut Checker, ports: &At<'_>) {
    let mut nodes: Vec<(&str, i64)> = Vec::new();
    for port in ports.items() {
        let node = port.get("nodePort");
        let pair = (port.value["protocol"].as_str().unwrap_or_default(), node.number());
        if node.number() != 0 {
            if nodes.contains(&pair) {
                c.duplicate(&node);
            }
            nodes.push(pair);
        }
    }
    let mut numbers: Vec<(&str, i64)> = Vec::new();
    for port in ports.items() {
        let pair = (port.value["protocol"].as_str().unwrap_or_default(), port.get("port").number());
        if numbers.contains(&pair) {
            let shown = serde_json::json!({"protocol": pair.0, "port": pair.1});
            c.duplicate_as(&port, shown, "");
        }
        numbers.push(pair);
    }
}

fn balancer(c: &mut Checker, at: &At<'_>, spec: &At<'_>) {
    const ONLY: &str = "may only be used when `type` is 'LoadBalancer'";
    const RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
    let is_balancer = spec.get("type").text() == "LoadBalancer";
    let ranges =
        spec.get("loadBalancerSourceRanges").shown_at("spec.LoadBalancerSourceRanges".to_owned());
    let annotated = at.get("metadata.annotations").key(RANGES);
    if ranges.len() > 0 {
        if !is_balancer {
            c.forbidden(&ranges, ONLY);
        }
        for range in ranges.items() {
            for problem in names::range(range.text().trim()) {
                c.invalid_as(&range, range.text().trim(), problem);
            }
        }
    } else if annotated.is_set() {
        if !is_balancer {
            c.forbidden(&annotated, ONLY);
        }
        for range in annotated.text().split(',').map(str::trim).filter(|text| !text.is_empty()) {
            for problem in names::range(range) {
                c.invalid_as(&annotated, range, problem);
            }
        }
    }
    let allocates = spec.get("allocateLoadBalancerNodePorts");
    if allocates.is_set() && !is_balancer {
        c.forbidden(&allocates, ONLY);
    }
    let class = spec.get("loadBalancerClass");
    if class.is_set() {
        if is_balancer {
            c.problems(&class, check_key(class.text()));
        } else {
            c.forbidden(&class, ONLY);
        }
    }
}

fn traffic(c: &mut Checker, spec: &At<'_>) {
    let kind = spec.get("type").text();
    let external = matches!(kind, "NodePort" | "LoadBalancer")
        || kind == "ClusterIP" && spec.get("externalIPs").len() > 0;
    let policy = spec.get("externalTrafficPolicy");
    if external {
        c.required_one_of(&policy, &["Cluster", "Local"]);
    } else if !policy.text().is_empty() {
        c.invalid(&policy, "may only be set for externally-accessible services");
    }
    let (health, local) = (spec.get("healthCheckNodePort"), policy.text() == "Local");
    if !(kind == "LoadBalancer" && local) {
        if health.number() != 0 {
            c.invalid(&health, "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'");
        }
    } else if health.number() != 0 {
        c.problems(&health, names::port_number(health.number()));
    }
    let inside = spec.get("internalTrafficPolicy");
    if !inside.is_set() && matches!(kind, "NodePort" | "LoadBalancer" | "ClusterIP") {
        c.required(&inside, "");
    }
    c.one_of(&inside, &["Cluster", "Local"]);
    c.one_of(&spec.get("trafficDistribution"), &["PreferClose"]);
}

/// Checks a service that is changed.
pub(super) fn update(c: &mut Checker, new: &At<'_>, old: &At<'_>) {
    const SET: &str = "may not change once set";
    meta::update(c, &new.get("metadata"), &old.get("metadata"));
    let (spec, before) = (new.get("spec"), old.get("spec"));
    let named = [&spec, &before].iter().any(|at| at.get("type").text() == "ExternalName");
    let (now, was) = (is_headless(&spec), is_headless(&before));
    if !(named || now && was) {
        let list = |at: &At<'_>| -> Vec<String> {
            let all: Vec<String> =
                at.get("clusterIPs").items().map(|one| one.text().to_owned()).collect();
            match at.get("clusterIP").text() {
                "" => all,
                one if all.is_empty() => vec![one.to_owned()],
                _ => all,
            }
        };
        let (new, old) = (list(&spec), list(&before));
        let shown = serde_json::json!(new);
        let at = |index: usize| spec.shown_at(format!("spec.clusterIPs[{index}]"));
        if new.len() == old.len() {
            for (index, _) in new.iter().zip(&old).enumerate().filter(|(_, (a, b))| a != b) {
                c.invalid_as(&at(index), shown.clone(), SET);
            }
        } else if new.is_empty() {
            c.invalid_as(&at(0), shown, "primary clusterIP can not be unset");
        } else if !old.is_empty() && new[0] != old[0] {
            c.invalid_as(&at(0), shown, SET);
        } else if new.len() < old.len() && spec.get("ipFamilyPolicy").text() != "SingleStack" {
            let detail = "must be set to 'SingleStack' when releasing the secondary clusterIP";
            c.invalid(&spec.get("ipFamilyPolicy"), detail);
        }
    }
    let (families, were) = (spec.get("ipFamilies"), before.get("ipFamilies"));
    if !named && !now && !was && families.len() > 0 && were.len() > 0 {
        let first = families.value[0] != were.value[0];
        let other = families.len() == were.len() && families.value != were.value;
        if first || other {
            let shown = families.shown_at("spec.ipFamilies[0]".to_owned());
            c.invalid(&shown, SET);
        }
    }
    let balancers = [&spec, &before].iter().all(|at| at.get("type").text() == "LoadBalancer");
    let class = spec.get("loadBalancerClass");
    if balancers && class.value != before.get("loadBalancerClass").value {
        c.invalid(&class, SET);
    }
    body(c, new);
}

/// Checks a new status of a service or of an ingress.
pub(super) fn balancer_status(c: &mut Checker, new: &At<'_>, old: &At<'_>, is_service: bool) {
    meta::update(c, &new.get("metadata"), &old.get("metadata"));
    let ingresses = new.get("status.loadBalancer.ingress");
    if is_service && new.get("spec.type").text() != "LoadBalancer" && ingresses.len() > 0 {
        c.forbidden(&ingresses, "may only be used when `spec.type` is 'LoadBalancer'");
        return;
    }
    for ingress in ingresses.items() {
        let (address, host, mode) =
            (ingress.get("ip"), ingress.get("hostname"), ingress.get("ipMode"));
        if !address.text().is_empty() {
            c.problems(&address, names::address(address.text()));
        } else if mode.is_set() {
            c.forbidden(&mode, "may not be specified when `ip` is not set");
        }
        if !address.text().is_empty() {
            c.one_of(&mode, &["Proxy", "VIP"]);
        }
        if !host.text().is_empty() {
            c.problems(&host, names::subdomain(host.text(), false));
            if names::parse_address(host.text()).is_some() {
                c.invalid(&host, "must be a DNS name, not an IP address");
            }
        }
    }
}

/// Checks endpoints, new or changed.
pub(super) fn endpoints(c: &mut Checker, at: &At<'_>) {
    for subset in at.get("subsets").items() {
        let (ready, other) = (subset.get("addresses"), subset.get("notReadyAddresses"));
        if ready.len() + other.len() == 0 {
            c.required(&subset, "must specify `addresses` or `notReadyAddresses`");
        }
        for address in ready.items().chain(other.items()) {
            let (ip, host) = (address.get("ip").or_empty(), address.get("hostname"));
            c.problems(&ip, names::address(ip.text()));
            if !host.text().is_empty() {
                c.problems(&host, names::dns_label(host.text()));
            }
            let node = address.get("nodeName");
            if node.is_set() {
                c.problems(&node, names::subdomain(node.text(), false));
            }
            c.problems(&ip, names::ordinary_address(ip.text()));
        }
        let ports = subset.get("ports");
        for port in ports.items() {
            let name = port.get("name");
            if !name.text().is_empty() {
                c.problems(&name, names::dns_label(name.text()));
            } else if ports.len() > 1 {
                c.required(&name, "");
            }
            let number = port.get("port");
            for problem in names::port_number(number.number()) {
                c.invalid_as(&number, number.number(), problem);
            }
            c.required_one_of(&port.get("protocol"), &PROTOCOLS);
        }
    }
}

/// Checks a slice of endpoints, new or changed.
pub(super) fn slice(c: &mut Checker, at: &At<'_>) {
    const ENDPOINTS: usize = 1000;
    const ADDRESSES: usize = 100;
    const PORTS: usize = 20_000;
    let kind = at.get("addressType");
    c.required_one_of(&kind, &["FQDN", "IPv4", "IPv6"]);
    let endpoints = at.get("endpoints");
    if endpoints.len() > ENDPOINTS {
        c.too_many(&endpoints, ENDPOINTS);
    }
    for endpoint in endpoints.items() {
        let addresses = endpoint.get("addresses");
        if addresses.len() == 0 {
            c.required(&addresses, "must contain at least 1 address");
        } else if addresses.len() > ADDRESSES {
            c.too_many(&addresses, ADDRESSES);
        }
        for address in addresses.items() {
            let text = address.text();
            match kind.text() {
                "IPv4" | "IPv6" => {
                    let fits = names::parse_address(text)
                        .is_some_and(|found| found.is_ipv6() == (kind.text() == "IPv6"));
                    if fits {
                        c.problems(&address, names::ordinary_address(text));
                    } else {
                        let detail = format!("must be a valid {} address", kind.text());
                        c.invalid(&address, detail);
                    }
                }
                "FQDN" => {
                    if !text.contains('.') {
                        let detail =
                            "should be a domain with at least two segments separated by dots";
                        c.invalid(&address, detail);
                    }
                    c.problems(&address, names::subdomain(text, false));
                }
                _ => {}
            }
        }
        let host = endpoint.get("hostname");
        if host.is_set() {
            c.problems(&host, names::dns_label(host.text()));
        }
    }
    let ports = at.get("ports");
    if ports.len() > PORTS {
        c.too_many(&ports, PORTS);
    }
    let mut seen: Vec<&str> = Vec::new();
    for port in ports.items() {
        let name = port.get("name");
        if !name.text().is_empty() {
            c.problems(&name, names::dns_label(name.text()));
        }
        if seen.contains(&name.text()) {
            c.duplicate(&name.or_empty());
        }
        seen.push(port.value["name"].as_str().unwrap_or_default());
        c.required_one_of(&port.get("protocol"), &PROTOCOLS);
        let number = port.get("port");
        if number.is_set() {
            c.problems(&number, names::port_number(number.number()));
        }
    }
}
