//! OpenAPI documents: what kubectl looks up in them.

use loopline_schema::openapi::{Served, document, hash, index, path};
use loopline_schema::{Resource, resources};
use serde_json::{Value, json};

fn served(group: &str, version: &str) -> Vec<Served<'static>> {
    resources()
        .iter()
        .filter(|resource| resource.group == group && resource.version == version)
        .map(|resource| Served { resource, schema: None })
        .collect()
}

#[test]
fn every_reference_leads_somewhere() {
    let mut documents = 0;
    for (group, versions) in loopline_schema::resource::groups(resources().iter()) {
        for version in versions {
            let document = document(&group, &version, &served(&group, &version));
            let schemas = document["components"]["schemas"].as_object().unwrap();
            let mut open = vec![&document];
            while let Some(value) = open.pop() {
                match value {
                    Value::Object(map) => {
                        if let Some(Value::String(target)) = map.get("$ref") {
                            let name = target.strip_prefix("#/components/schemas/").unwrap();
                            assert!(schemas.contains_key(name), "{group}/{version}: {name}");
                        }
                        open.extend(map.values());
                    }
                    Value::Array(list) => open.extend(list),
                    _ => {}
                }
            }
            documents += 1;
        }
    }
    assert!(documents >= 20, "{documents}");
}

#[test]
fn operations_say_what_kubectl_looks_up() {
    let document = document("apps", "v1", &served("apps", "v1"));
    let one = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"];
    let patch = &one["patch"];
    assert_eq!(patch["x-kubernetes-action"], "patch");
    assert_eq!(
        patch["x-kubernetes-group-version-kind"],
        json!({"group": "apps", "version": "v1", "kind": "Deployment"}),
    );
    assert!(patch["requestBody"]["content"]["application/strategic-merge-patch+json"].is_object());
    let names: Vec<_> = patch["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["name"].as_str().unwrap())
        .collect();
    assert!(names.contains(&"fieldValidation"), "{names:?}");
    assert_eq!(patch["operationId"], "patchAppsV1NamespacedDeployment");
    let all = &document["paths"]["/apis/apps/v1/deployments"]["get"];
    assert_eq!(all["operationId"], "listAppsV1DeploymentForAllNamespaces");
    let scale = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale"];
    assert_eq!(scale["get"]["x-kubernetes-group-version-kind"]["kind"], "Scale");
    let mut ids = std::collections::HashSet::new();
    for operations in document["paths"].as_object().unwrap().values() {
        for (method, operation) in operations.as_object().unwrap() {
            if method != "parameters" {
                assert!(ids.insert(operation["operationId"].to_string()), "{operation}");
            }
        }
    }
}

#[test]
fn schemas_keep_what_is_merged_and_explained() {
    let document = document("", "v1", &served("", "v1"));
    let schemas = &document["components"]["schemas"];
    let ports = &schemas["io.k8s.api.core.v1.Container"]["properties"]["ports"];
    assert_eq!(ports["x-kubernetes-list-map-keys"], json!(["containerPort", "protocol"]));
    assert_eq!(ports["x-kubernetes-patch-merge-key"], "containerPort");
    assert_eq!(ports["x-kubernetes-patch-strategy"], "merge");
    assert_eq!(
        ports["items"]["allOf"][0]["$ref"],
        "#/components/schemas/io.k8s.api.core.v1.ContainerPort"
    );
    assert_eq!(
        schemas["io.k8s.api.core.v1.ContainerPort"]["properties"]["protocol"]["default"],
        "TCP"
    );
    let pod = &schemas["io.k8s.api.core.v1.Pod"];
    assert_eq!(
        pod["x-kubernetes-group-version-kind"],
        json!([{"group": "", "version": "v1", "kind": "Pod"}])
    );
    let description = pod["properties"]["spec"]["description"].as_str().unwrap();
    assert!(
        description.starts_with("Specification of the desired behavior of the pod."),
        "{description}"
    );
    let service = &schemas["io.k8s.api.core.v1.ServicePort"];
    assert_eq!(service["required"], json!(["port"]));
    assert!(
        service["properties"]["appProtocol"]["description"]
            .as_str()
            .unwrap()
            .contains(":\n\n* Un-prefixed")
    );
    assert_eq!(schemas["io.k8s.api.core.v1.LabelSelector"], Value::Null);
    assert_eq!(
        schemas["io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector"]["x-kubernetes-map-type"],
        "atomic",
    );
}

#[test]
fn custom_resources_are_published_with_their_metadata() {
    let resource = Resource {
        group: "stable.example.com".into(),
        version: "v1".into(),
        kind: "CronTab".into(),
        list_kind: "CronTabList".into(),
        plural: "crontabs".into(),
        namespaced: true,
        verbs: ["create", "get", "list", "patch", "watch"].map(Into::into).to_vec(),
        ..Resource::default()
    };
    let schema = json!({"type": "object", "description": "A tab.", "properties": {
        "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}});
    let served = [Served { resource: &resource, schema: Some(&schema) }];
    let document = document("stable.example.com", "v1", &served);
    let schemas = &document["components"]["schemas"];
    let tab = &schemas["com.example.stable.v1.CronTab"];
    assert_eq!(tab["properties"]["spec"], schema["properties"]["spec"]);
    assert_eq!(
        tab["properties"]["metadata"]["allOf"][0]["$ref"],
        "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
    );
    assert_eq!(schemas["com.example.stable.v1.CronTabList"]["required"], json!(["items"]));
    let path = "/apis/stable.example.com/v1/namespaces/{namespace}/crontabs/{name}";
    let content = document["paths"][path]["patch"]["requestBody"]["content"].as_object().unwrap();
    assert!(content.contains_key("application/merge-patch+json"));
    assert!(!content.contains_key("application/strategic-merge-patch+json"));
    // The hash follows the schema.
    let other = json!({"type": "object"});
    assert_ne!(hash(&served), hash(&[Served { resource: &resource, schema: Some(&other) }]));
}

#[test]
fn the_index_names_documents_by_their_hash() {
    let hashed = hash(&served("apps", "v1"));
    assert_eq!(hashed, hash(&served("apps", "v1")));
    assert_ne!(hashed, hash(&served("", "v1")));
    assert_eq!(path("", "v1"), "api/v1");
    assert_eq!(
        index([(path("apps", "v1").as_str(), hashed.as_str())].into_iter()),
        json!({"paths": {"apis/apps/v1": {"serverRelativeURL": format!("/openapi/v3/apis/apps/v1?hash={hashed}")}}}),
    );
}
