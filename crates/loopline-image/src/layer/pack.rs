//! Makes a layer of a folder: always the same bytes for the same files.

use std::collections::HashMap;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::buffer::spare_capacity;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::compression::{Compression, Encoder};
use super::names::{OPAQUE, WHITEOUT};
use super::{Form, pipe};
use crate::digest::{Digest, Hasher, Hashing};
use crate::tar::{Entry, Kind, Time, Writer};

/// The longest list of attributes, and the longest attribute, that the kernel keeps.
const MAX_XATTR: usize = 64 * 1024;

/// How a folder is packed.
#[derive(Clone, Copy, Debug)]
pub struct PackOptions {
    /// How the layer is compressed.
    pub compression: Compression,
    /// The folder is the upper directory of an overlay: what it says is removed becomes
    /// whiteouts.
    pub overlay: bool,
    /// No file is newer than this (seconds since 1970): `SOURCE_DATE_EPOCH`.
    pub newest: Option<i64>,
    /// Whose the files are said to be.
    pub owners: Owners,
}

impl Default for PackOptions {
    /// A folder as it is, compressed with gzip.
    fn default() -> Self {
        Self { compression: Compression::Gzip, overlay: false, newest: None, owners: Owners::Keep }
    }
}

/// Whose the files of a layer are said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owners {
    /// Whose they are.
    Keep,
    /// This user's and group's.
    Fixed(u32, u32),
}

/// A layer that was packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// The digest of the layer, compressed.
    pub digest: Digest,
    /// Its size, compressed, in bytes.
    pub size: u64,
    /// The digest of the archive.
    pub diff_id: Digest,
    /// The archive's size in bytes.
    pub archive_bytes: u64,
    /// How many entries it has.
    pub entries: u64,
}

/// Why a folder cannot be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// Overlayfs wrote down something that a layer cannot say.
    #[error("`{path}` has the attribute {attribute}: mount the overlay with `{option}=off`")]
    Overlay {
        /// The file.
        path: String,
        /// Its attribute.
        attribute: String,
        /// The mount option that makes overlayfs do so.
        option: &'static str,
    },
    /// A name in the folder means something else in a layer.
    #[error("`{path}` begins with `.wh.`, which in a layer says that a file is removed")]
    Name {
        /// The file.
        path: String,
    },
    /// The system refused a file.
    #[error("pack `{path}`")]
    System {
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The output refused.
    #[error("write the layer")]
    Io(#[from] io::Error),
}

/// Packs `folder` and writes the layer to `output`. Sockets are left out.
///
/// # Errors
/// [`PackError`].
pub fn pack(
    folder: &Path,
    options: &PackOptions,
    output: impl Write + Send,
) -> Result<Packed, PackError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let system = |error: Errno| PackError::System {
        path: folder.display().to_string(),
        source: error.into(),
    };
    let root = rustix::fs::openat(CWD, folder, flags, Mode::empty()).map_err(system)?;
    let (sender, [mut to_hash, mut to_compress]) = pipe::pipe();
    let compression = options.compression;
    std::thread::scope(|scope| {
        let hashing = scope.spawn(move || -> io::Result<(Digest, u64)> {
            let mut hasher = Hasher::default();
            while let Some(piece) = to_hash.next_piece()? {
                hasher.update(&piece);
            }
            let bytes = hasher.bytes();
            Ok((hasher.finish(), bytes))
        });
        let compressing = scope.spawn(move || -> io::Result<(Digest, u64)> {
            let mut encoder = Encoder::new(compression, Hashing::new(output))?;
            while let Some(piece) = to_compress.next_piece()? {
                encoder.write_all(&piece)?;
            }
            let mut written = encoder.finish()?;
            written.flush()?;
            let bytes = written.hasher.bytes();
            Ok((written.hasher.finish(), bytes))
        });
        let mut packer = Packer {
            root,
            options: *options,
            writer: Writer::new(sender),
            links: HashMap::new(),
            entries: 0,
        };
        let packed = packer.all();
        let entries = packer.entries;
        let ended = match packed {
            Ok(()) => packer.writer.finish().and_then(pipe::Sender::finish).map_err(PackError::Io),
            Err(error) => {
                drop(packer);
                Err(error)
            }
        };
        let panicked = |_| io::Error::other("a thread panicked");
        // A full disk is the compressor's error; the packer only sees that nobody reads.
        let (digest, size) = compressing.join().map_err(panicked)??;
        let (diff_id, archive_bytes) = hashing.join().map_err(panicked)??;
        ended?;
        Ok(Packed { digest, size, diff_id, archive_bytes, entries })
    })
}

struct Packer {
    root: OwnedFd,
    options: PackOptions,
    writer: Writer<pipe::Sender>,
    /// The first path of each file that has several.
    links: HashMap<(u64, u64), Vec<u8>>,
    entries: u64,
}

