//! The `paths` of a document: one operation for each verb of a resource.

use serde_json::{Map, Value, json};

use super::Served;
use super::schemas::{Names, reference};

const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
const APPLY: &str = "application/apply-patch+yaml";
const JSON_PATCH: &str = "application/json-patch+json";
const MERGE_PATCH: &str = "application/merge-patch+json";
const STRATEGIC_PATCH: &str = "application/strategic-merge-patch+json";

pub(super) fn add(paths: &mut Map<String, Value>, served: Served<'_>, names: &Names) {
    let resource = served.resource;
    let root = format!("/{}", super::path(&resource.group, &resource.version));
    let all = format!("{root}/{}", resource.plural);
    let collection = if resource.namespaced {
        format!("{root}/namespaces/{{namespace}}/{}", resource.plural)
    } else {
        all.clone()
    };
    let builder = Builder { served, names };
    let has = |verb: &str| resource.verbs.iter().any(|own| own == verb);
    if resource.namespaced && has("list") {
        let list = json!({"get": builder.operation("list", "ForAllNamespaces", &names.list)});
        put(paths, all, list, &[]);
    }
    let mut operations = Map::new();
    for (verb, method, action, body) in [
        ("list", "get", "list", &names.list),
        ("create", "post", "post", &names.object),
        ("deletecollection", "delete", "deletecollection", &names.object),
    ] {
        if has(verb) {
            operations.insert(method.to_owned(), builder.operation(action, "", body));
        }
    }
    let namespace: &[&str] = if resource.namespaced { &["namespace"] } else { &[] };
    put(paths, collection.clone(), Value::Object(operations), namespace);
    let mut operations = Map::new();
    for (verb, method, action) in [
        ("get", "get", "get"),
        ("update", "put", "put"),
        ("delete", "delete", "delete"),
        ("patch", "patch", "patch"),
    ] {
        if has(verb) {
            let operation = builder.operation(action, "", &names.object);
            operations.insert(method.to_owned(), operation);
        }
    }
    let one: Vec<_> = namespace.iter().copied().chain(["name"]).collect();
    put(paths, format!("{collection}/{{name}}"), Value::Object(operations), &one);
    for (sub, body) in resource.subresources.iter().zip(&names.subresources) {
        let mut operations = Map::new();
        for verb in &sub.verbs {
            let (method, action) = match &**verb {
                "create" => ("post", "post"),
                "update" => ("put", "put"),
                other => (other, other),
            };
            // What is connected to has no body that a document could describe.
            let action = if body.is_none() { "connect" } else { action };
            let name = capitalized(&sub.name);
            let mut operation =
                builder.operation(action, &name, body.as_deref().unwrap_or_default());
            operation["x-kubernetes-group-version-kind"] =
                json!({"group": sub.group, "version": sub.version, "kind": sub.kind});
            if action == "connect" {
                let id = operation["operationId"].as_str().unwrap_or_default();
                operation["operationId"] = json!(format!("connect{}{id}", capitalized(method)));
            }
            operations.insert(method.to_owned(), operation);
        }
        let path = format!("{collection}/{{name}}/{}", sub.name);
        put(paths, path, Value::Object(operations), &one);
    }
}

fn put(paths: &mut Map<String, Value>, path: String, mut operations: Value, names: &[&str]) {
    let Some(map) = operations.as_object_mut().filter(|map| !map.is_empty()) else { return };
    if !names.is_empty() {
        let parameters: Vec<_> = names
            .iter()
            .map(|name| {
                json!({"name": name, "in": "path", "required": true,
                    "schema": {"type": "string", "uniqueItems": true}})
            })
            .collect();
        map.insert("parameters".to_owned(), Value::Array(parameters));
    }
    paths.insert(path, operations);
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

struct Builder<'a> {
    served: Served<'a>,
    names: &'a Names,
}

