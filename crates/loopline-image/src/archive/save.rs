//! Writes images as one file that is both what `docker save` writes and an OCI archive (as
//! Docker's own has been since version 25), as an OCI archive alone, or as a layout folder.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use fs_err as fs;
use oci_spec::image::Descriptor;
use serde_json::{Value, json};

use super::ArchiveError;
use crate::digest::Digest;
use crate::platform::Platform;
use crate::reference::Reference;
use crate::store::{
    Document, Lease, Store, StoreError, descriptor, is_index_type, make_private, read_manifest,
};
use crate::tar::{Entry, Kind, Writer};

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// What `docker load` reads, and readers of OCI archives as well.
    Docker,
    /// An OCI archive.
    Oci,
}

/// The files of an archive, by name: in the order in which they are written, which is always the
/// same.
struct Files(BTreeMap<String, Content>);

enum Content {
    Bytes(Vec<u8>),
    Blob(Digest),
}

/// Writes images to an archive.
///
/// # Errors
/// [`ArchiveError`].
pub fn save(
    references: &[Reference],
    platform: Option<&Platform>,
    form: Form,
    lease: &Lease,
    output: impl Write,
) -> Result<(), ArchiveError> {
    let files = files(references, platform, form, lease)?;
    let mut writer = Writer::new(output);
    for folder in ["blobs/", "blobs/sha256/"] {
        writer.append(&Entry::new(folder, Kind::Directory), io::empty())?;
    }
    for (name, content) in files.0 {
        let mut entry = Entry::new(name, Kind::File);
        match content {
            Content::Bytes(bytes) => {
                entry.size = bytes.len() as u64;
                writer.append(&entry, &bytes[..])?;
            }
            Content::Blob(digest) => {
                let file = lease.store().open_blob(&digest)?;
                entry.size = file.metadata()?.len();
                writer.append(&entry, file)?;
            }
        }
    }
    writer.finish()?.flush()?;
    Ok(())
}

/// Writes images to an OCI layout folder, made where it is missing. Other images that are in it
/// stay; of the same name, the new one counts.
///
/// # Errors
/// [`ArchiveError`].
pub fn save_layout(
    references: &[Reference],
    platform: Option<&Platform>,
    lease: &Lease,
    folder: &Path,
) -> Result<(), ArchiveError> {
    let files = files(references, platform, Form::Oci, lease)?;
    make_private(&folder.join("blobs/sha256"))?;
    let index = folder.join("index.json");
    for (name, content) in files.0 {
        let path = folder.join(&name);
        match content {
            Content::Bytes(bytes) if name == "index.json" => {
                let bytes = merged(&index, &bytes)?;
                fs::write(&path, bytes)?;
            }
            Content::Bytes(bytes) => fs::write(&path, bytes)?,
            Content::Blob(digest) => {
                io::copy(&mut lease.store().open_blob(&digest)?, &mut fs::File::create(&path)?)?;
            }
        }
    }
    Ok(())
}

/// Adds the images of a new index to those of the file at `path`.
fn merged(path: &Path, new: &[u8]) -> Result<Vec<u8>, ArchiveError> {
    let bad = |why: String| ArchiveError::Document {
        path: path.display().to_string(),
        file: "index.json".to_owned(),
        why,
    };
    let mut new: Value = serde_json::from_slice(new).map_err(|error| bad(error.to_string()))?;
    let old = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return to_bytes(&new),
        other => other?,
    };
    let old: Value = serde_json::from_slice(&old).map_err(|error| bad(error.to_string()))?;
    let name = |of: &Value| of["annotations"][REF_NAME].clone();
    let list = |of: &Value| of["manifests"].as_array().cloned().unwrap_or_default();
    let added = list(&new);
    let mut all = list(&old);
    all.retain(|known| !added.iter().any(|it| name(it) == name(known)));
    all.extend(added);
    new["manifests"] = Value::Array(all);
    to_bytes(&new)
}

/// The annotation that names an image of a layout; readers of layouts take it as it is.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation with the whole name.
const FULL_NAME: &str = "io.containerd.image.name";

fn to_bytes(value: &Value) -> Result<Vec<u8>, ArchiveError> {
    Ok(serde_json::to_vec(value).map_err(io::Error::other)?)
}

