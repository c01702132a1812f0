//! Files of a job: what an action may read and where it may write.
//!
//! A built-in action runs outside the job's sandbox, so it must not follow what the job's steps
//! left lying about: no symbolic link leads it out of the job's folders.

use std::path::{Component, Path, PathBuf};

use fs_err as fs;

use super::context::{Context, Failure};

/// Returns `path` below `root`; refuses what leads out of it by name.
pub(super) fn inside(root: &Path, path: &str) -> Result<PathBuf, Failure> {
    let mut full = root.to_path_buf();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => full.push(name),
            Component::CurDir => {}
            Component::RootDir if path.starts_with(&*root.to_string_lossy()) => {
                let rest = path[root.to_string_lossy().len()..].trim_start_matches('/');
                return inside(root, rest);
            }
            _ => return Err(Failure(format!("the path `{path}` leads out of {}", root.display()))),
        }
    }
    Ok(full)
}

/// Empties a folder below `root`, or `root` itself, and makes it if it is not there.
pub(super) fn empty(root: &Path, folder: &Path) -> Result<(), Failure> {
    safe_parent(root, folder)?;
    let failed = |error| Failure::of(format!("empty {}", folder.display()), error);
    fs::create_dir_all(folder).map_err(failed)?;
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let about = fs::symlink_metadata(&path).map_err(failed)?;
        if about.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }
            .map_err(failed)?;
    }
    Ok(())
}

/// Makes the folder that `path` will be in; fails where a symbolic link stands in the way
/// between `root` and it.
pub(super) fn safe_parent(root: &Path, path: &Path) -> Result<(), Failure> {
    let out = || Failure(format!("{} is not in {}", path.display(), root.display()));
    let inner = path.strip_prefix(root).map_err(|_| out())?;
    let Some(parent) = inner.parent() else { return Ok(()) };
    let mut full = root.to_path_buf();
    for part in parent.components() {
        let Component::Normal(name) = part else { return Err(out()) };
        full.push(name);
        match fs::symlink_metadata(&full) {
            Ok(about) if about.is_dir() => {}
            Ok(_) => {
                return Err(Failure(format!("{} is no folder but in the way", full.display())));
            }
            Err(_) => fs::create_dir(&full)
                .map_err(|error| Failure::of(format!("make {}", full.display()), error))?,
        }
    }
    Ok(())
}

impl Context<'_> {
    /// Fails where a job that is kept from the machine leads an action to a file of the
    /// machine's, by name or by symbolic link.
    pub(super) fn check_readable(&self, path: &Path) -> Result<(), Failure> {
        if !self.confined {
            return Ok(());
        }
        let real = fs::canonicalize(path)
            .map_err(|error| Failure::of(format!("read {}", path.display()), error))?;
        let own = [self.workspace, self.temp, self.home]
            .iter()
            .filter_map(|folder| fs::canonicalize(folder).ok())
            .any(|folder| real.starts_with(folder));
        if own {
            return Ok(());
        }
        Err(Failure(format!(
            "{} is outside the job's folders, and the job runs in a sandbox",
            path.display()
        )))
    }

    /// Returns the job's folder that `path` is in.
    pub(super) fn root_of(&self, path: &Path) -> Option<(&'static str, &Path)> {
        [("workspace", self.workspace), ("temp", self.temp), ("home", self.home)]
            .into_iter()
            .find(|(_, root)| path.starts_with(root))
    }

    /// Returns the job's folder of that name.
    pub(super) fn root_named(&self, name: &str) -> Option<&Path> {
        match name {
            "workspace" => Some(self.workspace),
            "temp" => Some(self.temp),
            "home" => Some(self.home),
            // Only a job that has the machine to itself keeps what is elsewhere.
            "machine" if !self.confined => Some(Path::new("/")),
            _ => None,
        }
    }
}
