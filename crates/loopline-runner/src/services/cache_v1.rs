//! The older cache protocol: REST below `_apis/artifactcache`, which clients before version 4 of
//! `@actions/cache` speak.
//!
//! An archive comes in pieces at offsets, under a number that was reserved for it; entries and
//! their rules are those of [`super::cache_calls`].

use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;

use fs_err as fs;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode, header};
use serde_json::{Value, json};

use super::cache_calls::{MAX_RESTORE_KEYS, reference};
use super::http::{self, Answer, Content};
use super::server::{MAX_BODY_BYTES, Shared, decode, lock};
use super::storage::StorageError;
use super::uploads::Target;

/// How many bits a reserved number has: a JavaScript number holds it exactly.
const NUMBER_BITS: u32 = 52;

/// Answers a request whose path ends in `rest` and whose token was looked at.
pub(super) async fn answer(shared: &Shared, rest: &str, request: Request<Incoming>) -> Answer {
    let method = request.method().clone();
    let (resource, id) = match rest.split_once('/') {
        Some((resource, id)) => (resource, Some(id)),
        None => (rest, None),
    };
    match (resource, id, method) {
        ("cache", None, Method::GET) => {
            let query = request.uri().query().unwrap_or_default();
            let parameter = |name: &str| {
                query
                    .split('&')
                    .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
                    .map(decode)
            };
            match (parameter("keys"), parameter("version")) {
                (Some(keys), Some(version)) => told(find(shared, &keys, &version)),
                _ => problem(StatusCode::BAD_REQUEST, "keys and version are needed"),
            }
        }
        ("caches", None, Method::POST) => match http::read_json(request.into_body()).await {
            Some(body) => told(reserve(shared, &body)),
            None => problem(StatusCode::BAD_REQUEST, "the body is no JSON object"),
        },
        ("caches", Some(id), Method::PATCH) => piece(shared, id, request).await,
        ("caches", Some(id), Method::POST) => match http::read_json(request.into_body()).await {
            Some(body) => told(commit(shared, id, &body)),
            None => problem(StatusCode::BAD_REQUEST, "the body is no JSON object"),
        },
        _ => problem(StatusCode::NOT_FOUND, "Loopline serves no such address"),
    }
}

/// Returns an error as this protocol has them.
fn problem(status: StatusCode, message: &str) -> Answer {
    http::json(status, &json!({ "message": message, "typeKey": "LooplineException" }))
}

