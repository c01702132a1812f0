//! Keeping up with the stored definitions: what they say is served as soon as they are written.

use std::collections::BTreeMap;
use std::sync::Arc;

use loopline_schema::resource::{Subresource, Text};
use loopline_schema::{FieldError, Resource};
use loopline_store::object::Precondition;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::cleanup;
use super::custom::Custom;
use super::names::{self, Names};
use crate::Server;
use crate::object;
use crate::registry::{Definition, Entry, Storage, prefix};
use crate::selector::Filter;
use crate::status::{Result, Status};
use crate::storage::WriteError;
use crate::verbs::create::seconds;

/// How often a write of a definition's conditions that raced with another write is tried again.
const MAX_TRIES: usize = 16;

/// What is known of the stored definitions, by their names.
#[derive(Debug, Default)]
pub(crate) struct Definitions(Mutex<BTreeMap<String, Known>>);

#[derive(Debug, Default)]
struct Known {
    group: String,
    names: Names,
    /// Some name is another definition's.
    conflicted: bool,
    /// What the served entries were made from: a definition that only changed its conditions is
    /// not compiled again.
    made_from: Value,
}

/// Returns whether a resource is that of definitions.
pub(crate) fn is_definition(entry: &Entry) -> bool {
    entry.custom().is_none() && entry.resource.kind == "CustomResourceDefinition"
}

/// Keeps in mind that objects may be stored in the version that is the storage version now.
pub(crate) fn remember_storage(definition: &mut Value) {
    let versions = definition["spec"]["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let storage = versions.iter().find(|version| version["storage"] == true);
    let Some(name) = storage.map(|version| version["name"].clone()) else { return };
    let status = object::map_mut(definition, "status");
    let stored = status.entry("storedVersions").or_insert_with(|| json!([]));
    if !stored.is_array() {
        *stored = json!([]);
    }
    if let Some(stored) = stored.as_array_mut()
        && !stored.contains(&name)
    {
        stored.push(name);
    }
}

impl Server {
    /// Serves what the stored definitions say; for the start of a server.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn restore_definitions(&self) -> Result<()> {
        let entry = self.definition_entry()?;
        let stored = self.list_all(&entry, "", &Filter::default()).await?.objects;
        let mut known = self.definitions().0.lock().await;
        // Names that were given stay with whom they were given to, whatever the order now.
        for definition in &stored {
            let given = Names::read(&definition["status"]["acceptedNames"]);
            let group = definition["spec"]["group"].as_str().unwrap_or_default().to_owned();
            let one = Known { group, names: given, ..Known::default() };
            known.insert(object::name(definition).to_owned(), one);
        }
        for definition in &stored {
            self.refresh(&mut known, &entry, object::name(definition)).await?;
        }
        Ok(())
    }

    /// Follows up the write or removal of a definition.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn definition_written(&self, name: &str) -> Result<()> {
        let entry = self.definition_entry()?;
        let mut known = self.definitions().0.lock().await;
        let before = known.get(name).map(|one| one.names.clone());
        self.refresh(&mut known, &entry, name).await?;
        if known.get(name).map(|one| &one.names) != before.as_ref() {
            // Others may have waited for a name that is free now.
            let waiting: Vec<String> = known
                .iter()
                .filter(|(other, one)| one.conflicted && *other != name)
                .map(|(other, _)| other.clone())
                .collect();
            for other in waiting {
                self.refresh(&mut known, &entry, &other).await?;
            }
        }
        Ok(())
    }

    fn definition_entry(&self) -> Result<Arc<Entry>> {
        self.built_in_entry("apiextensions.k8s.io", "v1", "customresourcedefinitions")
    }

    /// Brings conditions and registry up with one stored definition.
    async fn refresh(
        &self,
        known: &mut BTreeMap<String, Known>,
        entry: &Arc<Entry>,
        name: &str,
    ) -> Result<()> {
        for _ in 0..MAX_TRIES {
            let Some(live) = self.find(entry, "", name).await? else {
                if let Some(gone) = known.remove(name)
                    && let Some((plural, _)) = name.split_once('.')
                {
                    self.update_registry(|registry| registry.remove(&gone.group, plural));
                }
                return Ok(());
            };
            let definition = live.object;
            let group = definition["spec"]["group"].as_str().unwrap_or_default().to_owned();
            let asked = Names::read(&definition["spec"]["names"]);
            let had = Names::read(&definition["status"]["acceptedNames"]);
            let built_in = self.built_in_names(&group);
            let others = known
                .iter()
                .filter(|(other, one)| *other != name && one.group == group)
                .map(|(_, one)| &one.names)
                .chain(&built_in);
            let (names, conflict) = names::accept(&asked, &had, others);
            let made = entries(&definition, &names);
            let broken = made.as_ref().err().and_then(|errors| errors.first());
            let broken = broken.map(ToString::to_string);
            let now = seconds(self.clock().now());
            let conflict = conflict.as_ref();
            let status =
                names::status(&definition["status"], &names, conflict, broken.as_deref(), &now);
            let established =
                names::condition(&status, "Established").is_some_and(|one| one["status"] == "True");
            let made = made.ok().filter(|_| established).unwrap_or_default();
            let deleting = object::is_deleting(&definition);
            let made_from = json!([definition["spec"], names.to_value(), deleting, established]);
            let new = known.get(name).is_none_or(|one| one.made_from != made_from);
            // Before the condition says so: whoever waits for that may ask at once.
            if new {
                self.update_registry(|registry| {
                    registry.remove(&group, &asked.plural);
                    for entry in made {
                        registry.insert(Arc::new(entry));
                    }
                });
            }
            if status != definition["status"] {
                let mut changed = definition.clone();
                changed["status"] = status.clone();
                let at = Precondition::Revision(live.revision);
                match self.write(entry, "", name, &changed, at).await {
                    Ok(_) => {}
                    Err(WriteError::Raced) => continue,
                    Err(WriteError::Refused(status)) => return Err(status),
                }
            }
            let one = Known { group, names, conflicted: conflict.is_some(), made_from };
            known.insert(name.to_owned(), one);
            if deleting && new {
                cleanup::start(self, &definition);
            }
            return Ok(());
        }
        Err(Status::modified(&entry.resource, name))
    }

    /// Returns the names that the built-in kinds of a group have.
    fn built_in_names(&self, group: &str) -> Vec<Names> {
        loopline_schema::resources()
            .iter()
            .filter(|resource| resource.group == group)
            .map(|resource| Names {
                plural: resource.plural.to_string(),
                singular: resource.singular.to_string(),
                short_names: resource.short_names.iter().map(ToString::to_string).collect(),
                kind: resource.kind.to_string(),
                list_kind: resource.list_kind.to_string(),
                categories: Vec::new(),
            })
            .collect()
    }
}

