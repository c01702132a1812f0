//! Sets of paths, as trees of sorted steps.

use std::cmp::Ordering;

use super::element::PathElement;
use crate::types::Type;

/// A set of paths. A path may be in the set without those below it, and the other way round.
///
/// No node is kept without being a member or having members below, so an empty tree is an empty
/// set, and equal sets have equal trees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathSet {
    nodes: Vec<Node>,
}

/// One step of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    /// The step.
    pub(crate) element: PathElement,
    /// Whether the path that ends here is in the set.
    pub(crate) member: bool,
    /// What is in the set below.
    pub(crate) children: PathSet,
}

impl PathSet {
    /// Returns a set without paths.
    #[must_use]
    pub const fn new() -> Self {
        Self { nodes: Vec::new() }
    }

    /// Returns the set of these paths through fields.
    #[must_use]
    pub fn of_fields(paths: &[&[&str]]) -> Self {
        let mut set = Self::new();
        for path in paths {
            let path: Vec<PathElement> = path.iter().map(|name| PathElement::field(name)).collect();
            set.insert(&path);
        }
        set
    }

    /// Returns a set of nodes with different elements, in any order. Nodes that hold nothing are
    /// left out.
    pub(crate) fn of_nodes(mut nodes: Vec<Node>) -> Self {
        nodes.retain(|node| node.member || !node.children.is_empty());
        nodes.sort_unstable_by(|left, right| left.element.cmp(&right.element));
        Self { nodes }
    }

