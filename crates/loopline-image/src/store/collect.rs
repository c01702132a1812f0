//! Collection: what nothing leads to and nobody uses goes.

use std::collections::{HashMap, HashSet};
use std::io;
use std::time::Duration;

use fs_err as fs;
use loopline_clock::Timestamp;
use oci_spec::image::{ImageConfiguration, ImageIndex, ImageManifest};
use rustix::fs::{FlockOperation, flock};

use super::blobs::MAX_DOCUMENT;
use super::{Item, Store, StoreError, Target};
use crate::digest::Digest;
use crate::layer::Form;

/// How long a part of a blob is kept that a pull has left.
const MAX_PARTIAL_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What a collection removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// How many blobs.
    pub blobs: u64,
    /// How many unpacked layers.
    pub layers: u64,
    /// How large the blobs were, in bytes.
    pub bytes: u64,
}

/// What documents lead to, read before the collection begins so that it is short.
#[derive(Debug, Default)]
struct Known(HashMap<Digest, Leads>);

/// What one blob leads to.
#[derive(Clone, Debug, Default)]
struct Leads {
    blobs: Vec<Digest>,
    layers: Vec<Digest>,
}

impl Store {
    /// Removes blobs and unpacked layers that no reference, repository, lease or pin leads to.
    /// Others may use the store meanwhile; who begins to wait for a moment.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] where a file of the store cannot be understood: nothing is
    /// removed then.
    pub fn collect(&self) -> Result<Collected, StoreError> {
        // Once without the locks: most of what is there stays, and is known afterwards.
        let mut known = Known::default();
        self.mark(self.named()?, &mut known)?;
        let mut collected = Collected::default();
        {
            let _alone = self.begin_collection()?;
            let mut roots = self.leased()?;
            roots.extend(self.pinned()?);
            roots.extend(self.named()?);
            let used = self.mark(roots, &mut known)?;
            self.sweep_blobs(&used, &mut collected)?;
            self.sweep_layers(&used, &mut collected)?;
        }
        self.empty_trash()?;
        self.expire_partial_blobs()?;
        Ok(collected)
    }

    /// Removes parts of blobs that nobody has gone on with for [`MAX_PARTIAL_AGE`].
    fn expire_partial_blobs(&self) -> Result<(), StoreError> {
        let entries = match fs::read_dir(self.path("partial")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        let now = self.clock().now();
        for entry in entries {
            let path = entry?.path();
            let file = match fs::File::open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other?,
            };
            let modified = Timestamp::try_from(file.metadata()?.modified()?);
            let modified = modified.unwrap_or(Timestamp::MAX);
            let is_old = Duration::try_from(now - modified).unwrap_or_default() > MAX_PARTIAL_AGE;
            // Whoever is pulling it has it locked.
            if is_old && flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
                self.throw_away(&path)?;
            }
        }
        Ok(self.empty_trash()?)
    }

    /// Returns what references and repositories lead to.
    fn named(&self) -> Result<Vec<Item>, StoreError> {
        let mut items = Vec::new();
        for named in self.names()? {
            if let Target::Manifest(descriptor) = named.target {
                items.push(Item::Blob(Digest::try_from(descriptor.digest())?));
            }
        }
        items.extend(self.served()?.into_iter().map(Item::Blob));
        Ok(items)
    }

    /// Returns the blobs that repositories served from this store have.
    fn served(&self) -> Result<Vec<Digest>, StoreError> {
        crate::registry::repository::roots(self)
    }

    fn mark(&self, roots: Vec<Item>, known: &mut Known) -> Result<HashSet<Item>, StoreError> {
        let mut used = HashSet::new();
        let mut open = roots;
        while let Some(item) = open.pop() {
            if !used.insert(item.clone()) {
                continue;
            }
            if let Item::Blob(digest) = item {
                let leads = known.leads(self, &digest)?;
                open.extend(leads.blobs.iter().cloned().map(Item::Blob));
                for form in [Form::Trusted, Form::User] {
                    open.extend(leads.layers.iter().map(|it| Item::Layer(form, it.clone())));
                }
            }
        }
        Ok(used)
    }

    fn sweep_blobs(
        &self,
        used: &HashSet<Item>,
        collected: &mut Collected,
    ) -> Result<(), StoreError> {
        for entry in fs::read_dir(self.path("blobs/sha256"))? {
            let entry = entry?;
            let name = entry.file_name();
            // What we did not put there is not ours to remove.
            let Some(Ok(digest)) = name.to_str().map(Digest::from_hex) else { continue };
            if used.contains(&Item::Blob(digest)) {
                continue;
            }
            let bytes = entry.metadata()?.len();
            // Moved, not removed: giving a large file's space back takes a while.
            self.throw_away(&entry.path())?;
            collected.blobs += 1;
            collected.bytes += bytes;
        }
        Ok(())
    }

    fn sweep_layers(
        &self,
        used: &HashSet<Item>,
        collected: &mut Collected,
    ) -> Result<(), StoreError> {
        for form in [Form::Trusted, Form::User] {
            let entries = match fs::read_dir(self.path("layers").join(form.name())) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other?,
            };
            for entry in entries {
                let entry = entry?;
                let name = entry.file_name();
                let Some(Ok(digest)) = name.to_str().map(Digest::from_hex) else { continue };
                if !used.contains(&Item::Layer(form, digest)) {
                    self.throw_away(&entry.path())?;
                    collected.layers += 1;
                }
            }
        }
        Ok(())
    }
}

impl Known {
    fn leads(&mut self, store: &Store, digest: &Digest) -> Result<Leads, StoreError> {
        if let Some(leads) = self.0.get(digest) {
            return Ok(leads.clone());
        }
        let leads = match store.blob_size(digest)? {
            // It may come yet: only what is there is remembered.
            None => return Ok(Leads::default()),
            Some(size) if size > MAX_DOCUMENT => Leads::default(),
            Some(_) => match store.open_blob(digest) {
                Ok(file) => read_leads(file)?,
                Err(StoreError::NoBlob(_)) => return Ok(Leads::default()),
                Err(error) => return Err(error),
            },
        };
        self.0.insert(digest.clone(), leads.clone());
        Ok(leads)
    }
}

/// Reads what a blob leads to. Which kind it is, only it itself says: a lease has a digest alone.
fn read_leads(mut file: fs::File) -> Result<Leads, StoreError> {
    use std::io::{Read as _, Seek as _};
    let mut first = [0];
    // Documents are JSON objects; layers are not, and need not be read whole to know it.
    if file.read(&mut first)? == 0 || first[0] != b'{' {
        return Ok(Leads::default());
    }
    file.rewind()?;
    let mut bytes = Vec::new();
    file.take(MAX_DOCUMENT).read_to_end(&mut bytes)?;
    let mut leads = Leads::default();
    let mut lead = |descriptor: &oci_spec::image::Descriptor| {
        // A blob under another kind of digest cannot be here.
        leads.blobs.extend(Digest::try_from(descriptor.digest()));
    };
    if let Ok(manifest) = serde_json::from_slice::<ImageManifest>(&bytes) {
        lead(manifest.config());
        manifest.layers().iter().for_each(&mut lead);
    } else if let Ok(index) = serde_json::from_slice::<ImageIndex>(&bytes) {
        index.manifests().iter().for_each(&mut lead);
    } else if let Ok(configuration) = serde_json::from_slice::<ImageConfiguration>(&bytes) {
        leads.layers.extend(configuration.rootfs().diff_ids().iter().flat_map(|id| id.parse()));
    }
    Ok(leads)
}
