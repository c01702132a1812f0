//! OpenAPI v3 documents, one a group and version, and their index.
//!
//! A document holds the types of a group's kinds, with what `kubectl explain` shows of them, and
//! the operations that the server has, with what `kubectl apply` looks up: the media types of
//! patches and the `fieldValidation` parameter. Documents are made when asked for and hold no
//! memory afterwards; whoever serves them may keep them.

mod descriptions;
mod paths;
mod schemas;
mod swagger;

use std::sync::LazyLock;

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::Resource;

pub use swagger::{PROTOBUF_ACCEPT, PROTOBUF_TYPE, swagger, swagger_protobuf};

/// A resource of a document.
#[derive(Clone, Copy, Debug)]
pub struct Served<'a> {
    /// The resource.
    pub resource: &'a Resource,
    /// Of a custom resource its version's `openAPIV3Schema`; nothing of a built-in one.
    pub schema: Option<&'a Value>,
}

/// Returns a group and version as the paths of documents spell them: `api/v1`, `apis/apps/v1`.
pub fn path(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

/// Returns the index of documents, from the paths and the hashes of what is served.
pub fn index<'a>(documents: impl Iterator<Item = (&'a str, &'a str)>) -> Value {
    let paths: Map<String, Value> = documents
        .map(|(path, hash)| {
            let url = format!("/openapi/v3/{path}?hash={hash}");
            (path.to_owned(), json!({"serverRelativeURL": url}))
        })
        .collect();
    json!({"paths": paths})
}

/// The built-in types are the same as long as the binary is.
static BUILT_IN: LazyLock<[u8; 32]> = LazyLock::new(|| {
    let mut hasher = Sha256::new();
    hasher.update(env!("CARGO_PKG_VERSION"));
    hasher.update(crate::builtin::TEXT);
    hasher.finalize().into()
});

/// Returns the hash of the document of some resources, without making it.
pub fn hash(served: &[Served<'_>]) -> String {
    let mut hasher = Sha256::new();
    for Served { resource, schema } in served {
        hasher.update(format!("{resource:?}\0"));
        match schema {
            Some(schema) => hasher.update(schema.to_string()),
            None => hasher.update(*BUILT_IN),
        }
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02X}")).collect()
}

/// Makes the document of the resources of one group and version.
pub fn document(group: &str, version: &str, served: &[Served<'_>]) -> Value {
    let mut components = schemas::Schemas::new();
    let mut operations = Map::new();
    for served in served {
        let names = components.add_resource(*served);
        paths::add(&mut operations, *served, &names);
    }
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": format!("{}.0", crate::builtin::VERSION)},
        "paths": operations,
        "components": {
            "schemas": components.finish(),
            "securitySchemes": {"BearerToken": {
                "type": "apiKey", "name": "authorization", "in": "header",
                "description": format!("Bearer token for {}", path(group, version)),
            }},
        },
    })
}
