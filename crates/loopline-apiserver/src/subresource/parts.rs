//! Subresources that are parts of an object: what a write to one of them may change.

use serde_json::{Value, json};

use crate::object;

/// Leaves of a write only what its subresource is about; the rest is taken from the live object.
pub(crate) fn narrow(subresource: &str, object: &mut Value, live: &Value) {
    let mut kept = live.clone();
    match subresource {
        "ephemeralcontainers" => {
            let wanted = &object["spec"]["ephemeralContainers"];
            let spec = object::map_mut(&mut kept, "spec");
            if wanted.is_null() {
                spec.shift_remove("ephemeralContainers");
            } else {
                spec.insert("ephemeralContainers".to_owned(), wanted.clone());
            }
        }
        "resize" => {
            for list in ["containers", "initContainers"] {
                let wanted = object["spec"][list].as_array().map(Vec::as_slice).unwrap_or_default();
                let slots = kept["spec"][list].as_array_mut().into_iter().flatten();
                for (slot, wanted) in slots.zip(wanted) {
                    if slot["name"] != wanted["name"] {
                        continue;
                    }
                    for field in ["resources", "resizePolicy"] {
                        if let Some(value) = wanted.get(field) {
                            slot[field] = value.clone();
                        }
                    }
                }
            }
        }
        "approval" => {
            let wanted = object["status"]["conditions"].clone();
            let status = object::map_mut(&mut kept, "status");
            if wanted.is_null() {
                status.shift_remove("conditions");
            } else {
                status.insert("conditions".to_owned(), wanted);
            }
        }
        _ => return,
    }
    for field in ["managedFields", "resourceVersion"] {
        object::set_meta(&mut kept, field, object["metadata"][field].clone());
    }
    *object = kept;
}

/// Fills in the times of a signing request's conditions.
pub(crate) fn stamp_conditions(object: &mut Value, live: &Value, now: &str) {
    let before = live["status"]["conditions"].as_array().cloned().unwrap_or_default();
    for condition in object["status"]["conditions"].as_array_mut().into_iter().flatten() {
        if condition["lastUpdateTime"].is_null() {
            condition["lastUpdateTime"] = json!(now);
        }
        if condition["lastTransitionTime"].is_null() {
            let same = before.iter().find(|one| {
                one["type"] == condition["type"] && one["status"] == condition["status"]
            });
            let time = same.map(|one| one["lastTransitionTime"].clone());
            condition["lastTransitionTime"] =
                time.filter(|time| !time.is_null()).unwrap_or_else(|| json!(now));
        }
    }
}
