//! Server-side apply: who owns what, and what goes when an owner no longer wants it.

use serde_json::json;

use super::*;

fn config(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": data})
}

fn owners(object: &Value, field: &str) -> Vec<String> {
    let mut owners: Vec<String> = object["metadata"]["managedFields"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["fieldsV1"]["f:data"].get(format!("f:{field}")).is_some())
        .map(|entry| entry["manager"].as_str().unwrap().to_owned())
        .collect();
    owners.sort();
    owners
}

/// Mistake 11: two who apply the same value are told that they conflict.
#[tokio::test]
async fn the_same_value_has_several_owners() {
    let api = Api::new().await;
    let path = format!("{MAPS}/m");
    let made = api.apply(&path, "one", &config(json!({"k": "1"}))).await;
    assert_eq!(made.code, 201);
    let shared = api.apply(&path, "two", &config(json!({"k": "1"}))).await;
    assert_eq!(shared.code, 200);
    assert_eq!(owners(&shared.ok(), "k"), ["one", "two"]);
    let refused = api.apply(&path, "two", &config(json!({"k": "2"}))).await;
    assert_eq!(
        refused.refused(),
        (409, "Conflict", "Apply failed with 1 conflict: conflict with \"one\": .data.k")
    );
    assert_eq!(
        refused.body["details"]["causes"],
        json!([
            {"reason": "FieldManagerConflict", "message": "conflict with \"one\"", "field": ".data.k"},
        ])
    );
    assert_eq!(api.get(&path).await.ok()["data"]["k"], "1");
    let forced = api.apply(&format!("{path}?force=true&x=y"), "", &Value::Null).await;
    assert!(forced.code >= 400, "{}", forced.body);
    let forced = api
        .patch(&format!("{path}?fieldManager=two&force=true"), APPLY, &config(json!({"k": "2"})))
        .await
        .ok();
    assert_eq!((&forced["data"]["k"], owners(&forced, "k")), (&json!("2"), vec!["two".to_owned()]));
}

/// Mistake 12: who no longer applies a field removes it although others own it, too.
#[tokio::test]
async fn what_others_own_stays() {
    let api = Api::new().await;
    let path = format!("{MAPS}/m");
    api.apply(&path, "one", &config(json!({"mine": "1", "ours": "1"}))).await.ok();
    api.apply(&path, "two", &config(json!({"ours": "1", "theirs": "1"}))).await.ok();
    api.patch(&format!("{path}?fieldManager=hand"), MERGE, &json!({"data": {"by-hand": "1"}}))
        .await
        .ok();
    let nothing = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}});
    let left = api.apply(&path, "one", &nothing).await.ok();
    assert_eq!(left["data"], json!({"by-hand": "1", "ours": "1", "theirs": "1"}));
    assert_eq!(owners(&left, "ours"), ["two"]);
    let left = api.apply(&path, "two", &config(json!({"theirs": "1"}))).await.ok();
    assert_eq!(left["data"], json!({"by-hand": "1", "theirs": "1"}));
    // Items of lists go by their keys.
    let with = |names: &[&str]| {
        let containers: Vec<Value> =
            names.iter().map(|name| json!({"name": name, "image": "i"})).collect();
        let mut object = deployment("web");
        object["spec"]["template"]["spec"]["containers"] = json!(containers);
        object
    };
    let web = format!("{DEPLOYMENTS}/web");
    api.apply(&web, "one", &with(&["a", "b"])).await.ok();
    api.apply(&web, "two", &with(&["b", "c"])).await.ok();
    let left = api.apply(&web, "one", &with(&["a"])).await.ok();
    let names: Vec<&str> = left["spec"]["template"]["spec"]["containers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(names.len(), 3, "{names:?}");
    let left = api.apply(&web, "two", &with(&["c"])).await.ok();
    let names: BTreeSet<&str> = left["spec"]["template"]["spec"]["containers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, BTreeSet::from(["a", "c"]));
}

/// Mistake 27: applying an object without a name makes a new one each time.
#[tokio::test]
async fn names_are_generated_on_creation_and_never_by_apply() {
    let api = Api::new().await;
    let nameless =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "run-"}});
    let mut names = BTreeSet::new();
    for _ in 0..20 {
        let made = api.post(MAPS, &nameless).await.ok();
        let name = made["metadata"]["name"].as_str().unwrap().to_owned();
        let suffix = name.strip_prefix("run-").unwrap();
        assert!(
            suffix.len() == 5
                && suffix.bytes().all(|byte| b"bcdfghjklmnpqrstvwxz2456789".contains(&byte)),
            "{name}"
        );
        assert_eq!(made["metadata"]["generateName"], "run-");
        names.insert(name);
    }
    assert_eq!(names.len(), 20);
    // A base that is too long is cut, so that the name is still one of a label.
    let long = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "a".repeat(80)}});
    let made = api.post(MAPS, &long).await.ok();
    assert_eq!(made["metadata"]["name"].as_str().unwrap().len(), 63);
    let refused = api.apply(&format!("{MAPS}/fixed"), "m", &nameless).await;
    assert_eq!(
        refused.refused(),
        (
            400,
            "BadRequest",
            "the name of the object (fixed based on URL) was undeterminable: name must be provided"
        )
    );
    let mut named = nameless.clone();
    named["metadata"]["name"] = json!("fixed");
    for code in [201, 200] {
        assert_eq!(api.apply(&format!("{MAPS}/fixed"), "m", &named).await.code, code);
    }
    let list = api.get(MAPS).await.ok();
    let fixed =
        list["items"].as_array().unwrap().iter().filter(|one| one["metadata"]["name"] == "fixed");
    assert_eq!(fixed.count(), 1);
    let refused =
        api.post(MAPS, &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}})).await;
    assert_eq!(
        refused.refused(),
        (
            422,
            "Invalid",
            "ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required"
        )
    );
}
