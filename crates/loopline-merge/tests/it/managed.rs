//! `managedFields` through applies and updates, as clients see them.

use jiff::Timestamp;
use loopline_merge::managed::{ApplyError, FieldManager, ManagedFields, keep_times};
use loopline_merge::path::PathSet;
use loopline_merge::structured::OneVersion;
use serde_json::{Value, json};

use crate::kind::{Kind, kind};

const VERSION: &str = "apps/v1";

/// Makes a configuration wrong.
type Change<'a> = &'a dyn Fn(&mut Value);

struct Endpoint {
    versions: OneVersion<'static, Kind>,
    subresource: &'static str,
    reset: PathSet,
}

impl Endpoint {
    fn main() -> Self {
        Self::of("", "status")
    }

    fn status() -> Self {
        Self::of("status", "spec")
    }

    fn of(subresource: &'static str, reset: &str) -> Self {
        let versions = OneVersion { version: VERSION, ty: kind("deployment") };
        Self { versions, subresource, reset: PathSet::of_fields(&[&[reset]]) }
    }

    fn manager(&self) -> FieldManager<'_, OneVersion<'static, Kind>> {
        FieldManager {
            versions: &self.versions,
            version: VERSION,
            subresource: self.subresource,
            reset: &self.reset,
        }
    }

    fn apply(&self, live: &Value, config: &Value, manager: &str, at: i64) -> Value {
        self.try_apply(live, config, manager, false, at).expect("the configuration is applied")
    }

    fn try_apply(
        &self,
        live: &Value,
        config: &Value,
        manager: &str,
        force: bool,
        at: i64,
    ) -> Result<Value, ApplyError> {
        self.manager().apply(live, config, manager, force, time(at))
    }

    fn update(&self, live: &Value, new: Value, manager: &str, at: i64) -> Value {
        self.manager().update(live, new, manager, time(at))
    }
}

fn time(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).expect("the time is in range")
}

fn config(spec: &Value) -> Value {
    json!({
        "apiVersion": VERSION, "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"}, "spec": spec,
    })
}

/// Returns an object as the server keeps it.
fn stored(mut object: Value) -> Value {
    object["metadata"]["uid"] = json!("u-1");
    object["metadata"]["resourceVersion"] = json!("7");
    object
}

fn entries(object: &Value) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    entries
        .iter()
        .map(|entry| {
            let text = |name: &str| entry[name].as_str().unwrap_or("-").to_owned();
            format!(
                "{} {} {} {}",
                text("manager"),
                text("operation"),
                text("time").replace("2023-11-14T22:13:", ""),
                entry["fieldsV1"]
            )
        })
        .collect()
}

#[test]
fn the_first_apply_owns_what_it_says() {
    let config = config(&json!({"replicas": 2, "template": {"spec": {"containers": [
        {"name": "web", "ports": [{"containerPort": 80}], "args": ["a"]},
    ]}}}));
    let object = Endpoint::main().apply(&json!({}), &config, "kubectl", 20);
    assert_eq!(
        object["metadata"]["managedFields"].to_string(),
        r#"[{"manager":"kubectl","operation":"Apply","apiVersion":"apps/v1","#.to_owned()
            + r#""time":"2023-11-14T22:13:40Z","fieldsType":"FieldsV1","fieldsV1":{"f:spec":"#
            + r#"{"f:replicas":{},"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"web\"}":"#
            + r#"{".":{},"f:args":{},"f:name":{},"f:ports":{"#
            + r#""k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{}}}}}}}}}}]"#
    );
}

#[test]
fn applying_again_changes_nothing() {
    let endpoint = Endpoint::main();
    let config = config(&json!({"replicas": 2}));
    let object = stored(endpoint.apply(&json!({}), &config, "kubectl", 20));
    assert_eq!(endpoint.apply(&object, &config, "kubectl", 30).to_string(), object.to_string());
}

#[test]
fn a_second_applier_of_the_same_value_owns_it_too() {
    let endpoint = Endpoint::main();
    let config = config(&json!({"replicas": 2}));
    let object = stored(endpoint.apply(&json!({}), &config, "one", 20));
    let object = endpoint.apply(&object, &config, "two", 30);
    assert_eq!(
        entries(&object),
        [
            r#"one Apply 40Z {"f:spec":{"f:replicas":{}}}"#,
            r#"two Apply 50Z {"f:spec":{"f:replicas":{}}}"#,
        ]
    );
}

