//! Who asks, and whether they may.

pub mod audit;
mod authentication;
mod controllers;
mod escalation;
pub mod folder;
mod impersonation;
mod index;
pub mod keys;
pub mod policy;
mod rbac;
mod roles;
pub mod rules;
pub mod vault;

use std::future::Future;
use std::pin::Pin;

pub use audit::AuditLog;
pub use authentication::{Authentication, Connection};
pub use escalation::Escalation;
pub use folder::Access;
pub use keys::Keys;
pub use rbac::Rbac;
pub use rules::Rule;

use serde_json::{Value, json};

use crate::status::Result;

/// The group whose members may do everything.
pub const MASTERS: &str = "system:masters";

/// The group of everybody who proved who they are.
pub const AUTHENTICATED: &str = "system:authenticated";

/// The group of everybody who did not.
pub const UNAUTHENTICATED: &str = "system:unauthenticated";

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// The identifier, where there is one.
    pub uid: String,
    /// The groups.
    pub groups: Vec<String>,
    /// What else the authenticator knows.
    pub extra: Vec<(String, Vec<String>)>,
}

impl User {
    /// Returns the administrator, who may do everything.
    pub fn administrator() -> Self {
        Self {
            name: "loopline:admin".to_owned(),
            groups: vec![MASTERS.to_owned(), AUTHENTICATED.to_owned()],
            ..Self::default()
        }
    }

    /// Returns a part of this server that acts on objects on its own account.
    pub fn system(name: &str) -> Self {
        Self {
            name: format!("system:{name}"),
            groups: vec![MASTERS.to_owned(), AUTHENTICATED.to_owned()],
            ..Self::default()
        }
    }

    /// Returns somebody who did not say who they are.
    pub fn anonymous() -> Self {
        Self {
            name: "system:anonymous".to_owned(),
            groups: vec![UNAUTHENTICATED.to_owned()],
            ..Self::default()
        }
    }

    /// Returns the user that an object describes: `username` or `user` under `name_key`, `uid`,
    /// `groups`, `extra`.
    pub fn parse(object: &Value, name_key: &str) -> Self {
        let texts = |value: &Value| -> Vec<String> {
            let list = value.as_array().into_iter().flatten();
            list.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let extra = object["extra"].as_object().into_iter().flatten();
        Self {
            name: object[name_key].as_str().unwrap_or("").to_owned(),
            uid: object["uid"].as_str().unwrap_or("").to_owned(),
            groups: texts(&object["groups"]),
            extra: extra.map(|(key, value)| (key.clone(), texts(value))).collect(),
        }
    }

    /// Returns the user as reviews and webhooks carry it (`UserInfo`).
    pub fn to_value(&self) -> Value {
        let mut user = json!({"username": self.name});
        if !self.uid.is_empty() {
            user["uid"] = json!(self.uid);
        }
        if !self.groups.is_empty() {
            user["groups"] = json!(self.groups);
        }
        if !self.extra.is_empty() {
            let extra: serde_json::Map<String, Value> =
                self.extra.iter().map(|(key, values)| (key.clone(), json!(values))).collect();
            user["extra"] = Value::Object(extra);
        }
        user
    }

    /// Returns whether the user belongs to a group.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|one| one == group)
    }
}

/// What somebody wants to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Action {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, or the
    /// HTTP method in lower case for paths that are no resources.
    pub verb: String,
    /// The API group.
    pub group: String,
    /// The version.
    pub version: String,
    /// The resource; empty for other paths.
    pub resource: String,
    /// The subresource.
    pub subresource: String,
    /// The namespace; empty for all, and for what is in none.
    pub namespace: String,
    /// The object's name, where one is named.
    pub name: String,
    /// The path, where it is no resource.
    pub path: String,
}

impl Action {
    /// Says why the user may not, as the API says it.
    pub fn refusal(&self, user: &User) -> String {
        if self.resource.is_empty() {
            return format!(
                "forbidden: User {:?} cannot {} path {:?}",
                user.name, self.verb, self.path
            );
        }
        let resource = if self.subresource.is_empty() {
            self.resource.clone()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        };
        let place = if self.namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace {:?}", self.namespace)
        };
        format!(
            "User {:?} cannot {} resource {resource:?} in API group {:?} {place}",
            user.name, self.verb, self.group
        )
    }
}

/// What an authorizer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Yes, and why.
    Allow(String),
    /// No, and why (may be empty).
    Deny(String),
}

/// What somebody may do.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// The rules.
    pub rules: Vec<Rule>,
    /// Why the rules may not be all.
    pub errors: Vec<String>,
}

/// A boxed future of an authorizer.
pub type AuthorizerFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// Decides who may do what.
pub trait Authorizer: Send + Sync + 'static {
    /// Decides whether a user may do something.
    fn authorize<'a>(
        &'a self,
        user: &'a User,
        action: &'a Action,
    ) -> Pin<Box<dyn Future<Output = Result<Decision>> + Send + 'a>>;

    /// Returns what a user may do in a namespace, as far as rules can tell.
    fn rules<'a>(&'a self, user: &'a User, namespace: &'a str) -> AuthorizerFuture<'a, Rules> {
        let _ = (user, namespace);
        Box::pin(std::future::ready(Ok(Rules {
            rules: rbac::full_authority(),
            errors: Vec::new(),
        })))
    }

    /// Returns the rules of a role (`Role` or `ClusterRole`); nothing where there is no such
    /// role, or where roles are not what is decided by.
    fn role_rules<'a>(
        &'a self,
        kind: &'a str,
        namespace: &'a str,
        name: &'a str,
    ) -> AuthorizerFuture<'a, Option<Vec<Rule>>> {
        let _ = (kind, namespace, name);
        Box::pin(std::future::ready(Ok(None)))
    }
}

/// Allows everything: for servers that only their own process can reach.
#[derive(Clone, Copy, Debug)]
pub struct AllowAll;

impl Authorizer for AllowAll {
    fn authorize<'a>(
        &'a self,
        _: &'a User,
        _: &'a Action,
    ) -> Pin<Box<dyn Future<Output = Result<Decision>> + Send + 'a>> {
        Box::pin(std::future::ready(Ok(Decision::Allow(
            "this server allows everything".to_owned(),
        ))))
    }
}
