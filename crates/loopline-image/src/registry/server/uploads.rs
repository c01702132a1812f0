//! Uploads of blobs: whole, in pieces, resumed, or taken over from another repository.

use std::collections::HashMap;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fs_err as fs;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, LOCATION, RANGE};
use http::{HeaderName, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use loopline_clock::{Clock, Timestamp};

use super::Registry;
use super::blobs::CONTENT_DIGEST;
use super::reply::{self, Code, Failure, Reply};
use super::route::digest as read_digest;
use crate::digest::{Digest, Hasher};
use crate::reference::is_repository;
use crate::registry::text::{content_range, parameter};
use crate::store::{Store, StoreError, make_private, sync_folder};

/// How long an upload is kept to which nothing is added.
const MAX_IDLE: Duration = Duration::from_secs(24 * 60 * 60);
/// The most uploads at a time.
const MAX_UPLOADS: usize = 10_000;
/// How much is read at a time when an upload is found again after a restart.
const READ_BYTES: usize = 1024 * 1024;

const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// The uploads that are under way. Their bytes are in files, so that they outlive the process;
/// what is here is only what saves reading them again.
#[derive(Debug)]
pub(super) struct Uploads {
    folder: PathBuf,
    known: Mutex<HashMap<String, Shared>>,
}

type Shared = Arc<tokio::sync::Mutex<Option<Upload>>>;

/// An upload.
#[derive(Debug)]
struct Upload {
    path: PathBuf,
    file: fs::File,
    hasher: Hasher,
}

impl Upload {
    fn size(&self) -> u64 {
        self.hasher.bytes()
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        Ok(())
    }

    /// Opens an upload again that an earlier process began.
    fn open(path: PathBuf) -> io::Result<Self> {
        let mut file = fs::OpenOptions::new().read(true).write(true).open(&path)?;
        let mut hasher = Hasher::default();
        let mut buffer = vec![0; READ_BYTES];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                read => hasher.update(&buffer[..read]),
            }
        }
        file.seek(SeekFrom::End(0))?;
        Ok(Self { path, file, hasher })
    }
}

impl Uploads {
    pub(super) fn open(store: &Store) -> Result<Self, StoreError> {
        let folder = store.path("uploads");
        make_private(&folder)?;
        Ok(Self { folder, known: Mutex::default() })
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<String, Shared>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins an upload to the repository `name`.
    fn begin(&self, name: &str, clock: &Clock) -> Result<(String, Shared), Failure> {
        let mut known = self.known();
        if known.len() >= MAX_UPLOADS {
            let why = format!("{MAX_UPLOADS} uploads are under way");
            return Err(Failure::new(429, Code::Unknown, why));
        }
        let id = clock.uuid();
        let path = self.file(name, &id);
        let mut options = fs::OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).open(&path)?;
        let upload = Upload { path, file, hasher: Hasher::default() };
        let shared: Shared = Arc::new(tokio::sync::Mutex::new(Some(upload)));
        known.insert(id.clone(), Arc::clone(&shared));
        Ok((id, shared))
    }

    /// Finds an upload to the repository `name`.
    fn find(&self, name: &str, id: &str) -> Result<Shared, Failure> {
        let unknown =
            || Failure::new(404, Code::BlobUploadUnknown, "there is no such upload; begin anew");
        if id.is_empty() || !id.bytes().all(|it| it.is_ascii_hexdigit() || it == b'-') {
            return Err(unknown());
        }
        let path = self.file(name, id);
        let mut known = self.known();
        // An upload belongs to one repository, which its file's name says.
        if !path.exists() {
            return Err(unknown());
        }
        if let Some(shared) = known.get(id) {
            return Ok(Arc::clone(shared));
        }
        let upload = Upload::open(path)?;
        let shared: Shared = Arc::new(tokio::sync::Mutex::new(Some(upload)));
        known.insert(id.to_owned(), Arc::clone(&shared));
        Ok(shared)
    }

