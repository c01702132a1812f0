//! An image as the store has it, and what a container or a build needs of it.

use std::io;
use std::path::{Path, PathBuf};

use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest, MediaType};
use serde_json::Value;

use super::{Item, Lease, Store, StoreError, Target};
use crate::digest::Digest;
use crate::document;
use crate::layer::{Form, PackOptions, pack};
use crate::platform;
use crate::reference::Reference;

/// How deep indexes may lead to indexes.
const MAX_INDEXES: usize = 4;
/// The fewest digits that stand for an identifier.
const MIN_DIGITS: usize = 4;

/// An image for one platform.
#[derive(Clone, Debug)]
pub struct Image {
    /// The digest of its manifest.
    pub manifest_digest: Digest,
    /// Its manifest.
    pub manifest: ImageManifest,
    /// The digest of its configuration: the image's identifier.
    pub id: Digest,
    /// Its configuration, as the OCI specification has it.
    pub configuration: ImageConfiguration,
    /// Its configuration as it is written: Docker's own fields (`Healthcheck`, `Shell`,
    /// `OnBuild`) are here only.
    pub raw: Value,
}

/// An image whose layers are unpacked, and kept until this is dropped.
#[derive(Debug)]
pub struct Snapshot {
    /// The image.
    pub image: Image,
    /// The folders of its layers, the lowest first. Overlayfs wants its `lowerdir` the other way
    /// round: [`Snapshot::lower_directories`].
    pub layers: Vec<PathBuf>,
    /// Which attributes the layers have: [`Form::User`] needs the mount option `userxattr`.
    pub form: Form,
    items: Vec<Item>,
    lease: Lease,
}

impl Snapshot {
    /// Returns the layers' folders in the order of overlayfs' `lowerdir`, the uppermost first.
    pub fn lower_directories(&self) -> impl Iterator<Item = &Path> {
        self.layers.iter().rev().map(PathBuf::as_path)
    }

    /// Keeps the image and its layers under `name` (a container's identifier) until
    /// [`Store::unpin`], also when this process ends.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn pin(&self, name: &str) -> Result<(), StoreError> {
        self.lease.store().pin(name, &self.items)
    }
}

impl Image {
    /// Returns the digests of the layers' archives, the lowest first.
    ///
    /// # Errors
    /// [`StoreError::Document`] where there are other ones than the manifest has layers.
    pub fn diff_ids(&self) -> Result<Vec<Digest>, StoreError> {
        let bad =
            |why| StoreError::Document { what: "configuration", digest: self.id.clone(), why };
        let ids = self.configuration.rootfs().diff_ids();
        if ids.len() != self.manifest.layers().len() {
            let layers = self.manifest.layers().len();
            return Err(bad(format!("it has {} diff_ids for {layers} layers", ids.len())));
        }
        ids.iter().map(|id| id.parse().map_err(|error| bad(format!("{error}")))).collect()
    }
}

impl Store {
    /// Returns the image that `reference` means, for `platform` (this machine's, if none is
    /// given). `lease` holds it from then on.
    ///
    /// # Errors
    /// [`StoreError::NoImage`]; [`StoreError::Platform`]; [`StoreError::NoBlob`];
    /// [`StoreError::Document`].
    pub fn image(
        &self,
        reference: &Reference,
        wanted: Option<&platform::Platform>,
        lease: &Lease,
    ) -> Result<Image, StoreError> {
        let digest = match (self.look_up(reference)?, reference.digest()) {
            (Some(descriptor), _) => Digest::try_from(descriptor.digest())?,
            (None, Some(digest)) => {
                lease.hold(&Item::Blob(digest.clone()))?;
                if self.blob_size(digest)?.is_none() {
                    return Err(Self::no_image(reference));
                }
                digest.clone()
            }
            (None, None) => return Err(Self::no_image(reference)),
        };
        self.image_at(&digest, &reference.familiar(), wanted, lease)
    }

