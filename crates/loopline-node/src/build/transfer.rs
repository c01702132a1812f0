//! `COPY` and `ADD`: which files are meant, what they are, and how they become a layer.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use fs_err as fs;
use loopline_formats::dockerfile::ignore::Patterns;
use loopline_formats::dockerfile::plan::{Copy, CopySource};
use loopline_image::digest::{Digest, Hasher};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

use super::BuildError;
use super::view::View;

/// How much of a file is read at once, in bytes.
const CHUNK_BYTES: usize = 256 * 1024;
/// The most files one instruction copies.
const FILES: usize = 2_000_000;
/// The mode of folders that are made on the way.
const FOLDER_MODE: u32 = 0o755;

/// Where files come from.
pub(super) enum Tree<'a> {
    /// A folder, without what is left out.
    Context { folder: &'a Path, ignored: &'a Patterns },
    /// An image or a stage.
    View(&'a View),
}

/// One file that is copied.
#[derive(Debug)]
struct Item {
    /// Where it is on this machine; nothing for a file of the Dockerfile's own.
    source: Source,
    /// Where it goes, from the root of the image, without a slash at the beginning.
    target: PathBuf,
    mode: u32,
    kind: Kind,
    modified: (i64, i64),
}

#[derive(Debug)]
enum Source {
    File(PathBuf),
    Text(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Folder,
    File,
    Link(OsString),
}

/// What is to be copied, in order: parents before children.
#[derive(Debug)]
pub(super) struct Selection {
    items: Vec<Item>,
    owner: (u32, u32),
}

/// Finds the files of an instruction. `base` is what they are copied onto.
pub(super) fn select(
    files: &Copy,
    tree: &Tree<'_>,
    base: &View,
    line: u32,
) -> Result<Selection, BuildError> {
    let fail = |message: String| BuildError::Step { line, message };
    let owner = match &files.chown {
        None => (0, 0),
        Some(asked) => {
            let (passwd, group) = (base.read("/etc/passwd")?, base.read("/etc/group")?);
            loopline_sandbox::look_up_owner(&passwd, &group, asked).map_err(fail)?
        }
    };
    let mode = match &files.chmod {
        None => None,
        Some(text) => {
            Some(u32::from_str_radix(text, 8).ok().filter(|it| *it <= 0o7777).ok_or_else(|| {
                fail(format!("--chmod={text}: it is a number such as 755 that is understood here"))
            })?)
        }
    };
    let exclude = Patterns::of(files.exclude.iter().map(String::as_str))
        .map_err(|error| fail(format!("--exclude: {}", error.kind)))?;
    let mut found = Vec::new();
    let mut inline = Vec::new();
    for source in &files.sources {
        let source = match source {
            CopySource::Path(path) => path,
            CopySource::Inline(file) => {
                inline.push(file);
                continue;
            }
            CopySource::Url(address) | CopySource::Git(address) => {
                return Err(fail(format!(
                    "ADD {address}: files are not fetched by ADD yet; a RUN with curl or git does"
                )));
            }
        };
        let matches = tree.matches(source)?;
        if matches.is_empty() {
            return Err(fail(tree.missing(source)));
        }
        found.extend(matches);
    }
    let written_as_folder = files.destination.ends_with('/');
    let target = if files.link {
        PathBuf::from(&files.destination)
    } else {
        base.resolve(Path::new(&files.destination), true)?
    };
    let exists_as_folder =
        !files.link && base.find(&target)?.is_some_and(|it| it.metadata.is_dir());
    let into_folder = written_as_folder || exists_as_folder || files.parents;
    if found.len() + inline.len() > 1 && !written_as_folder && !exists_as_folder {
        return Err(fail(
            "When using COPY with more than one source file, the destination must be a directory \
             and end with a /"
                .to_owned(),
        ));
    }
    let mut walk = Walk { tree, exclude: &exclude, mode, items: Vec::new(), line };
    for path in found {
        let place = if files.parents { target.join(&path) } else { target.clone() };
        let real = tree.resolve(&path)?;
        let Some(metadata) = tree.find(&real)? else {
            return Err(fail(tree.missing(&path.to_string_lossy())));
        };
        if metadata.1.is_dir() {
            walk.folder(&real, &place, &metadata.1, true)?;
        } else {
            if files.add && files.unpack != Some(false) && is_archive(&metadata.0)? {
                return Err(fail(format!(
                    "ADD {}: archives are not unpacked by ADD yet; COPY it and unpack it in a RUN",
                    path.display()
                )));
            }
            let place = match path.file_name() {
                Some(name) if into_folder && !files.parents => place.join(name),
                _ => place,
            };
            walk.file(metadata.0, &place, &metadata.1)?;
        }
    }
    for file in inline {
        let place = if into_folder { target.join(&file.name) } else { target.clone() };
        walk.items.push(Item {
            source: Source::Text(file.content.clone()),
            target: relative(&place),
            mode: mode.unwrap_or(0o644),
            kind: Kind::File,
            modified: (0, 0),
        });
    }
    Ok(Selection { items: walk.items, owner })
}

struct Walk<'a> {
    tree: &'a Tree<'a>,
    exclude: &'a Patterns,
    mode: Option<u32>,
    items: Vec<Item>,
    line: u32,
}

