//! Errors as the Kubernetes API tells them: a `Status` with a code, a reason and causes.
//!
//! The wording is that of `k8s.io/apimachinery/pkg/api/errors`, which clients match on.

use std::borrow::Cow;

use loopline_schema::{FieldError, Resource};
use serde_json::{Value, json};

/// Why a request was refused, in the form of a `Status`.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Status {
    /// The HTTP status.
    pub code: u16,
    /// The machine's word for it.
    pub reason: Cow<'static, str>,
    /// The person's words for it.
    pub message: String,
    /// What it is about.
    pub details: Box<Details>,
}

/// What a [`Status`] is about.
#[derive(Clone, Debug, Default)]
pub struct Details {
    /// The object's name.
    pub name: String,
    /// The API group.
    pub group: String,
    /// The resource (`deployments`), or the kind for invalid objects, as the API has it.
    pub kind: String,
    /// The object's identifier.
    pub uid: String,
    /// The causes.
    pub causes: Vec<StatusCause>,
    /// When to try again, in seconds.
    pub retry_after_seconds: Option<u32>,
}

/// One cause of a [`Status`].
#[derive(Clone, Debug)]
pub struct StatusCause {
    /// The machine's word for it.
    pub reason: Cow<'static, str>,
    /// The person's words.
    pub message: String,
    /// The field it is about.
    pub field: String,
}

/// The result of serving a request.
pub type Result<T> = std::result::Result<T, Status>;

