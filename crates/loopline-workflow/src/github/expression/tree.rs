//! The tree of an expression: nodes with their places, kept side by side and named by number.

use std::ops::Range;
use std::sync::Arc;

use super::functions::is_status_function;
use super::value::Value;

/// A parsed expression. Its tree is at most twice [`super::MAX_DEPTH`] deep.
#[derive(Clone, Debug)]
pub struct Expr {
    pub(super) source: Arc<str>,
    pub(super) nodes: Vec<Node>,
    pub(super) root: NodeId,
}

/// Names a node of one [`Expr`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(super) u32);

/// A part of an expression.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Where it stands in the text, in bytes.
    pub span: Range<usize>,
    /// How deep the tree below it is, counted as GitHub counts.
    pub(super) depth: usize,
}

/// What a [`Node`] is.
#[derive(Clone, Debug)]
pub enum NodeKind {
    /// A literal; null for an empty text.
    Literal(Value),
    /// A context.
    Context(Arc<str>),
    /// `target.name`.
    Property {
        /// What is looked into.
        target: NodeId,
        /// The name.
        name: Arc<str>,
        /// Where the name stands, in bytes.
        name_span: Range<usize>,
    },
    /// `target[index]`.
    Index {
        /// What is looked into.
        target: NodeId,
        /// Which member.
        index: NodeId,
    },
    /// `target.*` or `target[*]`.
    Wildcard {
        /// What is looked into.
        target: NodeId,
    },
    /// A function call.
    Call {
        /// The function's name as written.
        name: Arc<str>,
        /// Where the name stands, in bytes.
        name_span: Range<usize>,
        /// The parameters.
        arguments: Vec<NodeId>,
    },
    /// `!operand`.
    Not(NodeId),
    /// Two values compared.
    Compare {
        /// How.
        operator: Comparison,
        /// The left one.
        left: NodeId,
        /// The right one.
        right: NodeId,
    },
    /// Values joined by `&&` or by `||`; nested ones of the same kind are one.
    Logical {
        /// Which of the two.
        connective: Connective,
        /// The values, at least two.
        operands: Vec<NodeId>,
    },
    /// `( )` around an expression.
    Group(NodeId),
}

/// How values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparison {
    /// Returns the operator as it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

/// What joins conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connective {
    /// `&&`
    And,
    /// `||`
    Or,
}

impl Expr {
    /// Returns the text it was parsed from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Returns the outermost node.
    pub fn root(&self) -> NodeId {
        self.root
    }

    /// Returns a node.
    ///
    /// # Panics
    /// Panics if the id is not of this expression.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// Returns the text of a node.
    pub fn text(&self, id: NodeId) -> &str {
        &self.source[self.node(id).span.clone()]
    }

    /// Returns whether the text was empty; its value is null.
    pub fn is_empty(&self) -> bool {
        self.source.trim().is_empty()
    }

    /// Returns a node without the parentheses around it.
    pub fn ungroup(&self, mut id: NodeId) -> NodeId {
        while let NodeKind::Group(inner) = &self.node(id).kind {
            id = *inner;
        }
        id
    }

    /// Returns the direct children of a node in order.
    pub fn children(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        let (fixed, list): ([Option<NodeId>; 2], &[NodeId]) = match &self.node(id).kind {
            NodeKind::Literal(_) | NodeKind::Context(_) => ([None, None], &[]),
            NodeKind::Property { target, .. } | NodeKind::Wildcard { target } => {
                ([Some(*target), None], &[])
            }
            NodeKind::Index { target, index } => ([Some(*target), Some(*index)], &[]),
            NodeKind::Call { arguments, .. } => ([None, None], arguments),
            NodeKind::Not(operand) | NodeKind::Group(operand) => ([Some(*operand), None], &[]),
            NodeKind::Compare { left, right, .. } => ([Some(*left), Some(*right)], &[]),
            NodeKind::Logical { operands, .. } => ([None, None], operands),
        };
        fixed.into_iter().flatten().chain(list.iter().copied())
    }

