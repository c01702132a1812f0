//! What may change or refuse a write before it is stored.

pub(crate) mod account;
mod amounts;
pub(crate) mod cache;
pub mod cel;
pub(crate) mod certificates;
pub mod expression;
pub(crate) mod followed;
pub(crate) mod limits;
mod matching;
pub(crate) mod namespace;
pub(crate) mod owner;
pub(crate) mod policy;
pub(crate) mod quota;
mod review;
pub(crate) mod runtime;
pub(crate) mod scheduling;
pub(crate) mod security;
pub(crate) mod storage;
pub mod validator;
pub(crate) mod webhook;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value;

use crate::Server;
use crate::auth::User;
use crate::registry::Entry;
use crate::status::{Result, Status};

/// What is done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// It is made.
    Create,
    /// It is changed.
    Update,
    /// It is deleted.
    Delete,
    /// It is connected to (`exec`, `proxy`).
    Connect,
}

impl Operation {
    /// Returns the name that webhooks and policies know.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
}

/// A write that is about to happen.
#[derive(Clone, Debug)]
pub struct Attributes {
    /// The resource, in the version of the request.
    pub entry: Arc<Entry>,
    /// The subresource, empty for the object itself.
    pub subresource: String,
    /// The namespace, empty for what is in none.
    pub namespace: String,
    /// The object's name; empty while it is to be generated.
    pub name: String,
    /// What is done.
    pub operation: Operation,
    /// The object as it would be stored; null for a deletion.
    pub object: Value,
    /// The object as it is stored now; null for a creation.
    pub old: Value,
    /// The options of the request (`CreateOptions` and their like).
    pub options: Value,
    /// Who asks.
    pub user: Arc<User>,
    /// Nothing will be stored.
    pub dry_run: bool,
    /// What the client is told beside the answer.
    pub warnings: Vec<String>,
}

impl Attributes {
    /// Returns whether the object is of a built-in kind.
    pub fn is_kind(&self, group: &str, kind: &str) -> bool {
        let resource = &self.entry.resource;
        self.entry.custom().is_none() && resource.group == group && resource.kind == kind
    }

    /// Returns whether a pod is about to be made.
    pub fn makes_pod(&self) -> bool {
        self.operation == Operation::Create
            && self.subresource.is_empty()
            && self.is_kind("", "Pod")
    }

    /// Returns the refusal of the write.
    pub fn forbidden(&self, why: impl std::fmt::Display) -> Status {
        Status::forbidden(&self.entry.resource, &self.name, why)
    }
}

/// A boxed future of an admission step.
pub type AdmissionFuture<'a> = Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

/// A step of admission. Steps run in the order in which the server has them: all of them mutate
/// first, then all of them validate.
pub trait Admission: Send + Sync + 'static {
    /// Returns the name under which the step is known.
    fn name(&self) -> &'static str;

    /// Returns whether the steps before this one run again where it changed the object, as they
    /// have not seen what it added.
    fn reinvokes(&self) -> bool {
        false
    }

    /// Changes or refuses what is about to be written.
    fn mutate<'a>(
        &'a self,
        server: &'a Server,
        attributes: &'a mut Attributes,
    ) -> AdmissionFuture<'a> {
        let _ = (server, attributes);
        Box::pin(std::future::ready(Ok(())))
    }

    /// Refuses what is about to be written.
    fn validate<'a>(
        &'a self,
        server: &'a Server,
        attributes: &'a mut Attributes,
    ) -> AdmissionFuture<'a> {
        let _ = (server, attributes);
        Box::pin(std::future::ready(Ok(())))
    }
}
