//! The server: its parts, and what they share.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use loopline_clock::Clock;
use loopline_store::object::{ObjectStore, SqliteStore, StoreError};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::admission::cache::Cache;
use crate::admission::expression::{Compiled, Expressions};
use crate::admission::followed::Followed;
use crate::admission::quota::Quotas;
use crate::admission::validator::Validator;
use crate::admission::{Admission, Attributes};
use crate::allocate::Allocator;
use crate::auth::{AllowAll, AuditLog, Authentication, Authorizer};
use crate::crd::Definitions;
use crate::metrics::Metrics;
use crate::registry::Registry;
use crate::status::Result;
use crate::storage::{Open, SharedStore, Vault};
use crate::stream::{Node, Places};

/// What a server is made of.
pub struct Options {
    /// Where objects are kept.
    pub store: SharedStore,
    /// Time, identifiers and randomness.
    pub clock: Clock,
    /// What keeps secrets unreadable at rest.
    pub vault: Box<dyn Vault>,
    /// How requests of the network say who they come from.
    pub authentication: Authentication,
    /// Who decides who may do what.
    pub authorizer: Arc<dyn Authorizer>,
    /// Where it is written down who asked for what.
    pub audit: Option<AuditLog>,
    /// The steps of admission, in their order.
    pub admission: Vec<Box<dyn Admission>>,
    /// What decides about writes in this process, beside admission's own steps.
    pub validators: Vec<Box<dyn Validator>>,
    /// Who runs pods, where somebody does.
    pub node: Option<Arc<dyn Node>>,
    /// What evaluates the expressions of admission policies; nothing refuses such policies.
    pub expressions: Option<Box<dyn Expressions>>,
    /// Who knows what nodes and pods use, where somebody does.
    pub metrics: Option<Arc<dyn Metrics>>,
}

impl Options {
    /// Returns a server's parts for one process and its tests: an empty store that is forgotten,
    /// everything allowed.
    ///
    /// # Errors
    /// Where no temporary folder can be made.
    pub fn ephemeral() -> std::result::Result<Self, StoreError> {
        Ok(Self::over(Arc::new(SqliteStore::ephemeral()?)))
    }

    /// Returns a server's parts over a store: nothing sealed, everything allowed, until the
    /// caller says otherwise.
    pub fn over(store: SharedStore) -> Self {
        Self {
            store,
            clock: Clock::real(),
            vault: Box::new(Open),
            authentication: Authentication::open(),
            authorizer: Arc::new(AllowAll),
            audit: None,
            admission: crate::builtin::admission(),
            validators: Vec::new(),
            node: None,
            expressions: Some(Box::new(crate::admission::cel::Cel)),
            metrics: None,
        }
    }
}

/// A Kubernetes-compatible API server; cheap to clone.
#[derive(Clone)]
pub struct Server(Arc<Inner>);

struct Inner {
    store: SharedStore,
    clock: Clock,
    vault: Box<dyn Vault>,
    authentication: Authentication,
    authorizer: Arc<dyn Authorizer>,
    audit: Option<AuditLog>,
    admission: Vec<Box<dyn Admission>>,
    node: Option<Arc<dyn Node>>,
    metrics: Option<Arc<dyn Metrics>>,
    streams: Places,
    registry: RwLock<Arc<Registry>>,
    documents: crate::documents::Documents,
    changes: crate::changes::Changes,
    allocator: Allocator,
    quotas: Quotas,
    configuration: Cache,
    namespaces: Followed,
    accounts: Followed,
    validators: Vec<Box<dyn Validator>>,
    expressions: Option<Box<dyn Expressions>>,
    compiled: Compiled,
    definitions: Definitions,
    prepared: OnceCell<()>,
    shutdown: CancellationToken,
}

impl Server {
    /// Makes a server.
    pub fn new(options: Options) -> Self {
        Self(Arc::new(Inner {
            store: options.store,
            clock: options.clock,
            vault: options.vault,
            authentication: options.authentication,
            authorizer: options.authorizer,
            audit: options.audit,
            admission: options.admission,
            node: options.node,
            metrics: options.metrics,
            streams: Places::default(),
            registry: RwLock::new(Arc::new(Registry::built_in())),
            documents: crate::documents::Documents::default(),
            changes: crate::changes::Changes::default(),
            allocator: Allocator::default(),
            quotas: Quotas::default(),
            configuration: Cache::default(),
            namespaces: Followed::default(),
            accounts: Followed::default(),
            validators: options.validators,
            expressions: options.expressions,
            compiled: Compiled::default(),
            definitions: Definitions::default(),
            prepared: OnceCell::new(),
            shutdown: CancellationToken::new(),
        }))
    }

