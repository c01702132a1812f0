//! What Kubernetes 1.33 refuses of an object, with its fields and in its words.
//!
//! Objects are expected to have their defaults. That fields are known and of the right type is
//! checked elsewhere; what is of the wrong type counts as absent here. Checks that need other
//! objects (does the service account exist, is the quota used up) are the server's, as are the
//! preconditions of a write (`resourceVersion`).

mod access;
mod admission;
mod batch;
mod check;
mod config;
mod container;
mod extension;
mod meta;
mod names;
mod network;
mod pod;
mod resources;
mod scale;
mod schedule;
mod scheduling;
mod security;
mod service;
mod storage;
mod volume;
mod workloads;

use serde_json::Value;

use crate::error::FieldError;
use check::{At, Checker};

/// Returns what is wrong with an object that is made.
pub fn create(group: &str, version: &str, kind: &str, object: &Value) -> Vec<FieldError> {
    let mut checker = Checker::default();
    dispatch(&mut checker, (group, version, kind), &At::root(object), None);
    checker.found
}

/// Returns what is wrong with an object that is changed.
pub fn update(group: &str, version: &str, kind: &str, new: &Value, old: &Value) -> Vec<FieldError> {
    let mut checker = Checker::default();
    let (new, old) = (At::root(new), At::root(old));
    dispatch(&mut checker, (group, version, kind), &new, Some(&old));
    checker.found
}

/// Returns what is wrong with a change made through a subresource; both objects are whole.
pub fn update_subresource(
    group: &str,
    version: &str,
    kind: &str,
    subresource: Option<&str>,
    new: &Value,
    old: &Value,
) -> Vec<FieldError> {
    let Some(subresource) = subresource else { return update(group, version, kind, new, old) };
    let mut checker = Checker::default();
    let c = &mut checker;
    let (new, old) = (At::root(new), At::root(old));
    match (group, kind, subresource) {
        ("", "Pod", "status") => pod::status(c, &new, &old),
        ("", "Pod", "ephemeralcontainers") => pod::update_ephemeral(c, &new, &old),
        ("", "Pod", "resize") => pod::resize(c, &new, &old),
        ("", "Service", "status") => service::balancer_status(c, &new, &old, true),
        ("networking.k8s.io", "Ingress", "status") => {
            service::balancer_status(c, &new, &old, false);
        }
        ("", "Namespace", "status") => config::namespace_status(c, &new, &old),
        ("", "Namespace", "finalize") => {
            meta::update(c, &new.get("metadata"), &old.get("metadata"));
            for one in new.get("spec.finalizers").items() {
                c.problems(&one, loopline_units::selector::check_key(one.text()));
                meta::finalizer_name(c, &one);
            }
        }
        ("", "ResourceQuota", "status") => config::quota_status(c, &new, &old),
        ("batch", "Job", "status") => batch::job_status(c, &new, &old),
        ("apps", _, "status") | ("", "ReplicationController", "status") => {
            workloads::status(c, &new, &old);
        }
        (_, _, "scale") => {
            c.not_negative(&new.get("spec.replicas"));
        }
        _ => meta::update(c, &new.get("metadata"), &old.get("metadata")),
    }
    checker.found
}

fn dispatch(c: &mut Checker, of: (&str, &str, &str), at: &At<'_>, old: Option<&At<'_>>) {
    let (group, version, kind) = of;
    let done = match group {
        "" => core(c, kind, at, old),
        "apps" => workload(c, kind, at, old),
        "batch" => match kind {
            "Job" => {
                match old {
                    None => batch::job(c, at),
                    Some(old) => batch::job_update(c, at, old),
                }
                true
            }
            "CronJob" => {
                batch::cron_job(c, at, old);
                true
            }
            _ => false,
        },
        "networking.k8s.io" => {
            match kind {
                "Ingress" => network::ingress(c, at, old),
                "IngressClass" => network::class(c, at, old),
                "NetworkPolicy" => network::policy(c, at, old),
                _ => any(c, at, old, names::subdomain),
            }
            true
        }
        "discovery.k8s.io" if kind == "EndpointSlice" => {
            any(c, at, old, names::subdomain);
            if let Some(old) = old {
                c.immutable(&at.get("addressType"), &old.get("addressType"));
            }
            service::slice(c, at);
            true
        }
        "storage.k8s.io" => {
            match kind {
                "StorageClass" => storage::storage_class(c, at, old),
                _ => storage::other(c, kind, at, old),
            }
            true
        }
        "autoscaling"
        | "policy"
        | "scheduling.k8s.io"
        | "node.k8s.io"
        | "coordination.k8s.io"
        | "events.k8s.io" => {
            any(c, at, old, names::subdomain);
            match kind {
                "HorizontalPodAutoscaler" => scale::autoscaler(c, version, at, old),
                "PodDisruptionBudget" => scale::budget(c, at),
                "PriorityClass" => scale::priority(c, at, old),
                "RuntimeClass" => scale::runtime(c, at, old),
                "Lease" => scale::lease(c, at),
                "Event" => scale::event(c, group, at, old),
                "Scale" => c.not_negative(&at.get("spec.replicas")),
                _ => {}
            }
            true
        }
        "rbac.authorization.k8s.io" => {
            any(c, at, old, names::path_segment);
            match kind {
                "Role" => access::role(c, at, true),
                "ClusterRole" => access::role(c, at, false),
                "RoleBinding" => access::binding(c, at, old, true),
                "ClusterRoleBinding" => access::binding(c, at, old, false),
                _ => {}
            }
            true
        }
        _ => shapers(c, kind, at, old),
    };
    if !done {
        any(c, at, old, names::subdomain);
    }
}

