//! Makes a folder of a layer.
//!
//! What a layer says is not trusted: paths stay in the folder whatever links lead where, because
//! the kernel resolves them with the folder as root; how much there may be is bounded; devices,
//! owners and attributes that this process may not make are counted, not forced.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, UTIME_OMIT, Uid,
    XattrFlags,
};
use rustix::io::Errno;

use super::Form;
use super::compression::Decoder;
use super::names::{self, Meaning};
use super::pipe;
use crate::digest::{Digest, Hasher};
use crate::tar::{Bounds, Entry, Kind, Reader, TarError, Time};

/// How often the kernel may say that a folder was moved while it was looked up.
const RESOLVE_TRIES: usize = 16;
/// How much larger than the compressed layer its archive may be, beyond [`FREE_BYTES`]: gzip
/// reaches 1032 with zeros alone.
const MAX_RATIO: u64 = 2048;
/// Up to this size no ratio is looked at.
const FREE_BYTES: u64 = 1 << 30;
/// How much of a file is copied at a time.
const COPY_BYTES: usize = 128 * 1024;

/// How a layer is unpacked.
#[derive(Clone, Copy, Debug)]
pub struct UnpackOptions {
    /// How removed files are marked.
    pub form: Form,
    /// How much there may be.
    pub bounds: Bounds,
}

/// What was unpacked.
#[derive(Clone, Debug)]
pub struct Unpacked {
    /// The digest of the archive, decompressed: the layer's name.
    pub diff_id: Digest,
    /// How many entries it has.
    pub entries: u64,
    /// How large its files are.
    pub bytes: u64,
    /// What could not be made.
    pub skipped: Skipped,
    /// Folders that the layer does not describe but has files in. They got mode 0755; over other
    /// layers they are what they are there.
    pub implied: BTreeSet<Vec<u8>>,
}

/// What this process may not make of a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Devices.
    pub devices: u64,
    /// Owners: the file belongs to this process's user.
    pub owners: u64,
    /// Extended attributes.
    pub xattrs: u64,
}

/// Why a layer cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The archive is broken, or larger than allowed.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// An entry says what cannot be.
    #[error("entry `{path}`: {why}")]
    Entry {
        /// The entry.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The system refused an entry.
    #[error("unpack `{path}`")]
    System {
        /// The entry.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It is a bomb.
    #[error("the archive is more than {MAX_RATIO} times as large as the layer")]
    Ratio,
    /// The folder or the input cannot be used.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Unpacks the layer in `input`, compressed or not, into the folder `into`, which is there and
/// empty.
///
/// # Errors
/// [`UnpackError`]; what was unpacked until then stays for the caller to remove.
pub fn unpack(
    input: impl Read + Send,
    into: &Path,
    options: &UnpackOptions,
) -> Result<Unpacked, UnpackError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, into, flags, Mode::empty()).map_err(io::Error::from)?;
    let (sender, [to_unpack, mut to_hash]) = pipe::pipe();
    std::thread::scope(|scope| {
        scope.spawn(move || match Decoder::new(Counting { input, read: 0 }) {
            Ok(decoder) => sender.send_all(Rationed { decoder, produced: 0 }),
            Err(error) => sender.fail(&error),
        });
        let hashing = scope.spawn(move || -> io::Result<Digest> {
            let mut hasher = Hasher::default();
            while let Some(piece) = to_hash.next_piece()? {
                hasher.update(&piece);
            }
            Ok(hasher.finish())
        });
        let mut unpacker = Unpacker {
            root,
            form: options.form,
            folder: None,
            late: BTreeMap::new(),
            skipped: Skipped::default(),
            implied: BTreeSet::new(),
            buffer: vec![0; COPY_BYTES],
        };
        let mut reader = Reader::new(to_unpack, options.bounds);
        let unpacked = unpacker.all(&mut reader);
        let (entries, bytes) = (reader.entries(), reader.bytes());
        let mut rest = reader.into_inner();
        if let Err(error) = unpacked {
            return Err(bomb(error));
        }
        // What follows the archive's end belongs to its digest.
        io::copy(&mut rest, &mut io::sink()).map_err(|error| bomb(error.into()))?;
        unpacker.finish_folders()?;
        let diff_id = hashing.join().map_err(|_| io::Error::other("a thread panicked"))??;
        let Unpacker { skipped, implied, .. } = unpacker;
        Ok(Unpacked { diff_id, entries, bytes, skipped, implied })
    })
}

/// The text of the error that a bomb's reader ends with.
const BOMB: &str = "too large for its compressed size";

