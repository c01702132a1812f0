//! Pulls: a manifest, what it leads to, several blobs at a time.

use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fs_err as fs;
use http::StatusCode;
use http::header::{CONTENT_RANGE, CONTENT_TYPE, RANGE};
use oci_spec::image::Descriptor;
use rustix::fs::{FlockOperation, flock};
use tokio::task::JoinSet;

use super::endpoint::{Call, Endpoint};
use super::error::{Cause, RegistryError};
use super::{Client, Event};
use crate::digest::{Digest, Hasher};
use crate::platform::{self, Platform};
use crate::reference::Reference;
use crate::registry::repository::MANIFEST_TYPES;
use crate::registry::text::content_range;
use crate::store::{
    Document, Item, Lease, MAX_DOCUMENT, Store, StoreError, descriptor, make_private, read_manifest,
};

/// How many blobs are pulled at a time.
const PARALLEL: usize = 4;
/// How often a blob is asked for without getting further.
const TRIES: u32 = 5;
/// How long is waited before the second time; each further time twice as long.
const PAUSE: Duration = Duration::from_millis(200);
/// How deep indexes may lead to indexes.
const MAX_INDEXES: usize = 4;

/// Which of an image's platforms are pulled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Platforms {
    /// This one.
    One(Platform),
    /// All that there are.
    All,
}

/// What was pulled.
#[derive(Clone, Debug)]
pub struct Pulled {
    /// What the reference means now.
    pub descriptor: Descriptor,
    /// How many bytes of blobs came.
    pub bytes: u64,
    /// How many blobs came.
    pub blobs: u64,
    /// How many blobs were here already.
    pub known: u64,
}

/// A manifest as it came.
pub(crate) struct Fetched {
    pub(crate) bytes: Vec<u8>,
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
}

