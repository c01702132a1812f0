//! Definitions of the custom resources that well-known controllers bring along, written from
//! their public field documentation in the short form of `data/crds`.
//!
//! A type is `string`, `integer`, `number`, `boolean`, `int-or-string`, `any` (kept as it is), a
//! choice `a|b`, a list `[type]`, a map `{}: type`, a mapping of fields, or `=name` of `types`. A
//! field whose name ends in `!` must be there.

use std::sync::LazyLock;

use loopline_source::SourceFile;
use serde_json::{Map, Value, json};

use crate::manifest;

/// How deep types nest and refer to each other.
const MAX_DEPTH: usize = 24;

static FILES: &[(&str, &str)] = &[
    ("argo.yaml", include_str!("../data/crds/argo.yaml")),
    ("certificates.yaml", include_str!("../data/crds/certificates.yaml")),
    ("delivery.yaml", include_str!("../data/crds/delivery.yaml")),
    ("platform.yaml", include_str!("../data/crds/platform.yaml")),
];

static DEFINITIONS: LazyLock<Result<Vec<Value>, String>> = LazyLock::new(|| {
    let mut definitions = Vec::new();
    for (name, text) in FILES {
        let file = SourceFile::new(*name, *text);
        let documents = manifest::from_yaml(&file).map_err(|error| format!("{name}: {error}"))?;
        for document in documents {
            for kind in document.value["kinds"].as_array().into_iter().flatten() {
                let types = &document.value["types"];
                definitions.push(definition(kind, types).map_err(|why| format!("{name}: {why}"))?);
            }
        }
    }
    Ok(definitions)
});

/// Returns the definitions, of one group or of all of them.
///
/// # Errors
/// Where the data of this crate cannot be read, which is a fault of ours.
pub fn definitions(group: Option<&str>) -> Result<Vec<&'static Value>, &'static str> {
    let all = DEFINITIONS.as_ref().map_err(String::as_str)?;
    let chosen = |one: &&Value| group.is_none_or(|group| one["spec"]["group"] == group);
    Ok(all.iter().filter(chosen).collect())
}

fn definition(kind: &Value, types: &Value) -> Result<Value, String> {
    let text = |key: &str| kind[key].as_str().unwrap_or_default();
    let (group, plural, name) = (text("group"), text("plural"), text("kind"));
    let mut properties = Map::new();
    let mut required = Vec::new();
    if let Some(fields) = kind["fields"].as_object() {
        for (key, value) in fields {
            let field = key.trim_end_matches('!');
            if field != key {
                required.push(field);
            }
            let schema = schema(value, types, 0).map_err(|why| format!("{name}.{field}: {why}"))?;
            properties.insert(field.to_owned(), schema);
        }
    }
    properties
        .entry("status")
        .or_insert_with(|| json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}));
    let mut root = json!({"type": "object", "properties": properties});
    if !required.is_empty() {
        root["required"] = json!(required);
    }
    let versions = kind["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let versions: Vec<Value> = versions
        .iter()
        .enumerate()
        .map(|(index, version)| {
            json!({
                "name": version,
                "served": true,
                "storage": index == 0,
                "schema": {"openAPIV3Schema": root},
                "subresources": {"status": {}},
            })
        })
        .collect();
    let scope = if kind["cluster"] == true { "Cluster" } else { "Namespaced" };
    let mut names = json!({
        "plural": plural,
        "singular": name.to_lowercase(),
        "kind": name,
        "listKind": format!("{name}List"),
    });
    if !kind["short"].is_null() {
        names["shortNames"] = kind["short"].clone();
    }
    Ok(json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {"group": group, "scope": scope, "names": names, "versions": versions},
    }))
}

fn schema(short: &Value, types: &Value, depth: usize) -> Result<Value, String> {
    if depth > MAX_DEPTH {
        return Err("types nest too deep".to_owned());
    }
    Ok(match short {
        Value::String(text) => match text.as_str() {
            "any" => json!({"x-kubernetes-preserve-unknown-fields": true}),
            "object" => json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
            "int-or-string" => json!({"x-kubernetes-int-or-string": true}),
            "string" | "integer" | "number" | "boolean" => json!({"type": text}),
            text if text.starts_with('=') => {
                let named = types.get(&text[1..]).ok_or_else(|| format!("no type {text}"))?;
                schema(named, types, depth + 1)?
            }
            text if text.contains('|') => {
                json!({"type": "string", "enum": text.split('|').collect::<Vec<_>>()})
            }
            other => return Err(format!("no type {other}")),
        },
        Value::Array(items) => {
            let item = items.first().ok_or("a list of nothing")?;
            json!({"type": "array", "items": schema(item, types, depth + 1)?})
        }
        Value::Object(fields) => match fields.get("{}") {
            Some(values) => {
                let values = schema(values, types, depth + 1)?;
                json!({"type": "object", "additionalProperties": values})
            }
            None => {
                let mut properties = Map::new();
                let mut required = Vec::new();
                for (key, value) in fields {
                    let field = key.trim_end_matches('!');
                    if field != key {
                        required.push(field);
                    }
                    let inner =
                        schema(value, types, depth + 1).map_err(|why| format!("{field}: {why}"))?;
                    properties.insert(field.to_owned(), inner);
                }
                let mut object = json!({"type": "object", "properties": properties});
                if !required.is_empty() {
                    object["required"] = json!(required);
                }
                object
            }
        },
        other => return Err(format!("no type {other}")),
    })
}