fn bomb(error: UnpackError) -> UnpackError {
    match &error {
        UnpackError::Tar(TarError::Io(inner)) | UnpackError::Io(inner)
            if inner.to_string() == BOMB =>
        {
            UnpackError::Ratio
        }
        _ => error,
    }
}

/// Counts what is read of the compressed layer.
struct Counting<R> {
    input: R,
    read: u64,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.read += read as u64;
        Ok(read)
    }
}

/// Ends with an error where too much comes out of too little.
struct Rationed<R: Read> {
    decoder: Decoder<Counting<R>>,
    produced: u64,
}

impl<R: Read> Read for Rationed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.decoder.read(buffer)?;
        self.produced += read as u64;
        let consumed = self.decoder.inner().read;
        if self.produced > FREE_BYTES.saturating_add(consumed.saturating_mul(MAX_RATIO)) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, BOMB));
        }
        Ok(read)
    }
}

/// A folder that is filled.
struct Unpacker {
    root: OwnedFd,
    form: Form,
    /// The folder of the entry before, which most often is the next one's too.
    folder: Option<(Vec<u8>, OwnedFd)>,
    /// What folders become when nothing is put into them any more.
    late: BTreeMap<Vec<u8>, (u32, Time)>,
    skipped: Skipped,
    implied: BTreeSet<Vec<u8>>,
    buffer: Vec<u8>,
}

type Outcome<T> = Result<T, UnpackError>;

impl Unpacker {
    fn all(&mut self, reader: &mut Reader<impl Read>) -> Outcome<()> {
        while let Some(entry) = reader.next_entry()? {
            self.entry(&entry, reader)?;
        }
        Ok(())
    }

    fn entry(&mut self, entry: &Entry, reader: &mut Reader<impl Read>) -> Outcome<()> {
        let bad = |why| UnpackError::Entry { path: entry.shown(), why };
        let system = |source: io::Error| UnpackError::System { path: entry.shown(), source };
        let Some((folder, name)) = names::split(&entry.path).map_err(bad)? else {
            if entry.kind == Kind::Directory {
                let root = self.root.try_clone()?;
                self.describe(entry, root.as_fd()).map_err(system)?;
                self.late.insert(Vec::new(), (entry.mode, entry.mtime));
            }
            return Ok(());
        };
        let parent = self.parent(&folder).map_err(|error| match error {
            Errno::LOOP => bad("a link in its path leads nowhere"),
            Errno::NOTDIR | Errno::EXIST => {
                bad("its path goes through something that is no folder")
            }
            Errno::NOSYS => system(io::Error::new(
                io::ErrorKind::Unsupported,
                "layers need a kernel with openat2, Linux 5.6 or newer",
            )),
            error => system(error.into()),
        })?;
        let done = match names::meaning(name).map_err(bad)? {
            Meaning::Ignored => Ok(()),
            Meaning::Opaque => set_xattr(parent.as_fd(), self.form.opaque(), b"y"),
            Meaning::Removed(removed) => self.remove(parent.as_fd(), removed),
            Meaning::Plain(name) => {
                return self.make(entry, &folder, name, parent, reader);
            }
        };
        self.folder = Some((folder, parent));
        done.map_err(|error| system(error.into()))
    }

    /// Returns the folder at `path`, made where it is missing.
    fn parent(&mut self, path: &[u8]) -> Result<OwnedFd, Errno> {
        if let Some((known, descriptor)) = self.folder.take()
            && known == path
        {
            return Ok(descriptor);
        }
        match resolve(&self.root, path) {
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            other => return other,
        }
        // Folder by folder: a missing one is made, a removed one is made anew and empty.
        let mut at = resolve(&self.root, b"")?;
        for end in (0..=path.len()).filter(|&end| path.get(end).is_none_or(|byte| *byte == b'/')) {
            let so_far = &path[..end];
            at = match resolve(&self.root, so_far) {
                Err(error @ (Errno::NOENT | Errno::NOTDIR)) => {
                    let name = so_far.rsplit(|byte| *byte == b'/').next().unwrap_or(so_far);
                    let was_removed = match (error, whiteout_at(at.as_fd(), name)?) {
                        (_, true) => true,
                        (Errno::NOENT, false) => false,
                        (error, false) => return Err(error),
                    };
                    if was_removed {
                        rustix::fs::unlinkat(&at, name, AtFlags::empty())?;
                    }
                    rustix::fs::mkdirat(&at, name, Mode::RWXU)?;
                    let made = resolve(&self.root, so_far)?;
                    if was_removed {
                        set_xattr(made.as_fd(), self.form.opaque(), b"y")?;
                    }
                    self.implied.insert(so_far.to_vec());
                    self.late.insert(so_far.to_vec(), (0o755, Time::default()));
                    made
                }
                other => other?,
            };
        }
        Ok(at)
    }

