//! Where a registry's API is, and requests to it: credentials added, redirects followed.

use std::sync::PoisonError;

use http::header::{ACCEPT, AUTHORIZATION, LOCATION};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};

use super::connection::{Answer, Asking, Origin, Payload, is_loopback, join};
use super::error::Cause;
use super::{Client, Event};
use crate::reference::{DEFAULT_REGISTRY, Reference};

/// Where Docker's own registry answers.
const DOCKER_HOST: &str = "registry-1.docker.io";
/// How far redirects are followed.
const MAX_REDIRECTS: usize = 5;

/// An address where a repository's registry, or a mirror of it, answers.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    /// `https://HOST[:PORT][/PATH]`, without a slash at its end.
    pub(super) base: String,
    /// Under which name credentials are kept.
    pub(super) registry: String,
    pub(super) repository: String,
    pub(super) is_mirror: bool,
}

/// A request to an endpoint.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    /// The path after `/v2/`, or a whole address that the registry has given.
    pub(super) target: Target<'a>,
    pub(super) headers: Vec<(http::HeaderName, String)>,
    pub(super) payload: Payload,
    /// `pull` or `pull,push`.
    pub(super) actions: &'static str,
}

pub(super) enum Target<'a> {
    Path(String),
    Uri(&'a Uri),
}

impl Call<'_> {
    pub(super) fn get(path: String) -> Self {
        Self {
            method: Method::GET,
            target: Target::Path(path),
            headers: Vec::new(),
            payload: Payload::Empty,
            actions: "pull",
        }
    }

    pub(super) fn accept(mut self, types: &[&str]) -> Self {
        self.headers.push((ACCEPT, types.join(", ")));
        self
    }
}

impl Client {
    /// Returns where to ask for a reference: the mirrors of its registry first, it itself last.
    pub(super) async fn endpoints(&self, reference: &Reference) -> Result<Vec<Endpoint>, Cause> {
        let registry = reference.registry();
        let mut endpoints = Vec::new();
        for (of, url) in &self.0.options.mirrors {
            if of != registry {
                continue;
            }
            let uri: Uri = url.parse().map_err(|error| Cause::Address {
                address: url.clone(),
                why: format!("{error}"),
            })?;
            let origin = Origin::of(&uri)?;
            self.may_be_plain(&origin)?;
            let host = uri.authority().map_or(origin.shown(), ToString::to_string);
            endpoints.push(Endpoint {
                base: url.trim_end_matches('/').to_owned(),
                registry: host,
                repository: reference.repository().to_owned(),
                is_mirror: true,
            });
        }
        endpoints.push(self.origin_of(reference).await?);
        Ok(endpoints)
    }

    /// Returns where a reference's own registry answers.
    pub(super) async fn origin_of(&self, reference: &Reference) -> Result<Endpoint, Cause> {
        let registry = reference.registry();
        let host = if registry == DEFAULT_REGISTRY { DOCKER_HOST } else { registry };
        let scheme = if self.is_plain(host).await? { "http" } else { "https" };
        Ok(Endpoint {
            base: format!("{scheme}://{host}"),
            registry: registry.to_owned(),
            repository: reference.repository().to_owned(),
            is_mirror: false,
        })
    }

    fn may_be_plain(&self, origin: &Origin) -> Result<(), Cause> {
        let named = |it: &String| *it == origin.host || *it == origin.shown();
        if origin.encrypted || origin.is_here() || self.0.options.insecure.iter().any(named) {
            return Ok(());
        }
        Err(Cause::Address {
            address: format!("http://{}", origin.shown()),
            why:
                "connections to other machines are encrypted unless --insecure-registry names them"
                    .to_owned(),
        })
    }

