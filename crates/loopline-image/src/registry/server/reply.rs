//! Answers: bodies from memory or from files, and errors as the standard has them.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use hyper::body::Body as _;
use serde_json::{Value, json};

use crate::registry::body::Content;
use crate::registry::client::RegistryError;
use crate::registry::repository::ManifestError;
use crate::registry::text::chain;
use crate::store::StoreError;

/// What every handler returns.
pub(super) type Reply = Response<Content>;

/// Returns an answer without a body.
pub(super) fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(Content::Memory(Bytes::new()));
    *reply.status_mut() = status;
    reply
}

/// Returns a JSON answer.
pub(super) fn json(value: &Value) -> Reply {
    bytes("application/json", value.to_string())
}

/// Returns an answer of `media_type`.
pub(super) fn bytes(media_type: &str, bytes: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Content::Memory(bytes.into()));
    set(&mut reply, CONTENT_TYPE, media_type);
    reply
}

/// Sets a header; a value that cannot be one, which none of ours is, is left out.
pub(super) fn set(reply: &mut Reply, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        reply.headers_mut().insert(name, value);
    }
}

/// Adds what every answer has, and takes the body from one to `HEAD`.
pub(super) fn finish(reply: &mut Reply, head: bool) {
    let version = HeaderName::from_static("docker-distribution-api-version");
    set(reply, version, "registry/2.0");
    if !reply.headers().contains_key(CONTENT_LENGTH) && reply.status() != StatusCode::NO_CONTENT {
        let length = reply.body().size_hint().exact().unwrap_or_default();
        reply.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    if head {
        *reply.body_mut() = Content::Memory(Bytes::new());
    }
}

/// The standard's codes of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    SizeInvalid,
    Unauthorized,
    Unsupported,
    Unknown,
}

impl Code {
    const fn text(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::BlobUploadInvalid => "BLOB_UPLOAD_INVALID",
            Self::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            Self::ManifestInvalid => "MANIFEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameInvalid => "NAME_INVALID",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::SizeInvalid => "SIZE_INVALID",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Unsupported => "UNSUPPORTED",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// An error, as a client gets it.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    code: Code,
    message: String,
    detail: Option<Box<Value>>,
    headers: Vec<(HeaderName, String)>,
}

impl Failure {
    pub(super) fn new(
        status: impl TryInto<StatusCode>,
        code: Code,
        message: impl Into<String>,
    ) -> Self {
        let status = status.try_into().unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, code, message: message.into(), detail: None, headers: Vec::new() }
    }

    pub(super) fn not_found() -> Self {
        Self::new(404, Code::Unsupported, "the registry API has no such path")
    }

    pub(super) fn unauthorized(message: &str) -> Self {
        let challenge = "Basic realm=\"loopline registry\", charset=\"UTF-8\"";
        Self::new(401, Code::Unauthorized, message).with(WWW_AUTHENTICATE, challenge)
    }

    pub(super) fn with(mut self, header: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((header, value.into()));
        self
    }

    pub(super) fn detail(mut self, detail: Value) -> Self {
        self.detail = Some(Box::new(detail));
        self
    }

    pub(super) fn reply(self) -> Reply {
        let mut error = json!({ "code": self.code.text(), "message": self.message });
        if let Some(detail) = self.detail {
            error["detail"] = *detail;
        }
        let mut reply = json(&json!({ "errors": [error] }));
        *reply.status_mut() = self.status;
        for (name, value) in self.headers {
            set(&mut reply, name, &value);
        }
        reply
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let status = match &error {
            StoreError::Io(error) if error.kind() == std::io::ErrorKind::StorageFull => {
                StatusCode::INSUFFICIENT_STORAGE
            }
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, Code::Unknown, chain(&error))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        StoreError::from(error).into()
    }
}

impl From<ManifestError> for Failure {
    fn from(error: ManifestError) -> Self {
        match error {
            ManifestError::Invalid(_) => Self::new(400, Code::ManifestInvalid, error.to_string()),
            ManifestError::BlobUnknown(ref digest) => {
                let detail = json!({ "digest": digest });
                Self::new(404, Code::ManifestBlobUnknown, error.to_string()).detail(detail)
            }
            ManifestError::Store(error) => error.into(),
        }
    }
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, Code::Unknown, chain(&error))
    }
}
