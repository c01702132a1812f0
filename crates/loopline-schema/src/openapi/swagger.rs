//! The types as OpenAPI v2, in JSON and in protobuf.
//!
//! Clients read it for one thing that they do not do with v3: kubectl checks files of
//! `kind: List` against it before it sends their items. It holds the definitions of all groups
//! and versions; the operations are in the v3 documents only.

use serde_json::{Map, Value, json};

use crate::protobuf::wire::{put_bytes, put_number};

/// The media type of the protobuf form, as clients ask for it.
pub const PROTOBUF_ACCEPT: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

/// The media type of the protobuf form, as it is answered.
pub const PROTOBUF_TYPE: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// Makes the v2 document of some v3 documents.
pub fn swagger<'a>(documents: impl Iterator<Item = &'a Value>) -> Value {
    let mut definitions = Map::new();
    for document in documents {
        for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
            if !definitions.contains_key(name) {
                definitions.insert(name.clone(), schema_v2(schema));
            }
        }
    }
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": format!("{}.0", crate::builtin::VERSION)},
        "paths": {},
        "definitions": definitions,
    })
}

/// Turns a schema of v3 into one of v2: references point elsewhere and stand alone, and what is a
/// number or a text is a text of that format.
fn schema_v2(schema: &Value) -> Value {
    let Some(map) = schema.as_object() else { return schema.clone() };
    if let Some(name) = referenced(map) {
        let mut reference = json!({"$ref": format!("#/definitions/{name}")});
        if let Some(description) = map.get("description") {
            reference["description"] = description.clone();
        }
        return reference;
    }
    let mut out = Map::new();
    for (key, value) in map {
        let value = match &**key {
            "properties" => value
                .as_object()
                .map(|all| all.iter().map(|(name, one)| (name.clone(), schema_v2(one))).collect())
                .map_or_else(|| json!({}), Value::Object),
            "items" | "additionalProperties" => schema_v2(value),
            // Not of v2; which of several shapes a value has is for the server to say.
            "oneOf" | "anyOf" | "allOf" | "not" | "nullable" => continue,
            _ => value.clone(),
        };
        out.insert(key.clone(), value);
    }
    if map.contains_key("oneOf")
        && map.get("format").is_some_and(|format| format == "int-or-string")
        || map.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true))
    {
        out.insert("type".to_owned(), json!("string"));
        out.insert("format".to_owned(), json!("int-or-string"));
    }
    Value::Object(out)
}

/// Returns the name that a schema refers to, alone or as the only one of `allOf`.
fn referenced(map: &Map<String, Value>) -> Option<&str> {
    let direct = map.get("$ref").or_else(|| match map.get("allOf")?.as_array()?.as_slice() {
        [only] => only.get("$ref"),
        _ => None,
    });
    direct?.as_str()?.strip_prefix("#/components/schemas/")
}

/// Encodes a v2 document as protobuf (gnostic's `openapi.v2.Document`).
pub fn swagger_protobuf(document: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    put_text(&mut out, 1, &document["swagger"]);
    let mut info = Vec::new();
    put_text(&mut info, 1, &document["info"]["title"]);
    put_text(&mut info, 2, &document["info"]["version"]);
    put_bytes(&mut out, 2, &info);
    put_bytes(&mut out, 8, &[]);
    put_bytes(&mut out, 9, &named_schemas(&document["definitions"]));
    out
}

fn named_schemas(schemas: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, schema) in schemas.as_object().into_iter().flatten() {
        let mut named = Vec::new();
        put_bytes(&mut named, 1, name.as_bytes());
        put_bytes(&mut named, 2, &schema_protobuf(schema));
        put_bytes(&mut out, 1, &named);
    }
    out
}

fn schema_protobuf(schema: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    put_text(&mut out, 1, &schema["$ref"]);
    put_text(&mut out, 2, &schema["format"]);
    put_text(&mut out, 4, &schema["description"]);
    for name in schema["required"].as_array().into_iter().flatten() {
        put_text(&mut out, 19, name);
    }
    match &schema["additionalProperties"] {
        Value::Null => {}
        Value::Bool(any) => {
            let mut item = Vec::new();
            put_number(&mut item, 2, u64::from(*any));
            put_bytes(&mut out, 21, &item);
        }
        values => {
            let mut item = Vec::new();
            put_bytes(&mut item, 1, &schema_protobuf(values));
            put_bytes(&mut out, 21, &item);
        }
    }
    if schema["type"].is_string() {
        let mut types = Vec::new();
        put_text(&mut types, 1, &schema["type"]);
        put_bytes(&mut out, 22, &types);
    }
    if schema["items"].is_object() {
        let mut items = Vec::new();
        put_bytes(&mut items, 1, &schema_protobuf(&schema["items"]));
        put_bytes(&mut out, 23, &items);
    }
    if schema["properties"].is_object() {
        put_bytes(&mut out, 25, &named_schemas(&schema["properties"]));
    }
    for (key, value) in schema.as_object().into_iter().flatten() {
        if !key.starts_with("x-kubernetes-") {
            continue;
        }
        // Any value is YAML, of which JSON is a part.
        let mut any = Vec::new();
        put_bytes(&mut any, 2, value.to_string().as_bytes());
        let mut extension = Vec::new();
        put_bytes(&mut extension, 1, key.as_bytes());
        put_bytes(&mut extension, 2, &any);
        put_bytes(&mut out, 31, &extension);
    }
    out
}

fn put_text(out: &mut Vec<u8>, field: u32, value: &Value) {
    if let Some(text) = value.as_str() {
        put_bytes(out, field, text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_and_mixed_values_are_written_as_v2_has_them() {
        let document = json!({"components": {"schemas": {"A": {
            "type": "object",
            "properties": {
                "b": {"allOf": [{"$ref": "#/components/schemas/B"}], "description": "Of B."},
                "c": {"oneOf": [{"type": "integer"}, {"type": "string"}], "format": "int-or-string"},
                "d": {"type": "array", "items": {"$ref": "#/components/schemas/B"}},
            },
        }}}});
        let found = swagger(std::iter::once(&document));
        assert_eq!(
            found["definitions"]["A"]["properties"],
            json!({
                "b": {"$ref": "#/definitions/B", "description": "Of B."},
                "c": {"format": "int-or-string", "type": "string"},
                "d": {"type": "array", "items": {"$ref": "#/definitions/B"}},
            })
        );
        let bytes = swagger_protobuf(&found);
        assert_eq!(&bytes[..5], b"\x0a\x032.0");
    }
}
