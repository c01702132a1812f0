//! The controller against an API server in the same process: no cluster, no socket, no wait.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::runtime::wait::await_condition;
use loopline_apiserver::{Options, Server};
use serde_json::json;

#[tokio::test]
async fn greetings_follow_the_label() {
    let server = Server::new(Options::ephemeral().unwrap());
    let controller = tokio::spawn(loopline_example_controller::run(server.client()));
    let maps: Api<ConfigMap> = Api::default_namespaced(server.client());
    let map = |labels| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": labels});
    let made = map(json!({"name": "a", "labels": {"greet": "ada"}}));
    let other = map(json!({"name": "b"}));
    for one in [made, other] {
        let one = serde_json::from_value(one).unwrap();
        maps.create(&PostParams::default(), &one).await.unwrap();
    }
    let greeted = |wanted: &'static str| {
        move |map: Option<&ConfigMap>| {
            let data = map.and_then(|map| map.data.as_ref());
            data.and_then(|data| data.get("greeting")).is_some_and(|found| found == wanted)
        }
    };
    await_condition(maps.clone(), "a", greeted("hello, ada")).await.unwrap();
    let relabel = Patch::Merge(json!({"metadata": {"labels": {"greet": "grace"}}}));
    maps.patch("a", &PatchParams::default(), &relabel).await.unwrap();
    await_condition(maps.clone(), "a", greeted("hello, grace")).await.unwrap();
    assert!(maps.get("b").await.unwrap().data.is_none());
    controller.abort();
}
