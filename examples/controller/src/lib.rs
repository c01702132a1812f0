//! A controller as kube-rs has them: each ConfigMap with the label `greet` gets a greeting.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::watcher::Config;
use kube::{Client, ResourceExt as _};
use serde_json::json;

/// Greets until the client's server is gone.
pub async fn run(client: Client) {
    Controller::new(Api::<ConfigMap>::all(client.clone()), Config::default().labels("greet"))
        .run(greet, |_, _, _| Action::requeue(Duration::from_secs(5)), Arc::new(client))
        .for_each(|_| std::future::ready(()))
        .await;
}

async fn greet(map: Arc<ConfigMap>, client: Arc<Client>) -> kube::Result<Action> {
    let maps: Api<ConfigMap> =
        Api::namespaced((*client).clone(), &map.namespace().unwrap_or_default());
    let data = json!({"greeting": format!("hello, {}", map.labels()["greet"])});
    let patch = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": data});
    maps.patch(&map.name_any(), &PatchParams::apply("greeter"), &Patch::Apply(patch)).await?;
    Ok(Action::await_change())
}
