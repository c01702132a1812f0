//! The wire: forms of answers and bodies, discovery, headers.

use serde_json::json;

use super::*;

/// Mistake 20: an error is answered as a table because the client likes tables.
#[tokio::test]
async fn errors_are_never_tables() {
    let api = Api::new().await;
    let table = [("accept", TABLE), ("content-type", JSON)];
    let missing = api.ask("GET", &format!("{PODS}/p"), &table, "").await;
    assert_eq!(missing.refused(), (404, "NotFound", "pods \"p\" not found"));
    let invalid =
        api.ask("POST", PODS, &table, json!({"metadata": {"name": "p"}}).to_string()).await;
    assert_eq!((invalid.refused().0, invalid.refused().1), (422, "Invalid"));
    assert_eq!(invalid.body["details"]["kind"], "Pod");
    let refused =
        api.ask("GET", &format!("{PODS}?fieldSelector=spec.colour%3Dred"), &table, "").await;
    assert_eq!(refused.refused(), (400, "BadRequest", "field label not supported: spec.colour"));
    // A success is one, for every verb that answers with the object.
    let made = api.ask("POST", PODS, &table, pod("p").to_string()).await;
    assert_eq!((made.code, &made.body["kind"]), (201, &json!("Table")));
    let row = &made.body["rows"][0];
    assert_eq!(
        (&row["cells"][0], &row["object"]["kind"]),
        (&json!("p"), &json!("PartialObjectMetadata"))
    );
    for include in ["Object", "None"] {
        let shown =
            api.ask("GET", &format!("{PODS}?includeObject={include}"), &table, "").await.ok();
        let kind = shown["rows"][0]["object"]["kind"].as_str();
        assert_eq!(kind, (include == "Object").then_some("Pod"));
    }
    // The answer to a deletion is a status.
    let gone = api.ask("DELETE", &format!("{PODS}/p"), &table, "").await.ok();
    assert_ne!(gone["kind"], "Table", "{gone}");
}

/// Mistake 21: only the aggregated form of discovery is served.
#[tokio::test]
async fn discovery_has_both_its_forms() {
    let api = Api::new().await;
    for accept in [JSON, "*/*"] {
        let core = api.ask("GET", "/api", &[("accept", accept)], "").await.ok();
        assert_eq!((&core["kind"], &core["versions"]), (&json!("APIVersions"), &json!(["v1"])));
        let groups = api.ask("GET", "/apis", &[("accept", accept)], "").await.ok();
        assert_eq!(groups["kind"], "APIGroupList");
        let autoscaling = groups["groups"]
            .as_array()
            .unwrap()
            .iter()
            .find(|group| group["name"] == "autoscaling")
            .unwrap();
        assert_eq!(
            autoscaling["preferredVersion"],
            json!({"groupVersion": "autoscaling/v2", "version": "v2"})
        );
        assert_eq!(autoscaling["versions"].as_array().unwrap().len(), 2);
    }
    let group = api.get("/apis/apps").await.ok();
    assert_eq!((&group["kind"], &group["name"]), (&json!("APIGroup"), &json!("apps")));
    let core = api.get("/api/v1").await.ok();
    assert_eq!((&core["kind"], &core["groupVersion"]), (&json!("APIResourceList"), &json!("v1")));
    let find = |list: &Value, name: &str| {
        let found = list["resources"].as_array().unwrap().iter().find(|one| one["name"] == name);
        found.unwrap_or_else(|| panic!("no {name}")).clone()
    };
    // kubectl's drain looks for this one in this form.
    let eviction = find(&core, "pods/eviction");
    assert_eq!(
        (&eviction["group"], &eviction["version"], &eviction["kind"]),
        (&json!("policy"), &json!("v1"), &json!("Eviction"))
    );
    let pods = find(&core, "pods");
    assert_eq!(
        (&pods["shortNames"], &pods["categories"], &pods["singularName"]),
        (&json!(["po"]), &json!(["all"]), &json!("pod"))
    );
    let apps = api.get("/apis/apps/v1").await.ok();
    let scale = find(&apps, "deployments/scale");
    assert_eq!((&scale["group"], &scale["kind"]), (&json!("autoscaling"), &json!("Scale")));
    let aggregated =
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    let reply = api.ask("GET", "/apis", &[("accept", aggregated)], "").await;
    assert_eq!(
        reply.headers["content-type"],
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    );
    let tag = reply.headers["etag"].to_str().unwrap().to_owned();
    assert_eq!(reply.ok()["kind"], "APIGroupDiscoveryList");
    let known = [("accept", aggregated), ("if-none-match", &*tag)];
    assert_eq!(api.ask("GET", "/apis", &known, "").await.code, 304);
    // Both forms know a definition at once.
    api.define(json!({})).await;
    assert_eq!(api.ask("GET", "/apis", &known, "").await.code, 200);
    assert_eq!(find(&api.get("/apis/example.com/v1").await.ok(), "toys")["kind"], "Toy");
}

/// Returns a field of a protobuf message that is bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2, u8::try_from(bytes.len()).unwrap()];
    field.extend_from_slice(bytes);
    field
}

/// Returns an object as Kubernetes wraps it.
fn wrapped(version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let types = [field(1, version.as_bytes()), field(2, kind.as_bytes())].concat();
    [b"k8s\0".to_vec(), field(1, &types), field(2, raw)].concat()
}

