//! A repository of a registry: which of the store's blobs it has, and under which names.
//!
//! ```text
//! repositories/NAME/_manifests/HEX      a manifest: its media type
//! repositories/NAME/_blobs/HEX          a blob; empty; when it was last pushed or asked for
//! repositories/NAME/_tags/TAG           a tag: a descriptor
//! repositories/NAME/_referrers/HEX/HEX  a manifest that refers to the first: its descriptor
//! ```

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;
use loopline_clock::Timestamp;
use oci_spec::image::Descriptor;
use serde_json::Value;

use crate::digest::Digest;
use crate::store::{
    DOCKER_INDEX, DOCKER_MANIFEST, Lease, Store, StoreError, TAGS, Target, descriptor,
    make_private, read_target, sync_folder, tags_in, write_whole,
};

const MANIFESTS: &str = "_manifests";
const BLOBS: &str = "_blobs";
const REFERRERS: &str = "_referrers";

/// The media types of manifests that are taken.
pub(crate) const MANIFEST_TYPES: [&str; 4] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    DOCKER_MANIFEST,
    DOCKER_INDEX,
];

/// How long a blob is kept that no manifest leads to: its manifest may be on its way.
const GRACE: Duration = Duration::from_secs(24 * 60 * 60);

/// A repository.
#[derive(Clone, Debug)]
pub(crate) struct Repository {
    store: Store,
    folder: PathBuf,
}

/// A manifest of a repository.
#[derive(Clone, Debug)]
pub(crate) struct Manifest {
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) size: u64,
}

