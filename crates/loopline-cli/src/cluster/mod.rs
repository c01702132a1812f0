//! A Kubernetes API as its clients see it: one way to reach it and to ask it, whichever command
//! asks. It knows nothing of terminals.

mod apply;
mod connect;
mod kinds;

use std::collections::BTreeMap;

use http_body_util::{BodyExt as _, Limited};
use kube::client::Body;
use serde_json::Value;
use tokio::sync::Mutex;

pub(crate) use apply::{
    Applied, Applying, DryRun, LAST_APPLIED, Operation, Validation, last_applied,
};
pub(crate) use connect::Access;
pub(crate) use kinds::Kind;

use crate::error::{Class, CommandError};
use crate::manifests::Document;

/// The largest answer.
const MAX_ANSWER_BYTES: usize = 512 * 1024 * 1024;

/// Content types.
pub(crate) const JSON: &str = "application/json";

/// An API that is reached.
pub(crate) struct Cluster {
    client: kube::Client,
    server: String,
    hint: Option<String>,
    /// The namespace of what names none.
    namespace: String,
    /// Whether the user named that namespace.
    named: bool,
    kinds: Mutex<Option<std::sync::Arc<Vec<Kind>>>>,
}

/// What the API answered.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The document.
    pub(crate) body: Value,
    /// What the server warns of.
    pub(crate) warnings: Vec<String>,
}

/// What the API refused.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    /// The HTTP status.
    pub(crate) code: u16,
    /// The message.
    pub(crate) message: String,
}

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// The API said no.
    Refused(Refusal),
    /// The API was not reached, or could not be understood.
    Lost(String, Option<String>),
    /// The document cannot be sent as it is.
    Wrong(String),
}

impl Failure {
    /// Returns whether it is about something that is not there.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.code == 404)
    }

    /// Returns whether another writer came in between.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.code == 409)
    }
}

impl From<Failure> for CommandError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(refusal) => {
                let class = match refusal.code {
                    401 | 403 => Class::Permission,
                    _ => Class::Failed,
                };
                Self::new(class, refusal.message)
            }
            Failure::Lost(message, hint) => {
                let error = Self::new(Class::Failed, message);
                match hint {
                    Some(hint) => error.hint(hint),
                    None => error,
                }
            }
            Failure::Wrong(message) => Self::usage(message),
        }
    }
}

/// One request.
pub(crate) struct Ask<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: String,
    pub(crate) query: Vec<(&'a str, String)>,
    pub(crate) accept: &'a str,
    pub(crate) body: Option<(&'a str, &'a Value)>,
}

impl<'a> Ask<'a> {
    /// Returns a request for a path.
    pub(crate) fn new(method: &'a str, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), query: Vec::new(), accept: JSON, body: None }
    }

    /// Adds an option, unless it is empty.
    pub(crate) fn option(mut self, name: &'a str, value: impl Into<String>) -> Self {
        let value = value.into();
        if !value.is_empty() {
            self.query.push((name, value));
        }
        self
    }

    /// Adds a body of a content type.
    pub(crate) fn body(mut self, kind: &'a str, body: &'a Value) -> Self {
        self.body = Some((kind, body));
        self
    }

    /// Asks for another form of the answer.
    pub(crate) fn accept(mut self, kind: &'a str) -> Self {
        self.accept = kind;
        self
    }
}

