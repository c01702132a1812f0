//! Pushes: blobs that are not there yet, several at a time, and then the manifests.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use http::{Method, StatusCode, Uri};
use oci_spec::image::Descriptor;
use tokio::task::JoinSet;

use super::connection::{Answer, Payload, join};
use super::endpoint::{Call, Endpoint, Target};
use super::error::{Cause, RegistryError};
use super::{Client, Event};
use crate::digest::Digest;
use crate::reference::Reference;
use crate::store::{Document, Item, Lease, Store, StoreError, Target as Meaning, read_manifest};

/// How many blobs are pushed at a time.
const PARALLEL: usize = 4;
/// Blobs up to this size are sent in one request.
const WHOLE_BYTES: u64 = 32 * 1024 * 1024;
/// The size of the pieces of larger ones.
const PIECE_BYTES: u64 = 256 * 1024 * 1024;
/// How often a piece is sent without getting further.
const TRIES: u32 = 5;
/// How long is waited before the second time; each further time twice as long.
const PAUSE: Duration = Duration::from_millis(200);
const BOTH: &str = "pull,push";

/// What was pushed.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// The digest of the manifest or index.
    pub digest: Digest,
    /// How many bytes of blobs were sent.
    pub bytes: u64,
    /// How many blobs were sent.
    pub blobs: u64,
    /// How many blobs were there already.
    pub known: u64,
    /// How many blobs the registry took from another of its repositories.
    pub mounted: u64,
}

/// How a blob got to the registry.
enum Way {
    Known,
    Mounted,
    Sent(u64),
}

impl Client {
    /// Pushes what `local` means in `store` to `remote`.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn push(
        &self,
        store: &Store,
        local: &Reference,
        remote: &Reference,
        lease: &Lease,
    ) -> Result<Pushed, RegistryError> {
        let pushed = self.push_to(store, local, remote, lease).await;
        pushed.map_err(|cause| RegistryError {
            doing: "push",
            way: "to",
            reference: remote.familiar(),
            registry: remote.registry().to_owned(),
            cause: Box::new(cause),
        })
    }

    async fn push_to(
        &self,
        store: &Store,
        local: &Reference,
        remote: &Reference,
        lease: &Lease,
    ) -> Result<Pushed, Cause> {
        let found = store.look_up(local)?;
        let found = found.ok_or_else(|| StoreError::NoImage(local.familiar()))?;
        let top = Digest::try_from(found.digest())?;
        lease.hold(&Item::Blob(top.clone()))?;
        let at = self.origin_of(remote).await?;
        // Manifests in the order in which they are sent: what is led to comes first.
        let mut manifests: Vec<(Descriptor, Vec<u8>)> = Vec::new();
        let mut blobs: Vec<Descriptor> = Vec::new();
        collect(store, &found, &mut manifests, &mut blobs, 0)?;
        let sources = sources(store, remote)?;
        let mut result = Pushed { digest: top.clone(), bytes: 0, blobs: 0, known: 0, mounted: 0 };
        let mut pushing = JoinSet::new();
        let mut rest = blobs.into_iter();
        loop {
            while pushing.len() < PARALLEL
                && let Some(blob) = rest.next()
            {
                let (client, store, at) = (self.clone(), store.clone(), at.clone());
                let sources = Arc::clone(&sources);
                pushing.spawn(async move { client.push_blob(&store, &at, &blob, &sources).await });
            }
            match pushing.join_next().await {
                None => break,
                Some(joined) => match joined.map_err(io::Error::other)?? {
                    Way::Known => result.known += 1,
                    Way::Mounted => result.mounted += 1,
                    Way::Sent(bytes) => {
                        result.blobs += 1;
                        result.bytes += bytes;
                    }
                },
            }
        }
        for (descriptor, bytes) in manifests {
            let digest = Digest::try_from(descriptor.digest())?;
            let name = match remote.tag() {
                Some(tag) if digest == top => tag.to_owned(),
                _ => digest.to_string(),
            };
            let mut call = Call::get(format!("{}/manifests/{name}", at.repository));
            call.method = Method::PUT;
            call.actions = BOTH;
            call.headers.push((CONTENT_TYPE, descriptor.media_type().to_string()));
            call.payload = Payload::Bytes(Bytes::from(bytes));
            let answer = self.call(&at, call).await?;
            if !answer.response.status().is_success() {
                return Err(answer.refusal().await);
            }
            if let Some(found) =
                answer.header("docker-content-digest").and_then(|it| it.parse().ok())
                && found != digest
            {
                return Err(Cause::Mismatch {
                    what: "the manifest there",
                    expected: digest,
                    found,
                });
            }
        }
        Ok(result)
    }

    async fn push_blob(
        &self,
        store: &Store,
        at: &Endpoint,
        blob: &Descriptor,
        sources: &[Source],
    ) -> Result<Way, Cause> {
        let digest = Digest::try_from(blob.digest())?;
        let mut call = Call::get(format!("{}/blobs/{digest}", at.repository));
        call.method = Method::HEAD;
        call.actions = BOTH;
        let answer = self.call(at, call).await?;
        match answer.response.status() {
            StatusCode::OK => {
                self.tell(Event::Known { digest: &digest });
                return Ok(Way::Known);
            }
            StatusCode::NOT_FOUND => {}
            _ => return Err(answer.refusal().await),
        }
        let mut session = None;
        if let Some(source) = sources.iter().find(|source| source.blobs.contains(&digest)) {
            let query = format!("?mount={digest}&from={}", source.repository);
            let answer = self.post(at, &query).await?;
            match answer.response.status() {
                StatusCode::CREATED => {
                    self.tell(Event::Known { digest: &digest });
                    return Ok(Way::Mounted);
                }
                // It does not have it, or does not say; the upload that it begun does as well.
                StatusCode::ACCEPTED => session = Some(answer),
                _ => return Err(answer.refusal().await),
            }
        }
        let session = match session {
            Some(session) => session,
            None => self.post(at, "").await?,
        };
        if session.response.status() != StatusCode::ACCEPTED {
            return Err(session.refusal().await);
        }
        let path = store.blob_path(&digest);
        let size = store.blob_size(&digest)?.ok_or_else(|| StoreError::NoBlob(digest.clone()))?;
        self.tell(Event::Begun { digest: &digest, size, resumed: 0 });
        let base: Uri = format!("{}/v2/", at.base)
            .parse()
            .map_err(|error| Cause::Protocol(format!("{error}")))?;
        let smallest = session.header("oci-chunk-min-length").and_then(|it| it.parse().ok());
        let mut upload = Upload {
            client: self,
            at,
            uri: location(&base, &session)?,
            path,
            size,
            sent: 0,
            piece: PIECE_BYTES.max(smallest.unwrap_or(0)),
        };
        upload.send(&digest).await?;
        self.tell(Event::Done { digest: &digest, size });
        Ok(Way::Sent(size))
    }

    async fn post(&self, at: &Endpoint, query: &str) -> Result<Answer, Cause> {
        let mut call = Call::get(format!("{}/blobs/uploads/{query}", at.repository));
        call.method = Method::POST;
        call.actions = BOTH;
        self.call(at, call).await
    }
}

