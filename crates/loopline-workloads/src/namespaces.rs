//! Namespaces that are being deleted: everything in them goes, then they do.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::controller::Action;
use kube::runtime::{Controller, watcher};
use kube::{Api, Client, ResourceExt as _};
use loopline_clock::Clock;
use serde_json::{Value, json};

use crate::resources::{self, Deletable};

/// How long content that has finalizers is waited for before it is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How long is waited after a failure.
const RETRY: Duration = Duration::from_millis(500);

/// The finalizer of namespaces in `spec.finalizers`.
const FINALIZER: &str = "kubernetes";

struct Context {
    client: Client,
    clock: Clock,
}

/// Empties namespaces that are being deleted; never ends.
pub(crate) async fn run(client: Client, clock: Clock) {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let context = Arc::new(Context { client, clock });
    Controller::new(namespaces, watcher::Config::default())
        .run(reconcile, |_, _, _| Action::requeue(RETRY), context)
        // What failed is told by its retry; there is nobody to tell else.
        .for_each(|_| std::future::ready(()))
        .await;
}

async fn reconcile(namespace: Arc<Namespace>, context: Arc<Context>) -> kube::Result<Action> {
    if namespace.metadata.deletion_timestamp.is_none() {
        return Ok(Action::await_change());
    }
    let held = namespace
        .spec
        .as_ref()
        .and_then(|spec| spec.finalizers.as_ref())
        .is_some_and(|finalizers| finalizers.iter().any(|one| one == FINALIZER));
    if !held {
        return Ok(Action::await_change());
    }
    let name = namespace.name_any();
    let left = empty(&context.client, &name).await?;
    tell(&context, &namespace, &left).await?;
    if !left.is_empty() {
        return Ok(Action::requeue(LOOK_AGAIN));
    }
    finalize(&context.client, &namespace).await?;
    Ok(Action::await_change())
}

/// What is left of a resource in a namespace.
struct Left {
    resource: String,
    count: usize,
    finalizers: Vec<String>,
}

/// Deletes everything in a namespace and returns what is left.
async fn empty(client: &Client, namespace: &str) -> kube::Result<Vec<Left>> {
    let mut left = Vec::new();
    for Deletable { resource, namespaced } in resources::deletable(client).await? {
        if !namespaced {
            continue;
        }
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
        let found = api.list_metadata(&ListParams::default()).await?;
        if found.items.is_empty() {
            continue;
        }
        let parameters = DeleteParams::background();
        if found.items.iter().any(|object| object.metadata.deletion_timestamp.is_none()) {
            api.delete_collection(&parameters, &ListParams::default()).await?;
        }
        let found = api.list_metadata(&ListParams::default()).await?;
        if found.items.is_empty() {
            continue;
        }
        let mut finalizers: Vec<String> =
            found.items.iter().flat_map(|object| object.finalizers().to_vec()).collect();
        finalizers.sort();
        finalizers.dedup();
        let group = &resource.group;
        let dot = if group.is_empty() { "" } else { "." };
        let name = format!("{}{dot}{group}", resource.plural);
        left.push(Left { resource: name, count: found.items.len(), finalizers });
    }
    // Events are no part of what is waited for, but do not outlive their namespace either.
    let events: Api<k8s_openapi::api::core::v1::Event> = Api::namespaced(client.clone(), namespace);
    events.delete_collection(&DeleteParams::background(), &ListParams::default()).await?;
    Ok(left)
}

/// Writes the conditions that say what is waited for.
async fn tell(context: &Context, namespace: &Namespace, left: &[Left]) -> kube::Result<()> {
    let now = context.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let condition = |kind: &str, bad: bool, reason: (&str, &str), message: String| {
        let status = if bad { "True" } else { "False" };
        json!({
            "type": kind, "status": status, "lastTransitionTime": now,
            "reason": if bad { reason.0 } else { reason.1 }, "message": message,
        })
    };
    let resources: Vec<String> = left
        .iter()
        .map(|one| format!("{} has {} resource instances", one.resource, one.count))
        .collect();
    let finalizers: Vec<String> = left
        .iter()
        .flat_map(|one| &one.finalizers)
        .map(|finalizer| format!("{finalizer} in {} resource instances", left.len()))
        .collect();
    let conditions = json!([
        condition(
            "NamespaceDeletionDiscoveryFailure",
            false,
            ("DiscoveryFailed", "ResourcesDiscovered"),
            "All resources successfully discovered".to_owned(),
        ),
        condition(
            "NamespaceDeletionContentFailure",
            false,
            ("ContentDeletionFailed", "ContentDeleted"),
            "All content successfully deleted, may be waiting on finalization".to_owned(),
        ),
        condition(
            "NamespaceContentRemaining",
            !left.is_empty(),
            ("SomeResourcesRemain", "ContentRemoved"),
            if left.is_empty() {
                "All content successfully removed".to_owned()
            } else {
                format!("Some resources are remaining: {}", resources.join(", "))
            },
        ),
        condition(
            "NamespaceFinalizersRemaining",
            !finalizers.is_empty(),
            ("SomeFinalizersRemain", "ContentHasNoFinalizers"),
            if finalizers.is_empty() {
                "All content-preserving finalizers finished".to_owned()
            } else {
                format!(
                    "Some content in the namespace has finalizers remaining: {}",
                    finalizers.join(", ")
                )
            },
        ),
    ]);
    if same(namespace, &conditions) {
        return Ok(());
    }
    let api: Api<Namespace> = Api::all(context.client.clone());
    let patch = json!({"status": {"conditions": conditions}});
    let patched = api
        .patch_status(&namespace.name_any(), &PatchParams::default(), &Patch::Merge(patch))
        .await;
    match patched {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other.map(drop),
    }
}

/// Returns whether conditions say what they said before, whenever that was.
fn same(namespace: &Namespace, conditions: &Value) -> bool {
    let key = |condition: &Value| {
        json!([condition["type"], condition["status"], condition["reason"], condition["message"]])
    };
    let old = serde_json::to_value(namespace).unwrap_or_default();
    let keys =
        |list: &Value| -> Vec<Value> { list.as_array().into_iter().flatten().map(key).collect() };
    keys(&old["status"]["conditions"]) == keys(conditions)
}

/// Takes our finalizer out of `spec.finalizers`, which lets the namespace go.
async fn finalize(client: &Client, namespace: &Namespace) -> kube::Result<()> {
    let api: Api<Namespace> = Api::all(client.clone());
    let Some(mut live) = api.get_opt(&namespace.name_any()).await? else { return Ok(()) };
    if live.uid() != namespace.uid() {
        return Ok(());
    }
    if let Some(finalizers) = live.spec.as_mut().and_then(|spec| spec.finalizers.as_mut()) {
        finalizers.retain(|one| one != FINALIZER);
    }
    let name = live.name_any();
    match api.replace_subresource("finalize", &name, &PostParams::default(), &live).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other.map(drop),
    }
}