    /// Calls a visitor for every node, parents before and after their children.
    pub fn visit(&self, visitor: &mut impl Visitor) {
        self.visit_node(self.root, visitor);
    }

    fn visit_node(&self, id: NodeId, visitor: &mut impl Visitor) {
        visitor.enter(self, id);
        for child in self.children(id) {
            self.visit_node(child, visitor);
        }
        visitor.leave(self, id);
    }

    /// Returns every node that belongs to the tree, parents first.
    pub fn walk(&self) -> Vec<NodeId> {
        let mut found = Vec::with_capacity(self.nodes.len());
        let mut open = vec![self.root];
        while let Some(id) = open.pop() {
            found.push(id);
            let from = open.len();
            open.extend(self.children(id));
            open[from..].reverse();
        }
        found
    }
}

/// Sees the nodes of a tree.
pub trait Visitor {
    /// Sees a node before its children.
    fn enter(&mut self, expression: &Expr, id: NodeId);

    /// Sees a node after its children.
    fn leave(&mut self, _expression: &Expr, _id: NodeId) {}
}

/// Returns whether an expression calls `success`, `failure`, `cancelled` or `always`; where it
/// does not, GitHub puts `success() && (...)` around a condition.
pub fn calls_status_function(expression: &Expr) -> bool {
    expression.walk().into_iter().any(|id| match &expression.node(id).kind {
        NodeKind::Call { name, .. } => is_status_function(name),
        _ => false,
    })
}

/// A context and what is read from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedValue {
    /// The context's name as written.
    pub context: Arc<str>,
    /// The names behind it, as long as they are literal.
    pub path: Vec<Arc<str>>,
    /// Whether the path is all that is read; not so where `*` or a computed name follows.
    pub complete: bool,
    /// Where the context and its path stand, in bytes.
    pub span: Range<usize>,
}

/// Returns every use of a context, in the order of the text.
pub fn named_values(expression: &Expr) -> impl Iterator<Item = NamedValue> {
    let mut found = Vec::new();
    let mut open = vec![(expression.root, true)];
    while let Some((id, outermost)) = open.pop() {
        // Only the outermost link of a chain is reported; it walks down to the context itself.
        let target = target(expression, id);
        if outermost && let Some(value) = chain(expression, id) {
            found.push(value);
        }
        for child in expression.children(id) {
            let continues = target == Some(child);
            let passes = matches!(expression.node(id).kind, NodeKind::Group(_));
            open.push((child, if passes { outermost } else { !continues }));
        }
    }
    found.sort_by_key(|value| value.span.start);
    found.dedup();
    found.into_iter()
}

fn target(expression: &Expr, id: NodeId) -> Option<NodeId> {
    match &expression.node(id).kind {
        NodeKind::Property { target, .. }
        | NodeKind::Index { target, .. }
        | NodeKind::Wildcard { target } => Some(*target),
        _ => None,
    }
}

fn chain(expression: &Expr, id: NodeId) -> Option<NamedValue> {
    if matches!(expression.node(id).kind, NodeKind::Group(_)) {
        return None;
    }
    let mut path = Vec::new();
    let mut complete = true;
    let mut span = expression.node(id).span.clone();
    let mut at = id;
    loop {
        let node = expression.node(at);
        let name = match &node.kind {
            NodeKind::Context(name) => {
                path.reverse();
                return Some(NamedValue { context: Arc::clone(name), path, complete, span });
            }
            NodeKind::Property { name, .. } => Some(Arc::clone(name)),
            NodeKind::Index { index, .. } => {
                match &expression.node(expression.ungroup(*index)).kind {
                    NodeKind::Literal(Value::String(name)) => Some(Arc::clone(name)),
                    _ => None,
                }
            }
            NodeKind::Wildcard { .. } => None,
            _ => return None,
        };
        let target = target(expression, at)?;
        match name {
            Some(name) => path.push(name),
            // What stands behind a computed name cannot be told; the path ends before it.
            None => {
                path.clear();
                complete = false;
                span = expression.node(target).span.clone();
            }
        }
        at = expression.ungroup(target);
    }
}
