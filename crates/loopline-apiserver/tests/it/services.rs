//! What every cluster has, what services get that there is only once, and where nothing is made.

use std::collections::BTreeSet;
use std::sync::Arc;

use loopline_apiserver::{Options, Server};
use loopline_store::object::{Durability, SqliteOptions, SqliteStore};
use serde_json::{Value, json};

use crate::support::{Served, ask, make, server};

fn service(name: &str, spec: Value) -> Value {
    let mut service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
    });
    for (key, value) in spec.as_object().unwrap() {
        service["spec"][key] = value.clone();
    }
    service
}

const SERVICES: &str = "/api/v1/namespaces/default/services";

#[tokio::test]
async fn a_new_cluster_has_what_every_cluster_has() {
    let server = server();
    for path in [
        "/api/v1/namespaces/default",
        "/api/v1/namespaces/kube-system",
        "/api/v1/namespaces/kube-public",
        "/api/v1/namespaces/kube-node-lease",
        "/api/v1/namespaces/kube-node-lease/serviceaccounts/default",
        "/apis/scheduling.k8s.io/v1/priorityclasses/system-cluster-critical",
        "/apis/scheduling.k8s.io/v1/priorityclasses/system-node-critical",
    ] {
        ask(&server, "GET", path, Value::Null).await.ok();
    }
    let kubernetes = ask(&server, "GET", &format!("{SERVICES}/kubernetes"), Value::Null).await.ok();
    assert_eq!(kubernetes["spec"]["clusterIP"], "10.96.0.1");
    assert_eq!(kubernetes["spec"]["ports"][0]["targetPort"], 6443);
}

#[tokio::test]
async fn nothing_is_made_where_there_is_no_namespace_or_where_it_goes() {
    let server = server();
    let map = |namespace: &str| {
        json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "m", "namespace": namespace}})
    };
    let answer = make(&server, map("nowhere")).await;
    assert_eq!(answer.refused(), (404, "namespaces \"nowhere\" not found"));
    for name in ["default", "kube-system", "kube-public"] {
        let path = format!("/api/v1/namespaces/{name}");
        let answer = ask(&server, "DELETE", &path, Value::Null).await;
        let message =
            format!("namespaces {name:?} is forbidden: this namespace may not be deleted");
        assert_eq!(answer.refused(), (403, &*message));
    }
    let space = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "going"}});
    make(&server, space).await.ok();
    make(&server, map("going")).await.ok();
    ask(&server, "DELETE", "/api/v1/namespaces/going", Value::Null).await.ok();
    let mut late = map("going");
    late["metadata"]["name"] = json!("late");
    let answer = make(&server, late).await;
    assert_eq!(
        answer.refused(),
        (
            403,
            "configmaps \"late\" is forbidden: unable to create new content in namespace going \
             because it is being terminated"
        )
    );
    assert_eq!(
        answer.body["details"]["causes"],
        json!([{
            "reason": "NamespaceTerminating",
            "message": "namespace going is being terminated",
            "field": "metadata.namespace",
        }])
    );
    // What is there can still be changed and deleted.
    let path = "/api/v1/namespaces/going/configmaps/m";
    ask(&server, "PATCH", path, json!({"data": {"a": "b"}})).await.ok();
    ask(&server, "DELETE", path, Value::Null).await.ok();
}

#[tokio::test]
async fn services_get_addresses_and_ports_of_their_own() {
    let server = server();
    let plain = make(&server, service("plain", json!({"wrong": 1}))).await;
    assert_eq!(plain.warnings, ["299 - \"unknown field \\\"spec.wrong\\\"\""]);
    let plain = plain.ok();
    let address = plain["spec"]["clusterIP"].as_str().unwrap().to_owned();
    assert!(address.starts_with("10."), "{address}");
    assert_eq!(plain["spec"]["clusterIPs"], json!([address]));
    assert_eq!(plain["spec"]["ipFamilies"], json!(["IPv4"]));
    assert_eq!(plain["spec"]["ipFamilyPolicy"], "SingleStack");
    let again = json!({"clusterIP": address});
    assert_eq!(
        make(&server, service("again", again.clone())).await.refused(),
        (
            422,
            &*format!(
                "Service \"again\" is invalid: spec.clusterIPs: Invalid value: [\"{address}\"]: \
                 failed to allocate IP {address}: provided IP is already allocated"
            )
        )
    );
    assert_eq!(
        make(&server, service("far", json!({"clusterIP": "10.0.0.1"}))).await.refused(),
        (
            422,
            "Service \"far\" is invalid: spec.clusterIPs: Invalid value: [\"10.0.0.1\"]: failed \
             to allocate IP 10.0.0.1: the provided IP (10.0.0.1) is not in the valid range. The \
             range of valid IPs is 10.96.0.0/12"
        )
    );
    // What a deleted service had can be had again.
    ask(&server, "DELETE", &format!("{SERVICES}/plain"), Value::Null).await.ok();
    make(&server, service("again", again)).await.ok();

    let ports = json!([
        {"name": "a", "port": 53, "protocol": "TCP", "nodePort": 30_053},
        {"name": "b", "port": 53, "protocol": "UDP"},
        {"name": "c", "port": 80},
    ]);
    let nodes = json!({"type": "NodePort", "ports": ports});
    let made = make(&server, service("nodes", nodes)).await.ok();
    assert_eq!(made["spec"]["ports"][1]["nodePort"], 30_053);
    let chosen = made["spec"]["ports"][2]["nodePort"].as_u64().unwrap();
    assert!((30_086..=32_767).contains(&chosen), "{chosen}");
    for (port, why) in [
        (30_053, "provided port is already allocated"),
        (8080, "provided port is not in the valid range. The range of valid ports is 30000-32767"),
    ] {
        let nodes = json!({"type": "NodePort", "ports": [{"port": 1, "nodePort": port}]});
        assert_eq!(
            make(&server, service("taken", nodes)).await.refused(),
            (
                422,
                &*format!(
                    "Service \"taken\" is invalid: spec.ports[0].nodePort: Invalid value: {port}: \
                     {why}"
                )
            )
        );
    }
}

