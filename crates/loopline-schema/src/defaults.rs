//! What Kubernetes 1.33 fills in where a manifest says nothing.
//!
//! [`apply`] is a function of the object alone and may be repeated. [`prepare`] is what a server
//! adds once, when an object is made. Neither allocates addresses or ports, and neither rewrites
//! a quantity.

mod core;
mod pod;
mod policy;
mod workloads;

use serde_json::{Value, json};

use crate::tree::{ensure, fill, fill_zero, items, list, object, text};

/// Fills in the defaults of a built-in kind; other kinds are left alone.
pub fn apply(group: &str, version: &str, kind: &str, object: &mut Value) {
    match (group, kind) {
        ("", _) => core::apply(kind, object),
        ("apps" | "batch" | "autoscaling", _) => workloads::apply(version, kind, object),
        ("discovery.k8s.io", "EndpointSlice") => {
            for port in items(object, "ports") {
                fill(port, "name", "");
                fill(port, "protocol", "TCP");
            }
        }
        ("networking.k8s.io", _) => networking(kind, object),
        ("storage.k8s.io", _) => storage(kind, object),
        ("rbac.authorization.k8s.io", _) => rbac(group, object),
        ("scheduling.k8s.io", "PriorityClass") => {
            fill(object, "preemptionPolicy", "PreemptLowerPriority");
        }
        (
            "admissionregistration.k8s.io"
            | "apiextensions.k8s.io"
            | "apiregistration.k8s.io"
            | "flowcontrol.apiserver.k8s.io",
            _,
        ) => policy::apply(kind, object),
        ("authentication.k8s.io", "TokenRequest") => {
            if let Some(spec) = ensure(object, "spec") {
                fill(spec, "expirationSeconds", 3600);
            }
        }
        _ => {}
    }
}

/// Adds what a server adds when it makes an object, which has its uid by then: the first status
/// of a pod and its class, the selector of a job, the finalizer of a namespace, the address
/// families of a service.
pub fn prepare(group: &str, kind: &str, object: &mut Value) {
    match (group, kind) {
        ("", "Pod") => {
            let class = pod::quality_class(&object["spec"]);
            if let Some(fields) = object.as_object_mut() {
                let status = json!({"phase": "Pending", "qosClass": class});
                fields.insert("status".to_owned(), status);
            }
        }
        ("", "Namespace") => {
            if let Some(spec) = ensure(object, "spec") {
                fill_zero(spec, "finalizers", json!(["kubernetes"]));
            }
        }
        ("", "Service") => core::service_families(object),
        ("batch", "Job") => workloads::job_selector(object),
        _ => {}
    }
}

fn networking(kind: &str, value: &mut Value) {
    match kind {
        "NetworkPolicy" => {
            let Some(spec) = ensure(value, "spec") else { return };
            fill(spec, "podSelector", json!({}));
            for direction in ["ingress", "egress"] {
                for rule in items(spec, direction) {
                    for port in items(rule, "ports") {
                        fill(port, "protocol", "TCP");
                    }
                }
            }
            let egress = !list(spec, "egress").is_empty();
            let types = if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
            fill_zero(spec, "policyTypes", types);
        }
        "IngressClass" => {
            if let Some(parameters) = crate::tree::descend(value, &["spec", "parameters"]) {
                fill(parameters, "scope", "Cluster");
            }
        }
        "Ingress" => {
            if let Some(status) = ensure(value, "status") {
                fill(status, "loadBalancer", json!({}));
            }
        }
        _ => {}
    }
}

fn storage(kind: &str, value: &mut Value) {
    match kind {
        "StorageClass" => {
            fill(value, "reclaimPolicy", "Delete");
            fill(value, "volumeBindingMode", "Immediate");
        }
        "CSIDriver" => {
            let Some(spec) = ensure(value, "spec") else { return };
            fill(spec, "attachRequired", true);
            fill(spec, "podInfoOnMount", false);
            fill(spec, "storageCapacity", false);
            fill(spec, "requiresRepublish", false);
            fill(spec, "seLinuxMount", false);
            fill(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
            fill_zero(spec, "volumeLifecycleModes", json!(["Persistent"]));
        }
        _ => {}
    }
}

fn rbac(group: &str, value: &mut Value) {
    if let Some(role) = object(value, "roleRef") {
        fill_zero(role, "apiGroup", group);
    }
    for subject in items(value, "subjects") {
        if matches!(text(subject, "kind"), "User" | "Group") {
            fill_zero(subject, "apiGroup", group);
        }
    }
}
