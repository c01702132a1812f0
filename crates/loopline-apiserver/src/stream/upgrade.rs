//! Switching a connection to another protocol.

use http::header::{CONNECTION, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY};
use http::header::{SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::http::Reply;
use crate::http::reply;
use crate::status::{Result, Status};

/// The largest WebSocket message that is taken: clients write the standard input of a command in
/// pieces of 32 KiB, some all at once.
const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;

/// How much a WebSocket connection keeps for writing before it waits.
const WRITE_BUFFER_BYTES: usize = 64 * 1024;

/// The header in which SPDY clients name the protocols they speak.
const STREAM_PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");

/// A WebSocket connection.
pub(super) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// What a client wants to switch to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    WebSocket,
    Spdy,
}

/// Returns what a client wants to switch to.
///
/// # Errors
/// 400 where it wants nothing that is spoken here, in the API's words.
pub(super) fn wanted(headers: &HeaderMap) -> Result<Wanted> {
    let mut protocols = words(headers, &UPGRADE);
    let asks =
        words(headers, &CONNECTION).iter().any(|option| option.eq_ignore_ascii_case("upgrade"));
    protocols.retain(|_| asks);
    for protocol in &protocols {
        if protocol.eq_ignore_ascii_case("websocket") {
            return Ok(Wanted::WebSocket);
        }
        if protocol.eq_ignore_ascii_case("spdy/3.1") {
            return Ok(Wanted::Spdy);
        }
    }
    if protocols.is_empty() {
        return Err(Status::bad_request("Upgrade request required"));
    }
    Err(Status::bad_request(format!("unable to upgrade: unsupported {:?}", protocols.join(", "))))
}

/// Returns the protocols that a client offers within the one it switches to, its favourite first.
pub(super) fn offered(headers: &HeaderMap, wanted: Wanted) -> Vec<String> {
    match wanted {
        Wanted::WebSocket => words(headers, &SEC_WEBSOCKET_PROTOCOL),
        Wanted::Spdy => words(headers, &STREAM_PROTOCOL),
    }
}

/// A connection that is about to switch.
pub(super) struct Switch {
    on: OnUpgrade,
}

/// Accepts a switch; returns the reply, and what the connection becomes.
///
/// # Errors
/// 400 for handshakes that are none, 500 for connections that cannot switch.
pub(super) fn accept(parts: &mut Parts, wanted: Wanted, protocol: &str) -> Result<(Reply, Switch)> {
    let mut reply = reply::raw(101, "", Vec::new());
    *reply.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = reply.headers_mut();
    headers.clear();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    let name = match wanted {
        Wanted::WebSocket => {
            if parts.headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
                return Err(Status::bad_request("the WebSocket version is not 13"));
            }
            let key = parts
                .headers
                .get(SEC_WEBSOCKET_KEY)
                .ok_or_else(|| Status::bad_request("the WebSocket key is missing"))?;
            let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes()))
                .map_err(Status::internal)?;
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
            SEC_WEBSOCKET_PROTOCOL
        }
        Wanted::Spdy => {
            headers.insert(UPGRADE, HeaderValue::from_static("SPDY/3.1"));
            STREAM_PROTOCOL
        }
    };
    if !protocol.is_empty() {
        headers.insert(name, HeaderValue::from_str(protocol).map_err(Status::internal)?);
    }
    let on = parts
        .extensions
        .remove::<OnUpgrade>()
        .ok_or_else(|| Status::internal("this connection cannot switch protocols"))?;
    Ok((reply, Switch { on }))
}

impl Switch {
    /// Returns the connection's bytes.
    pub(super) async fn raw(self) -> std::result::Result<TokioIo<Upgraded>, hyper::Error> {
        Ok(TokioIo::new(self.on.await?))
    }

    /// Returns the connection's messages.
    pub(super) async fn socket(self) -> std::result::Result<Socket, hyper::Error> {
        let config = WebSocketConfig::default()
            .read_buffer_size(WRITE_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(WRITE_BUFFER_BYTES * 2)
            .max_message_size(Some(MAX_MESSAGE_BYTES))
            .max_frame_size(Some(MAX_MESSAGE_BYTES));
        let io = self.raw().await?;
        Ok(WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await)
    }
}

/// Returns the elements of a header that is a list, over all lines it was given in.
fn words(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|word| word.trim().to_owned())
        .filter(|word| !word.is_empty())
        .collect()
}
