//! Which resources there are, as controllers that concern all of them need to know.

use kube::Client;
use kube::discovery::{ApiCapabilities, ApiResource, Discovery, Scope, verbs};

/// A resource whose objects can be listed, watched and deleted.
#[derive(Clone, Debug)]
pub(crate) struct Deletable {
    pub(crate) resource: ApiResource,
    pub(crate) namespaced: bool,
}

/// Returns every resource whose objects can be listed, watched and deleted, once, in the version
/// that its group prefers. Events are left out: they own nothing and are owned by nothing.
///
/// # Errors
/// Where discovery fails.
pub(crate) async fn deletable(client: &Client) -> kube::Result<Vec<Deletable>> {
    let discovery = Discovery::new(client.clone()).run_aggregated().await?;
    let mut found = Vec::new();
    for group in discovery.groups() {
        for (resource, capabilities) in group.recommended_resources() {
            if is_deletable(&capabilities) && resource.kind != "Event" {
                let namespaced = capabilities.scope == Scope::Namespaced;
                found.push(Deletable { resource, namespaced });
            }
        }
    }
    Ok(found)
}

fn is_deletable(capabilities: &ApiCapabilities) -> bool {
    [verbs::LIST, verbs::WATCH, verbs::DELETE]
        .iter()
        .all(|verb| capabilities.supports_operation(verb))
}