/// Why a manifest is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManifestError {
    #[error("{0}")]
    Invalid(String),
    #[error("blob {0} is not in this repository")]
    BlobUnknown(Digest),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<io::Error> for ManifestError {
    fn from(error: io::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Repository {
    /// Returns the repository `name`, whose name was checked.
    pub(crate) fn of(store: &Store, name: &str) -> Self {
        Self { store: store.clone(), folder: store.path("repositories").join(name) }
    }

    /// Says whether there is anything of it.
    pub(crate) fn exists(&self) -> bool {
        [MANIFESTS, BLOBS, TAGS].iter().any(|part| self.folder.join(part).exists())
    }

    /// Returns a blob's size, if the repository has it; it is kept for a while from now on.
    pub(crate) fn blob(&self, digest: &Digest) -> Result<Option<u64>, StoreError> {
        let mark = self.folder.join(BLOBS).join(digest.hex());
        {
            let _no_collection = self.store.begin_use()?;
            match fs::OpenOptions::new().append(true).open(&mark) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                other => {
                    let now = std::time::SystemTime::from(self.store.clock().now());
                    other?.file().set_modified(now)?;
                }
            }
        }
        self.store.blob_size(digest)
    }

    /// Gives the repository a blob that `lease` holds.
    pub(crate) fn add_blob(&self, digest: &Digest) -> Result<(), StoreError> {
        let folder = self.folder.join(BLOBS);
        make_private(&folder)?;
        fs::File::create(folder.join(digest.hex()))?;
        Ok(())
    }

    /// Takes a blob from the repository; says whether it had it.
    pub(crate) fn remove_blob(&self, digest: &Digest) -> Result<bool, StoreError> {
        removed(&self.folder.join(BLOBS).join(digest.hex()))
    }

    /// Returns the manifest that a tag or a digest means.
    pub(crate) fn manifest(&self, reference: &Named) -> Result<Option<Manifest>, StoreError> {
        let digest = match reference {
            Named::Digest(digest) => digest.clone(),
            Named::Tag(tag) => match read_target(&self.folder.join(TAGS).join(tag))? {
                Some(Target::Manifest(descriptor)) => Digest::try_from(descriptor.digest())?,
                _ => return Ok(None),
            },
        };
        let mark = self.folder.join(MANIFESTS).join(digest.hex());
        let media_type = match fs::read_to_string(mark) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let size = self.store.blob_size(&digest)?;
        Ok(size.map(|size| Manifest { digest, media_type, size }))
    }

    /// Takes a manifest in, and gives it a tag if one is given; returns its descriptor and what
    /// it refers to. What it leads to has to be here, unless `sparse`.
    pub(crate) fn put_manifest(
        &self,
        bytes: &[u8],
        media_type: &str,
        tag: Option<&str>,
        sparse: bool,
        lease: &Lease,
    ) -> Result<(Digest, Option<Digest>), ManifestError> {
        let read = Read::of(bytes, media_type)?;
        if !sparse {
            for digest in &read.blobs {
                if self.blob(digest)?.is_none() {
                    return Err(ManifestError::BlobUnknown(digest.clone()));
                }
            }
            for digest in &read.manifests {
                if self.manifest(&Named::Digest(digest.clone()))?.is_none() {
                    return Err(ManifestError::BlobUnknown(digest.clone()));
                }
            }
        }
        let blob = lease.put(bytes)?;
        sync_folder(&self.store.path("blobs/sha256"))?;
        let place = self.folder.join(MANIFESTS);
        make_private(&place)?;
        write_whole(&place.join(blob.digest.hex()), media_type.as_bytes(), self.store.clock())?;
        let mut described = descriptor(media_type, &blob.digest, blob.size)?;
        if let Some(subject) = &read.subject {
            let place = self.folder.join(REFERRERS).join(subject.hex());
            make_private(&place)?;
            described.set_artifact_type(read.artifact_type.as_deref().map(Into::into));
            let mut value = serde_json::to_value(&described).map_err(io::Error::other)?;
            if !read.annotations.is_null() {
                value["annotations"] = read.annotations.clone();
            }
            let text = value.to_string();
            write_whole(&place.join(blob.digest.hex()), text.as_bytes(), self.store.clock())?;
            described.set_artifact_type(None);
        }
        if let Some(tag) = tag {
            let target = Target::Manifest(Box::new(described));
            let text = serde_json::to_vec(&target).map_err(io::Error::other)?;
            let place = self.folder.join(TAGS);
            make_private(&place)?;
            write_whole(&place.join(tag), &text, self.store.clock())?;
        }
        Ok((blob.digest, read.subject))
    }

    /// Removes a tag, or a manifest with all its tags; says whether it was there.
    pub(crate) fn remove_manifest(&self, reference: &Named) -> Result<bool, StoreError> {
        let digest = match reference {
            Named::Tag(tag) => return removed(&self.folder.join(TAGS).join(tag)),
            Named::Digest(digest) => digest,
        };
        if self.manifest(reference)?.is_none() {
            return Ok(false);
        }
        for tag in self.tags()? {
            if let Some(found) = self.manifest(&Named::Tag(tag.clone()))?
                && found.digest == *digest
            {
                removed(&self.folder.join(TAGS).join(tag))?;
            }
        }
        let bytes = self.store.document("manifest", digest)?;
        if let Ok(read) = Read::of(&bytes, "")
            && let Some(subject) = read.subject
        {
            removed(&self.folder.join(REFERRERS).join(subject.hex()).join(digest.hex()))?;
        }
        removed(&self.folder.join(MANIFESTS).join(digest.hex()))
    }

    /// Returns the tags, sorted.
    pub(crate) fn tags(&self) -> Result<Vec<String>, StoreError> {
        Ok(tags_in(&self.folder)?)
    }

    /// Returns the descriptors of what refers to `subject`, sorted by digest.
    pub(crate) fn referrers(&self, subject: &Digest) -> Result<Vec<Value>, StoreError> {
        let folder = self.folder.join(REFERRERS).join(subject.hex());
        let mut found = Vec::new();
        for (digest, _) in entries(&folder)? {
            let path = folder.join(digest.hex());
            let text = match fs::read(&path) {
                // It was deleted meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other?,
            };
            let value = serde_json::from_slice(&text)
                .map_err(|error| StoreError::Damaged { path, why: error.to_string() })?;
            found.push((digest, value));
        }
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(found.into_iter().map(|(_, value)| value).collect())
    }
}

/// How a manifest is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    Tag(String),
    Digest(Digest),
}

/// What a manifest leads to.
struct Read {
    blobs: Vec<Digest>,
    manifests: Vec<Digest>,
    subject: Option<Digest>,
    artifact_type: Option<String>,
    annotations: Value,
}

