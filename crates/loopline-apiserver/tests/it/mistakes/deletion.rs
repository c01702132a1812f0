//! Deletion: what holds an object, who goes along, and what is only tried.

use serde_json::json;

use super::*;

/// Mistake 7: deletion does not wait for finalizers, or does not look at what the object must be.
#[tokio::test]
async fn deletion_waits_for_finalizers_and_keeps_to_preconditions() {
    let api = Api::new().await;
    let path = format!("{MAPS}/m");
    let mut object = map("m", json!({}));
    object["metadata"]["finalizers"] = json!(["example.com/hold"]);
    let made = api.post(MAPS, &object).await.ok();
    let uid = made["metadata"]["uid"].as_str().unwrap();
    for (field, value, shown) in
        [("uid", "another", "UID"), ("resourceVersion", "1", "ResourceVersion")]
    {
        let refused = api.delete(&path, &json!({"preconditions": {field: value}})).await;
        let found = if field == "uid" { uid } else { revision(&made) };
        assert_eq!(
            refused.refused(),
            (
                409,
                "Conflict",
                &*format!(
                    "Operation cannot be fulfilled on configmaps \"m\": Precondition failed: {shown} in precondition: {value}, {shown} in object meta: {found}"
                )
            )
        );
    }
    assert!(api.get(&path).await.ok()["metadata"].get("deletionTimestamp").is_none());
    let mut watch = api.watch(&format!("{MAPS}?watch=1&resourceVersion={}", revision(&made))).await;
    let held = api.delete(&path, &json!({"preconditions": {"uid": uid}})).await.ok();
    assert_eq!(held["kind"], "ConfigMap");
    assert_eq!(held["metadata"]["deletionGracePeriodSeconds"], 0);
    let since = held["metadata"]["deletionTimestamp"].clone();
    assert!(since.is_string());
    assert_eq!(watch.seen().await.0, "MODIFIED");
    // Twice is once, and nobody undoes it or adds to what it waits for.
    let again = api.delete(&path, &Value::Null).await.ok();
    assert_eq!(revision(&again), revision(&held));
    let undone =
        api.patch(&path, MERGE, &json!({"metadata": {"deletionTimestamp": null}})).await.ok();
    assert_eq!(undone["metadata"]["deletionTimestamp"], since);
    let more = json!({"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}});
    let refused = api.patch(&path, MERGE, &more).await;
    assert_eq!(
        refused.refused(),
        (
            422,
            "Invalid",
            "ConfigMap \"m\" is invalid: metadata.finalizers: Forbidden: no new finalizers can be \
             added if the object is being deleted, found new finalizers \
             []string{\"example.com/more\"}"
        )
    );
    assert_eq!(api.post(MAPS, &map("m", json!({}))).await.refused().1, "AlreadyExists");
    let gone = api.patch(&path, MERGE, &json!({"metadata": {"finalizers": []}})).await.ok();
    assert_eq!(gone["metadata"]["name"], "m");
    assert_eq!(watch.seen().await.0, "MODIFIED");
    assert_eq!(watch.seen().await.0, "DELETED");
    assert_eq!(api.get(&path).await.code, 404);
    assert_eq!(
        api.delete(&path, &Value::Null).await.refused(),
        (404, "NotFound", "configmaps \"m\" not found")
    );
}

/// Mistake 8: owners are known by their name, so that a new one of the same name keeps, or loses,
/// what belonged to the old one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn owners_are_known_by_their_identifier() {
    let api = Api::new().await;
    let (folder, clock) = (tempfile::tempdir().unwrap(), loopline_clock::Clock::real());
    let authority = loopline_tls::Authority::open(folder.path(), &clock).unwrap();
    let options = loopline_workloads::Options {
        client: api.served.server.client(),
        clock: loopline_clock::Clock::real(),
        authority: std::sync::Arc::new(authority),
    };
    let shutdown = api.served.server.shutdown().clone();
    let running = tokio::spawn(loopline_workloads::run(options, shutdown.clone()));
    let first = api.post(MAPS, &map("owner", json!({}))).await.ok();
    let owned = |name: &str, owner: &Value| {
        let mut object = map(name, json!({}));
        object["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"],
        }]);
        object
    };
    api.post(MAPS, &owned("of-the-first", &first)).await.ok();
    let orphan = json!({"propagationPolicy": "Orphan"});
    api.delete(&format!("{MAPS}/owner"), &orphan).await.ok();
    let gone = async |name: &str| {
        let one = format!("fieldSelector=metadata.name%3D{name}");
        let list = api.get(&format!("{MAPS}?{one}")).await.ok();
        if !list["items"].as_array().unwrap().is_empty() {
            let since = revision(&list);
            let mut watch =
                api.watch(&format!("{MAPS}?watch=1&{one}&resourceVersion={since}")).await;
            while watch.next().await.unwrap()["type"] != "DELETED" {}
        }
    };
    gone("owner").await;
    let second = api.post(MAPS, &map("owner", json!({}))).await.ok();
    assert_ne!(first["metadata"]["uid"], second["metadata"]["uid"]);
    api.post(MAPS, &owned("of-the-second", &second)).await.ok();
    api.post(MAPS, &owned("too-late", &first)).await.ok();
    gone("too-late").await;
    let kept = api.get(&format!("{MAPS}/of-the-first")).await.ok();
    assert!(kept["metadata"].get("ownerReferences").is_none(), "{kept}");
    api.get(&format!("{MAPS}/of-the-second")).await.ok();
    api.delete(&format!("{MAPS}/owner"), &json!({"propagationPolicy": "Background"})).await.ok();
    gone("of-the-second").await;
    api.get(&format!("{MAPS}/of-the-first")).await.ok();
    shutdown.cancel();
    running.await.unwrap();
}

