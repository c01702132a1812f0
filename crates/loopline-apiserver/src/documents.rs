//! OpenAPI documents, made when they are asked for and kept while what they describe is the same.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use loopline_schema::openapi::{self, Served};

use crate::registry::{Entry, Registry};
use std::sync::Arc;

/// The documents of all groups and versions.
#[derive(Debug, Default)]
pub(crate) struct Documents(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The generation of the registry that the hashes are of.
    generation: u64,
    hashes: HashMap<(String, String), String>,
    /// The texts, under their hashes.
    texts: HashMap<(String, String), (String, Bytes)>,
}

impl Documents {
    /// Returns the hash under which clients keep the document of a group and version.
    pub(crate) fn hash(&self, registry: &Registry, group: &str, version: &str) -> String {
        let mut state = self.lock();
        if state.generation != registry.generation {
            state.generation = registry.generation;
            state.hashes.clear();
        }
        let key = (group.to_owned(), version.to_owned());
        if let Some(hash) = state.hashes.get(&key) {
            return hash.clone();
        }
        let hash = openapi::hash(&served(&entries(registry, group, version)));
        state.hashes.insert(key, hash.clone());
        hash
    }

    /// Returns the document of a group and version.
    pub(crate) fn text(&self, registry: &Registry, group: &str, version: &str) -> Bytes {
        let hash = self.hash(registry, group, version);
        let key = (group.to_owned(), version.to_owned());
        if let Some((of, text)) = self.lock().texts.get(&key)
            && *of == hash
        {
            return text.clone();
        }
        let document =
            openapi::document(group, version, &served(&entries(registry, group, version)));
        let text = Bytes::from(crate::http::reply::json_bytes(&document));
        self.lock().texts.insert(key, (hash, text.clone()));
        text
    }

    /// Returns the OpenAPI v2 document of everything that is served. It is asked for rarely, and
    /// is not kept.
    pub(crate) fn swagger(registry: &Registry) -> serde_json::Value {
        let mut documents = Vec::new();
        for (group, of_group) in registry.groups() {
            for (version, entries) in &of_group.versions {
                documents.push(openapi::document(group, version, &served(entries)));
            }
        }
        openapi::swagger(documents.iter())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn entries(registry: &Registry, group: &str, version: &str) -> Vec<Arc<Entry>> {
    registry
        .group(group)
        .and_then(|group| group.versions.iter().find(|(name, _)| name == version))
        .map(|(_, entries)| entries.clone())
        .unwrap_or_default()
}

fn served(entries: &[Arc<Entry>]) -> Vec<Served<'_>> {
    entries
        .iter()
        .map(|entry| Served {
            resource: &entry.resource,
            schema: entry.custom().map(|custom| &custom.openapi),
        })
        .collect()
}
