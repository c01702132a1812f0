//! A registry: the OCI distribution API over what the store has.
//!
//! Pushed blobs and manifests are on the disk when they are answered. Collections run while it
//! serves (`Registry::collect`, or another process): what a push has brought or asked for is
//! kept for a day, and what a manifest leads to for as long as the manifest is there.

mod access;
mod blobs;
mod lists;
mod manifests;
mod reply;
mod route;
mod serve;
mod uploads;
mod upstream;

pub use access::{AccessError, ROUNDS, Users};
pub use serve::{Listener, ServeError, serve};

use std::sync::Arc;

use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;

use self::reply::{Code, Failure, Reply};
use self::route::Route;
use self::uploads::Uploads;
use self::upstream::Upstream;
use super::client::Client;
use super::repository::Repository;
use crate::store::{Collected, Store, StoreError};

/// What a registry serves, and to whom.
#[derive(Debug)]
pub struct Options {
    /// Where it keeps what it has.
    pub store: Store,
    /// Who may use it; everybody, where nobody is named.
    pub users: Option<Users>,
    /// With users: everybody may pull.
    pub anonymous_pull: bool,
    /// A registry whose images this one hands on and keeps; nothing can be pushed then.
    pub upstream: Option<(Client, String)>,
}

/// A registry; cheap to clone.
#[derive(Clone, Debug)]
pub struct Registry(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    users: Option<Users>,
    anonymous_pull: bool,
    uploads: Uploads,
    upstream: Option<Upstream>,
    shutdown: CancellationToken,
}

impl Registry {
    /// Returns a registry that serves nothing yet.
    ///
    /// # Errors
    /// Where the folder of uploads cannot be made.
    pub fn new(options: Options) -> Result<Self, StoreError> {
        let Options { store, users, anonymous_pull, upstream } = options;
        Ok(Self(Arc::new(Inner {
            uploads: Uploads::open(&store)?,
            upstream: upstream.map(|(client, registry)| Upstream::new(client, registry)),
            store,
            users,
            anonymous_pull,
            shutdown: CancellationToken::new(),
        })))
    }

    /// Returns what ends the registry when it is cancelled.
    pub fn shutdown(&self) -> &CancellationToken {
        &self.0.shutdown
    }

    /// Removes what no manifest leads to, and uploads that were given up.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn collect(&self) -> Result<Collected, StoreError> {
        self.0.uploads.expire(self.store().clock())?;
        self.store().collect()
    }

    fn store(&self) -> &Store {
        &self.0.store
    }

    fn repository(&self, name: &str) -> Repository {
        Repository::of(self.store(), name)
    }

    /// Answers a request.
    async fn answer(&self, request: Request<Incoming>) -> Reply {
        let head = request.method() == Method::HEAD;
        let mut reply = match self.answered(request).await {
            Ok(reply) => reply,
            Err(failure) => failure.reply(),
        };
        reply::finish(&mut reply, head);
        reply
    }

    async fn answered(&self, request: Request<Incoming>) -> Result<Reply, Failure> {
        let route = Route::of(request.uri().path())?;
        self.admit(&request)?;
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        if !is_read && self.0.upstream.is_some() {
            let why = "this registry hands on another's images; push to that one";
            return Err(Failure::new(StatusCode::METHOD_NOT_ALLOWED, Code::Unsupported, why));
        }
        match (request.method().clone(), route) {
            (Method::GET | Method::HEAD, Route::Version) => Ok(reply::json(&serde_json::json!({}))),
            (Method::GET, Route::Catalog) => lists::catalog(self, &request),
            (Method::GET, Route::Tags(name)) => lists::tags(self, &name, &request),
            (Method::GET, Route::Referrers(name, digest)) => {
                lists::referrers(self, &name, &digest, &request)
            }
            (Method::GET | Method::HEAD, Route::Manifest(name, named)) => {
                manifests::get(self, &name, &named, &request).await
            }
            (Method::PUT, Route::Manifest(name, named)) => {
                manifests::put(self, &name, named, request).await
            }
            (Method::DELETE, Route::Manifest(name, named)) => {
                manifests::delete(self, &name, &named)
            }
            (Method::GET | Method::HEAD, Route::Blob(name, digest)) => {
                blobs::get(self, &name, &digest, &request).await
            }
            (Method::DELETE, Route::Blob(name, digest)) => blobs::delete(self, &name, &digest),
            (Method::POST, Route::Uploads(name)) => uploads::begin(self, &name, request).await,
            (Method::GET, Route::Upload(name, id)) => uploads::status(self, &name, &id).await,
            (Method::PATCH, Route::Upload(name, id)) => {
                uploads::append(self, &name, &id, request).await
            }
            (Method::PUT, Route::Upload(name, id)) => {
                uploads::finish(self, &name, &id, request).await
            }
            (Method::DELETE, Route::Upload(name, id)) => uploads::cancel(self, &name, &id).await,
            (method, _) => Err(Failure::new(
                StatusCode::METHOD_NOT_ALLOWED,
                Code::Unsupported,
                format!("{method} is not served here"),
            )),
        }
    }

    /// Lets in who may do what is asked.
    fn admit(&self, request: &Request<Incoming>) -> Result<(), Failure> {
        let Some(users) = &self.0.users else { return Ok(()) };
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        // Clients ask the root whether they have to say who they are.
        let is_root = request.uri().path().trim_end_matches('/') == "/v2";
        if self.0.anonymous_pull && is_read && !is_root {
            return Ok(());
        }
        match request.headers().get(http::header::AUTHORIZATION) {
            Some(header) if users.admit(header) => Ok(()),
            Some(_) => Err(Failure::unauthorized("the name or the password is wrong")),
            None => Err(Failure::unauthorized("say who you are: `docker login`, `skopeo login`")),
        }
    }
}
