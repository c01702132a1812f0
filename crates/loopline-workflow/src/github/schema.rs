//! GitHub's own schemas of workflows and actions: definitions, types, context availability.
//!
//! The data next to this file is written by `scripts/workflow-schema.mjs` from GitHub's npm
//! package; this module only looks things up in it.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::{Map, Value};

/// The definition of a whole workflow file.
pub const WORKFLOW_ROOT: &str = "workflow-root-strict";
/// The definition of a whole workflow file that takes events and their settings as they come.
pub const WORKFLOW_ROOT_LOOSE: &str = "workflow-root";
/// The definition of a whole `action.yml`, as the runner reads it.
pub const ACTION_ROOT: &str = "action-root";

const WORKFLOW_JSON: &str = include_str!("schema/workflow-v1.0.json");
const ACTION_JSON: &str = include_str!("schema/action-v1.0.json");

static WORKFLOW: LazyLock<Schema> = LazyLock::new(|| Schema::load(WORKFLOW_JSON));
static ACTION: LazyLock<Schema> = LazyLock::new(|| Schema::load(ACTION_JSON));

/// Names a [`Definition`] within its [`Schema`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DefinitionId(u16);

/// A set of definitions.
#[derive(Debug)]
pub struct Schema {
    definitions: Vec<Definition>,
    names: HashMap<String, DefinitionId>,
}

/// One definition.
#[derive(Debug)]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// The contexts and functions its expressions may use, beside those of what it is part of;
    /// functions are written `name(min,max)`.
    pub context: Vec<String>,
    /// What it accepts.
    pub shape: Shape,
    /// The scalar definitions among its alternatives, itself included.
    pub scalars: Vec<DefinitionId>,
    /// The sequence definition among its alternatives, if there is one.
    pub sequence: Option<DefinitionId>,
    /// The mapping definitions among its alternatives.
    pub mappings: Vec<DefinitionId>,
}

/// What a definition accepts.
#[derive(Debug)]
pub enum Shape {
    /// Null.
    Null,
    /// A boolean.
    Boolean,
    /// A number.
    Number,
    /// A string.
    String {
        /// The one text allowed, if only one is.
        constant: Option<String>,
        /// Whether the empty string is refused.
        non_empty: bool,
    },
    /// A sequence of this.
    Sequence(DefinitionId),
    /// A mapping.
    Mapping {
        /// The keys with a meaning, in the schema's order.
        properties: Vec<Property>,
        /// The definitions of any other key and of its value, if other keys are allowed.
        loose: Option<(DefinitionId, DefinitionId)>,
    },
    /// One of these.
    OneOf(Vec<DefinitionId>),
}

/// A key with a meaning.
#[derive(Debug)]
pub struct Property {
    /// The key.
    pub name: String,
    /// The definition of its value.
    pub value: DefinitionId,
    /// Whether it must be there.
    pub required: bool,
}

impl Schema {
    /// Returns the schema of workflow files.
    pub fn workflow() -> &'static Self {
        &WORKFLOW
    }

    /// Returns the schema of `action.yml`.
    pub fn action() -> &'static Self {
        &ACTION
    }

    /// Returns the id of the definition `name`.
    pub fn find(&self, name: &str) -> Option<DefinitionId> {
        self.names.get(name).copied()
    }

    /// Returns a definition.
    pub fn get(&self, id: DefinitionId) -> &Definition {
        &self.definitions[usize::from(id.0)]
    }

    /// Returns the definition that accepts everything.
    pub fn any(&self) -> DefinitionId {
        // Built in, and always the first.
        DefinitionId(0)
    }

    /// Returns the value's definition of the property `name` of a mapping definition.
    pub fn property(&self, mapping: DefinitionId, name: &str) -> Option<&Property> {
        match &self.get(mapping).shape {
            Shape::Mapping { properties, .. } => {
                properties.iter().find(|property| property.name == name)
            }
            _ => None,
        }
    }

    fn load(text: &str) -> Self {
        // The data is compiled in and read by a test, so it is never broken; an empty schema
        // would refuse everything aloud.
        let value: Value = serde_json::from_str(text).unwrap_or_default();
        let empty = Map::new();
        let source = value.get("definitions").and_then(Value::as_object).unwrap_or(&empty);
        let mut loader = Loader { source, schema: Self::empty() };
        for name in ["any", "null", "boolean", "number", "string", "sequence", "mapping"] {
            loader.declare(name);
        }
        for name in source.keys() {
            loader.declare(name);
        }
        loader.built_in();
        for (name, value) in source {
            loader.define(name, value);
        }
        let mut schema = loader.schema;
        schema.expand();
        schema
    }

    fn empty() -> Self {
        Self { definitions: Vec::new(), names: HashMap::new() }
    }

    fn id(&self, index: usize) -> DefinitionId {
        DefinitionId(u16::try_from(index).unwrap_or(0))
    }

    /// Collects each definition's alternatives by kind.
    fn expand(&mut self) {
        for index in 0..self.definitions.len() {
            let (mut scalars, mut sequence, mut mappings) = (Vec::new(), None, Vec::new());
            let mut open = vec![self.id(index)];
            let mut seen = Vec::new();
            while let Some(id) = open.pop() {
                if seen.contains(&id) {
                    continue;
                }
                seen.push(id);
                match &self.get(id).shape {
                    Shape::OneOf(ids) => open.extend(ids.iter().rev()),
                    Shape::Sequence(_) => sequence = sequence.or(Some(id)),
                    Shape::Mapping { .. } => mappings.push(id),
                    _ => scalars.push(id),
                }
            }
            let definition = &mut self.definitions[index];
            definition.scalars = scalars;
            definition.sequence = sequence;
            definition.mappings = mappings;
        }
    }
}