#[test]
fn conflicts_name_their_owners() {
    let endpoint = Endpoint::main();
    let created = endpoint.update(
        &json!({}),
        config(&json!({"replicas": 1, "paused": true})),
        "kubectl-client-side-apply",
        10,
    );
    let object = stored(created);
    let applied = config(&json!({"replicas": 2}));
    let error = endpoint.try_apply(&object, &applied, "me", false, 20).expect_err("a conflict");
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using apps/v1: \
         .spec.replicas"
    );
    let ApplyError::Conflicts(conflicts) = error else { panic!("a conflict, not {error}") };
    let causes = conflicts.causes();
    assert_eq!(causes[0].reason, "FieldManagerConflict");
    assert_eq!(causes[0].message, "conflict with \"kubectl-client-side-apply\" using apps/v1");
    assert_eq!(causes[0].field, ".spec.replicas");

    let object = endpoint.apply(&object, &config(&json!({"paused": true})), "another", 30);
    let applied = config(&json!({"replicas": 2, "paused": false}));
    let error = endpoint.try_apply(&object, &applied, "me", false, 40).expect_err("conflicts");
    assert_eq!(
        error.to_string(),
        "Apply failed with 3 conflicts: conflicts with \"another\":\n- .spec.paused\n\
         conflicts with \"kubectl-client-side-apply\" using apps/v1:\n\
         - .spec.paused\n- .spec.replicas"
    );

    let forced = endpoint.try_apply(&object, &applied, "me", true, 50).expect("by force");
    assert_eq!(forced["spec"], json!({"replicas": 2, "paused": false}));
    assert_eq!(
        entries(&forced),
        [
            // Whoever lost everything is forgotten; who created the object keeps the object.
            r#"me Apply 10Z {"f:spec":{"f:paused":{},"f:replicas":{}}}"#
                .replace("10Z", "2023-11-14T22:14:10Z"),
            r#"kubectl-client-side-apply Update 30Z {"f:spec":{}}"#.to_owned(),
        ]
    );
}

#[test]
fn updates_take_what_they_change() {
    let endpoint = Endpoint::main();
    let applied = config(&json!({"replicas": 2, "paused": true}));
    let object = stored(endpoint.apply(&json!({}), &applied, "kubectl", 20));
    let mut scaled = object.clone();
    scaled["spec"]["replicas"] = json!(5);
    let object = endpoint.update(&object, scaled, "hpa", 30);
    assert_eq!(
        entries(&object),
        [
            r#"kubectl Apply 40Z {"f:spec":{"f:paused":{}}}"#,
            r#"hpa Update 50Z {"f:spec":{"f:replicas":{}}}"#,
        ]
    );
    // What nobody changed keeps its time.
    let again = endpoint.update(&object, object.clone(), "hpa", 35);
    assert_eq!(again.to_string(), object.to_string());
}

#[test]
fn the_status_endpoint_owns_only_the_status() {
    let (endpoint, status) = (Endpoint::main(), Endpoint::status());
    let object = stored(endpoint.apply(&json!({}), &config(&json!({"replicas": 2})), "me", 10));
    let mut reported = object.clone();
    reported["status"] = json!({"replicas": 1});
    let object = status.update(&object, reported, "controller", 20);
    let entry = &object["metadata"]["managedFields"][1];
    assert_eq!(entry["subresource"], "status");
    assert_eq!(entry["fieldsV1"], json!({"f:status": {".": {}, "f:replicas": {}}}));
    // Through the main endpoint nobody owns a status, not even who applies one.
    let mut applied = config(&json!({"replicas": 2}));
    applied["status"] = json!({"replicas": 9});
    let object = endpoint.apply(&object, &applied, "me", 30);
    assert_eq!(object["metadata"]["managedFields"].as_array().map(Vec::len), Some(2));
    let applied = json!({
        "apiVersion": VERSION, "kind": "Deployment", "metadata": {"name": "web"},
        "status": {"replicas": 3},
    });
    let error = status.try_apply(&object, &applied, "x", false, 40).expect_err("a conflict");
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"controller\" with subresource \"status\" \
         using apps/v1: .status.replicas"
    );
}

