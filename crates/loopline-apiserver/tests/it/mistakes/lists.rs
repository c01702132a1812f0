//! Lists and watches: one moment for all pages, and every change as what it is to the client.

use serde_json::json;

use super::*;

/// Mistake 3: an object that no longer matches a selector silently stays in the client's list.
#[tokio::test]
async fn leaving_a_selector_is_a_deletion() {
    let api = Api::new().await;
    let labelled = |name: &str, app: &str| {
        let mut object = map(name, json!({"k": app}));
        object["metadata"]["labels"] = json!({"app": app});
        object
    };
    let made = api.post(MAPS, &labelled("m", "web")).await.ok();
    let path = format!("{MAPS}/m");
    let mut watch = api
        .watch(&format!(
            "{MAPS}?watch=1&labelSelector=app%3Dweb&resourceVersion={}",
            revision(&made)
        ))
        .await;
    let label = |app: &str| json!({"metadata": {"labels": {"app": app}}, "data": {"k": app}});
    let left = api.patch(&path, MERGE, &label("db")).await.ok();
    let event = watch.next().await.unwrap();
    assert_eq!(event["type"], "DELETED");
    // It is told as it was when it matched, at the revision of the change.
    assert_eq!(event["object"]["metadata"]["labels"]["app"], "web");
    assert_eq!(event["object"]["data"]["k"], "web");
    assert_eq!(revision(&event["object"]), revision(&left));
    // What happens outside of the selector is nobody's business.
    api.patch(&path, MERGE, &json!({"data": {"x": "y"}})).await.ok();
    let back = api.patch(&path, MERGE, &label("web")).await.ok();
    let event = watch.next().await.unwrap();
    assert_eq!((&event["type"], &event["object"]), (&json!("ADDED"), &back));
    api.patch(&path, MERGE, &json!({"data": {"x": "z"}})).await.ok();
    assert_eq!(watch.seen().await.0, "MODIFIED");
    let status = api.delete(&path, &Value::Null).await.ok();
    assert_eq!(status["status"], "Success");
    let event = watch.next().await.unwrap();
    assert_eq!((&event["type"], &event["object"]["data"]["x"]), (&json!("DELETED"), &json!("z")));
    // The deletion has a revision of its own.
    let deleted: u64 = revision(&event["object"]).parse().unwrap();
    assert!(deleted > revision(&back).parse().unwrap());
    // The same goes for fields.
    api.post(PODS, &pod("p")).await.ok();
    let mut waiting = api.watch(&format!("{PODS}?watch=1&fieldSelector=spec.nodeName%3D")).await;
    assert_eq!(waiting.seen().await.0, "ADDED");
    let binding = json!({
        "apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"},
        "target": {"kind": "Node", "name": "n"},
    });
    api.post(&format!("{PODS}/p/binding"), &binding).await.ok();
    assert_eq!(waiting.seen().await.0, "DELETED");
}

/// Mistake 9: the pages of a list show different moments.
#[tokio::test]
async fn all_pages_of_a_list_show_the_same_moment() {
    let api = Api::new().await;
    for name in ["a", "b", "c", "d", "e"] {
        api.post(MAPS, &map(name, json!({"v": "old"}))).await.ok();
    }
    let first = api.get(&format!("{MAPS}?limit=2")).await.ok();
    assert_eq!(first["metadata"]["remainingItemCount"], 3);
    api.delete(&format!("{MAPS}/c"), &Value::Null).await.ok();
    api.patch(&format!("{MAPS}/d"), MERGE, &json!({"data": {"v": "new"}})).await.ok();
    api.post(MAPS, &map("bb", json!({}))).await.ok();
    let mut names = Vec::new();
    let mut page = first.clone();
    loop {
        assert_eq!(revision(&page), revision(&first));
        for object in page["items"].as_array().unwrap() {
            assert_eq!(object["data"]["v"], "old");
            names.push(object["metadata"]["name"].as_str().unwrap().to_owned());
        }
        let Some(token) = page["metadata"]["continue"].as_str().filter(|token| !token.is_empty())
        else {
            break;
        };
        page = api.get(&format!("{MAPS}?limit=2&continue={token}")).await.ok();
    }
    assert_eq!(names, ["a", "b", "c", "d", "e"]);
    // A watch from there tells what came since.
    let mut watch =
        api.watch(&format!("{MAPS}?watch=1&resourceVersion={}", revision(&first))).await;
    for expected in [("DELETED", "c"), ("MODIFIED", "d"), ("ADDED", "bb")] {
        let (kind, name, _) = watch.seen().await;
        assert_eq!((kind.as_str(), name.as_str()), expected);
    }
    // Tables are paged as well; with a selector nobody knows how many are left.
    let page = api.ask("GET", &format!("{MAPS}?limit=1"), &[("accept", TABLE)], "").await.ok();
    assert_eq!(
        (page["rows"].as_array().unwrap().len(), page["metadata"]["continue"].is_string()),
        (1, true)
    );
    let page = api.get(&format!("{MAPS}?limit=1&labelSelector=!x")).await.ok();
    assert!(page["metadata"].get("remainingItemCount").is_none(), "{page}");
}

