//! The files that belong to the working tree: tracked ones and untracked ones that no ignore
//! rule names. Reading or copying their content does not live here.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use gix::bstr::BString;
use gix::dir::entry::{Kind, Status};
use gix::index::entry::{Flags, Mode};

use crate::error::{Error, Result, reading};
use crate::repository::Repository;

/// The most files one working tree may list.
pub const WORKING_FILES_MAX: usize = 2_000_000;

/// What a path of the working tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink,
    /// A submodule or another repository inside this one: list it by opening it.
    Repository,
}

/// One path of the working tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkingFile {
    /// The path below the working folder.
    pub path: PathBuf,
    /// What it is, by the index if tracked and by the disk otherwise; a tracked file may have
    /// been deleted or replaced since.
    pub kind: FileKind,
    /// Whether the index holds it.
    pub tracked: bool,
}

impl Repository {
    /// Returns the tracked and the untracked, not ignored files, in order of path.
    ///
    /// Entries left out by a sparse checkout are not listed. Sockets, pipes and devices are not
    /// files of a working tree and are not listed either.
    ///
    /// # Errors
    /// When the repository is bare, the index or a folder cannot be read, or there are more than
    /// [`WORKING_FILES_MAX`] files.
    pub fn working_files(&self) -> Result<Vec<WorkingFile>> {
        if self.inner.workdir().is_none() {
            return Err(Error::Bare);
        }
        let index = self.inner.index_or_empty().map_err(reading("index"))?;
        let mut files: Vec<WorkingFile> = Vec::new();
        for entry in index.entries() {
            let kind = match entry.mode {
                Mode::SYMLINK => FileKind::Symlink,
                Mode::COMMIT => FileKind::Repository,
                Mode::DIR => continue,
                _ => FileKind::File,
            };
            if entry.flags.contains(Flags::SKIP_WORKTREE) {
                continue;
            }
            let path = PathBuf::from(OsStr::from_bytes(entry.path(&index)));
            // An unmerged path has up to three entries, side by side.
            if files.last().is_some_and(|last| last.path == path) {
                continue;
            }
            files.push(WorkingFile { path, kind, tracked: true });
            bound(files.len())?;
        }
        let options = self
            .inner
            .dirwalk_options()
            .map_err(reading("configuration"))?
            .emit_tracked(false)
            .emit_ignored(None)
            .emit_untracked(gix::dir::walk::EmissionMode::Matching);
        let interrupt = AtomicBool::new(false);
        let mut found = Untracked { files: Vec::new(), room: WORKING_FILES_MAX - files.len() };
        self.inner
            .dirwalk(&index, std::iter::empty::<BString>(), &interrupt, options, &mut found)
            .map_err(reading("working tree"))?;
        files.append(&mut found.files);
        bound(files.len())?;
        files.sort_by(|one, two| one.path.cmp(&two.path));
        Ok(files)
    }
}

fn bound(count: usize) -> Result<()> {
    if count > WORKING_FILES_MAX {
        return Err(Error::TooMuch {
            what: "files of the working tree",
            limit: WORKING_FILES_MAX as u64,
        });
    }
    Ok(())
}

/// Collects untracked paths, one more than there is room for so that the overflow shows.
struct Untracked {
    files: Vec<WorkingFile>,
    room: usize,
}

impl gix::dir::walk::Delegate for Untracked {
    fn emit(
        &mut self,
        entry: gix::dir::EntryRef<'_>,
        _collapsed: Option<Status>,
    ) -> gix::dir::walk::Action {
        let kind = match entry.disk_kind {
            Some(Kind::File) => FileKind::File,
            Some(Kind::Symlink) => FileKind::Symlink,
            Some(Kind::Repository) => FileKind::Repository,
            Some(Kind::Directory | Kind::Untrackable) | None => {
                return std::ops::ControlFlow::Continue(());
            }
        };
        if entry.status != Status::Untracked {
            return std::ops::ControlFlow::Continue(());
        }
        let path = PathBuf::from(OsStr::from_bytes(&entry.rela_path));
        self.files.push(WorkingFile { path, kind, tracked: false });
        if self.files.len() > self.room {
            std::ops::ControlFlow::Break(())
        } else {
            std::ops::ControlFlow::Continue(())
        }
    }
}