/// An upload that was begun.
struct Upload<'a> {
    client: &'a Client,
    at: &'a Endpoint,
    uri: Uri,
    path: std::path::PathBuf,
    size: u64,
    sent: u64,
    piece: u64,
}

impl Upload<'_> {
    async fn send(&mut self, digest: &Digest) -> Result<(), Cause> {
        if self.size > WHOLE_BYTES {
            self.send_pieces().await?;
        }
        let mut failures = 0;
        loop {
            let payload = self.payload(self.size - self.sent);
            let uri = with_digest(&self.uri, digest)?;
            let call = Call {
                method: Method::PUT,
                target: Target::Uri(&uri),
                headers: vec![(CONTENT_TYPE, "application/octet-stream".to_owned())],
                payload,
                actions: BOTH,
            };
            let error = match self.client.call(self.at, call).await {
                Ok(answer) if answer.response.status() == StatusCode::CREATED => return Ok(()),
                Ok(answer) => answer.refusal().await,
                Err(error) => error,
            };
            failures += 1;
            self.go_on(error, failures).await?;
        }
    }

    /// Sends everything in pieces, each of which is gone on with where it broke off.
    async fn send_pieces(&mut self) -> Result<(), Cause> {
        let mut failures = 0;
        while self.sent < self.size {
            let before = self.sent;
            let length = self.piece.min(self.size - self.sent);
            let end = self.sent + length - 1;
            let uri = self.uri.clone();
            let call = Call {
                method: Method::PATCH,
                target: Target::Uri(&uri),
                headers: vec![
                    (CONTENT_TYPE, "application/octet-stream".to_owned()),
                    (CONTENT_RANGE, format!("{}-{end}", self.sent)),
                ],
                payload: self.payload(length),
                actions: BOTH,
            };
            let error = match self.client.call(self.at, call).await {
                Ok(answer)
                    if matches!(
                        answer.response.status(),
                        StatusCode::ACCEPTED | StatusCode::NO_CONTENT
                    ) =>
                {
                    self.uri = location(&self.uri, &answer)?;
                    self.sent = received(&answer).unwrap_or(end + 1).min(self.size);
                    continue;
                }
                // It has another part than we think; it says which.
                Ok(answer) if answer.response.status() == StatusCode::RANGE_NOT_SATISFIABLE => {
                    let host = answer.origin.shown();
                    Cause::Broken { host, why: "it has another part of the blob".to_owned() }
                }
                Ok(answer) => answer.refusal().await,
                Err(error) => error,
            };
            failures += 1;
            self.go_on(error, failures).await?;
            if self.sent > before {
                failures = 0;
            }
        }
        Ok(())
    }

    /// Waits and asks the registry how far the upload is, where it may go on.
    async fn go_on(&mut self, error: Cause, failures: u32) -> Result<(), Cause> {
        if !error.is_passing() || failures >= TRIES {
            return Err(error);
        }
        self.client.retried(&error);
        tokio::time::sleep(PAUSE * 2_u32.pow(failures - 1)).await;
        let uri = self.uri.clone();
        let call = Call {
            method: Method::GET,
            target: Target::Uri(&uri),
            headers: Vec::new(),
            payload: Payload::Empty,
            actions: BOTH,
        };
        let answer = self.client.call(self.at, call).await?;
        if !answer.response.status().is_success() {
            return Err(answer.refusal().await);
        }
        self.sent = received(&answer).unwrap_or(0).min(self.size);
        self.uri = location(&self.uri, &answer).unwrap_or(uri);
        Ok(())
    }

    fn payload(&self, length: u64) -> Payload {
        if length == 0 {
            return Payload::Empty;
        }
        Payload::File { path: self.path.clone(), offset: self.sent, length }
    }
}

