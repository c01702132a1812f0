//! Roles and bindings decide, and nobody gives out more than they have.

use std::sync::Arc;

use loopline_apiserver::auth::{Rbac, User};
use loopline_apiserver::{Options, Server};
use serde_json::{Value, json};

use crate::support::ask_as;

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// Returns a server that decides by roles.
async fn server() -> Server {
    let mut options = Options::ephemeral().unwrap();
    options.authorizer = Arc::new(Rbac::new(Arc::clone(&options.store)));
    let server = Server::new(options);
    server.prepare().await.unwrap();
    let space = json!({"metadata": {"name": "d"}});
    make(&server, "/api/v1/namespaces", space).await;
    server
}

/// Returns a user who proved who they are.
fn user(name: &str) -> User {
    User {
        name: name.to_owned(),
        groups: vec!["system:authenticated".to_owned()],
        ..User::default()
    }
}

async fn ask(server: &Server, user: &User, method: &str, path: &str, body: Value) -> (u16, Value) {
    let answer = ask_as(server, user.clone(), method, path, body).await;
    (answer.code, answer.body)
}

/// Makes an object as the administrator.
async fn make(server: &Server, path: &str, body: Value) -> Value {
    ask_as(server, User::administrator(), "POST", path, body).await.ok()
}

fn role(name: &str, rules: Value) -> Value {
    json!({"metadata": {"name": name}, "rules": rules})
}

fn binding(name: &str, kind: &str, role: &str, user: &str) -> Value {
    json!({
        "metadata": {"name": name},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": user}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
    })
}

#[tokio::test]
async fn a_request_that_nobody_polls_keeps_no_one_from_deciding() {
    let server = server().await;
    let (ann, bob) = (user("ann"), user("bob"));
    let pods = "/api/v1/namespaces/d/pods";
    // The first decision reads the roles. It begins to, and then whoever asked is busy.
    let mut first = std::pin::pin!(ask(&server, &ann, "GET", pods, Value::Null));
    tokio::select! {
        biased;
        _ = first.as_mut() => panic!("the roles were not read"),
        () = std::future::ready(()) => {}
    }
    let second = ask(&server, &bob, "GET", pods, Value::Null);
    let second = tokio::time::timeout(crate::support::PATIENCE, second).await;
    assert_eq!(second.expect("an answer while the first request waits").0, 403);
    assert_eq!(first.await.0, 403);
}

#[tokio::test]
async fn a_binding_counts_as_soon_as_it_was_answered() {
    let server = server().await;
    let ann = user("ann");
    let pods = "/api/v1/namespaces/d/pods";
    let (code, status) = ask(&server, &ann, "GET", pods, Value::Null).await;
    assert_eq!(code, 403);
    assert_eq!(
        status["message"],
        "pods is forbidden: User \"ann\" cannot list resource \"pods\" in API group \"\" in the \
         namespace \"d\""
    );
    let roles = format!("{RBAC}/namespaces/d/roles");
    let bindings = format!("{RBAC}/namespaces/d/rolebindings");
    for round in 0..20 {
        let rules = json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]);
        make(&server, &roles, role("reader", rules)).await;
        make(&server, &bindings, binding("read", "Role", "reader", "ann")).await;
        assert_eq!(ask(&server, &ann, "GET", pods, Value::Null).await.0, 200, "round {round}");
        let admin = User::administrator();
        let one = format!("{bindings}/read");
        assert_eq!(ask(&server, &admin, "DELETE", &one, Value::Null).await.0, 200);
        assert_eq!(ask(&server, &ann, "GET", pods, Value::Null).await.0, 403, "round {round}");
        let one = format!("{roles}/reader");
        assert_eq!(ask(&server, &admin, "DELETE", &one, Value::Null).await.0, 200);
    }
}

#[tokio::test]
async fn view_edit_and_admin_are_put_together() {
    let server = server().await;
    let rules = json!([{"apiGroups": ["shop.test"], "resources": ["carts"], "verbs": ["get"]}]);
    let mut extra = role("carts", rules);
    extra["metadata"]["labels"] = json!({"rbac.authorization.k8s.io/aggregate-to-view": "true"});
    make(&server, &format!("{RBAC}/clusterroles"), extra).await;
    let bindings = format!("{RBAC}/namespaces/d/rolebindings");
    for who in ["view", "edit", "admin"] {
        make(&server, &bindings, binding(who, "ClusterRole", who, who)).await;
    }
    let review = |verb: &str, group: &str, resource: &str, namespace: &str| {
        json!({"spec": {"resourceAttributes": {
            "verb": verb, "group": group, "resource": resource, "namespace": namespace,
        }}})
    };
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    for (who, verb, group, resource, namespace, allowed) in [
        ("view", "get", "", "pods", "d", true),
        ("view", "get", "", "secrets", "d", false),
        ("view", "create", "", "pods", "d", false),
        ("view", "get", "shop.test", "carts", "d", true),
        ("admin", "get", "shop.test", "carts", "d", true),
        ("edit", "get", "", "secrets", "d", true),
        ("edit", "create", "apps", "deployments", "d", true),
        ("edit", "create", "rbac.authorization.k8s.io", "roles", "d", false),
        ("admin", "create", "rbac.authorization.k8s.io", "roles", "d", true),
        ("admin", "create", "", "pods", "other", false),
        ("admin", "list", "", "nodes", "", false),
    ] {
        let body = review(verb, group, resource, namespace);
        let (code, answer) = ask(&server, &user(who), "POST", path, body).await;
        assert_eq!(code, 201, "{answer}");
        assert_eq!(answer["status"]["allowed"], allowed, "{who} {verb} {resource} {namespace}");
    }
}