#[tokio::test]
async fn changes_of_the_type_take_and_give_back() {
    let server = server();
    let path = format!("{SERVICES}/web");
    let ports = json!([{"port": 80, "nodePort": 31_000}]);
    let spec = json!({"type": "NodePort", "ports": ports, "clusterIP": "10.96.0.50"});
    make(&server, service("web", spec)).await.ok();
    // A replacement that leaves out what was allocated keeps it.
    let mut plain = service("web", json!({"type": "NodePort"}));
    let kept = ask(&server, "PUT", &path, plain.clone()).await.ok();
    assert_eq!(kept["spec"]["clusterIP"], "10.96.0.50");
    assert_eq!(kept["spec"]["ports"][0]["nodePort"], 31_000);
    plain["spec"]["type"] = json!("ClusterIP");
    let inner = ask(&server, "PATCH", &path, json!({"spec": {"type": "ClusterIP"}})).await.ok();
    assert!(inner["spec"]["ports"][0]["nodePort"].is_null(), "{inner}");
    let other = json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 31_000}]});
    make(&server, service("other", other)).await.ok();
    let change = json!({"spec": {"type": "ExternalName", "externalName": "example.com"}});
    let external = ask(&server, "PATCH", &path, change).await.ok();
    for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        assert!(external["spec"][field].is_null(), "{external}");
    }
    make(&server, service("heir", json!({"clusterIP": "10.96.0.50"}))).await.ok();
    let back = json!({"spec": {"type": "ClusterIP", "externalName": null}});
    let back = ask(&server, "PATCH", &path, back).await.ok();
    assert_ne!(back["spec"]["clusterIP"], "10.96.0.50");
    assert!(back["spec"]["clusterIP"].is_string());
    let moved = json!({"spec": {"clusterIP": "10.96.0.51", "clusterIPs": ["10.96.0.51"]}});
    let (code, message) = {
        let answer = ask(&server, "PATCH", &path, moved).await;
        let (code, message) = answer.refused();
        (code, message.to_owned())
    };
    assert_eq!(code, 422);
    assert!(message.contains("may not change once set"), "{message}");
    let headless = make(&server, service("headless", json!({"clusterIP": "None"}))).await.ok();
    assert_eq!(headless["spec"]["clusterIPs"], json!(["None"]));
    assert_eq!(headless["spec"]["ipFamilyPolicy"], "SingleStack");
    let free = service("free", json!({"clusterIP": "None", "selector": {}}));
    let free = make(&server, free).await.ok();
    assert_eq!(free["spec"]["ipFamilies"], json!(["IPv4", "IPv6"]));
    assert_eq!(free["spec"]["ipFamilyPolicy"], "RequireDualStack");
    let dual = make(&server, service("dual", json!({"ipFamilyPolicy": "RequireDualStack"}))).await;
    assert_eq!(
        dual.refused().1,
        "Service \"dual\" is invalid: spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": \
         this cluster is not configured for dual-stack services"
    );
    let six = make(&server, service("six", json!({"ipFamilies": ["IPv6"]}))).await;
    assert_eq!(
        six.refused().1,
        "Service \"six\" is invalid: spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured \
         on this cluster"
    );
}

