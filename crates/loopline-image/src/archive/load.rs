//! Loads archives and layout folders. Everything in an archive becomes a blob on the way, because
//! what it means is often said last; what no image turns out to need goes with the next
//! collection.

use std::collections::HashMap;
use std::io::{self, BufReader, Read, Write as _};
use std::path::Path;

use fs_err as fs;
use oci_spec::image::{Descriptor, ImageIndex, ImageManifest, MediaType};
use serde::Deserialize;

use super::ArchiveError;
use crate::digest::Digest;
use crate::layer::Compression;
use crate::reference::Reference;
use crate::store::{self, Blob, Lease, descriptor, is_index_type};
use crate::tar::{Bounds, Kind, Reader};

/// The most files of an archive of images.
const MAX_FILES: u64 = 100_000;
/// How far links between files of an archive lead.
const MAX_LINKS: usize = 8;
/// Where OCI archives write what an image is called, containerd's first because it is complete.
const NAMES: [&str; 2] = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];

/// An image of an archive, now in the store.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What it is called in the archive; it is known under these names now.
    pub references: Vec<Reference>,
    /// Its manifest, or the index of its manifests.
    pub descriptor: Descriptor,
}

/// Loads the images of the archive (compressed or not) or layout folder at `path`, and lets their
/// names lead to them. `lease` holds them.
///
/// # Errors
/// [`ArchiveError`].
pub fn load(path: &Path, lease: &Lease) -> Result<Vec<Loaded>, ArchiveError> {
    let files = if fs::metadata(path)?.is_dir() {
        Files::of_folder(path, lease)?
    } else {
        Files::of_archive(path, lease)?
    };
    let images = if files.has("manifest.json") {
        files.docker(lease)?
    } else if files.has("index.json") {
        files.oci(lease)?
    } else {
        return Err(ArchiveError::NoImage { path: files.path });
    };
    for image in &images {
        for reference in &image.references {
            lease.store().set(reference, &image.descriptor, lease)?;
        }
    }
    Ok(images)
}

/// The files of an archive, stored as blobs.
struct Files {
    path: String,
    blobs: HashMap<String, Blob>,
    links: HashMap<String, String>,
}

