//! How much a namespace may have.

use loopline_apiserver::Server;
use serde_json::{Value, json};

use crate::support::{Served, ask, make, server};

fn pod(name: &str, resources: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "image": "x", "resources": resources}]}})
}

fn quota(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name}, "spec": spec})
}

/// Waits until a quota says that so much is used.
async fn wait_used(server: &Server, name: &str, expected: Value) {
    let path = format!("/api/v1/namespaces/default/resourcequotas/{name}");
    for _ in 0..10_000 {
        let quota = ask(server, "GET", &path, Value::Null).await.ok();
        if quota["status"]["used"] == expected {
            assert_eq!(quota["status"]["hard"], quota["spec"]["hard"]);
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("{}", ask(server, "GET", &path, Value::Null).await.ok());
}

#[tokio::test]
async fn what_goes_over_a_quota_is_refused() {
    let server = server();
    let hard = json!({"pods": "2", "requests.cpu": "1", "limits.memory": "1Gi",
        "count/deployments.apps": "1", "services.nodeports": "1", "configmaps": "1",
        "requests.storage": "1Gi"});
    make(&server, quota("q", json!({"hard": hard}))).await.ok();
    let small = json!({"requests": {"cpu": "400m"}, "limits": {"memory": "256Mi"}});
    assert_eq!(
        make(&server, pod("mute", json!({}))).await.refused(),
        (
            403,
            "pods \"mute\" is forbidden: failed quota: q: must specify limits.memory for: c; \
             requests.cpu for: c"
        )
    );
    make(&server, pod("a", small.clone())).await.ok();
    let big = json!({"requests": {"cpu": "700m"}, "limits": {"memory": "2Gi"}});
    assert_eq!(
        make(&server, pod("big", big)).await.refused().1,
        "pods \"big\" is forbidden: exceeded quota: q, requested: \
         limits.memory=2Gi,requests.cpu=700m, used: limits.memory=256Mi,requests.cpu=400m, \
         limited: limits.memory=1Gi,requests.cpu=1"
    );
    make(&server, pod("b", small.clone())).await.ok();
    let tiny = json!({"requests": {"cpu": "1m"}, "limits": {"memory": "1Mi"}});
    assert_eq!(
        make(&server, pod("c", tiny.clone())).await.refused().1,
        "pods \"c\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: \
         pods=2"
    );
    wait_used(
        &server,
        "q",
        json!({"configmaps": "0", "count/deployments.apps": "0", "limits.memory": "512Mi",
            "pods": "2", "requests.cpu": "800m", "requests.storage": "0",
            "services.nodeports": "0"}),
    )
    .await;
    // Pods that ended do not count.
    let ended = json!({"status": {"phase": "Succeeded"}});
    ask(&server, "PATCH", "/api/v1/namespaces/default/pods/a/status", ended).await.ok();
    make(&server, pod("c", tiny)).await.ok();
    let map =
        |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
    make(&server, map("m")).await.ok();
    assert_eq!(
        make(&server, map("n")).await.refused().1,
        "configmaps \"n\" is forbidden: exceeded quota: q, requested: configmaps=1, used: \
         configmaps=1, limited: configmaps=1"
    );
    ask(&server, "DELETE", "/api/v1/namespaces/default/configmaps/m", Value::Null).await.ok();
    make(&server, map("n")).await.ok();
    let service = |name: &str| {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"type": "NodePort", "ports": [{"port": 80}]}})
    };
    make(&server, service("s")).await.ok();
    assert_eq!(make(&server, service("t")).await.code, 403);
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "v"},
        "spec": {"accessModes": ["ReadWriteOnce"],
                 "resources": {"requests": {"storage": "2Gi"}}}});
    assert_eq!(make(&server, claim).await.code, 403);
    let deployment = |name: &str| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
            "spec": {"selector": {"matchLabels": {"a": "b"}},
                     "template": {"metadata": {"labels": {"a": "b"}},
                                  "spec": {"containers": [{"name": "c", "image": "x"}]}}}})
    };
    make(&server, deployment("d")).await.ok();
    assert_eq!(
        make(&server, deployment("e")).await.refused().1,
        "deployments.apps \"e\" is forbidden: exceeded quota: q, requested: \
         count/deployments.apps=1, used: count/deployments.apps=1, limited: \
         count/deployments.apps=1"
    );
}

#[tokio::test]
async fn quotas_with_scopes_are_about_some_pods() {
    let server = server();
    let best = json!({"hard": {"pods": "1"}, "scopes": ["BestEffort"]});
    make(&server, quota("best", best)).await.ok();
    let classes = json!({"hard": {"pods": "0"}, "scopeSelector": {"matchExpressions": [
        {"scopeName": "PriorityClass", "operator": "In", "values": ["system-node-critical"]}]}});
    make(&server, quota("critical", classes)).await.ok();
    make(&server, pod("a", json!({}))).await.ok();
    assert_eq!(make(&server, pod("b", json!({}))).await.code, 403);
    make(&server, pod("c", json!({"requests": {"cpu": "1"}}))).await.ok();
    let mut critical = pod("d", json!({"requests": {"cpu": "1"}}));
    critical["spec"]["priorityClassName"] = json!("system-node-critical");
    assert_eq!(
        make(&server, critical).await.refused().1,
        "pods \"d\" is forbidden: exceeded quota: critical, requested: pods=1, used: pods=0, \
         limited: pods=0"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writes_at_the_same_time_do_not_go_over_together() {
    let server = server();
    make(&server, quota("q", json!({"hard": {"configmaps": "10"}}))).await.ok();
    let tasks: Vec<_> = (0..64)
        .map(|number| {
            let server = server.clone();
            tokio::spawn(async move {
                let map = json!({"apiVersion": "v1", "kind": "ConfigMap",
                    "metadata": {"name": format!("m{number}")}});
                make(&server, map).await.code
            })
        })
        .collect();
    let mut made = 0;
    for task in tasks {
        match task.await.unwrap() {
            201 => made += 1,
            code => assert_eq!(code, 403),
        }
    }
    assert_eq!(made, 10);
    wait_used(&server, "q", json!({"configmaps": "10"})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_tells_of_quotas() {
    let served = Served::new().await;
    let run = ["create", "quota", "q", "--hard=pods=1"];
    let Some((ok, text)) = served.kubectl(&run).await else { return };
    assert!(ok, "{text}");
    for (arguments, expected) in [
        (&["run", "a", "--image=x"][..], "pod/a created\n"),
        (
            &["run", "b", "--image=x"],
            "Error from server (Forbidden): pods \"b\" is forbidden: exceeded quota: q, requested: \
             pods=1, used: pods=1, limited: pods=1\n",
        ),
    ] {
        let (_, text) = served.kubectl(arguments).await.unwrap();
        assert_eq!(text, expected, "{arguments:?}");
    }
    wait_used(&served.server, "q", json!({"pods": "1"})).await;
    let (_, text) = served.kubectl(&["get", "quota", "q", "--no-headers"]).await.unwrap();
    assert!(text.contains("pods: 1/1"), "{text}");
}
