//! The `components.schemas` of a document.

use serde_json::{Map, Value, json};

use super::Served;
use super::descriptions::Descriptions;
use crate::types::{Kind, ListType, Scalar, TypeRef};

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";
const API_VERSION: &str = "APIVersion defines the versioned schema of this representation of an \
    object; servers convert what they know to the latest form and may reject the rest.";
const KIND: &str = "Kind is the REST resource that this object represents, in CamelCase; it \
    cannot be updated.";

/// The names of a resource's types in a document.
pub(super) struct Names {
    pub(super) object: String,
    pub(super) list: String,
    /// Each subresource's body.
    pub(super) subresources: Vec<Option<String>>,
}

pub(super) struct Schemas {
    done: Map<String, Value>,
    descriptions: Descriptions,
}

/// Returns a reference to a component.
pub(super) fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

impl Schemas {
    pub(super) fn new() -> Self {
        let mut schemas = Self { done: Map::new(), descriptions: Descriptions::load() };
        for name in ["DeleteOptions", "Status", "WatchEvent", "Patch"] {
            schemas.add_definition(&format!("{META}{name}"));
        }
        schemas
    }

    pub(super) fn finish(self) -> Map<String, Value> {
        let mut all: Vec<_> = self.done.into_iter().collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all.into_iter().collect()
    }

    pub(super) fn add_resource(&mut self, served: Served<'_>) -> Names {
        let resource = served.resource;
        let (object, list) = match served.schema {
            Some(schema) => self.add_custom(served, schema),
            None => {
                let mut name = |kind: &str| {
                    crate::builtin(&resource.group, &resource.version, kind)
                        .and_then(TypeRef::definition)
                        .inspect(|name| self.add_definition(name))
                        .unwrap_or_default()
                };
                (name(&resource.kind), name(&resource.list_kind))
            }
        };
        let subresources = resource
            .subresources
            .iter()
            .map(|sub| {
                if sub.group == resource.group
                    && sub.version == resource.version
                    && sub.kind == resource.kind
                {
                    return Some(object.clone());
                }
                let name = crate::builtin(&sub.group, &sub.version, &sub.kind)?.definition()?;
                self.add_definition(&name);
                Some(name)
            })
            .collect();
        Names { object, list, subresources }
    }

    /// Adds a custom resource and its list, named as the API names them: the group's parts in
    /// reverse, the version, the kind.
    fn add_custom(&mut self, served: Served<'_>, schema: &Value) -> (String, String) {
        let resource = served.resource;
        let group: Vec<_> = resource.group.rsplit('.').collect();
        let prefix = format!("{}.{}", group.join("."), resource.version);
        let object = format!("{prefix}.{}", resource.kind);
        let list = format!("{prefix}.{}", resource.list_kind);
        self.add_definition(&format!("{META}ObjectMeta"));
        self.add_definition(&format!("{META}ListMeta"));
        let meta = |name: &str, description: &str| json!({"allOf": [reference(&format!("{META}{name}"))], "description": description});
        let text = |description: &str| json!({"type": "string", "description": description});
        let gvk = |kind: &str| json!([{"group": resource.group, "version": resource.version, "kind": kind}]);
        let mut own = schema.as_object().cloned().unwrap_or_default();
        own.entry("type").or_insert_with(|| json!("object"));
        let properties = own.entry("properties").or_insert_with(|| json!({}));
        if let Some(properties) = properties.as_object_mut() {
            properties.insert("apiVersion".to_owned(), text(API_VERSION));
            properties.insert("kind".to_owned(), text(KIND));
            properties
                .insert("metadata".to_owned(), meta("ObjectMeta", "Standard object's metadata."));
        }
        own.insert("x-kubernetes-group-version-kind".to_owned(), gvk(&resource.kind));
        self.done.insert(object.clone(), Value::Object(own));
        let of_list = json!({
            "description": format!("{} is a list of {}", resource.list_kind, resource.kind),
            "type": "object",
            "required": ["items"],
            "properties": {
                "apiVersion": text(API_VERSION),
                "kind": text(KIND),
                "metadata": meta("ListMeta", "Standard list metadata."),
                "items": {
                    "type": "array",
                    "items": {"allOf": [reference(&object)]},
                    "description": format!("List of {}.", resource.plural),
                },
            },
            "x-kubernetes-group-version-kind": gvk(&resource.list_kind),
        });
        self.done.insert(list.clone(), of_list);
        (object, list)
    }

    /// Adds a definition and what it refers to.
    fn add_definition(&mut self, name: &str) {
        let mut open = vec![name.to_owned()];
        while let Some(name) = open.pop() {
            if self.done.contains_key(&name) {
                continue;
            }
            let Some(at) = crate::definition(&name) else { continue };
            let schema = self.definition(at, &name, &mut open);
            self.done.insert(name, schema);
        }
    }

