//! The types of the built-in kinds, read once from the compact text that
//! `scripts/kubernetes-schema.py` writes (its form is described there).

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::Value;

use crate::types::{Field, Kind, ListType, Name, Node, NodeId, Object, Scalar, Schema, TypeRef};

/// The version of Kubernetes whose types these are.
pub const VERSION: &str = "v1.33";

pub(crate) static TEXT: &str = include_str!("../data/v1.33.txt");

struct BuiltIn {
    schema: Schema,
    definitions: HashMap<&'static str, NodeId>,
    kinds: HashMap<(&'static str, &'static str, &'static str), NodeId>,
}

static BUILT_IN: LazyLock<BuiltIn> = LazyLock::new(|| Reader::default().read(TEXT));

pub(crate) fn schema() -> &'static Schema {
    &BUILT_IN.schema
}

/// Returns the type of a built-in kind; the group is empty for core.
pub fn builtin(group: &str, version: &str, kind: &str) -> Option<TypeRef<'static>> {
    let built_in = &*BUILT_IN;
    let node = *built_in.kinds.get(&(group, version, kind))?;
    Some(TypeRef { schema: &built_in.schema, node })
}

/// Returns the type of a definition: `io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta`.
pub fn definition(name: &str) -> Option<TypeRef<'static>> {
    let built_in = &*BUILT_IN;
    let node = *built_in.definitions.get(name.strip_prefix("io.k8s.").unwrap_or(name))?;
    Some(TypeRef { schema: &built_in.schema, node })
}

/// Returns every kind that has a type: group, version, kind.
pub fn kinds() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    BUILT_IN.kinds.keys().copied()
}

/// Returns the kinds that a definition is the type of, in the order of their groups.
pub(crate) fn kinds_of(
    at: TypeRef<'static>,
) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let mut found: Vec<_> = BUILT_IN
        .kinds
        .iter()
        .filter(|(_, node)| **node == at.node)
        .map(|(kind, _)| *kind)
        .collect();
    found.sort_unstable();
    found.into_iter()
}

#[derive(Default)]
struct Reader {
    schema: Schema,
    definitions: HashMap<&'static str, NodeId>,
    kinds: HashMap<(&'static str, &'static str, &'static str), NodeId>,
    /// Plain scalars and lists of them are one node each, unless a place annotates them.
    shared: HashMap<&'static str, NodeId>,
}

impl Reader {
    /// Reads the whole text. It is part of the binary, so what does not fit is a fault of ours.
    fn read(mut self, text: &'static str) -> BuiltIn {
        // Definitions first, so that references lead somewhere.
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("= ") {
                let name = rest.split(' ').next().unwrap_or_default();
                let mut node = Node::new(Kind::Object(Object::default()));
                node.definition = Some(Name::Borrowed(name));
                let id = self.schema.add(node);
                self.definitions.insert(name, id);
            }
        }
        let mut current = 0;
        for line in text.lines() {
            match line.split_once(' ') {
                Some(("#", _)) | None => {}
                Some(("=", rest)) => current = self.definition(rest),
                Some(("+", rest)) => self.inlined(current, rest),
                Some((name, rest)) => self.field(current, name, rest),
            }
        }
        BuiltIn { schema: self.schema, definitions: self.definitions, kinds: self.kinds }
    }

    fn definition(&mut self, line: &'static str) -> NodeId {
        let mut words = line.split(' ');
        let name = words.next().unwrap_or_default();
        let id = self.definitions[name];
        let form = words.next().unwrap_or_default();
        let scalar = match form {
            "object" | "inlined" => None,
            "quantity" => Some(Scalar::Quantity),
            "int-or-string" => Some(Scalar::IntOrString),
            "time" => Some(Scalar::Time),
            "micro-time" => Some(Scalar::MicroTime),
            "fields" => Some(Scalar::Fields),
            "raw" => Some(Scalar::Raw),
            "json" => Some(Scalar::Json),
            "schema-or-array" => Some(Scalar::SchemaOrArray),
            "schema-or-bool" => Some(Scalar::SchemaOrBool),
            "schema-or-strings" => Some(Scalar::SchemaOrStrings),
            other => unreachable!("the form `{other}` of {name}"),
        };
        if let Some(scalar) = scalar {
            self.schema.nodes[id as usize].kind = Kind::Scalar(scalar);
        }
        for word in words {
            if let Some(gvk) = word.strip_prefix("gvk=") {
                let mut parts = gvk.split('/');
                let mut part = || parts.next().unwrap_or_default();
                self.kinds.insert((part(), part(), part()), id);
            } else {
                annotate(&mut self.schema.nodes[id as usize], word);
            }
        }
        id
    }

