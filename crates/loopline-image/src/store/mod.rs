//! The store: blobs by digest, unpacked layers, references, and who uses what.
//!
//! ```text
//! VERSION                       the layout's number
//! blobs/sha256/HEX              blobs: written beside, verified, put in place whole
//! layers/FORM/HEX/fs            unpacked layers, by the digest of their archive
//! references/HOST/REPO/_tags/T  what a name means: a descriptor, or another name (an alias)
//! repositories/REPO/...         what a registry over this store serves (crate::registry)
//! leases/ID                     what a process uses, locked while it lives
//! pins/NAME                     what outlives its process: a container's image
//! ingest/LEASE/...              files on their way into the store
//! gate, lock                    see `locks`
//! ```
//!
//! Several processes use a store at once. A blob or layer is kept while a reference leads to it
//! or a lease or pin names it; [`Store::collect`] removes the rest. What is used is leased
//! *before* its presence is looked at, so that a collection comes either before both or after.

mod blobs;
mod collect;
mod image;
mod layers;
mod leases;
mod locks;
mod names;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err as fs;
use loopline_clock::Clock;

use crate::digest::{BadDigest, Digest};
use crate::layer::{Form, PackError, UnpackError};
use crate::reference::{BadReference, Reference};

pub use blobs::{Blob, BlobWriter};
pub use collect::Collected;
pub use image::{Image, Layer, Snapshot};
pub use leases::{Item, Lease};
pub use names::{Named, Target};

pub(crate) use blobs::MAX_DOCUMENT;
pub(crate) use image::{
    DOCKER_INDEX, DOCKER_MANIFEST, Document, descriptor, is_index_type, read_manifest,
};
pub(crate) use names::{TAGS, read_target, repositories, tags_in};

/// The version of the layout. A newer Loopline migrates, an older one refuses.
const VERSION: u32 = 1;

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A newer Loopline made it.
    #[error("image store {} has layout {found}, and this Loopline knows up to {VERSION}", path.display())]
    Newer {
        /// The store's folder.
        path: PathBuf,
        /// The layout it has.
        found: String,
    },
    /// No such image.
    #[error("there is no image `{0}` here")]
    NoImage(String),
    /// Several images begin with what was given.
    #[error("`{0}` begins the identifiers of several images")]
    Ambiguous(String),
    /// The image is not for this platform.
    #[error("`{reference}` is for {available}, not for {wanted}")]
    Platform {
        /// The image.
        reference: String,
        /// What was wanted.
        wanted: String,
        /// What there is.
        available: String,
    },
    /// A blob is missing.
    #[error("blob {0} is not here")]
    NoBlob(Digest),
    /// What was written is not what it should be.
    #[error("digest mismatch: {expected} was expected, {found} came")]
    Mismatch {
        /// What was asked for.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// It has another size than it should.
    #[error("size mismatch: {expected} bytes were expected, {found} came")]
    Size {
        /// What was asked for.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// A manifest or configuration cannot be used.
    #[error("{what} {digest}: {why}")]
    Document {
        /// What it is.
        what: &'static str,
        /// Which one.
        digest: Digest,
        /// What is wrong with it.
        why: String,
    },
    /// A layer cannot be unpacked.
    #[error("unpack layer {digest}")]
    Unpack {
        /// The layer.
        digest: Digest,
        /// Why.
        #[source]
        source: UnpackError,
    },
    /// A folder cannot be packed.
    #[error("pack {}", folder.display())]
    Pack {
        /// The folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: PackError,
    },
    /// Aliases lead in a circle, or too far.
    #[error("`{0}` is an alias of an alias of an alias, and so on: more than 8 deep")]
    AliasLoop(String),
    /// A file of the store holds something else.
    #[error("{}: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A text is no reference.
    #[error(transparent)]
    BadReference(#[from] BadReference),
    /// A text is no digest.
    #[error(transparent)]
    BadDigest(#[from] BadDigest),
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Images on disk; cheap to clone.
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    form: Form,
    clock: Clock,
}

impl Store {
    /// Opens the store in the folder `root`, making it (mode 0700) where it is missing.
    ///
    /// # Errors
    /// [`StoreError::Newer`]; [`StoreError::Io`].
    pub fn open(root: impl Into<PathBuf>, clock: Clock) -> Result<Self, StoreError> {
        let root = root.into();
        let version = root.join("VERSION");
        match fs::read_to_string(&version) {
            Ok(text) if text.trim() == VERSION.to_string() => {}
            Ok(text) => {
                return Err(StoreError::Newer { path: root, found: text.trim().to_owned() });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_private(&root)?;
                for folder in [
                    "blobs/sha256",
                    "layers",
                    "references",
                    "repositories",
                    "leases",
                    "pins",
                    "ingest",
                    "trash",
                ] {
                    make_private(&root.join(folder))?;
                }
                fs::write(&version, format!("{VERSION}\n"))?;
            }
            Err(error) => return Err(error.into()),
        }
        let form = Form::of(&root)?;
        Ok(Self(Arc::new(Inner { root, form, clock })))
    }

    /// Returns the store's folder.
    pub fn root(&self) -> &Path {
        &self.0.root
    }

    /// Returns the form of unpacked layers: which attributes an overlay over them must believe.
    pub fn form(&self) -> Form {
        self.0.form
    }

    /// Returns where time and randomness come from.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    pub(crate) fn path(&self, part: &str) -> PathBuf {
        self.0.root.join(part)
    }

    fn no_image(reference: &Reference) -> StoreError {
        StoreError::NoImage(reference.familiar())
    }
}

/// Makes a folder and its parents, readable by its owner only.
pub(crate) fn make_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| {
        io::Error::new(error.kind(), format!("failed to create {}: {error}", path.display()))
    })
}

/// Writes a file whole: beside, through to the disk, and then in place.
pub(crate) fn write_whole(path: &Path, bytes: &[u8], clock: &Clock) -> io::Result<()> {
    use std::io::Write as _;
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // A name that begins with a dot is no tag, so nobody takes it for the file.
    let beside = folder.join(format!(".{name}.{}", clock.random_hex(8)));
    let write = || {
        let mut file = fs::File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        sync_folder(folder)
    };
    write().inspect_err(|_| {
        // The first error counts; a leftover is hidden and small.
        let _ = fs::remove_file(&beside);
    })
}

/// Writes the names in a folder through to the disk.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    fs::File::open(path)?.sync_all()
}