impl Walk<'_> {
    fn room(&self) -> Result<(), BuildError> {
        if self.items.len() < FILES {
            return Ok(());
        }
        let message = format!("it copies more than {FILES} files");
        Err(BuildError::Step { line: self.line, message })
    }

    /// Takes what is in a folder, and the folder.
    fn folder(
        &mut self,
        folder: &Path,
        target: &Path,
        metadata: &std::fs::Metadata,
        is_first: bool,
    ) -> Result<(), BuildError> {
        self.room()?;
        self.items.push(Item {
            source: Source::File(PathBuf::new()),
            target: relative(target),
            // The folder that is copied itself becomes another one, which keeps its own mode.
            mode: self.mode.unwrap_or(if is_first {
                FOLDER_MODE
            } else {
                metadata.mode() & 0o7777
            }),
            kind: Kind::Folder,
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        });
        for name in self.tree.names(folder)? {
            let (path, target) = (folder.join(&name), target.join(&name));
            let shown = path.to_string_lossy();
            if self.exclude.matches(&shown) && !self.exclude.has_exclusions() {
                continue;
            }
            let Some((place, metadata)) = self.tree.find(&path)? else { continue };
            if metadata.is_dir() {
                self.folder(&path, &target, &metadata, false)?;
            } else if !self.exclude.matches(&shown) {
                self.file(place, &target, &metadata)?;
            }
        }
        Ok(())
    }

    fn file(
        &mut self,
        place: PathBuf,
        target: &Path,
        metadata: &std::fs::Metadata,
    ) -> Result<(), BuildError> {
        self.room()?;
        let kind = if metadata.is_symlink() {
            Kind::Link(fs::read_link(&place)?.into_os_string())
        } else if metadata.is_file() {
            Kind::File
        } else {
            // Sockets, pipes and devices are no files of a context.
            return Ok(());
        };
        self.items.push(Item {
            source: Source::File(place),
            target: relative(target),
            mode: self.mode.unwrap_or(metadata.mode() & 0o7777),
            kind,
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        });
        Ok(())
    }
}

impl Tree<'_> {
    fn find(&self, path: &Path) -> io::Result<Option<(PathBuf, std::fs::Metadata)>> {
        match self {
            Self::View(view) => Ok(view.find(path)?.map(|it| (it.path, it.metadata))),
            Self::Context { folder, .. } => {
                let place = folder.join(relative(path));
                match fs::symlink_metadata(&place) {
                    Ok(metadata) => Ok(Some((place, metadata))),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                    Err(error) => Err(error),
                }
            }
        }
    }

    fn names(&self, path: &Path) -> io::Result<Vec<OsString>> {
        match self {
            Self::View(view) => view.names(path),
            Self::Context { folder, ignored } => {
                let mut names = Vec::new();
                for entry in fs::read_dir(folder.join(relative(path)))? {
                    let entry = entry?;
                    let inside = relative(&path.join(entry.file_name()));
                    let is_out = ignored.matches(&inside.to_string_lossy());
                    // Something below may be let in again.
                    let may_hold = ignored.has_exclusions() && entry.file_type()?.is_dir();
                    if !is_out || may_hold {
                        names.push(entry.file_name());
                    }
                }
                names.sort();
                Ok(names)
            }
        }
    }

    /// Follows links of a path, which stay inside.
    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        match self {
            Self::View(view) => view.resolve(path, true),
            Self::Context { folder, .. } => {
                let whole = View { layers: vec![folder.to_path_buf()] };
                whole.resolve(path, true)
            }
        }
    }

    /// Returns the paths that a source means, each from the root without a slash.
    fn matches(&self, source: &str) -> io::Result<Vec<PathBuf>> {
        let parts: Vec<&str> =
            source.split('/').filter(|it| !it.is_empty() && *it != ".").collect();
        let mut found = vec![PathBuf::new()];
        for part in parts {
            let mut next = Vec::new();
            for folder in found {
                if part == ".." {
                    let mut folder = folder;
                    folder.pop();
                    next.push(folder);
                } else if !part.contains(['*', '?', '[', '\\']) {
                    next.push(folder.join(part));
                } else {
                    let real = self.resolve(&folder)?;
                    if !self.find(&real)?.is_some_and(|it| it.1.is_dir()) {
                        continue;
                    }
                    for name in self.names(&real)? {
                        if fits(part, &name.to_string_lossy()) {
                            next.push(folder.join(name));
                        }
                    }
                }
            }
            found = next;
        }
        let mut there = Vec::new();
        for path in found {
            let real = self.resolve(&path)?;
            if self.find(&real)?.is_some() && !self.is_left_out(&path) {
                there.push(path);
            }
        }
        Ok(there)
    }

    fn is_left_out(&self, path: &Path) -> bool {
        match self {
            Self::View(_) => false,
            Self::Context { ignored, folder } => {
                let text = path.to_string_lossy();
                let is_folder = folder.join(path).is_dir();
                !text.is_empty()
                    && ignored.matches(&text)
                    && !(is_folder && ignored.has_exclusions())
            }
        }
    }

    fn missing(&self, source: &str) -> String {
        let text = source.trim_start_matches('/');
        match self {
            Self::Context { folder, .. } if folder.join(text).exists() => {
                format!("\"/{text}\" is left out of the context by .dockerignore")
            }
            Self::Context { folder, .. } => {
                format!("\"/{text}\": not found in the context {}", folder.display())
            }
            Self::View(_) => format!("\"/{text}\": not found"),
        }
    }
}