    fn definition(&self, at: TypeRef<'static>, name: &str, open: &mut Vec<String>) -> Value {
        let short = name.strip_prefix("io.k8s.").unwrap_or(name);
        let mut out = Map::new();
        if let Some(description) = self.descriptions.of(short) {
            out.insert("description".to_owned(), Value::from(description));
        }
        match at.kind() {
            Kind::Object(object) => {
                out.insert("type".to_owned(), json!("object"));
                let mut properties = Map::new();
                for field in &object.fields {
                    let mut property = place(at.at(field.node), open);
                    if let Some(description) = self.descriptions.of_field(short, &field.name) {
                        property.insert("description".to_owned(), Value::from(description));
                    }
                    properties.insert(field.name.to_string(), Value::Object(property));
                }
                if !properties.is_empty() {
                    out.insert("properties".to_owned(), Value::Object(properties));
                }
                let required: Vec<_> =
                    object.fields.iter().filter(|f| f.required).map(|f| f.name.as_ref()).collect();
                if !required.is_empty() {
                    out.insert("required".to_owned(), json!(required));
                }
            }
            Kind::Scalar(scalar) => out.extend(leaf(*scalar)),
            _ => {}
        }
        if let Some(atomic) = at.site().atomic_map {
            let kind = if atomic { "atomic" } else { "granular" };
            out.insert("x-kubernetes-map-type".to_owned(), json!(kind));
        }
        let kinds: Vec<_> = crate::builtin::kinds_of(at)
            .map(|(group, version, kind)| json!({"group": group, "version": version, "kind": kind}))
            .collect();
        if !kinds.is_empty() {
            out.insert("x-kubernetes-group-version-kind".to_owned(), Value::Array(kinds));
        }
        Value::Object(out)
    }
}

/// Returns the schema of a place, and puts the definitions it refers to on the list.
fn place(at: TypeRef<'static>, open: &mut Vec<String>) -> Map<String, Value> {
    let mut out = Map::new();
    if let Some(name) = at.definition() {
        out.insert("allOf".to_owned(), json!([reference(&name)]));
        open.push(name);
    } else {
        match at.kind() {
            Kind::List(_) => {
                out.insert("type".to_owned(), json!("array"));
                let items = at.items().map(|items| place(items, open)).unwrap_or_default();
                out.insert("items".to_owned(), Value::Object(items));
            }
            Kind::Map(_) => {
                out.insert("type".to_owned(), json!("object"));
                let values = at.values().map(|values| place(values, open)).unwrap_or_default();
                out.insert("additionalProperties".to_owned(), Value::Object(values));
            }
            Kind::Scalar(scalar) => out = leaf(*scalar),
            Kind::Object(_) | Kind::Any | Kind::Reference(_) | Kind::BuiltIn(_) => {}
        }
    }
    let site = at.site();
    // A definition says itself what it is merged like.
    if site.definition.is_some() {
        return out;
    }
    match &site.list {
        Some(ListType::Atomic) => {
            out.insert("x-kubernetes-list-type".to_owned(), json!("atomic"));
        }
        Some(ListType::Set) => {
            out.insert("x-kubernetes-list-type".to_owned(), json!("set"));
        }
        Some(ListType::Map(keys)) => {
            out.insert("x-kubernetes-list-type".to_owned(), json!("map"));
            out.insert("x-kubernetes-list-map-keys".to_owned(), json!(keys));
        }
        None => {}
    }
    if let Some(atomic) = site.atomic_map {
        let kind = if atomic { "atomic" } else { "granular" };
        out.insert("x-kubernetes-map-type".to_owned(), json!(kind));
    }
    if let Some(patch) = &site.patch {
        let strategies: Vec<_> =
            [(patch.merge, "merge"), (patch.retain_keys, "retainKeys"), (patch.replace, "replace")]
                .iter()
                .filter(|(set, _)| *set)
                .map(|(_, name)| *name)
                .collect();
        if !strategies.is_empty() {
            let strategies = strategies.join(",");
            out.insert("x-kubernetes-patch-strategy".to_owned(), Value::from(strategies));
        }
        if let Some(key) = &patch.merge_key {
            out.insert("x-kubernetes-patch-merge-key".to_owned(), json!(key));
        }
    }
    if let Some(default) = &site.default {
        out.insert("default".to_owned(), default.clone());
    }
    out
}

fn leaf(scalar: Scalar) -> Map<String, Value> {
    let value = match scalar {
        Scalar::String | Scalar::Duration => json!({"type": "string"}),
        Scalar::Bytes => json!({"type": "string", "format": "byte"}),
        Scalar::Boolean => json!({"type": "boolean"}),
        Scalar::Integer => json!({"type": "integer"}),
        Scalar::Integer32 => json!({"type": "integer", "format": "int32"}),
        Scalar::Integer64 => json!({"type": "integer", "format": "int64"}),
        Scalar::Number => json!({"type": "number", "format": "double"}),
        Scalar::Quantity => json!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
        Scalar::IntOrString => {
            json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]})
        }
        Scalar::Time | Scalar::MicroTime => json!({"type": "string", "format": "date-time"}),
        Scalar::Raw | Scalar::Fields => json!({"type": "object"}),
        Scalar::Json | Scalar::SchemaOrArray | Scalar::SchemaOrBool | Scalar::SchemaOrStrings => {
            json!({})
        }
    };
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
