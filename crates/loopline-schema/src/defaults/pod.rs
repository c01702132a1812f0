//! Defaults of pods, of the pod templates of workloads, and of their volumes.

use loopline_units::quantity::Quantity;
use serde_json::{Value, json};

use crate::tree::{descend, ensure, fill, fill_zero, items, list, object, text};

/// The lists of containers in a pod's specification.
const CONTAINERS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// Fills in a pod; more is filled in here than in a template.
pub(super) fn pod(value: &mut Value) {
    let Some(spec) = ensure(value, "spec") else { return };
    for kind in ["containers", "initContainers"] {
        for container in items(spec, kind) {
            if let Some(resources) = object(container, "resources") {
                requests_from_limits(resources);
            }
        }
    }
    if let Some(resources) = object(spec, "resources") {
        requests_from_limits(resources);
    }
    fill(spec, "enableServiceLinks", true);
    if spec["hostNetwork"] == true {
        for kind in ["containers", "initContainers"] {
            for container in items(spec, kind) {
                for port in items(container, "ports") {
                    let number = port["containerPort"].clone();
                    fill_zero(port, "hostPort", number);
                }
            }
        }
    }
    self::spec(spec);
}

fn requests_from_limits(resources: &mut Value) {
    let Some(limits) = resources["limits"].as_object().cloned() else { return };
    if let Some(requests) = ensure(resources, "requests") {
        for (resource, quantity) in limits {
            fill(requests, &resource, quantity);
        }
    }
}

/// Fills in the specification of a pod or of a template.
pub(super) fn spec(spec: &mut Value) {
    fill_zero(spec, "dnsPolicy", "ClusterFirst");
    fill_zero(spec, "restartPolicy", "Always");
    fill(spec, "securityContext", json!({}));
    fill(spec, "terminationGracePeriodSeconds", 30);
    fill_zero(spec, "schedulerName", "default-scheduler");
    // The old name of the field follows the new one.
    let account = match text(spec, "serviceAccountName") {
        "" => text(spec, "serviceAccount"),
        name => name,
    };
    if !account.is_empty() {
        let account = account.to_owned();
        spec["serviceAccountName"] = account.clone().into();
        spec["serviceAccount"] = account.into();
    }
    items(spec, "volumes").for_each(volume);
    for kind in CONTAINERS {
        items(spec, kind).for_each(container);
    }
}

fn container(container: &mut Value) {
    let policy = pull_policy(text(container, "image"));
    fill_zero(container, "imagePullPolicy", policy);
    fill_zero(container, "terminationMessagePath", "/dev/termination-log");
    fill_zero(container, "terminationMessagePolicy", "File");
    fill(container, "resources", json!({}));
    for port in items(container, "ports") {
        fill_zero(port, "protocol", "TCP");
    }
    for variable in items(container, "env") {
        if let Some(field) = descend(variable, &["valueFrom", "fieldRef"]) {
            fill_zero(field, "apiVersion", "v1");
        }
    }
    for kind in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = object(container, kind) {
            self::probe(probe);
        }
    }
    for hook in ["postStart", "preStop"] {
        if let Some(get) = descend(container, &["lifecycle", hook, "httpGet"]) {
            http_get(get);
        }
    }
}

fn probe(probe: &mut Value) {
    fill_zero(probe, "timeoutSeconds", 1);
    fill_zero(probe, "periodSeconds", 10);
    fill_zero(probe, "successThreshold", 1);
    fill_zero(probe, "failureThreshold", 3);
    if let Some(get) = object(probe, "httpGet") {
        http_get(get);
    }
    if let Some(call) = object(probe, "grpc") {
        fill(call, "service", "");
    }
}

fn http_get(get: &mut Value) {
    fill_zero(get, "path", "/");
    fill_zero(get, "scheme", "HTTP");
}

