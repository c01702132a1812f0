//! HTTP to registries: connections that are kept, bodies that are watched.

use std::collections::HashMap;
use std::io::{self, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use fs_err as fs;
use http::header::{CONTENT_LENGTH, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Response, Uri};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::error::Cause;
use crate::registry::body::Content;
use crate::registry::text::chain;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(30);
/// How long an answer may take to begin: a registry may have to write what it got to its disk.
const ANSWER: Duration = Duration::from_secs(300);
/// How long a body may say nothing.
const SILENCE: Duration = Duration::from_secs(60);
/// The most connections to one registry that wait for their next use.
const MAX_IDLE: usize = 8;
/// The largest answer that is read into memory.
const MAX_ANSWER: usize = 4 * 1024 * 1024;
/// The buffer of a connection.
const BUFFER_BYTES: usize = 512 * 1024;

/// A machine, and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    pub(super) encrypted: bool,
    pub(super) host: String,
    pub(super) port: u16,
}

impl Origin {
    pub(super) fn of(uri: &Uri) -> Result<Self, Cause> {
        let bad = |why: &str| Cause::Address { address: uri.to_string(), why: why.to_owned() };
        let encrypted = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(bad("it begins with neither https:// nor http://")),
        };
        let host =
            uri.host().filter(|host| !host.is_empty()).ok_or_else(|| bad("it has no host"))?;
        let port = uri.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
        Ok(Self { encrypted, host: host.to_owned(), port })
    }

    pub(super) fn shown(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Says whether it is this machine itself.
    pub(super) fn is_here(&self) -> bool {
        is_loopback(&self.host)
    }
}

/// Says whether a host's name means this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    let name = host.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|it| it.is_loopback())
}

/// What is sent with a request; it can be sent again.
#[derive(Clone, Debug)]
pub(super) enum Payload {
    Empty,
    Bytes(Bytes),
    File { path: PathBuf, offset: u64, length: u64 },
}

impl Payload {
    fn length(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { length, .. } => *length,
        }
    }

    fn body(&self) -> io::Result<Content> {
        Ok(match self {
            Self::Empty => Content::Memory(Bytes::new()),
            Self::Bytes(bytes) => Content::Memory(bytes.clone()),
            Self::File { path, offset, length } => {
                let mut file = fs::File::open(path)?;
                file.seek(SeekFrom::Start(*offset))?;
                Content::File { file, left: *length }
            }
        })
    }
}

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) payload: Payload,
}

/// An answer whose body is still to come.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) response: Response<Incoming>,
    pub(super) origin: Origin,
}