#[tokio::test]
async fn a_write_that_does_not_happen_gives_back_what_it_reserved() {
    let server = server();
    let spec = json!({"type": "NodePort", "clusterIP": "10.96.0.60",
        "ports": [{"port": 80, "nodePort": 31_060}]});
    let dry = ask(&server, "POST", &format!("{SERVICES}?dryRun=All"), service("dry", spec.clone()))
        .await
        .ok();
    assert_eq!(dry["spec"]["clusterIP"], "10.96.0.60");
    make(&server, service("first", spec)).await.ok();
    // The address is reserved before the port turns out to be taken.
    let half = json!({"type": "NodePort", "clusterIP": "10.96.0.61",
        "ports": [{"port": 80, "nodePort": 31_060}]});
    assert_eq!(make(&server, service("half", half)).await.code, 422);
    let same = json!({"clusterIP": "10.96.0.61"});
    assert_eq!(make(&server, service("first", same.clone())).await.code, 409);
    make(&server, service("second", same)).await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_creations_at_once_never_get_the_same() {
    let server = server();
    let tasks: Vec<_> = (0..64)
        .map(|number| {
            let server = server.clone();
            tokio::spawn(async move {
                let name = format!("s{number}");
                make(&server, service(&name, json!({"type": "NodePort"}))).await.ok()
            })
        })
        .collect();
    let (mut addresses, mut ports) = (BTreeSet::new(), BTreeSet::new());
    for task in tasks {
        let made = task.await.unwrap();
        addresses.insert(made["spec"]["clusterIP"].as_str().unwrap().to_owned());
        ports.insert(made["spec"]["ports"][0]["nodePort"].as_u64().unwrap());
    }
    assert_eq!((addresses.len(), ports.len()), (64, 64));
    // The same address, asked for by many: one gets it.
    let tasks: Vec<_> = (0..64)
        .map(|number| {
            let server = server.clone();
            tokio::spawn(async move {
                let name = format!("t{number}");
                make(&server, service(&name, json!({"clusterIP": "10.96.0.70"}))).await.code
            })
        })
        .collect();
    let mut codes = Vec::new();
    for task in tasks {
        codes.push(task.await.unwrap());
    }
    assert_eq!(codes.iter().filter(|code| **code == 201).count(), 1, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| **code == 422).count(), 63, "{codes:?}");
}

#[tokio::test]
async fn reservations_are_rebuilt_from_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        let store = SqliteStore::open(&SqliteOptions {
            folder: folder.path().to_owned(),
            durability: Durability::Full,
            owner: "a test".to_owned(),
        });
        let mut options = Options::ephemeral().unwrap();
        options.store = Arc::new(store.unwrap());
        Server::new(options)
    };
    let before = open();
    make(&before, service("a", json!({"clusterIP": "10.96.0.80"}))).await.ok();
    drop(before);
    let after = open();
    assert_eq!(make(&after, service("b", json!({"clusterIP": "10.96.0.80"}))).await.code, 422);
    let path = format!("{SERVICES}/a");
    ask(&after, "DELETE", &path, Value::Null).await.ok();
    make(&after, service("b", json!({"clusterIP": "10.96.0.80"}))).await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_makes_and_exposes_services() {
    let served = Served::new().await;
    let run = ["create", "service", "nodeport", "web", "--tcp=80:8080", "--node-port=30100"];
    let Some((ok, text)) = served.kubectl(&run).await else { return };
    assert!(ok, "{text}");
    for (arguments, expected) in [
        (
            &["create", "deployment", "app", "--image=nginx:1", "--port=80"][..],
            "deployment.apps/app created\n",
        ),
        (&["expose", "deployment", "app", "--port=80"], "service/app exposed\n"),
        (
            &["expose", "deployment", "app", "--name=n", "--type=NodePort", "--port=80"],
            "service/n exposed\n",
        ),
        (&["create", "service", "clusterip", "none", "--clusterip=None"], "service/none created\n"),
        (
            &["create", "service", "externalname", "e", "--external-name=example.com"],
            "service/e created\n",
        ),
        (
            &["create", "service", "nodeport", "b", "--tcp=80", "--node-port=30100"],
            "error: failed to create NodePort service: Service \"b\" is invalid: \
             spec.ports[0].nodePort: Invalid value: 30100: provided port is already allocated\n",
        ),
        (
            &["-n", "nowhere", "create", "configmap", "m"],
            "error: failed to create configmap: namespaces \"nowhere\" not found\n",
        ),
        (
            &["delete", "namespace", "default"],
            "Error from server (Forbidden): namespaces \"default\" is forbidden: this namespace \
             may not be deleted\n",
        ),
        (&["get", "service", "web", "-o", "jsonpath={.spec.ports[0].nodePort}"], "30100"),
    ] {
        let (_, text) = served.kubectl(arguments).await.unwrap();
        assert_eq!(text, expected, "{arguments:?}");
    }
}
