//! Leases and pins: what is used is not collected.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use fs_err as fs;
use rustix::fs::{FlockOperation, flock};

use super::{Store, StoreError, make_private};
use crate::digest::Digest;
use crate::layer::Form;

/// Something that is used.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Item {
    /// A blob, and what it leads to: a manifest's layers, a configuration's unpacked layers.
    Blob(Digest),
    /// An unpacked layer.
    Layer(Form, Digest),
}

impl Item {
    fn line(&self) -> String {
        match self {
            Self::Blob(digest) => format!("blob {digest}\n"),
            Self::Layer(form, digest) => format!("{} {digest}\n", form.name()),
        }
    }
}

impl FromStr for Item {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let bad = || format!("`{line}` names nothing that can be used");
        let (kind, digest) = line.split_once(' ').ok_or_else(bad)?;
        let digest: Digest = digest.parse().map_err(|_| bad())?;
        match kind {
            "blob" => Ok(Self::Blob(digest)),
            "trusted" => Ok(Self::Layer(Form::Trusted, digest)),
            "user" => Ok(Self::Layer(Form::User, digest)),
            _ => Err(bad()),
        }
    }
}

/// The use of blobs and layers by this process. It ends when it is dropped, or with the process.
#[derive(Debug)]
pub struct Lease {
    pub(super) store: Store,
    id: String,
    file: fs::File,
    count: AtomicU64,
}

impl Store {
    /// Begins a lease of nothing yet.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn lease(&self) -> Result<Lease, StoreError> {
        let id = self.clock().random_hex(16);
        let _no_collection = self.begin_use()?;
        let file = fs::File::create(self.path("leases").join(&id))?;
        flock(&file, FlockOperation::LockExclusive).map_err(io::Error::from)?;
        make_private(&self.path("ingest").join(&id))?;
        Ok(Lease { store: self.clone(), id, file, count: AtomicU64::new(0) })
    }

    /// Keeps `items` under `name` until [`Store::unpin`], whether this process lives or not. A
    /// pin of that name is replaced.
    ///
    /// # Errors
    /// [`StoreError::Io`]; where `name` is not made of letters, digits, `-`, `_` and `.`.
    pub fn pin(&self, name: &str, items: &[Item]) -> Result<(), StoreError> {
        let text: String = items.iter().map(Item::line).collect();
        let _no_collection = self.begin_use()?;
        super::write_whole(&self.pin_path(name)?, text.as_bytes(), self.clock())?;
        Ok(())
    }

    /// Ends a pin; one that is not there is no error.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn unpin(&self, name: &str) -> Result<(), StoreError> {
        match fs::remove_file(self.pin_path(name)?) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn pin_path(&self, name: &str) -> Result<PathBuf, StoreError> {
        let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || name.starts_with('.') || !name.bytes().all(is_fit) {
            let why = format!("`{name}` cannot be the name of a pin");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why).into());
        }
        Ok(self.path("pins").join(name))
    }

    /// Returns what pins name.
    pub(super) fn pinned(&self) -> Result<Vec<Item>, StoreError> {
        let mut items = Vec::new();
        for entry in fs::read_dir(self.path("pins"))? {
            let entry = entry?;
            if !entry.file_name().as_encoded_bytes().starts_with(b".") {
                items.extend(read_items(&entry.path())?);
            }
        }
        Ok(items)
    }

    /// Returns what living leases name, and ends those of the dead. Only during a collection.
    pub(super) fn leased(&self) -> Result<Vec<Item>, StoreError> {
        let mut items = Vec::new();
        let mut living = std::collections::HashSet::new();
        for entry in fs::read_dir(self.path("leases"))? {
            let entry = entry?;
            let path = entry.path();
            let file = match fs::File::open(&path) {
                // Its owner has just dropped it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other?,
            };
            match flock(&file, FlockOperation::NonBlockingLockShared) {
                Ok(()) => remove_if_there(&path)?,
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    living.insert(entry.file_name());
                    match read_items(&path) {
                        Err(StoreError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
                        other => items.extend(other?),
                    }
                }
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
        for entry in fs::read_dir(self.path("ingest"))? {
            let entry = entry?;
            if !living.contains(&entry.file_name()) {
                self.throw_away(&entry.path())?;
            }
        }
        Ok(items)
    }
}

fn remove_if_there(path: &std::path::Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn read_items(path: &std::path::Path) -> Result<Vec<Item>, StoreError> {
    let text = fs::read_to_string(path)?;
    let damaged = |why| StoreError::Damaged { path: path.to_owned(), why };
    // A line without its end was being written when its process died, before it was relied on.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| line.parse().map_err(damaged)).collect()
}

impl Lease {
    /// Keeps `item` as long as this lease lives, if it is there. Look for it only afterwards.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn hold(&self, item: &Item) -> Result<(), StoreError> {
        let _no_collection = self.store.begin_use()?;
        // One write, so that another thread's line is not torn.
        let mut file: &std::fs::File = self.file.file();
        file.write_all(item.line().as_bytes())?;
        Ok(())
    }

    /// Returns the store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Returns a path for a file or folder that is made beside the store and put in place later.
    pub(crate) fn scratch(&self) -> PathBuf {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        self.store.path("ingest").join(&self.id).join(number.to_string())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next collection.
        let _ = fs::remove_dir_all(self.store.path("ingest").join(&self.id));
        let _ = fs::remove_file(self.store.path("leases").join(&self.id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_written_and_read() {
        for item in [
            Item::Blob(Digest::of(b"a")),
            Item::Layer(Form::Trusted, Digest::of(b"b")),
            Item::Layer(Form::User, Digest::of(b"c")),
        ] {
            assert_eq!(item.line().trim_end().parse(), Ok(item));
        }
        assert!("layer sha256:00".parse::<Item>().is_err());
    }
}