impl Selection {
    /// Returns a digest of what is copied: names, modes, contents; not times.
    pub(super) fn digest(&self) -> io::Result<Digest> {
        let mut hasher = Hasher::default();
        let mut add = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        add(format!("{}:{}", self.owner.0, self.owner.1).as_bytes());
        for item in &self.items {
            add(item.target.as_os_str().as_bytes());
            add(&item.mode.to_le_bytes());
            match (&item.kind, &item.source) {
                (Kind::Folder, _) => add(b"folder"),
                (Kind::Link(to), _) => {
                    add(b"link");
                    add(to.as_bytes());
                }
                (Kind::File, Source::Text(text)) => add(text.as_bytes()),
                (Kind::File, Source::File(path)) => {
                    let digest = file_digest(path)?;
                    add(digest.as_str().as_bytes());
                }
            }
        }
        Ok(hasher.finish())
    }

    /// Writes everything into `upper`, an empty folder that is laid over `base`.
    pub(super) fn write(&self, upper: &Path, base: &View, link: bool) -> Result<(), BuildError> {
        // Times of folders are set last, when nothing changes them any more.
        let mut folders: BTreeMap<PathBuf, (i64, i64)> = BTreeMap::new();
        for item in &self.items {
            let place = upper.join(&item.target);
            if let Some(parent) = item.target.parent() {
                parents(upper, parent, base, link)?;
            }
            let below = if link { None } else { base.find(&item.target)? };
            match (&item.kind, &item.source) {
                (Kind::Folder, _) => {
                    if fs::symlink_metadata(&place).is_ok() {
                        continue;
                    }
                    fs::create_dir(&place)?;
                    match below.filter(|it| it.metadata.is_dir()) {
                        Some(below) => own_as(&below.metadata, &place)?,
                        None => {
                            self.own(&place)?;
                            let mode = std::fs::Permissions::from_mode(item.mode);
                            fs::set_permissions(&place, mode)?;
                        }
                    }
                    folders.insert(place, item.modified);
                }
                (kind, source) => {
                    if below.is_some_and(|it| it.metadata.is_dir()) {
                        return Err(io::Error::new(
                            io::ErrorKind::IsADirectory,
                            format!("/{} is a folder", item.target.display()),
                        )
                        .into());
                    }
                    if fs::symlink_metadata(&place).is_ok() {
                        fs::remove_file(&place)?;
                    }
                    match (kind, source) {
                        (Kind::Link(to), _) => fs_err::os::unix::fs::symlink(to, &place)?,
                        (_, Source::Text(text)) => fs::write(&place, text)?,
                        (_, Source::File(path)) => {
                            fs::copy(path, &place)?;
                        }
                    }
                    self.own(&place)?;
                    if *kind == Kind::File {
                        let mode = std::fs::Permissions::from_mode(item.mode);
                        fs::set_permissions(&place, mode)?;
                    }
                    set_time(&place, item.modified)?;
                }
            }
        }
        for (place, time) in folders {
            set_time(&place, time)?;
        }
        Ok(())
    }

    fn own(&self, place: &Path) -> io::Result<()> {
        if !rustix::process::geteuid().is_root() {
            // Files of this user are root's inside; others' need a range of subordinate users.
            if self.owner == (0, 0) {
                return Ok(());
            }
            let (uid, gid) = self.owner;
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!("only root can give files to {uid}:{gid} (--chown)"),
            ));
        }
        fs_err::os::unix::fs::lchown(place, Some(self.owner.0), Some(self.owner.1))
    }
}