    /// Returns whether no path is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Returns how many paths are in the set.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.iter().map(|node| usize::from(node.member) + node.children.len()).sum()
    }

    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Adds a path. The empty path is the object itself, which is never in a set.
    pub fn insert(&mut self, path: &[PathElement]) {
        let Some((first, rest)) = path.split_first() else { return };
        let node = self.node_mut(first);
        if rest.is_empty() { node.member = true } else { node.children.insert(rest) }
    }

    /// Adds a path and everything of a set below it.
    pub(crate) fn insert_tree(&mut self, path: &[PathElement], tree: &Self) {
        let Some((first, rest)) = path.split_first() else { return };
        let node = self.node_mut(first);
        if rest.is_empty() {
            node.member = true;
            node.children = node.children.union(tree);
        } else {
            node.children.insert_tree(rest, tree);
        }
    }

    fn node_mut(&mut self, element: &PathElement) -> &mut Node {
        let index = match self.nodes.binary_search_by(|node| node.element.cmp(element)) {
            Ok(index) => index,
            Err(index) => {
                let children = Self::new();
                self.nodes
                    .insert(index, Node { element: element.clone(), member: false, children });
                index
            }
        };
        &mut self.nodes[index]
    }

    /// Returns whether a path is in the set.
    #[must_use]
    pub fn has(&self, path: &[PathElement]) -> bool {
        let Some((first, rest)) = path.split_first() else { return false };
        self.node(first)
            .is_some_and(|node| if rest.is_empty() { node.member } else { node.children.has(rest) })
    }

    /// Returns what is in the set below a path.
    pub(crate) fn below(&self, path: &[PathElement]) -> Option<&Self> {
        path.iter().try_fold(self, |set, element| Some(&set.node(element)?.children))
    }

    pub(crate) fn node(&self, element: &PathElement) -> Option<&Node> {
        let index = self.nodes.binary_search_by(|node| node.element.cmp(element)).ok()?;
        self.nodes.get(index)
    }

    pub(crate) fn field(&self, name: &str) -> Option<&Node> {
        let index = self.nodes.binary_search_by(|node| node.element.compare_field(name)).ok()?;
        self.nodes.get(index)
    }

    /// Returns the paths of either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        if other.is_empty() {
            return self.clone();
        }
        if self.is_empty() {
            return other.clone();
        }
        let mut nodes = Vec::with_capacity(self.nodes.len().max(other.nodes.len()));
        zip(self, other, |left, right| match (left, right) {
            (Some(left), Some(right)) => nodes.push(Node {
                element: left.element.clone(),
                member: left.member || right.member,
                children: left.children.union(&right.children),
            }),
            (Some(node), None) | (None, Some(node)) => nodes.push(node.clone()),
            (None, None) => {}
        });
        Self { nodes }
    }

    /// Returns the paths of both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let mut nodes = Vec::new();
        zip(self, other, |left, right| {
            if let (Some(left), Some(right)) = (left, right) {
                let member = left.member && right.member;
                let children = left.children.intersection(&right.children);
                push(&mut nodes, &left.element, member, children);
            }
        });
        Self { nodes }
    }

    /// Returns the paths of this set that are not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        if other.is_empty() {
            return self.clone();
        }
        let mut nodes = Vec::with_capacity(self.nodes.len());
        zip(self, other, |left, right| match (left, right) {
            (Some(left), Some(right)) => {
                let member = left.member && !right.member;
                let children = left.children.difference(&right.children);
                push(&mut nodes, &left.element, member, children);
            }
            (Some(left), None) => nodes.push(left.clone()),
            (None, _) => {}
        });
        Self { nodes }
    }

    /// Returns the paths of this set that are neither in the other nor below one of its paths.
    #[must_use]
    pub fn recursive_difference(&self, other: &Self) -> Self {
        if other.is_empty() {
            return self.clone();
        }
        let mut nodes = Vec::with_capacity(self.nodes.len());
        zip(self, other, |left, right| match (left, right) {
            (Some(_), Some(right)) if right.member => {}
            (Some(left), Some(right)) => {
                let children = left.children.recursive_difference(&right.children);
                push(&mut nodes, &left.element, left.member, children);
            }
            (Some(left), None) => nodes.push(left.clone()),
            (None, _) => {}
        });
        Self { nodes }
    }

    /// Takes the paths of another set away. Costs as much as the other set has steps.
    pub fn subtract(&mut self, other: &Self) {
        self.take_away(other, false);
    }

    /// Takes the paths of another set away, and what is below them.
    pub fn subtract_recursively(&mut self, other: &Self) {
        self.take_away(other, true);
    }

    fn take_away(&mut self, other: &Self, recursively: bool) {
        let mut emptied = false;
        for gone in &other.nodes {
            let found = self.nodes.binary_search_by(|node| node.element.cmp(&gone.element));
            let Ok(index) = found else { continue };
            let node = &mut self.nodes[index];
            node.member &= !gone.member;
            if gone.member && recursively {
                node.children = Self::new();
            } else {
                node.children.take_away(&gone.children, recursively);
            }
            emptied |= !node.member && node.children.is_empty();
        }
        if emptied {
            self.nodes.retain(|node| node.member || !node.children.is_empty());
        }
    }

    /// Returns whether every path of this set is in the other.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.nodes.iter().all(|node| {
            other.node(&node.element).is_some_and(|counterpart| {
                (!node.member || counterpart.member)
                    && node.children.is_subset(&counterpart.children)
            })
        })
    }

    /// Calls a function with every path, in order.
    pub fn for_each(&self, mut visit: impl FnMut(&[PathElement])) {
        fn walk(set: &PathSet, path: &mut Vec<PathElement>, visit: &mut dyn FnMut(&[PathElement])) {
            for node in &set.nodes {
                path.push(node.element.clone());
                if node.member {
                    visit(path);
                }
                walk(&node.children, path, visit);
                path.pop();
            }
        }
        walk(self, &mut Vec::new(), &mut visit);
    }

    /// Returns this set with every declared field that has members below as a member too.
    pub(crate) fn with_declared_fields<T: Type>(&self, ty: Option<T>) -> Self {
        let nodes = self
            .nodes
            .iter()
            .map(|node| {
                let (declared, below) = match &node.element {
                    PathElement::Field(name) => {
                        (ty.is_some_and(|ty| ty.declares(name)), ty.and_then(|ty| ty.field(name)))
                    }
                    PathElement::Key(_) => (false, ty.and_then(|ty| ty.element())),
                    PathElement::Value(_) | PathElement::Index(_) => (false, None),
                };
                Node {
                    element: node.element.clone(),
                    member: node.member || (declared && !node.children.is_empty()),
                    children: node.children.with_declared_fields(below),
                }
            })
            .collect();
        Self { nodes }
    }
}

fn push(nodes: &mut Vec<Node>, element: &PathElement, member: bool, children: PathSet) {
    if member || !children.is_empty() {
        nodes.push(Node { element: element.clone(), member, children });
    }
}

/// Walks two sorted lists of nodes side by side.
fn zip<'a>(
    left: &'a PathSet,
    right: &'a PathSet,
    mut visit: impl FnMut(Option<&'a Node>, Option<&'a Node>),
) {
    let (mut lefts, mut rights) = (left.nodes.iter().peekable(), right.nodes.iter().peekable());
    loop {
        let order = match (lefts.peek(), rights.peek()) {
            (Some(left), Some(right)) => left.element.cmp(&right.element),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return,
        };
        match order {
            Ordering::Less => visit(lefts.next(), None),
            Ordering::Equal => visit(lefts.next(), rights.next()),
            Ordering::Greater => visit(None, rights.next()),
        }
    }
}