    fn file(&self, name: &str, id: &str) -> PathBuf {
        // Upload identifiers have no underscores, so the name ends at the last one.
        self.folder.join(format!("{}_{id}", name.replace('/', "+")))
    }

    fn forget(&self, id: &str) {
        self.known().remove(id);
    }

    /// Removes uploads that were given up.
    pub(super) fn expire(&self, clock: &Clock) -> Result<(), StoreError> {
        let now = clock.now();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let modified = match entry.metadata() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => Timestamp::try_from(other?.modified()?).unwrap_or(Timestamp::MAX),
            };
            if Duration::try_from(now - modified).unwrap_or_default() <= MAX_IDLE {
                continue;
            }
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some((_, id)) = name.rsplit_once('_') {
                self.forget(id);
            }
            match fs::remove_file(entry.path()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
        Ok(())
    }
}

/// `POST /v2/NAME/blobs/uploads/`.
pub(super) async fn begin(
    registry: &Registry,
    name: &str,
    request: Request<Incoming>,
) -> Result<Reply, Failure> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    if let (Some(mount), from) = (parameter(&query, "mount"), parameter(&query, "from")) {
        let digest = read_digest(&mount)?;
        if let Some(from) = from.filter(|from| is_repository(from))
            && registry.repository(&from).blob(&digest)?.is_some()
        {
            registry.repository(name).add_blob(&digest)?;
            return Ok(stored(name, &digest));
        }
        // What cannot be mounted is uploaded.
    }
    let uploads = &registry.0.uploads;
    let (id, shared) = uploads.begin(name, registry.store().clock())?;
    match parameter(&query, "digest") {
        None => Ok(progress(StatusCode::ACCEPTED, name, &id, 0)),
        Some(digest) => {
            let digest = read_digest(&digest)?;
            complete(registry, name, (&id, shared), &digest, request).await
        }
    }
}

/// `GET /v2/NAME/blobs/uploads/ID`.
pub(super) async fn status(registry: &Registry, name: &str, id: &str) -> Result<Reply, Failure> {
    let shared = registry.0.uploads.find(name, id)?;
    let upload = shared.lock().await;
    let size = upload.as_ref().map_or(0, Upload::size);
    Ok(progress(StatusCode::NO_CONTENT, name, id, size))
}

/// `PATCH /v2/NAME/blobs/uploads/ID`.
pub(super) async fn append(
    registry: &Registry,
    name: &str,
    id: &str,
    request: Request<Incoming>,
) -> Result<Reply, Failure> {
    let shared = registry.0.uploads.find(name, id)?;
    let mut guard = shared.lock().await;
    let upload = guard.as_mut().ok_or_else(ended)?;
    receive(upload, name, id, request).await?;
    Ok(progress(StatusCode::ACCEPTED, name, id, upload.size()))
}

/// `PUT /v2/NAME/blobs/uploads/ID?digest=DIGEST`.
pub(super) async fn finish(
    registry: &Registry,
    name: &str,
    id: &str,
    request: Request<Incoming>,
) -> Result<Reply, Failure> {
    let query = request.uri().query().unwrap_or_default();
    let digest = parameter(query, "digest").ok_or_else(|| {
        Failure::new(400, Code::DigestInvalid, "the parameter `digest` is missing")
    })?;
    let digest = read_digest(&digest)?;
    let shared = registry.0.uploads.find(name, id)?;
    complete(registry, name, (id, shared), &digest, request).await
}

