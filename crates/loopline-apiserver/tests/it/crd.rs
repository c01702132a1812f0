//! Custom resources: definitions come, are served, change and go.

use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams,
};
use loopline_apiserver::{Options, Server};
use serde_json::{Value, json};

use crate::support::{Served, ask, make, server};

pub(crate) fn crontab() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "crontabs.stable.example.com"},
        "spec": {
            "group": "stable.example.com",
            "scope": "Namespaced",
            "names": {
                "plural": "crontabs", "singular": "crontab", "kind": "CronTab",
                "shortNames": ["ct"], "categories": ["all"],
            },
            "versions": [{
                "name": "v1",
                "served": true,
                "storage": true,
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "properties": {
                        "spec": {
                            "type": "object",
                            "required": ["cronSpec"],
                            "properties": {
                                "cronSpec": {"type": "string", "description": "When it runs.", "pattern": "^\\S+( \\S+){4}$"},
                                "image": {"type": "string", "default": "busybox"},
                                "replicas": {"type": "integer", "minimum": 1, "maximum": 10},
                                "port": {"x-kubernetes-int-or-string": true},
                                "note": {"type": "string", "nullable": true},
                                "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                            },
                        },
                        "status": {
                            "type": "object",
                            "properties": {
                                "replicas": {"type": "integer"},
                                "labelSelector": {"type": "string"},
                            },
                        },
                    },
                }},
                "selectableFields": [{"jsonPath": ".spec.image"}],
                "additionalPrinterColumns": [
                    {"name": "Spec", "type": "string", "jsonPath": ".spec.cronSpec"},
                    {"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas"},
                    {"name": "Image", "type": "string", "jsonPath": ".spec.image", "priority": 1},
                    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                ],
                "subresources": {
                    "status": {},
                    "scale": {
                        "specReplicasPath": ".spec.replicas",
                        "statusReplicasPath": ".status.replicas",
                        "labelSelectorPath": ".status.labelSelector",
                    },
                },
            }],
        },
    })
}

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const CRONTAB: &str =
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/crontabs.stable.example.com";
const CRONTABS: &str = "/apis/stable.example.com/v1/namespaces/default/crontabs";

fn object(spec: Value) -> Value {
    json!({
        "apiVersion": "stable.example.com/v1", "kind": "CronTab", "metadata": {"name": "a"},
        "spec": spec,
    })
}

fn condition<'a>(definition: &'a Value, kind: &str) -> &'a Value {
    let conditions = definition["status"]["conditions"].as_array().unwrap();
    conditions.iter().find(|one| one["type"] == kind).unwrap()
}

#[tokio::test]
async fn a_definition_is_served_at_once_and_says_so() {
    let server = server();
    make(&server, crontab()).await.ok();
    let definition = ask(&server, "GET", CRONTAB, Value::Null).await.ok();
    assert_eq!(condition(&definition, "NamesAccepted")["message"], "no conflicts found");
    let established = condition(&definition, "Established");
    assert_eq!(established["status"], "True");
    assert_eq!(established["message"], "the initial names have been accepted");
    assert_eq!(definition["status"]["storedVersions"], json!(["v1"]));
    let accepted = &definition["status"]["acceptedNames"];
    assert_eq!(
        accepted,
        &json!({
            "plural": "crontabs", "kind": "CronTab", "singular": "crontab",
            "listKind": "CronTabList", "shortNames": ["ct"], "categories": ["all"],
        })
    );
    let resources = ask(&server, "GET", "/apis/stable.example.com/v1", Value::Null).await.ok();
    let names: Vec<_> = resources["resources"].as_array().unwrap().iter().collect();
    assert_eq!(names.len(), 3, "{resources}");
    let openapi = ask(&server, "GET", "/openapi/v3/apis/stable.example.com/v1", Value::Null);
    assert!(openapi.await.ok()["components"]["schemas"].to_string().contains("When it runs."));
}

