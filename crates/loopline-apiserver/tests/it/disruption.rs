//! Evictions, bindings, parts of pods, approvals, metrics.

use std::sync::Arc;

use loopline_apiserver::metrics::{Metrics, MetricsFuture, NodeUsage, PodUsage, Usage, Window};
use loopline_apiserver::{Options, Server};
use serde_json::{Value, json};

use crate::support::{Served, ask, make, server};

const PODS: &str = "/api/v1/namespaces/default/pods";

async fn pod(server: &Server, name: &str) {
    make(server, json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "a"}},
        "spec": {"containers": [{"name": "c", "image": "i"}], "terminationGracePeriodSeconds": 0},
    }))
    .await
    .ok();
}

async fn bind(server: &Server, name: &str) -> crate::support::Answer {
    let binding = json!({
        "apiVersion": "v1", "kind": "Binding", "metadata": {"name": name},
        "target": {"apiVersion": "v1", "kind": "Node", "name": "here"},
    });
    ask(server, "POST", &format!("{PODS}/{name}/binding"), binding).await
}

async fn run(server: &Server, name: &str) {
    let status = json!({"status": {
        "phase": "Running", "conditions": [{"type": "Ready", "status": "True"}],
    }});
    ask(server, "PATCH", &format!("{PODS}/{name}/status"), status).await.ok();
}

async fn evict(server: &Server, name: &str, query: &str) -> crate::support::Answer {
    let eviction = json!({
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name},
    });
    ask(server, "POST", &format!("{PODS}/{name}/eviction{query}"), eviction).await
}

async fn budget(server: &Server, name: &str, allowed: i64) {
    make(
        server,
        json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "a"}}},
        }),
    )
    .await
    .ok();
    let path = format!("/apis/policy/v1/namespaces/default/poddisruptionbudgets/{name}/status");
    let status = json!({"status": {
        "observedGeneration": 1, "disruptionsAllowed": allowed, "currentHealthy": 1,
        "desiredHealthy": 1, "expectedPods": 2,
    }});
    ask(server, "PATCH", &path, status).await.ok();
}

#[tokio::test]
async fn pods_are_bound_once() {
    let server = server();
    pod(&server, "a").await;
    assert_eq!(bind(&server, "a").await.ok()["status"], "Success");
    let again = bind(&server, "a").await;
    let message = "Operation cannot be fulfilled on pods/binding \"a\": pod a is already assigned \
                   to node \"here\"";
    assert_eq!(again.refused(), (409, message));
    let found = ask(&server, "GET", &format!("{PODS}/a"), Value::Null).await.ok();
    assert_eq!(found["spec"]["nodeName"], "here");
    assert_eq!(found["status"]["conditions"][0]["type"], "PodScheduled");
    pod(&server, "b").await;
    make(
        &server,
        json!({
            "apiVersion": "v1", "kind": "Binding", "metadata": {"name": "b"},
            "target": {"kind": "Node", "name": "there"},
        }),
    )
    .await
    .ok();
    let found = ask(&server, "GET", &format!("{PODS}/b"), Value::Null).await.ok();
    assert_eq!(found["spec"]["nodeName"], "there");
}

#[tokio::test]
async fn evictions_keep_to_budgets() {
    let server = server();
    for name in ["a", "b"] {
        pod(&server, name).await;
        bind(&server, name).await.ok();
        run(&server, name).await;
    }
    budget(&server, "one", 1).await;
    evict(&server, "a", "?dryRun=All").await.ok();
    ask(&server, "GET", &format!("{PODS}/a"), Value::Null).await.ok();
    assert_eq!(evict(&server, "a", "").await.ok()["status"], "Success");
    let path = "/apis/policy/v1/namespaces/default/poddisruptionbudgets/one";
    let found = ask(&server, "GET", path, Value::Null).await.ok();
    assert_eq!(found["status"]["disruptionsAllowed"], 0);
    assert!(found["status"]["disruptedPods"]["a"].is_string(), "{found}");
    let refused = evict(&server, "b", "").await;
    let message = "Cannot evict pod as it would violate the pod's disruption budget.";
    assert_eq!(refused.refused(), (429, message));
    let cause = &refused.body["details"]["causes"][0];
    assert_eq!(cause["reason"], "DisruptionBudget");
    assert_eq!(
        cause["message"],
        "The disruption budget one needs 1 healthy pods and has 1 currently"
    );
    budget(&server, "two", 1).await;
    let refused = evict(&server, "b", "").await;
    assert_eq!(refused.refused().0, 500);
    assert!(refused.refused().1.contains("more than one PodDisruptionBudget"), "{refused:?}");
    pod(&server, "c").await;
    evict(&server, "c", "").await.ok();
    let gone = ask(&server, "GET", &format!("{PODS}/c"), Value::Null).await;
    assert_eq!(gone.code, 404, "a pod that never ran counts in no budget");
}