/// Makes the served versions of a definition under the names that it has.
fn entries(definition: &Value, names: &Names) -> std::result::Result<Vec<Entry>, Vec<FieldError>> {
    let spec = &definition["spec"];
    let group = spec["group"].as_str().unwrap_or_default();
    let versions = spec["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let name = |version: &Value| version["name"].as_str().unwrap_or_default().to_owned();
    let storage = versions.iter().find(|version| version["storage"] == true).map(name);
    let storage = Storage {
        group: group.to_owned(),
        version: storage.unwrap_or_default(),
        prefix: prefix(group, &names.plural),
    };
    let deleting = object::is_deleting(definition);
    let mut made = Vec::new();
    for (index, version) in versions.iter().enumerate() {
        if version["served"] != true {
            continue;
        }
        let path = format!("spec.versions[{index}]");
        let custom = Custom::compile(group, &names.kind, version, &path)?;
        made.push(Entry {
            resource: resource(spec, version, names, &storage, deleting),
            storage: storage.clone(),
            definition: Definition::Custom(Arc::new(custom)),
        });
    }
    Ok(made)
}

fn resource(
    spec: &Value,
    version: &Value,
    names: &Names,
    storage: &Storage,
    deleting: bool,
) -> Resource {
    let owned = |text: &str| Text::Owned(text.to_owned());
    let group = owned(&storage.group);
    let version_name = owned(version["name"].as_str().unwrap_or_default());
    let verbs: &[&str] = if deleting {
        // Nothing new comes while the old goes, which whoever holds it lets by an update.
        &["delete", "deletecollection", "get", "list", "patch", "update", "watch"]
    } else {
        &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
    };
    let part = |name: &'static str, group: Text, version: Text, kind: Text| Subresource {
        name: Text::Borrowed(name),
        group,
        version,
        kind,
        verbs: ["get", "patch", "update"].into_iter().map(Text::Borrowed).collect(),
    };
    let mut subresources = Vec::new();
    let has = |name: &str| version["subresources"].get(name).is_some_and(Value::is_object);
    if has("scale") {
        subresources.push(part("scale", "autoscaling".into(), "v1".into(), "Scale".into()));
    }
    if has("status") {
        subresources.push(part("status", group.clone(), version_name.clone(), owned(&names.kind)));
    }
    let selectable = version["selectableFields"].as_array().into_iter().flatten();
    Resource {
        group: group.clone(),
        version: version_name,
        kind: owned(&names.kind),
        list_kind: owned(&names.list_kind),
        plural: owned(&names.plural),
        singular: owned(&names.singular),
        short_names: names.short_names.iter().map(|name| owned(name)).collect(),
        categories: names.categories.iter().map(|name| owned(name)).collect(),
        namespaced: spec["scope"] == "Namespaced",
        verbs: verbs.iter().copied().map(Text::Borrowed).collect(),
        subresources,
        stored: (group, owned(&storage.version)),
        selectable_fields: selectable
            .filter_map(|field| field["jsonPath"].as_str())
            .map(|path| owned(path.trim_start_matches('.')))
            .collect(),
        has_generation: true,
    }
}
