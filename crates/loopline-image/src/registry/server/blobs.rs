//! Downloads of blobs.

use std::io::{Seek as _, SeekFrom};

use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, RANGE};
use http::{HeaderName, Request, StatusCode};
use hyper::body::Incoming;
use serde_json::json;

use super::Registry;
use super::reply::{self, Code, Failure, Reply};
use crate::digest::Digest;
use crate::registry::body::Content;
use crate::registry::text::{self, Range};

/// The header that names a blob or manifest.
pub(super) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// `GET` and `HEAD /v2/NAME/blobs/DIGEST`.
pub(super) async fn get(
    registry: &Registry,
    name: &str,
    digest: &Digest,
    request: &Request<Incoming>,
) -> Result<Reply, Failure> {
    let repository = registry.repository(name);
    let mut size = repository.blob(digest)?;
    if size.is_none()
        && let Some(upstream) = &registry.0.upstream
    {
        upstream.fetch_blob(registry.store(), &repository, name, digest).await?;
        size = repository.blob(digest)?;
    }
    let size = size.ok_or_else(|| unknown(digest))?;
    let asked = request.headers().get(RANGE).and_then(|range| range.to_str().ok());
    let range = asked.map_or(Range::All, |asked| text::range(asked, size));
    let (start, end) = match range {
        Range::All => (0, size),
        Range::Part(start, end) => (start, end),
        Range::Beyond => {
            let why = format!("the blob has {size} bytes");
            return Err(Failure::new(416, Code::SizeInvalid, why)
                .with(CONTENT_RANGE, format!("bytes */{size}")));
        }
    };
    let mut file = registry.store().open_blob(digest).map_err(|error| match error {
        crate::store::StoreError::NoBlob(_) => unknown(digest),
        other => other.into(),
    })?;
    file.seek(SeekFrom::Start(start))?;
    let mut reply = http::Response::new(Content::File { file, left: end - start });
    reply.headers_mut().insert(CONTENT_LENGTH, (end - start).into());
    reply::set(&mut reply, CONTENT_TYPE, "application/octet-stream");
    reply::set(&mut reply, ACCEPT_RANGES, "bytes");
    reply::set(&mut reply, CONTENT_DIGEST, digest.as_str());
    reply::set(&mut reply, ETAG, &format!("\"{digest}\""));
    if range != Range::All {
        *reply.status_mut() = StatusCode::PARTIAL_CONTENT;
        reply::set(&mut reply, CONTENT_RANGE, &format!("bytes {start}-{}/{size}", end - 1));
    }
    Ok(reply)
}

/// `DELETE /v2/NAME/blobs/DIGEST`.
pub(super) fn delete(registry: &Registry, name: &str, digest: &Digest) -> Result<Reply, Failure> {
    if registry.repository(name).remove_blob(digest)? {
        Ok(reply::empty(StatusCode::ACCEPTED))
    } else {
        Err(unknown(digest))
    }
}

fn unknown(digest: &Digest) -> Failure {
    Failure::new(404, Code::BlobUnknown, "the repository has no such blob")
        .detail(json!({ "digest": digest }))
}
