//! `ServiceAccount`: pods act as an account of their namespace, with a token of it.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Attributes;
use crate::Server;
use crate::bootstrap::DEFAULT_ACCOUNT;
use crate::object;
use crate::status::Result;
use crate::verbs::create::random_name;

/// Where containers find the token.
const MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// What the name of the volume with the token begins with.
const VOLUME: &str = "kube-api-access-";

/// How long a token is good: an hour and a little, so that it is renewed within the hour.
const TOKEN_SECONDS: u32 = 3607;

/// The annotation of pods that mirror what a node runs on its own.
const MIRROR: &str = "kubernetes.io/config.mirror";

fn is_mirror(pod: &Value) -> bool {
    pod["metadata"]["annotations"].get(MIRROR).is_some()
}

/// Completes a pod from its account.
pub(crate) async fn complete(server: &Server, attributes: &mut Attributes) -> Result<()> {
    if !attributes.makes_pod() || is_mirror(&attributes.object) {
        return Ok(());
    }
    let spec = object::map_mut(&mut attributes.object, "spec");
    let named = spec.get("serviceAccountName").and_then(Value::as_str).unwrap_or("");
    let name = if named.is_empty() { DEFAULT_ACCOUNT.to_owned() } else { named.to_owned() };
    spec.insert("serviceAccountName".to_owned(), json!(name));
    spec.insert("serviceAccount".to_owned(), json!(name));
    let account = account(server, attributes, &name).await?;
    let pod = &mut attributes.object["spec"];
    let mounts = pod["automountServiceAccountToken"]
        .as_bool()
        .or_else(|| account["automountServiceAccountToken"].as_bool())
        .unwrap_or(true);
    if mounts {
        mount_token(server, pod);
    }
    let secrets = &account["imagePullSecrets"];
    if pod["imagePullSecrets"].as_array().is_none_or(Vec::is_empty)
        && secrets.as_array().is_some_and(|list| !list.is_empty())
    {
        pod["imagePullSecrets"] = secrets.clone();
    }
    Ok(())
}

/// Refuses pods whose account is not there, and mirrors that have one.
pub(crate) async fn check(server: &Server, attributes: &mut Attributes) -> Result<()> {
    if !attributes.makes_pod() {
        return Ok(());
    }
    let name = attributes.object["spec"]["serviceAccountName"].as_str().unwrap_or("").to_owned();
    if is_mirror(&attributes.object) {
        if !name.is_empty() {
            return Err(attributes.forbidden("a mirror pod may not reference service accounts"));
        }
        return Ok(());
    }
    account(server, attributes, &name).await.map(drop)
}

async fn account(server: &Server, attributes: &Attributes, name: &str) -> Result<Arc<Value>> {
    let namespace = &attributes.namespace;
    let entry = server.built_in_entry("", "v1", "serviceaccounts")?;
    let found = server.followed_accounts().find(server, &entry, namespace, name).await?;
    found.ok_or_else(|| {
        attributes.forbidden(format_args!(
            "error looking up service account {namespace}/{name}: serviceaccount {name:?} not found"
        ))
    })
}

/// Gives every container the token, unless it has something else in its place.
fn mount_token(server: &Server, pod: &mut Value) {
    let volumes = pod["volumes"].as_array();
    let given = volumes.into_iter().flatten().find_map(|volume| {
        let name = volume["name"].as_str()?;
        name.starts_with(VOLUME).then(|| name.to_owned())
    });
    let is_given = given.is_some();
    let name = given.unwrap_or_else(|| random_name(server.clock(), VOLUME));
    let mut mounted = false;
    for list in ["initContainers", "containers"] {
        for container in pod[list].as_array_mut().into_iter().flatten() {
            let Some(container) = container.as_object_mut() else { continue };
            let mounts = container.entry("volumeMounts").or_insert_with(|| json!([]));
            if mounts.is_null() {
                *mounts = json!([]);
            }
            let Some(mounts) = mounts.as_array_mut() else { continue };
            if mounts.iter().any(|mount| mount["mountPath"] == MOUNT) {
                continue;
            }
            mounts.push(json!({"name": name, "readOnly": true, "mountPath": MOUNT}));
            mounted = true;
        }
    }
    if !mounted || is_given {
        return;
    }
    if pod["volumes"].is_null() {
        pod["volumes"] = json!([]);
    }
    if let Some(volumes) = pod["volumes"].as_array_mut() {
        volumes.push(json!({
            "name": name,
            "projected": {
                "sources": [
                    {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
                    {"configMap": {
                        "name": "kube-root-ca.crt",
                        "items": [{"key": "ca.crt", "path": "ca.crt"}],
                    }},
                    {"downwardAPI": {"items": [{
                        "path": "namespace",
                        "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
                    }]}},
                ],
                "defaultMode": 0o644,
            },
        }));
    }
}