/// One image in a `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl Files {
    fn of_archive(path: &Path, lease: &Lease) -> Result<Self, ArchiveError> {
        let shown = path.display().to_string();
        let tar_error = |source| ArchiveError::Tar { path: shown.clone(), source };
        let input = crate::layer::decompress(fs::File::open(path)?)?;
        let bounds = Bounds { entries: MAX_FILES, ..Bounds::default() };
        let mut reader = Reader::new(input, bounds);
        let mut files = Self { path: shown.clone(), blobs: HashMap::new(), links: HashMap::new() };
        while let Some(entry) = reader.next_entry().map_err(tar_error)? {
            let Ok(name) = String::from_utf8(entry.path.clone()) else { continue };
            let name = normal(&name);
            match entry.kind {
                Kind::File => {
                    let blob = store_as_blob(&mut reader.data(), lease)?;
                    files.blobs.insert(name, blob);
                }
                // Older versions of `docker save` write a layer once and link to it.
                Kind::Symlink | Kind::HardLink => {
                    let link = String::from_utf8_lossy(&entry.link).into_owned();
                    let target = match (entry.kind, name.rsplit_once('/')) {
                        (Kind::Symlink, Some((folder, _))) => format!("{folder}/{link}"),
                        _ => link,
                    };
                    files.links.insert(name, normal(&target));
                }
                _ => {}
            }
        }
        Ok(files)
    }

    /// Takes only what an image layout has; a folder may hold anything else.
    fn of_folder(path: &Path, lease: &Lease) -> Result<Self, ArchiveError> {
        let mut files =
            Self { path: path.display().to_string(), blobs: HashMap::new(), links: HashMap::new() };
        let mut add = |name: String, file: &Path| -> Result<(), ArchiveError> {
            let mut file = fs::File::open(file)?;
            if file.metadata()?.is_file() {
                files.blobs.insert(name, store_as_blob(&mut file, lease)?);
            }
            Ok(())
        };
        for name in ["oci-layout", "index.json"] {
            if path.join(name).exists() {
                add(name.to_owned(), &path.join(name))?;
            }
        }
        let blobs = path.join("blobs/sha256");
        if blobs.exists() {
            for entry in fs::read_dir(blobs)? {
                let entry = entry?;
                if let Ok(name) = entry.file_name().into_string() {
                    add(format!("blobs/sha256/{name}"), &entry.path())?;
                }
            }
        }
        Ok(files)
    }

    fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    fn find(&self, name: &str) -> Option<&Blob> {
        let mut name = normal(name);
        for _ in 0..MAX_LINKS {
            if let Some(blob) = self.blobs.get(&name) {
                return Some(blob);
            }
            name = self.links.get(&name)?.clone();
        }
        None
    }

    fn get(&self, name: &str) -> Result<&Blob, ArchiveError> {
        let missing = || ArchiveError::Missing { path: self.path.clone(), file: name.to_owned() };
        self.find(name).ok_or_else(missing)
    }

    fn bad(&self, file: &str, why: impl ToString) -> ArchiveError {
        ArchiveError::Document {
            path: self.path.clone(),
            file: file.to_owned(),
            why: why.to_string(),
        }
    }

    fn read<T: serde::de::DeserializeOwned>(
        &self,
        name: &str,
        lease: &Lease,
    ) -> Result<T, ArchiveError> {
        let bytes = lease.store().document("document", &self.get(name)?.digest)?;
        serde_json::from_slice(&bytes).map_err(|error| self.bad(name, error))
    }

    /// Reads what `docker save` wrote.
    fn docker(&self, lease: &Lease) -> Result<Vec<Loaded>, ArchiveError> {
        let images: Vec<DockerImage> = self.read("manifest.json", lease)?;
        let mut loaded = Vec::new();
        for image in images {
            let configuration = self.get(&image.config)?;
            let _checked: oci_spec::image::ImageConfiguration = self.read(&image.config, lease)?;
            let media_type = MediaType::ImageConfig.to_string();
            let config = descriptor(&media_type, &configuration.digest, configuration.size)?;
            let mut layers = Vec::new();
            for layer in &image.layers {
                layers.push(self.layer(layer, lease)?);
            }
            let descriptor = lease.write_manifest(config, layers)?;
            let mut references = Vec::new();
            for tag in image.repo_tags.unwrap_or_default() {
                references.push(tag.parse().map_err(|error| self.bad("manifest.json", error))?);
            }
            loaded.push(Loaded { references, descriptor });
        }
        Ok(loaded)
    }

    fn layer(&self, name: &str, lease: &Lease) -> Result<Descriptor, ArchiveError> {
        let blob = self.get(name)?;
        let mut start = Vec::new();
        lease.store().open_blob(&blob.digest)?.take(4).read_to_end(&mut start)?;
        Ok(descriptor(Compression::of(&start).media_type(), &blob.digest, blob.size)?)
    }

    /// Reads an image layout.
    fn oci(&self, lease: &Lease) -> Result<Vec<Loaded>, ArchiveError> {
        let index: ImageIndex = self.read("index.json", lease)?;
        let mut loaded: Vec<Loaded> = Vec::new();
        for entry in index.manifests() {
            self.verify(entry, lease, 0)?;
            let mut references = Vec::new();
            for key in NAMES {
                let name = entry.annotations().as_ref().and_then(|all| all.get(key));
                // A bare tag says nothing about the repository.
                if let Some(name) = name
                    && references.is_empty()
                    && name.contains(['/', ':'])
                {
                    references.push(name.parse().map_err(|error| self.bad("index.json", error))?);
                }
            }
            let mut descriptor = entry.clone();
            descriptor.set_annotations(None);
            match loaded.iter_mut().find(|it| it.descriptor.digest() == descriptor.digest()) {
                Some(known) => known.references.extend(references),
                None => loaded.push(Loaded { references, descriptor }),
            }
        }
        Ok(loaded)
    }

    /// Makes sure that what a descriptor leads to is in the archive and is what it says.
    fn verify(&self, of: &Descriptor, lease: &Lease, depth: usize) -> Result<(), ArchiveError> {
        let digest =
            Digest::try_from(of.digest()).map_err(|error| self.bad("index.json", error))?;
        let file = format!("blobs/sha256/{}", digest.hex());
        let blob = self.get(&file)?;
        if blob.digest != digest {
            return Err(self.bad(&file, format!("its digest is {}", blob.digest)));
        }
        if blob.size != of.size() {
            let why = format!("it has {} bytes, and {} are said", blob.size, of.size());
            return Err(self.bad(&file, why));
        }
        if is_index_type(of.media_type()) {
            if depth >= MAX_LINKS {
                return Err(self.bad(&file, "indexes lead to indexes too deep"));
            }
            let index: ImageIndex = self.read(&file, lease)?;
            let mut first_error = None;
            let mut whole = 0;
            // Archives need not have every platform of an image.
            for entry in index.manifests() {
                match self.verify(entry, lease, depth + 1) {
                    Ok(()) => whole += 1,
                    Err(ArchiveError::Missing { path, file }) => {
                        first_error = first_error.or(Some(ArchiveError::Missing { path, file }));
                    }
                    Err(error) => return Err(error),
                }
            }
            return match first_error {
                Some(error) if whole == 0 => Err(error),
                _ => Ok(()),
            };
        }
        let is_manifest = *of.media_type() == MediaType::ImageManifest
            || of.media_type().to_string() == store::DOCKER_MANIFEST;
        if is_manifest {
            let manifest: ImageManifest = self.read(&file, lease)?;
            for part in std::iter::once(manifest.config()).chain(manifest.layers()) {
                self.verify(part, lease, depth + 1)?;
            }
        }
        Ok(())
    }
}

fn store_as_blob(input: &mut impl Read, lease: &Lease) -> Result<Blob, ArchiveError> {
    let mut writer = lease.blob_writer()?;
    io::copy(&mut BufReader::with_capacity(256 * 1024, input), &mut writer)?;
    writer.flush()?;
    Ok(writer.commit(None)?)
}

/// Returns a path without `.`, and with `..` taken back.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}
