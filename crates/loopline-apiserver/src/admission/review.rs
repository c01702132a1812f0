//! `AdmissionReview`: a write as webhooks and validators see it.

use serde_json::{Value, json};

use super::Attributes;
use super::matching::in_version;
use crate::registry::Entry;
use crate::status::Result;

/// Returns the `request` of a review, with the objects in the version of `entry`.
///
/// # Errors
/// Where an object cannot be converted.
pub(crate) fn request(attributes: &Attributes, entry: &Entry, uid: &str) -> Result<Value> {
    let asked = &attributes.entry.resource;
    let matched = &entry.resource;
    let mut request = json!({
        "uid": uid,
        "kind": {"group": matched.group, "version": matched.version, "kind": matched.kind},
        "resource": {
            "group": matched.group, "version": matched.version, "resource": matched.plural,
        },
        "requestKind": {"group": asked.group, "version": asked.version, "kind": asked.kind},
        "requestResource": {
            "group": asked.group, "version": asked.version, "resource": asked.plural,
        },
        "name": attributes.name,
        "operation": attributes.operation.name(),
        "userInfo": user_info(attributes),
        "object": in_version(&attributes.object, entry)?,
        "oldObject": in_version(&attributes.old, entry)?,
        "dryRun": attributes.dry_run,
        "options": attributes.options,
    });
    if !attributes.subresource.is_empty() {
        request["subResource"] = json!(attributes.subresource);
        request["requestSubResource"] = json!(attributes.subresource);
    }
    if !attributes.namespace.is_empty() {
        request["namespace"] = json!(attributes.namespace);
    }
    Ok(request)
}

fn user_info(attributes: &Attributes) -> Value {
    let user = &attributes.user;
    let mut info = json!({"username": user.name, "groups": user.groups});
    if !user.uid.is_empty() {
        info["uid"] = json!(user.uid);
    }
    if !user.extra.is_empty() {
        let extra: serde_json::Map<String, Value> =
            user.extra.iter().map(|(key, values)| (key.clone(), json!(values))).collect();
        info["extra"] = Value::Object(extra);
    }
    info
}