#[test]
fn one_empty_entry_clears_all_and_nothing_is_tracked_until_an_apply() {
    let endpoint = Endpoint::main();
    let object = stored(endpoint.apply(&json!({}), &config(&json!({"replicas": 2})), "me", 10));
    for reset in [json!([{}]), json!([])] {
        let mut cleared = object.clone();
        cleared["metadata"]["managedFields"] = reset;
        let cleared = endpoint.update(&object, cleared, "you", 20);
        assert_eq!(cleared["metadata"].get("managedFields"), None);
        let mut changed = cleared.clone();
        changed["spec"]["paused"] = json!(true);
        let changed = endpoint.update(&cleared, changed, "you", 30);
        assert_eq!(changed["metadata"].get("managedFields"), None);
        let applied = endpoint.apply(&changed, &config(&json!({"replicas": 2})), "me", 35);
        assert_eq!(
            entries(&applied),
            [
                r#"me Apply 55Z {"f:spec":{"f:replicas":{}}}"#,
                r#"before-first-apply Update 55Z {"f:spec":{".":{},"f:paused":{},"f:replicas":{}}}"#,
            ]
        );
    }
}

#[test]
fn who_leaves_the_entries_out_keeps_them() {
    let endpoint = Endpoint::main();
    let object = stored(endpoint.apply(&json!({}), &config(&json!({"replicas": 2})), "me", 10));
    for unreadable in [Value::Null, json!([{"manager": "x"}])] {
        let mut without = object.clone();
        without["metadata"]["managedFields"] = unreadable;
        let updated = endpoint.update(&object, without, "you", 20);
        assert_eq!(entries(&updated), entries(&object));
    }
}

#[test]
fn the_oldest_updaters_become_one() {
    let endpoint = Endpoint::main();
    let mut object = stored(endpoint.update(&json!({}), config(&json!({})), "m00", 0));
    for number in 1..=14 {
        let mut changed = object.clone();
        changed["metadata"]["labels"][format!("l{number:02}")] = json!("x");
        object = endpoint.update(&object, changed, &format!("m{number:02}"), number);
    }
    let managed = ManagedFields::of(&object).expect("the entries can be read");
    assert_eq!(managed.managers.len(), 10);
    let names: Vec<&str> = managed.managers.keys().map(|id| &*id.manager).collect();
    assert_eq!(names[0], "ancient-changes");
    assert_eq!(names[1..], ["m06", "m07", "m08", "m09", "m10", "m11", "m12", "m13", "m14"]);
    let ancient = managed.managers.values().next().expect("there are entries");
    for number in 1..=5 {
        assert!(
            ancient.set.has(
                &loopline_merge::path::Path::of_fields(&[
                    "metadata",
                    "labels",
                    &format!("l{number:02}")
                ])
                .0
            )
        );
    }
}

#[test]
fn kubectl_takes_over_what_client_side_apply_owned() {
    let endpoint = Endpoint::main();
    let mut created = config(&json!({"replicas": 1, "paused": false}));
    created["metadata"]["annotations"] = json!({
        "kubectl.kubernetes.io/last-applied-configuration": format!("{created}\n"),
    });
    let object = stored(endpoint.update(&json!({}), created, "kubectl-client-side-apply", 10));
    let wanted = config(&json!({"replicas": 3}));
    assert!(endpoint.try_apply(&object, &wanted, "flux", false, 20).is_err());
    let applied = endpoint.apply(&object, &wanted, "kubectl", 20);
    assert_eq!(applied["spec"]["replicas"], 3);
    assert_eq!(
        applied["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"],
        json!(format!("{wanted}\n"))
    );
    // What another changed since then is that other's.
    let mut scaled = object.clone();
    scaled["spec"]["replicas"] = json!(9);
    let scaled = endpoint.update(&object, scaled, "hpa", 15);
    let error = endpoint.try_apply(&scaled, &wanted, "kubectl", false, 20).expect_err("a conflict");
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"hpa\" using apps/v1: .spec.replicas"
    );
}