    /// Returns the image whose manifest or index has `digest`; `shown` is what messages call it.
    ///
    /// # Errors
    /// As [`Store::image`].
    pub fn image_at(
        &self,
        digest: &Digest,
        shown: &str,
        wanted: Option<&platform::Platform>,
        lease: &Lease,
    ) -> Result<Image, StoreError> {
        let own = platform::Platform::of_this_machine();
        let platform = wanted.unwrap_or(&own);
        let mut digest = digest.clone();
        for _ in 0..MAX_INDEXES {
            lease.hold(&Item::Blob(digest.clone()))?;
            let bytes = self.document("manifest", &digest)?;
            match read_manifest(&digest, &bytes)? {
                Document::Index(index) => {
                    let chosen =
                        platform.choose(index.manifests()).ok_or_else(|| StoreError::Platform {
                            reference: shown.to_owned(),
                            wanted: platform.to_string(),
                            available: platform::list(index.manifests()),
                        })?;
                    digest = Digest::try_from(chosen.digest())?;
                }
                Document::Manifest(manifest) => {
                    let image = self.with_configuration(digest, *manifest)?;
                    // Whoever names no platform takes what there is.
                    let found = platform::Platform::of_configuration(&image.configuration);
                    if wanted.is_some_and(|wanted| !wanted.runs(&found)) {
                        return Err(StoreError::Platform {
                            reference: shown.to_owned(),
                            wanted: platform.to_string(),
                            available: found.to_string(),
                        });
                    }
                    return Ok(image);
                }
            }
        }
        let why = format!("more than {MAX_INDEXES} indexes lead to each other");
        Err(StoreError::Document { what: "index", digest, why })
    }

    /// Returns the name that `text` means: a reference that is known here, or the beginning of
    /// an image's identifier or digest.
    ///
    /// # Errors
    /// [`StoreError::NoImage`]; [`StoreError::Ambiguous`]; [`StoreError::BadReference`].
    pub fn resolve(&self, text: &str) -> Result<Reference, StoreError> {
        let parsed = text.parse::<Reference>();
        if let Ok(reference) = &parsed
            && self.look_up(reference)?.is_some()
        {
            return Ok(reference.clone());
        }
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        if digits.len() < MIN_DIGITS || !digits.bytes().all(|it| it.is_ascii_hexdigit()) {
            return Err(match parsed {
                Ok(reference) => Self::no_image(&reference),
                Err(error) => error.into(),
            });
        }
        let lease = self.lease()?;
        let mut found: Option<(Digest, Reference)> = None;
        for named in self.names()? {
            let Target::Manifest(descriptor) = named.target else { continue };
            let digest = Digest::try_from(descriptor.digest())?;
            // An image whose documents are damaged is found by its name only.
            let id = self.image(&named.reference, None, &lease).map(|image| image.id);
            let id = id.unwrap_or_else(|_| digest.clone());
            if !digest.hex().starts_with(digits) && !id.hex().starts_with(digits) {
                continue;
            }
            match &found {
                Some((known, _)) if *known != id => {
                    return Err(StoreError::Ambiguous(text.to_owned()));
                }
                Some(_) => {}
                None => found = Some((id, named.reference)),
            }
        }
        found.map(|(_, reference)| reference).ok_or_else(|| StoreError::NoImage(text.to_owned()))
    }

    fn with_configuration(
        &self,
        manifest_digest: Digest,
        manifest: ImageManifest,
    ) -> Result<Image, StoreError> {
        let id = Digest::try_from(manifest.config().digest())?;
        let bytes = self.document("configuration", &id)?;
        let bad = |error: serde_json::Error| StoreError::Document {
            what: "configuration",
            digest: id.clone(),
            why: error.to_string(),
        };
        let raw: Value = serde_json::from_slice(&bytes).map_err(bad)?;
        let configuration = serde_json::from_slice(&bytes).map_err(bad)?;
        Ok(Image { manifest_digest, manifest, id, configuration, raw })
    }

    /// Prepares an image for a container or a build: finds it, unpacks the layers that are not
    /// yet unpacked, and holds everything until the snapshot is dropped.
    ///
    /// # Errors
    /// As [`Store::image`]; [`StoreError::Unpack`], [`StoreError::Mismatch`].
    pub fn snapshot(
        &self,
        reference: &Reference,
        wanted: Option<&platform::Platform>,
    ) -> Result<Snapshot, StoreError> {
        let lease = self.lease()?;
        let image = self.image(reference, wanted, &lease)?;
        self.snapshot_of(image, lease)
    }

    /// Prepares an image that `lease` holds.
    ///
    /// # Errors
    /// As [`Store::snapshot`].
    pub fn snapshot_of(&self, image: Image, lease: Lease) -> Result<Snapshot, StoreError> {
        let form = self.form();
        let mut items =
            vec![Item::Blob(image.manifest_digest.clone()), Item::Blob(image.id.clone())];
        let mut layers = Vec::new();
        let diff_ids = image.diff_ids()?;
        for (descriptor, diff_id) in image.manifest.layers().iter().zip(&diff_ids) {
            let blob = Digest::try_from(descriptor.digest())?;
            layers.push(lease.unpacked(&blob, diff_id)?);
            items.push(Item::Layer(form, diff_id.clone()));
        }
        if let Some((item, folder)) = lease.implied_folders(&layers, &diff_ids)? {
            items.push(item);
            layers.push(folder);
        }
        Ok(Snapshot { image, layers, form, items, lease })
    }
}