    fn inlined(&mut self, parent: NodeId, line: &'static str) {
        let (target, tag) = line.split_once(" #").unwrap_or((line, "0"));
        let target = self.definitions[target.trim_start_matches('@')];
        let tag = tag.parse().unwrap_or_default();
        if let Kind::Object(object) = &mut self.schema.nodes[parent as usize].kind {
            object.inlined.push((target, tag));
        }
    }

    fn field(&mut self, parent: NodeId, name: &'static str, line: &'static str) {
        let mut words = line.split(' ');
        let text = words.next().unwrap_or_default();
        let (mut tag, mut annotated, mut pointer) = (0, None, false);
        for word in words {
            if word == "pointer" {
                pointer = true;
                continue;
            }
            match word.strip_prefix('#') {
                Some(number) => tag = number.parse().unwrap_or_default(),
                None => {
                    let node = match annotated {
                        Some(node) => node,
                        None => self.build(text),
                    };
                    annotate(&mut self.schema.nodes[node as usize], word);
                    annotated = Some(node);
                }
            }
        }
        let node = annotated.unwrap_or_else(|| self.shared(text));
        let required = name.ends_with('!');
        let name = Name::Borrowed(name.trim_end_matches('!'));
        if let Kind::Object(object) = &mut self.schema.nodes[parent as usize].kind {
            object.fields.push(Field { name, node, required, tag, pointer });
        }
    }

    fn shared(&mut self, text: &'static str) -> NodeId {
        if let Some(name) = text.strip_prefix('@') {
            return self.definitions[name];
        }
        if let Some(node) = self.shared.get(text) {
            return *node;
        }
        let node = self.build(text);
        self.shared.insert(text, node);
        node
    }

    /// Makes a node for a type, to be annotated by the place that asks for it.
    fn build(&mut self, text: &'static str) -> NodeId {
        let inner = |open, close| text.strip_prefix(open).and_then(|t: &str| t.strip_suffix(close));
        let kind = if let Some(name) = text.strip_prefix('@') {
            Kind::Reference(self.definitions[name])
        } else if let Some(element) = inner('[', ']') {
            Kind::List(self.shared(element))
        } else if let Some(value) = inner('{', '}') {
            Kind::Map(self.shared(value))
        } else {
            match text {
                "s" => Kind::Scalar(Scalar::String),
                "bytes" => Kind::Scalar(Scalar::Bytes),
                "b" => Kind::Scalar(Scalar::Boolean),
                "i" => Kind::Scalar(Scalar::Integer),
                "i32" => Kind::Scalar(Scalar::Integer32),
                "i64" => Kind::Scalar(Scalar::Integer64),
                "f" | "f64" => Kind::Scalar(Scalar::Number),
                "duration" => Kind::Scalar(Scalar::Duration),
                "o" => Kind::Scalar(Scalar::Raw),
                "any" => Kind::Scalar(Scalar::Json),
                other => unreachable!("the type `{other}`"),
            }
        };
        self.schema.add(Node::new(kind))
    }
}

fn annotate(node: &mut Node, word: &'static str) {
    let Some((key, value)) = word.split_once('=') else { unreachable!("the word `{word}`") };
    match key {
        "list" => {
            node.list = Some(match value {
                "atomic" => ListType::Atomic,
                "set" => ListType::Set,
                keys => {
                    let keys = keys.trim_start_matches("map(").trim_end_matches(')');
                    ListType::Map(keys.split(',').map(str::to_owned).collect())
                }
            });
        }
        "map" => node.atomic_map = Some(value == "atomic"),
        "strategy" => {
            let patch = node.patch.get_or_insert_default();
            for strategy in value.split(',') {
                match strategy {
                    "merge" => patch.merge = true,
                    "retainKeys" => patch.retain_keys = true,
                    "replace" => patch.replace = true,
                    other => unreachable!("the strategy `{other}`"),
                }
            }
        }
        "merge" => {
            node.patch.get_or_insert_default().merge_key = Some(Name::Borrowed(value));
        }
        "default" => {
            node.default = serde_json::from_str::<Value>(value).ok();
        }
        other => unreachable!("the annotation `{other}`"),
    }
}
