//! Archives: the tar format as layers use it, read and written as streams.
//!
//! The `tar` crate has no sparse files of PAX and decides itself what is extracted where; layers
//! need both otherwise. What an entry means for a file system is in [`crate::layer`].

mod entry;
mod number;
mod pax;
mod read;
mod sparse;
mod write;

pub use entry::{Entry, Kind, Time};
pub use read::{Bounds, Reader, TarError};
pub use sparse::Segment;
pub use write::Writer;

/// Everything in an archive comes in blocks of this size.
pub(crate) const BLOCK: usize = 512;

/// The prefix of PAX records that hold extended attributes.
pub(crate) const XATTR_PREFIX: &[u8] = b"SCHILY.xattr.";