impl Read {
    /// Reads a manifest of `media_type`; what it says itself is taken where that is empty.
    fn of(bytes: &[u8], media_type: &str) -> Result<Self, ManifestError> {
        let invalid = |why: String| ManifestError::Invalid(why);
        let value: Value = serde_json::from_slice(bytes)
            .map_err(|error| invalid(format!("it is no JSON: {error}")))?;
        let said = value["mediaType"].as_str();
        let media_type = match (media_type, said) {
            ("", Some(said)) => said,
            ("", None) if value.get("manifests").is_some() => MANIFEST_TYPES[1],
            ("", None) => MANIFEST_TYPES[0],
            (given, Some(said)) if given != said => {
                let why = format!("it was sent as {given} and says it is {said}");
                return Err(invalid(why));
            }
            (given, _) => given,
        };
        if !MANIFEST_TYPES.contains(&media_type) {
            let why = format!("{media_type:?} is no media type of manifests that is served here");
            return Err(invalid(why));
        }
        if value["schemaVersion"] != 2 {
            return Err(invalid("its schemaVersion is not 2".to_owned()));
        }
        let is_index = [MANIFEST_TYPES[1], MANIFEST_TYPES[3]].contains(&media_type);
        let list = |key: &str| -> Result<Vec<Descriptor>, ManifestError> {
            serde_json::from_value(value[key].clone())
                .map_err(|error| invalid(format!("its {key}: {error}")))
        };
        let digest = |of: &Descriptor| {
            Digest::try_from(of.digest()).map_err(|error| invalid(error.to_string()))
        };
        let mut read = Self {
            blobs: Vec::new(),
            manifests: Vec::new(),
            subject: None,
            artifact_type: value["artifactType"].as_str().map(str::to_owned),
            annotations: value.get("annotations").cloned().unwrap_or_default(),
        };
        if is_index {
            for manifest in list("manifests")? {
                read.manifests.push(digest(&manifest)?);
            }
        } else {
            let config: Descriptor = serde_json::from_value(value["config"].clone())
                .map_err(|error| invalid(format!("its config: {error}")))?;
            read.blobs.push(digest(&config)?);
            for layer in list("layers")? {
                // Layers that live elsewhere need not be here.
                if layer.urls().as_ref().is_none_or(Vec::is_empty) {
                    read.blobs.push(digest(&layer)?);
                }
            }
            if read.artifact_type.is_none() {
                read.artifact_type = Some(config.media_type().to_string());
            }
        }
        if let Some(subject) = value.get("subject").filter(|subject| !subject.is_null()) {
            let subject: Descriptor = serde_json::from_value(subject.clone())
                .map_err(|error| invalid(format!("its subject: {error}")))?;
            read.subject = Some(digest(&subject)?);
        }
        Ok(read)
    }
}

/// Returns what collections keep for the repositories of `store`: manifests, and blobs that were
/// pushed or asked for within [`GRACE`]. Marks of older blobs that nothing leads to stay; a
/// registry looks for the blob as well.
pub(crate) fn roots(store: &Store) -> Result<Vec<Digest>, StoreError> {
    let mut roots = Vec::new();
    let now = store.clock().now();
    for (_, folder) in crate::store::repositories(&store.path("repositories"))? {
        for (digest, _) in entries(&folder.join(MANIFESTS))? {
            roots.push(digest);
        }
        for (digest, modified) in entries(&folder.join(BLOBS))? {
            let age = Duration::try_from(now - modified).unwrap_or_default();
            if age <= GRACE {
                roots.push(digest);
            }
        }
    }
    Ok(roots)
}

/// Returns the digests that are file names in `folder`, with the files' times.
fn entries(folder: &Path) -> io::Result<Vec<(Digest, Timestamp)>> {
    let mut found = Vec::new();
    let listed = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        other => other?,
    };
    for entry in listed {
        let entry = entry?;
        let name = entry.file_name();
        let Some(Ok(digest)) = name.to_str().map(Digest::from_hex) else { continue };
        let modified = match entry.metadata() {
            // It was deleted meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other?.modified()?,
        };
        found.push((digest, Timestamp::try_from(modified).unwrap_or(Timestamp::MAX)));
    }
    Ok(found)
}

fn removed(path: &Path) -> Result<bool, StoreError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error.into()),
    }
}
