//! Roles and bindings in memory, ready to be asked.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use loopline_schema::label_selector;
use serde_json::Value;

use super::User;
use super::rules::Rule;

/// Roles and bindings, by name.
#[derive(Debug, Default)]
pub(super) struct Index {
    cluster_roles: BTreeMap<String, ClusterRole>,
    roles: HashMap<(String, String), Vec<Rule>>,
    cluster_bindings: BTreeMap<String, Binding>,
    bindings: HashMap<String, BTreeMap<String, Binding>>,
    /// A cluster role changed since the aggregated ones were put together.
    stale: bool,
}

#[derive(Debug)]
struct ClusterRole {
    rules: Vec<Rule>,
    labels: Value,
    /// The selectors of the roles it is made of; nothing where it is made of none.
    selectors: Option<Vec<Value>>,
}

#[derive(Debug)]
struct Binding {
    kind: String,
    role: String,
    subjects: Vec<Subject>,
}

#[derive(Debug)]
struct Subject {
    kind: String,
    name: String,
    namespace: String,
}

/// A binding that concerns a user, and the rules it gives.
pub(super) struct Grant<'a> {
    /// The rules; nothing where the role is missing.
    pub(super) rules: Option<&'a [Rule]>,
    name: &'a str,
    /// The binding's namespace; nothing for the whole cluster.
    namespace: Option<&'a str>,
    binding: &'a Binding,
    subject: &'a Subject,
}

impl Index {
    /// Takes in an object; `key` is what follows the group.
    pub(super) fn put(&mut self, key: &str, value: &[u8]) {
        // What cannot be read gives nobody any right.
        let Ok(object) = serde_json::from_slice::<Value>(value) else { return self.remove(key) };
        match parts(key).as_slice() {
            ["clusterroles", name] => {
                self.stale = true;
                let selectors = object["aggregationRule"]["clusterRoleSelectors"].as_array();
                let role = ClusterRole {
                    rules: Rule::parse_all(&object["rules"]),
                    labels: object["metadata"]["labels"].clone(),
                    selectors: selectors.cloned(),
                };
                self.cluster_roles.insert((*name).to_owned(), role);
            }
            ["roles", namespace, name] => {
                let key = ((*namespace).to_owned(), (*name).to_owned());
                self.roles.insert(key, Rule::parse_all(&object["rules"]));
            }
            ["clusterrolebindings", name] => {
                self.cluster_bindings.insert((*name).to_owned(), Binding::parse(&object));
            }
            ["rolebindings", namespace, name] => {
                let bindings = self.bindings.entry((*namespace).to_owned()).or_default();
                bindings.insert((*name).to_owned(), Binding::parse(&object));
            }
            _ => {}
        }
    }

    /// Forgets an object.
    pub(super) fn remove(&mut self, key: &str) {
        match parts(key).as_slice() {
            ["clusterroles", name] => {
                self.stale = true;
                self.cluster_roles.remove(*name);
            }
            ["roles", namespace, name] => {
                self.roles.remove(&((*namespace).to_owned(), (*name).to_owned()));
            }
            ["clusterrolebindings", name] => {
                self.cluster_bindings.remove(*name);
            }
            ["rolebindings", namespace, name] => {
                if let Some(bindings) = self.bindings.get_mut(*namespace) {
                    bindings.remove(*name);
                    if bindings.is_empty() {
                        self.bindings.remove(*namespace);
                    }
                }
            }
            _ => {}
        }
    }

    /// Puts the aggregated roles together again, where a cluster role changed.
    pub(super) fn aggregate(&mut self) {
        if !std::mem::take(&mut self.stale) {
            return;
        }
        let aggregated: Vec<(String, Vec<Rule>)> = self
            .cluster_roles
            .iter()
            .filter(|(_, role)| role.selectors.is_some())
            .map(|(name, _)| {
                let mut rules = Vec::new();
                self.collect(name, &mut BTreeSet::new(), &mut rules);
                (name.clone(), rules)
            })
            .collect();
        for (name, rules) in aggregated {
            if let Some(role) = self.cluster_roles.get_mut(&name) {
                role.rules = rules;
            }
        }
    }