impl Cluster {
    /// Returns the client, for watches.
    pub(crate) fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// Returns the namespace of what names none.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Asks, and returns what was answered.
    pub(crate) async fn ask(&self, ask: Ask<'_>) -> Result<Answer, Failure> {
        let mut uri = ask.path;
        if !ask.query.is_empty() {
            let mut query = form_urlencoded::Serializer::new(String::new());
            for (name, value) in &ask.query {
                query.append_pair(name, value);
            }
            uri = format!("{uri}?{}", query.finish());
        }
        let mut request =
            http::Request::builder().method(ask.method).uri(&uri).header("accept", ask.accept);
        let bytes = match ask.body {
            Some((kind, body)) => {
                request = request.header("content-type", kind);
                body.to_string().into_bytes()
            }
            None => Vec::new(),
        };
        let request = request
            .body(Body::from(bytes))
            .map_err(|error| Failure::Wrong(format!("cannot ask for {uri}: {error}")))?;
        let lost = |what: String| {
            Failure::Lost(format!("cannot reach {}: {what}", self.server), self.hint.clone())
        };
        let reply = match self.client.send(request).await {
            Ok(reply) => reply,
            Err(kube::Error::Service(error)) => return Err(lost(root_of(&*error))),
            Err(error) => return Err(lost(root_of(&error))),
        };
        let code = reply.status().as_u16();
        let warnings: Vec<String> = reply
            .headers()
            .get_all("warning")
            .iter()
            .filter_map(|value| warning(value.to_str().ok()?))
            .collect();
        let bytes = Limited::new(reply.into_body(), MAX_ANSWER_BYTES)
            .collect()
            .await
            .map_err(|error| lost(error.to_string()))?
            .to_bytes();
        let body: Result<Value, _> = serde_json::from_slice(&bytes);
        if (200..300).contains(&code) {
            let body = body.map_err(|error| lost(format!("its answer is no JSON: {error}")))?;
            return Ok(Answer { body, warnings });
        }
        let said = body.as_ref().ok().and_then(|body| body["message"].as_str());
        let message = match said {
            Some(message) if !message.is_empty() => message.to_owned(),
            _ => format!("status {code}: {}", String::from_utf8_lossy(&bytes).trim()),
        };
        Err(Failure::Refused(Refusal { code, message }))
    }

    /// Returns the namespace of a document, if its kind has one.
    pub(crate) fn namespace_of(
        &self,
        kind: &Kind,
        object: &Value,
    ) -> Result<Option<String>, Failure> {
        if !kind.namespaced {
            return Ok(None);
        }
        let own = object["metadata"]["namespace"].as_str().unwrap_or_default();
        if self.named && !own.is_empty() && own != self.namespace {
            return Err(Failure::Wrong(format!(
                "the namespace from the provided object {own:?} does not match the namespace \
                 {:?}. You must pass '--namespace={own}' to perform this operation.",
                self.namespace
            )));
        }
        Ok(Some(if own.is_empty() { self.namespace.clone() } else { own.to_owned() }))
    }

    /// Returns what a document is: its kind, its path, and its name.
    pub(crate) async fn target(&self, document: &Document) -> Result<Target, Failure> {
        let (group, version) = document.group_version();
        let name = document.object["metadata"]["name"].as_str().unwrap_or_default();
        let kind = self.kind(group, version, document.kind()).await?.ok_or_else(|| {
            Failure::Wrong(format!(
                "resource mapping not found for name: {name:?}: no matches for kind {:?} in \
                 version {:?}: ensure CRDs are installed first",
                document.kind(),
                document.object["apiVersion"].as_str().unwrap_or_default(),
            ))
        })?;
        if name.is_empty() {
            return Err(Failure::Wrong("resource name may not be empty".to_owned()));
        }
        let namespace = self.namespace_of(&kind, &document.object)?;
        Ok(Target { kind, namespace, name: name.to_owned() })
    }
}

/// One object of the API, by its name.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) kind: Kind,
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
}

impl Target {
    /// Returns the path of the object.
    pub(crate) fn path(&self) -> String {
        format!("{}/{}", self.collection(), encoded(&self.name))
    }

    /// Returns the path of its collection.
    pub(crate) fn collection(&self) -> String {
        self.kind.collection(self.namespace.as_deref())
    }

    /// Returns `kind.group/name`, as results are named.
    pub(crate) fn shown(&self) -> String {
        format!("{}/{}", self.kind.singular_name(), self.name)
    }

    /// Returns what machines are told of it.
    pub(crate) fn fields(&self) -> BTreeMap<&'static str, Value> {
        BTreeMap::from([
            ("kind", self.kind.kind.clone().into()),
            ("apiVersion", self.kind.api_version().into()),
            ("namespace", self.namespace.clone().into()),
            ("name", self.name.clone().into()),
        ])
    }
}

/// Returns a name as a part of a path.
pub(crate) fn encoded(name: &str) -> String {
    percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC)
        .to_string()
        .replace("%2D", "-")
        .replace("%2E", ".")
}

/// Returns the text of a `Warning` header: `299 - "text"`.
fn warning(header: &str) -> Option<String> {
    let text = header.strip_prefix("299 - \"")?.strip_suffix('"')?;
    Some(text.replace("\\\"", "\"").replace("\\\\", "\\"))
}

/// Returns the innermost cause, which is what a person can do something about.
fn root_of(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