    /// Returns the object store.
    pub fn store(&self) -> &dyn ObjectStore {
        &*self.0.store
    }

    /// Returns the clock.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Returns what encrypts objects at rest.
    pub fn vault(&self) -> &dyn Vault {
        &*self.0.vault
    }

    /// Returns how requests of the network say who they come from.
    pub fn authentication(&self) -> &Authentication {
        &self.0.authentication
    }

    /// Returns who decides who may do what.
    pub fn authorizer(&self) -> &Arc<dyn Authorizer> {
        &self.0.authorizer
    }

    /// Returns who runs pods, where somebody does.
    pub fn node(&self) -> Option<Arc<dyn Node>> {
        self.0.node.clone()
    }

    /// Returns who knows what nodes and pods use, where somebody does.
    pub fn metrics(&self) -> Option<Arc<dyn Metrics>> {
        self.0.metrics.clone()
    }

    /// Returns the places for streams.
    pub(crate) fn streams(&self) -> &Places {
        &self.0.streams
    }

    /// Returns where it is written down who asked for what.
    pub(crate) fn audit(&self) -> Option<&AuditLog> {
        self.0.audit.as_ref()
    }

    /// Returns the resources that are served now.
    pub fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.0.registry.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes which resources are served.
    pub fn update_registry(&self, change: impl FnOnce(&mut Registry)) {
        let mut slot = self.0.registry.write().unwrap_or_else(PoisonError::into_inner);
        let mut registry = Registry::clone(&slot);
        change(&mut registry);
        *slot = Arc::new(registry);
    }

    /// Returns the latest changes that were watched.
    pub(crate) fn changes(&self) -> &crate::changes::Changes {
        &self.0.changes
    }

    /// Returns the OpenAPI documents of what is served.
    pub(crate) fn documents(&self) -> &crate::documents::Documents {
        &self.0.documents
    }

    /// Returns what is reserved of what there is only once.
    pub(crate) fn allocator(&self) -> &Allocator {
        &self.0.allocator
    }

    /// Returns what shapes admission, as it is kept in memory.
    pub(crate) fn configuration(&self) -> &Cache {
        &self.0.configuration
    }

    /// Returns the namespaces, as they are kept in memory.
    pub(crate) fn followed_namespaces(&self) -> &Followed {
        &self.0.namespaces
    }

    /// Returns the service accounts, as they are kept in memory.
    pub(crate) fn followed_accounts(&self) -> &Followed {
        &self.0.accounts
    }

    /// Returns what evaluates the expressions of policies, where there is something.
    pub(crate) fn expressions(&self) -> Option<&dyn Expressions> {
        self.0.expressions.as_deref()
    }

    /// Returns the expressions that were compiled.
    pub(crate) fn compiled(&self) -> &Compiled {
        &self.0.compiled
    }

    /// Returns the validators in this process.
    pub(crate) fn validators(&self) -> &[Box<dyn Validator>] {
        &self.0.validators
    }

    /// Returns which namespaces have quotas.
    pub(crate) fn quotas(&self) -> &Quotas {
        &self.0.quotas
    }

    /// Returns what is known of the stored definitions of custom resources.
    pub(crate) fn definitions(&self) -> &Definitions {
        &self.0.definitions
    }

    /// Returns whether the server was prepared.
    pub(crate) fn prepared(&self) -> &OnceCell<()> {
        &self.0.prepared
    }

    /// Returns a token that is cancelled when the server is to end.
    pub fn shutdown(&self) -> &CancellationToken {
        &self.0.shutdown
    }

    /// Runs the mutating half of admission.
    ///
    /// # Errors
    /// The refusal of a step.
    pub async fn admit_mutating(&self, attributes: &mut Attributes) -> Result<()> {
        for (index, step) in self.0.admission.iter().enumerate() {
            let before = step.reinvokes().then(|| attributes.object.clone());
            step.mutate(self, attributes).await?;
            if before.is_some_and(|before| before != attributes.object) {
                for earlier in &self.0.admission[..index] {
                    earlier.mutate(self, attributes).await?;
                }
            }
        }
        Ok(())
    }

    /// Runs the validating half of admission.
    ///
    /// # Errors
    /// The refusal of a step.
    pub async fn admit_validating(&self, attributes: &mut Attributes) -> Result<()> {
        for step in &self.0.admission {
            step.validate(self, attributes).await?;
        }
        Ok(())
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Server")
    }
}
