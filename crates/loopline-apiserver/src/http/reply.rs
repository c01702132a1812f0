//! Replies: bodies, headers, encodings.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, VARY, WARNING};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use serde_json::Value;

use crate::request::media::Encoding;
use crate::status::Status;

/// The body of a reply. It fails where what it is passed on from does.
pub type Body = UnsyncBoxBody<Bytes, tower::BoxError>;

/// A reply.
pub type Reply = http::Response<Body>;

/// Returns a body that is there as a whole.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    http_body_util::Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// Returns a reply with a JSON or YAML object.
pub(crate) fn object(code: u16, value: &Value, encoding: Encoding) -> Reply {
    let bytes = match encoding {
        Encoding::Json => json_bytes(value),
        Encoding::Yaml => super::text::yaml(value).into_bytes(),
    };
    raw(code, encoding.media_type(), bytes)
}

/// Returns a reply with an error.
pub(crate) fn error(status: &Status) -> Reply {
    let mut reply = raw(status.code, "application/json", json_bytes(&status.to_value()));
    reply.extensions_mut().insert(crate::auth::audit::Reason {
        reason: status.reason.to_string(),
        message: status.message.clone(),
    });
    if let Some(seconds) = status.details.retry_after_seconds {
        reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    reply
}

/// Returns a reply with bytes of a media type.
pub(crate) fn raw(code: u16, media_type: &str, bytes: Vec<u8>) -> Reply {
    let mut reply = http::Response::new(full(bytes));
    *reply.status_mut() =
        http::StatusCode::from_u16(code).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    let headers = reply.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    if let Ok(media_type) = HeaderValue::from_str(media_type) {
        headers.insert(CONTENT_TYPE, media_type);
    }
    reply
}

/// Adds warnings as headers: `299 - "text"`, quotes and backslashes escaped.
pub(crate) fn warn(reply: &mut Reply, warnings: &[String]) {
    for warning in warnings {
        let mut text = String::from("299 - \"");
        for char in warning.chars() {
            match char {
                '"' | '\\' => text.extend(['\\', char]),
                char if char.is_control() => text.push(' '),
                char => text.push(char),
            }
        }
        text.push('"');
        if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
            reply.headers_mut().append(WARNING, value);
        }
    }
}

/// Returns a value as JSON.
pub(crate) fn json_bytes(value: &Value) -> Vec<u8> {
    // A JSON value always has a JSON text: its keys are strings and its numbers are finite.
    let mut bytes = serde_json::to_vec(value).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}