struct Loader<'a> {
    source: &'a Map<String, Value>,
    schema: Schema,
}

impl Loader<'_> {
    /// Returns the id of `name`, made where it is new.
    fn declare(&mut self, name: &str) -> DefinitionId {
        if let Some(id) = self.schema.find(name) {
            return id;
        }
        let id = self.schema.id(self.schema.definitions.len());
        self.schema.names.insert(name.to_owned(), id);
        self.schema.definitions.push(Definition {
            name: name.to_owned(),
            context: Vec::new(),
            shape: Shape::OneOf(Vec::new()),
            scalars: Vec::new(),
            sequence: None,
            mappings: Vec::new(),
        });
        id
    }

    fn set(&mut self, name: &str, shape: Shape) {
        let id = self.declare(name);
        self.schema.definitions[usize::from(id.0)].shape = shape;
    }

    fn built_in(&mut self) {
        let parts = ["null", "boolean", "number", "string", "sequence", "mapping"]
            .map(|name| self.declare(name));
        let (any, string) = (self.declare("any"), self.declare("string"));
        self.set("any", Shape::OneOf(parts.to_vec()));
        self.set("null", Shape::Null);
        self.set("boolean", Shape::Boolean);
        self.set("number", Shape::Number);
        self.set("string", Shape::String { constant: None, non_empty: false });
        self.set("sequence", Shape::Sequence(any));
        self.set("mapping", Shape::Mapping { properties: Vec::new(), loose: Some((string, any)) });
    }

    fn define(&mut self, name: &str, value: &Value) {
        debug_assert!(self.source.contains_key(name));
        let id = self.declare(name);
        let strings = |value: Option<&Value>| -> Vec<String> {
            let items = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let shape = if let Some(string) = value.get("string") {
            let constant = string.get("constant").and_then(Value::as_str).map(str::to_owned);
            let non_empty = string.get("require-non-empty").and_then(Value::as_bool);
            Shape::String { constant, non_empty: non_empty.unwrap_or(false) }
        } else if value.get("boolean").is_some() {
            Shape::Boolean
        } else if value.get("number").is_some() {
            Shape::Number
        } else if value.get("null").is_some() {
            Shape::Null
        } else if let Some(sequence) = value.get("sequence") {
            Shape::Sequence(self.reference(sequence.get("item-type")))
        } else if let Some(mapping) = value.get("mapping") {
            self.mapping(mapping)
        } else if let Some(values) = value.get("allowed-values") {
            let ids = strings(Some(values)).into_iter().map(|constant| {
                let own = format!("{name}-{constant}");
                self.set(&own, Shape::String { constant: Some(constant), non_empty: false });
                self.declare(&own)
            });
            Shape::OneOf(ids.collect())
        } else {
            let names = strings(value.get("one-of"));
            Shape::OneOf(names.iter().map(|name| self.declare(name)).collect())
        };
        let definition = &mut self.schema.definitions[usize::from(id.0)];
        definition.context = strings(value.get("context"));
        definition.shape = shape;
    }

    fn mapping(&mut self, mapping: &Value) -> Shape {
        let mut properties = Vec::new();
        let source = mapping.get("properties").and_then(Value::as_object);
        for (name, value) in source.into_iter().flatten() {
            let required = value.get("required").and_then(Value::as_bool).unwrap_or(false);
            let kind = if value.is_string() { Some(value) } else { value.get("type") };
            let value = self.reference(kind);
            properties.push(Property { name: name.clone(), value, required });
        }
        let loose = mapping.get("loose-key-type").map(|key| {
            (self.reference(Some(key)), self.reference(mapping.get("loose-value-type")))
        });
        Shape::Mapping { properties, loose }
    }

    fn reference(&mut self, name: Option<&Value>) -> DefinitionId {
        self.declare(name.and_then(Value::as_str).unwrap_or("any"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_defined() {
        for (schema, root, least) in
            [(Schema::workflow(), WORKFLOW_ROOT, 304), (Schema::action(), ACTION_ROOT, 35)]
        {
            assert!(schema.find(root).is_some());
            assert!(schema.definitions.len() >= least);
            for definition in &schema.definitions {
                let empty = matches!(&definition.shape, Shape::OneOf(ids) if ids.is_empty());
                assert!(!empty, "{} is not defined", definition.name);
            }
        }
        let schema = Schema::workflow();
        let id = schema.find("step-if").expect("it is there");
        assert!(schema.get(id).context.iter().any(|item| item == "hashFiles(1,255)"));
        let id = schema.find("permissions").expect("it is there");
        assert!(!schema.get(id).mappings.is_empty() && !schema.get(id).scalars.is_empty());
    }
}
