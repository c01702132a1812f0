//! Private copies of the working tree: the tracked and the untracked, not ignored files as they
//! are on disk, and a `.git` of the copy's own over the original's objects.
//!
//! Nothing is hard-linked: a step's write can never reach the user's files. Content is copied by
//! the kernel, which shares blocks where the file system can. Overlays do not live here.

use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use loopline_git::{FileKind, Repository};

use crate::leash::Leash;

/// The most threads that copy at once.
pub const COPY_THREADS_MAX: usize = 8;
/// The most repositories inside repositories that are followed.
pub const NESTED_REPOSITORIES_MAX: usize = 8;

/// Why a copy of the working tree could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The repository could not be read.
    #[error("list the working tree")]
    Git(#[from] loopline_git::Error),
    /// The device of the copy has no room left.
    #[error("copy the working tree to {}: the disk or the quota is full", into.display())]
    Full {
        /// The folder of the copy.
        into: PathBuf,
    },
    /// A file could not be read or written.
    #[error("copy the working tree")]
    Io(#[source] io::Error),
    /// The copy would lie among the files it copies.
    #[error("copy the working tree to {}: the folder lies inside the tree itself", into.display())]
    Inside {
        /// The folder of the copy.
        into: PathBuf,
    },
    /// Repositories are nested deeper than [`NESTED_REPOSITORIES_MAX`].
    #[error("copy the working tree: repositories nested more than {NESTED_REPOSITORIES_MAX} deep at {}", at.display())]
    TooDeep {
        /// The repository that is one too deep.
        at: PathBuf,
    },
}

/// What was copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copied {
    /// Regular files and symbolic links.
    pub files: u64,
    /// The bytes of the regular files.
    pub size_bytes: u64,
}

/// Copies the working tree that holds `source` into `into`, a new or empty folder.
///
/// Modes and symbolic links are kept; files deleted since they were tracked stay deleted.
/// Submodules and repositories inside this one are copied as plain files. Objects are read from
/// the original's store, which the copy names as its alternate and never writes to.
///
/// # Errors
/// When the tree cannot be listed or read, or the copy cannot be written.
pub fn copy_working_tree(source: &Path, into: &Path, leash: &Leash<'_>) -> Result<Copied, Error> {
    let full = |error: io::Error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::Full { into: into.to_owned() }
        }
        _ => Error::Io(error),
    };
    let repository = Repository::discover(source)?;
    let top = repository.working_folder().ok_or(loopline_git::Error::Bare)?;
    let top = fs_err::canonicalize(top).map_err(Error::Io)?;
    fs_err::create_dir_all(into).map_err(full)?;
    let target = fs_err::canonicalize(into).map_err(Error::Io)?;
    if target.starts_with(&top) && !target.starts_with(top.join(".git")) {
        return Err(Error::Inside { into: into.to_owned() });
    }
    let mut files = Vec::new();
    list(&repository, &top, Path::new(""), 0, &mut files)?;
    let files = with_folders(&top, &target, files).map_err(full)?;
    let threads = thread::available_parallelism().map_or(1, usize::from).min(COPY_THREADS_MAX);
    let share = files.len().div_ceil(threads).max(1);
    let results: Vec<io::Result<Copied>> = thread::scope(|scope| {
        let workers: Vec<_> = files
            .chunks(share)
            .map(|part| scope.spawn(|| copy_files(&top, &target, part, leash)))
            .collect();
        workers
            .into_iter()
            .map(|worker| {
                worker.join().unwrap_or_else(|_| Err(io::Error::other("a copying thread panicked")))
            })
            .collect()
    });
    let mut copied = Copied::default();
    for part in results {
        let part = part.map_err(full)?;
        copied.files += part.files;
        copied.size_bytes += part.size_bytes;
    }
    write_git_folder(&repository, &target.join(".git")).map_err(full)?;
    Ok(copied)
}