impl Answer {
    /// Returns a header, if it is there and readable.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// Returns the next piece of the body; nothing at its end.
    pub(super) async fn piece(&mut self) -> Result<Option<Bytes>, Cause> {
        loop {
            let frame = tokio::time::timeout(SILENCE, self.response.frame()).await;
            let frame =
                frame.map_err(|_| Cause::Stalled { host: self.origin.shown(), limit: SILENCE })?;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => {
                    let why = chain(&error);
                    return Err(Cause::Broken { host: self.origin.shown(), why });
                }
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// Returns the whole body, of which there must not be much.
    pub(super) async fn whole(self) -> Result<Bytes, Cause> {
        let host = self.origin.shown();
        let body = Limited::new(self.response.into_body(), MAX_ANSWER).collect();
        match tokio::time::timeout(SILENCE, body).await {
            Err(_) => Err(Cause::Stalled { host, limit: SILENCE }),
            Ok(Err(error)) => Err(Cause::Broken { host, why: error.to_string() }),
            Ok(Ok(body)) => Ok(body.to_bytes()),
        }
    }

    /// Makes an error of an answer that is one, with what the registry says about it.
    pub(super) async fn refusal(self) -> Cause {
        let status = self.response.status();
        let body = self.whole().await.unwrap_or_default();
        Cause::Status { status, message: error_text(&body) }
    }
}

/// Returns what the body of an error says: the standard's messages, or the beginning of a text.
pub(super) fn error_text(body: &[u8]) -> String {
    /// How much of a text is shown.
    const MAX_TEXT: usize = 300;
    let shown = match serde_json::from_slice::<serde_json::Value>(body) {
        Ok(value) => {
            let errors = value["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
            let one = |error: &serde_json::Value| {
                let code = error["code"].as_str().unwrap_or_default();
                let message = error["message"].as_str().unwrap_or_default();
                match (code, message) {
                    ("", message) => message.to_owned(),
                    (code, "") => code.to_owned(),
                    (code, message) => format!("{code}: {message}"),
                }
            };
            let all: Vec<String> = errors.iter().map(one).filter(|it| !it.is_empty()).collect();
            let details = value["details"].as_str().or(value["message"].as_str());
            if all.is_empty() { details.unwrap_or_default().to_owned() } else { all.join("; ") }
        }
        Err(_) => String::from_utf8_lossy(body).trim().to_owned(),
    };
    // What comes from elsewhere may hold anything; a terminal gets text.
    shown.chars().filter(|it| !it.is_control()).take(MAX_TEXT).collect()
}

/// Connections to registries.
pub(super) struct Connections {
    tls: TlsConnector,
    idle: Mutex<HashMap<Origin, Vec<SendRequest<Content>>>>,
}

impl Connections {
    pub(super) fn new(tls: Arc<ClientConfig>) -> Self {
        Self { tls: TlsConnector::from(tls), idle: Mutex::default() }
    }

    /// Sends a request and returns the answer, whatever it says. Redirects are the caller's.
    pub(super) async fn send(&self, asking: &Asking) -> Result<Answer, Cause> {
        let origin = Origin::of(&asking.uri)?;
        // A connection that waited may have been closed at the other end meanwhile.
        if let Some(sender) = self.take(&origin)
            && let Ok(answer) = self.send_on(sender, asking, &origin).await
        {
            return Ok(answer);
        }
        let sender = self.connect(&origin).await?;
        self.send_on(sender, asking, &origin).await
    }

    fn take(&self, origin: &Origin) -> Option<SendRequest<Content>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = idle.get_mut(origin)?;
        waiting.retain(|sender| !sender.is_closed());
        let ready = waiting.iter().position(SendRequest::is_ready)?;
        Some(waiting.swap_remove(ready))
    }

    async fn send_on(
        &self,
        mut sender: SendRequest<Content>,
        asking: &Asking,
        origin: &Origin,
    ) -> Result<Answer, Cause> {
        let broken = |why: String| Cause::Broken { host: origin.shown(), why };
        let path = asking.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = http::Request::new(asking.payload.body()?);
        *request.method_mut() = asking.method.clone();
        *request.uri_mut() = path.parse().map_err(|error| broken(format!("{error}")))?;
        *request.headers_mut() = asking.headers.clone();
        let headers = request.headers_mut();
        let authority = asking.uri.authority().map_or("", http::uri::Authority::as_str);
        headers
            .insert(HOST, HeaderValue::from_str(authority).map_err(|it| broken(it.to_string()))?);
        headers.insert(USER_AGENT, HeaderValue::from_static("loopline"));
        if !matches!(asking.method, Method::GET | Method::HEAD) {
            headers.insert(CONTENT_LENGTH, asking.payload.length().into());
        }
        let answer = tokio::time::timeout(ANSWER, sender.send_request(request)).await;
        let answer = answer.map_err(|_| Cause::Stalled { host: origin.shown(), limit: ANSWER })?;
        let response = answer.map_err(|error| broken(chain(&error)))?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = idle.entry(origin.clone()).or_default();
        waiting.retain(|sender| !sender.is_closed());
        if waiting.len() < MAX_IDLE {
            waiting.push(sender);
        }
        drop(idle);
        Ok(Answer { response, origin: origin.clone() })
    }

    async fn connect(&self, origin: &Origin) -> Result<SendRequest<Content>, Cause> {
        let failed = |source: io::Error| Cause::Connect { host: origin.shown(), source };
        let late = |_| failed(io::Error::new(io::ErrorKind::TimedOut, "no answer in 30 s"));
        let host = origin.host.trim_start_matches('[').trim_end_matches(']');
        let connecting = TcpStream::connect((host, origin.port));
        let stream = tokio::time::timeout(CONNECT, connecting).await.map_err(late)?;
        let stream = stream.map_err(failed)?;
        let _ = stream.set_nodelay(true);
        if !origin.encrypted {
            return self.shake_hands(stream, origin).await;
        }
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| Cause::Address { address: origin.shown(), why: error.to_string() })?;
        let encrypting = self.tls.connect(name, stream);
        let stream = tokio::time::timeout(CONNECT, encrypting).await.map_err(late)?;
        self.shake_hands(stream.map_err(failed)?, origin).await
    }

    async fn shake_hands<S>(
        &self,
        stream: S,
        origin: &Origin,
    ) -> Result<SendRequest<Content>, Cause>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = hyper::client::conn::http1::Builder::new();
        builder.max_buf_size(BUFFER_BYTES);
        let made = builder.handshake(TokioIo::new(stream)).await;
        let (sender, connection) =
            made.map_err(|error| Cause::Broken { host: origin.shown(), why: chain(&error) })?;
        // It ends with its last request; its errors are those of the request.
        tokio::spawn(connection);
        Ok(sender)
    }
}

/// Returns where `location` leads from `base`.
pub(super) fn join(base: &Uri, location: &str) -> Result<Uri, Cause> {
    let bad = |why: String| Cause::Protocol(format!("Location is `{location}`: {why}"));
    if location.split_once("://").is_some_and(|(scheme, _)| !scheme.contains(['/', '?'])) {
        return location.parse().map_err(|error| bad(format!("{error}")));
    }
    let scheme = base.scheme_str().unwrap_or("https");
    let authority = base.authority().map_or("", http::uri::Authority::as_str);
    let text = if let Some(rest) = location.strip_prefix("//") {
        format!("{scheme}://{rest}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else if location.starts_with('?') {
        format!("{scheme}://{authority}{}{location}", base.path())
    } else {
        let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{location}")
    };
    text.parse().map_err(|error| bad(format!("{error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_joined() {
        let base: Uri = "https://r.example:5000/v2/a/blobs/uploads/x?y=1".parse().expect("a URI");
        for (location, expected) in [
            ("https://cdn.example/b?c", "https://cdn.example/b?c"),
            ("//cdn.example/b", "https://cdn.example/b"),
            ("/v2/b?state=1", "https://r.example:5000/v2/b?state=1"),
            ("ftp://cdn.example/b", "ftp://cdn.example/b"),
            ("?z", "https://r.example:5000/v2/a/blobs/uploads/x?z"),
            ("z", "https://r.example:5000/v2/a/blobs/uploads/z"),
        ] {
            assert_eq!(join(&base, location).expect(location).to_string(), expected);
        }
    }

    #[test]
    fn errors_are_read() {
        let body = br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"no \u001b[31msuch"},{"code":"DENIED"}]}"#;
        assert_eq!(error_text(body), "MANIFEST_UNKNOWN: no [31msuch; DENIED");
        assert_eq!(error_text(b"<html>\n"), "<html>");
        assert_eq!(error_text(br#"{"details":"wrong password"}"#), "wrong password");
    }
}