    /// Marks `name` as removed from the layers below.
    fn remove(&mut self, parent: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
        match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            // A whiteout is about the layers below only: what this layer itself has stays, and a
            // folder hides what was there.
            Ok(stat) if FileType::from_raw_mode(stat.st_mode).is_dir() => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let folder = rustix::fs::openat(parent, name, flags, Mode::empty())?;
                set_xattr(folder.as_fd(), self.form.opaque(), b"y")
            }
            Ok(_) => Ok(()),
            Err(Errno::NOENT) => {
                rustix::fs::mknodat(parent, name, FileType::CharacterDevice, Mode::empty(), 0)
            }
            Err(error) => Err(error),
        }
    }

    /// Makes the file of an entry.
    fn make(
        &mut self,
        entry: &Entry,
        folder: &[u8],
        name: &[u8],
        parent: OwnedFd,
        reader: &mut Reader<impl Read>,
    ) -> Outcome<()> {
        let system =
            |error: Errno| UnpackError::System { path: entry.shown(), source: error.into() };
        let bad = |why| UnpackError::Entry { path: entry.shown(), why };
        if entry.kind == Kind::CharDevice && entry.device == (0, 0) {
            return Err(bad("it is the device 0:0, which removes a file in an overlay"));
        }
        // The link's target is found first, because making room may remove it.
        let target = if entry.kind == Kind::HardLink {
            let missing = "it is a hard link to a file that the layer does not have";
            let (target_folder, target) =
                names::split(&entry.link).map_err(bad)?.ok_or_else(|| bad(missing))?;
            let place = resolve(&self.root, &target_folder).map_err(|_| bad(missing))?;
            let stat = rustix::fs::statat(&place, target, AtFlags::SYMLINK_NOFOLLOW);
            let stat = stat.map_err(|_| bad(missing))?;
            if FileType::from_raw_mode(stat.st_mode).is_dir() {
                return Err(bad("it is a hard link to a folder"));
            }
            if let Ok(own) = rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)
                && (own.st_dev, own.st_ino) == (stat.st_dev, stat.st_ino)
            {
                return Ok(());
            }
            Some((place, target))
        } else {
            None
        };
        let made = self.create(entry, name, parent.as_fd(), target.as_ref());
        let (file, was_removed) = match made {
            Err(Errno::EXIST) => {
                let was_removed = self
                    .make_room(entry, name, parent.as_fd())
                    .map_err(|source| UnpackError::System { path: entry.shown(), source })?;
                let again = self.create(entry, name, parent.as_fd(), target.as_ref());
                match again {
                    // A folder that is there is described anew.
                    Err(Errno::EXIST) if entry.kind == Kind::Directory => (Made::Other, false),
                    other => (other.map_err(system)?, was_removed),
                }
            }
            other => (other.map_err(system)?, false),
        };
        let source = |source| UnpackError::System { path: entry.shown(), source };
        match file {
            Made::Skipped => self.skipped.devices += 1,
            Made::File(file) => {
                self.fill(entry, &file, reader)?;
                self.describe(entry, file.as_fd()).map_err(source)?;
                let mode = Mode::from_raw_mode(entry.mode);
                rustix::fs::fchmod(&file, mode).map_err(system)?;
                rustix::fs::futimens(&file, &times(entry.mtime)).map_err(system)?;
            }
            Made::Other => match entry.kind {
                Kind::Directory => {
                    let flags =
                        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    let made = rustix::fs::openat(&parent, name, flags, Mode::empty());
                    let made = made.map_err(system)?;
                    if was_removed {
                        set_xattr(made.as_fd(), self.form.opaque(), b"y").map_err(system)?;
                    }
                    self.describe(entry, made.as_fd()).map_err(source)?;
                    let path = if folder.is_empty() {
                        name.to_vec()
                    } else {
                        [folder, b"/", name].concat()
                    };
                    self.implied.remove(&path);
                    self.late.insert(path, (entry.mode, entry.mtime));
                }
                // One more name of a file that was described.
                Kind::HardLink => {}
                _ => self.describe_at(entry, parent.as_fd(), name).map_err(source)?,
            },
        }
        self.folder = Some((folder.to_vec(), parent));
        Ok(())
    }

    fn create(
        &mut self,
        entry: &Entry,
        name: &[u8],
        parent: BorrowedFd<'_>,
        target: Option<&(OwnedFd, &[u8])>,
    ) -> Result<Made, Errno> {
        let device = rustix::fs::makedev(entry.device.0, entry.device.1);
        let private = Mode::RUSR | Mode::WUSR;
        match entry.kind {
            Kind::File => {
                let flags = OFlags::WRONLY
                    | OFlags::CREATE
                    | OFlags::EXCL
                    | OFlags::NOFOLLOW
                    | OFlags::CLOEXEC;
                return rustix::fs::openat(parent, name, flags, private).map(Made::File);
            }
            Kind::Directory => rustix::fs::mkdirat(parent, name, Mode::RWXU)?,
            Kind::Symlink => rustix::fs::symlinkat(entry.link.as_slice(), parent, name)?,
            Kind::HardLink => {
                if let Some((place, target)) = target {
                    rustix::fs::linkat(place, *target, parent, name, AtFlags::empty())?;
                }
            }
            Kind::Fifo => {
                rustix::fs::mknodat(parent, name, FileType::Fifo, private, 0)?;
            }
            Kind::CharDevice | Kind::BlockDevice => {
                let kind = match entry.kind {
                    Kind::CharDevice => FileType::CharacterDevice,
                    _ => FileType::BlockDevice,
                };
                match rustix::fs::mknodat(parent, name, kind, private, device) {
                    Err(Errno::PERM) => return Ok(Made::Skipped),
                    other => other?,
                }
            }
        }
        Ok(Made::Other)
    }

    /// Removes what an entry takes the place of; says whether that was the mark of a removed file.
    fn make_room(
        &mut self,
        entry: &Entry,
        name: &[u8],
        parent: BorrowedFd<'_>,
    ) -> io::Result<bool> {
        if whiteout_at(parent, name)? {
            rustix::fs::unlinkat(parent, name, AtFlags::empty())?;
            return Ok(true);
        }
        let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if !FileType::from_raw_mode(stat.st_mode).is_dir() {
            rustix::fs::unlinkat(parent, name, AtFlags::empty())?;
        } else if entry.kind != Kind::Directory {
            remove_folder(parent, name)?;
        }
        Ok(false)
    }

    fn fill(
        &mut self,
        entry: &Entry,
        file: &OwnedFd,
        reader: &mut Reader<impl Read>,
    ) -> Outcome<()> {
        let system = |error: io::Error| UnpackError::System { path: entry.shown(), source: error };
        let whole = [crate::tar::Segment { offset: 0, length: entry.size }];
        for segment in entry.sparse.as_deref().unwrap_or(&whole) {
            let mut at = segment.offset;
            let end = segment.offset + segment.length;
            while at < end {
                let wanted = usize::try_from(end - at).unwrap_or(usize::MAX);
                let wanted = wanted.min(self.buffer.len());
                let read = reader.read_data(&mut self.buffer[..wanted])?;
                let mut written = 0;
                while written < read {
                    let piece = &self.buffer[written..read];
                    let count = match rustix::io::pwrite(file, piece, at) {
                        Err(Errno::INTR) => continue,
                        other => other.map_err(|error| system(error.into()))?,
                    };
                    written += count;
                    at += count as u64;
                }
            }
        }
        if entry.sparse.is_some() {
            rustix::fs::ftruncate(file, entry.size).map_err(|error| system(error.into()))?;
        }
        Ok(())
    }

    /// Sets the owner and the attributes of an open file or folder.
    fn describe(&mut self, entry: &Entry, file: BorrowedFd<'_>) -> io::Result<()> {
        let (uid, gid) = owner(entry)?;
        self.owned(rustix::fs::fchown(file, Some(uid), Some(gid)))?;
        for (name, value) in &entry.xattrs {
            let set = if self.is_ours(name) {
                Err(Errno::PERM)
            } else {
                set_xattr(file, name.as_slice(), value)
            };
            self.attributed(set)?;
        }
        Ok(())
    }

    /// Sets the owner, the attributes and the rest of what cannot be opened.
    fn describe_at(
        &mut self,
        entry: &Entry,
        parent: BorrowedFd<'_>,
        name: &[u8],
    ) -> io::Result<()> {
        let (uid, gid) = owner(entry)?;
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        self.owned(rustix::fs::chownat(parent, name, Some(uid), Some(gid), flags))?;
        if entry.kind != Kind::Symlink {
            let mode = Mode::from_raw_mode(entry.mode);
            rustix::fs::chmodat(parent, name, mode, AtFlags::empty())?;
        }
        if !entry.xattrs.is_empty() {
            let path = [format!("/proc/self/fd/{}/", parent.as_raw_fd()).as_bytes(), name].concat();
            for (key, value) in &entry.xattrs {
                let set = if self.is_ours(key) {
                    Err(Errno::PERM)
                } else {
                    let (path, key) = (path.as_slice(), key.as_slice());
                    rustix::fs::lsetxattr(path, key, value, XattrFlags::empty())
                };
                self.attributed(set)?;
            }
        }
        rustix::fs::utimensat(parent, name, &times(entry.mtime), flags)?;
        Ok(())
    }

    /// Says whether an attribute is one that overlayfs reads as ours.
    fn is_ours(&self, name: &[u8]) -> bool {
        [Form::Trusted, Form::User].iter().any(|form| name.starts_with(form.prefix().as_bytes()))
    }

    fn owned(&mut self, result: Result<(), Errno>) -> io::Result<()> {
        match result {
            // Owners that this process may not give, or that its name space does not have.
            Err(Errno::PERM | Errno::INVAL) => {
                self.skipped.owners += 1;
                Ok(())
            }
            other => Ok(other?),
        }
    }

    fn attributed(&mut self, result: Result<(), Errno>) -> io::Result<()> {
        match result {
            Err(Errno::PERM | Errno::OPNOTSUPP) => {
                self.skipped.xattrs += 1;
                Ok(())
            }
            other => Ok(other?),
        }
    }

    /// Gives folders their permissions and times, the innermost first.
    fn finish_folders(&mut self) -> Outcome<()> {
        for (path, (mode, mtime)) in std::mem::take(&mut self.late).into_iter().rev() {
            let shown = || String::from_utf8_lossy(&path).into_owned();
            let system = |error: Errno| UnpackError::System { path: shown(), source: error.into() };
            let folder = match resolve_with(&self.root, &path, OFlags::NOFOLLOW) {
                // A later entry took its place.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
                other => other.map_err(system)?,
            };
            rustix::fs::fchmod(&folder, Mode::from_raw_mode(mode)).map_err(system)?;
            rustix::fs::futimens(&folder, &times(mtime)).map_err(system)?;
        }
        Ok(())
    }
}

