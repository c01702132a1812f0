//! Patches and what values mean: lists that are merged, nulls, quantities, defaults.

use serde_json::json;

use super::*;

fn containers(object: &Value) -> Vec<(&str, &str)> {
    object["spec"]["template"]["spec"]["containers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["name"].as_str().unwrap(), one["image"].as_str().unwrap()))
        .collect()
}

/// Mistake 10: a strategic merge patch deletes the items that it does not name.
#[tokio::test]
async fn a_strategic_patch_leaves_what_it_does_not_name() {
    let api = Api::new().await;
    api.post(DEPLOYMENTS, &deployment("web")).await.ok();
    let path = format!("{DEPLOYMENTS}/web");
    let of =
        |containers: Value| json!({"spec": {"template": {"spec": {"containers": containers}}}});
    let image = of(json!([{"name": "web", "image": "nginx:2"}]));
    let patched = api.patch(&path, STRATEGIC, &image).await.ok();
    assert_eq!(containers(&patched), [("web", "nginx:2"), ("log", "fluent:1")]);
    let added = of(json!([{"name": "new", "image": "new:1"}]));
    let patched = api.patch(&path, STRATEGIC, &added).await.ok();
    assert_eq!(containers(&patched), [("new", "new:1"), ("web", "nginx:2"), ("log", "fluent:1")]);
    let mut ordered = of(json!([{"name": "new", "$patch": "delete"}]));
    ordered["spec"]["template"]["spec"]["$setElementOrder/containers"] =
        json!([{"name": "log"}, {"name": "web"}]);
    let patched = api.patch(&path, STRATEGIC, &ordered).await.ok();
    assert_eq!(containers(&patched), [("log", "fluent:1"), ("web", "nginx:2")]);
    // The same body as a merge patch replaces the list, which is what makes the kinds differ.
    let patched = api.patch(&path, MERGE, &image).await.ok();
    assert_eq!(containers(&patched), [("web", "nginx:2")]);
}

/// Mistake 15: `null` in a patch is stored, or taken for a field that is not there.
#[tokio::test]
async fn null_removes_and_absence_keeps() {
    let api = Api::new().await;
    let path = format!("{MAPS}/m");
    let mut object = map("m", json!({"a": "1", "b": "2"}));
    object["metadata"]["annotations"] = json!({"x": "1", "y": "2"});
    object["binaryData"] = Value::Null;
    let made = api.post(MAPS, &object).await.ok();
    assert!(made.get("binaryData").is_none(), "{made}");
    for (kind, key) in [(MERGE, "x"), (STRATEGIC, "y")] {
        let patch = json!({"metadata": {"annotations": {key: null, "never-there": null}}});
        let patched = api.patch(&path, kind, &patch).await.ok();
        assert!(patched["metadata"]["annotations"].get(key).is_none(), "{kind} {patched}");
        assert_eq!(patched["data"], json!({"a": "1", "b": "2"}), "{kind}");
    }
    let patched = api.patch(&path, MERGE, &json!({"data": {"a": null, "c": "3"}})).await.ok();
    assert_eq!(patched["data"], json!({"b": "2", "c": "3"}));
    let patched = api.patch(&path, MERGE, &json!({"data": null})).await.ok();
    assert!(patched.get("data").is_none(), "{patched}");
    // What a replacement does not say goes.
    let replaced = api.put(&path, &map("m", json!({"d": "4"}))).await.ok();
    assert!(replaced["metadata"].get("annotations").is_none(), "{replaced}");
    // Nulls inside of what a merge patch makes anew go as well.
    let toys = api
        .define(json!({"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}))
        .await;
    let toy = json!({"apiVersion": "example.com/v1", "kind": "Toy", "metadata": {"name": "a"}});
    api.post(toys, &toy).await.ok();
    let patch = json!({"spec": {"deep": {"gone": null, "kept": 1}}});
    let patched = api.patch(&format!("{toys}/a"), MERGE, &patch).await.ok();
    assert_eq!(patched["spec"], json!({"deep": {"kept": 1}}));
}

/// Mistake 16: numbers and quantities are compared, or kept, as they are spelt.
#[tokio::test]
async fn the_same_amount_is_the_same_value() {
    let api = Api::new().await;
    let path = format!("{DEPLOYMENTS}/web");
    let mut object = deployment("web");
    let asked = |cpu: Value, memory: &str| json!({"requests": {"cpu": cpu, "memory": memory}});
    object["spec"]["template"]["spec"]["containers"][0]["resources"] =
        asked(json!("1000m"), "1024Mi");
    let made = api.post(DEPLOYMENTS, &object).await.ok();
    let requests = |object: &Value| {
        object["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"].clone()
    };
    assert_eq!(requests(&made), json!({"cpu": "1", "memory": "1Gi"}));
    for (cpu, memory) in [(json!(1), "1Gi"), (json!("1"), "1048576Ki"), (json!(1.0), "1073741824")]
    {
        let patch = json!({"spec": {"template": {"spec": {"containers": [
            {"name": "web", "resources": asked(cpu.clone(), memory)},
        ]}}}});
        let patched = api.patch(&path, STRATEGIC, &patch).await.ok();
        assert_eq!(requests(&patched)["cpu"], "1", "{cpu}");
        let mut same = made.clone();
        same["spec"]["template"]["spec"]["containers"][0]["resources"] = asked(cpu, "1024Mi");
        same["metadata"].as_object_mut().unwrap().remove("resourceVersion");
        let replaced = api.put(&path, &same).await.ok();
        assert_eq!(
            replaced["metadata"]["generation"],
            patched["metadata"]["generation"]
                .as_i64()
                .map(|n| n + i64::from(requests(&patched) != requests(&made)))
                .unwrap()
        );
    }
    // Whole numbers are not spelt as fractions, and texts are no numbers.
    for wrong in [r#"{"spec": {"replicas": 2.5}}"#, r#"{"spec": {"replicas": "2"}}"#] {
        let refused = api.ask("PATCH", &path, &[("content-type", MERGE)], wrong).await;
        assert!(matches!(refused.refused().0, 400 | 422), "{wrong} {}", refused.body);
    }
    // Large numbers keep all their digits.
    let toys = api
        .define(json!({"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}))
        .await;
    let body = r#"{"apiVersion": "example.com/v1", "kind": "Toy", "metadata": {"name": "a"},
                   "spec": {"large": 9007199254740993, "whole": 5}}"#;
    let made = api.ask("POST", toys, &[("content-type", JSON)], body).await.ok();
    assert_eq!(made["spec"].to_string(), r#"{"large":9007199254740993,"whole":5}"#);
}

/// Mistake 17: defaults are not filled in, so that whoever applies sees a change each time.
#[tokio::test]
async fn what_is_not_said_is_filled_in_once() {
    let api = Api::new().await;
    let made = api.post(DEPLOYMENTS, &deployment("web")).await.ok();
    let template = &made["spec"]["template"]["spec"];
    assert_eq!(
        made["spec"]["strategy"],
        json!({
            "type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"},
        })
    );
    for (field, value) in [
        ("restartPolicy", json!("Always")),
        ("terminationGracePeriodSeconds", json!(30)),
        ("dnsPolicy", json!("ClusterFirst")),
        ("securityContext", json!({})),
        ("schedulerName", json!("default-scheduler")),
    ] {
        assert_eq!(template[field], value, "{field}");
    }
    let container = &template["containers"][0];
    assert_eq!(container["imagePullPolicy"], "IfNotPresent");
    assert_eq!(container["terminationMessagePath"], "/dev/termination-log");
    assert_eq!(
        (&made["spec"]["revisionHistoryLimit"], &made["spec"]["progressDeadlineSeconds"]),
        (&json!(10), &json!(600))
    );
    // The bare object replaces the complete one without a change, and so does kubectl's apply.
    let again = api.put(&format!("{DEPLOYMENTS}/web"), &deployment("web")).await.ok();
    assert_eq!(revision(&again), revision(&made));
    let text = deployment("drift").to_string();
    let script = format!(
        "cat > d.json <<'END'\n{text}\nEND\nfor i in 1 2 3; do kubectl apply -f d.json || exit; \
         done; kubectl diff -f d.json && kubectl apply --server-side -f d.json && kubectl apply \
         --server-side -f d.json && kubectl diff --server-side -f d.json && echo no-difference"
    );
    let Some((true, _)) = api.served.kubectl(&["version", "--client"]).await else { return };
    let (_, printed) = api.served.shell(&script).await;
    assert_eq!(
        printed,
        "deployment.apps/drift created\ndeployment.apps/drift unchanged\ndeployment.apps/drift \
         unchanged\ndeployment.apps/drift serverside-applied\ndeployment.apps/drift \
         serverside-applied\nno-difference\n"
    );
}