fn told(result: Result<Answer, StorageError>) -> Answer {
    result.unwrap_or_else(|error| {
        let status = match error {
            StorageError::Exists(_) => StatusCode::CONFLICT,
            StorageError::Name(_) | StorageError::OverQuota { .. } => StatusCode::BAD_REQUEST,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        problem(status, &error.to_string())
    })
}

fn nothing() -> Answer {
    let mut answer = Answer::new(Content::text(""));
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}

/// Finds an entry; `keys` is the key and then the restore keys, with commas between them.
fn find(shared: &Shared, keys: &str, version: &str) -> Result<Answer, StorageError> {
    let mut keys = keys.split(',').map(str::to_owned);
    let key = keys.next().unwrap_or_default();
    let restore_keys: Vec<String> = keys.take(MAX_RESTORE_KEYS).collect();
    let session = &shared.session;
    let Some(entry) = session.caches.find(&session.scope, &key, &restore_keys, version)? else {
        return Ok(nothing());
    };
    Ok(http::json(
        StatusCode::OK,
        &json!({
            "cacheKey": entry.key,
            "scope": entry.scope,
            "cacheVersion": entry.version,
            "creationTime": entry.created,
            "archiveLocation": shared.download_address("cache", &reference(&entry)),
        }),
    ))
}

fn reserve(shared: &Shared, body: &Value) -> Result<Answer, StorageError> {
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let (Some(key), Some(version)) = (text("key"), text("version")) else {
        return Ok(problem(StatusCode::BAD_REQUEST, "key and version are needed"));
    };
    super::disk::check_key(key)?;
    let session = &shared.session;
    if session.caches.has(&session.scope, key, version)? {
        return Err(StorageError::Exists(format!("cache {key}")));
    }
    let mut random = [0; 8];
    session.clock.fill_random(&mut random);
    let number = u64::from_ne_bytes(random) >> (u64::BITS - NUMBER_BITS);
    let target = Target::Cache { key: key.to_owned(), version: version.to_owned() };
    let folder = session.caches.staging()?;
    if !lock(&shared.uploads).begin(number.to_string(), target, folder) {
        return Ok(problem(StatusCode::TOO_MANY_REQUESTS, "too many uploads"));
    }
    Ok(http::json(StatusCode::CREATED, &json!({ "cacheId": number })))
}

/// Takes a piece of an archive at the offset its `Content-Range` names.
async fn piece(shared: &Shared, id: &str, request: Request<Incoming>) -> Answer {
    let upload = lock(&shared.uploads).get(id).cloned();
    let Some(upload) = upload else {
        return problem(StatusCode::NOT_FOUND, "no such upload");
    };
    let range = request.headers().get(header::CONTENT_RANGE).and_then(|it| it.to_str().ok());
    let Some((start, end)) = range.and_then(parse_range) else {
        return problem(StatusCode::BAD_REQUEST, "Content-Range must be `bytes START-END/*`");
    };
    if end > MAX_BODY_BYTES {
        return problem(StatusCode::BAD_REQUEST, "the archive is too large");
    }
    match save(request.into_body(), &upload.file(), start, end - start).await {
        Ok(true) => nothing(),
        Ok(false) => problem(StatusCode::BAD_REQUEST, "the piece is not as long as announced"),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// Reads `bytes START-END/*` and returns the start and the end (exclusive).
fn parse_range(range: &str) -> Option<(u64, u64)> {
    let (range, _) = range.strip_prefix("bytes ")?.split_once('/')?;
    let (start, last) = range.split_once('-')?;
    let (start, last) = (start.parse::<u64>().ok()?, last.parse::<u64>().ok()?);
    (start <= last).then(|| (start, last.saturating_add(1)))
}

/// Writes a body at an offset; returns whether it was exactly `length` bytes.
async fn save(mut body: Incoming, path: &Path, offset: u64, length: u64) -> std::io::Result<bool> {
    let mut file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    let mut written = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Ok(false) };
        if let Some(data) = frame.data_ref() {
            let next = written + data.len() as u64;
            if next > length {
                return Ok(false);
            }
            file.seek(SeekFrom::Start(offset + written))?;
            file.write_all(data)?;
            written = next;
        }
    }
    Ok(written == length)
}

fn commit(shared: &Shared, id: &str, body: &Value) -> Result<Answer, StorageError> {
    let upload = lock(&shared.uploads).remove(id);
    let Some(upload) = upload else {
        return Ok(problem(StatusCode::NOT_FOUND, "no such upload"));
    };
    let Target::Cache { key, version } = &upload.target else {
        return Ok(problem(StatusCode::NOT_FOUND, "no such upload"));
    };
    let file = upload.file();
    let size = fs::metadata(&file)?.len();
    if body.get("size").and_then(Value::as_u64) != Some(size) {
        upload.clean();
        let reason = "the uploaded file is not the one that was announced";
        return Ok(problem(StatusCode::BAD_REQUEST, reason));
    }
    let session = &shared.session;
    let stored = session.caches.put(&session.scope, key, version, &file);
    upload.clean();
    stored.map(|_| nothing())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ranges() {
        for (range, expected) in [
            ("bytes 0-9/*", Some((0, 10))),
            ("bytes 5-5/100", Some((5, 6))),
            ("bytes 9-3/*", None),
            ("bytes 0-9", None),
            ("0-9/*", None),
        ] {
            assert_eq!(parse_range(range), expected, "{range}");
        }
    }
}
