//! Images as files: what `docker save` writes, OCI archives and layout folders, and plain root
//! file systems.

mod import;
mod load;
mod save;

pub use import::{ImportOptions, import};
pub use load::{Loaded, load};
pub use save::{Form, save, save_layout};

use std::io;

use crate::store::StoreError;
use crate::tar::TarError;

/// Why an archive cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// It is no tar archive.
    #[error("read {path}")]
    Tar {
        /// The archive.
        path: String,
        /// Why.
        #[source]
        source: TarError,
    },
    /// It is an archive, but holds no image.
    #[error(
        "{path} holds no image: it has neither `manifest.json` (docker save) nor `index.json` (OCI)"
    )]
    NoImage {
        /// The archive.
        path: String,
    },
    /// One of its documents is broken.
    #[error("{path}: `{file}`: {why}")]
    Document {
        /// The archive.
        path: String,
        /// The document.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// A file that it names is not in it.
    #[error("{path} names the file `{file}`, and does not have it")]
    Missing {
        /// The archive.
        path: String,
        /// The file.
        file: String,
    },
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}
