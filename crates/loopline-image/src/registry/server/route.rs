//! Which of the API's paths a request means.

use percent_encoding::percent_decode_str;

use super::reply::{Code, Failure};
use crate::digest::Digest;
use crate::reference::{is_repository, is_tag};
use crate::registry::repository::Named;

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Version,
    Catalog,
    Tags(String),
    Referrers(String, Digest),
    Manifest(String, Named),
    Blob(String, Digest),
    Uploads(String),
    Upload(String, String),
}

impl Route {
    /// Reads a path.
    pub(super) fn of(path: &str) -> Result<Self, Failure> {
        let path = percent_decode_str(path).decode_utf8();
        let path = path.map_err(|_| Failure::not_found())?;
        let Some(rest) = path.strip_prefix("/v2") else { return Err(Failure::not_found()) };
        if rest.is_empty() || rest == "/" {
            return Ok(Self::Version);
        }
        let Some(rest) = rest.strip_prefix('/') else { return Err(Failure::not_found()) };
        if rest == "_catalog" {
            return Ok(Self::Catalog);
        }
        if let Some(name) = rest.strip_suffix("/tags/list") {
            return Ok(Self::Tags(repository(name)?));
        }
        if let Some(name) =
            rest.strip_suffix("/blobs/uploads/").or_else(|| rest.strip_suffix("/blobs/uploads"))
        {
            return Ok(Self::Uploads(repository(name)?));
        }
        // What comes last has no slash, and a repository may be called like a part of the API.
        let Some((before, last)) = rest.rsplit_once('/') else { return Err(Failure::not_found()) };
        if let Some(name) = before.strip_suffix("/blobs/uploads") {
            return Ok(Self::Upload(repository(name)?, last.to_owned()));
        }
        if let Some(name) = before.strip_suffix("/blobs") {
            return Ok(Self::Blob(repository(name)?, digest(last)?));
        }
        if let Some(name) = before.strip_suffix("/referrers") {
            return Ok(Self::Referrers(repository(name)?, digest(last)?));
        }
        if let Some(name) = before.strip_suffix("/manifests") {
            let name = repository(name)?;
            if last.contains(':') {
                return Ok(Self::Manifest(name, Named::Digest(digest(last)?)));
            }
            if is_tag(last) {
                return Ok(Self::Manifest(name, Named::Tag(last.to_owned())));
            }
            let why = format!("`{last}` is neither a tag nor a digest");
            return Err(Failure::new(400, Code::ManifestInvalid, why));
        }
        Err(Failure::not_found())
    }
}

fn repository(name: &str) -> Result<String, Failure> {
    if is_repository(name) {
        Ok(name.to_owned())
    } else {
        Err(Failure::new(400, Code::NameInvalid, format!("`{name}` is no repository's name")))
    }
}

pub(super) fn digest(text: &str) -> Result<Digest, Failure> {
    text.parse().map_err(|error| Failure::new(400, Code::DigestInvalid, format!("{error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let digest = Digest::of(b"");
        let name = || "a/b".to_owned();
        for (path, route) in [
            ("/v2".to_owned(), Route::Version),
            ("/v2/".to_owned(), Route::Version),
            ("/v2/_catalog".to_owned(), Route::Catalog),
            ("/v2/a/b/tags/list".to_owned(), Route::Tags(name())),
            ("/v2/tags/list/tags/list".to_owned(), Route::Tags("tags/list".to_owned())),
            ("/v2/a/b/blobs/uploads/".to_owned(), Route::Uploads(name())),
            ("/v2/a/b/blobs/uploads/x-1".to_owned(), Route::Upload(name(), "x-1".to_owned())),
            (format!("/v2/a/b/blobs/{digest}"), Route::Blob(name(), digest.clone())),
            (
                format!("/v2/a/b/blobs/{}", digest.as_str().replace(':', "%3A")),
                Route::Blob(name(), digest.clone()),
            ),
            (format!("/v2/a/b/referrers/{digest}"), Route::Referrers(name(), digest.clone())),
            (
                "/v2/a/b/manifests/v1".to_owned(),
                Route::Manifest(name(), Named::Tag("v1".to_owned())),
            ),
            (
                format!("/v2/a/b/manifests/{digest}"),
                Route::Manifest(name(), Named::Digest(digest.clone())),
            ),
        ] {
            assert_eq!(Route::of(&path).ok(), Some(route), "{path}");
        }
        for path in [
            "/",
            "/v1/",
            "/v2x",
            "/v2/a",
            "/v2/a/../b/tags/list",
            "/v2/%2e%2e/b/tags/list",
            "/v2/A/tags/list",
            "/v2/a/blobs/sha256:00",
            "/v2/a/manifests/-x",
            "/v2/a/_tags/manifests/x",
        ] {
            assert!(Route::of(path).is_err(), "{path}");
        }
    }
}