/// Mistake 23: the body of a deletion is not read.
#[tokio::test]
async fn the_body_of_a_deletion_counts() {
    let api = Api::new().await;
    let mut running = pod("p");
    running["spec"]["nodeName"] = json!("node");
    running["spec"]["terminationGracePeriodSeconds"] = json!(40);
    api.post(PODS, &running).await.ok();
    let path = format!("{PODS}/p");
    let seconds = |object: &Value| object["metadata"]["deletionGracePeriodSeconds"].as_i64();
    let options = |seconds: i64| {
        json!({
            "kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": seconds,
        })
    };
    assert_eq!(seconds(&api.delete(&path, &Value::Null).await.ok()), Some(40));
    assert_eq!(seconds(&api.delete(&path, &options(90)).await.ok()), Some(40));
    assert_eq!(seconds(&api.delete(&path, &options(7)).await.ok()), Some(7));
    api.delete(&path, &options(0)).await.ok();
    assert_eq!(api.get(&path).await.code, 404);
    for (policy, finalizer) in [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")] {
        api.post(MAPS, &map("m", json!({}))).await.ok();
        let path = format!("{MAPS}/m");
        let held = api.delete(&path, &json!({"propagationPolicy": policy})).await.ok();
        assert_eq!(held["metadata"]["finalizers"], json!([finalizer]));
        api.patch(&path, MERGE, &json!({"metadata": {"finalizers": null}})).await.ok();
    }
    // Both ways to say the same exclude each other.
    let both = json!({"propagationPolicy": "Orphan", "orphanDependents": true});
    let refused = api.delete(&format!("{MAPS}/m"), &both).await;
    assert_eq!(refused.refused().0, 422, "{}", refused.body);
    assert_eq!(refused.refused().1, "Invalid");
    // So do the options of a whole collection, and its body may be protobuf (`7` and nothing else).
    for name in ["a", "b"] {
        let mut object = map(name, json!({}));
        object["metadata"]["labels"] = json!({"for": name});
        api.post(MAPS, &object).await.ok();
    }
    let dry =
        api.delete(&format!("{MAPS}?labelSelector=for"), &json!({"dryRun": ["All"]})).await.ok();
    assert_eq!(dry["items"].as_array().unwrap().len(), 2);
    assert_eq!(api.get(MAPS).await.ok()["items"].as_array().unwrap().len(), 2);
    let deleted = api.delete(&format!("{MAPS}?labelSelector=for%3Da"), &Value::Null).await.ok();
    assert_eq!(
        (&deleted["kind"], deleted["items"].as_array().unwrap().len()),
        (&json!("ConfigMapList"), 1)
    );
    assert_eq!(api.get(MAPS).await.ok()["items"].as_array().unwrap().len(), 1);
}

/// Mistake 28: what is only tried is done.
#[tokio::test]
async fn a_dry_run_leaves_nothing_behind() {
    let api = Api::new().await;
    let path = format!("{MAPS}/m");
    api.post(MAPS, &map("m", json!({"k": "1"}))).await.ok();
    let before = api.get(MAPS).await.ok();
    let tried = api.post(&format!("{MAPS}?dryRun=All"), &map("n", json!({}))).await;
    assert_eq!(tried.code, 201);
    let tried = tried.ok();
    assert!(
        tried["metadata"]["uid"].is_string() && tried["metadata"].get("resourceVersion").is_none(),
        "{tried}"
    );
    let changed = map("m", json!({"k": "2"}));
    for (index, answer) in [
        api.put(&format!("{path}?dryRun=All"), &changed).await,
        api.patch(&format!("{path}?dryRun=All"), MERGE, &changed).await,
        api.patch(&format!("{path}?dryRun=All&fieldManager=a&force=true"), APPLY, &changed).await,
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(answer.ok()["data"]["k"], "2", "{index}");
    }
    let applied = api
        .patch(&format!("{MAPS}/new?dryRun=All&fieldManager=a"), APPLY, &map("new", json!({})))
        .await;
    assert_eq!(applied.code, 201);
    api.delete(&format!("{path}?dryRun=All"), &Value::Null).await.ok();
    api.delete(&path, &json!({"dryRun": ["All"]})).await.ok();
    // Services reserve nothing.
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"},
        "spec": {"clusterIP": "10.96.77.77", "ports": [{"port": 80}]},
    });
    let services = "/api/v1/namespaces/default/services";
    for _ in 0..2 {
        api.post(&format!("{services}?dryRun=All"), &service).await.ok();
    }
    // It is as strict as the write would be.
    assert_eq!(
        api.post(&format!("{MAPS}?dryRun=All"), &map("m", json!({}))).await.refused().1,
        "AlreadyExists"
    );
    assert_eq!(
        api.post(&format!("{MAPS}?dryRun=All"), &map("Not A Name", json!({}))).await.refused().1,
        "Invalid"
    );
    let refused = api.post(&format!("{MAPS}?dryRun=Some"), &map("n", json!({}))).await;
    assert_eq!(
        refused.refused(),
        (
            422,
            "Invalid",
            "CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: \
             []string{\"Some\"}: supported values: \"All\""
        )
    );
    let after = api.get(MAPS).await.ok();
    assert_eq!(before, after);
}