impl Client {
    /// Pulls what `reference` means into `store`, and lets the reference mean it there.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn pull(
        &self,
        store: &Store,
        reference: &Reference,
        platforms: &Platforms,
        lease: &Arc<Lease>,
    ) -> Result<Pulled, RegistryError> {
        let mut asked = reference.registry().to_owned();
        let pulled = self.pull_from_any(store, reference, platforms, lease, &mut asked).await;
        pulled.map_err(|cause| RegistryError { registry: asked, ..pulling(reference, cause) })
    }

    async fn pull_from_any(
        &self,
        store: &Store,
        reference: &Reference,
        platforms: &Platforms,
        lease: &Arc<Lease>,
        asked: &mut String,
    ) -> Result<Pulled, Cause> {
        let endpoints = self.endpoints(reference).await?;
        let named = match (reference.digest(), reference.tag()) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.unwrap_or("latest").to_owned(),
        };
        for at in &endpoints {
            asked.clone_from(&at.registry);
            let pulled = async {
                let fetched = self.manifest(at, &named).await?;
                let pulled = self.pull_tree(store, at, fetched, platforms, lease).await?;
                Ok(pulled)
            };
            match pulled.await {
                Ok(pulled) => {
                    store.set(reference, &pulled.descriptor, lease)?;
                    return Ok(pulled);
                }
                // A mirror need not have everything, nor be there.
                Err(cause) if at.is_mirror => self.retried(&cause),
                Err(cause) => return Err(cause),
            }
        }
        Err(Cause::Protocol("there is no address to ask".to_owned()))
    }

    /// Asks for a manifest and checks that it is what was asked for.
    pub(super) async fn manifest(&self, at: &Endpoint, named: &str) -> Result<Fetched, Cause> {
        let path = format!("{}/manifests/{named}", at.repository);
        let answer = self.call(at, Call::get(path).accept(&MANIFEST_TYPES)).await?;
        if answer.response.status() != StatusCode::OK {
            return Err(answer.refusal().await);
        }
        let said = answer.header(CONTENT_TYPE.as_str()).unwrap_or_default();
        let said = said.split(';').next().unwrap_or_default().trim().to_owned();
        let promised = answer.header("docker-content-digest").and_then(|it| it.parse().ok());
        let bytes = answer.whole().await?.to_vec();
        let digest = Digest::of(&bytes);
        let expected = named.parse().ok().or(promised);
        if let Some(expected) = expected.filter(|expected| *expected != digest) {
            return Err(Cause::Mismatch { what: "the manifest", expected, found: digest });
        }
        let inside: serde_json::Value = serde_json::from_slice(&bytes)
            .map_err(|error| Cause::Protocol(format!("the manifest is no JSON: {error}")))?;
        let media_type = match inside["mediaType"].as_str() {
            Some(inside) => inside.to_owned(),
            None if MANIFEST_TYPES.contains(&said.as_str()) => said,
            None if inside.get("manifests").is_some() => MANIFEST_TYPES[1].to_owned(),
            None => MANIFEST_TYPES[0].to_owned(),
        };
        Ok(Fetched { bytes, media_type, digest })
    }

    async fn pull_tree(
        &self,
        store: &Store,
        at: &Endpoint,
        top: Fetched,
        platforms: &Platforms,
        lease: &Arc<Lease>,
    ) -> Result<Pulled, Cause> {
        let mut result = Pulled {
            descriptor: descriptor(&top.media_type, &top.digest, top.bytes.len() as u64)?,
            bytes: 0,
            blobs: 0,
            known: 0,
        };
        let mut blobs: Vec<Descriptor> = Vec::new();
        let mut open = vec![(top, 0)];
        while let Some((fetched, depth)) = open.pop() {
            lease.put(&fetched.bytes)?;
            match read_manifest(&fetched.digest, &fetched.bytes)? {
                Document::Manifest(manifest) => {
                    for blob in std::iter::once(manifest.config()).chain(manifest.layers()) {
                        if !blobs.iter().any(|known| known.digest() == blob.digest()) {
                            blobs.push(blob.clone());
                        }
                    }
                }
                Document::Index(index) => {
                    if depth >= MAX_INDEXES {
                        let why = "its indexes lead to indexes too deep";
                        return Err(Cause::Protocol(why.to_owned()));
                    }
                    let wanted: Vec<&Descriptor> = match platforms {
                        Platforms::All => index.manifests().iter().collect(),
                        Platforms::One(platform) => {
                            let chosen = platform.choose(index.manifests());
                            vec![chosen.ok_or_else(|| StoreError::Platform {
                                reference: at.repository.clone(),
                                wanted: platform.to_string(),
                                available: platform::list(index.manifests()),
                            })?]
                        }
                    };
                    for one in wanted {
                        let digest = Digest::try_from(one.digest())?;
                        open.push((self.manifest(at, digest.as_str()).await?, depth + 1));
                    }
                }
            }
        }
        // Configurations are small and come first, the largest layers then.
        blobs.sort_by_key(|blob| (blob.size() > MAX_DOCUMENT, std::cmp::Reverse(blob.size())));
        let mut pulling = JoinSet::new();
        let mut rest = blobs.into_iter();
        loop {
            while pulling.len() < PARALLEL
                && let Some(blob) = rest.next()
            {
                let (client, at, lease) = (self.clone(), at.clone(), Arc::clone(lease));
                let store = store.clone();
                pulling.spawn(async move {
                    let digest = Digest::try_from(blob.digest())?;
                    let came = client.pull_blob(&store, &at, &digest, Some(blob.size()), &lease);
                    Ok::<_, Cause>((came.await?, blob.size()))
                });
            }
            // The first error ends the others: dropping them does.
            match pulling.join_next().await {
                None => return Ok(result),
                Some(joined) => match joined.map_err(io::Error::other)?? {
                    (true, size) => {
                        result.blobs += 1;
                        result.bytes += size;
                    }
                    (false, _) => result.known += 1,
                },
            }
        }
    }

    /// Pulls a blob, unless it is here; says whether it had to come.
    pub(super) async fn pull_blob(
        &self,
        store: &Store,
        at: &Endpoint,
        digest: &Digest,
        size: Option<u64>,
        lease: &Lease,
    ) -> Result<bool, Cause> {
        lease.hold(&Item::Blob(digest.clone()))?;
        if store.blob_size(digest)?.is_some() {
            self.tell(Event::Known { digest });
            return Ok(false);
        }
        let path = store.path("partial").join(digest.hex());
        make_private(&store.path("partial"))?;
        let mut partial = match Partial::open(path, digest, store).await? {
            Some(partial) => partial,
            // Another process has just pulled it.
            None => {
                self.tell(Event::Known { digest });
                return Ok(false);
            }
        };
        if size.is_some_and(|size| partial.hasher.bytes() > size) {
            partial.restart()?;
        }
        let begun = partial.hasher.bytes();
        self.tell(Event::Begun { digest, size: size.unwrap_or_default(), resumed: begun });
        let mut failures = 0;
        loop {
            let before = partial.hasher.bytes();
            match self.receive(at, digest, size, &mut partial).await {
                Ok(()) => break,
                Err(cause) if cause.is_passing() => {
                    failures = if partial.hasher.bytes() > before { 1 } else { failures + 1 };
                    if failures >= TRIES {
                        return Err(cause);
                    }
                    self.retried(&cause);
                    tokio::time::sleep(PAUSE * 2_u32.pow(failures - 1)).await;
                }
                Err(cause) => return Err(cause),
            }
        }
        let found = partial.hasher.clone().finish();
        let came = partial.hasher.bytes();
        if found != *digest {
            // Whatever came is wrong, and would be again.
            fs::remove_file(&partial.path)?;
            let expected = digest.clone();
            return Err(Cause::Mismatch { what: "the blob", expected, found });
        }
        partial.file.file().sync_data()?;
        lease.adopt(&partial.path, digest)?;
        self.tell(Event::Done { digest, size: came });
        Ok(true)
    }

    /// Asks for the rest of a blob and takes it in.
    async fn receive(
        &self,
        at: &Endpoint,
        digest: &Digest,
        size: Option<u64>,
        partial: &mut Partial,
    ) -> Result<(), Cause> {
        let offset = partial.hasher.bytes();
        if size == Some(offset) && offset > 0 {
            return Ok(());
        }
        let mut call = Call::get(format!("{}/blobs/{digest}", at.repository));
        if offset > 0 {
            call.headers.push((RANGE, format!("bytes={offset}-")));
        }
        let mut answer = self.call(at, call).await?;
        match answer.response.status() {
            StatusCode::OK => partial.restart()?,
            StatusCode::PARTIAL_CONTENT => {
                let range = answer.header(CONTENT_RANGE.as_str()).and_then(content_range);
                if range.is_none_or(|(start, _)| start != offset) {
                    let why = format!("it was asked for what follows byte {offset}");
                    return Err(Cause::Protocol(why));
                }
            }
            StatusCode::RANGE_NOT_SATISFIABLE if offset > 0 => {
                partial.restart()?;
                let host = answer.origin.shown();
                return Err(Cause::Broken {
                    host,
                    why: "what came before does not fit".to_owned(),
                });
            }
            _ => return Err(answer.refusal().await),
        }
        while let Some(piece) = answer.piece().await? {
            let found = partial.hasher.bytes() + piece.len() as u64;
            if let Some(expected) = size.filter(|size| found > *size) {
                return Err(Cause::Size { digest: digest.clone(), expected, found });
            }
            partial.file.write_all(&piece)?;
            partial.hasher.update(&piece);
        }
        let found = partial.hasher.bytes();
        match size {
            Some(expected) if found < expected => {
                let why = format!("{found} of {expected} bytes came");
                Err(Cause::Broken { host: answer.origin.shown(), why })
            }
            _ => Ok(()),
        }
    }
}

