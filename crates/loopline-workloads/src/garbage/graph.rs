//! Who owns whom, and what is to be looked at when that changes. No IO.

use std::collections::{BTreeSet, HashMap, HashSet};

use kube::discovery::ApiResource;

use crate::resources::Deletable;

/// An object's identifier.
pub type Uid = String;

/// An owner of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The owner's identifier.
    pub uid: Uid,
    /// An owner that is deleted in the foreground waits for this object.
    pub blocks: bool,
}

/// An object, as far as ownership goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The resource, by its place among those that are watched.
    pub resource: usize,
    /// The namespace, where it is in one.
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
    /// The owners.
    pub owners: Vec<Owner>,
    /// It is being deleted and waits for its dependents.
    pub foreground: bool,
    /// It is being deleted and lets its dependents go.
    pub orphan: bool,
}

/// Something to be looked at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Work {
    /// An object that may have lost its last owner.
    Dependent(Uid),
    /// An owner that waits for its dependents.
    Foreground(Uid),
    /// An owner that lets its dependents go.
    Orphan(Uid),
}

/// An object with what is needed to reach it.
#[derive(Clone, Debug)]
pub(crate) struct Reach {
    pub(crate) uid: Uid,
    pub(crate) resource: ApiResource,
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
}

/// Work with what the graph knows for it.
#[derive(Clone, Debug)]
pub(crate) enum Task {
    /// The object is gone, or was never there.
    Nothing,
    Dependent {
        object: Reach,
        has_dependents: bool,
        waiting: BTreeSet<Uid>,
    },
    Foreground {
        object: Reach,
        blocking: Vec<Reach>,
    },
    Orphan {
        object: Reach,
        dependents: Vec<Reach>,
    },
}

/// Who owns whom.
#[derive(Debug, Default)]
pub struct Graph {
    nodes: HashMap<Uid, Node>,
    /// The objects that name an owner, whether or not the owner is known.
    dependents: HashMap<Uid, BTreeSet<Uid>>,
}

impl Graph {
    /// Learns of an object as it is now; returns what is to be looked at.
    pub fn set(&mut self, uid: Uid, node: Node) -> Vec<Work> {
        let mut work = Vec::new();
        let before = self.nodes.get(&uid).cloned();
        if let Some(before) = &before {
            self.unlink(&uid, before);
            // An owner may have waited for the reference that is gone.
            for owner in before.owners.iter().filter(|owner| !node.owners.contains(owner)) {
                work.extend(self.waiting(&owner.uid));
            }
        }
        for owner in &node.owners {
            self.dependents.entry(owner.uid.clone()).or_default().insert(uid.clone());
            work.extend(self.waiting(&owner.uid));
        }
        let changed = before.as_ref() != Some(&node);
        if changed && !node.owners.is_empty() {
            work.push(Work::Dependent(uid.clone()));
        }
        if changed && node.foreground {
            work.push(Work::Foreground(uid.clone()));
            work.extend(self.dependents_of(&uid).map(|one| Work::Dependent(one.clone())));
        }
        if changed && node.orphan {
            work.push(Work::Orphan(uid.clone()));
        }
        self.nodes.insert(uid, node);
        work
    }

    /// Learns that an object is gone; returns what is to be looked at.
    pub fn remove(&mut self, uid: &str) -> Vec<Work> {
        let Some(node) = self.nodes.remove(uid) else { return Vec::new() };
        self.unlink(uid, &node);
        let mut work: Vec<Work> =
            self.dependents_of(uid).map(|one| Work::Dependent(one.clone())).collect();
        for owner in &node.owners {
            work.extend(self.waiting(&owner.uid));
        }
        work
    }

    /// Removes what a watch that began anew did not tell of.
    pub fn keep_only(&mut self, resource: usize, present: &HashSet<Uid>) -> Vec<Work> {
        let gone: Vec<Uid> = self
            .nodes
            .iter()
            .filter(|(uid, node)| node.resource == resource && !present.contains(*uid))
            .map(|(uid, _)| uid.clone())
            .collect();
        gone.iter().flat_map(|uid| self.remove(uid)).collect()
    }

    /// Returns the work of an owner that waits for its dependents, if it does.
    fn waiting(&self, owner: &str) -> Option<Work> {
        let node = self.nodes.get(owner)?;
        node.foreground.then(|| Work::Foreground(owner.to_owned()))
    }