#[tokio::test]
async fn nobody_gives_out_more_than_they_have() {
    let server = server().await;
    let eve = user("eve");
    let bindings = format!("{RBAC}/namespaces/d/rolebindings");
    make(&server, &bindings, binding("eve", "ClusterRole", "admin", "eve")).await;
    let roles = format!("{RBAC}/namespaces/d/roles");
    let held = json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "create"]}]);
    let (code, answer) = ask(&server, &eve, "POST", &roles, role("ok", held.clone())).await;
    assert_eq!(code, 201, "{answer}");
    let more = json!([
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
    ]);
    let (code, answer) = ask(&server, &eve, "POST", &roles, role("more", more.clone())).await;
    assert_eq!(code, 403, "{answer}");
    assert_eq!(
        answer["message"],
        "roles.rbac.authorization.k8s.io \"more\" is forbidden: user \"eve\" \
         (groups=[\"system:authenticated\"]) is attempting to grant RBAC permissions not \
         currently held:\n{APIGroups:[\"\"], Resources:[\"nodes\"], Verbs:[\"get\" \"list\"]}"
    );
    let (code, _) =
        ask(&server, &eve, "PATCH", &format!("{roles}/ok"), json!({"rules": more})).await;
    assert_eq!(code, 403);
    let (code, answer) =
        ask(&server, &eve, "POST", &bindings, binding("up", "ClusterRole", "cluster-admin", "eve"))
            .await;
    assert_eq!(code, 403);
    assert!(
        answer["message"].as_str().is_some_and(|text| text
            .contains("rolebindings.rbac.authorization.k8s.io \"up\" is forbidden: user \"eve\"")),
        "{answer}"
    );
    let (code, _) =
        ask(&server, &eve, "POST", &bindings, binding("ok", "ClusterRole", "view", "bob")).await;
    assert_eq!(code, 201);
    // Who may bind, binds what they do not have.
    let rules = json!([{
        "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"],
        "verbs": ["bind"], "resourceNames": ["cluster-admin"],
    }]);
    make(&server, &format!("{RBAC}/clusterroles"), role("binder", rules)).await;
    make(
        &server,
        &format!("{RBAC}/clusterrolebindings"),
        binding("binder", "ClusterRole", "binder", "eve"),
    )
    .await;
    let (code, answer) =
        ask(&server, &eve, "POST", &bindings, binding("up", "ClusterRole", "cluster-admin", "eve"))
            .await;
    assert_eq!(code, 201, "{answer}");
}

#[tokio::test]
async fn nobody_in_particular_sees_only_what_is_public() {
    let server = server().await;
    let anonymous = User::anonymous();
    for (path, code) in [
        ("/healthz", 200),
        ("/livez", 200),
        ("/readyz", 200),
        ("/version", 200),
        ("/api", 403),
        ("/apis", 403),
        ("/openapi/v3", 403),
        ("/api/v1/namespaces/d", 403),
        ("/openid/v1/jwks", 403),
    ] {
        assert_eq!(ask(&server, &anonymous, "GET", path, Value::Null).await.0, code, "{path}");
    }
    for path in ["/api", "/apis", "/openapi/v3", "/version"] {
        let (code, answer) = ask(&server, &user("ann"), "GET", path, Value::Null).await;
        assert_eq!(code, 200, "{path} {answer}");
    }
    let (_, answer) = ask(&server, &anonymous, "GET", "/apis", Value::Null).await;
    assert_eq!(answer["message"], "forbidden: User \"system:anonymous\" cannot get path \"/apis\"");
    let (_, answer) = ask(&server, &anonymous, "GET", "/api/v1/namespaces/d", Value::Null).await;
    assert_eq!(
        answer["message"],
        "namespaces \"d\" is forbidden: User \"system:anonymous\" cannot get resource \
         \"namespaces\" in API group \"\" in the namespace \"d\""
    );
}