impl Builder<'_> {
    fn operation(&self, action: &str, suffix: &str, body: &str) -> Value {
        let resource = self.served.resource;
        let scope =
            if resource.namespaced && suffix != "ForAllNamespaces" { "Namespaced" } else { "" };
        let verb = match action {
            "post" => "create",
            "put" => "replace",
            "get" => "read",
            "deletecollection" => "deleteCollection",
            "connect" => "",
            other => other,
        };
        let id = format!(
            "{verb}{}{}{scope}{}{suffix}",
            group_id(&resource.group),
            capitalized(&resource.version),
            resource.kind,
        );
        let query = |name: &str, kind: &str| json!({"name": name, "in": "query", "schema": {"type": kind, "uniqueItems": true}});
        let write = ["dryRun", "fieldManager", "fieldValidation"].map(|name| query(name, "string"));
        let mut parameters = vec![query("pretty", "string")];
        match action {
            "list" | "deletecollection" => {
                for name in [
                    "continue",
                    "fieldSelector",
                    "labelSelector",
                    "resourceVersion",
                    "resourceVersionMatch",
                ] {
                    parameters.push(query(name, "string"));
                }
                for name in ["limit", "timeoutSeconds"] {
                    parameters.push(query(name, "integer"));
                }
                for name in ["allowWatchBookmarks", "sendInitialEvents", "watch"] {
                    parameters.push(query(name, "boolean"));
                }
            }
            "post" | "put" => parameters.extend(write),
            "patch" => {
                parameters.extend(write);
                parameters.push(query("force", "boolean"));
            }
            "delete" => {
                for name in ["dryRun", "propagationPolicy"] {
                    parameters.push(query(name, "string"));
                }
                parameters.push(query("gracePeriodSeconds", "integer"));
                parameters.push(query("orphanDependents", "boolean"));
            }
            _ => {}
        }
        let result = match action {
            "delete" | "deletecollection" => "io.k8s.apimachinery.pkg.apis.meta.v1.Status",
            "connect" => "",
            _ => body,
        };
        let content = if result.is_empty() {
            json!({"*/*": {"schema": {"type": "string"}}})
        } else {
            json!({JSON: {"schema": reference(result)}, YAML: {"schema": reference(result)}})
        };
        let mut responses = json!({
            "200": {"description": "OK", "content": content},
            "401": {"description": "Unauthorized"},
        });
        if matches!(action, "post" | "put" | "patch") {
            responses["201"] = json!({"description": "Created", "content": content});
        }
        let mut operation = json!({
            "tags": [format!("{}_{}", group_tag(&resource.group), resource.version)],
            "operationId": id,
            "parameters": parameters,
            "responses": responses,
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind":
                {"group": resource.group, "version": resource.version, "kind": resource.kind},
        });
        if let Some(content) = self.request(action, body) {
            operation["requestBody"] = json!({"content": content, "required": action != "delete"});
        }
        operation
    }

    fn request(&self, action: &str, body: &str) -> Option<Value> {
        let options = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
        match action {
            "post" | "put" => Some(json!({"*/*": {"schema": reference(body)}})),
            "delete" | "deletecollection" => Some(json!({"*/*": {"schema": reference(options)}})),
            "patch" => {
                let patch =
                    json!({"schema": reference("io.k8s.apimachinery.pkg.apis.meta.v1.Patch")});
                let mut content = json!({APPLY: patch, JSON_PATCH: patch, MERGE_PATCH: patch});
                // Custom resources have no strategic merge; clients choose by what is listed.
                if self.served.schema.is_none() || body != self.names.object {
                    content[STRATEGIC_PATCH] = patch;
                }
                Some(content)
            }
            _ => None,
        }
    }
}

/// Returns a group as the identifiers of operations spell it: `Apps`, `RbacAuthorization`.
fn group_id(group: &str) -> String {
    if group.is_empty() {
        return "Core".to_owned();
    }
    group.trim_end_matches(".k8s.io").split('.').map(capitalized).collect()
}

fn group_tag(group: &str) -> String {
    if group.is_empty() {
        return "core".to_owned();
    }
    let mut id = group_id(group);
    if let Some(first) = id.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    id
}
