//! Manifests: what tags and digests mean.

use std::io::Read as _;

use http::header::{ACCEPT, CONTENT_TYPE, ETAG, LOCATION};
use http::{HeaderName, Request, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::json;

use super::Registry;
use super::blobs::CONTENT_DIGEST;
use super::reply::{self, Code, Failure, Reply};
use crate::digest::Digest;
use crate::registry::repository::Named;
use crate::store::MAX_DOCUMENT;

/// The header that says that what a manifest refers to was understood.
const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

/// `GET` and `HEAD /v2/NAME/manifests/REFERENCE`.
pub(super) async fn get(
    registry: &Registry,
    name: &str,
    named: &Named,
    request: &Request<Incoming>,
) -> Result<Reply, Failure> {
    let repository = registry.repository(name);
    if let Some(upstream) = &registry.0.upstream {
        upstream.fetch_manifest(registry.store(), &repository, name, named).await?;
    }
    let manifest = repository.manifest(named)?.ok_or_else(|| unknown(registry, name, named))?;
    if !accepts(request, &manifest.media_type) {
        let why = format!("it is a {}, which the request does not accept", manifest.media_type);
        return Err(Failure::new(404, Code::ManifestUnknown, why));
    }
    let mut bytes = Vec::new();
    let file = registry.store().open_blob(&manifest.digest)?;
    file.take(manifest.size.min(MAX_DOCUMENT)).read_to_end(&mut bytes)?;
    let mut reply = reply::bytes(&manifest.media_type, bytes);
    reply::set(&mut reply, CONTENT_DIGEST, manifest.digest.as_str());
    reply::set(&mut reply, ETAG, &format!("\"{}\"", manifest.digest));
    Ok(reply)
}

/// Says whether a request takes an answer of `media_type`; one that says nothing takes all.
fn accepts(request: &Request<Incoming>, media_type: &str) -> bool {
    let mut types = request
        .headers()
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|one| one.split(';').next().unwrap_or_default().trim())
        .filter(|one| !one.is_empty())
        .peekable();
    types.peek().is_none()
        || types.any(|one| one == media_type || one == "*/*" || one == "application/*")
}

/// `PUT /v2/NAME/manifests/REFERENCE`.
pub(super) async fn put(
    registry: &Registry,
    name: &str,
    named: Named,
    request: Request<Incoming>,
) -> Result<Reply, Failure> {
    let media_type = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(|value| value.split(';').next().unwrap_or_default().trim().to_owned());
    let limit = usize::try_from(MAX_DOCUMENT).unwrap_or(usize::MAX);
    let body = Limited::new(request.into_body(), limit).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            let why = format!("a manifest has {MAX_DOCUMENT} bytes at most");
            Failure::new(413, Code::ManifestInvalid, why)
        } else {
            Failure::new(400, Code::ManifestInvalid, format!("it did not come whole: {error}"))
        }
    })?;
    let bytes = body.to_bytes();
    let tag = match &named {
        Named::Tag(tag) => Some(tag.as_str()),
        Named::Digest(expected) => {
            let found = Digest::of(&bytes);
            if found != *expected {
                let why = format!("the manifest's digest is {found}");
                return Err(Failure::new(400, Code::DigestInvalid, why));
            }
            None
        }
    };
    let lease = registry.store().lease()?;
    let repository = registry.repository(name);
    let media_type = match media_type {
        Some(media_type) => media_type,
        None => return Err(Failure::new(400, Code::ManifestInvalid, "it has no Content-Type")),
    };
    let (digest, subject) = repository.put_manifest(&bytes, &media_type, tag, false, &lease)?;
    let mut reply = reply::empty(StatusCode::CREATED);
    reply::set(&mut reply, LOCATION, &format!("/v2/{name}/manifests/{digest}"));
    reply::set(&mut reply, CONTENT_DIGEST, digest.as_str());
    if let Some(subject) = subject {
        reply::set(&mut reply, SUBJECT, subject.as_str());
    }
    Ok(reply)
}

/// `DELETE /v2/NAME/manifests/REFERENCE`: a tag alone, or a manifest with its tags.
pub(super) fn delete(registry: &Registry, name: &str, named: &Named) -> Result<Reply, Failure> {
    if registry.repository(name).remove_manifest(named)? {
        Ok(reply::empty(StatusCode::ACCEPTED))
    } else {
        Err(unknown(registry, name, named))
    }
}

fn unknown(registry: &Registry, name: &str, named: &Named) -> Failure {
    if !registry.repository(name).exists() {
        return Failure::new(404, Code::NameUnknown, "there is no such repository")
            .detail(json!({ "name": name }));
    }
    let detail = match named {
        Named::Tag(tag) => json!({ "tag": tag }),
        Named::Digest(digest) => json!({ "digest": digest }),
    };
    Failure::new(404, Code::ManifestUnknown, "the repository has no such manifest").detail(detail)
}
