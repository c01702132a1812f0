//! The calls of `ArtifactService`.

use hyper::StatusCode;
use serde_json::{Value, json};

use super::http::{self, Answer, twirp};
use super::server::{Shared, internal, lock};
use super::storage::{Artifact, NewArtifact, StorageError};
use super::uploads::Target;

/// The type of an artifact whose client says nothing: what the older clients send.
const ZIP: &str = "application/zip";

/// Returns a field by either of the names that protobuf's JSON gives it.
pub(super) fn text<'b>(body: &'b Value, snake: &str, camel: &str) -> Option<&'b str> {
    let value = body.get(snake).or_else(|| body.get(camel))?;
    value.as_str().or_else(|| value.get("value").and_then(Value::as_str))
}

pub(super) fn call(shared: &Shared, method: &str, body: &Value) -> Answer {
    let own_run = text(body, "workflow_run_backend_id", "workflowRunBackendId");
    if own_run.is_some_and(|run| run != shared.session.run) {
        return twirp(StatusCode::FORBIDDEN, "permission_denied", "another run's artifacts");
    }
    let result = match method {
        "CreateArtifact" => create(shared, body),
        "FinalizeArtifact" => finalize(shared, body),
        "ListArtifacts" => list(shared, body),
        "GetSignedArtifactURL" => address(shared, body),
        "DeleteArtifact" => delete(shared, body),
        _ => return twirp(StatusCode::NOT_FOUND, "bad_route", "Loopline has no such method"),
    };
    result.unwrap_or_else(|error| match error {
        StorageError::Exists(_) => twirp(
            StatusCode::CONFLICT,
            "already_exists",
            "an artifact with this name already exists on the workflow run",
        ),
        StorageError::Name(_) | StorageError::OverQuota { .. } => {
            twirp(StatusCode::BAD_REQUEST, "invalid_argument", &error.to_string())
        }
        error => internal(&error),
    })
}

fn find(shared: &Shared, name: &str) -> Result<Option<Artifact>, StorageError> {
    let session = &shared.session;
    Ok(session.artifacts.list(&session.run)?.into_iter().find(|artifact| artifact.name == name))
}

fn missing_name() -> StorageError {
    StorageError::Name(String::new())
}

fn create(shared: &Shared, body: &Value) -> Result<Answer, StorageError> {
    let name = text(body, "name", "name").ok_or_else(missing_name)?;
    super::disk::check_artifact_name(name)?;
    if find(shared, name)?.is_some() {
        return Err(StorageError::Exists(name.to_owned()));
    }
    let target = Target::Artifact {
        name: name.to_owned(),
        mime_type: text(body, "mime_type", "mimeType").unwrap_or(ZIP).to_owned(),
        expires: text(body, "expires_at", "expiresAt").map(str::to_owned),
    };
    let secret = shared.session.clock.random_hex(32);
    let folder = shared.session.artifacts.staging()?;
    if !lock(&shared.uploads).begin(secret.clone(), target, folder) {
        return Ok(twirp(StatusCode::TOO_MANY_REQUESTS, "resource_exhausted", "too many uploads"));
    }
    let signed = format!("{}/blob/upload/{secret}?sig=own", shared.address);
    Ok(http::json(StatusCode::OK, &json!({ "ok": true, "signed_upload_url": signed })))
}

fn finalize(shared: &Shared, body: &Value) -> Result<Answer, StorageError> {
    let wanted = text(body, "name", "name").ok_or_else(missing_name)?;
    let upload = lock(&shared.uploads)
        .take(|target| matches!(target, Target::Artifact { name, .. } if name == wanted));
    let Some(upload) = upload else {
        return Ok(twirp(StatusCode::NOT_FOUND, "not_found", "no such upload"));
    };
    let file = upload.file();
    let size = fs_err::metadata(&file)?.len();
    let said = body.get("size").and_then(|size| {
        size.as_u64().or_else(|| size.as_str().and_then(|size| size.parse().ok()))
    });
    let hash = text(body, "hash", "hash").map(str::to_owned);
    let differs = match hash {
        Some(hash) => super::disk::digest(&file)? != hash,
        None => false,
    };
    if said.is_some_and(|said| said != size) || differs {
        upload.clean();
        let reason = "the uploaded file is not the one that was announced";
        return Ok(twirp(StatusCode::BAD_REQUEST, "failed_precondition", reason));
    }
    let Target::Artifact { name, mime_type, expires } = &upload.target else {
        return Ok(twirp(StatusCode::NOT_FOUND, "not_found", "no such upload"));
    };
    let new = NewArtifact {
        run: &shared.session.run,
        job: &shared.session.job,
        name,
        mime_type,
        expires: expires.as_deref(),
        overwrite: false,
    };
    let stored = shared.session.artifacts.put(new, &file);
    upload.clean();
    let artifact = stored?;
    (shared.session.on_stored)(&artifact);
    let id = artifact.id.to_string();
    Ok(http::json(StatusCode::OK, &json!({ "ok": true, "artifact_id": id })))
}

fn list(shared: &Shared, body: &Value) -> Result<Answer, StorageError> {
    let name = text(body, "name_filter", "nameFilter");
    let id = text(body, "id_filter", "idFilter");
    let session = &shared.session;
    let artifacts: Vec<Value> = session
        .artifacts
        .list(&session.run)?
        .into_iter()
        .filter(|artifact| name.is_none_or(|name| artifact.name == name))
        .filter(|artifact| id.is_none_or(|id| artifact.id.to_string() == id))
        .map(|artifact| {
            json!({
                "workflow_run_backend_id": artifact.run,
                "workflow_job_run_backend_id": artifact.job,
                "database_id": artifact.id.to_string(),
                "name": artifact.name,
                "size": artifact.size_bytes.to_string(),
                "created_at": artifact.created,
                "digest": artifact.digest,
            })
        })
        .collect();
    Ok(http::json(StatusCode::OK, &json!({ "artifacts": artifacts })))
}

fn address(shared: &Shared, body: &Value) -> Result<Answer, StorageError> {
    let name = text(body, "name", "name").ok_or_else(missing_name)?;
    let Some(artifact) = find(shared, name)? else {
        return Ok(twirp(StatusCode::NOT_FOUND, "not_found", "no artifact of this name"));
    };
    let signed = shared.download_address("artifact", &artifact.id.to_string());
    Ok(http::json(StatusCode::OK, &json!({ "signed_url": signed })))
}

fn delete(shared: &Shared, body: &Value) -> Result<Answer, StorageError> {
    let name = text(body, "name", "name").ok_or_else(missing_name)?;
    let Some(artifact) = shared.session.artifacts.delete(&shared.session.run, name)? else {
        return Ok(twirp(StatusCode::NOT_FOUND, "not_found", "no artifact of this name"));
    };
    let id = artifact.id.to_string();
    Ok(http::json(StatusCode::OK, &json!({ "ok": true, "artifact_id": id })))
}

pub(super) fn download(shared: &Shared, id: &str, range: Option<&str>, head: bool) -> Answer {
    let session = &shared.session;
    let all = match session.artifacts.list(&session.run) {
        Ok(all) => all,
        Err(error) => return internal(&error),
    };
    let Some(artifact) = all.into_iter().find(|artifact| artifact.id.to_string() == id) else {
        return twirp(StatusCode::NOT_FOUND, "not_found", "the artifact is gone");
    };
    http::file(&session.artifacts.file(&artifact), range, &artifact.mime_type, head)
}
