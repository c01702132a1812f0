//! What every namespace has: the service account `default` and the authority's certificate.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use kube::api::PostParams;
use kube::runtime::controller::Action;
use kube::runtime::{Controller, watcher};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

/// How long is waited after a failure.
const RETRY: Duration = Duration::from_millis(500);

/// The config map with the certificate.
const AUTHORITY: &str = "kube-root-ca.crt";

struct Context {
    client: Client,
    authority: String,
}

/// Furnishes namespaces; never ends.
pub(crate) async fn run(client: Client, authority: String) {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let context = Arc::new(Context { client: client.clone(), authority });
    Controller::new(namespaces, watcher::Config::default())
        .owns(Api::<ServiceAccount>::all(client.clone()), watcher::Config::default())
        .watches(Api::<ServiceAccount>::all(client.clone()), watcher::Config::default(), |object| {
            object.namespace().map(|name| kube::runtime::reflector::ObjectRef::new(&name))
        })
        .watches(Api::<ConfigMap>::all(client), watcher::Config::default(), |object| {
            let ours = object.name_any() == AUTHORITY;
            object
                .namespace()
                .filter(|_| ours)
                .map(|name| kube::runtime::reflector::ObjectRef::new(&name))
        })
        .run(reconcile, |_, _, _| Action::requeue(RETRY), context)
        // What failed is told by its retry; there is nobody to tell else.
        .for_each(|_| std::future::ready(()))
        .await;
}

async fn reconcile(namespace: Arc<Namespace>, context: Arc<Context>) -> kube::Result<Action> {
    if namespace.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let name = namespace.name_any();
    let accounts: Api<ServiceAccount> = Api::namespaced(context.client.clone(), &name);
    if accounts.get_opt("default").await?.is_none() {
        let account = ServiceAccount {
            metadata: kube::api::ObjectMeta {
                name: Some("default".to_owned()),
                ..Default::default()
            },
            ..Default::default()
        };
        ignore_present(accounts.create(&PostParams::default(), &account).await.map(drop))?;
    }
    let maps: Api<ConfigMap> = Api::namespaced(context.client.clone(), &name);
    let wanted: ConfigMap = serde_json::from_value(json!({
        "metadata": {
            "name": AUTHORITY,
            "annotations": {
                "kubernetes.io/description": "Contains a CA bundle that can be used to verify \
                    the kube-apiserver when using internal endpoints such as the internal \
                    service IP or kubernetes.default.svc.",
            },
        },
        "data": {"ca.crt": context.authority},
    }))
    .map_err(kube::Error::SerdeError)?;
    match maps.get_opt(AUTHORITY).await? {
        None => ignore_present(maps.create(&PostParams::default(), &wanted).await.map(drop))?,
        Some(found) if found.data != wanted.data => {
            let mut wanted = wanted;
            wanted.metadata.resource_version = found.resource_version();
            maps.replace(AUTHORITY, &PostParams::default(), &wanted).await?;
        }
        Some(_) => {}
    }
    Ok(Action::await_change())
}

/// What somebody else made is as good; a namespace that is going needs none.
fn ignore_present(result: kube::Result<()>) -> kube::Result<()> {
    match result {
        Err(kube::Error::Api(status)) if matches!(status.code, 403 | 404 | 409) => Ok(()),
        other => other,
    }
}
