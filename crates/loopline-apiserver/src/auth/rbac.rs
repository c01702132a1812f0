//! Decides by roles and bindings (`rbac.authorization.k8s.io`).
//!
//! The roles and bindings stand in an index in memory. Before every decision the index takes in
//! what was written since the last one, so a write that was answered is already heeded.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use loopline_store::object::{Change, ListOptions, Revision, StoreError, Watcher};
use tokio::sync::Mutex;

use super::index::Index;
use super::rules::Rule;
use super::{Action, Authorizer, AuthorizerFuture, Decision, MASTERS, Rules, User};
use crate::status::{Result, Status};
use crate::storage::{SharedStore, of_store};

/// What the keys of roles and bindings begin with.
const PREFIX: &str = "rbac.authorization.k8s.io/";

/// How often the index is read anew for one decision, where the store compacts underneath.
const MAX_READS: usize = 3;

/// Decides by roles and bindings.
pub struct Rbac(Arc<State>);

struct State {
    store: SharedStore,
    index: RwLock<Index>,
    /// Every change up to this revision is in the index.
    seen: AtomicU64,
    changes: Mutex<Option<Watcher>>,
}

impl Rbac {
    /// Decides by the roles and bindings of a store.
    pub fn new(store: SharedStore) -> Self {
        Self(Arc::new(State {
            store,
            index: RwLock::new(Index::default()),
            seen: AtomicU64::new(0),
            changes: Mutex::new(None),
        }))
    }

    /// Takes in what was written to the store by now.
    async fn catch_up(&self) -> Result<()> {
        let now = self.0.store.revision();
        if now != 0 && self.0.seen.load(Ordering::Acquire) >= now || self.0.catch_up_now(now) {
            return Ok(());
        }
        // In a task of its own, because others wait for the lock: a request whose future nobody
        // polls for a while must not keep it meanwhile.
        let state = Arc::clone(&self.0);
        let reading = tokio::spawn(async move { state.catch_up(now).await });
        reading.await.map_err(Status::internal)?
    }

    fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.0.index.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes in what was written by now if nothing has to be waited for; returns whether it did.
    fn catch_up_now(&self, now: Revision) -> bool {
        let Ok(mut changes) = self.changes.try_lock() else { return false };
        let Some(watcher) = changes.as_mut() else { return false };
        match watcher.take_ready() {
            Ok(Some(changes)) => {
                self.take_in(changes);
                self.seen.fetch_max(now, Ordering::AcqRel);
                true
            }
            // The longer way tells of errors.
            Ok(None) | Err(_) => false,
        }
    }

    async fn catch_up(&self, now: Revision) -> Result<()> {
        let mut changes = self.changes.lock().await;
        let mut reads = 0;
        loop {
            let done = match changes.as_mut() {
                None => {
                    *changes = Some(self.read_all().await.map_err(of_store)?);
                    continue;
                }
                Some(watcher) => self.take_changes(watcher).await,
            };
            match done {
                Ok(()) => break,
                // The watch fell behind what the store still knows: read everything again.
                Err(StoreError::Compacted { .. }) if reads < MAX_READS => {
                    reads += 1;
                    *changes = None;
                }
                Err(error) => return Err(of_store(error)),
            }
        }
        self.seen.fetch_max(now, Ordering::AcqRel);
        Ok(())
    }

    async fn read_all(&self) -> std::result::Result<Watcher, StoreError> {
        let options = ListOptions { prefix: PREFIX.to_owned(), ..ListOptions::default() };
        let page = self.store.list(options).await?;
        let mut index = Index::default();
        for record in &page.records {
            index.put(&record.key[PREFIX.len()..], &record.value);
        }
        index.aggregate();
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = index;
        self.store.watch(PREFIX, page.revision).await
    }

    async fn take_changes(&self, watcher: &mut Watcher) -> std::result::Result<(), StoreError> {
        let mut changes = Vec::new();
        while let Some(change) = watcher.try_next().await? {
            changes.push(change);
        }
        self.take_in(changes);
        Ok(())
    }

    fn take_in(&self, changes: Vec<Arc<Change>>) {
        if changes.is_empty() {
            return;
        }
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            let key = &change.key[PREFIX.len()..];
            match &change.value {
                Some(value) => index.put(key, value),
                None => index.remove(key),
            }
        }
        index.aggregate();
    }
}

impl Rbac {
    fn decide(&self, user: &User, action: &Action) -> Decision {
        let index = self.index();
        let mut missing: Vec<String> = Vec::new();
        for grant in index.grants(user, &action.namespace) {
            match grant.rules {
                Some(rules) if rules.iter().any(|rule| rule.allows(action)) => {
                    return Decision::Allow(format!("RBAC: allowed by {}", grant.describe()));
                }
                Some(_) => {}
                None => {
                    let why = grant.missing();
                    if !missing.contains(&why) {
                        missing.push(why);
                    }
                }
            }
        }
        match &*missing {
            [] => Decision::Deny(String::new()),
            [one] => Decision::Deny(format!("RBAC: {one}")),
            many => Decision::Deny(format!("RBAC: [{}]", many.join(", "))),
        }
    }
}

impl Authorizer for Rbac {
    fn authorize<'a>(
        &'a self,
        user: &'a User,
        action: &'a Action,
    ) -> AuthorizerFuture<'a, Decision> {
        Box::pin(async move {
            // They may do everything, whatever the roles are.
            if user.is_in(MASTERS) {
                return Ok(Decision::Allow(String::new()));
            }
            self.catch_up().await?;
            Ok(self.decide(user, action))
        })
    }

    fn rules<'a>(&'a self, user: &'a User, namespace: &'a str) -> AuthorizerFuture<'a, Rules> {
        Box::pin(async move {
            self.catch_up().await?;
            let index = self.index();
            let mut found = Rules::default();
            if user.is_in(MASTERS) {
                found.rules = full_authority();
            }
            for grant in index.grants(user, namespace) {
                match grant.rules {
                    Some(rules) => found.rules.extend(rules.iter().cloned()),
                    None => found.errors.push(grant.missing()),
                }
            }
            Ok(found)
        })
    }

    fn role_rules<'a>(
        &'a self,
        kind: &'a str,
        namespace: &'a str,
        name: &'a str,
    ) -> AuthorizerFuture<'a, Option<Vec<Rule>>> {
        Box::pin(async move {
            self.catch_up().await?;
            let index = self.index();
            Ok(index.rules(kind, namespace, name).map(<[Rule]>::to_vec))
        })
    }
}

/// Returns the rules that allow everything.
pub(super) fn full_authority() -> Vec<Rule> {
    vec![Rule::resources(&["*"], &["*"], &["*"]), Rule::paths(&["*"], &["*"])]
}
