//! Looks at objects as they are now and acts: deletes, lets go, removes finalizers.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{
    DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, Preconditions,
    PropagationPolicy,
};
use kube::discovery::{Scope, oneshot};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

use super::graph::{Reach, Task};
use super::{FOREGROUND, ORPHAN};

/// What is done for one piece of work.
pub(super) struct Collector {
    pub(super) client: Client,
    pub(super) task: Task,
}

/// How an owner stands.
enum Standing {
    /// It is there.
    Solid,
    /// It is there and waits for its dependents to go.
    Waiting,
    /// It is not there.
    Dangling,
}

impl Collector {
    pub(super) async fn run(self) -> kube::Result<()> {
        match &self.task {
            Task::Nothing => Ok(()),
            Task::Dependent { object, has_dependents, waiting } => {
                self.dependent(object, *has_dependents, waiting).await
            }
            // The dependents are deleted by their own looks; this one only waits for them.
            Task::Foreground { object, blocking } if blocking.is_empty() => {
                self.remove_finalizer(object, FOREGROUND).await
            }
            Task::Foreground { .. } => Ok(()),
            Task::Orphan { object, dependents } => {
                for dependent in dependents {
                    self.let_go(dependent, &object.uid).await?;
                }
                self.remove_finalizer(object, ORPHAN).await
            }
        }
    }

    fn api(&self, object: &Reach) -> Api<DynamicObject> {
        match &object.namespace {
            Some(namespace) => {
                Api::namespaced_with(self.client.clone(), namespace, &object.resource)
            }
            None => Api::all_with(self.client.clone(), &object.resource),
        }
    }

    /// Reads an object, if it is still the one that is meant.
    async fn live(&self, object: &Reach) -> kube::Result<Option<DynamicObject>> {
        let found = self.api(object).get_opt(&object.name).await?;
        Ok(found.filter(|found| found.uid().as_deref() == Some(&*object.uid)))
    }

    /// Deletes an object that no owner holds; forgets owners that are gone where others remain.
    async fn dependent(
        &self,
        object: &Reach,
        has_dependents: bool,
        waiting: &BTreeSet<String>,
    ) -> kube::Result<()> {
        let Some(live) = self.live(object).await? else { return Ok(()) };
        let owners = live.owner_references();
        if owners.is_empty() || live.metadata.deletion_timestamp.is_some() {
            return Ok(());
        }
        let (mut solid, mut holding) = (Vec::new(), false);
        for owner in owners {
            let standing = if waiting.contains(&owner.uid) {
                Standing::Waiting
            } else {
                self.standing(object, owner).await?
            };
            match standing {
                Standing::Solid => solid.push(owner.clone()),
                Standing::Waiting => holding = true,
                Standing::Dangling => {}
            }
        }
        if !solid.is_empty() {
            if solid.len() < owners.len() {
                self.set_owners(object, &live, &solid).await?;
            }
            return Ok(());
        }
        let propagation_policy = if holding && has_dependents {
            // Its owner waits, so what it owns itself has to go before it.
            PropagationPolicy::Foreground
        } else if live.finalizers().iter().any(|one| one == ORPHAN) {
            PropagationPolicy::Orphan
        } else {
            PropagationPolicy::Background
        };
        let parameters = DeleteParams {
            propagation_policy: Some(propagation_policy),
            preconditions: Some(Preconditions {
                uid: Some(object.uid.clone()),
                resource_version: live.resource_version(),
            }),
            ..DeleteParams::default()
        };
        ignore_missing(self.api(object).delete(&object.name, &parameters).await.map(drop))
    }

    /// Asks the API how an owner stands.
    async fn standing(&self, object: &Reach, owner: &OwnerReference) -> kube::Result<Standing> {
        let (group, version) =
            owner.api_version.split_once('/').unwrap_or(("", &owner.api_version));
        let kind = GroupVersionKind::gvk(group, version, &owner.kind);
        let (resource, capabilities) = match oneshot::pinned_kind(&self.client, &kind).await {
            Ok(found) => found,
            // A kind that is not served (any more) has no objects.
            Err(kube::Error::Discovery(_)) => return Ok(Standing::Dangling),
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(Standing::Dangling),
            Err(other) => return Err(other),
        };
        let api: Api<DynamicObject> = match (capabilities.scope, &object.namespace) {
            (Scope::Cluster, _) => Api::all_with(self.client.clone(), &resource),
            // Owners are looked for in the namespace of what they own, never in another.
            (Scope::Namespaced, Some(namespace)) => {
                Api::namespaced_with(self.client.clone(), namespace, &resource)
            }
            (Scope::Namespaced, None) => return Ok(Standing::Dangling),
        };
        let Some(found) = api.get_opt(&owner.name).await? else { return Ok(Standing::Dangling) };
        if found.uid().as_deref() != Some(&*owner.uid) {
            return Ok(Standing::Dangling);
        }
        let waits = found.metadata.deletion_timestamp.is_some()
            && found.finalizers().iter().any(|one| one == FOREGROUND);
        Ok(if waits { Standing::Waiting } else { Standing::Solid })
    }

    /// Takes an owner out of an object's references.
    async fn let_go(&self, object: &Reach, owner: &str) -> kube::Result<()> {
        let Some(live) = self.live(object).await? else { return Ok(()) };
        let kept: Vec<OwnerReference> =
            live.owner_references().iter().filter(|one| one.uid != owner).cloned().collect();
        if kept.len() == live.owner_references().len() {
            return Ok(());
        }
        self.set_owners(object, &live, &kept).await
    }

    async fn set_owners(
        &self,
        object: &Reach,
        live: &DynamicObject,
        owners: &[OwnerReference],
    ) -> kube::Result<()> {
        let owners = if owners.is_empty() { json!(null) } else { json!(owners) };
        self.patch_metadata(object, live, json!({"ownerReferences": owners})).await
    }

    async fn remove_finalizer(&self, object: &Reach, finalizer: &str) -> kube::Result<()> {
        let Some(live) = self.live(object).await? else { return Ok(()) };
        let kept: Vec<&String> = live.finalizers().iter().filter(|one| *one != finalizer).collect();
        if kept.len() == live.finalizers().len() {
            return Ok(());
        }
        let kept = if kept.is_empty() { json!(null) } else { json!(kept) };
        self.patch_metadata(object, &live, json!({"finalizers": kept})).await
    }

    /// Patches the metadata of an object, if it is still as it was read.
    async fn patch_metadata(
        &self,
        object: &Reach,
        live: &DynamicObject,
        mut metadata: serde_json::Value,
    ) -> kube::Result<()> {
        metadata["uid"] = json!(object.uid);
        metadata["resourceVersion"] = json!(live.resource_version());
        let patch = Patch::Merge(json!({"metadata": metadata}));
        let patched = self.api(object).patch(&object.name, &PatchParams::default(), &patch).await;
        ignore_missing(patched.map(drop))
    }
}

/// What is gone already needs nothing done.
fn ignore_missing(result: kube::Result<()>) -> kube::Result<()> {
    match result {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other,
    }
}