#[tokio::test]
async fn parts_change_nothing_else() {
    let server = server();
    pod(&server, "a").await;
    let path = format!("{PODS}/a/ephemeralcontainers");
    let patch = json!({
        "metadata": {"labels": {"other": "x"}},
        "spec": {
            "activeDeadlineSeconds": 5, "ephemeralContainers": [{"name": "debug", "image": "d"}],
        },
    });
    let found = ask(&server, "PATCH", &path, patch).await.ok();
    assert_eq!(found["spec"]["ephemeralContainers"][0]["name"], "debug");
    assert!(found["spec"]["activeDeadlineSeconds"].is_null(), "{found}");
    assert!(found["metadata"]["labels"]["other"].is_null(), "{found}");
    let removed = json!({"spec": {"ephemeralContainers": null}});
    assert_eq!(ask(&server, "PATCH", &path, removed).await.refused().0, 422);

    let resources = json!({"requests": {"cpu": "1"}});
    let containers = json!([{"name": "c", "image": "other", "resources": resources}]);
    let path = format!("{PODS}/a/resize");
    let patch = json!({"spec": {"containers": containers}});
    let answer = ask(&server, "PATCH", &path, patch).await;
    let found = ask(&server, "GET", &format!("{PODS}/a"), Value::Null).await.ok();
    assert_eq!(found["spec"]["containers"][0]["image"], "i", "{answer:?}");
}

#[tokio::test]
async fn metrics_are_told_by_their_provider() {
    let bare = server();
    let refused = ask(&bare, "GET", "/apis/metrics.k8s.io/v1beta1/nodes", Value::Null).await;
    let message = "the server is currently unable to handle the request";
    assert_eq!(refused.refused(), (503, message));
}

struct Fixed;

impl Metrics for Fixed {
    fn nodes(&self) -> MetricsFuture<'_, NodeUsage> {
        let node = NodeUsage {
            name: "here".to_owned(),
            labels: json!({}),
            window: window(),
            usage: Usage { cpu_nanos: 250_000_000, memory_bytes: 512 << 20 },
        };
        Box::pin(std::future::ready(Ok(vec![node])))
    }

    fn pods<'a>(&'a self, _: &'a str) -> MetricsFuture<'a, PodUsage> {
        let pod = PodUsage {
            namespace: "default".to_owned(),
            name: "a".to_owned(),
            labels: json!({"app": "a"}),
            window: window(),
            containers: vec![(
                "c".to_owned(),
                Usage { cpu_nanos: 7_000_000, memory_bytes: 3 << 20 },
            )],
        };
        Box::pin(std::future::ready(Ok(vec![pod])))
    }
}

fn window() -> Window {
    Window { end: "2026-01-01T00:00:00Z".parse().unwrap(), seconds: 15 }
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_tops_and_drains() {
    let mut options = Options::ephemeral().unwrap();
    options.metrics = Some(Arc::new(Fixed));
    let served = Served::of(Server::new(options)).await;
    let server = &served.server;
    make(server, json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "here"}}))
        .await
        .ok();
    let status = json!({"status": {"allocatable": {"cpu": "1", "memory": "1Gi"}}});
    ask(server, "PATCH", "/api/v1/nodes/here/status", status).await.ok();
    let Some((ok, text)) = served.kubectl(&["top", "nodes"]).await else { return };
    assert!(
        ok && text.contains("250m") && text.contains("512Mi") && text.contains("50%"),
        "{text}"
    );
    let Some((ok, text)) = served.kubectl(&["top", "pods", "-l", "app=a"]).await else { return };
    assert!(ok && text.contains("7m") && text.contains("3Mi"), "{text}");
    pod(server, "a").await;
    bind(server, "a").await.ok();
    run(server, "a").await;
    let drain = ["drain", "here", "--force", "--timeout=60s"];
    let Some((ok, text)) = served.kubectl(&drain).await else { return };
    assert!(ok && text.contains("pod/a evicted") && text.contains("node/here drained"), "{text}");
}