/// A layer that was packed into the store.
#[derive(Clone, Debug)]
pub struct Layer {
    /// What a manifest says of it.
    pub descriptor: Descriptor,
    /// The digest of its archive, for the configuration.
    pub diff_id: Digest,
}

impl Lease {
    /// Packs a folder (with [`PackOptions::overlay`], the upper directory of an overlay) into a
    /// layer, which is leased from then on.
    ///
    /// # Errors
    /// [`StoreError::Pack`]; [`StoreError::Io`].
    pub fn pack(&self, folder: &Path, options: &PackOptions) -> Result<Layer, StoreError> {
        let mut writer = self.blob_writer()?;
        let packed = pack(folder, options, &mut writer)
            .map_err(|source| StoreError::Pack { folder: folder.to_owned(), source })?;
        let blob = writer.commit(Some(&packed.digest))?;
        let media_type = options.compression.media_type();
        Ok(Layer {
            descriptor: descriptor(media_type, &blob.digest, blob.size)?,
            diff_id: packed.diff_id,
        })
    }

    /// Stores an image: its configuration, and a manifest over `layers`, which are here already.
    /// Give it a name with [`Store::set`].
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn write_image(
        &self,
        configuration: &impl serde::Serialize,
        layers: Vec<Descriptor>,
    ) -> Result<Descriptor, StoreError> {
        let bytes = document::to_bytes(configuration).map_err(io::Error::other)?;
        let blob = self.put(&bytes)?;
        let config = descriptor(MediaType::ImageConfig.as_ref(), &blob.digest, blob.size)?;
        self.write_manifest(config, layers)
    }

    /// Stores the manifest of an image whose configuration is here already.
    pub(crate) fn write_manifest(
        &self,
        config: Descriptor,
        layers: Vec<Descriptor>,
    ) -> Result<Descriptor, StoreError> {
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": MediaType::ImageManifest,
            "config": config,
            "layers": layers,
        });
        let bytes = document::to_bytes(&manifest).map_err(io::Error::other)?;
        let blob = self.put(&bytes)?;
        descriptor(MediaType::ImageManifest.as_ref(), &blob.digest, blob.size)
    }
}

/// What a manifest's digest leads to.
pub(crate) enum Document {
    /// One image.
    Manifest(Box<ImageManifest>),
    /// A choice of them.
    Index(Box<ImageIndex>),
}

/// Reads a manifest or an index, whichever it says or seems to be.
pub(crate) fn read_manifest(digest: &Digest, bytes: &[u8]) -> Result<Document, StoreError> {
    let bad = |why: String| StoreError::Document { what: "manifest", digest: digest.clone(), why };
    let value: Value = serde_json::from_slice(bytes).map_err(|error| bad(error.to_string()))?;
    if value["schemaVersion"] == 1 {
        let why = "it is of schema 1, which registries stopped serving: push the image anew";
        return Err(bad(why.to_owned()));
    }
    let said = value["mediaType"].as_str().map(MediaType::from);
    let is_index = match said.as_ref().map(is_index_type) {
        Some(it) => it,
        None => value.get("manifests").is_some(),
    };
    // Read from the text, whose duplicate keys a tree has lost.
    if is_index {
        let index = serde_json::from_slice(bytes).map_err(|error| bad(error.to_string()))?;
        Ok(Document::Index(Box::new(index)))
    } else {
        let manifest = serde_json::from_slice(bytes).map_err(|error| bad(error.to_string()))?;
        Ok(Document::Manifest(Box::new(manifest)))
    }
}

/// The media types of Docker's own manifests.
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// The media type of Docker's own index.
pub(crate) const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// Says whether something of this type is an index.
pub(crate) fn is_index_type(media_type: &MediaType) -> bool {
    *media_type == MediaType::ImageIndex || media_type.to_string() == DOCKER_INDEX
}

/// Returns a descriptor of what has `digest`.
pub(crate) fn descriptor(
    media_type: &str,
    digest: &Digest,
    size: u64,
) -> Result<Descriptor, StoreError> {
    let theirs: oci_spec::image::Digest =
        digest.as_str().parse().map_err(|error: oci_spec::OciSpecError| StoreError::Document {
            what: "digest",
            digest: digest.clone(),
            why: error.to_string(),
        })?;
    Ok(Descriptor::new(MediaType::from(media_type), size, theirs))
}
