//! The arena of types that built-in kinds and custom resources share, and the view on one of them.
//!
//! A [`Schema`] holds nodes; a [`TypeRef`] is a node of a schema, seen together with what the
//! place where it stands says of it. Nothing here knows where types come from.

use std::borrow::Cow;
use std::fmt;

use loopline_merge::{PatchStrategy, ScalarKind, Shape, Type};
use serde_json::Value;

/// A name that is borrowed from the binary, or owned by a custom resource.
pub(crate) type Name = Cow<'static, str>;

/// The index of a node in its schema.
pub(crate) type NodeId = u32;

/// How many objects and lists may stand in one another before a value is refused.
pub const MAXIMUM_DEPTH: usize = 256;

/// The leaves of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// A string.
    String,
    /// A string that is the base64 form of bytes.
    Bytes,
    /// A boolean.
    Boolean,
    /// An integer of 64 bits, without a declared format.
    Integer,
    /// An integer of 32 bits.
    Integer32,
    /// An integer of 64 bits.
    Integer64,
    /// A number.
    Number,
    /// An amount of a resource: a string such as `100m`, or a number.
    Quantity,
    /// An integer or a string.
    IntOrString,
    /// A time with seconds, or null.
    Time,
    /// A time with microseconds, or null.
    MicroTime,
    /// A Go duration, such as `1m30s`.
    Duration,
    /// An object of any kind (`RawExtension`).
    Raw,
    /// A set of fields (`FieldsV1`).
    Fields,
    /// Any JSON value, replaced as a whole.
    Json,
    /// A JSON schema, or a list of them.
    SchemaOrArray,
    /// A JSON schema, or a boolean.
    SchemaOrBool,
    /// A JSON schema, or a list of strings.
    SchemaOrStrings,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// The type is another node's.
    Reference(NodeId),
    /// The type is a node of the built-in schema's: a custom resource's metadata.
    BuiltIn(NodeId),
    Scalar(Scalar),
    List(NodeId),
    Map(NodeId),
    Object(Object),
    /// Any value; its shape follows from the value.
    Any,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Object {
    /// Sorted by name.
    pub(crate) fields: Vec<Field>,
    /// Objects whose fields stand in this one in JSON, and in a message of their own in protobuf.
    pub(crate) inlined: Vec<(NodeId, u32)>,
    /// Fields that are not declared are kept (`x-kubernetes-preserve-unknown-fields`).
    pub(crate) open: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: Name,
    pub(crate) node: NodeId,
    pub(crate) required: bool,
    /// The number of the field in protobuf; 0 where it has none.
    pub(crate) tag: u32,
    /// The field is a pointer in Go: its zero is a value, not the same as nothing.
    pub(crate) pointer: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ListType {
    Atomic,
    Set,
    Map(Vec<String>),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Patch {
    pub(crate) merge: bool,
    pub(crate) retain_keys: bool,
    pub(crate) replace: bool,
    pub(crate) merge_key: Option<Name>,
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    /// The name of the definition, without `io.k8s.`.
    pub(crate) definition: Option<Name>,
    pub(crate) list: Option<ListType>,
    pub(crate) atomic_map: Option<bool>,
    pub(crate) patch: Option<Box<Patch>>,
    pub(crate) default: Option<Value>,
    pub(crate) nullable: bool,
}

impl Node {
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            kind,
            definition: None,
            list: None,
            atomic_map: None,
            patch: None,
            default: None,
            nullable: false,
        }
    }
}

/// The types of the built-in kinds, or of one version of a custom resource.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    pub(crate) nodes: Vec<Node>,
    pub(crate) root: NodeId,
    /// What a custom resource's schema asks beyond types; nothing of built-in kinds.
    pub(crate) custom: Option<Box<crate::structural::Custom>>,
}

impl Schema {
    /// Returns the type of the whole: of a custom resource's version, the object's.
    pub fn root(&self) -> TypeRef<'_> {
        TypeRef { schema: self, node: self.root }
    }

    pub(crate) fn add(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        (self.nodes.len() - 1) as NodeId
    }
}

/// A type where it stands.
#[derive(Clone, Copy)]
pub struct TypeRef<'a> {
    pub(crate) schema: &'a Schema,
    pub(crate) node: NodeId,
}

impl fmt::Debug for TypeRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TypeRef({:?})", self.site().kind)
    }
}

static ANY: std::sync::LazyLock<Schema> =
    std::sync::LazyLock::new(|| Schema { nodes: vec![Node::new(Kind::Any)], ..Schema::default() });

