//! Manifests and what the defaults add to them.

use loopline_schema::defaults;
use serde_json::Value;

use crate::cases::{kind, run};
use crate::yaml::documents;

/// Lists what a tree has that another does not, or has otherwise.
fn added(path: &str, before: &Value, after: &Value, found: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in new {
                let path = format!("{path}.{key}");
                match old.get(key) {
                    Some(before) => added(&path, before, value, found),
                    None => found.push(format!("{}: {value}", &path[1..])),
                }
            }
            let gone = old.keys().filter(|key| !new.contains_key(*key));
            found.extend(gone.map(|key| format!("{path}.{key} is gone")));
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (index, (before, after)) in old.iter().zip(new).enumerate() {
                added(&format!("{path}[{index}]"), before, after, found);
            }
        }
        _ if before == after => {}
        _ => found.push(format!("{}: {after} was {before}", &path[1..])),
    }
}

#[test]
fn every_kind_gets_its_defaults_once() {
    let count = run("defaults.txt", |lines| {
        let before = documents("case", &lines.join("\n")).remove(0);
        let (group, version, kind) = kind(&before);
        let mut after = before.clone();
        defaults::apply(&group, &version, &kind, &mut after);
        let mut again = after.clone();
        defaults::apply(&group, &version, &kind, &mut again);
        assert_eq!(after, again, "defaults of defaults are no news");
        let mut found = Vec::new();
        added("", &before, &after, &mut found);
        found
    });
    assert!(count >= 50, "{count} cases");
}

#[test]
fn what_is_not_an_object_is_left_alone() {
    for (group, kind) in [("", "Pod"), ("apps", "Deployment"), ("batch", "Job"), ("", "Secret")] {
        for text in ["null", "[]", "\"x\"", "{\"spec\": 3}", "{\"spec\": {\"containers\": 1}}"] {
            let mut value: Value = serde_json::from_str(text).expect(text);
            defaults::apply(group, "v1", kind, &mut value);
            defaults::prepare(group, kind, &mut value);
        }
    }
}

#[test]
fn making_an_object_adds_to_it() {
    for (manifest, expected) in [
        (
            "{apiVersion: batch/v1, kind: Job, metadata: {name: a, uid: u}, spec: {template: {}}}",
            r#"["u",{"batch.kubernetes.io/controller-uid":"u","batch.kubernetes.io/job-name":"a","controller-uid":"u","job-name":"a"}]"#,
        ),
        (
            "{apiVersion: batch/v1, kind: Job, metadata: {name: a, uid: u}, spec: {manualSelector: true}}",
            "[null,null]",
        ),
    ] {
        let mut job = documents("case", manifest).remove(0);
        defaults::prepare("batch", "Job", &mut job);
        let uid = &job["spec"]["selector"]["matchLabels"]["batch.kubernetes.io/controller-uid"];
        let mut labels = job["spec"]["template"]["metadata"]["labels"].clone();
        labels.sort_all_objects();
        assert_eq!(serde_json::json!([uid, labels]).to_string(), expected);
    }
    for (containers, class) in [
        ("[{}]", "BestEffort"),
        ("[{resources: {requests: {cpu: 1}}}]", "Burstable"),
        ("[{resources: {limits: {cpu: 1, memory: 1Gi}}}]", "Guaranteed"),
        ("[{resources: {requests: {cpu: 1000m}, limits: {cpu: 1, memory: 1Gi}}}]", "Guaranteed"),
        ("[{resources: {requests: {cpu: 500m}, limits: {cpu: 1, memory: 1Gi}}}]", "Burstable"),
        ("[{resources: {limits: {cpu: 1, memory: 1Gi}}}, {}]", "Burstable"),
        ("[{resources: {limits: {cpu: 0, memory: 0}}}]", "BestEffort"),
    ] {
        let manifest = format!("spec: {{containers: {containers}}}");
        let mut pod = documents("case", &manifest).remove(0);
        defaults::prepare("", "Pod", &mut pod);
        assert_eq!(pod["status"]["qosClass"], class, "{containers}");
        assert_eq!(pod["status"]["phase"], "Pending");
    }
    let mut namespace = documents("case", "{metadata: {name: a}}").remove(0);
    defaults::prepare("", "Namespace", &mut namespace);
    assert_eq!(namespace["spec"]["finalizers"][0], "kubernetes");
    let mut service =
        documents("case", "{spec: {type: ClusterIP, clusterIP: 'fd00::1'}}").remove(0);
    defaults::prepare("", "Service", &mut service);
    assert_eq!(service["spec"]["ipFamilies"][0], "IPv6");
}
