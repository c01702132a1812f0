//! Tables of services, ingresses, endpoint slices and network policies.

use serde_json::{Value, json};

use super::core::joined_or_none;
use super::row::{Row, joined, some};
use super::{AGE, NAME, SELECTOR, Table, text};
use crate::label_selector::{show, show_labels};
use crate::tree::{list, text as get};

pub(super) fn table(kind: &str) -> Option<&'static Table> {
    Some(match kind {
        "Ingress" => &INGRESS,
        "IngressClass" => &INGRESS_CLASS,
        "NetworkPolicy" => &NETWORK_POLICY,
        "ServiceCIDR" => &SERVICE_CIDR,
        "IPAddress" => &IP_ADDRESS,
        "EndpointSlice" => &ENDPOINT_SLICE,
        _ => return None,
    })
}

/// The table of services.
pub(super) static SERVICE: Table = Table {
    columns: &[
        NAME,
        text("Type", "How the service is reached."),
        text("Cluster-IP", "Its address inside the cluster."),
        text("External-IP", "Its addresses outside the cluster."),
        text("Port(s)", "Its ports, with those of the nodes."),
        AGE,
        SELECTOR,
    ],
    print: |row| {
        let spec = row.at(&["spec"]);
        let address = match list(spec, "clusterIPs").first() {
            Some(first) => first.clone(),
            None => row.text_or(&["spec", "clusterIP"], "<none>"),
        };
        let ports: Vec<_> = list(spec, "ports")
            .iter()
            .map(|port| {
                let (number, protocol) =
                    (port["port"].as_i64().unwrap_or(0), get(port, "protocol"));
                match port["nodePort"].as_i64().unwrap_or(0) {
                    0 => format!("{number}/{protocol}"),
                    node => format!("{number}:{node}/{protocol}"),
                }
            })
            .collect();
        let ports = if ports.is_empty() { "<none>".to_owned() } else { ports.join(",") };
        vec![
            row.name(),
            get(spec, "type").into(),
            address,
            external(row, spec),
            ports.into(),
            row.age(),
            show_labels(&spec["selector"]).into(),
        ]
    },
};

fn external(row: &Row<'_>, spec: &Value) -> Value {
    match get(spec, "type") {
        "ClusterIP" | "NodePort" => joined_or_none(&spec["externalIPs"]),
        "LoadBalancer" => {
            let balancer = balancers(row);
            let all = [balancer, joined(&spec["externalIPs"])];
            let all: Vec<_> = all.into_iter().filter(|part| !part.is_empty()).collect();
            if all.is_empty() { json!("<pending>") } else { json!(all.join(",")) }
        }
        "ExternalName" => get(spec, "externalName").into(),
        _ => "<unknown>".into(),
    }
}

fn balancers(row: &Row<'_>) -> String {
    let mut names: Vec<_> = list(row.at(&["status", "loadBalancer"]), "ingress")
        .iter()
        .map(|ingress| match get(ingress, "ip") {
            "" => get(ingress, "hostname"),
            address => address,
        })
        .filter(|name| !name.is_empty())
        .collect();
    names.sort_unstable();
    names.dedup();
    names.join(",")
}

static INGRESS: Table = Table {
    columns: &[
        NAME,
        text("Class", "Who carries the ingress out."),
        text("Hosts", "The hosts it is for."),
        text("Address", "Where it is reached."),
        text("Ports", "The ports it is reached at."),
        AGE,
    ],
    print: |row| {
        const SHOWN: usize = 3;
        let rules = list(row.at(&["spec"]), "rules");
        let mut hosts = Vec::new();
        let mut more = false;
        for rule in rules {
            more |= hosts.len() == SHOWN;
            if !more && !get(rule, "host").is_empty() {
                hosts.push(get(rule, "host"));
            }
        }
        let hosts = match (hosts.is_empty(), more) {
            (true, _) => "*".to_owned(),
            (false, false) => hosts.join(","),
            (false, true) => format!("{} + {} more...", hosts.join(","), rules.len() - SHOWN),
        };
        let encrypted = !list(row.at(&["spec"]), "tls").is_empty();
        vec![
            row.name(),
            row.text_or(&["spec", "ingressClassName"], "<none>"),
            hosts.into(),
            balancers(row).into(),
            if encrypted { "80, 443" } else { "80" }.into(),
            row.age(),
        ]
    },
};

static INGRESS_CLASS: Table = Table {
    columns: &[
        NAME,
        text("Controller", "Who carries ingresses of the class out."),
        text("Parameters", "The object with more about the class."),
        AGE,
    ],
    print: |row| {
        let parameters = row.at(&["spec", "parameters"]);
        let shown = if parameters.is_object() {
            let group = match get(parameters, "apiGroup") {
                "" => String::new(),
                group => format!(".{group}"),
            };
            format!("{}{group}/{}", get(parameters, "kind"), get(parameters, "name"))
        } else {
            "<none>".to_owned()
        };
        vec![row.name(), row.text(&["spec", "controller"]).into(), shown.into(), row.age()]
    },
};

static NETWORK_POLICY: Table = Table {
    columns: &[NAME, text("Pod-Selector", "The labels of the pods it is about."), AGE],
    print: |row| vec![row.name(), show(row.at(&["spec", "podSelector"])).into(), row.age()],
};

static SERVICE_CIDR: Table = Table {
    columns: &[NAME, text("CIDRs", "The ranges of addresses of services."), AGE],
    print: |row| vec![row.name(), joined(row.at(&["spec", "cidrs"])).into(), row.age()],
};

static IP_ADDRESS: Table = Table {
    columns: &[NAME, text("ParentRef", "Whose address it is.")],
    print: |row| {
        let parent = row.at(&["spec", "parentRef"]);
        let shown = if parent.is_object() {
            let resource = match get(parent, "group") {
                "" => get(parent, "resource").to_lowercase(),
                group => format!("{}.{group}", get(parent, "resource")).to_lowercase(),
            };
            [resource.as_str(), get(parent, "namespace"), get(parent, "name")]
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect::<Vec<_>>()
                .join("/")
        } else {
            "<none>".to_owned()
        };
        vec![row.name(), shown.into()]
    },
};

static ENDPOINT_SLICE: Table = Table {
    columns: &[
        NAME,
        text("AddressType", "What kind of addresses it has."),
        text("Ports", "The first ports."),
        text("Endpoints", "The first addresses."),
        AGE,
    ],
    print: |row| {
        let ports: Vec<_> = list(row.object, "ports")
            .iter()
            .map(|port| match (port["port"].as_i64(), port["name"].as_str()) {
                (Some(number), _) => number.to_string(),
                (None, Some(name)) => name.to_owned(),
                (None, None) => "*".to_owned(),
            })
            .collect();
        let addresses: Vec<_> = list(row.object, "endpoints")
            .iter()
            .flat_map(|endpoint| list(endpoint, "addresses"))
            .filter_map(|address| address.as_str().map(str::to_owned))
            .collect();
        let shown = |entries: &[String]| match some(entries, "<unset>").as_str() {
            "" => "<unset>".to_owned(),
            shown => shown.to_owned(),
        };
        vec![
            row.name(),
            row.text(&["addressType"]).into(),
            shown(&ports).into(),
            shown(&addresses).into(),
            row.age(),
        ]
    },
};