/// Checks kinds that shape the API itself.
fn shapers(c: &mut Checker, kind: &str, at: &At<'_>, old: Option<&At<'_>>) -> bool {
    let rule: names::NameRule = match kind {
        "APIService" => names::path_segment,
        "CustomResourceDefinition"
        | "CertificateSigningRequest"
        | "ValidatingWebhookConfiguration"
        | "MutatingWebhookConfiguration"
        | "ValidatingAdmissionPolicy"
        | "MutatingAdmissionPolicy"
        | "ValidatingAdmissionPolicyBinding"
        | "MutatingAdmissionPolicyBinding" => names::subdomain,
        _ => return false,
    };
    any(c, at, old, rule);
    match kind {
        "CustomResourceDefinition" => {
            if old.is_none() {
                extension::definition_name(c, at);
            }
            extension::definition(c, at, old);
        }
        "APIService" => extension::api_service(c, at),
        "CertificateSigningRequest" => {
            // What is asked for cannot be changed, so it is checked once.
            if old.is_none() {
                access::signing_request(c, at);
            }
        }
        "ValidatingWebhookConfiguration" => admission::webhooks(c, at, false),
        "MutatingWebhookConfiguration" => admission::webhooks(c, at, true),
        "ValidatingAdmissionPolicy" => admission::policy(c, at, false),
        "MutatingAdmissionPolicy" => admission::policy(c, at, true),
        "ValidatingAdmissionPolicyBinding" => admission::binding(c, at, false),
        _ => admission::binding(c, at, true),
    }
    true
}

/// Checks what all kinds have.
fn any(c: &mut Checker, at: &At<'_>, old: Option<&At<'_>>, rule: names::NameRule) {
    match old {
        None => meta::create(c, &at.get("metadata"), rule),
        Some(old) => meta::update(c, &at.get("metadata"), &old.get("metadata")),
    }
}

fn workload(c: &mut Checker, kind: &str, at: &At<'_>, old: Option<&At<'_>>) -> bool {
    match old {
        None => workloads::create(c, kind, at),
        Some(old) => workloads::update(c, kind, at, old),
    }
    true
}

fn core(c: &mut Checker, kind: &str, at: &At<'_>, old: Option<&At<'_>>) -> bool {
    match (kind, old) {
        ("Pod", None) => pod::create(c, at),
        ("Pod", Some(old)) => pod::update(c, at, old),
        ("ReplicationController" | "PodTemplate", _) => return workload(c, kind, at, old),
        ("Service", None) => service::create(c, at),
        ("Service", Some(old)) => service::update(c, at, old),
        ("Endpoints", _) => {
            any(c, at, old, names::subdomain);
            service::endpoints(c, at);
        }
        ("ConfigMap", _) => config::config_map(c, at, old),
        ("Secret", _) => config::secret(c, at, old),
        ("Namespace", _) => config::namespace(c, at, old),
        ("ResourceQuota", _) => config::quota(c, at, old),
        ("LimitRange", _) => config::limit_range(c, at, old),
        ("Node", _) => config::node(c, at, old),
        ("Event", _) => {
            any(c, at, old, names::subdomain);
            scale::event(c, "", at, old);
        }
        ("PersistentVolume", _) => storage::volume(c, at, old),
        ("PersistentVolumeClaim", None) => storage::claim(c, at),
        ("PersistentVolumeClaim", Some(old)) => storage::claim_update(c, at, old),
        _ => return false,
    }
    true
}