/// Makes the folders on the way to a file, as they are in what is below.
fn parents(upper: &Path, parent: &Path, base: &View, link: bool) -> io::Result<()> {
    let mut here = PathBuf::new();
    for name in parent.components() {
        here.push(name);
        let place = upper.join(&here);
        if fs::symlink_metadata(&place).is_ok() {
            continue;
        }
        fs::create_dir(&place)?;
        let below = if link { None } else { base.find(&here)? };
        match below.filter(|it| it.metadata.is_dir()) {
            Some(below) => own_as(&below.metadata, &place)?,
            None => fs::set_permissions(&place, std::fs::Permissions::from_mode(FOLDER_MODE))?,
        }
    }
    Ok(())
}

/// Makes a folder where an image does not have it: `WORKDIR`.
pub(super) fn make_folder(upper: &Path, path: &str, base: &View) -> io::Result<bool> {
    let path = base.resolve(Path::new(path), true)?;
    if base.find(&path)?.is_some_and(|it| it.metadata.is_dir()) {
        return Ok(false);
    }
    parents(upper, &relative(&path), base, false)?;
    Ok(true)
}

fn own_as(metadata: &std::fs::Metadata, place: &Path) -> io::Result<()> {
    if rustix::process::geteuid().is_root() {
        fs_err::os::unix::fs::chown(place, Some(metadata.uid()), Some(metadata.gid()))?;
    }
    fs::set_permissions(place, std::fs::Permissions::from_mode(metadata.mode() & 0o7777))
}

fn set_time(place: &Path, (seconds, nanoseconds): (i64, i64)) -> io::Result<()> {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(utimensat(CWD, place, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

fn relative(path: &Path) -> PathBuf {
    path.strip_prefix("/").unwrap_or(path).to_owned()
}

fn file_digest(path: &Path) -> io::Result<Digest> {
    let mut file = fs::File::open(path)?;
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            count => hasher.update(&buffer[..count]),
        }
    }
}

/// Says whether a file is an archive that `ADD` unpacks.
fn is_archive(path: &Path) -> io::Result<bool> {
    const TAR_MAGIC: std::ops::Range<usize> = 257..262;
    let mut start = Vec::new();
    fs::File::open(path)?.take(512).read_to_end(&mut start)?;
    let compressed: [&[u8]; 4] = [b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"];
    Ok(compressed.iter().any(|magic| start.starts_with(magic))
        || start.get(TAR_MAGIC).is_some_and(|it| it == b"ustar"))
}

/// Says whether a name fits a pattern of Go's `filepath.Match`, without slashes.
fn fits(pattern: &str, name: &str) -> bool {
    fn inner(pattern: &[char], name: &[char], steps: &mut usize) -> bool {
        const STEPS: usize = 100_000;
        *steps += 1;
        if *steps > STEPS {
            return false;
        }
        match (pattern, name) {
            ([], []) => true,
            (['*', rest @ ..], _) => (0..=name.len()).any(|skip| inner(rest, &name[skip..], steps)),
            (['?', rest @ ..], [_, left @ ..]) => inner(rest, left, steps),
            (['[', rest @ ..], [first, left @ ..]) => {
                let Some(end) = rest.iter().skip(1).position(|it| *it == ']').map(|it| it + 1)
                else {
                    return false;
                };
                let (class, rest) = (&rest[..end], &rest[end + 1..]);
                let (is_not, class) = match class {
                    ['^', class @ ..] => (true, class),
                    class => (false, class),
                };
                let mut is_in = false;
                let mut index = 0;
                while index < class.len() {
                    if index + 2 < class.len() && class[index + 1] == '-' {
                        is_in |= (class[index]..=class[index + 2]).contains(first);
                        index += 3;
                    } else {
                        is_in |= class[index] == *first;
                        index += 1;
                    }
                }
                is_in != is_not && inner(rest, left, steps)
            }
            (['\\', letter, rest @ ..], [first, left @ ..]) => {
                letter == first && inner(rest, left, steps)
            }
            ([letter, rest @ ..], [first, left @ ..]) => {
                letter == first && inner(rest, left, steps)
            }
            _ => false,
        }
    }
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    inner(&pattern, &name, &mut 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_gos() {
        for (pattern, name, expected) in [
            ("*.txt", "a.txt", true),
            ("a?c", "abc", true),
            ("a[0-9]", "a5", true),
            ("a[^0-9]", "a5", false),
            ("[ab]*", "bcd", true),
            (r"\*", "*", true),
            (r"\*", "x", false),
            ("a", "ab", false),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }
}