impl Client {
    /// Asks a registry for the manifest `named` of the repository of `reference`; nothing where
    /// it has none.
    pub(crate) async fn fetch_manifest(
        &self,
        reference: &Reference,
        named: &str,
    ) -> Result<Option<Fetched>, RegistryError> {
        let fetched = async { self.manifest(&self.origin_of(reference).await?, named).await };
        match fetched.await {
            Ok(fetched) => Ok(Some(fetched)),
            Err(cause) if is_absent(&cause) => Ok(None),
            Err(cause) => Err(pulling(reference, cause)),
        }
    }

    /// Gets a blob of the repository of `reference`; says whether the registry has it.
    pub(crate) async fn fetch_blob(
        &self,
        store: &Store,
        reference: &Reference,
        digest: &Digest,
        lease: &Lease,
    ) -> Result<bool, RegistryError> {
        let fetched = async {
            let at = self.origin_of(reference).await?;
            self.pull_blob(store, &at, digest, None, lease).await
        };
        match fetched.await {
            Ok(_) => Ok(true),
            Err(cause) if is_absent(&cause) => Ok(false),
            Err(cause) => Err(pulling(reference, cause)),
        }
    }
}

fn is_absent(cause: &Cause) -> bool {
    matches!(cause, Cause::Status { status: StatusCode::NOT_FOUND, .. })
}

fn pulling(reference: &Reference, cause: Cause) -> RegistryError {
    RegistryError {
        doing: "pull",
        way: "from",
        reference: reference.familiar(),
        registry: reference.registry().to_owned(),
        cause: Box::new(cause),
    }
}

/// A blob of which a part has come; locked, so that it comes once.
struct Partial {
    path: std::path::PathBuf,
    file: fs::File,
    hasher: Hasher,
}

impl Partial {
    /// Opens what has come of a blob. Where another process is pulling it, that one is waited for.
    async fn open(
        path: std::path::PathBuf,
        digest: &Digest,
        store: &Store,
    ) -> Result<Option<Self>, Cause> {
        let (digest, store) = (digest.clone(), store.clone());
        let opening = tokio::task::spawn_blocking(move || -> Result<Option<Self>, Cause> {
            loop {
                let mut options = fs::OpenOptions::new();
                options.read(true).write(true).create(true).truncate(false);
                let mut file = options.open(&path)?;
                flock(&file, FlockOperation::LockExclusive).map_err(io::Error::from)?;
                if store.blob_size(&digest)?.is_some() {
                    remove_same(&path, &file)?;
                    return Ok(None);
                }
                // Whoever had the lock may have removed the file.
                if !is_same(&path, &file)? {
                    continue;
                }
                let mut hasher = Hasher::default();
                let mut buffer = vec![0; 1 << 20];
                loop {
                    match file.read(&mut buffer)? {
                        0 => break,
                        read => hasher.update(&buffer[..read]),
                    }
                }
                return Ok(Some(Self { path, file, hasher }));
            }
        });
        opening.await.map_err(io::Error::other)?
    }

    fn restart(&mut self) -> io::Result<()> {
        self.hasher = Hasher::default();
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        Ok(())
    }
}

fn is_same(path: &Path, file: &fs::File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let own = file.metadata()?;
    match fs::metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (own.dev(), own.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn remove_same(path: &Path, file: &fs::File) -> io::Result<()> {
    if is_same(path, file)? { fs::remove_file(path) } else { Ok(()) }
}
