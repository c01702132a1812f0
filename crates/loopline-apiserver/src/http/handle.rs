//! From a request to a reply: who asks, for what, and whether they may.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::request::Parts;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::json;

use super::discovery;
use super::reply::{self, Reply};
use crate::Server;
use crate::auth::{Action, Decision, User};
use crate::request::{Accept, Query, Target};
use crate::status::{Result, Status};

/// How long a client may take to send a body.
const BODY_TIME: std::time::Duration = std::time::Duration::from_secs(60);

/// The largest body of a request.
pub const MAX_BODY_BYTES: usize = 3 * 1024 * 1024;

impl Server {
    /// Answers a request that comes from `user`.
    pub async fn handle<B>(&self, request: Request<B>, user: User) -> Reply
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let asked = Asked::new(parts, user);
        match self.answer(asked, body).await {
            Ok(reply) => reply,
            Err(status) => reply::error(&status),
        }
    }

    async fn answer<B>(&self, asked: Asked, body: B) -> Result<Reply>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if let Target::Resource(path) = asked.target.clone() {
            return super::resource::answer(self, asked, path, body).await;
        }
        let method = asked.parts.method.as_str();
        self.authorize(
            &asked.user,
            &Action {
                verb: method.to_ascii_lowercase(),
                path: asked.parts.uri.path().to_owned(),
                ..Action::default()
            },
        )
        .await
        .map_err(|why| Status::new(403, "Forbidden", why))?;
        if !matches!(method, "GET" | "HEAD") {
            return Err(Status::method_not_allowed(
                "the server does not allow this method on the requested resource",
            ));
        }
        self.answer_other(&asked).await
    }

    async fn answer_other(&self, asked: &Asked) -> Result<Reply> {
        if !matches!(asked.target, Target::Health | Target::Version) {
            // What is served depends on the definitions that are stored.
            self.prepare().await?;
        }
        match &asked.target {
            Target::Root => discovery::root(self, asked),
            Target::Health => super::serve::health(self, asked).await,
            Target::Version => Ok(reply::object(200, &version(), asked.accept.encoding()?)),
            Target::CoreVersions => discovery::core(self, asked),
            Target::Groups => discovery::groups(self, asked),
            Target::Group(group) => discovery::group(self, asked, group),
            Target::GroupVersion(group, version) => {
                discovery::resources(self, asked, group, version)
            }
            Target::OpenApiIndex => discovery::openapi_index(self, asked),
            Target::OpenApiDocument(path) => discovery::openapi_document(self, asked, path),
            Target::KeySet | Target::OpenIdConfiguration => {
                super::serve::openid(self, &asked.target)
            }
            Target::OpenApiV2 => discovery::openapi_v2(self, asked),
            Target::Metrics | Target::Unknown | Target::Resource(_) => Err(Status::no_such_path()),
        }
    }

    /// Returns why a user may not do something, or nothing where they may.
    pub(crate) async fn authorize(
        &self,
        user: &User,
        action: &Action,
    ) -> std::result::Result<(), String> {
        match self.authorizer().authorize(user, action).await {
            Ok(Decision::Allow(_)) => Ok(()),
            Ok(Decision::Deny(why)) if why.is_empty() => Err(action.refusal(user)),
            Ok(Decision::Deny(why)) => Err(format!("{}: {why}", action.refusal(user))),
            Err(status) => Err(format!("{}: {status}", action.refusal(user))),
        }
    }
}

/// A request that was taken apart.
#[derive(Debug)]
pub struct Asked {
    /// The head of the request.
    pub parts: Parts,
    /// What the path asks for.
    pub target: Target,
    /// The options.
    pub query: Query,
    /// What the client takes.
    pub accept: Accept,
    /// Who asks.
    pub user: Arc<User>,
}

impl Asked {
    fn new(parts: Parts, user: User) -> Self {
        let target = Target::parse(parts.uri.path());
        let query = Query::parse(parts.uri.query());
        let accept = Accept::parse(header(&parts, &ACCEPT));
        Self { parts, target, query, accept, user: Arc::new(user) }
    }

    /// Returns the media type of the body, without parameters.
    pub(crate) fn content_type(&self) -> &str {
        let text = header(&self.parts, &CONTENT_TYPE).unwrap_or("");
        text.split(';').next().unwrap_or("").trim()
    }

    /// Returns the client's program.
    pub(crate) fn user_agent(&self) -> &str {
        header(&self.parts, &USER_AGENT).unwrap_or("")
    }
}

fn header<'a>(parts: &'a Parts, name: &http::HeaderName) -> Option<&'a str> {
    parts.headers.get(name).and_then(|value| value.to_str().ok())
}

/// Reads a whole body.
///
/// # Errors
/// 413 for bodies over [`MAX_BODY_BYTES`], 504 for those that take too long, 400 for those that break off.
pub(crate) async fn collect<B>(body: B) -> Result<Bytes>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let collecting = Limited::new(body, MAX_BODY_BYTES).collect();
    let collected = tokio::time::timeout(BODY_TIME, collecting)
        .await
        .map_err(|_| Status::timeout("request did not complete within the allotted timeout", 1))?;
    match collected {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Status::too_large(MAX_BODY_BYTES)),
        Err(error) => Err(Status::bad_request(format!("read the body: {error}"))),
    }
}

/// Returns what `/version` says: the API that is spoken, and who speaks it.
fn version() -> serde_json::Value {
    let ours = env!("CARGO_PKG_VERSION");
    json!({
        "major": "1",
        "minor": "33",
        "gitVersion": format!("v1.33.0+loopline.{ours}"),
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("linux/{}", if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }),
    })
}
