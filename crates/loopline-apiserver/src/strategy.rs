//! What the server itself does to objects of particular kinds when they are written: fields it
//! fills, keeps or resets, as the registry strategies of Kubernetes do.

use serde_json::{Value, json};

use crate::auth::User;
use crate::object;
use crate::registry::Entry;

/// Prepares a new object: the status is reset, counters begin.
pub(crate) fn prepare_create(entry: &Entry, object: &mut Value) {
    let resource = &entry.resource;
    if entry.has_status()
        && let Some(map) = object.as_object_mut()
    {
        map.shift_remove("status");
    }
    if resource.has_generation {
        object::set_meta(object, "generation", json!(1));
    } else {
        object::set_meta(object, "generation", Value::Null);
    }
    if entry.custom().is_some() {
        return;
    }
    // The families of a service belong to its addresses, which are allocated later.
    if !(resource.group.is_empty() && resource.kind == "Service") {
        loopline_schema::defaults::prepare(&resource.group, &resource.kind, object);
    }
    match (&*resource.group, &*resource.kind) {
        ("", "Namespace") => {
            object["status"] = json!({"phase": "Active"});
            let name = object::name(object).to_owned();
            let labels = object::metadata_mut(object).entry("labels").or_insert_with(|| json!({}));
            if let Some(labels) = labels.as_object_mut() {
                labels.insert("kubernetes.io/metadata.name".to_owned(), json!(name));
            }
        }
        ("", "PersistentVolume" | "PersistentVolumeClaim") => {
            object["status"] = json!({"phase": "Pending"});
        }
        ("", "Service") => object["status"] = json!({"loadBalancer": {}}),
        ("" | "apps", "ReplicationController" | "ReplicaSet") => {
            object["status"] = json!({"replicas": 0});
        }
        ("apps", "Deployment") => object["status"] = json!({}),
        ("apps", "StatefulSet") => {
            object["status"] = json!({"replicas": 0, "availableReplicas": 0});
        }
        ("apps", "DaemonSet") => {
            object["status"] = json!({
                "currentNumberScheduled": 0, "numberMisscheduled": 0,
                "desiredNumberScheduled": 0, "numberReady": 0,
            });
        }
        ("batch", "Job" | "CronJob") | ("certificates.k8s.io", "CertificateSigningRequest") => {
            object["status"] = json!({});
        }
        ("networking.k8s.io", "Ingress") => object["status"] = json!({"loadBalancer": {}}),
        ("policy", "PodDisruptionBudget") => {
            object["status"] = json!({
                "disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0,
                "expectedPods": 0,
            });
        }
        ("autoscaling", "HorizontalPodAutoscaler") => {
            object["status"] = json!({"desiredReplicas": 0, "currentMetrics": null});
        }
        ("apiextensions.k8s.io", "CustomResourceDefinition") => {
            object["status"] = json!({
                "conditions": [],
                "acceptedNames": {"plural": "", "kind": ""},
                "storedVersions": [],
            });
            crate::crd::remember_storage(object);
        }
        _ => {}
    }
}

/// Prepares a write of an object that is there: what this endpoint may not change is taken from
/// the live object, and the generation counts changes of what is asked for.
pub(crate) fn prepare_update(entry: &Entry, subresource: &str, object: &mut Value, live: &Value) {
    crate::subresource::parts::narrow(subresource, object, live);
    object::keep_server_fields(object, live);
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds"] {
        object::set_meta(object, field, live["metadata"][field].clone());
    }
    let status_only = subresource == "status";
    if status_only {
        keep_all_but_status(entry, object, live);
    } else if entry.has_status() && subresource != "approval" {
        keep(object, live, "status");
    }
    let (group, kind) = (&*entry.resource.group, &*entry.resource.kind);
    if (group, kind) == ("certificates.k8s.io", "CertificateSigningRequest") {
        // Who asked for what stays as it was.
        keep(object, live, "spec");
    }
    if (group, kind) == ("", "Namespace") && subresource != "finalize" {
        object::map_mut(object, "spec")
            .insert("finalizers".to_owned(), live["spec"]["finalizers"].clone());
    }
    if (group, kind) == ("", "Secret") && !object["stringData"].is_null() {
        // Validation and storage know only `data`.
        loopline_schema::defaults::apply("", "v1", "Secret", object);
    }
    if subresource.is_empty() && crate::crd::is_definition(entry) {
        crate::crd::remember_storage(object);
    }
    if subresource.is_empty() {
        crate::allocate::carry_over(entry, object, live);
    }
    let changed =
        !status_only && entry.resource.has_generation && wanted_changed(entry, object, live);
    if changed {
        let generation = live["metadata"]["generation"].as_i64().unwrap_or(0) + 1;
        object::set_meta(object, "generation", json!(generation));
    }
}