/// Mistake 22: bodies in protobuf, which kubectl sends, are not read.
#[tokio::test]
async fn bodies_may_be_protobuf() {
    let api = Api::new().await;
    let kind = [("content-type", "application/vnd.kubernetes.protobuf")];
    // metadata {name, creationTimestamp {}}, data {k: v}
    let metadata = [field(1, b"m"), field(8, b"")].concat();
    let data = [field(1, b"k"), field(2, b"v")].concat();
    let raw = [field(1, &metadata), field(2, &data)].concat();
    let made = api.ask("POST", MAPS, &kind, wrapped("v1", "ConfigMap", &raw)).await;
    assert_eq!(made.code, 201, "{}", made.body);
    assert_eq!(made.ok()["data"], json!({"k": "v"}));
    // propagationPolicy (4): "Foreground"
    let options = wrapped("v1", "DeleteOptions", &field(4, b"Foreground"));
    let held = api.ask("DELETE", &format!("{MAPS}/m"), &kind, options).await.ok();
    assert_eq!(held["metadata"]["finalizers"], json!(["foregroundDeletion"]));
    let wrong = api.ask("POST", MAPS, &kind, wrapped("v1", "Secret", &raw)).await;
    assert_eq!((wrong.refused().0, wrong.refused().1), (400, "BadRequest"));
    // The answer is in the first of the forms that the client takes and the server has.
    let accept = "application/vnd.kubernetes.protobuf,application/json";
    let read = api.ask("GET", &format!("{MAPS}/m"), &[("accept", accept)], "").await;
    assert_eq!(read.ok()["kind"], "ConfigMap");
    // Custom resources have no protobuf form.
    let toys = api.define(json!({})).await;
    let refused = api.ask("POST", toys, &kind, wrapped("example.com/v1", "Toy", b"")).await;
    assert_eq!((refused.refused().0, refused.refused().1), (415, "UnsupportedMediaType"));
    // kubectl's own.
    let Some((made, printed)) =
        api.served.kubectl(&["create", "deployment", "web", "--image=nginx:1", "--port=80"]).await
    else {
        return;
    };
    assert!(made, "{printed}");
    let web = api.get(&format!("{DEPLOYMENTS}/web")).await.ok();
    assert_eq!(
        web["spec"]["template"]["spec"]["containers"][0]["ports"],
        json!([{"containerPort": 80, "protocol": "TCP"}])
    );
}

/// Mistake 29: the quotes of a warning break its header.
#[tokio::test]
async fn warnings_are_quoted() {
    let api = Api::new().await;
    let mut object = map("m", json!({}));
    object["spec"] = json!({});
    object["we\"ird\\"] = json!(1);
    let made = api.post(MAPS, &object).await;
    let warnings: Vec<&str> =
        made.headers.get_all("warning").iter().map(|value| value.to_str().unwrap()).collect();
    assert_eq!(
        warnings,
        [r#"299 - "unknown field \"spec\"""#, r#"299 - "unknown field \"we\\\"ird\\\\\"""#,]
    );
    assert_eq!(made.code, 201);
    assert!(made.ok().get("spec").is_none());
    // Duplicates are told as well; a strict client is refused, and an indifferent one is not told.
    let twice = r#"{"metadata": {"name": "n"}, "data": {"a": "1"}, "data": {"b": "2"}}"#;
    let made = api.ask("POST", MAPS, &[("content-type", JSON)], twice).await;
    assert_eq!(made.headers["warning"], r#"299 - "duplicate field \"data\"""#);
    let refused = api.post(&format!("{MAPS}?fieldValidation=Strict"), &object).await;
    let message = "strict decoding error: unknown field \"spec\", unknown field";
    let (code, reason, text) = refused.refused();
    assert_eq!((code, reason), (400, "BadRequest"));
    assert!(text.contains(message), "{text}");
    object["metadata"]["name"] = json!("o");
    let made = api.post(&format!("{MAPS}?fieldValidation=Ignore"), &object).await;
    assert!(made.code == 201 && made.headers.get("warning").is_none());
    let Some((_, printed)) = api
        .served
        .kubectl(&[
            "patch",
            "configmap",
            "m",
            "--type=merge",
            "-p",
            r#"{"data": {"a": "1", "a": "2"}}"#,
        ])
        .await
    else {
        return;
    };
    assert!(printed.contains("patched"), "{printed}");
}

/// Mistake 30: the empty times that Go's clients send are refused.
#[tokio::test]
async fn times_may_be_null() {
    let api = Api::new().await;
    let mut object = deployment("web");
    object["metadata"]["creationTimestamp"] = Value::Null;
    object["metadata"]["deletionTimestamp"] = Value::Null;
    object["spec"]["template"]["metadata"]["creationTimestamp"] = Value::Null;
    object["status"] = json!({});
    let made = api.post(&format!("{DEPLOYMENTS}?fieldValidation=Strict"), &object).await.ok();
    assert!(made["metadata"]["creationTimestamp"].is_string());
    let config = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "m", "creationTimestamp": null}, "data": {"k": "v"},
    });
    api.apply(&format!("{MAPS}/m"), "go", &config).await.ok();
    let toys = api.define(json!({})).await;
    let toy = json!({
        "apiVersion": "example.com/v1", "kind": "Toy",
        "metadata": {"name": "a", "creationTimestamp": null},
    });
    let made = api.post(&format!("{toys}?fieldValidation=Strict"), &toy).await.ok();
    // A client that reads and writes back leaves the time as it was.
    let mut again = made.clone();
    again["metadata"]["creationTimestamp"] = Value::Null;
    again["metadata"]["labels"] = json!({"a": "b"});
    let replaced = api.put(&format!("{toys}/a"), &again).await.ok();
    assert_eq!(replaced["metadata"]["creationTimestamp"], made["metadata"]["creationTimestamp"]);
    let wrong = json!({"metadata": {"name": "n", "creationTimestamp": "yesterday"}});
    assert_eq!(api.post(MAPS, &wrong).await.refused().0, 400);
}