impl<'a> TypeRef<'a> {
    /// Returns the type of values that nothing is declared of.
    pub fn any() -> TypeRef<'static> {
        TypeRef { schema: &ANY, node: 0 }
    }

    pub(crate) fn at(self, node: NodeId) -> Self {
        Self { schema: self.schema, node }
    }

    /// Returns the node where the type stands, with the annotations of the place.
    pub(crate) fn site(self) -> &'a Node {
        &self.schema.nodes[self.node as usize]
    }

    /// Returns the type itself, without the place where it stands.
    pub(crate) fn target(self) -> Self {
        let mut at = self;
        // References lead to definitions, and definitions are no references.
        loop {
            at = match at.site().kind {
                Kind::Reference(node) => at.at(node),
                Kind::BuiltIn(node) => TypeRef { schema: crate::builtin::schema(), node },
                _ => return at,
            };
        }
    }

    pub(crate) fn kind(self) -> &'a Kind {
        &self.target().site().kind
    }

    pub(crate) fn object(self) -> Option<&'a Object> {
        match self.kind() {
            Kind::Object(object) => Some(object),
            _ => None,
        }
    }

    /// Returns the declared fields of an object in the order of their names.
    pub fn fields(self) -> impl Iterator<Item = (&'a str, TypeRef<'a>)> {
        let target = self.target();
        target
            .object()
            .map(|object| object.fields.as_slice())
            .unwrap_or_default()
            .iter()
            .map(move |field| (field.name.as_ref(), target.at(field.node)))
    }

    pub(crate) fn declared(self, name: &str) -> Option<(&'a Field, Self)> {
        let target = self.target();
        let fields = &target.object()?.fields;
        let index = fields.binary_search_by(|field| field.name.as_ref().cmp(name)).ok()?;
        Some((&fields[index], target.at(fields[index].node)))
    }

    /// Returns whether the object must have this field.
    pub fn is_required(self, name: &str) -> bool {
        self.declared(name).is_some_and(|(field, _)| field.required)
    }

    /// Returns whether fields that the object does not declare are kept.
    pub fn is_open(self) -> bool {
        match self.kind() {
            Kind::Object(object) => object.open,
            Kind::Any => true,
            Kind::Scalar(scalar) => matches!(scalar, Scalar::Raw | Scalar::Fields | Scalar::Json),
            _ => false,
        }
    }

    /// Returns what kind of leaf this is, if it is one.
    pub fn scalar(self) -> Option<Scalar> {
        match self.kind() {
            Kind::Scalar(scalar) => Some(*scalar),
            _ => None,
        }
    }

    /// Returns the type of a map's values.
    pub fn values(self) -> Option<Self> {
        let target = self.target();
        match target.site().kind {
            Kind::Map(node) => Some(target.at(node)),
            _ => None,
        }
    }

    /// Returns whether the schema lets null stand for a value here.
    pub fn nullable(self) -> bool {
        self.site().nullable || self.target().site().nullable
    }

    /// Returns the name of the definition as OpenAPI spells it: `io.k8s.api.apps.v1.Deployment`.
    pub fn definition(self) -> Option<String> {
        self.target().site().definition.as_ref().map(|name| format!("io.k8s.{name}"))
    }

    /// Returns the type of a field, of a map's value, or of anything below a value without a type.
    pub fn get(self, name: &str) -> Option<TypeRef<'a>> {
        let target = self.target();
        match &target.site().kind {
            Kind::Object(object) => match self.declared(name) {
                Some((_, at)) => Some(at),
                None if object.open => Some(TypeRef::any()),
                None => None,
            },
            Kind::Map(node) => Some(target.at(*node)),
            Kind::Any | Kind::Scalar(Scalar::Raw | Scalar::Fields) => Some(TypeRef::any()),
            _ => None,
        }
    }

    /// Returns the type of a list's elements.
    pub fn items(self) -> Option<TypeRef<'a>> {
        let target = self.target();
        match target.site().kind {
            Kind::List(node) => Some(target.at(node)),
            Kind::Any => Some(TypeRef::any()),
            _ => None,
        }
    }
}

impl Type for TypeRef<'_> {
    fn shape(&self) -> Shape<'_> {
        let (site, target) = (self.site(), self.target().site());
        match &target.kind {
            Kind::Any | Kind::Scalar(Scalar::Raw | Scalar::Fields) => Shape::Deduced,
            Kind::List(_) => match site.list.as_ref().or(target.list.as_ref()) {
                None | Some(ListType::Atomic) => Shape::AtomicList,
                Some(ListType::Set) => Shape::Set,
                Some(ListType::Map(keys)) => Shape::ListMap(keys),
            },
            Kind::Map(_) | Kind::Object(_) => {
                if site.atomic_map.or(target.atomic_map) == Some(true) {
                    Shape::AtomicMap
                } else {
                    Shape::Map
                }
            }
            Kind::Scalar(_) | Kind::Reference(_) | Kind::BuiltIn(_) => Shape::Scalar,
        }
    }

    fn field(&self, name: &str) -> Option<Self> {
        self.get(name)
    }

    fn declares(&self, name: &str) -> bool {
        self.declared(name).is_some()
    }

    fn scalar(&self) -> ScalarKind {
        match TypeRef::scalar(*self) {
            Some(Scalar::String | Scalar::Bytes | Scalar::Time | Scalar::MicroTime) => {
                ScalarKind::String
            }
            Some(Scalar::Boolean) => ScalarKind::Boolean,
            Some(Scalar::Integer | Scalar::Integer32 | Scalar::Integer64 | Scalar::Number) => {
                ScalarKind::Number
            }
            _ => ScalarKind::Any,
        }
    }

    fn element(&self) -> Option<Self> {
        self.items()
    }

    fn default(&self) -> Option<&Value> {
        self.site().default.as_ref().or(self.target().site().default.as_ref())
    }

    fn patch_strategy(&self) -> PatchStrategy<'_> {
        self.site().patch.as_ref().map_or_else(PatchStrategy::default, |patch| PatchStrategy {
            merge: patch.merge,
            retain_keys: patch.retain_keys,
            replace: patch.replace,
            merge_key: patch.merge_key.as_deref(),
        })
    }
}