/// Returns whether anything but metadata and status differs.
fn wanted_changed(entry: &Entry, object: &Value, live: &Value) -> bool {
    let (Some(new), Some(old)) = (object.as_object(), live.as_object()) else { return true };
    let counts = |key: &str| match key {
        "metadata" | "apiVersion" | "kind" => false,
        "status" => !entry.has_status(),
        _ => true,
    };
    new.keys().chain(old.keys()).any(|key| counts(key) && new.get(key) != old.get(key))
}

/// Leaves of a write to `/status` only the status, and what of the metadata such writes may set.
fn keep_all_but_status(entry: &Entry, object: &mut Value, live: &Value) {
    let status = object.get("status").cloned();
    let metadata = object["metadata"].clone();
    let mut kept = live.clone();
    match status {
        Some(status) => kept["status"] = status,
        None => {
            if let Some(map) = kept.as_object_mut() {
                map.shift_remove("status");
            }
        }
    }
    let fields: &[&str] = match (&*entry.resource.group, &*entry.resource.kind) {
        _ if entry.custom().is_some() => &["managedFields"],
        ("", "Pod" | "Node") => &["managedFields", "annotations", "labels", "finalizers"],
        _ => &["managedFields", "annotations", "finalizers"],
    };
    for field in fields {
        object::set_meta(&mut kept, field, metadata[*field].clone());
    }
    object::set_meta(&mut kept, "resourceVersion", metadata["resourceVersion"].clone());
    *object = kept;
}

/// Writes into a request for a certificate who asks for it; nobody asks in another's name.
pub(crate) fn name_requestor(entry: &Entry, user: &User, object: &mut Value) {
    if (&*entry.resource.group, &*entry.resource.kind)
        != ("certificates.k8s.io", "CertificateSigningRequest")
    {
        return;
    }
    let asked = object::map_mut(object, "spec");
    asked.insert("username".to_owned(), json!(user.name));
    for (field, value) in [
        ("uid", json!(user.uid)),
        ("groups", json!(user.groups)),
        ("extra", user.extra.iter().map(|(key, values)| (key.clone(), json!(values))).collect()),
    ] {
        let empty = match &value {
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(map) => map.is_empty(),
            _ => true,
        };
        if empty {
            asked.shift_remove(field);
        } else {
            asked.insert(field.to_owned(), value);
        }
    }
}

fn keep(object: &mut Value, live: &Value, field: &str) {
    match live.get(field) {
        Some(value) => object[field] = value.clone(),
        None => {
            if let Some(map) = object.as_object_mut() {
                map.shift_remove(field);
            }
        }
    }
}

/// Returns whether a replacement makes what is not there.
pub(crate) fn creates_on_update(entry: &Entry) -> bool {
    let resource = &entry.resource;
    entry.custom().is_none()
        && match &*resource.group {
            "" => matches!(&*resource.kind, "Service" | "Endpoints" | "Event" | "LimitRange"),
            "coordination.k8s.io" => resource.kind == "Lease",
            "events.k8s.io" => resource.kind == "Event",
            "rbac.authorization.k8s.io" => true,
            _ => false,
        }
}

/// Returns whether the answer to a deletion is the object as it was last.
pub(crate) fn returns_deleted(entry: &Entry) -> bool {
    let resource = &entry.resource;
    entry.custom().is_none()
        && match &*resource.group {
            "" => matches!(
                &*resource.kind,
                "Pod"
                    | "PodTemplate"
                    | "PersistentVolume"
                    | "PersistentVolumeClaim"
                    | "ResourceQuota"
                    | "Service"
                    | "ServiceAccount"
            ),
            "storage.k8s.io" => true,
            _ => false,
        }
}

/// Returns whether a replacement need not name the revision it replaces.
pub(crate) fn updates_unconditionally(entry: &Entry) -> bool {
    entry.custom().is_none()
        && !matches!(
            &*entry.resource.kind,
            "CustomResourceDefinition"
                | "APIService"
                | "Lease"
                | "PodDisruptionBudget"
                | "RuntimeClass"
                | "CSIDriver"
                | "CSINode"
                | "CSIStorageCapacity"
                | "ValidatingWebhookConfiguration"
                | "MutatingWebhookConfiguration"
                | "ValidatingAdmissionPolicy"
                | "ValidatingAdmissionPolicyBinding"
                | "MutatingAdmissionPolicy"
                | "MutatingAdmissionPolicyBinding"
                | "VolumeAttachment"
        )
}