fn files(
    references: &[Reference],
    platform: Option<&Platform>,
    form: Form,
    lease: &Lease,
) -> Result<Files, ArchiveError> {
    let store = lease.store();
    let mut files = Files(BTreeMap::new());
    let mut index = Vec::new();
    let mut docker: Vec<Value> = Vec::new();
    for reference in references {
        let image = store.image(reference, platform, lease)?;
        let found = store.look_up(reference)?.map_or_else(
            || store.describe(&image.manifest_digest),
            |found| whole(store, found, &image.manifest_digest, platform.is_some()),
        )?;
        files.add(store, &found, 0)?;
        let full = reference.to_string();
        let mut entry = serde_json::to_value(&found).map_err(io::Error::other)?;
        entry["annotations"] = json!({ FULL_NAME: full });
        if let Some(tag) = reference.tag() {
            entry["annotations"][REF_NAME] = json!(tag);
        }
        index.push(entry);
        let blob = |digest: &str| format!("blobs/sha256/{}", digest.trim_start_matches("sha256:"));
        let config = blob(image.id.as_str());
        // One image under several names is one entry.
        let tag = reference.tag().map(|_| reference.familiar());
        if let Some(known) = docker.iter_mut().find(|it| it["Config"] == config.as_str()) {
            if let (Some(tags), Some(tag)) = (known["RepoTags"].as_array_mut(), tag) {
                tags.push(json!(tag));
            }
            continue;
        }
        let layers: Vec<String> =
            image.manifest.layers().iter().map(|it| blob(it.digest().as_ref())).collect();
        let tags: Vec<String> = tag.into_iter().collect();
        docker.push(json!({ "Config": config, "RepoTags": tags, "Layers": layers }));
    }
    let media_type = "application/vnd.oci.image.index.v1+json";
    let index = json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": index });
    let mut put = |name: &str, value: &Value| -> Result<(), ArchiveError> {
        files.0.insert(name.to_owned(), Content::Bytes(to_bytes(value)?));
        Ok(())
    };
    put("index.json", &index)?;
    put("oci-layout", &json!({ "imageLayoutVersion": "1.0.0" }))?;
    if form == Form::Docker {
        put("manifest.json", &Value::Array(docker))?;
    }
    Ok(files)
}

/// Returns an index where all of it is here and wanted, and the chosen image otherwise.
fn whole(
    store: &Store,
    found: Descriptor,
    chosen: &Digest,
    one: bool,
) -> Result<Descriptor, StoreError> {
    if !is_index_type(found.media_type()) {
        return Ok(found);
    }
    if !one {
        let digest = Digest::try_from(found.digest())?;
        if let Document::Index(index) = read_manifest(&digest, &store.document("index", &digest)?)?
        {
            let mut all = true;
            for manifest in index.manifests() {
                let digest = Digest::try_from(manifest.digest())?;
                all = all && store.blob_size(&digest)?.is_some();
            }
            if all {
                return Ok(found);
            }
        }
    }
    store.describe(chosen)
}

impl Store {
    /// Returns the descriptor of a manifest that is here.
    fn describe(&self, digest: &Digest) -> Result<Descriptor, StoreError> {
        let bytes = self.document("manifest", digest)?;
        let media_type = match read_manifest(digest, &bytes)? {
            Document::Index(index) => index.media_type().clone(),
            Document::Manifest(manifest) => manifest.media_type().clone(),
        };
        let media_type = media_type.map_or_else(
            || "application/vnd.oci.image.manifest.v1+json".to_owned(),
            |media_type| media_type.to_string(),
        );
        descriptor(&media_type, digest, bytes.len() as u64)
    }
}

impl Files {
    fn add(&mut self, store: &Store, of: &Descriptor, depth: usize) -> Result<(), ArchiveError> {
        /// How deep indexes may lead to indexes.
        const MAX_DEPTH: usize = 4;
        let digest = Digest::try_from(of.digest()).map_err(StoreError::from)?;
        let bytes = store.document("manifest", &digest)?;
        match read_manifest(&digest, &bytes)? {
            Document::Manifest(manifest) => {
                for blob in std::iter::once(manifest.config()).chain(manifest.layers()) {
                    let digest = Digest::try_from(blob.digest()).map_err(StoreError::from)?;
                    if store.blob_size(&digest)?.is_none() {
                        return Err(StoreError::NoBlob(digest).into());
                    }
                    self.blob(digest);
                }
            }
            Document::Index(index) if depth < MAX_DEPTH => {
                for manifest in index.manifests() {
                    self.add(store, manifest, depth + 1)?;
                }
            }
            Document::Index(_) => {
                let why = format!("more than {MAX_DEPTH} indexes lead to each other");
                return Err(StoreError::Document { what: "index", digest, why }.into());
            }
        }
        self.blob(digest);
        Ok(())
    }

    fn blob(&mut self, digest: Digest) {
        self.0.insert(format!("blobs/sha256/{}", digest.hex()), Content::Blob(digest));
    }
}
