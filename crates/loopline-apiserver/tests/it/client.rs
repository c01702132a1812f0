//! The client in the same process: kube-rs as controllers use it.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{AttachParams, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, ResourceExt as _};
use loopline_apiserver::auth::User;
use loopline_apiserver::{Options, Server};
use serde_json::json;

fn server() -> Server {
    Server::new(Options::ephemeral().unwrap())
}

fn config(name: &str, value: &str) -> ConfigMap {
    ConfigMap {
        metadata: kube::core::ObjectMeta { name: Some(name.to_owned()), ..Default::default() },
        data: Some(BTreeMap::from([("k".to_owned(), value.to_owned())])),
        ..ConfigMap::default()
    }
}

fn deployment() -> Deployment {
    serde_json::from_value(json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "c", "image": "nginx:1"}]},
            },
        },
    }))
    .unwrap()
}

#[tokio::test]
async fn a_request_that_nobody_polls_holds_nobody_up() {
    let maps: Api<ConfigMap> = Api::default_namespaced(server().client());
    let parameters = ListParams::default();
    // The first request prepares the server, which all others wait for. It begins to, and then
    // whoever asked is busy.
    let mut first = std::pin::pin!(maps.list(&parameters));
    for _ in 0..8 {
        tokio::select! {
            biased;
            _ = first.as_mut() => panic!("the server was prepared already"),
            () = tokio::task::yield_now() => {}
        }
    }
    let second = tokio::time::timeout(crate::support::PATIENCE, maps.list(&parameters)).await;
    second.expect("an answer while the first request waits").unwrap();
    first.await.unwrap();
}

#[tokio::test]
async fn objects_are_made_read_replaced_patched_and_deleted() {
    let maps: Api<ConfigMap> = Api::default_namespaced(server().client());
    let made = maps.create(&PostParams::default(), &config("a", "1")).await.unwrap();
    assert_eq!(made.namespace().as_deref(), Some("default"));
    let mut changed = made.clone();
    changed.data.as_mut().unwrap().insert("k".to_owned(), "2".to_owned());
    let replaced = maps.replace("a", &PostParams::default(), &changed).await.unwrap();
    assert_ne!(replaced.resource_version(), made.resource_version());
    let stale = maps.replace("a", &PostParams::default(), &changed).await.unwrap_err();
    assert!(matches!(&stale, kube::Error::Api(status) if status.is_conflict()), "{stale}");
    let patch = Patch::Merge(json!({"data": {"k": "3"}}));
    maps.patch("a", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(maps.get("a").await.unwrap().data.unwrap()["k"], "3");
    assert_eq!(maps.list(&ListParams::default().limit(1)).await.unwrap().items.len(), 1);
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    assert!(maps.get_opt("a").await.unwrap().is_none());
}

#[tokio::test]
async fn applied_fields_are_owned_and_status_and_scale_are_written_apart() {
    let deployments: Api<Deployment> = Api::default_namespaced(server().client());
    let apply = PatchParams::apply("a");
    deployments.patch("web", &apply, &Patch::Apply(deployment())).await.unwrap();
    let mut theirs = deployment();
    theirs.spec.as_mut().unwrap().replicas = Some(5);
    let refused = deployments
        .patch("web", &PatchParams::apply("b"), &Patch::Apply(&theirs))
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("conflict with \"a\""), "{refused}");
    deployments
        .patch("web", &PatchParams::apply("b").force(), &Patch::Apply(&theirs))
        .await
        .unwrap();
    assert_eq!(deployments.get_scale("web").await.unwrap().spec.unwrap().replicas, Some(5));
    let scale = Patch::Merge(json!({"spec": {"replicas": 3}}));
    deployments.patch_scale("web", &PatchParams::default(), &scale).await.unwrap();
    let status = Patch::Merge(json!({"status": {"replicas": 3}, "spec": {"replicas": 9}}));
    deployments.patch_status("web", &PatchParams::default(), &status).await.unwrap();
    let found = deployments.get("web").await.unwrap();
    assert_eq!(found.spec.unwrap().replicas, Some(3));
    assert_eq!(found.status.unwrap().replicas, Some(3));
}

#[tokio::test]
async fn watchers_see_what_was_and_what_comes_by_lists_and_by_streams() {
    for config_of_watch in
        [watcher::Config::default(), watcher::Config::default().streaming_lists()]
    {
        let maps: Api<ConfigMap> = Api::default_namespaced(server().client());
        maps.create(&PostParams::default(), &config("first", "1")).await.unwrap();
        let mut seen = std::pin::pin!(watcher(maps.clone(), config_of_watch).applied_objects());
        assert_eq!(seen.try_next().await.unwrap().unwrap().name_any(), "first");
        maps.create(&PostParams::default(), &config("second", "1")).await.unwrap();
        assert_eq!(seen.try_next().await.unwrap().unwrap().name_any(), "second");
    }
}

#[tokio::test]
async fn a_controller_reconciles_what_changes() {
    let client = server().client();
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    maps.create(&PostParams::default(), &config("a", "1")).await.unwrap();
    let reconcile = |object: Arc<ConfigMap>, maps: Arc<Api<ConfigMap>>| async move {
        let patch = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"annotations": {"seen": object.data.as_ref().unwrap()["k"]}},
        });
        let parameters = PatchParams::apply("seer").force();
        maps.patch(&object.name_any(), &parameters, &Patch::Apply(patch)).await?;
        Ok::<_, kube::Error>(Action::await_change())
    };
    let policy =
        |_: Arc<ConfigMap>, _: &kube::Error, _: Arc<Api<ConfigMap>>| Action::await_change();
    let controller = Controller::new(maps.clone(), watcher::Config::default());
    let mut runs = std::pin::pin!(controller.run(reconcile, policy, Arc::new(maps.clone())));
    let annotation = |object: &ConfigMap| object.annotations().get("seen").cloned();
    runs.next().await.unwrap().unwrap();
    assert_eq!(annotation(&maps.get("a").await.unwrap()).as_deref(), Some("1"));
    let patch = Patch::Merge(json!({"data": {"k": "2"}}));
    maps.patch("a", &PatchParams::default(), &patch).await.unwrap();
    while annotation(&maps.get("a").await.unwrap()).as_deref() != Some("2") {
        runs.next().await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_client_acts_as_its_user_and_switching_protocols_has_a_connection() {
    let client = server().client_as(User::anonymous());
    let pods: Api<Pod> = Api::default_namespaced(client);
    let refused = pods.exec("none", ["true"], &AttachParams::default()).await.err().unwrap();
    assert!(matches!(&refused, kube::Error::Api(status) if status.code == 404), "{refused}");
}