impl Status {
    /// Makes a status without details.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason: Cow::Borrowed(reason),
            message: message.into(),
            details: Box::default(),
        }
    }

    /// 400: the request cannot be understood.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 401: nobody is who the request claims.
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// 403 about an object or a collection; `why` follows after a colon.
    pub fn forbidden(resource: &Resource, name: &str, why: impl std::fmt::Display) -> Self {
        let what = qualified(&resource.plural, &resource.group);
        let message = if name.is_empty() {
            format!("{what} is forbidden: {why}")
        } else {
            format!("{what} {name:?} is forbidden: {why}")
        };
        Self::new(403, "Forbidden", message).about(resource, name)
    }

    /// 404 about an object.
    pub fn not_found(resource: &Resource, name: &str) -> Self {
        let what = qualified(&resource.plural, &resource.group);
        Self::new(404, "NotFound", format!("{what} {name:?} not found")).about(resource, name)
    }

    /// 404 about a path that nothing serves.
    pub fn no_such_path() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource")
    }

    /// 405: the resource does not know the verb.
    pub fn method_not_allowed(message: impl Into<String>) -> Self {
        Self::new(405, "MethodNotAllowed", message)
    }

    /// 406: none of the media types asked for can be had.
    pub fn not_acceptable(known: &str) -> Self {
        let message = format!("only the following media types are accepted: {known}");
        Self::new(406, "NotAcceptable", message)
    }

    /// 409: an object of that name is there.
    pub fn already_exists(resource: &Resource, name: &str) -> Self {
        let what = qualified(&resource.plural, &resource.group);
        let message = format!("{what} {name:?} already exists");
        Self::new(409, "AlreadyExists", message).about(resource, name)
    }

    /// 409: the write does not fit what is there.
    pub fn conflict(resource: &Resource, name: &str, why: impl std::fmt::Display) -> Self {
        let what = qualified(&resource.plural, &resource.group);
        let message = format!("Operation cannot be fulfilled on {what} {name:?}: {why}");
        Self::new(409, "Conflict", message).about(resource, name)
    }

    /// 409: somebody else has written in between.
    pub fn modified(resource: &Resource, name: &str) -> Self {
        Self::conflict(
            resource,
            name,
            "the object has been modified; please apply your changes to the latest version and \
             try again",
        )
    }

    /// 410: the revision asked for is no longer kept.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// 415: the body's media type is not read here.
    pub fn unsupported_media_type(found: &str, known: &[&str]) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            known.join(", ")
        );
        let mut status = Self::new(415, "UnsupportedMediaType", message);
        if !found.is_empty() {
            status.message.push_str(&format!(" (found {found})"));
        }
        status
    }

    /// 413: the body is too large.
    pub fn too_large(limit: usize) -> Self {
        Self::new(
            413,
            "RequestEntityTooLarge",
            format!("Request entity too large: limit is {limit}"),
        )
    }

    /// 422 about fields of an object.
    pub fn invalid(resource: &Resource, name: &str, errors: &[FieldError]) -> Self {
        let what = qualified(&resource.kind, &resource.group);
        let list: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let list = match list.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let mut status = Self::new(422, "Invalid", format!("{what} {name:?} is invalid: {list}"));
        status.details.name = name.to_owned();
        status.details.group.clone_from(&resource.group.to_string());
        status.details.kind.clone_from(&resource.kind.to_string());
        status.details.causes = errors
            .iter()
            .map(|error| StatusCause {
                reason: Cow::Borrowed(error.cause.reason()),
                message: error.body(),
                field: error.field.clone(),
            })
            .collect();
        status
    }

    /// 422 about options of a request (`CreateOptions` and its like).
    pub fn invalid_options(kind: &str, errors: &[FieldError]) -> Self {
        let options = Resource {
            group: "meta.k8s.io".into(),
            kind: kind.to_owned().into(),
            ..Resource::default()
        };
        Self::invalid(&options, "", errors)
    }

    /// 429: try again later.
    pub fn too_many_requests(message: impl Into<String>, seconds: u32) -> Self {
        let mut status = Self::new(429, "TooManyRequests", message);
        status.details.retry_after_seconds = Some(seconds);
        status
    }

    /// 500: our fault.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        let mut status =
            Self::new(500, "InternalError", format!("Internal error occurred: {cause}"));
        status.details.causes.push(StatusCause {
            reason: Cow::Borrowed(""),
            message: cause.to_string(),
            field: String::new(),
        });
        status
    }

    /// 503: not now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        let mut status = Self::new(503, "ServiceUnavailable", message);
        status.details.retry_after_seconds = Some(1);
        status
    }

    /// 504: it took too long, or the state asked for is not reached.
    pub fn timeout(message: impl Into<String>, seconds: u32) -> Self {
        let mut status = Self::new(504, "Timeout", message);
        status.details.retry_after_seconds = Some(seconds);
        status
    }

    /// Adds the object that the status is about.
    #[must_use]
    pub fn about(mut self, resource: &Resource, name: &str) -> Self {
        name.clone_into(&mut self.details.name);
        self.details.group = resource.group.to_string();
        self.details.kind = resource.plural.to_string();
        self
    }

    /// Adds a cause.
    #[must_use]
    pub fn because(
        mut self,
        reason: &'static str,
        message: impl Into<String>,
        field: impl Into<String>,
    ) -> Self {
        self.details.causes.push(StatusCause {
            reason: Cow::Borrowed(reason),
            message: message.into(),
            field: field.into(),
        });
        self
    }

    /// Returns the `Status` object that is sent.
    pub fn to_value(&self) -> Value {
        let mut object = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
        });
        let details = self.details.to_value();
        if details.as_object().is_some_and(|details| !details.is_empty()) {
            object["details"] = details;
        }
        object["code"] = json!(self.code);
        object
    }
}

impl Details {
    fn to_value(&self) -> Value {
        let mut details = serde_json::Map::new();
        for (key, value) in
            [("name", &self.name), ("group", &self.group), ("kind", &self.kind), ("uid", &self.uid)]
        {
            if !value.is_empty() {
                details.insert(key.to_owned(), json!(value));
            }
        }
        if !self.causes.is_empty() {
            let causes = self.causes.iter().map(|cause| {
                let mut object = serde_json::Map::new();
                for (key, value) in [
                    ("reason", &*cause.reason),
                    ("message", &cause.message),
                    ("field", &cause.field),
                ] {
                    if !value.is_empty() {
                        object.insert(key.to_owned(), json!(value));
                    }
                }
                Value::Object(object)
            });
            details.insert("causes".to_owned(), causes.collect());
        }
        if let Some(seconds) = self.retry_after_seconds {
            details.insert("retryAfterSeconds".to_owned(), json!(seconds));
        }
        Value::Object(details)
    }
}

/// Returns the `Status` of a success.
pub fn success(details: Value) -> Value {
    json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details,
    })
}

/// Returns `deployments.apps`, or `pods` for the core group.
pub fn qualified(name: &str, group: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") }
}
