//! Files below a folder that somebody else filled: no symbolic link leads out of it.
//!
//! Links are followed by the kernel, which refuses to leave the folder; judging a link by its
//! text is not enough, because a link may lead through another one.

use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use fs_err as fs;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// How many links one fetched tree may hold; each is looked at.
const MAX_LINKS: usize = 10_000;
/// How often a path is looked up again while somebody moves folders under it.
const MAX_LOOKUPS: usize = 16;

/// Why a file below a folder cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// A link, or `..`, leads out.
    #[error("it holds a link that leads out of it: {}", .0.display())]
    Out(PathBuf),
    /// There are too many links.
    #[error("it holds more than {MAX_LINKS} links")]
    TooMany,
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A folder whose links are followed only as far as they stay inside.
pub(crate) struct Confined<'a> {
    root: &'a Path,
    folder: OwnedFd,
}

impl<'a> Confined<'a> {
    /// Opens the folder `root`.
    pub(crate) fn open(root: &'a Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(CWD, root, flags, Mode::empty())?;
        Ok(Self { root, folder })
    }

    /// Returns the text of the regular file at `path`, or nothing where there is none.
    ///
    /// # Errors
    /// [`LinkError::Out`] where it is not inside; an error of kind `FileTooLarge` where it is
    /// larger than `limit_bytes`.
    pub(crate) fn read(&self, path: &Path, limit_bytes: u64) -> Result<Option<String>, LinkError> {
        // A pipe that a job left there must not hold us up.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = match self.look_up(path, flags) {
            Ok(file) => std::fs::File::from(file),
            Err(LinkError::Io(error)) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Ok(None);
        }
        if metadata.len() > limit_bytes {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge).into());
        }
        let mut text = String::new();
        file.take(limit_bytes).read_to_string(&mut text)?;
        Ok(Some(text))
    }

    /// Returns whether there is something at `path`, inside.
    pub(crate) fn exists(&self, path: &Path) -> Result<bool, LinkError> {
        match self.look_up(path, OFlags::PATH | OFlags::CLOEXEC) {
            Ok(_) => Ok(true),
            Err(LinkError::Io(error)) if is_missing(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Refuses a folder with links that lead out of it, whatever they lead through.
    pub(crate) fn check_links(&self) -> Result<(), LinkError> {
        let mut links = 0;
        let mut open = vec![self.root.to_path_buf()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                let kind = entry.file_type()?;
                if kind.is_dir() {
                    open.push(entry.path());
                } else if kind.is_symlink() {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(LinkError::TooMany);
                    }
                    let path = entry.path();
                    let inside = path.strip_prefix(self.root).unwrap_or(&path);
                    // A link that leads nowhere stays that way: what is fetched never changes.
                    self.exists(inside)?;
                }
            }
        }
        Ok(())
    }

    fn look_up(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, LinkError> {
        let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        for _ in 0..MAX_LOOKUPS {
            match rustix::fs::openat2(&self.folder, path, flags, Mode::empty(), beneath) {
                Ok(file) => return Ok(file),
                Err(Errno::XDEV) => return Err(LinkError::Out(path.to_path_buf())),
                Err(Errno::AGAIN | Errno::INTR) => {}
                // Linux before 5.6 has no sandbox either, so nobody races with us.
                Err(Errno::NOSYS) => return self.look_up_by_name(path, flags),
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
        Err(io::Error::from(Errno::AGAIN).into())
    }

    fn look_up_by_name(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, LinkError> {
        let real = fs::canonicalize(self.root.join(path))?;
        if !real.starts_with(fs::canonicalize(self.root)?) {
            return Err(LinkError::Out(path.to_path_buf()));
        }
        let opened = rustix::fs::openat(CWD, &real, flags | OFlags::NOFOLLOW, Mode::empty());
        Ok(opened.map_err(io::Error::from)?)
    }
}

/// Links in a circle lead nowhere, like missing ones.
fn is_missing(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
        || error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_may_not_leave_their_folder_also_not_through_others() {
        for (links, out) in [
            (&[("inner", "folder"), ("inner2", "folder/../folder/file")][..], None),
            (&[("nowhere", "missing/../..")], None),
            (&[("a", "b"), ("b", "a")], None),
            (&[("up", "..")], Some("up")),
            (&[("passwd", "/etc/passwd")], Some("passwd")),
            // By text each of the two stays inside; together they do not.
            (&[("d", "folder/deep"), ("out", "d/../../../x")], Some("out")),
            (&[("folder/d", "."), ("out", "folder/d/../..")], Some("out")),
        ] {
            let scratch = tempfile::tempdir().unwrap();
            let root = scratch.path().join("root");
            fs::create_dir_all(root.join("folder/deep")).unwrap();
            fs::write(root.join("folder/file"), "inside").unwrap();
            fs::write(scratch.path().join("x"), "outside").unwrap();
            for (name, target) in links {
                symlink(target, root.join(name)).unwrap();
            }
            let confined = Confined::open(&root).unwrap();
            match (confined.check_links(), out) {
                (Ok(()), None) => {}
                (Err(LinkError::Out(path)), Some(out)) => {
                    assert_eq!(path, Path::new(out));
                    assert!(confined.read(Path::new(out), 10).is_err(), "{links:?}");
                }
                (result, _) => panic!("{links:?}: {result:?}"),
            }
        }
    }

    #[test]
    fn only_regular_files_of_a_bounded_size_are_read() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path();
        fs::write(root.join("file"), "text").unwrap();
        fs::create_dir(root.join("folder")).unwrap();
        symlink("file", root.join("link")).unwrap();
        rustix::fs::mknodat(CWD, root.join("pipe"), rustix::fs::FileType::Fifo, Mode::RUSR, 0)
            .unwrap();
        let confined = Confined::open(root).unwrap();
        assert_eq!(confined.read(Path::new("link"), 4).unwrap().as_deref(), Some("text"));
        for path in ["folder", "pipe", "missing", "file/below"] {
            assert!(confined.read(Path::new(path), 4).unwrap().is_none(), "{path}");
        }
        assert!(confined.read(Path::new("file"), 3).is_err());
    }
}
