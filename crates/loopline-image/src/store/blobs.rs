//! Blobs: written beside, hashed on the way, put in place only when they are what they should be.

use std::io::{self, Read as _, Write};
use std::path::PathBuf;

use fs_err as fs;

use super::{Item, Lease, Store, StoreError};
use crate::digest::{Digest, Hasher};

/// The largest manifest or configuration: what registries accept.
pub(crate) const MAX_DOCUMENT: u64 = 4 * 1024 * 1024;

/// A blob that is in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

impl Store {
    /// Returns where the blob with `digest` is, if it is here.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.0.root.join("blobs/sha256").join(digest.hex())
    }

    /// Returns the blob's size, if it is here. Lease it first, or it may go again.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn blob_size(&self, digest: &Digest) -> Result<Option<u64>, StoreError> {
        match fs::metadata(self.blob_path(digest)) {
            Ok(about) => Ok(Some(about.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens a blob.
    ///
    /// # Errors
    /// [`StoreError::NoBlob`]; [`StoreError::Io`].
    pub fn open_blob(&self, digest: &Digest) -> Result<fs::File, StoreError> {
        fs::File::open(self.blob_path(digest)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => StoreError::NoBlob(digest.clone()),
            _ => error.into(),
        })
    }

    /// Returns a manifest's or configuration's bytes, which were verified.
    ///
    /// # Errors
    /// [`StoreError::NoBlob`]; [`StoreError::Mismatch`] where the disk has changed it;
    /// [`StoreError::Document`] where it is too large to be one.
    pub fn document(&self, what: &'static str, digest: &Digest) -> Result<Vec<u8>, StoreError> {
        let mut bytes = Vec::new();
        self.open_blob(digest)?.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_DOCUMENT {
            let why = format!("it is larger than {MAX_DOCUMENT} bytes");
            return Err(StoreError::Document { what, digest: digest.clone(), why });
        }
        let found = Digest::of(&bytes);
        if found == *digest {
            Ok(bytes)
        } else {
            Err(StoreError::Mismatch { expected: digest.clone(), found })
        }
    }
}

impl Lease {
    /// Begins a blob.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn blob_writer(&self) -> Result<BlobWriter<'_>, StoreError> {
        let path = self.scratch();
        let file = fs::File::create(&path)?;
        Ok(BlobWriter { lease: self, path: Some(path), file, hasher: Hasher::default() })
    }

    /// Stores `bytes` as a blob.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn put(&self, bytes: &[u8]) -> Result<Blob, StoreError> {
        let mut writer = self.blob_writer()?;
        writer.write_all(bytes)?;
        writer.commit(None)
    }

    /// Puts the file at `path`, which is a scratch file of this store with the digest `digest`,
    /// in its place.
    pub(crate) fn adopt(&self, path: &std::path::Path, digest: &Digest) -> Result<(), StoreError> {
        self.hold(&Item::Blob(digest.clone()))?;
        let place = self.store.blob_path(digest);
        if self.store.blob_size(digest)?.is_some() {
            fs::remove_file(path)?;
        } else {
            fs::rename(path, place)?;
        }
        Ok(())
    }
}

/// A blob that is being written.
#[derive(Debug)]
pub struct BlobWriter<'a> {
    lease: &'a Lease,
    path: Option<PathBuf>,
    file: fs::File,
    hasher: Hasher,
}

impl BlobWriter<'_> {
    /// Puts the blob in its place, if it is what was `expected`; it is leased from then on. Its
    /// bytes are on the disk when this returns; its name is when a reference is.
    ///
    /// # Errors
    /// [`StoreError::Mismatch`]; [`StoreError::Io`].
    pub fn commit(mut self, expected: Option<&Digest>) -> Result<Blob, StoreError> {
        let size = self.hasher.bytes();
        let found = std::mem::take(&mut self.hasher).finish();
        if let Some(expected) = expected.filter(|expected| **expected != found) {
            return Err(StoreError::Mismatch { expected: expected.clone(), found });
        }
        self.file.file().sync_data()?;
        if let Some(path) = self.path.take() {
            self.lease.adopt(&path, &found)?;
        }
        Ok(Blob { digest: found, size })
    }
}

impl Write for BlobWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for BlobWriter<'_> {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            // What stays goes with the lease.
            let _ = fs::remove_file(path);
        }
    }
}
