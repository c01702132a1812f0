//! Defaults of the kinds without a group.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::pod;
use crate::tree::{descend, ensure, fill, fill_zero, items, object, text};

/// How long a client keeps its endpoint where it asked to, in seconds.
const AFFINITY_SECONDS: u32 = 10_800;

pub(super) fn apply(kind: &str, value: &mut Value) {
    match kind {
        "Pod" => pod::pod(value),
        "PodTemplate" => {
            if let Some(spec) = descend(value, &["template", "spec"]) {
                pod::spec(spec);
            }
        }
        "ReplicationController" => replication_controller(value),
        "Service" => service(value),
        "Secret" => secret(value),
        "Namespace" => namespace(value),
        "Node" => {
            if let Some(status) = object(value, "status")
                && !status["capacity"].is_null()
            {
                let capacity = status["capacity"].clone();
                fill(status, "allocatable", capacity);
            }
        }
        "PersistentVolume" => volume(value),
        "PersistentVolumeClaim" => claim(value),
        "LimitRange" => {
            if let Some(spec) = object(value, "spec") {
                items(spec, "limits").for_each(limit);
            }
        }
        "Endpoints" => {
            for subset in items(value, "subsets") {
                for port in items(subset, "ports") {
                    fill_zero(port, "protocol", "TCP");
                }
            }
        }
        _ => {}
    }
}

fn replication_controller(value: &mut Value) {
    let labels = value["spec"]["template"]["metadata"]["labels"].clone();
    let Some(spec) = ensure(value, "spec") else { return };
    fill(spec, "replicas", 1);
    if let Some(pod) = descend(spec, &["template", "spec"]) {
        pod::spec(pod);
    }
    if labels.is_object() {
        fill_zero(spec, "selector", labels.clone());
        if let Some(metadata) = ensure(value, "metadata") {
            fill_zero(metadata, "labels", labels);
        }
    }
}

fn service(value: &mut Value) {
    if let Some(status) = ensure(value, "status") {
        fill(status, "loadBalancer", json!({}));
    }
    let Some(spec) = ensure(value, "spec") else { return };
    fill_zero(spec, "sessionAffinity", "None");
    fill_zero(spec, "type", "ClusterIP");
    match text(spec, "sessionAffinity") {
        "None" => {
            if let Some(fields) = spec.as_object_mut() {
                fields.shift_remove("sessionAffinityConfig");
            }
        }
        "ClientIP" => {
            let client = ensure(spec, "sessionAffinityConfig")
                .and_then(|configuration| ensure(configuration, "clientIP"));
            if let Some(client) = client {
                fill(client, "timeoutSeconds", AFFINITY_SECONDS);
            }
        }
        _ => {}
    }
    for port in items(spec, "ports") {
        fill_zero(port, "protocol", "TCP");
        let number = port["port"].clone();
        if !number.is_null() {
            fill_zero(port, "targetPort", number);
        }
    }
    let kind = text(spec, "type").to_owned();
    let external = matches!(kind.as_str(), "NodePort" | "LoadBalancer")
        || kind == "ClusterIP" && spec["externalIPs"].as_array().is_some_and(|ips| !ips.is_empty());
    if external {
        fill_zero(spec, "externalTrafficPolicy", "Cluster");
    }
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer" | "ClusterIP") {
        fill(spec, "internalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        fill(spec, "allocateLoadBalancerNodePorts", true);
        if let Some(balancer) = descend(value, &["status", "loadBalancer"]) {
            for ingress in items(balancer, "ingress") {
                if !text(ingress, "ip").is_empty() {
                    fill(ingress, "ipMode", "VIP");
                }
            }
        }
    }
}

/// Completes the address families of a service whose address is known.
pub(super) fn service_families(value: &mut Value) {
    let Some(spec) = object(value, "spec") else { return };
    if text(spec, "type") == "ExternalName" {
        return;
    }
    let address = text(spec, "clusterIP").to_owned();
    if !address.is_empty() {
        fill_zero(spec, "clusterIPs", json!([address]));
    }
    let family = if address.contains(':') { "IPv6" } else { "IPv4" };
    fill_zero(spec, "ipFamilies", json!([family]));
    fill(spec, "ipFamilyPolicy", "SingleStack");
}

/// Folds `stringData` into `data`, as every reader sees it.
fn secret(value: &mut Value) {
    fill_zero(value, "type", "Opaque");
    let Some(fields) = value.as_object_mut() else { return };
    let plain = fields.get("stringData").is_some_and(|plain| {
        plain.as_object().is_some_and(|plain| plain.values().all(Value::is_string))
            || plain.is_null()
    });
    let data = fields.get("data").is_none_or(|data| data.is_null() || data.is_object());
    if !plain || !data {
        return;
    }
    if let Some(Value::Object(plain)) = fields.shift_remove("stringData")
        && !plain.is_empty()
    {
        let data = fields.entry("data").or_insert_with(|| Map::new().into());
        if data.is_null() {
            *data = Map::new().into();
        }
        for (key, text) in plain {
            data[&key] = STANDARD.encode(text.as_str().unwrap_or_default()).into();
        }
    }
}

fn namespace(value: &mut Value) {
    let name = text(&value["metadata"], "name").to_owned();
    if !name.is_empty()
        && let Some(metadata) = ensure(value, "metadata")
        && let Some(labels) = ensure(metadata, "labels")
    {
        labels["kubernetes.io/metadata.name"] = name.into();
    }
    if let Some(status) = ensure(value, "status") {
        fill_zero(status, "phase", "Active");
    }
}

fn volume(value: &mut Value) {
    if let Some(status) = ensure(value, "status") {
        fill_zero(status, "phase", "Pending");
    }
    let Some(spec) = ensure(value, "spec") else { return };
    fill_zero(spec, "persistentVolumeReclaimPolicy", "Retain");
    fill(spec, "volumeMode", "Filesystem");
    pod::volume_source(spec);
}

pub(super) fn claim(value: &mut Value) {
    if let Some(status) = ensure(value, "status") {
        fill_zero(status, "phase", "Pending");
    }
    if let Some(spec) = ensure(value, "spec") {
        fill(spec, "volumeMode", "Filesystem");
    }
}

/// Completes the limits of containers from each other: most, default, default request, least.
fn limit(item: &mut Value) {
    if text(item, "type") != "Container" {
        return;
    }
    for (from, to) in [("max", "default"), ("default", "defaultRequest"), ("min", "defaultRequest")]
    {
        let Some(source) = item[from].as_object().filter(|map| !map.is_empty()).cloned() else {
            continue;
        };
        if let Some(target) = ensure(item, to) {
            for (resource, quantity) in source {
                fill(target, &resource, quantity);
            }
        }
    }
}