/// What was made of an entry.
enum Made {
    /// A file that is open and empty.
    File(OwnedFd),
    /// Something else.
    Other,
    /// Nothing, because this process may not.
    Skipped,
}

fn owner(entry: &Entry) -> io::Result<(Uid, Gid)> {
    // The highest number means "leave it" to the kernel.
    if entry.uid == u32::MAX || entry.gid == u32::MAX {
        let why = "4294967295 is nobody's number";
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    Ok((Uid::from_raw(entry.uid), Gid::from_raw(entry.gid)))
}

fn times(mtime: Time) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec {
            tv_sec: mtime.seconds,
            tv_nsec: i64::from(mtime.nanoseconds),
        },
    }
}

fn set_xattr(
    file: BorrowedFd<'_>,
    name: impl rustix::path::Arg,
    value: &[u8],
) -> Result<(), Errno> {
    rustix::fs::fsetxattr(file, name, value, XattrFlags::empty())
}

/// Opens a folder as if `root` were the root of everything.
fn resolve(root: &OwnedFd, path: &[u8]) -> Result<OwnedFd, Errno> {
    resolve_with(root, path, OFlags::empty())
}

fn resolve_with(root: &OwnedFd, path: &[u8], more: OFlags) -> Result<OwnedFd, Errno> {
    let path = if path.is_empty() { b"." } else { path };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | more;
    let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let mut tries = 0;
    loop {
        match rustix::fs::openat2(root, path, flags, Mode::empty(), how) {
            Err(Errno::AGAIN | Errno::INTR) if tries < RESOLVE_TRIES => tries += 1,
            other => return other,
        }
    }
}

/// Says whether `name` marks a removed file.
fn whiteout_at(parent: BorrowedFd<'_>, name: &[u8]) -> Result<bool, Errno> {
    match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => {
            let is_device = FileType::from_raw_mode(stat.st_mode).is_char_device();
            Ok(is_device && stat.st_rdev == 0)
        }
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes a folder and everything in it, links not followed.
fn remove_folder(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt as _;
    let path = Path::new("/proc/self/fd").join(parent.as_raw_fd().to_string());
    fs_err::remove_dir_all(path.join(std::ffi::OsStr::from_bytes(name)))
}
