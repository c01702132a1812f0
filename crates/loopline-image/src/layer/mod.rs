//! Layers: a folder's difference as an archive, and the archive as a folder again.
//!
//! [`unpack`] makes of a layer a folder in the form that overlayfs takes as a lower directory;
//! [`pack`] makes of such a folder (or any other) the layer. Where folders are kept is
//! [`crate::store`]'s business.

mod compression;
mod names;
mod pack;
mod pipe;
mod recompress;
mod unpack;

pub use compression::Compression;
pub use pack::{Owners, PackError, PackOptions, Packed, pack};
pub use recompress::{Recompressed, decompress, recompress};
pub use unpack::{Skipped, UnpackError, UnpackOptions, Unpacked, unpack};

/// How a folder tells overlayfs what is removed: which attributes the kernel believes depends on
/// who mounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// `trusted.overlay.*`, for mounts of the machine's administrator.
    Trusted,
    /// `user.overlay.*`, for mounts in a user's own name space, with the option `userxattr`.
    User,
}

impl Form {
    /// Returns the form's name, as folders have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trusted => "trusted",
            Self::User => "user",
        }
    }

    /// Returns the form that this process can write below `folder`.
    ///
    /// # Errors
    /// Where the file system takes neither kind of attribute.
    pub fn of(folder: &std::path::Path) -> std::io::Result<Self> {
        use rustix::fs::{XattrFlags, removexattr, setxattr};
        for form in [Self::Trusted, Self::User] {
            let name = format!("{}loopline", form.prefix());
            match setxattr(folder, name.as_str(), b"y", XattrFlags::empty()) {
                Ok(()) => {
                    match removexattr(folder, name.as_str()) {
                        // Another process that asks the same has done it.
                        Ok(()) | Err(rustix::io::Errno::NODATA) => {}
                        Err(error) => return Err(error.into()),
                    }
                    return Ok(form);
                }
                Err(rustix::io::Errno::PERM | rustix::io::Errno::OPNOTSUPP) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let why = format!(
            "the file system of {} keeps no extended attributes, which layers need",
            folder.display()
        );
        Err(std::io::Error::new(std::io::ErrorKind::Unsupported, why))
    }

    pub(crate) const fn prefix(self) -> &'static str {
        match self {
            Self::Trusted => "trusted.overlay.",
            Self::User => "user.overlay.",
        }
    }

    pub(crate) const fn opaque(self) -> &'static str {
        match self {
            Self::Trusted => "trusted.overlay.opaque",
            Self::User => "user.overlay.opaque",
        }
    }
}
