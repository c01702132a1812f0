//! `OwnerReferencesPermissionEnforcement`: who ties an object to an owner must be allowed to
//! delete it, and who blocks the owner's deletion must be allowed to write the owner's finalizers.

use serde_json::Value;

use super::{Attributes, Operation};
use crate::Server;
use crate::auth::Action;
use crate::status::Result;

/// Refuses references that the user may not set.
pub(crate) async fn check(server: &Server, attributes: &mut Attributes) -> Result<()> {
    let writes = matches!(attributes.operation, Operation::Create | Operation::Update);
    if !writes || attributes.subresource == "status" {
        return Ok(());
    }
    let owners = |object: &Value| object["metadata"]["ownerReferences"].clone();
    let (new, old) = (owners(&attributes.object), owners(&attributes.old));
    if new == old || new.as_array().is_none_or(Vec::is_empty) && old.is_null() {
        return Ok(());
    }
    let resource = &attributes.entry.resource;
    if attributes.operation == Operation::Update {
        let action = Action {
            verb: "delete".to_owned(),
            group: resource.group.to_string(),
            version: resource.version.to_string(),
            resource: resource.plural.to_string(),
            subresource: attributes.subresource.clone(),
            namespace: attributes.namespace.clone(),
            name: attributes.name.clone(),
            path: String::new(),
        };
        if let Err(why) = server.authorize(&attributes.user, &action).await {
            return Err(attributes.forbidden(format_args!(
                "cannot set an ownerRef on a resource you can't delete: {why}"
            )));
        }
    }
    for owner in new.as_array().into_iter().flatten() {
        let blocks = |owner: &Value| owner["blockOwnerDeletion"].as_bool() == Some(true);
        let before = old.as_array().into_iter().flatten().find(|one| one["uid"] == owner["uid"]);
        if !blocks(owner) || before.is_some_and(blocks) {
            continue;
        }
        check_blocking(server, attributes, owner).await?;
    }
    Ok(())
}

async fn check_blocking(server: &Server, attributes: &Attributes, owner: &Value) -> Result<()> {
    let refuse = |why: &str| {
        attributes.forbidden(format_args!(
            "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set \
             finalizers on: {why}"
        ))
    };
    let version = owner["apiVersion"].as_str().unwrap_or("");
    let kind = owner["kind"].as_str().unwrap_or("");
    let (group, version) = version.rsplit_once('/').unwrap_or(("", version));
    let registry = server.registry();
    let found = registry
        .group(group)
        .and_then(|group| group.versions.iter().find(|(name, _)| name == version))
        .and_then(|(_, entries)| entries.iter().find(|entry| entry.resource.kind == kind));
    let Some(entry) = found else {
        return Err(refuse(&format!("no matches for kind {kind:?} in version {version:?}")));
    };
    let namespace =
        if entry.resource.namespaced { attributes.namespace.clone() } else { String::new() };
    let action = Action {
        verb: "update".to_owned(),
        group: group.to_owned(),
        version: version.to_owned(),
        resource: entry.resource.plural.to_string(),
        subresource: "finalizers".to_owned(),
        namespace,
        name: owner["name"].as_str().unwrap_or("").to_owned(),
        path: String::new(),
    };
    server.authorize(&attributes.user, &action).await.map_err(|why| refuse(&why))
}