#[tokio::test]
async fn objects_are_pruned_completed_checked_and_counted() {
    let server = server();
    make(&server, crontab()).await.ok();
    let spec = json!({"cronSpec": "* * * * */5", "imgae": "x", "note": null, "port": "http", "open": {"a": {"b": 1}}});
    let answer = ask(&server, "POST", CRONTABS, object(spec.clone())).await;
    assert_eq!(answer.warnings, ["299 - \"unknown field \\\"spec.imgae\\\"\""]);
    let made = answer.ok();
    assert_eq!(
        made["spec"],
        json!({"cronSpec": "* * * * */5", "note": null, "port": "http", "open": {"a": {"b": 1}}, "image": "busybox"})
    );
    assert_eq!(made["metadata"]["generation"], 1);
    let strict = format!("{CRONTABS}?fieldValidation=Strict");
    let refused = ask(&server, "POST", &strict, object(spec)).await;
    assert_eq!(refused.refused(), (400, "strict decoding error: unknown field \"spec.imgae\""));
    let path = format!("{CRONTABS}/a");
    let refused =
        ask(&server, "PATCH", &path, json!({"spec": {"cronSpec": "never", "replicas": 11}})).await;
    assert_eq!(
        refused.refused(),
        (
            422,
            "CronTab.stable.example.com \"a\" is invalid: [spec.cronSpec: Invalid value: \
             \"never\": spec.cronSpec in body should match '^\\S+( \\S+){4}$', spec.replicas: \
             Invalid value: 11: spec.replicas in body should be less than or equal to 10]"
        )
    );
    // What is asked for is counted; status, metadata and what changes nothing are not.
    let count = async |patch: Value, at: &str| {
        let made = ask(&server, "PATCH", at, patch).await.ok();
        (made["metadata"]["generation"].as_i64().unwrap(), made)
    };
    assert_eq!(count(json!({"spec": {"replicas": 2}}), &path).await.0, 2);
    assert_eq!(count(json!({"spec": {"replicas": 2}}), &path).await.0, 2);
    assert_eq!(count(json!({"metadata": {"labels": {"a": "b"}}}), &path).await.0, 2);
    let status = format!("{path}/status");
    let (generation, made) =
        count(json!({"status": {"replicas": 2}, "spec": {"replicas": 9}}), &status).await;
    assert_eq!((generation, &made["spec"]["replicas"]), (2, &json!(2)));
    let (generation, made) =
        count(json!({"status": {"replicas": 7}, "spec": {"replicas": 3}}), &path).await;
    assert_eq!((generation, &made["status"]["replicas"]), (3, &json!(2)));
    // A replacement names what it replaces.
    let mut without = made.clone();
    without["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    let refused = ask(&server, "PUT", &path, without).await;
    assert_eq!(
        refused.refused(),
        (
            422,
            "crontabs.stable.example.com \"a\" is invalid: metadata.resourceVersion: Invalid \
             value: 0x0: must be specified for an update"
        )
    );
    ask(&server, "PUT", &path, made).await.ok();
    let chosen = |query: &str| format!("{CRONTABS}?fieldSelector={query}");
    for (query, count) in [("spec.image%3Dbusybox", 1), ("spec.image%3Dother", 0)] {
        let list = ask(&server, "GET", &chosen(query), Value::Null).await.ok();
        assert_eq!(list["items"].as_array().unwrap().len(), count);
    }
    let refused = ask(&server, "GET", &chosen("spec.replicas%3D2"), Value::Null).await;
    assert_eq!(refused.refused(), (400, "field label not supported: spec.replicas"));
}

#[tokio::test]
async fn rules_judge_values_and_their_changes() {
    let server = server();
    let mut definition = crontab();
    let schema = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
    let at = definition.pointer_mut(schema).unwrap();
    at["x-kubernetes-validations"] = json!([
        {"rule": "!has(self.replicas) || self.replicas <= 5", "message": "at most five"},
        {"rule": "!has(self.note) || self.note == oldSelf.note", "message": "the note stays",
         "fieldPath": ".note", "reason": "FieldValueForbidden"},
        {"rule": "self.image.startsWith('b')", "messageExpression": "'not ' + self.image"},
        {"rule": "!has(self.open) || self.open.a.all(x, x.matches('^[a-z]+$'))"},
        {"rule": "self.cronSpec != 'x' || oldSelf.hasValue()", "optionalOldSelf": true},
    ]);
    make(&server, definition.clone()).await.ok();
    let cron = "* * * * *";
    let said = async |spec: Value| {
        let answer = ask(&server, "POST", CRONTABS, object(spec)).await;
        answer.refused().1.to_owned()
    };
    let is = |rest: &str| format!("CronTab.stable.example.com \"a\" is invalid: {rest}");
    assert_eq!(
        said(json!({"cronSpec": cron, "replicas": 6})).await,
        is("spec: Invalid value: \"object\": at most five")
    );
    assert_eq!(
        said(json!({"cronSpec": cron, "image": "nginx"})).await,
        is("spec: Invalid value: \"object\": not nginx")
    );
    assert_eq!(
        said(json!({"cronSpec": cron, "open": {"a": ["b", "C"]}})).await,
        is("spec: Invalid value: \"object\": failed rule: !has(self.open) || \
            self.open.a.all(x, x.matches('^[a-z]+$'))")
    );
    assert_eq!(
        said(json!({"cronSpec": cron, "open": {}})).await,
        is("spec: Invalid value: \"object\": no such key: a evaluating rule: \
            !has(self.open) || self.open.a.all(x, x.matches('^[a-z]+$'))")
    );
    let missing = said(json!({"replicas": 6})).await;
    assert!(missing.contains("some validation rules were not checked"), "{missing}");
    let spec = json!({"cronSpec": cron, "note": "one"});
    ask(&server, "POST", CRONTABS, object(spec)).await.ok();
    let path = format!("{CRONTABS}/a");
    let refused = ask(&server, "PATCH", &path, json!({"spec": {"note": "two"}})).await;
    assert_eq!(refused.refused().1, is("spec.note: Forbidden: the note stays"));
    ask(&server, "PATCH", &path, json!({"spec": {"replicas": 5}})).await.ok();
    for (rule, expected) in
        [("self.a +", "compilation failed"), ("slef.a == 1", "undeclared reference to 'slef'")]
    {
        let mut definition = definition.clone();
        let at = definition.pointer_mut(schema).unwrap();
        at["x-kubernetes-validations"] = json!([{"rule": rule}]);
        let answer = ask(&server, "POST", DEFINITIONS, definition).await;
        let (code, message) = answer.refused();
        assert_eq!(code, 422);
        assert!(message.contains("properties[spec].x-kubernetes-validations[0].rule"), "{message}");
        assert!(message.contains(expected), "{message}");
    }
    let program = loopline_apiserver::cel::Program::compile(
        "xs.all(a, xs.all(b, xs.all(c, xs.all(d, a + b + c + d >= 0))))",
        &["xs"],
    )
    .unwrap();
    let many = json!((0..200).collect::<Vec<_>>());
    let cost = program.evaluate(&[("xs", loopline_apiserver::cel::from_json(&many))]);
    assert_eq!(cost.unwrap_err(), loopline_apiserver::cel::Error::TooExpensive);
}

#[tokio::test]
async fn an_update_is_not_refused_for_what_was_wrong_before() {
    let server = server();
    make(&server, crontab()).await.ok();
    let spec = json!({"cronSpec": "* * * * *", "replicas": 9});
    ask(&server, "POST", CRONTABS, object(spec)).await.ok();
    let tighter = json!([{"op": "replace", "value": 5, "path":
        "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/replicas/maximum"}]);
    let definition = ask(&server, "GET", CRONTAB, Value::Null).await.ok();
    let mut changed = definition;
    changed["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
        ["replicas"]["maximum"] = tighter[0]["value"].clone();
    ask(&server, "PUT", CRONTAB, changed).await.ok();
    let path = format!("{CRONTABS}/a");
    ask(&server, "PATCH", &path, json!({"spec": {"image": "x"}})).await.ok();
    let refused = ask(&server, "PATCH", &path, json!({"spec": {"replicas": 8}})).await;
    assert_eq!(refused.refused().0, 422);
    ask(&server, "PATCH", &path, json!({"spec": {"replicas": 4}})).await.ok();
}

#[tokio::test]
async fn versions_are_converted_and_storage_versions_remembered() {
    let server = server();
    let mut definition = crontab();
    let mut old = definition["spec"]["versions"][0].clone();
    old["name"] = json!("v1beta1");
    old["storage"] = json!(false);
    old["deprecated"] = json!(true);
    definition["spec"]["versions"].as_array_mut().unwrap().push(old);
    make(&server, definition.clone()).await.ok();
    let beta = CRONTABS.replace("/v1/", "/v1beta1/");
    let mut one = object(json!({"cronSpec": "* * * * *"}));
    one["apiVersion"] = json!("stable.example.com/v1beta1");
    let made = ask(&server, "POST", &beta, one).await;
    assert_eq!(made.warnings, ["299 - \"stable.example.com/v1beta1 CronTab is deprecated\""]);
    made.ok();
    let found = ask(&server, "GET", &format!("{CRONTABS}/a"), Value::Null).await.ok();
    assert_eq!(found["apiVersion"], "stable.example.com/v1");
    let mut live = ask(&server, "GET", CRONTAB, Value::Null).await.ok();
    live["spec"]["versions"][0]["storage"] = json!(false);
    live["spec"]["versions"][1]["storage"] = json!(true);
    let live = ask(&server, "PUT", CRONTAB, live).await.ok();
    assert_eq!(live["status"]["storedVersions"], json!(["v1", "v1beta1"]));
    let found = ask(&server, "GET", &format!("{beta}/a"), Value::Null).await.ok();
    assert_eq!(found["apiVersion"], "stable.example.com/v1beta1");
    let group = ask(&server, "GET", "/apis/stable.example.com", Value::Null).await.ok();
    assert_eq!(group["preferredVersion"]["version"], "v1");
    let mut live = ask(&server, "GET", CRONTAB, Value::Null).await.ok();
    live["spec"]["versions"].as_array_mut().unwrap().remove(0);
    let refused = ask(&server, "PUT", CRONTAB, live).await;
    assert_eq!(
        refused.refused().1,
        "CustomResourceDefinition.apiextensions.k8s.io \"crontabs.stable.example.com\" is \
         invalid: status.storedVersions[0]: Invalid value: \"v1\": must appear in spec.versions"
    );
}

#[tokio::test]
async fn names_are_given_once_and_again_when_they_are_free() {
    let server = server();
    make(&server, crontab()).await.ok();
    let mut rival = crontab();
    rival["metadata"]["name"] = json!("cats.stable.example.com");
    rival["spec"]["names"] =
        json!({"plural": "cats", "singular": "cat", "kind": "Cat", "shortNames": ["ct"]});
    make(&server, rival).await.ok();
    let path = format!("{DEFINITIONS}/cats.stable.example.com");
    let found = ask(&server, "GET", &path, Value::Null).await.ok();
    let accepted = condition(&found, "NamesAccepted");
    assert_eq!(accepted["reason"], "ShortNamesConflict");
    assert_eq!(accepted["message"], "\"ct\" is already in use");
    assert_eq!(condition(&found, "Established")["reason"], "NotAccepted");
    let cats = "/apis/stable.example.com/v1/cats";
    assert_eq!(ask(&server, "GET", cats, Value::Null).await.refused().0, 404);
    ask(&server, "DELETE", CRONTAB, Value::Null).await.ok();
    until(&server, &path, |found| condition(found, "Established")["status"] == "True").await;
    ask(&server, "GET", cats, Value::Null).await.ok();
}

/// Asks again until an object is as it should be; every change of definitions wakes it.
async fn until(server: &Server, path: &str, is: impl Fn(&Value) -> bool) {
    loop {
        let mut changes =
            server.store().watch("apiextensions.k8s.io/", server.store().revision()).await.unwrap();
        let found = ask(server, "GET", path, Value::Null).await;
        if is(&found.body) {
            return;
        }
        changes.next().await.unwrap();
    }
}

#[tokio::test]
async fn a_deleted_definition_takes_its_objects_along() {
    let server = server();
    make(&server, crontab()).await.ok();
    let mut held = object(json!({"cronSpec": "* * * * *"}));
    held["metadata"]["finalizers"] = json!(["example.com/held"]);
    ask(&server, "POST", CRONTABS, held).await.ok();
    let mut free = object(json!({"cronSpec": "* * * * *"}));
    free["metadata"]["name"] = json!("b");
    ask(&server, "POST", CRONTABS, free).await.ok();
    let deleted = ask(&server, "DELETE", CRONTAB, Value::Null).await.ok();
    let finalizer = "customresourcecleanup.apiextensions.k8s.io";
    assert_eq!(deleted["metadata"]["finalizers"], json!([finalizer]));
    assert_eq!(condition(&deleted, "Terminating")["reason"], "InstanceDeletionPending");
    let refused = ask(&server, "POST", CRONTABS, object(json!({"cronSpec": "* * * * *"}))).await;
    assert_eq!(refused.refused().0, 405);
    let path = format!("{CRONTABS}/a");
    until_deleting(&server, &path).await;
    let found = ask(&server, "GET", CRONTAB, Value::Null).await.ok();
    assert_eq!(found["metadata"]["finalizers"], json!([finalizer]));
    // Whoever holds an object lets it go by an update.
    let mut object = ask(&server, "GET", &path, Value::Null).await.ok();
    object["metadata"].as_object_mut().unwrap().remove("finalizers");
    ask(&server, "PUT", &path, object).await;
    until(&server, CRONTAB, |found| found["code"] == 404).await;
    // The store tells of the removal a moment before the registry knows.
    while ask(&server, "GET", CRONTABS, Value::Null).await.code != 404 {
        tokio::task::yield_now().await;
    }
    assert!(!ask(&server, "GET", "/apis", Value::Null).await.ok().to_string().contains("stable"));
}

async fn until_deleting(server: &Server, path: &str) {
    loop {
        let mut changes =
            server.store().watch("stable.example.com/", server.store().revision()).await.unwrap();
        let found = ask(server, "GET", path, Value::Null).await.ok();
        if !found["metadata"]["deletionTimestamp"].is_null() {
            return;
        }
        changes.next().await.unwrap();
    }
}

#[tokio::test]
async fn definitions_that_are_none_are_refused_with_the_place() {
    let server = server();
    for (pointer, value, expected) in [
        (
            "/metadata/name",
            json!("x.stable.example.com"),
            "metadata.name: Invalid value: \"x.stable.example.com\": must be spec.names.plural+\".\"+spec.group",
        ),
        (
            "/spec/scope",
            json!("Both"),
            "spec.scope: Unsupported value: \"Both\": supported values: \"Cluster\", \"Namespaced\"",
        ),
        (
            "/spec/versions/0/storage",
            json!(false),
            "must have exactly one version marked as storage version",
        ),
        (
            "/spec/versions/0/schema",
            json!(null),
            "spec.versions[0].schema.openAPIV3Schema: Required value: schemas are required",
        ),
        (
            "/spec/versions/0/schema/openAPIV3Schema/type",
            json!("string"),
            "spec.versions[0].schema.openAPIV3Schema.type: Invalid value: \"string\": must be object at the root",
        ),
        (
            "/spec/versions/0/additionalPrinterColumns/0/type",
            json!("text"),
            "spec.versions[0].additionalPrinterColumns[0].type: Invalid value: \"text\": must be one of boolean,date,integer,number,string",
        ),
        (
            "/spec/versions/0/additionalPrinterColumns/0/jsonPath",
            json!("spec"),
            "spec.versions[0].additionalPrinterColumns[0].jsonPath: Invalid value: \"spec\": unexpected 's'",
        ),
        (
            "/spec/versions/0/subresources/scale/specReplicasPath",
            json!(".status.replicas"),
            "spec.versions[0].subresources.scale.specReplicasPath: Invalid value: \".status.replicas\": should be a json path under .spec",
        ),
        (
            "/spec/versions/0/selectableFields/0/jsonPath",
            json!(".spec.open"),
            "spec.versions[0].selectableFields[0].jsonPath: Invalid value: \".spec.open\": must point to a field of type string, boolean or integer",
        ),
        (
            "/spec/names/kind",
            json!("Cron Tab"),
            "spec.names.kind: Invalid value: \"Cron Tab\": may have mixed case, but should otherwise match",
        ),
    ] {
        let mut definition = crontab();
        *definition.pointer_mut(pointer).unwrap() = value;
        let answer = make(&server, definition).await;
        let (code, message) = answer.refused();
        assert_eq!(code, 422, "{message}");
        assert!(message.contains(expected), "{message}\nwants {expected}");
    }
}

#[tokio::test]
async fn definitions_are_served_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let options = || {
        let store =
            loopline_store::object::SqliteStore::open(&loopline_store::object::SqliteOptions {
                folder: folder.path().to_owned(),
                durability: loopline_store::object::Durability::Full,
                owner: "test".to_owned(),
            });
        Options { store: std::sync::Arc::new(store.unwrap()), ..Options::ephemeral().unwrap() }
    };
    let server = Server::new(options());
    make(&server, crontab()).await.ok();
    ask(&server, "POST", CRONTABS, object(json!({"cronSpec": "* * * * *"}))).await.ok();
    server.shutdown().cancel();
    drop(server);
    let server = Server::new(options());
    let groups = ask(&server, "GET", "/apis", Value::Null).await.ok();
    assert!(groups.to_string().contains("stable.example.com"));
    ask(&server, "GET", &format!("{CRONTABS}/a"), Value::Null).await.ok();
}

#[tokio::test]
async fn kube_clients_work_with_objects_they_have_no_type_for() {
    let server = server();
    let client = server.client();
    let definitions: Api<DynamicObject> = Api::all_with(
        client.clone(),
        &ApiResource::from_gvk(&GroupVersionKind::gvk(
            "apiextensions.k8s.io",
            "v1",
            "CustomResourceDefinition",
        )),
    );
    let definition: DynamicObject = serde_json::from_value(crontab()).unwrap();
    definitions.create(&PostParams::default(), &definition).await.unwrap();
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("stable.example.com", "v1", "CronTab"));
    let crontabs: Api<DynamicObject> = Api::default_namespaced_with(client, &kind);
    let applied = |spec: Value| Patch::Apply(object(spec));
    let by = |manager: &str| PatchParams::apply(manager);
    let made = crontabs
        .patch("a", &by("one"), &applied(json!({"cronSpec": "* * * * *", "replicas": 2})))
        .await
        .unwrap();
    assert_eq!(made.data["spec"]["image"], "busybox");
    let refused =
        crontabs.patch("a", &by("two"), &applied(json!({"replicas": 3}))).await.unwrap_err();
    assert!(refused.to_string().contains("conflict with \"one\": .spec.replicas"), "{refused}");
    let typed = crontabs.patch("a", &by("two"), &applied(json!({"replicas": "3"}))).await;
    let refused = typed.unwrap_err().to_string();
    assert!(refused.contains(".spec.replicas"), "{refused}");
    let scale = Patch::Merge(json!({"spec": {"replicas": 4}}));
    crontabs.patch_scale("a", &PatchParams::default(), &scale).await.unwrap();
    assert_eq!(crontabs.get("a").await.unwrap().data["spec"]["replicas"], 4);
    let strategic = Patch::Strategic(json!({"spec": {"replicas": 1}}));
    let refused = crontabs.patch("a", &PatchParams::default(), &strategic).await.unwrap_err();
    assert!(matches!(&refused, kube::Error::Api(status) if status.code == 415), "{refused}");
    crontabs.delete("a", &DeleteParams::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_works_with_custom_resources() {
    let served = Served::new().await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, value: &Value| {
        let path = folder.path().join(name);
        fs_err::write(&path, value.to_string()).unwrap();
        path.to_string_lossy().into_owned()
    };
    let definition = file("crd.json", &crontab());
    let Some((true, _)) = served.kubectl(&["apply", "-f", &definition]).await else { return };
    let run = async |arguments: &[&str]| served.kubectl(arguments).await.unwrap();
    let wait = ["wait", "--for=condition=Established", "crd/crontabs.stable.example.com"];
    assert!(run(&wait).await.0);
    let spec = json!({"cronSpec": "* * * * */5", "replicas": 2});
    let one = file("one.json", &object(spec));
    assert_eq!(
        run(&["apply", "-f", &one]).await,
        (true, "crontab.stable.example.com/a created\n".to_owned())
    );
    assert_eq!(
        run(&["apply", "-f", &one]).await,
        (true, "crontab.stable.example.com/a unchanged\n".to_owned())
    );
    let spec = json!({"cronSpec": "* * * * *", "replicas": 3});
    let two = file("two.json", &object(spec));
    assert_eq!(
        run(&["apply", "-f", &two]).await,
        (true, "crontab.stable.example.com/a configured\n".to_owned())
    );
    let (_, server_side) = run(&["apply", "--server-side", "--force-conflicts", "-f", &two]).await;
    assert!(server_side.contains("serverside-applied"), "{server_side}");
    assert_eq!(
        run(&["scale", "crontab/a", "--replicas=5"]).await,
        (true, "crontab.stable.example.com/a scaled\n".to_owned())
    );
    let words = |text: &str| -> Vec<String> {
        text.lines().flat_map(|line| line.split_whitespace()).map(ToOwned::to_owned).collect()
    };
    let (_, table) = run(&["get", "ct"]).await;
    let found = words(&table);
    assert_eq!(found[..9], ["NAME", "SPEC", "REPLICAS", "AGE", "a", "*", "*", "*", "*"], "{table}");
    let (_, wide) = run(&["get", "crontabs", "-o", "wide"]).await;
    assert!(wide.contains("IMAGE") && wide.contains("busybox"), "{wide}");
    let (_, all) = run(&["get", "all"]).await;
    assert!(all.contains("crontab.stable.example.com/a"), "{all}");
    let (_, explained) = run(&["explain", "crontab.spec.cronSpec"]).await;
    assert!(explained.contains("When it runs."), "{explained}");
    let wrong = file("wrong.json", &object(json!({"cronSpec": "* * * * *", "replcas": 3})));
    let (fine, message) = run(&["apply", "-f", &wrong]).await;
    assert!(!fine && message.contains("unknown field \"spec.replcas\""), "{message}");
    assert!(run(&["delete", "-f", &definition, "--wait"]).await.0);
    assert!(!run(&["get", "ct"]).await.0);
}