/// `DELETE /v2/NAME/blobs/uploads/ID`.
pub(super) async fn cancel(registry: &Registry, name: &str, id: &str) -> Result<Reply, Failure> {
    let shared = registry.0.uploads.find(name, id)?;
    let upload = shared.lock().await.take().ok_or_else(ended)?;
    registry.0.uploads.forget(id);
    fs::remove_file(&upload.path)?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// Takes the last piece of an upload, if there is one, and puts the blob in its place.
async fn complete(
    registry: &Registry,
    name: &str,
    (id, shared): (&str, Shared),
    digest: &Digest,
    request: Request<Incoming>,
) -> Result<Reply, Failure> {
    let mut guard = shared.lock().await;
    let upload = guard.as_mut().ok_or_else(ended)?;
    receive(upload, name, id, request).await?;
    let found = upload.hasher.clone().finish();
    if found != *digest {
        let why = format!("the digest of what came is {found}");
        // Nothing that could still be sent would make it right.
        if let Some(upload) = guard.take() {
            fs::remove_file(&upload.path)?;
        }
        registry.0.uploads.forget(id);
        return Err(Failure::new(400, Code::DigestInvalid, why));
    }
    let Some(upload) = guard.take() else { return Err(ended()) };
    registry.0.uploads.forget(id);
    let store = registry.store().clone();
    let repository = registry.repository(name);
    let digest = digest.clone();
    let placed = digest.clone();
    // Writing through to the disk takes as long as the disk takes.
    tokio::task::spawn_blocking(move || -> Result<(), StoreError> {
        upload.file.file().sync_data()?;
        let lease = store.lease()?;
        lease.adopt(&upload.path, &placed)?;
        sync_folder(&store.path("blobs/sha256"))?;
        repository.add_blob(&placed)
    })
    .await
    .map_err(io::Error::other)??;
    Ok(stored(name, &digest))
}

/// Adds the body of a request to an upload.
async fn receive(
    upload: &mut Upload,
    name: &str,
    id: &str,
    request: Request<Incoming>,
) -> Result<(), Failure> {
    let header =
        |name| request.headers().get(name).and_then(|it: &http::HeaderValue| it.to_str().ok());
    let length = header(CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    if let Some(text) = header(CONTENT_RANGE) {
        let (start, end) = content_range(text).ok_or_else(|| {
            let why = format!("Content-Range is `{text}`, and `START-END` is wanted");
            Failure::new(400, Code::BlobUploadInvalid, why)
        })?;
        if start != upload.size() {
            let why = format!("{} bytes came so far; go on there", upload.size());
            let location = format!("/v2/{name}/blobs/uploads/{id}");
            return Err(Failure::new(416, Code::BlobUploadInvalid, why)
                .with(LOCATION, location)
                .with(RANGE, shown_range(upload.size()))
                .with(UPLOAD_ID, id));
        }
        if length.is_some_and(|length| length != end - start + 1) {
            let why = "Content-Length is not the length of Content-Range";
            return Err(Failure::new(400, Code::SizeInvalid, why));
        }
    }
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        // What came until here stays, and the client may go on from there.
        let frame = frame.map_err(|error| {
            let why = format!("the upload broke off: {error}");
            Failure::new(400, Code::BlobUploadInvalid, why)
        })?;
        if let Some(data) = frame.data_ref() {
            upload.write(data)?;
        }
    }
    Ok(())
}

fn ended() -> Failure {
    Failure::new(404, Code::BlobUploadUnknown, "the upload has ended")
}

fn shown_range(size: u64) -> String {
    format!("0-{}", size.saturating_sub(1))
}

fn progress(status: StatusCode, name: &str, id: &str, size: u64) -> Reply {
    let mut reply = reply::empty(status);
    reply::set(&mut reply, LOCATION, &format!("/v2/{name}/blobs/uploads/{id}"));
    reply::set(&mut reply, RANGE, &shown_range(size));
    reply::set(&mut reply, UPLOAD_ID, id);
    reply
}

fn stored(name: &str, digest: &Digest) -> Reply {
    let mut reply = reply::empty(StatusCode::CREATED);
    reply::set(&mut reply, LOCATION, &format!("/v2/{name}/blobs/{digest}"));
    reply::set(&mut reply, CONTENT_DIGEST, digest.as_str());
    reply
}