    fn dependents_of(&self, uid: &str) -> impl Iterator<Item = &Uid> {
        self.dependents.get(uid).into_iter().flatten()
    }

    fn unlink(&mut self, uid: &str, node: &Node) {
        for owner in &node.owners {
            if let Some(dependents) = self.dependents.get_mut(&owner.uid) {
                dependents.remove(uid);
                if dependents.is_empty() {
                    self.dependents.remove(&owner.uid);
                }
            }
        }
    }

    fn reach(&self, uid: &str, watched: &[Deletable]) -> Option<Reach> {
        let node = self.nodes.get(uid)?;
        Some(Reach {
            uid: uid.to_owned(),
            resource: watched.get(node.resource)?.resource.clone(),
            namespace: node.namespace.clone(),
            name: node.name.clone(),
        })
    }

    /// Completes work with what is known now.
    pub(crate) fn task(&self, work: &Work, watched: &[Deletable]) -> Task {
        let (Work::Dependent(uid) | Work::Foreground(uid) | Work::Orphan(uid)) = work;
        let (Some(object), Some(node)) = (self.reach(uid, watched), self.nodes.get(uid)) else {
            return Task::Nothing;
        };
        match work {
            Work::Dependent(uid) => Task::Dependent {
                object,
                has_dependents: self.dependents_of(uid).next().is_some(),
                waiting: node
                    .owners
                    .iter()
                    .filter(|owner| self.waiting(&owner.uid).is_some())
                    .map(|owner| owner.uid.clone())
                    .collect(),
            },
            Work::Foreground(uid) if node.foreground => {
                let blocking = self
                    .dependents_of(uid)
                    .filter(|one| {
                        self.nodes.get(*one).is_some_and(|node| {
                            node.owners.iter().any(|owner| owner.uid == *uid && owner.blocks)
                        })
                    })
                    .filter_map(|one| self.reach(one, watched))
                    .collect();
                Task::Foreground { object, blocking }
            }
            Work::Orphan(uid) if node.orphan => Task::Orphan {
                object,
                dependents: self
                    .dependents_of(uid)
                    .filter_map(|one| self.reach(one, watched))
                    .collect(),
            },
            Work::Foreground(_) | Work::Orphan(_) => Task::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(owners: &[(&str, bool)], foreground: bool) -> Node {
        Node {
            resource: 0,
            namespace: None,
            name: "x".to_owned(),
            owners: owners
                .iter()
                .map(|(uid, blocks)| Owner { uid: (*uid).to_owned(), blocks: *blocks })
                .collect(),
            foreground,
            orphan: false,
        }
    }

    #[test]
    fn dependents_are_looked_at_when_their_owner_goes() {
        let mut graph = Graph::default();
        assert_eq!(graph.set("owner".into(), node(&[], false)), []);
        let work = graph.set("child".into(), node(&[("owner", true)], false));
        assert_eq!(work, [Work::Dependent("child".into())]);
        assert_eq!(graph.set("child".into(), node(&[("owner", true)], false)), []);
        assert_eq!(graph.remove("owner"), [Work::Dependent("child".into())]);
        assert_eq!(graph.remove("child"), []);
        assert!(graph.dependents.is_empty());
    }

    #[test]
    fn an_owner_in_the_foreground_is_looked_at_with_every_dependent_that_goes() {
        let mut graph = Graph::default();
        graph.set("owner".into(), node(&[], false));
        graph.set("a".into(), node(&[("owner", true)], false));
        graph.set("b".into(), node(&[("owner", false)], false));
        let work = graph.set("owner".into(), node(&[], true));
        assert_eq!(
            work,
            [
                Work::Foreground("owner".into()),
                Work::Dependent("a".into()),
                Work::Dependent("b".into())
            ]
        );
        assert_eq!(graph.remove("a"), [Work::Foreground("owner".into())]);
        let work = graph.set("b".into(), node(&[], false));
        assert_eq!(work, [Work::Foreground("owner".into())]);
    }

    #[test]
    fn what_a_new_beginning_leaves_out_is_gone() {
        let mut graph = Graph::default();
        graph.set("owner".into(), node(&[], false));
        graph.set("child".into(), node(&[("owner", true)], false));
        let present = HashSet::from(["child".to_owned()]);
        assert_eq!(graph.keep_only(0, &present), [Work::Dependent("child".into())]);
    }
}
