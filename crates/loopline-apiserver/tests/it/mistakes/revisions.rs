//! Revisions and generations: what counts as a write, and what happens when two meet.

use serde_json::json;

use super::*;

/// Mistake 1: a write that changes nothing gets a new revision and tells watchers.
#[tokio::test]
async fn writes_that_change_nothing_leave_no_trace() {
    let api = Api::new().await;
    let path = format!("{DEPLOYMENTS}/web");
    let config = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"labels": {"tier": "front"}, "name": "web"},
    });
    api.post(DEPLOYMENTS, &deployment("web")).await.ok();
    let made = api.apply(&path, "tester", &config).await.ok();
    let before = revision(&made).to_owned();
    let mut watch = api.watch(&format!("{DEPLOYMENTS}?watch=1&resourceVersion={before}")).await;
    let mut without_revision = made.clone();
    without_revision["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "nginx:1"}]}}}});
    let answers = [
        api.put(&path, &made).await,
        api.put(&path, &without_revision).await,
        api.put(&format!("{path}?fieldManager=another"), &made).await,
        api.patch(&path, MERGE, &json!({})).await,
        api.patch(&path, MERGE, &json!({"spec": {"replicas": 2, "paused": null}})).await,
        api.patch(&path, STRATEGIC, &image).await,
        api.patch(&path, PATCH, &json!([{"op": "replace", "path": "/spec/replicas", "value": 2}]))
            .await,
        api.apply(&path, "tester", &config).await,
        api.patch(&format!("{path}/scale"), MERGE, &json!({"spec": {"replicas": 2}})).await,
        api.patch(&format!("{path}/status"), MERGE, &json!({"status": {}})).await,
    ];
    for (index, answer) in answers.into_iter().enumerate() {
        assert_eq!(revision(&answer.ok()), before, "write {index}");
    }
    let changed = api.patch(&path, MERGE, &json!({"spec": {"replicas": 3}})).await.ok();
    let (kind, _, seen) = watch.seen().await;
    assert_eq!((kind.as_str(), seen.as_str()), ("MODIFIED", revision(&changed)));
}

/// Mistake 2: a watch from a revision begins with what was written at that revision.
#[tokio::test]
async fn a_watch_from_a_revision_begins_after_it() {
    let api = Api::new().await;
    let a = api.post(MAPS, &map("a", json!({}))).await.ok();
    let b = api.post(MAPS, &map("b", json!({}))).await.ok();
    let from = |revision: &str| format!("{MAPS}?watch=true&resourceVersion={revision}");
    let mut after_a = api.watch(&from(revision(&a))).await;
    let mut after_b = api.watch(&from(revision(&b))).await;
    let list = api.get(MAPS).await.ok();
    let mut after_list = api.watch(&from(revision(&list))).await;
    let c = api.post(MAPS, &map("c", json!({}))).await.ok();
    let added = |object: &Value| {
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        ("ADDED".to_owned(), name, revision(object).to_owned())
    };
    assert_eq!(after_a.seen().await, added(&b));
    assert_eq!(after_a.seen().await, added(&c));
    assert_eq!(after_b.seen().await, added(&c));
    assert_eq!(after_list.seen().await, added(&c));
}

/// Mistake 4: a write of the status counts as a new generation, or changes the rest.
#[tokio::test]
async fn only_what_is_asked_for_has_generations() {
    let api = Api::new().await;
    let path = format!("{DEPLOYMENTS}/web");
    let generation = |object: &Value| object["metadata"]["generation"].as_i64();
    let mut asked = deployment("web");
    asked["metadata"]["generation"] = json!(7);
    asked["status"] = json!({"replicas": 5});
    let made = api.post(DEPLOYMENTS, &asked).await.ok();
    assert_eq!((generation(&made), &made["status"]["replicas"]), (Some(1), &json!(null)));
    let status = json!({
        "spec": {"replicas": 9}, "metadata": {"labels": {"a": "b"}},
        "status": {"replicas": 2, "observedGeneration": 1},
    });
    let told = api.patch(&format!("{path}/status"), MERGE, &status).await.ok();
    assert_eq!((generation(&told), &told["status"]["replicas"]), (Some(1), &json!(2)));
    assert_eq!(told["spec"]["replicas"], 2);
    let labelled = api.patch(&path, MERGE, &json!({"metadata": {"labels": {"x": "y"}}})).await.ok();
    assert_eq!(generation(&labelled), Some(1));
    // The main resource does not write the status, and that alone is no change.
    let main = api.patch(&path, MERGE, &json!({"status": {"replicas": 8}})).await.ok();
    assert_eq!((&main["status"]["replicas"], revision(&main)), (&json!(2), revision(&labelled)));
    let scaled = api
        .patch(&path, MERGE, &json!({"spec": {"replicas": 3}, "metadata": {"generation": 40}}))
        .await
        .ok();
    assert_eq!((generation(&scaled), &scaled["status"]["replicas"]), (Some(2), &json!(2)));
}