/// Mistake 19: the objects of events do not say what they are.
#[tokio::test]
async fn objects_of_events_say_what_they_are() {
    let api = Api::new().await;
    let begin = revision(&api.get(MAPS).await.ok()).to_owned();
    let mut watch = api
        .watch(&format!("{MAPS}?watch=1&allowWatchBookmarks=true&resourceVersion={begin}"))
        .await;
    let mut beginning = api
        .watch(&format!(
            "{DEPLOYMENTS}?watch=1&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
        ))
        .await;
    let bookmark = beginning.next().await.unwrap();
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(
        (&bookmark["object"]["kind"], &bookmark["object"]["apiVersion"]),
        (&json!("Deployment"), &json!("apps/v1"))
    );
    assert_eq!(bookmark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    api.post(MAPS, &json!({"metadata": {"name": "m"}})).await.ok();
    api.patch(&format!("{MAPS}/m"), MERGE, &json!({"data": {"k": "v"}})).await.ok();
    api.delete(&format!("{MAPS}/m"), &Value::Null).await.ok();
    for expected in ["ADDED", "MODIFIED", "DELETED"] {
        let event = watch.next().await.unwrap();
        assert_eq!(event["type"], expected);
        assert_eq!(
            (&event["object"]["kind"], &event["object"]["apiVersion"]),
            (&json!("ConfigMap"), &json!("v1"))
        );
    }
    api.post(DEPLOYMENTS, &deployment("web")).await.ok();
    let event = beginning.next().await.unwrap();
    assert_eq!(
        (&event["type"], &event["object"]["apiVersion"]),
        (&json!("ADDED"), &json!("apps/v1"))
    );
    // So do lists.
    let list = api.get(DEPLOYMENTS).await.ok();
    assert_eq!((&list["kind"], &list["apiVersion"]), (&json!("DeploymentList"), &json!("apps/v1")));
}

/// Mistake 24: a watch that names a limit, as every informer's and kubectl's does, is refused.
#[tokio::test]
async fn a_watch_takes_the_options_of_a_list() {
    let api = Api::new().await;
    for name in ["a", "b", "c"] {
        api.post(MAPS, &map(name, json!({}))).await.ok();
    }
    let mut watch = api.watch(&format!("{MAPS}?limit=2&watch=true")).await;
    for name in ["a", "b", "c"] {
        let (kind, found, _) = watch.seen().await;
        assert_eq!((kind.as_str(), found.as_str()), ("ADDED", name));
    }
    let mut watch =
        api.watch(&format!("{MAPS}?limit=500&resourceVersion=0&watch=1&timeoutSeconds=1")).await;
    for _ in 0..3 {
        assert_eq!(watch.seen().await.0, "ADDED");
    }
    assert_eq!(watch.next().await, None);
    // The old form of the path is a watch, too, and one object may be watched.
    let mut watch =
        api.watch("/api/v1/watch/namespaces/default/configmaps/b?timeoutSeconds=1").await;
    assert_eq!(watch.seen().await.1, "b");
    assert_eq!(watch.next().await, None);
}

/// Mistake 25: a watch announces a length, so that clients wait for its end.
#[tokio::test]
async fn a_watch_has_no_length_and_ends_cleanly() {
    let api = Api::new().await;
    let reply = api.send("GET", &format!("{MAPS}?watch=1&timeoutSeconds=1"), &[], "").await;
    let headers = reply.headers();
    assert!(headers.get("content-length").is_none());
    assert_eq!(headers["transfer-encoding"], "chunked");
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["cache-control"], "no-cache, private");
    let mut events = Events { body: reply.into_body(), read: Vec::new() };
    // An event is there while the stream goes on.
    api.post(MAPS, &map("m", json!({}))).await.ok();
    assert_eq!(events.seen().await.0, "ADDED");
    // A broken chunked body would be an error of the frame.
    assert_eq!(events.next().await, None);
    let list = api.send("GET", MAPS, &[], "").await;
    assert!(list.headers().get("content-length").is_some());
}

/// Mistake 26: that a revision is gone is told in the form in which the client does not look.
#[tokio::test]
async fn a_revision_that_is_gone_is_told_where_clients_look() {
    let api = Api::new().await;
    for name in ["a", "b", "c"] {
        api.post(MAPS, &map(name, json!({}))).await.ok();
    }
    let page = api.get(&format!("{MAPS}?limit=1")).await.ok();
    let token = page["metadata"]["continue"].as_str().unwrap();
    api.delete(&format!("{MAPS}/b"), &Value::Null).await.ok();
    let store = api.served.server.store();
    store.compact(store.revision()).await.unwrap();
    // A list is refused.
    for (query, message) in [
        (
            format!("limit=1&continue={token}"),
            "The provided continue parameter is too old to display a consistent list result. You \
             can start a new list without the continue parameter",
        ),
        ("resourceVersion=1&resourceVersionMatch=Exact".to_owned(), "too old resource version"),
    ] {
        let refused = api.get(&format!("{MAPS}?{query}")).await;
        let (code, reason, text) = refused.refused();
        assert_eq!((code, reason), (410, "Expired"), "{query}");
        assert!(text.contains(message), "{text}");
    }
    // A watch begins, and its one event is the error: clients look there and list anew.
    for accept in [JSON, TABLE] {
        let reply = api
            .send("GET", &format!("{MAPS}?watch=1&resourceVersion=1"), &[("accept", accept)], "")
            .await;
        assert_eq!(reply.status(), 200);
        let mut watch = Events { body: reply.into_body(), read: Vec::new() };
        let event = watch.next().await.unwrap();
        assert_eq!(event["type"], "ERROR");
        let status = &event["object"];
        assert_eq!(
            (&status["kind"], &status["reason"], &status["code"]),
            (&json!("Status"), &json!("Expired"), &json!(410))
        );
        assert_eq!(watch.next().await, None);
    }
    // What is not yet there is something else.
    let future = store.revision() + 1000;
    let refused = api.get(&format!("{MAPS}?resourceVersion={future}")).await;
    assert_eq!((refused.refused().0, refused.refused().1), (504, "Timeout"));
    assert_eq!(refused.body["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
}