impl Packer {
    fn all(&mut self) -> Result<(), PackError> {
        // Folders whose files are still to be packed; the next one is the last.
        let mut open = vec![Vec::new()];
        while let Some(path) = open.pop() {
            let system =
                |error: Errno| PackError::System { path: shown(&path), source: error.into() };
            if !path.is_empty() {
                match self.file(&path)? {
                    Some(()) => {}
                    None => continue,
                }
            }
            let folder = open_at(&self.root, &path).map_err(system)?;
            let mut names = names_in(&folder).map_err(system)?;
            if self.options.overlay
                && !path.is_empty()
                && self.is_opaque(folder.as_fd()).map_err(system)?
            {
                self.put(&Entry::new([&path[..], b"/", OPAQUE].concat(), Kind::File), io::empty())
                    .map_err(|source| PackError::System { path: shown(&path), source })?;
            }
            // The last one is taken first.
            names.sort_unstable_by(|a, b| b.cmp(a));
            for name in names {
                let inside = if path.is_empty() { name } else { [&path[..], b"/", &name].concat() };
                open.push(inside);
            }
        }
        Ok(())
    }

    /// Packs what is at `path`; says whether it is a folder.
    fn file(&mut self, path: &[u8]) -> Result<Option<()>, PackError> {
        let source = |source| PackError::System { path: shown(path), source };
        let system = |error: Errno| source(error.into());
        let (parent, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(at) => (open_at(&self.root, &path[..at]).map_err(system)?, &path[at + 1..]),
            None => (open_at(&self.root, b"").map_err(system)?, path),
        };
        let stat = rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW).map_err(system)?;
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Symlink,
            FileType::CharacterDevice => Kind::CharDevice,
            FileType::BlockDevice => Kind::BlockDevice,
            FileType::Fifo => Kind::Fifo,
            _ => return Ok(None),
        };
        if self.options.overlay && kind == Kind::CharDevice && stat.st_rdev == 0 {
            self.removed(path, name).map_err(source)?;
            return Ok(None);
        }
        if name.starts_with(WHITEOUT) {
            return Err(PackError::Name { path: shown(path) });
        }
        let mut entry = self.entry(path, kind, &stat);
        if kind != Kind::Directory && stat.st_nlink > 1 {
            let key = (stat.st_dev, stat.st_ino);
            if let Some(first) = self.links.get(&key) {
                entry.kind = Kind::HardLink;
                entry.link.clone_from(first);
                entry.size = 0;
                self.put(&entry, io::empty()).map_err(source)?;
                return Ok(None);
            }
            self.links.insert(key, path.to_vec());
        }
        let open = |flags| rustix::fs::openat(&parent, name, flags, Mode::empty());
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match kind {
            Kind::File => {
                let file = open(flags | OFlags::NONBLOCK).map_err(system)?;
                entry.xattrs = self.xattrs(path, &Open::File(file.as_fd()))?;
                if self.options.overlay && self.is_whiteout_file(&file, &stat).map_err(system)? {
                    self.removed(path, name).map_err(source)?;
                    return Ok(None);
                }
                let file = fs_err::File::from_parts(std::fs::File::from(file), shown(path));
                self.put(&entry, file).map_err(source)?;
            }
            Kind::Directory => {
                let folder = open(flags | OFlags::DIRECTORY).map_err(system)?;
                entry.xattrs = self.xattrs(path, &Open::File(folder.as_fd()))?;
                entry.path.push(b'/');
                self.put(&entry, io::empty()).map_err(source)?;
                return Ok(Some(()));
            }
            _ => {
                let place = format!("/proc/self/fd/{}/", parent.as_raw_fd());
                let place = [place.as_bytes(), name].concat();
                entry.xattrs = self.xattrs(path, &Open::Path(&place))?;
                if kind == Kind::Symlink {
                    let target = rustix::fs::readlinkat(&parent, name, Vec::new());
                    entry.link = target.map_err(system)?.into_bytes();
                }
                self.put(&entry, io::empty()).map_err(source)?;
            }
        }
        Ok(None)
    }

    fn entry(&self, path: &[u8], kind: Kind, stat: &Stat) -> Entry {
        let mut entry = Entry::new(path, kind);
        entry.mode = stat.st_mode & 0o7777;
        (entry.uid, entry.gid) = match self.options.owners {
            Owners::Keep => (stat.st_uid, stat.st_gid),
            Owners::Fixed(uid, gid) => (uid, gid),
        };
        entry.mtime = Time {
            seconds: stat.st_mtime,
            nanoseconds: u32::try_from(stat.st_mtime_nsec).unwrap_or_default(),
        };
        if let Some(newest) = self.options.newest
            && entry.mtime >= (Time { seconds: newest, nanoseconds: 0 })
        {
            entry.mtime = Time { seconds: newest, nanoseconds: 0 };
        }
        if kind == Kind::File {
            entry.size = u64::try_from(stat.st_size).unwrap_or_default();
        }
        if matches!(kind, Kind::CharDevice | Kind::BlockDevice) {
            entry.device = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
        }
        entry
    }

    /// Writes that the file at `path` is removed.
    fn removed(&mut self, path: &[u8], name: &[u8]) -> io::Result<()> {
        let folder = &path[..path.len() - name.len()];
        let entry = Entry::new([folder, WHITEOUT, name].concat(), Kind::File);
        self.put(&entry, io::empty())
    }

    fn put(&mut self, entry: &Entry, data: impl io::Read) -> io::Result<()> {
        self.entries += 1;
        self.writer.append(entry, data)
    }

    /// Returns the attributes of a file that belong into a layer: not those that a file has only
    /// on this machine.
    fn xattrs(
        &self,
        path: &[u8],
        file: &Open<'_>,
    ) -> Result<std::collections::BTreeMap<Vec<u8>, Vec<u8>>, PackError> {
        let system = |error: Errno| PackError::System { path: shown(path), source: error.into() };
        let mut found = std::collections::BTreeMap::new();
        let names = match file.list() {
            Err(Errno::OPNOTSUPP) => return Ok(found),
            other => other.map_err(system)?,
        };
        for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
            let text = String::from_utf8_lossy(name);
            let ours = [Form::Trusted, Form::User]
                .iter()
                .find_map(|form| text.strip_prefix(form.prefix()));
            match ours {
                Some("redirect") if self.options.overlay => {
                    return Err(PackError::Overlay {
                        path: shown(path),
                        attribute: text.into_owned(),
                        option: "redirect_dir",
                    });
                }
                Some("metacopy") if self.options.overlay => {
                    return Err(PackError::Overlay {
                        path: shown(path),
                        attribute: text.into_owned(),
                        option: "metacopy",
                    });
                }
                Some(_) => continue,
                None => {}
            }
            // The label is the machine's policy, not the file's.
            if name == b"security.selinux" {
                continue;
            }
            match file.get(name) {
                // It was removed meanwhile.
                Err(Errno::NODATA) => {}
                value => {
                    found.insert(name.to_vec(), value.map_err(system)?);
                }
            }
        }
        Ok(found)
    }

    fn is_opaque(&self, folder: BorrowedFd<'_>) -> Result<bool, Errno> {
        for form in [Form::Trusted, Form::User] {
            match Open::File(folder).get(form.opaque().as_bytes()) {
                Ok(value) if value == b"y" => return Ok(true),
                Ok(_) | Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::PERM) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Says whether a file is the mark that overlays without devices use: an empty file with an
    /// attribute.
    fn is_whiteout_file(&self, file: &OwnedFd, stat: &Stat) -> Result<bool, Errno> {
        if stat.st_size != 0 {
            return Ok(false);
        }
        for form in [Form::Trusted, Form::User] {
            let name = format!("{}whiteout", form.prefix());
            match Open::File(file.as_fd()).get(name.as_bytes()) {
                Ok(_) => return Ok(true),
                Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::PERM) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }
}

/// Something whose attributes are read.
enum Open<'a> {
    File(BorrowedFd<'a>),
    Path(&'a [u8]),
}

impl Open<'_> {
    fn list(&self) -> Result<Vec<u8>, Errno> {
        let mut names = Vec::with_capacity(MAX_XATTR);
        match self {
            Self::File(file) => rustix::fs::flistxattr(file, spare_capacity(&mut names))?,
            Self::Path(path) => rustix::fs::llistxattr(*path, spare_capacity(&mut names))?,
        };
        Ok(names)
    }

    fn get(&self, name: &[u8]) -> Result<Vec<u8>, Errno> {
        let mut value = Vec::with_capacity(MAX_XATTR);
        match self {
            Self::File(file) => rustix::fs::fgetxattr(file, name, spare_capacity(&mut value))?,
            Self::Path(path) => rustix::fs::lgetxattr(*path, name, spare_capacity(&mut value))?,
        };
        value.shrink_to_fit();
        Ok(value)
    }
}

/// Opens a folder below `root`; no link is followed.
fn open_at(root: &OwnedFd, path: &[u8]) -> Result<OwnedFd, Errno> {
    let path = if path.is_empty() { b"." } else { path };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    rustix::fs::openat2(root, path, flags, Mode::empty(), how)
}

fn names_in(folder: &OwnedFd) -> Result<Vec<Vec<u8>>, Errno> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    Ok(names)
}

fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}
