//! `NamespaceLifecycle`: nothing is made in namespaces that are not there or are being deleted,
//! and the namespaces of the system stay.

use std::sync::Arc;

use serde_json::Value;

use super::{Attributes, Operation};
use crate::Server;
use crate::status::{Result, Status};

/// Namespaces that cannot be deleted.
const IMMORTAL: &[&str] = &["default", "kube-system", "kube-public"];

/// Refuses what may not happen to namespaces and in them.
pub(crate) async fn check(server: &Server, attributes: &mut Attributes) -> Result<()> {
    let deletes = attributes.operation == Operation::Delete;
    if attributes.is_kind("", "Namespace") {
        if deletes && IMMORTAL.contains(&&*attributes.name) {
            return Err(attributes.forbidden("this namespace may not be deleted"));
        }
        return Ok(());
    }
    // Contents go before their namespace does.
    if deletes || attributes.namespace.is_empty() {
        return Ok(());
    }
    let namespace = server.namespace(&attributes.namespace).await?;
    if attributes.operation == Operation::Create && namespace["status"]["phase"] == "Terminating" {
        let name = &attributes.namespace;
        return Err(attributes
            .forbidden(format_args!(
                "unable to create new content in namespace {name} because it is being terminated"
            ))
            .because(
                "NamespaceTerminating",
                format!("namespace {name} is being terminated"),
                "metadata.namespace",
            ));
    }
    Ok(())
}

impl Server {
    /// Returns a namespace.
    ///
    /// # Errors
    /// 404 where there is none.
    pub(crate) async fn namespace(&self, name: &str) -> Result<Arc<Value>> {
        let entry = self.built_in_entry("", "v1", "namespaces")?;
        let found = self.followed_namespaces().find(self, &entry, "", name).await?;
        found.ok_or_else(|| Status::not_found(&entry.resource, name))
    }
}
