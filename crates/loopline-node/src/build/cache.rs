//! What earlier builds made of the same instruction on the same ground.

use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use loopline_image::Descriptor;
use loopline_image::digest::Digest;
use loopline_image::store::{Item, Layer, Store, StoreError};
use serde::{Deserialize, Serialize};

use super::BuildError;

/// The folder of the data folder.
const FOLDER: &str = "builds/cache";

/// A step that was carried out.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    /// The layer's archive and its `diff_id`; nothing where it changed no file.
    layer: Option<(Descriptor, Digest)>,
    /// When it was, which the image goes on saying.
    created: String,
}

/// What a step made: perhaps a layer, and when.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) layer: Option<Layer>,
    pub(super) created: String,
}

/// The cache of one data folder.
pub(super) struct Cache {
    folder: PathBuf,
    store: Store,
    is_off: bool,
}

impl Cache {
    pub(super) fn open(data: &Path, store: Store, is_off: bool) -> io::Result<Self> {
        let folder = data.join(FOLDER);
        fs::create_dir_all(&folder)?;
        Ok(Self { folder, store, is_off })
    }

    /// Returns what a step made, if it is still there.
    pub(super) fn get(&self, key: &Digest) -> Option<Made> {
        if self.is_off {
            return None;
        }
        let text = fs::read(self.folder.join(key.hex())).ok()?;
        // An entry that cannot be read is one that is not there.
        let entry: Entry = serde_json::from_slice(&text).ok()?;
        let layer = match entry.layer {
            Some((descriptor, diff_id)) => {
                let blob = Digest::try_from(descriptor.digest()).ok()?;
                self.store.blob_size(&blob).ok()??;
                Some(Layer { descriptor, diff_id })
            }
            None => None,
        };
        Some(Made { layer, created: entry.created })
    }

    /// Remembers what a step made.
    pub(super) fn put(&self, key: &Digest, made: &Made) -> Result<(), BuildError> {
        if let Some(layer) = &made.layer {
            let blob = Digest::try_from(layer.descriptor.digest()).map_err(StoreError::from)?;
            let items = [Item::Blob(blob), Item::Layer(self.store.form(), layer.diff_id.clone())];
            self.store.pin(&pin(key.hex()), &items)?;
        }
        let layer = made.layer.clone().map(|layer| (layer.descriptor, layer.diff_id));
        let entry = Entry { layer, created: made.created.clone() };
        let draft = self.folder.join(format!(".{}.{}", key.hex(), std::process::id()));
        fs::write(&draft, serde_json::to_vec(&entry).map_err(io::Error::from)?)?;
        Ok(fs::rename(draft, self.folder.join(key.hex()))?)
    }
}

/// The name under which the layer of a step is kept.
fn pin(key: &str) -> String {
    format!("build-{key}")
}

/// Forgets what builds have made; images keep their layers.
pub(super) fn clear(data: &Path, store: &Store) -> Result<usize, BuildError> {
    let mut count = 0;
    let entries = match fs::read_dir(data.join(FOLDER)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error.into()),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        store.unpin(&pin(&name))?;
        fs::remove_file(entry.path())?;
        count += 1;
    }
    Ok(count)
}
