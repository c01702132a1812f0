//! The one YAML tree: nodes with spans, tags, styles, anchors and comments' places kept.
//!
//! Parsing is done by `saphyr-parser`; the tree, its bounds and its errors are ours. What a
//! plain scalar means (`on`, `0o17`, `1e3`) is decided by the reader of the document, because
//! YAML 1.1, YAML 1.2 and each incumbent disagree; [`Scalar`] therefore keeps text and style.

mod build;

use std::sync::Arc;

use crate::{SourceFile, Span};

/// Bounds for one text; hostile input runs into them instead of into memory.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest nesting of sequences and mappings.
    pub depth: usize,
    /// The largest number of nodes, aliases counted as often as they are used.
    pub nodes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: Self::DEPTH, nodes: Self::NODES }
    }
}

impl Limits {
    /// The nesting accepted by default.
    pub const DEPTH: usize = 100;
    /// The number of nodes accepted by default.
    pub const NODES: usize = 2_000_000;
}

/// One node; cheap to clone.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where the node's own text is. For an alias, where the *anchored* node is.
    pub span: Span,
    /// Where the tag and the anchor before the node's own text stand, if there are any.
    pub properties: Option<Span>,
    /// Where the alias stands that brought this node here, if one did.
    pub alias: Option<Span>,
    /// The explicit tag, resolved (`tag:yaml.org,2002:str`), if there is one.
    pub tag: Option<Arc<str>>,
    /// The anchor and where its name stands, `&` included.
    pub anchor: Option<Anchor>,
    /// What the node holds.
    pub data: Data,
}

/// A node's anchor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The name without `&`.
    pub name: Arc<str>,
    /// Where `&name` stands.
    pub span: Span,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub enum Data {
    /// A scalar, as text.
    Scalar(Scalar),
    /// A sequence.
    Sequence(Arc<[Node]>),
    /// A mapping, in the order of the file, duplicate keys and `<<` included.
    Mapping(Arc<[Entry]>),
}

/// One key and its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: Node,
    /// The value.
    pub value: Node,
}

/// A scalar's text and how it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar {
    /// The text after unescaping and folding.
    pub value: Arc<str>,
    /// How it was written.
    pub style: Style,
}

/// How a scalar was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Without quotes; also the empty value of `key:`.
    Plain,
    /// In single quotes.
    SingleQuoted,
    /// In double quotes.
    DoubleQuoted,
    /// A `|` block.
    Literal,
    /// A `>` block.
    Folded,
}

/// One document of a stream.
#[derive(Clone, Debug)]
pub struct Document {
    /// The root; a document without content has an empty plain scalar.
    pub root: Node,
}

/// What was read, and the error that ended reading early, if one did.
///
/// Documents before the error are complete; the one in which it happened is kept as far as it
/// was read, so that a broken line does not hide the rest of the file.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The documents in order.
    pub documents: Vec<Document>,
    /// The first error.
    pub error: Option<Error>,
}

/// Why a text is not the YAML we accept.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{kind}")]
pub struct Error {
    /// Where.
    pub span: Span,
    /// What.
    pub kind: ErrorKind,
}

/// What is wrong with a text.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ErrorKind {
    /// The syntax is wrong; the message is the scanner's.
    #[error("{0}")]
    Syntax(String),
    /// An alias names no anchor that came before it.
    #[error("alias `*{0}` has no anchor before it")]
    UnknownAnchor(Arc<str>),
    /// An alias stands inside the node it names.
    #[error("alias `*{0}` stands inside its own anchor")]
    RecursiveAlias(Arc<str>),
    /// The nesting is deeper than [`Limits::depth`].
    #[error("nested deeper than {0} levels")]
    TooDeep(usize),
    /// There are more nodes than [`Limits::nodes`], aliases counted as often as they are used.
    #[error("more than {0} nodes once aliases are expanded")]
    TooManyNodes(usize),
}

/// Parses every document in `file` within `limits`.
pub fn parse(file: &SourceFile, limits: &Limits) -> Parsed {
    build::parse(file, limits)
}

impl Node {
    /// Returns the scalar, if the node is one.
    pub fn as_scalar(&self) -> Option<&Scalar> {
        match &self.data {
            Data::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// Returns the scalar's text, if the node is a scalar.
    pub fn as_str(&self) -> Option<&str> {
        self.as_scalar().map(|scalar| &*scalar.value)
    }

    /// Returns the items, if the node is a sequence.
    pub fn as_sequence(&self) -> Option<&[Node]> {
        match &self.data {
            Data::Sequence(items) => Some(items),
            _ => None,
        }
    }

    /// Returns the entries, if the node is a mapping.
    pub fn as_mapping(&self) -> Option<&[Entry]> {
        match &self.data {
            Data::Mapping(entries) => Some(entries),
            _ => None,
        }
    }

    /// Returns the value of the first entry whose key is the scalar `key`.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_mapping()?
            .iter()
            .find(|entry| entry.key.as_str() == Some(key))
            .map(|entry| &entry.value)
    }

    /// Returns whether this is a plain scalar that every YAML reads as null.
    pub fn is_null(&self) -> bool {
        self.as_scalar().is_some_and(|scalar| {
            scalar.style == Style::Plain
                && matches!(&*scalar.value, "" | "~" | "null" | "Null" | "NULL")
        })
    }

    /// Returns where the node starts, its tag and anchor included.
    pub fn start(&self) -> u32 {
        self.properties.map_or(self.span.start, |properties| properties.start)
    }

    /// Returns where the node is *used*: the alias where there is one, else its own place.
    pub fn site(&self) -> Span {
        self.alias.unwrap_or(self.span)
    }
}