/// Mistake 5: patches that race lose updates, or are refused with a conflict that the client did
/// not ask for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patches_that_race_are_all_kept() {
    const WRITERS: usize = 48;
    let api = std::sync::Arc::new(Api::new().await);
    api.post(MAPS, &map("m", json!({}))).await.ok();
    let path = format!("{MAPS}/m");
    let mut writers = tokio::task::JoinSet::new();
    for index in 0..WRITERS {
        let (api, path) = (std::sync::Arc::clone(&api), path.clone());
        writers.spawn(async move {
            let patch = json!({"data": {format!("key-{index}"): "v"}});
            let kind = if index % 2 == 0 { MERGE } else { STRATEGIC };
            api.patch(&path, kind, &patch).await.ok();
        });
    }
    writers.join_all().await;
    let data = api.get(&path).await.ok()["data"].clone();
    assert_eq!(data.as_object().unwrap().len(), WRITERS);
    // A patch that names a revision does ask for a conflict.
    let stale = json!({"metadata": {"resourceVersion": "1"}, "data": {"late": "v"}});
    let refused = api.patch(&path, MERGE, &stale).await;
    assert_eq!(
        refused.refused(),
        (
            409,
            "Conflict",
            "Operation cannot be fulfilled on configmaps \"m\": the object has been modified; \
             please apply your changes to the latest version and try again"
        )
    );
}

/// Mistake 6: a custom resource is replaced by a body without a revision.
#[tokio::test]
async fn custom_resources_are_only_replaced_knowingly() {
    let api = Api::new().await;
    let toys = api
        .define(json!({"spec": {"type": "object", "properties": {"n": {"type": "integer"}}}}))
        .await;
    let toy = |n: u32| {
        json!({
            "apiVersion": "example.com/v1", "kind": "Toy", "metadata": {"name": "a"}, "spec": {"n": n},
        })
    };
    let made = api.post(toys, &toy(1)).await.ok();
    let path = format!("{toys}/a");
    let refused = api.put(&path, &toy(2)).await;
    assert_eq!(
        refused.refused(),
        (
            422,
            "Invalid",
            "toys.example.com \"a\" is invalid: metadata.resourceVersion: Invalid value: 0x0: must \
             be specified for an update"
        )
    );
    assert_eq!(refused.body["details"]["causes"][0]["field"], "metadata.resourceVersion");
    assert_eq!(api.get(&path).await.ok()["spec"]["n"], 1);
    let mut knowing = toy(2);
    knowing["metadata"]["resourceVersion"] = made["metadata"]["resourceVersion"].clone();
    assert_eq!(api.put(&path, &knowing).await.ok()["spec"]["n"], 2);
    assert_eq!(api.put(&path, &knowing).await.refused().1, "Conflict");
    // A built-in kind may be replaced without one.
    api.post(MAPS, &map("m", json!({"k": "1"}))).await.ok();
    assert_eq!(
        api.put(&format!("{MAPS}/m"), &map("m", json!({"k": "2"}))).await.ok()["data"]["k"],
        "2"
    );
}

