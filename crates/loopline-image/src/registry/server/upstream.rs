//! A registry that hands on another's images, and keeps what it has handed on.

use std::sync::Arc;

use super::reply::Failure;
use crate::digest::Digest;
use crate::reference::Reference;
use crate::registry::client::Client;
use crate::registry::repository::{Named, Repository};
use crate::store::{Store, StoreError};

/// The registry behind this one.
#[derive(Debug)]
pub(super) struct Upstream {
    client: Client,
    registry: String,
}

impl Upstream {
    pub(super) fn new(client: Client, registry: String) -> Self {
        Self { client, registry }
    }

    /// Gets a manifest, unless it is asked for by digest and here already. Where the other
    /// registry cannot be reached, what is here is served.
    pub(super) async fn fetch_manifest(
        &self,
        store: &Store,
        repository: &Repository,
        name: &str,
        named: &Named,
    ) -> Result<(), Failure> {
        let known = repository.manifest(named)?.is_some();
        if known && matches!(named, Named::Digest(_)) {
            return Ok(());
        }
        let (text, tag) = match named {
            Named::Tag(tag) => (tag.clone(), Some(tag.as_str())),
            Named::Digest(digest) => (digest.to_string(), None),
        };
        match self.client.fetch_manifest(&self.reference(name)?, &text).await {
            Ok(Some(fetched)) => {
                let lease = store.lease()?;
                let put =
                    repository.put_manifest(&fetched.bytes, &fetched.media_type, tag, true, &lease);
                put?;
                Ok(())
            }
            // It is gone there; what was kept is no longer what the tag means.
            Ok(None) => {
                if let Named::Tag(_) = named {
                    repository.remove_manifest(named)?;
                }
                Ok(())
            }
            Err(_) if known => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Gets a blob, if the other registry has it.
    pub(super) async fn fetch_blob(
        &self,
        store: &Store,
        repository: &Repository,
        name: &str,
        digest: &Digest,
    ) -> Result<(), Failure> {
        let lease = Arc::new(store.lease()?);
        let reference = self.reference(name)?;
        if self.client.fetch_blob(store, &reference, digest, &lease).await? {
            repository.add_blob(digest)?;
        }
        Ok(())
    }

    fn reference(&self, name: &str) -> Result<Reference, Failure> {
        let reference = Reference::of(&self.registry, name, "latest");
        Ok(reference.map_err(StoreError::from)?)
    }
}
