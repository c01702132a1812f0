//! Lists: repositories, tags, and what refers to a manifest.

use http::header::{HeaderName, LINK};
use http::{Request, Response};
use hyper::body::Incoming;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use super::Registry;
use super::reply::{self, Code, Failure, Reply};
use crate::digest::Digest;
use crate::registry::body::Content;
use crate::registry::text::parameter;

/// The most entries of one page.
const MAX_PAGE: usize = 10_000;
/// The header that says that a filter was applied.
const FILTERS: HeaderName = HeaderName::from_static("oci-filters-applied");

/// `GET /v2/_catalog`.
pub(super) fn catalog(registry: &Registry, request: &Request<Incoming>) -> Result<Reply, Failure> {
    let top = registry.store().path("repositories");
    let names = crate::store::repositories(&top)?.into_iter().map(|(name, _)| name);
    // A repository whose manifests are all gone is none any more.
    let names = names.filter(|name| registry.repository(name).exists()).collect();
    page(names, request, "/v2/_catalog", |names| json!({ "repositories": names }))
}

/// `GET /v2/NAME/tags/list`.
pub(super) fn tags(
    registry: &Registry,
    name: &str,
    request: &Request<Incoming>,
) -> Result<Reply, Failure> {
    let repository = registry.repository(name);
    if !repository.exists() {
        return Err(Failure::new(404, Code::NameUnknown, "there is no such repository")
            .detail(json!({ "name": name })));
    }
    let path = format!("/v2/{name}/tags/list");
    page(repository.tags()?, request, &path, |tags| json!({ "name": name, "tags": tags }))
}

/// Returns the part of a sorted list that `n` and `last` ask for, and where the next one is.
fn page(
    all: Vec<String>,
    request: &Request<Incoming>,
    path: &str,
    shown: impl Fn(&[String]) -> serde_json::Value,
) -> Result<Reply, Failure> {
    let query = request.uri().query().unwrap_or_default();
    let count = match parameter(query, "n") {
        None => MAX_PAGE,
        Some(text) => match text.parse::<usize>() {
            Ok(count) => count.min(MAX_PAGE),
            Err(_) => {
                let why = format!("n is `{text}`, which is no number of entries");
                return Err(Failure::new(400, Code::Unsupported, why));
            }
        },
    };
    let start = match parameter(query, "last") {
        Some(last) => all.partition_point(|entry| *entry <= last),
        None => 0,
    };
    let rest = &all[start..];
    let part = &rest[..rest.len().min(count)];
    let mut reply = reply::json(&shown(part));
    if let Some(last) = part.last()
        && part.len() < rest.len()
    {
        let last = utf8_percent_encode(last, NON_ALPHANUMERIC);
        let next = format!("<{path}?last={last}&n={count}>; rel=\"next\"");
        reply::set(&mut reply, LINK, &next);
    }
    Ok(reply)
}

/// `GET /v2/NAME/referrers/DIGEST`.
pub(super) fn referrers(
    registry: &Registry,
    name: &str,
    digest: &Digest,
    request: &Request<Incoming>,
) -> Result<Response<Content>, Failure> {
    let mut manifests = registry.repository(name).referrers(digest)?;
    let wanted = parameter(request.uri().query().unwrap_or_default(), "artifactType");
    if let Some(wanted) = &wanted {
        manifests.retain(|manifest| manifest["artifactType"] == wanted.as_str());
    }
    let media_type = "application/vnd.oci.image.index.v1+json";
    let index = json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": manifests });
    let mut reply = reply::bytes(media_type, index.to_string());
    if wanted.is_some() {
        reply::set(&mut reply, FILTERS, "artifactType");
    }
    Ok(reply)
}
