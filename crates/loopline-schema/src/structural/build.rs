//! From a structural schema to the arena of types.

use serde_json::Value;

use crate::types::{Field, Kind, ListType, Node, NodeId, Object, Scalar, Schema};

/// Builds the types of a whole object: kind, version and metadata are part of every object,
/// whatever the schema says of them.
pub(super) fn build(schema: &Value) -> Schema {
    let mut out = Schema::default();
    out.root = node(&mut out, schema, true);
    out
}

/// Builds the types of a part of an object.
pub(super) fn build_part(schema: &Value) -> Schema {
    let mut out = Schema::default();
    out.root = node(&mut out, schema, false);
    out
}

pub(super) fn flag(schema: &Value, key: &str) -> bool {
    schema.get(key).and_then(Value::as_bool) == Some(true)
}

pub(super) fn text<'a>(schema: &'a Value, key: &str) -> &'a str {
    schema.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn node(out: &mut Schema, schema: &Value, whole: bool) -> NodeId {
    let open = flag(schema, "x-kubernetes-preserve-unknown-fields");
    let whole = whole || flag(schema, "x-kubernetes-embedded-resource");
    let kind = match text(schema, "type") {
        _ if flag(schema, "x-kubernetes-int-or-string") => Kind::Scalar(Scalar::IntOrString),
        "object" => object(out, schema, open, whole),
        "array" => {
            let element = match schema.get("items") {
                Some(items) => node(out, items, false),
                None => out.add(Node::new(Kind::Any)),
            };
            Kind::List(element)
        }
        "string" => Kind::Scalar(Scalar::String),
        "boolean" => Kind::Scalar(Scalar::Boolean),
        "integer" => Kind::Scalar(Scalar::Integer),
        "number" => Kind::Scalar(Scalar::Number),
        // What has no type keeps unknown fields, and may have known ones all the same.
        _ if schema.get("properties").is_some() => object(out, schema, true, whole),
        _ => Kind::Any,
    };
    let mut node = Node::new(kind);
    node.default = schema.get("default").cloned();
    node.nullable = flag(schema, "nullable");
    node.list = match text(schema, "x-kubernetes-list-type") {
        "map" => {
            let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
            let keys = keys.into_iter().flatten().filter_map(Value::as_str);
            Some(ListType::Map(keys.map(str::to_owned).collect()))
        }
        "set" => Some(ListType::Set),
        "atomic" => Some(ListType::Atomic),
        _ => None,
    };
    node.atomic_map = match text(schema, "x-kubernetes-map-type") {
        "" => None,
        kind => Some(kind == "atomic"),
    };
    out.add(node)
}

fn object(out: &mut Schema, schema: &Value, open: bool, whole: bool) -> Kind {
    match schema.get("additionalProperties") {
        Some(values @ Value::Object(_)) if schema.get("properties").is_none() => {
            return Kind::Map(node(out, values, false));
        }
        Some(Value::Bool(true)) if schema.get("properties").is_none() => {
            return Kind::Map(out.add(Node::new(Kind::Any)));
        }
        _ => {}
    }
    let required: Vec<_> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut fields = Vec::new();
    let mut add = |name: &str, node: NodeId| {
        let required = required.contains(&name);
        fields.push(Field { name: name.to_owned().into(), node, required, tag: 0, pointer: true });
    };
    for (name, inner) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        if !(whole && matches!(name.as_str(), "apiVersion" | "kind" | "metadata")) {
            add(name, node(out, inner, false));
        }
    }
    if whole {
        for name in ["apiVersion", "kind"] {
            add(name, out.add(Node::new(Kind::Scalar(Scalar::String))));
        }
        let meta = crate::definition("apimachinery.pkg.apis.meta.v1.ObjectMeta");
        let meta = meta.map_or(Kind::Any, |meta| Kind::BuiltIn(meta.node));
        add("metadata", out.add(Node::new(meta)));
    }
    fields.sort_by(|a, b| a.name.cmp(&b.name));
    let open = open || flag(schema, "additionalProperties");
    Kind::Object(Object { fields, inlined: Vec::new(), open })
}