    /// Says whether a registry is spoken to without encryption: it is on this machine or named
    /// by the user, and does not speak TLS.
    async fn is_plain(&self, host: &str) -> Result<bool, Cause> {
        let uri: Uri = format!("https://{host}/v2/").parse().map_err(|error| Cause::Address {
            address: host.to_owned(),
            why: format!("{error}"),
        })?;
        let origin = Origin::of(&uri)?;
        let named = self.0.options.insecure.iter().any(|it| it == host || *it == origin.host);
        if !named && !is_loopback(&origin.host) {
            return Ok(false);
        }
        let known = || self.0.plain.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plain) = known().get(host) {
            return Ok(*plain);
        }
        let asking =
            Asking { method: Method::GET, uri, headers: HeaderMap::new(), payload: Payload::Empty };
        let plain = match self.0.connections.send(&asking).await {
            Ok(_) => false,
            // It spoke, but not TLS. A certificate that cannot be trusted is something else.
            Err(Cause::Connect { source, .. }) => {
                let text = source.to_string();
                let is_tls = text.contains("certificate") || text.contains("alert");
                let refused = matches!(
                    source.kind(),
                    std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::TimedOut
                );
                // Without an own port, HTTP is at another one.
                if is_tls || (refused && host.contains(':')) {
                    return Err(Cause::Connect { host: origin.shown(), source });
                }
                true
            }
            Err(other) => return Err(other),
        };
        known().insert(host.to_owned(), plain);
        Ok(plain)
    }

    /// Sends a request, says who asks where that is wanted, and follows redirects of downloads.
    pub(super) async fn call(&self, at: &Endpoint, call: Call<'_>) -> Result<Answer, Cause> {
        let base: Uri = format!("{}/v2/", at.base).parse().map_err(|error| Cause::Address {
            address: at.base.clone(),
            why: format!("{error}"),
        })?;
        let mut uri = match &call.target {
            Target::Uri(uri) => (*uri).clone(),
            Target::Path(path) => format!("{base}{path}").parse().map_err(|error| {
                Cause::Address { address: format!("{base}{path}"), why: format!("{error}") }
            })?,
        };
        let home = Origin::of(&base)?;
        let scope = format!("repository:{}:{}", at.repository, call.actions);
        let mut headers = HeaderMap::new();
        for (name, value) in &call.headers {
            let value = HeaderValue::from_str(value)
                .map_err(|error| Cause::Protocol(format!("{name}: {error}")))?;
            headers.append(name, value);
        }
        let mut asked_who = false;
        let mut redirects = 0;
        loop {
            let origin = Origin::of(&uri)?;
            let mut headers = headers.clone();
            // Credentials are for the registry, not for whom it sends its clients to.
            if origin == home
                && let Some(token) = self.token(&at.base, &scope)
            {
                let mut value = HeaderValue::from_str(&token)
                    .map_err(|_| Cause::Protocol("its token is no text".to_owned()))?;
                value.set_sensitive(true);
                headers.insert(AUTHORIZATION, value);
            }
            let asking = Asking {
                method: call.method.clone(),
                uri: uri.clone(),
                headers,
                payload: call.payload.clone(),
            };
            let answer = self.0.connections.send(&asking).await?;
            let status = answer.response.status();
            if status == StatusCode::UNAUTHORIZED && !asked_who && origin == home {
                asked_who = true;
                self.log_in(at, &scope, answer).await?;
                continue;
            }
            if status == StatusCode::UNAUTHORIZED && origin == home {
                let Cause::Status { message, .. } = answer.refusal().await else {
                    return Err(Cause::Unauthorized { why: String::new(), message: String::new() });
                };
                let why = "it did not take what it was given".to_owned();
                return Err(Cause::Unauthorized { why, message });
            }
            let is_read = matches!(call.method, Method::GET | Method::HEAD);
            if status.is_redirection() && status != StatusCode::NOT_MODIFIED && is_read {
                let location = answer
                    .header(LOCATION.as_str())
                    .ok_or_else(|| Cause::Protocol(format!("{status} without a Location")))?;
                let next = join(&uri, location)?;
                redirects += 1;
                if redirects > MAX_REDIRECTS {
                    let why = "it leads from one address to another more than 5 times";
                    return Err(Cause::Redirect { to: next.to_string(), why });
                }
                let target = Origin::of(&next)?;
                if origin.encrypted && !target.encrypted {
                    let why = "it is not encrypted, and the registry is";
                    return Err(Cause::Redirect { to: target.shown(), why });
                }
                uri = next;
                continue;
            }
            return Ok(answer);
        }
    }

    /// Tells that something is tried again.
    pub(super) fn retried(&self, cause: &Cause) {
        let mut why = cause.to_string();
        if let Some(source) = std::error::Error::source(cause) {
            why.push_str(&format!(": {source}"));
        }
        self.tell(Event::Retried { why });
    }
}
