//! Unpacked layers: one folder for each, shared by all images that have it.
//!
//! An unpacked layer is a cache, so it is not written through to the disk; but it must not be
//! wrong after a power cut either. A layer that nobody has written through bears the mark of the
//! boot in which it was unpacked, and is unpacked again if that is over.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::{Item, Lease, Store, StoreError, make_private};
use crate::digest::Digest;
use crate::layer::{Form, UnpackError, UnpackOptions, unpack};
use crate::tar::Bounds;

/// The file that says in which boot a layer was unpacked.
const UNSYNCED: &str = "unsynced";
/// The file with the folders that the layer has files in and does not describe.
const IMPLIED: &str = "implied";
/// The folder of the layer's files.
const FILES: &str = "fs";

impl Store {
    /// Returns the folder of the unpacked layer `diff_id`, there or not.
    pub(super) fn layer_folder(&self, form: Form, diff_id: &Digest) -> PathBuf {
        self.path("layers").join(form.name()).join(diff_id.hex())
    }

    /// Moves a file or folder to where the end of a collection removes it.
    pub(super) fn throw_away(&self, path: &Path) -> io::Result<()> {
        let place = self.path("trash").join(self.clock().random_hex(16));
        match fs::rename(path, place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Removes what was thrown away.
    pub(super) fn empty_trash(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.path("trash"))? {
            let entry = entry?;
            // Another process may be at it as well.
            match remove_all(&entry.path()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
        Ok(())
    }
}

impl Lease {
    /// Returns the folder of the layer `diff_id`, which is unpacked from `blob` where that has
    /// not been done. Both are leased from then on.
    ///
    /// # Errors
    /// [`StoreError::NoBlob`]; [`StoreError::Unpack`]; [`StoreError::Mismatch`] where the blob
    /// holds another layer.
    pub fn unpacked(&self, blob: &Digest, diff_id: &Digest) -> Result<PathBuf, StoreError> {
        let form = self.store.form();
        self.hold(&Item::Layer(form, diff_id.clone()))?;
        let place = self.store.layer_folder(form, diff_id);
        if self.is_usable(&place)? {
            return Ok(place.join(FILES));
        }
        self.hold(&Item::Blob(blob.clone()))?;
        let input = self.store.open_blob(blob)?;
        let scratch = self.scratch();
        let files = scratch.join(FILES);
        make_private(&files)?;
        // The root of a container's files is everybody's to enter.
        fs::set_permissions(&files, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let unpack_error =
            |source: UnpackError| StoreError::Unpack { digest: blob.clone(), source };
        let options = UnpackOptions { form, bounds: Bounds::default() };
        let unpacked = unpack(input, &files, &options).map_err(unpack_error);
        let unpacked = unpacked.and_then(|unpacked| {
            if unpacked.diff_id == *diff_id {
                Ok(unpacked.implied)
            } else {
                let found = unpacked.diff_id;
                Err(StoreError::Mismatch { expected: diff_id.clone(), found })
            }
        });
        let implied = match unpacked {
            Ok(implied) => implied,
            Err(error) => {
                // A large half is not kept until the lease ends.
                let _ = remove_all(&scratch);
                return Err(error);
            }
        };
        if !implied.is_empty() {
            let list: Vec<Vec<u8>> = implied.into_iter().collect();
            fs::write(scratch.join(IMPLIED), list.join(&0))?;
        }
        self.put_in_place(&scratch, &place)?;
        Ok(place.join(FILES))
    }

    /// Puts an unpacked layer in its place.
    fn put_in_place(&self, scratch: &Path, place: &Path) -> Result<(), StoreError> {
        fs::write(scratch.join(UNSYNCED), boot()?)?;
        make_private(place.parent().unwrap_or(place))?;
        match fs::rename(scratch, place) {
            Ok(()) => {}
            // Another process was faster, or there is one of an earlier boot.
            Err(_) if self.is_usable(place)? => remove_all(scratch)?,
            Err(_) => {
                self.store.throw_away(place)?;
                fs::rename(scratch, place)?;
            }
        }
        Ok(())
    }

    /// Returns a layer to put on top of `layers` (the lowest first) where one of them has files
    /// in folders that it does not describe: such a folder is what it is in the layers below, and
    /// overlayfs would show it as it happened to be made. It holds those folders alone.
    pub(super) fn implied_folders(
        &self,
        layers: &[PathBuf],
        diff_ids: &[Digest],
    ) -> Result<Option<(Item, PathBuf)>, StoreError> {
        let mut implied: Vec<HashSet<Vec<u8>>> = Vec::new();
        for layer in layers {
            let list = layer.parent().unwrap_or(layer).join(IMPLIED);
            implied.push(match fs::read(list) {
                Ok(text) => text.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => HashSet::new(),
                Err(error) => return Err(error.into()),
            });
        }
        // Folders as they are where a layer describes them, with those that they lie in.
        let mut folders: BTreeMap<Vec<u8>, std::fs::Metadata> = BTreeMap::new();
        for path in implied.iter().skip(1).flatten() {
            let ends = (0..=path.len()).filter(|&end| path.get(end).is_none_or(|it| *it == b'/'));
            for part in ends.map(|end| &path[..end]) {
                if folders.contains_key(part) {
                    continue;
                }
                // A layer above may have put something else in its place, or removed it.
                let shown = layers.iter().rev().find_map(|layer| entry_at(layer, part));
                if !shown.is_some_and(|shown| shown.is_dir()) {
                    break;
                }
                let described = layers.iter().zip(&implied).rev().find_map(|(layer, implied)| {
                    let found = entry_at(layer, part).filter(std::fs::Metadata::is_dir);
                    found.filter(|_| !implied.contains(part))
                });
                if let Some(described) = described {
                    folders.insert(part.to_vec(), described);
                }
            }
        }
        if folders.is_empty() {
            return Ok(None);
        }
        let ids: String = diff_ids.iter().map(Digest::as_str).collect();
        let key = Digest::of(format!("implied folders of {ids}").as_bytes());
        let form = self.store.form();
        let item = Item::Layer(form, key.clone());
        self.hold(&item)?;
        let place = self.store.layer_folder(form, &key);
        if !self.is_usable(&place)? {
            let scratch = self.scratch();
            let files = scratch.join(FILES);
            make_private(&files)?;
            fs::set_permissions(&files, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
            for path in folders.keys() {
                make_private(&files.join(OsStr::from_bytes(path)))?;
            }
            // The innermost first, because making a folder changes the one that it is in.
            for (path, about) in folders.iter().rev() {
                let path = files.join(OsStr::from_bytes(path));
                // Whose a folder is, only the administrator says.
                let _ = std::os::unix::fs::lchown(&path, Some(about.uid()), Some(about.gid()));
                fs::File::open(&path)?.file().set_modified(about.modified()?)?;
                fs::set_permissions(&path, about.permissions())?;
            }
            self.put_in_place(&scratch, &place)?;
        }
        Ok(Some((item, place.join(FILES))))
    }

    /// Says whether the layer at `place` is there and whole.
    fn is_usable(&self, place: &Path) -> Result<bool, StoreError> {
        if !place.join(FILES).exists() {
            return Ok(false);
        }
        match fs::read_to_string(place.join(UNSYNCED)) {
            Ok(found) if found == boot()? => Ok(true),
            Ok(_) => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}

impl Store {
    /// Writes unpacked layers through to the disk, so that they outlive the boot. For moments in
    /// which nobody waits.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn sync_layers(&self) -> Result<(), StoreError> {
        let this_boot = boot()?;
        let mut marks = Vec::new();
        for form in [Form::Trusted, Form::User] {
            let folder = self.path("layers").join(form.name());
            let entries = match fs::read_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other?,
            };
            for entry in entries {
                let mark = entry?.path().join(UNSYNCED);
                if fs::read_to_string(&mark).is_ok_and(|found| found == this_boot) {
                    marks.push(mark);
                }
            }
        }
        if marks.is_empty() {
            return Ok(());
        }
        rustix::fs::syncfs(fs::File::open(self.root())?.file()).map_err(io::Error::from)?;
        for mark in marks {
            match fs::remove_file(mark) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
        Ok(())
    }
}

/// Returns what is at `path` of a layer, no link followed.
fn entry_at(layer: &Path, path: &[u8]) -> Option<std::fs::Metadata> {
    let mut at = layer.to_path_buf();
    let mut found: Option<std::fs::Metadata> = None;
    for part in path.split(|byte| *byte == b'/') {
        if found.is_some_and(|found| !found.is_dir()) {
            return None;
        }
        at.push(OsStr::from_bytes(part));
        found = Some(fs::symlink_metadata(&at).ok()?);
    }
    found
}

/// Returns what names this boot of the machine.
fn boot() -> io::Result<String> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
}

/// Removes a file or a folder with everything in it, also where the folders of a layer may not be
/// written by their owner.
pub(super) fn remove_all(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    if !fs::symlink_metadata(path)?.is_dir() {
        return fs::remove_file(path);
    }
    if fs::remove_dir_all(path).is_ok() {
        return Ok(());
    }
    let mut open = vec![path.to_path_buf()];
    while let Some(folder) = open.pop() {
        fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            }
        }
    }
    fs::remove_dir_all(path)
}