/// Lists the files below `top`, following initialised submodules and nested repositories.
fn list(
    repository: &Repository,
    top: &Path,
    below: &Path,
    depth: usize,
    files: &mut Vec<PathBuf>,
) -> Result<(), Error> {
    for file in repository.working_files()? {
        let path = below.join(&file.path);
        if file.kind != FileKind::Repository {
            files.push(path);
            continue;
        }
        // A submodule that was never initialised has no `.git`, and discovery would go upwards.
        if fs_err::symlink_metadata(top.join(&path).join(".git")).is_err() {
            continue;
        }
        if depth >= NESTED_REPOSITORIES_MAX {
            return Err(Error::TooDeep { at: path });
        }
        let nested = Repository::discover(&top.join(&path))?;
        list(&nested, top, &path, depth + 1, files)?;
    }
    Ok(())
}

/// Creates the folders of the files and drops files whose folder is no longer one: a tracked
/// folder replaced by a symbolic link would otherwise be read from wherever the link leads.
fn with_folders(top: &Path, target: &Path, mut files: Vec<PathBuf>) -> io::Result<Vec<PathBuf>> {
    let mut real = std::collections::HashMap::from([(PathBuf::new(), true)]);
    let mut kept = Vec::with_capacity(files.len());
    for file in files.drain(..) {
        let parent = file.parent().unwrap_or(Path::new("")).to_owned();
        let mut missing: Vec<&Path> =
            parent.ancestors().take_while(|folder| !real.contains_key(*folder)).collect();
        while let Some(folder) = missing.pop() {
            let above =
                folder.parent().is_none_or(|above| real.get(above).copied().unwrap_or(false));
            let metadata =
                if above { fs_err::symlink_metadata(top.join(folder)).ok() } else { None };
            let is_real = metadata.as_ref().is_some_and(std::fs::Metadata::is_dir);
            if is_real {
                fs_err::create_dir_all(target.join(folder))?;
            }
            real.insert(folder.to_owned(), is_real);
        }
        if real.get(&parent).copied().unwrap_or(false) {
            kept.push(file);
        }
    }
    Ok(kept)
}

fn copy_files(
    top: &Path,
    target: &Path,
    files: &[PathBuf],
    leash: &Leash<'_>,
) -> io::Result<Copied> {
    let mut copied = Copied::default();
    for file in files {
        leash.check().map_err(io::Error::other)?;
        let (from, to) = (top.join(file), target.join(file));
        let metadata = match fs_err::symlink_metadata(&from) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if metadata.is_symlink() {
            fs_err::os::unix::fs::symlink(fs_err::read_link(&from)?, &to)?;
        } else if metadata.is_file() {
            copied.size_bytes += fs_err::copy(&from, &to)?;
        } else {
            // A tracked file that has become a folder or a pipe is a deletion to git.
            continue;
        }
        copied.files += 1;
    }
    Ok(copied)
}