/// Returns when an image is pulled: always where its tag is, or is taken to be, `latest`.
fn pull_policy(image: &str) -> &'static str {
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, d)| (name, Some(d)));
    let last = name.rsplit('/').next().unwrap_or(name);
    let tag = last.split_once(':').map(|(_, tag)| tag);
    match (tag, digest) {
        (Some("latest"), _) | (None, None) => "Always",
        _ => "IfNotPresent",
    }
}

fn volume(volume: &mut Value) {
    let has_source = volume
        .as_object()
        .is_some_and(|fields| fields.iter().any(|(key, value)| key != "name" && !value.is_null()));
    if !has_source {
        fill(volume, "emptyDir", json!({}));
    }
    volume_source(volume);
    for kind in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = object(volume, kind) {
            fill(source, "defaultMode", 0o644);
        }
    }
    if let Some(source) = object(volume, "downwardAPI") {
        items(source, "items").for_each(downward_item);
    }
    if let Some(projected) = object(volume, "projected") {
        for source in items(projected, "sources") {
            if let Some(token) = object(source, "serviceAccountToken") {
                fill(token, "expirationSeconds", 3600);
            }
            if let Some(downward) = object(source, "downwardAPI") {
                items(downward, "items").for_each(downward_item);
            }
        }
    }
    if let Some(claim) = descend(volume, &["ephemeral", "volumeClaimTemplate", "spec"]) {
        fill(claim, "volumeMode", "Filesystem");
    }
    if let Some(image) = object(volume, "image") {
        let policy = pull_policy(text(image, "reference"));
        fill_zero(image, "pullPolicy", policy);
    }
}

fn downward_item(item: &mut Value) {
    if let Some(field) = object(item, "fieldRef") {
        fill_zero(field, "apiVersion", "v1");
    }
}

/// Fills in the sources that volumes of pods and persistent volumes have in common.
pub(super) fn volume_source(volume: &mut Value) {
    if let Some(path) = object(volume, "hostPath") {
        fill(path, "type", "");
    }
    if let Some(disk) = object(volume, "iscsi") {
        fill_zero(disk, "iscsiInterface", "default");
    }
    if let Some(disk) = object(volume, "rbd") {
        fill_zero(disk, "pool", "rbd");
        fill_zero(disk, "user", "admin");
        fill_zero(disk, "keyring", "/etc/ceph/keyring");
    }
    if let Some(disk) = object(volume, "azureDisk") {
        fill(disk, "cachingMode", "ReadWrite");
        fill(disk, "kind", "Shared");
        fill(disk, "fsType", "ext4");
        fill(disk, "readOnly", false);
    }
    if let Some(disk) = object(volume, "scaleIO") {
        fill_zero(disk, "storageMode", "ThinProvisioned");
        fill_zero(disk, "fsType", "xfs");
    }
}

/// Returns the quality of service of a pod: whether what it asks for is what it may have.
pub(super) fn quality_class(spec: &Value) -> &'static str {
    let mut guaranteed = true;
    let mut any = false;
    let whole_pod = spec["resources"].is_object();
    let holders = std::iter::once(spec).filter(|_| whole_pod).chain(
        ["containers", "initContainers"]
            .into_iter()
            .flat_map(|kind| list(spec, kind))
            .filter(|_| !whole_pod),
    );
    for holder in holders {
        let amount = |kind: &str, resource: &str| {
            holder["resources"][kind][resource]
                .as_str()
                .and_then(|text| Quantity::parse(text).ok())
                .or_else(|| {
                    let number = &holder["resources"][kind][resource];
                    number.is_number().then(|| Quantity::parse(&number.to_string()).ok()).flatten()
                })
                .filter(|quantity| quantity.sign() > 0)
        };
        for resource in ["cpu", "memory"] {
            let (request, limit) = (amount("requests", resource), amount("limits", resource));
            any |= request.is_some() || limit.is_some();
            guaranteed &= limit.is_some() && request.is_none_or(|request| Some(request) == limit);
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}