/// Returns how many bytes a registry says that it has.
fn received(answer: &Answer) -> Option<u64> {
    let range = answer.header(RANGE.as_str())?;
    let range = range.strip_prefix("bytes=").unwrap_or(range);
    let (_, end) = range.split_once('-')?;
    // Nothing and one byte are written the same way; sending one again is refused and found out.
    match end.trim().parse::<u64>().ok()? {
        0 => Some(0),
        end => Some(end + 1),
    }
}

fn location(base: &Uri, answer: &Answer) -> Result<Uri, Cause> {
    let location = answer
        .header(LOCATION.as_str())
        .ok_or_else(|| Cause::Protocol("an upload without a Location".to_owned()))?;
    join(base, location)
}

fn with_digest(uri: &Uri, digest: &Digest) -> Result<Uri, Cause> {
    let joint = if uri.query().is_some() { '&' } else { '?' };
    format!("{uri}{joint}digest={digest}")
        .parse()
        .map_err(|error| Cause::Protocol(format!("{error}")))
}

/// Finds what a manifest leads to: everything of one image, and of an index what is here.
fn collect(
    store: &Store,
    of: &Descriptor,
    manifests: &mut Vec<(Descriptor, Vec<u8>)>,
    blobs: &mut Vec<Descriptor>,
    depth: usize,
) -> Result<(), Cause> {
    /// How deep indexes may lead to indexes.
    const MAX_DEPTH: usize = 4;
    let digest = Digest::try_from(of.digest())?;
    let bytes = store.document("manifest", &digest)?;
    match read_manifest(&digest, &bytes)? {
        Document::Manifest(manifest) => {
            for blob in std::iter::once(manifest.config()).chain(manifest.layers()) {
                if !blobs.iter().any(|known| known.digest() == blob.digest()) {
                    blobs.push(blob.clone());
                }
            }
        }
        Document::Index(index) if depth < MAX_DEPTH => {
            for one in index.manifests() {
                let digest = Digest::try_from(one.digest())?;
                if store.blob_size(&digest)?.is_none() {
                    let why = format!(
                        "only some of its platforms are here ({digest} is not); pull it with \
                         --all-platforms, or push one platform"
                    );
                    let error = StoreError::Document { what: "index", digest: digest.clone(), why };
                    return Err(error.into());
                }
                collect(store, one, manifests, blobs, depth + 1)?;
            }
        }
        Document::Index(_) => {
            let why = format!("more than {MAX_DEPTH} indexes lead to each other");
            return Err(StoreError::Document { what: "index", digest, why }.into());
        }
    }
    if !manifests.iter().any(|(known, _)| known.digest() == of.digest()) {
        manifests.push((of.clone(), bytes));
    }
    Ok(())
}

/// A repository of the registry that is pushed to, and the blobs that it is known to have.
struct Source {
    repository: String,
    blobs: Vec<Digest>,
}

/// Returns other repositories of the same registry that images here come from.
fn sources(store: &Store, remote: &Reference) -> Result<Arc<Vec<Source>>, Cause> {
    let mut sources: Vec<Source> = Vec::new();
    for named in store.names()? {
        let other = &named.reference;
        let Meaning::Manifest(descriptor) = named.target else { continue };
        if other.registry() != remote.registry() || other.repository() == remote.repository() {
            continue;
        }
        let (mut manifests, mut blobs) = (Vec::new(), Vec::new());
        // An image that is not whole is no source, and no error of this push.
        if collect(store, &descriptor, &mut manifests, &mut blobs, 0).is_ok() {
            let blobs = blobs.iter().flat_map(|blob| Digest::try_from(blob.digest())).collect();
            sources.push(Source { repository: other.repository().to_owned(), blobs });
        }
    }
    Ok(Arc::new(sources))
}