/// Writes a `.git` with the original's references and index and with its objects as alternate.
/// Hooks, credentials and programs of the original's configuration are left behind.
pub(crate) fn write_git_folder(repository: &Repository, git: &Path) -> io::Result<()> {
    let common = fs_err::canonicalize(repository.common_folder())?;
    fs_err::create_dir_all(git.join("objects/info"))?;
    let mut alternates =
        std::os::unix::ffi::OsStrExt::as_bytes(common.join("objects").as_os_str()).to_vec();
    alternates.push(b'\n');
    fs_err::write(git.join("objects/info/alternates"), alternates)?;
    for (from, name) in [
        (repository.git_folder(), "HEAD"),
        (repository.git_folder(), "index"),
        (common.as_path(), "packed-refs"),
        (common.as_path(), "shallow"),
    ] {
        match fs_err::copy(from.join(name), git.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    copy_references(&common.join("refs"), &git.join("refs"), 0)?;
    let mut config =
        "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n".to_owned();
    if let Some(slug) =
        repository.remote_url("origin").as_deref().and_then(loopline_git::Slug::from_url)
        && let Some(host) = &slug.host
        && slug
            .to_string()
            .chars()
            .chain(host.chars())
            .all(|c| c.is_ascii_alphanumeric() || "/-._".contains(c))
    {
        config.push_str(&format!(
            "[remote \"origin\"]\n\turl = https://{host}/{slug}\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n"
        ));
    }
    fs_err::write(git.join("config"), config)
}

fn copy_references(from: &Path, to: &Path, depth: usize) -> io::Result<()> {
    /// The most folders a reference's name may hold.
    const REFERENCE_DEPTH_MAX: usize = 64;
    if depth > REFERENCE_DEPTH_MAX {
        return Err(io::Error::other("references are nested too deep"));
    }
    fs_err::create_dir_all(to)?;
    for entry in fs_err::read_dir(from)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let target = to.join(entry.file_name());
        if kind.is_dir() {
            copy_references(&entry.path(), &target, depth + 1)?;
        } else if kind.is_file() {
            fs_err::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(
        clippy::disallowed_methods,
        reason = "the host's git makes and judges the repositories"
    )]

    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
    use std::path::Path;
    use std::process::Command;

    use super::{Error, Leash, copy_working_tree};

    fn free() -> Leash<'static> {
        Leash::free(loopline_clock::Clock::real())
    }

    fn git(folder: &Path, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com"])
            .args(arguments)
            .current_dir(folder)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "git {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    #[test]
    fn a_copy_is_whole_private_and_gits() {
        let scratch = tempfile::tempdir().unwrap();
        let (top, copy) = (scratch.path().join("top"), scratch.path().join("copy"));
        fs_err::create_dir_all(top.join("folder/deep")).unwrap();
        fs_err::create_dir_all(top.join("swapped")).unwrap();
        git(&top, &["init", "-q"]);
        for path in ["a", "gone", "folder/deep/b", "swapped/passwd"] {
            fs_err::write(top.join(path), path).unwrap();
        }
        fs_err::set_permissions(top.join("a"), std::fs::Permissions::from_mode(0o755)).unwrap();
        symlink("folder/deep/b", top.join("link")).unwrap();
        fs_err::write(top.join(".gitignore"), "ignored\n").unwrap();
        git(&top, &["add", "."]);
        git(&top, &["commit", "-qm", "First"]);
        git(&top, &["tag", "v1"]);
        git(&top, &["remote", "add", "origin", "https://u:hidden@github.com/acme/shop.git"]);
        fs_err::write(top.join("folder/deep/b"), "dirty").unwrap();
        fs_err::write(top.join("new"), "untracked").unwrap();
        fs_err::write(top.join("ignored"), "no").unwrap();
        fs_err::remove_file(top.join("gone")).unwrap();
        fs_err::remove_dir_all(top.join("swapped")).unwrap();
        symlink("/etc", top.join("swapped")).unwrap();

        let copied = copy_working_tree(&top.join("folder"), &copy, &free()).unwrap();
        assert_eq!(copied.files, 6);
        assert_eq!(git(&copy, &["status", "--porcelain"]), git(&top, &["status", "--porcelain"]));
        assert_eq!(git(&copy, &["describe", "--tags"]), "v1");
        assert_eq!(git(&copy, &["remote", "get-url", "origin"]), "https://github.com/acme/shop");
        assert_eq!(fs_err::read_to_string(copy.join("folder/deep/b")).unwrap(), "dirty");
        assert_eq!(fs_err::read_link(copy.join("swapped")).unwrap(), Path::new("/etc"));
        assert!(!copy.join("ignored").exists() && !copy.join("gone").exists());
        let (one, two) =
            (fs_err::metadata(top.join("a")).unwrap(), fs_err::metadata(copy.join("a")).unwrap());
        assert_ne!(one.ino(), two.ino());
        assert_eq!(two.mode() & 0o777, 0o755);
        git(&copy, &["commit", "-qam", "Inside the copy"]);
        assert_eq!(git(&top, &["log", "--format=%s", "--all"]), "First");
        git(&top, &["fsck"]);
    }

    #[test]
    fn a_copy_inside_the_tree_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        git(scratch.path(), &["init", "-q"]);
        let refused = copy_working_tree(scratch.path(), &scratch.path().join("copy"), &free());
        assert!(matches!(refused, Err(Error::Inside { .. })));
    }
}