    /// Collects the rules of the roles that a role is made of, each role once.
    fn collect<'a>(&'a self, name: &'a str, seen: &mut BTreeSet<&'a str>, rules: &mut Vec<Rule>) {
        if !seen.insert(name) {
            return;
        }
        let Some(role) = self.cluster_roles.get(name) else { return };
        let Some(selectors) = &role.selectors else {
            for rule in &role.rules {
                if !rules.contains(rule) {
                    rules.push(rule.clone());
                }
            }
            return;
        };
        for selector in selectors.iter().filter_map(label_selector::parse) {
            for (other, _) in self
                .cluster_roles
                .iter()
                .filter(|(_, role)| label_selector::matches(&selector, &role.labels))
            {
                self.collect(other, seen, rules);
            }
        }
    }

    /// Returns the rules of a role, put together from others where it is made of others.
    pub(super) fn rules(&self, kind: &str, namespace: &str, name: &str) -> Option<&[Rule]> {
        match kind {
            "ClusterRole" => self.cluster_roles.get(name).map(|role| &*role.rules),
            "Role" => {
                self.roles.get(&(namespace.to_owned(), name.to_owned())).map(|rules| &**rules)
            }
            _ => None,
        }
    }

    /// Returns the bindings that concern a user: those of the cluster, then the namespace's.
    pub(super) fn grants<'a>(
        &'a self,
        user: &'a User,
        namespace: &'a str,
    ) -> impl Iterator<Item = Grant<'a>> {
        let cluster = self.cluster_bindings.iter().filter_map(move |(name, binding)| {
            let subject = binding.subjects.iter().find(|one| one.is(user, ""))?;
            Some(Grant {
                rules: self.rules(&binding.kind, "", &binding.role),
                name,
                namespace: None,
                binding,
                subject,
            })
        });
        let of_namespace = self.bindings.get(namespace).into_iter().flatten();
        cluster.chain(of_namespace.filter_map(move |(name, binding)| {
            let subject = binding.subjects.iter().find(|one| one.is(user, namespace))?;
            Some(Grant {
                rules: self.rules(&binding.kind, namespace, &binding.role),
                name,
                namespace: Some(namespace),
                binding,
                subject,
            })
        }))
    }
}

impl Binding {
    fn parse(object: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
        let subjects = object["subjects"].as_array().into_iter().flatten();
        Self {
            kind: text(&object["roleRef"]["kind"]),
            role: text(&object["roleRef"]["name"]),
            subjects: subjects
                .map(|subject| Subject {
                    kind: text(&subject["kind"]),
                    name: text(&subject["name"]),
                    namespace: text(&subject["namespace"]),
                })
                .collect(),
        }
    }
}

impl Subject {
    /// Returns whether the subject is the user, or a group of theirs.
    fn is(&self, user: &User, namespace: &str) -> bool {
        match &*self.kind {
            "User" => self.name == user.name,
            "Group" => user.is_in(&self.name),
            "ServiceAccount" => {
                let namespace = if self.namespace.is_empty() { namespace } else { &self.namespace };
                !namespace.is_empty()
                    && user
                        .name
                        .strip_prefix("system:serviceaccount:")
                        .and_then(|rest| rest.split_once(':'))
                        .is_some_and(|(space, name)| space == namespace && name == self.name)
            }
            _ => false,
        }
    }
}

impl Grant<'_> {
    /// Says which binding it is.
    pub(super) fn describe(&self) -> String {
        let subject = &self.subject;
        let subject = if subject.kind == "ServiceAccount" {
            format!("{} \"{}/{}\"", subject.kind, subject.name, subject.namespace)
        } else {
            format!("{} {:?}", subject.kind, subject.name)
        };
        let binding = match self.namespace {
            None => format!("ClusterRoleBinding {:?}", self.name),
            Some(namespace) => format!("RoleBinding \"{}/{namespace}\"", self.name),
        };
        format!("{binding} of {} {:?} to {subject}", self.binding.kind, self.binding.role)
    }

    /// Says that the role is missing.
    pub(super) fn missing(&self) -> String {
        format!(
            "{}.rbac.authorization.k8s.io {:?} not found",
            self.binding.kind.to_lowercase(),
            self.binding.role
        )
    }
}

fn parts(key: &str) -> Vec<&str> {
    key.split('/').collect()
}