#[test]
fn wrong_configurations_are_refused() {
    let endpoint = Endpoint::main();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut config = config(&json!({"replicas": 1}));
        change(&mut config);
        endpoint.try_apply(&json!({}), &config, "me", true, 0).expect_err("it is wrong").to_string()
    };
    let object = "failed to create typed patch object (default/web; apps/v1, Kind=Deployment): ";
    let cases: [(Change<'_>, String); 8] = [
        (
            &|config| config["metadata"]["managedFields"] = json!([]),
            "metadata.managedFields must be nil".to_owned(),
        ),
        (
            &|config| config["apiVersion"] = json!("apps/v2"),
            "Incorrect version specified in apply patch. Specified patch version: apps/v2, \
             expected: apps/v1"
                .to_owned()
                .replace("  ", " "),
        ),
        (
            &|config| config["spec"]["foo"] = json!(1),
            format!("{object}.spec.foo: field not declared in schema"),
        ),
        (
            &|config| config["spec"]["replicas"] = json!("two"),
            format!("{object}.spec.replicas: expected numeric (int or float), got \"two\""),
        ),
        (
            &|config| config["metadata"]["finalizers"] = json!(["a", "a"]),
            format!("{object}.metadata.finalizers: duplicate entries for key [=\"a\"]"),
        ),
        (
            &|config| {
                config["spec"]["template"]["spec"]["containers"] =
                    json!([{"name": "a", "ports": [{"name": "x"}]}]);
            },
            format!(
                "{object}.spec.template.spec.containers[name=\"a\"].ports: element 0: associative \
                 list with keys has an element that omits key field \"containerPort\""
            ),
        ),
        (
            &|config| {
                config["spec"]["template"]["spec"]["containers"] =
                    json!([{"name": "a"}, {"name": "a"}]);
            },
            format!(
                "{object}.spec.template.spec.containers: duplicate entries for key [name=\"a\"]"
            ),
        ),
        (
            &|config| config["spec"] = json!({"a": 1, "b": 2}),
            format!(
                "{object}errors:\n  .spec.a: field not declared in schema\n  \
                 .spec.b: field not declared in schema"
            ),
        ),
    ];
    for (change, expected) in cases {
        assert_eq!(with(change), expected);
    }
}

#[test]
fn duplicates_of_live_objects_are_let_through() {
    let endpoint = Endpoint::main();
    let spec = json!({"template": {"spec": {"containers": [
        {"name": "a", "env": [{"name": "E", "value": "1"}, {"name": "E", "value": "2"}]},
    ]}}});
    let object = stored(endpoint.update(&json!({}), config(&spec), "old", 10));
    let applied = endpoint.apply(&object, &config(&json!({"replicas": 2})), "me", 20);
    assert_eq!(applied["spec"]["template"], spec["template"]);
    assert_eq!(applied["spec"]["replicas"], 2);
}

#[test]
fn times_alone_are_no_change() {
    let endpoint = Endpoint::main();
    let old = stored(endpoint.apply(&json!({}), &config(&json!({"replicas": 2})), "me", 10));
    let mut new = old.clone();
    new["metadata"]["managedFields"][0]["time"] = json!("2024-01-01T00:00:00Z");
    keep_times(&old, &mut new);
    assert_eq!(new, old);
    new["metadata"]["managedFields"][0]["time"] = json!("2024-01-01T00:00:00Z");
    new["spec"]["replicas"] = json!(3);
    keep_times(&old, &mut new);
    assert_eq!(new["metadata"]["managedFields"][0]["time"], "2024-01-01T00:00:00Z");
}

#[test]
fn unreadable_entries_say_why() {
    let entry = json!({
        "manager": "m", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
        "fieldsV1": {"f:a": {}}, "time": "2024-01-01T00:00:00Z",
    });
    assert!(ManagedFields::decode(&json!([entry])).is_ok());
    let cases = [
        (
            "operation",
            json!("Delete"),
            "operation must be `Apply` or `Update` in managed fields entry 0",
        ),
        ("operation", json!(1), "operation must be a string in managed fields entry 0"),
        ("apiVersion", json!(""), "apiVersion must not be empty in managed fields entry 0"),
        ("fieldsType", json!(""), "missing fieldsType in managed fields entry 0"),
        ("fieldsType", json!("V2"), "invalid fieldsType \"V2\" in managed fields entry 0"),
        ("time", json!("yesterday"), "invalid time \"yesterday\" in managed fields entry 0"),
        ("fieldsV1", json!([]), "managed fields entry 0: field set at \".\" must be an object"),
        (
            "fieldsV1",
            json!({"f": {}}),
            "managed fields entry 0: field set key \"f\" does not start with a kind and a colon",
        ),
    ];
    for (name, value, expected) in cases {
        let mut entry = entry.clone();
        entry[name] = value;
        let error = ManagedFields::decode(&json!([entry])).expect_err("the entry is wrong");
        assert_eq!(error.to_string(), expected);
    }
}
