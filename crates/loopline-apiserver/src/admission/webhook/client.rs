//! Calling a webhook: one HTTPS request with a certificate authority of its own, within a time.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, USER_AGENT};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use loopline_tls::{Trust, client_config};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// The largest answer of a webhook.
const MAX_ANSWER_BYTES: usize = 3 * 1024 * 1024;

/// How long a webhook has that does not say.
const DEFAULT_SECONDS: u64 = 10;

/// The longest that a webhook may take.
const MAX_SECONDS: u64 = 30;

/// Why a webhook could not be asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// It took too long.
    #[error("context deadline exceeded")]
    Deadline,
    /// It is a service of the cluster.
    #[error(
        "service {namespace}/{name} is not reached from here: the network of the cluster is not \
         served; name a clientConfig.url instead"
    )]
    Service {
        /// The service's namespace.
        namespace: String,
        /// The service's name.
        name: String,
    },
    /// Its address cannot be used.
    #[error("{0}")]
    Address(String),
    /// The authority's certificates cannot be read.
    #[error("the caBundle cannot be used: {0}")]
    Authority(String),
    /// The connection failed.
    #[error("{0}")]
    Connection(String),
    /// It answered with an error of HTTP.
    #[error("the server answered {0}")]
    Answered(http::StatusCode),
    /// Its answer is no JSON.
    #[error("the answer is no JSON: {0}")]
    Json(String),
}

/// How a webhook is reached.
#[derive(Debug)]
pub(super) struct Target {
    url: http::Uri,
    authority: String,
    seconds: u64,
}

impl Target {
    /// Reads a webhook's `clientConfig`.
    pub(super) fn of(hook: &Value) -> Result<Self, CallError> {
        let config = &hook["clientConfig"];
        let seconds = hook["timeoutSeconds"].as_u64().unwrap_or(DEFAULT_SECONDS);
        if !config["service"].is_null() {
            let text = |field: &str| config["service"][field].as_str().unwrap_or("").to_owned();
            return Err(CallError::Service { namespace: text("namespace"), name: text("name") });
        }
        let url = config["url"].as_str().unwrap_or("");
        let url = url.parse().map_err(|error| CallError::Address(format!("{url:?}: {error}")))?;
        let authority = config["caBundle"].as_str().unwrap_or("").to_owned();
        Ok(Self { url, authority, seconds: seconds.clamp(1, MAX_SECONDS) })
    }

    /// Returns the request as messages name it.
    pub(super) fn shown(&self) -> String {
        format!("Post \"{}?timeout={}s\"", self.url, self.seconds)
    }

    /// Sends a review and returns the answer.
    pub(super) async fn call(&self, review: &Value) -> Result<Value, CallError> {
        let limit = Duration::from_secs(self.seconds);
        tokio::time::timeout(limit, self.post(review)).await.map_err(|_| CallError::Deadline)?
    }

    async fn post(&self, review: &Value) -> Result<Value, CallError> {
        let failed = |error: &dyn std::error::Error| {
            let mut text = error.to_string();
            let mut source = error.source();
            while let Some(cause) = source {
                text.push_str(&format!(": {cause}"));
                source = cause.source();
            }
            CallError::Connection(text)
        };
        let host = self.url.host().unwrap_or("");
        let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = self.url.port_u16().unwrap_or(443);
        let server = ServerName::try_from(name.clone())
            .map_err(|error| CallError::Address(format!("{host:?}: {error}")))?;
        let connector = TlsConnector::from(Arc::new(self.tls()?));
        let stream = TcpStream::connect((&*name, port)).await.map_err(|error| failed(&error))?;
        let stream = connector.connect(server, stream).await.map_err(|error| failed(&error))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| failed(&error))?;
        // The connection ends with the answer; its errors are those of the request.
        let driver = tokio::spawn(connection);
        let answer = async {
            let path = match self.url.path() {
                "" => "/",
                path => path,
            };
            let request = http::Request::post(format!("{path}?timeout={}s", self.seconds))
                .header(HOST, self.url.authority().map_or("", http::uri::Authority::as_str))
                .header(CONTENT_TYPE, "application/json")
                .header(ACCEPT, "application/json")
                .header(USER_AGENT, "kube-apiserver-admission")
                .body(Full::new(Bytes::from(review.to_string())))
                .map_err(|error| failed(&error))?;
            let reply = sender.send_request(request).await.map_err(|error| failed(&error))?;
            if !reply.status().is_success() {
                return Err(CallError::Answered(reply.status()));
            }
            let body = Limited::new(reply.into_body(), MAX_ANSWER_BYTES)
                .collect()
                .await
                .map_err(|error| CallError::Connection(error.to_string()))?;
            serde_json::from_slice(&body.to_bytes())
                .map_err(|error| CallError::Json(error.to_string()))
        }
        .await;
        driver.abort();
        answer
    }

    fn tls(&self) -> Result<ClientConfig, CallError> {
        let refuse = |error: &dyn std::fmt::Display| CallError::Authority(error.to_string());
        if self.authority.is_empty() {
            return client_config(Trust::Machine).map_err(|error| refuse(&error));
        }
        let pem = STANDARD.decode(&self.authority).map_err(|error| refuse(&error))?;
        client_config(Trust::Only(&pem)).map_err(|error| refuse(&error))
    }
}
