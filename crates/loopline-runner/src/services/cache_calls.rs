//! The calls of `CacheService`.

use hyper::StatusCode;
use serde_json::{Value, json};

use super::artifact_calls::text;
use super::http::{self, Answer, twirp};
use super::server::{Shared, internal, lock};
use super::storage::{CacheEntry, StorageError};
use super::uploads::Target;

/// How many restore keys a client may give (GitHub's limit of keys).
pub(super) const MAX_RESTORE_KEYS: usize = 10;

pub(super) fn call(shared: &Shared, method: &str, body: &Value) -> Answer {
    let (Some(key), Some(version)) = (text(body, "key", "key"), text(body, "version", "version"))
    else {
        return twirp(StatusCode::BAD_REQUEST, "invalid_argument", "key and version are needed");
    };
    let result = match method {
        "CreateCacheEntry" => create(shared, key, version),
        "FinalizeCacheEntryUpload" => finalize(shared, key, version, body),
        "GetCacheEntryDownloadURL" => find(shared, key, version, body),
        _ => return twirp(StatusCode::NOT_FOUND, "bad_route", "Loopline has no such method"),
    };
    result.unwrap_or_else(|error| match error {
        StorageError::Exists(_) => already_there(key),
        StorageError::Name(_) | StorageError::OverQuota { .. } => {
            twirp(StatusCode::BAD_REQUEST, "invalid_argument", &error.to_string())
        }
        error => internal(&error),
    })
}

fn already_there(key: &str) -> Answer {
    let message = format!("there is a cache entry for {key} already");
    http::json(StatusCode::OK, &json!({ "ok": false, "message": message }))
}

fn create(shared: &Shared, key: &str, version: &str) -> Result<Answer, StorageError> {
    super::disk::check_key(key)?;
    let session = &shared.session;
    if session.caches.has(&session.scope, key, version)? {
        return Ok(already_there(key));
    }
    let target = Target::Cache { key: key.to_owned(), version: version.to_owned() };
    let secret = session.clock.random_hex(32);
    let folder = session.caches.staging()?;
    if !lock(&shared.uploads).begin(secret.clone(), target, folder) {
        return Ok(twirp(StatusCode::TOO_MANY_REQUESTS, "resource_exhausted", "too many uploads"));
    }
    let signed = format!("{}/blob/upload/{secret}?sig=own", shared.address);
    Ok(http::json(StatusCode::OK, &json!({ "ok": true, "signed_upload_url": signed })))
}

fn finalize(
    shared: &Shared,
    wanted_key: &str,
    wanted_version: &str,
    body: &Value,
) -> Result<Answer, StorageError> {
    let upload = lock(&shared.uploads).take(|target| {
        matches!(target, Target::Cache { key, version }
            if key == wanted_key && version == wanted_version)
    });
    let Some(upload) = upload else {
        return Ok(twirp(StatusCode::NOT_FOUND, "not_found", "no such upload"));
    };
    let file = upload.file();
    let size = fs_err::metadata(&file)?.len();
    let said = body.get("size_bytes").or_else(|| body.get("sizeBytes")).and_then(|size| {
        size.as_u64().or_else(|| size.as_str().and_then(|size| size.parse().ok()))
    });
    if said.is_some_and(|said| said != size) {
        upload.clean();
        let reason = "the uploaded file is not the one that was announced";
        return Ok(twirp(StatusCode::BAD_REQUEST, "failed_precondition", reason));
    }
    let session = &shared.session;
    let stored = session.caches.put(&session.scope, wanted_key, wanted_version, &file);
    upload.clean();
    let id = stored?.id.to_string();
    Ok(http::json(StatusCode::OK, &json!({ "ok": true, "entry_id": id })))
}

fn find(shared: &Shared, key: &str, version: &str, body: &Value) -> Result<Answer, StorageError> {
    let restore_keys: Vec<String> = body
        .get("restore_keys")
        .or_else(|| body.get("restoreKeys"))
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .take(MAX_RESTORE_KEYS)
        .map(str::to_owned)
        .collect();
    let session = &shared.session;
    let Some(entry) = session.caches.find(&session.scope, key, &restore_keys, version)? else {
        return Ok(http::json(StatusCode::OK, &json!({ "ok": false })));
    };
    let signed = shared.download_address("cache", &reference(&entry));
    Ok(http::json(
        StatusCode::OK,
        &json!({ "ok": true, "signed_download_url": signed, "matched_key": entry.key }),
    ))
}

/// Returns what a download's address says of an entry: all that finds it again.
pub(super) fn reference(entry: &CacheEntry) -> String {
    use base64::Engine as _;
    let found = json!([entry.scope, entry.key, entry.version]);
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(found.to_string())
}

pub(super) fn download(shared: &Shared, id: &str, range: Option<&str>, head: bool) -> Answer {
    use base64::Engine as _;
    let found = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(id)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<(String, String, String)>(&bytes).ok());
    let Some((scope, key, version)) = found else {
        return twirp(StatusCode::NOT_FOUND, "not_found", "no such cache entry");
    };
    let session = &shared.session;
    let entry = CacheEntry {
        id: 0,
        repository: session.scope.repository.clone(),
        scope,
        key,
        version,
        size_bytes: 0,
        created: String::new(),
        used: String::new(),
    };
    http::file(&session.caches.file(&entry), range, "application/octet-stream", head)
}
