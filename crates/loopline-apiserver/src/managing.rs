//! Who manages which field: the bridge to `loopline-merge`'s bookkeeping.

use std::borrow::Cow;
use std::sync::Arc;

use loopline_clock::Timestamp;
use loopline_merge::managed::{self, FieldManager};
use loopline_merge::path::PathSet;
use loopline_merge::structured::{ConversionError, Versions};
use loopline_schema::TypeRef;
use serde_json::{Value, json};

use crate::Server;
use crate::registry::{Definition, Entry, Registry};
use crate::verbs::create::Managing;

/// The versions of a kind, as the registry has them.
pub(crate) struct KindVersions<'a> {
    entry: &'a Entry,
    /// The other versions, for objects whose fields are owned in them.
    others: Vec<Arc<Entry>>,
}

impl<'a> KindVersions<'a> {
    pub(crate) fn new(server: &Server, entry: &'a Entry) -> Self {
        Self::of(&server.registry(), entry)
    }

    fn of(registry: &Registry, entry: &'a Entry) -> Self {
        let others = registry.group(&entry.resource.group).map_or_else(Vec::new, |group| {
            group
                .versions
                .iter()
                .filter(|(version, _)| *version != entry.resource.version)
                .flat_map(|(_, entries)| entries)
                .filter(|other| other.resource.kind == entry.resource.kind)
                .cloned()
                .collect()
        });
        Self { entry, others }
    }
}

impl<'a> Versions for &'a KindVersions<'a> {
    type Type = TypeRef<'a>;

    fn type_of(&self, version: &str) -> Option<TypeRef<'a>> {
        if self.entry.api_version() == version {
            return Some(self.entry.type_of());
        }
        self.others.iter().find(|other| other.api_version() == version).map(|other| other.type_of())
    }

    fn convert<'v>(
        &self,
        object: &'v Value,
        from: &str,
        to: &str,
    ) -> Result<Cow<'v, Value>, ConversionError> {
        if from == to {
            return Ok(Cow::Borrowed(object));
        }
        if self.type_of(to).is_none() {
            return Err(ConversionError::Missing(to.to_owned()));
        }
        let mut converted = object.clone();
        match &self.entry.definition {
            Definition::BuiltIn => {
                loopline_schema::convert(&mut converted, to).map_err(|error| {
                    ConversionError::Failed { version: to.to_owned(), reason: error.to_string() }
                })?;
            }
            // Owners are told apart by field paths; the versions of a definition without a
            // converter have the same.
            Definition::Custom(_) => converted["apiVersion"] = json!(to),
        }
        Ok(Cow::Owned(converted))
    }
}

/// Returns the fields that an endpoint resets, so that nobody owns them through it.
pub(crate) fn resets(entry: &Entry, subresource: &str) -> PathSet {
    match subresource {
        "" if entry.has_status() => PathSet::of_fields(&[&["status"]]),
        "status" => {
            let mut set = PathSet::new();
            for (name, _) in entry.type_of().fields() {
                if !matches!(name, "status" | "apiVersion" | "kind" | "metadata") {
                    set = set.union(&PathSet::of_fields(&[&[name]]));
                }
            }
            if entry.custom().is_some() {
                set = set.union(&PathSet::of_fields(&[&["metadata"]]));
            }
            set
        }
        _ => PathSet::new(),
    }
}

impl Managing {
    /// Records in the object who manages what, after everything that changes it has run.
    pub(crate) fn manage(
        &self,
        registry: &Registry,
        entry: &Entry,
        subresource: &str,
        live: &Value,
        object: &mut Value,
        now: Timestamp,
    ) {
        if let Self::Update(manager) = self {
            let versions = KindVersions::of(registry, entry);
            let reset = resets(entry, subresource);
            let manager_of = FieldManager {
                versions: &&versions,
                version: &entry.api_version(),
                subresource,
                reset: &reset,
            };
            let empty;
            let live = if live.is_null() {
                empty = json!({"apiVersion": entry.api_version(), "kind": entry.resource.kind});
                &empty
            } else {
                live
            };
            *object = manager_of.update(live, std::mem::take(object), manager, now);
        }
        managed::keep_times(live, object);
    }
}
