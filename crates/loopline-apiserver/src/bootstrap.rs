//! What a cluster has before anybody asks: the first namespaces, the service of the API itself,
//! the priority classes of the system, and the state that is rebuilt from the store.

use std::sync::Arc;

use futures_util::future::try_join_all;
use serde_json::{Value, json};

use crate::Server;
use crate::allocate::API_ADDRESS;
use crate::auth::User;
use crate::call::Call;
use crate::registry::Entry;
use crate::request::{Accept, Query, ResourcePath};
use crate::selector::Filter;
use crate::status::{Result, Status};
use crate::verbs::create::Managing;

/// The namespaces that every cluster has.
const NAMESPACES: &[&str] = &["default", "kube-node-lease", "kube-public", "kube-system"];

/// The service account that every namespace has.
pub(crate) const DEFAULT_ACCOUNT: &str = "default";

/// The port at which the API is reached inside a cluster's network.
const API_TARGET_PORT: u16 = 6443;

impl Server {
    /// Rebuilds what is kept in memory from the store, and makes what every cluster has. Runs
    /// once, before the first request for a resource is answered; later calls return at once.
    ///
    /// # Errors
    /// The store's; a failed run is tried again by the next call.
    pub async fn prepare(&self) -> Result<()> {
        self.prepared().get_or_try_init(|| self.bootstrap()).await.copied()
    }

    async fn bootstrap(&self) -> Result<()> {
        let services = self.built_in_entry("", "v1", "services")?;
        for service in self.list_all(&services, "", &Filter::default()).await?.objects {
            self.allocator().learn(&service);
        }
        self.restore_definitions().await?;
        self.learn_quotas().await?;
        let namespaces = self.built_in_entry("", "v1", "namespaces")?;
        // Together, because one after the other each would wait for the disk.
        try_join_all(NAMESPACES.iter().map(|name| {
            let object = json!({"metadata": {"name": name}});
            self.make_if_absent(&namespaces, "", name, object)
        }))
        .await?;
        for namespace in self.list_all(&namespaces, "", &Filter::default()).await?.objects {
            self.complete_namespace(&namespace).await?;
        }
        let classes = self.built_in_entry("scheduling.k8s.io", "v1", "priorityclasses")?;
        for (name, value, description) in [
            (
                "system-cluster-critical",
                2_000_000_000_i64,
                "Used for system critical pods that must run in the cluster, but can be moved to \
                 another node if necessary.",
            ),
            (
                "system-node-critical",
                2_000_001_000,
                "Used for system critical pods that must not be moved from their current node.",
            ),
        ] {
            let object = json!({
                "metadata": {"name": name},
                "value": value,
                "description": description,
            });
            self.make_if_absent(&classes, "", name, object).await?;
        }
        let kubernetes = json!({
            "metadata": {
                "name": "kubernetes",
                "labels": {"component": "apiserver", "provider": "kubernetes"},
            },
            "spec": {
                "type": "ClusterIP",
                "clusterIP": API_ADDRESS.to_string(),
                "ports": [{
                    "name": "https", "port": 443, "protocol": "TCP",
                    "targetPort": API_TARGET_PORT,
                }],
            },
        });
        self.make_if_absent(&services, "default", "kubernetes", kubernetes).await?;
        self.bootstrap_roles().await
    }

    /// Gives a namespace what every namespace has: its default service account.
    async fn complete_namespace(&self, namespace: &Value) -> Result<()> {
        if crate::object::is_deleting(namespace) {
            return Ok(());
        }
        let name = crate::object::name(namespace).to_owned();
        let accounts = self.built_in_entry("", "v1", "serviceaccounts")?;
        let object = json!({"metadata": {"name": DEFAULT_ACCOUNT}});
        self.make_if_absent(&accounts, &name, DEFAULT_ACCOUNT, object).await
    }

    /// Follows up the creation of an object with what has to be there with it.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn made(&self, entry: &Entry, object: &Value) -> Result<()> {
        if crate::crd::is_definition(entry) {
            return self.definition_written(crate::object::name(object)).await;
        }
        let namespace = entry.custom().is_none()
            && entry.resource.group.is_empty()
            && entry.resource.kind == "Namespace";
        if namespace {
            // The future is boxed: making the account is a creation, too.
            return Box::pin(self.complete_namespace(object)).await;
        }
        Ok(())
    }

    /// Returns a built-in resource.
    ///
    /// # Errors
    /// 500 where it is not served, which no built-in one is.
    pub(crate) fn built_in_entry(
        &self,
        group: &str,
        version: &str,
        plural: &str,
    ) -> Result<Arc<Entry>> {
        self.registry()
            .get(group, version, plural)
            .ok_or_else(|| Status::internal(format_args!("{plural} of {group:?} are not served")))
    }

    async fn make_if_absent(
        &self,
        entry: &Arc<Entry>,
        namespace: &str,
        name: &str,
        mut object: Value,
    ) -> Result<()> {
        if self.find(entry, namespace, name).await?.is_some() {
            return Ok(());
        }
        crate::object::set_type(&mut object, &entry.api_version(), &entry.resource.kind);
        let mut call = self.own_call("apiserver", entry, namespace);
        let managing = Managing::Update("kube-apiserver".to_owned());
        match call.create_object(object, &managing).await {
            Ok(_) => Ok(()),
            Err(status) if status.reason == "AlreadyExists" => Ok(()),
            Err(status) => Err(status),
        }
    }

    /// Returns a call that the server makes on its own account.
    pub(crate) fn own_call(&self, part: &str, entry: &Arc<Entry>, namespace: &str) -> Call {
        Call {
            server: self.clone(),
            verb: "create",
            entry: Arc::clone(entry),
            path: ResourcePath {
                group: entry.resource.group.to_string(),
                version: entry.resource.version.to_string(),
                namespace: Some(namespace.to_owned()).filter(|name| !name.is_empty()),
                resource: entry.resource.plural.to_string(),
                ..ResourcePath::default()
            },
            query: Query::default(),
            user: Arc::new(User::system(part)),
            accept: Accept::parse(None),
            user_agent: "kube-apiserver".to_owned(),
            warnings: Vec::new(),
        }
    }
}
