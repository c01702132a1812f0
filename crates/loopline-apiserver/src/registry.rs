//! Which resources are served: the built-in ones, and those that definitions add at run time.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use loopline_schema::resource::compare_versions;
use loopline_schema::{Resource, Subresource, TypeRef};

use crate::crd::Custom;
use crate::object;

/// A resource in one of its versions.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What clients know of it.
    pub resource: Resource,
    /// The version (and group) in which it is stored.
    pub storage: Storage,
    /// Where its type comes from.
    pub definition: Definition,
}

/// How objects of a resource are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// The group under which it is stored; another one than the resource's for resources that
    /// are served twice (events).
    pub group: String,
    /// The version in which it is stored.
    pub version: String,
    /// What its keys begin with: `apps/deployments/`.
    pub prefix: String,
}

/// Where a type comes from.
#[derive(Clone, Debug)]
pub enum Definition {
    /// It is built in.
    BuiltIn,
    /// A `CustomResourceDefinition` defines it.
    Custom(Arc<Custom>),
}

impl Entry {
    /// Returns the type of the objects, if there is one.
    pub fn type_of(&self) -> TypeRef<'_> {
        match &self.definition {
            Definition::BuiltIn => loopline_schema::builtin(
                &self.resource.group,
                &self.resource.version,
                &self.resource.kind,
            )
            .unwrap_or_else(TypeRef::any),
            Definition::Custom(custom) => custom.schema.root(),
        }
    }

    /// Returns the definition of a custom resource.
    pub fn custom(&self) -> Option<&Custom> {
        match &self.definition {
            Definition::BuiltIn => None,
            Definition::Custom(custom) => Some(custom),
        }
    }

    /// Returns `apps/v1`.
    pub fn api_version(&self) -> String {
        object::api_version(&self.resource.group, &self.resource.version)
    }

    /// Returns whether the status is written through an endpoint of its own.
    pub fn has_status(&self) -> bool {
        self.resource.has_status()
    }

    /// Returns a subresource.
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.resource.subresource(name)
    }

    /// Returns whether a verb is served.
    pub fn serves(&self, verb: &str) -> bool {
        self.resource.verbs.iter().any(|one| *one == verb)
    }

    /// Returns the key of an object.
    pub fn key(&self, namespace: &str, name: &str) -> String {
        format!("{}{name}", self.prefix(namespace))
    }

    /// Returns what the keys of a namespace's objects begin with; of all for no namespace.
    pub fn prefix(&self, namespace: &str) -> String {
        if self.resource.namespaced && !namespace.is_empty() {
            format!("{}{namespace}/", self.storage.prefix)
        } else {
            self.storage.prefix.clone()
        }
    }

    /// Returns whether objects are stored in another form than this version's.
    pub fn converts(&self) -> bool {
        self.storage.group != self.resource.group || self.storage.version != self.resource.version
    }
}

/// All resources that are served. A change makes a new registry; readers keep the one they have.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    entries: HashMap<(String, String, String), Arc<Entry>>,
    groups: BTreeMap<String, Group>,
    /// Changes with every change of the registry; clients' caches hang on it.
    pub generation: u64,
}

/// A group's versions, the preferred one first.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// The versions with their resources, in the order of their names.
    pub versions: Vec<(String, Vec<Arc<Entry>>)>,
}

impl Registry {
    /// Returns the built-in resources.
    pub fn built_in() -> Self {
        let mut registry = Self::default();
        for resource in loopline_schema::resources() {
            registry.insert(Arc::new(Entry {
                storage: storage_of(resource),
                resource: resource.clone(),
                definition: Definition::BuiltIn,
            }));
        }
        registry
    }

    /// Adds a resource, in the place of one of the same group, version and name.
    pub fn insert(&mut self, entry: Arc<Entry>) {
        let resource = &entry.resource;
        let key =
            (resource.group.to_string(), resource.version.to_string(), resource.plural.to_string());
        let group = self.groups.entry(key.0.clone()).or_default();
        if !group.versions.iter().any(|(version, _)| *version == key.1) {
            group.versions.push((key.1.clone(), Vec::new()));
            group.versions.sort_by(|(a, _), (b, _)| compare_versions(a, b));
        }
        if let Some((_, resources)) = group.versions.iter_mut().find(|(name, _)| *name == key.1) {
            resources.retain(|other| other.resource.plural != resource.plural);
            let at = resources.partition_point(|other| other.resource.plural < resource.plural);
            resources.insert(at, Arc::clone(&entry));
        }
        self.entries.insert(key, entry);
        self.generation += 1;
    }

    /// Removes all versions of a custom resource.
    pub fn remove(&mut self, group: &str, plural: &str) {
        self.entries.retain(|(of_group, _, of_plural), _| of_group != group || of_plural != plural);
        if let Some(versions) = self.groups.get_mut(group) {
            for (_, resources) in &mut versions.versions {
                resources.retain(|entry| entry.resource.plural != plural);
            }
            versions.versions.retain(|(_, resources)| !resources.is_empty());
            if versions.versions.is_empty() {
                self.groups.remove(group);
            }
        }
        self.generation += 1;
    }

    /// Returns a resource.
    pub fn get(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Entry>> {
        self.entries.get(&(group.to_owned(), version.to_owned(), plural.to_owned())).cloned()
    }

    /// Returns the resource of a kind.
    pub fn of_kind(&self, group: &str, version: &str, kind: &str) -> Option<Arc<Entry>> {
        let (_, resources) =
            self.groups.get(group)?.versions.iter().find(|(name, _)| name == version)?;
        resources.iter().find(|entry| entry.resource.kind == kind).cloned()
    }

    /// Returns a resource in the version that its group prefers.
    pub fn preferred(&self, group: &str, plural: &str) -> Option<Arc<Entry>> {
        self.groups.get(group)?.versions.iter().find_map(|(_, resources)| {
            resources.iter().find(|entry| entry.resource.plural == plural).cloned()
        })
    }

    /// Returns all groups, in the order of their names.
    pub fn groups(&self) -> impl Iterator<Item = (&str, &Group)> {
        self.groups.iter().map(|(name, group)| (&**name, group))
    }

    /// Returns one group.
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups.get(name)
    }

    /// Returns every stored resource once, in its stored version where that is served.
    pub fn stored(&self) -> Vec<Arc<Entry>> {
        let mut by_prefix: BTreeMap<&str, &Arc<Entry>> = BTreeMap::new();
        for entry in self.entries.values().filter(|entry| entry.serves("list")) {
            let slot = by_prefix.entry(&entry.storage.prefix).or_insert(entry);
            if !entry.converts() {
                *slot = entry;
            }
        }
        by_prefix.into_values().cloned().collect()
    }
}

fn storage_of(resource: &Resource) -> Storage {
    let (group, version) = &resource.stored;
    Storage {
        group: group.to_string(),
        version: version.to_string(),
        prefix: prefix(group, &resource.plural),
    }
}

/// Returns what the keys of a resource begin with.
pub fn prefix(group: &str, plural: &str) -> String {
    let group = if group.is_empty() { "core" } else { group };
    format!("{group}/{plural}/")
}