/// Mistake 13: a replacement makes what is not there.
#[tokio::test]
async fn replacing_what_is_not_there_is_refused() {
    let api = Api::new().await;
    let refused = api.put(&format!("{MAPS}/m"), &map("m", json!({}))).await;
    assert_eq!(refused.refused(), (404, "NotFound", "configmaps \"m\" not found"));
    assert_eq!(refused.body["details"], json!({"name": "m", "kind": "configmaps"}));
    for kind in [MERGE, STRATEGIC] {
        let refused = api.patch(&format!("{DEPLOYMENTS}/w"), kind, &json!({"spec": {}})).await;
        assert_eq!(refused.refused(), (404, "NotFound", "deployments.apps \"w\" not found"));
    }
    assert_eq!(api.get(&format!("{MAPS}/m")).await.code, 404);
    // A few kinds are made so in every cluster, leases among them.
    let leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"},
        "spec": {"holderIdentity": "me"},
    });
    let made = api.put(&format!("{leases}/l"), &lease).await;
    assert_eq!(made.code, 201, "{}", made.body);
    assert_eq!(api.get(&format!("{leases}/l")).await.ok()["spec"]["holderIdentity"], "me");
}

/// Mistake 14: an object is made that brings the revision of another.
#[tokio::test]
async fn new_objects_have_no_revision_of_their_own() {
    let api = Api::new().await;
    let mut object = map("m", json!({}));
    object["metadata"]["resourceVersion"] = json!("1");
    let refused = api.post(MAPS, &object).await;
    assert_eq!(
        refused.refused(),
        (400, "BadRequest", "resourceVersion should not be set on objects to be created")
    );
    // An empty one is none; what else the server sets is not taken from the client.
    object["metadata"]["resourceVersion"] = json!("");
    object["metadata"]["uid"] = json!("mine");
    object["metadata"]["creationTimestamp"] = json!("2001-01-01T00:00:00Z");
    object["metadata"]["selfLink"] = json!("/somewhere");
    let made = api.post(MAPS, &object).await.ok();
    assert_ne!(made["metadata"]["uid"], "mine");
    assert_ne!(made["metadata"]["creationTimestamp"], "2001-01-01T00:00:00Z");
    assert!(made["metadata"].get("selfLink").is_none());
    let again = api.post(MAPS, &map("m", json!({}))).await;
    assert_eq!(again.refused(), (409, "AlreadyExists", "configmaps \"m\" already exists"));
}

/// Mistake 18: objects of the same name in different namespaces, or of names that begin alike,
/// are mistaken for each other.
#[tokio::test]
async fn names_belong_to_their_namespace() {
    let api = Api::new().await;
    for name in ["team", "team-a"] {
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        api.post("/api/v1/namespaces", &namespace).await.ok();
    }
    let maps = |namespace: &str| format!("/api/v1/namespaces/{namespace}/secrets");
    let secret = |name: &str, value: &str| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"k": value},
        })
    };
    for (namespace, value) in [("default", "d"), ("team", "t"), ("team-a", "a")] {
        api.post(&maps(namespace), &secret("s", value)).await.ok();
    }
    let longer = api.post(&maps("team"), &secret("s-2", "x")).await.ok();
    let names = |list: Value| -> Vec<String> {
        list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|object| {
                let metadata = &object["metadata"];
                format!(
                    "{}/{}",
                    metadata["namespace"].as_str().unwrap(),
                    metadata["name"].as_str().unwrap()
                )
            })
            .collect()
    };
    assert_eq!(names(api.get(&maps("team")).await.ok()), ["team/s", "team/s-2"]);
    assert_eq!(
        names(api.get("/api/v1/secrets").await.ok()),
        ["default/s", "team-a/s", "team/s", "team/s-2"]
    );
    let by_name = format!(
        "{}?watch=1&fieldSelector=metadata.name%3Ds&resourceVersion={}",
        maps("team"),
        revision(&longer)
    );
    let mut watch = api.watch(&by_name).await;
    let merge = |value: &str| json!({"stringData": {"k": value}});
    api.patch(&format!("{}/s-2", maps("team")), MERGE, &merge("y")).await.ok();
    api.patch(&format!("{}/s", maps("team-a")), MERGE, &merge("y")).await.ok();
    api.delete(&format!("{}/s", maps("team")), &Value::Null).await.ok();
    assert_eq!(watch.seen().await.0, "DELETED");
    assert_eq!(api.get(&format!("{}/s", maps("team"))).await.code, 404);
    for namespace in ["default", "team-a"] {
        api.get(&format!("{}/s", maps(namespace))).await.ok();
    }
}
