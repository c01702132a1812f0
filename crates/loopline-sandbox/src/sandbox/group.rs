//! The control group of a sandbox: bounds on its processes and memory that nothing inside can
//! lift, where this user has a place to make one. Groups that somebody else manages are left alone:
//! only the root of a hierarchy and what was delegated to this user are used.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use fs_err as fs;
use rustix::event::{PollFd, Timespec, poll};

use super::spec::{Bounds, Enforced, Means};

/// How often the removal of a group is tried, a millisecond apart: the kernel may still be busy
/// with the last process.
const REMOVALS: usize = 200;
/// What the names of our groups begin with; the owner's number follows.
const PREFIX: &str = "loopline-";

/// The two things that are bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Controller {
    Processes,
    Memory,
}

impl Controller {
    const ALL: [Self; 2] = [Self::Processes, Self::Memory];

    fn name(self) -> &'static str {
        match self {
            Self::Processes => "pids",
            Self::Memory => "memory",
        }
    }
}

/// A folder in which a group with a controller can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    controller: Controller,
    folder: PathBuf,
    /// The file of the bound.
    file: &'static str,
}

/// The group of one sandbox; dropping it, after everything inside has ended, removes it.
#[derive(Debug, Default)]
pub(super) struct Group {
    folders: Vec<PathBuf>,
    enforced: Enforced,
}

impl Group {
    /// Makes a group with bounds, as far as there are places for it.
    pub(super) fn create(bounds: &Bounds) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{count}", std::process::id());
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let mut group = Self { folders: Vec::new(), enforced: Enforced::by_limits() };
        for place in places(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"), may_use) {
            sweep(&place.folder);
            let folder = place.folder.join(&name);
            let bound = match place.controller {
                Controller::Processes => u64::from(bounds.processes),
                Controller::Memory => bounds.memory_bytes,
            };
            // Where a group cannot be made the other means stay, and `Enforced` tells which.
            if group.make(&folder, place.file, bound).is_ok() {
                match place.controller {
                    Controller::Processes => group.enforced.processes = Means::ControlGroup,
                    Controller::Memory => group.enforced.memory = Means::ControlGroup,
                }
            }
        }
        group
    }

    fn make(&mut self, folder: &Path, file: &str, bound: u64) -> io::Result<()> {
        if !self.folders.iter().any(|made| made == folder) {
            fs::create_dir(folder)?;
            self.folders.push(folder.to_owned());
        }
        fs::write(folder.join(file), bound.to_string())
    }

    /// Puts a process, and with it all that it will start, into the group.
    pub(super) fn admit(&mut self, pid: &str) -> io::Result<()> {
        let result =
            self.folders.iter().try_for_each(|folder| fs::write(folder.join("cgroup.procs"), pid));
        if result.is_err() {
            self.enforced = Enforced::by_limits();
        }
        result
    }

    pub(super) fn enforced(&self) -> Enforced {
        self.enforced
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for folder in &self.folders {
            for _ in 0..REMOVALS {
                match fs::remove_dir(folder) {
                    Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                        let moment = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
                        let nothing: &mut [PollFd<'_>] = &mut [];
                        let _ = poll(nothing, Some(&moment));
                    }
                    // A later sandbox in the same place tries again.
                    Ok(()) | Err(_) => break,
                }
            }
        }
    }
}

/// Removes the groups of owners that are gone; the kernel refuses where one is in use.
fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next());
        if owner.is_some_and(|owner| !Path::new("/proc").join(owner).exists()) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// Says whether groups may be made in a folder that is not the root of its hierarchy: where it
/// belongs to this user, or the service manager has handed it over.
fn may_use(folder: &Path) -> bool {
    let user = rustix::process::geteuid();
    let own = || fs::metadata(folder).is_ok_and(|it| it.uid() == user.as_raw());
    let mut value = [0; 1];
    let is_handed_over = rustix::fs::getxattr(folder, "user.delegate", &mut value)
        .is_ok_and(|count| count == 1 && value == *b"1");
    is_handed_over || (!user.is_root() && own())
}

/// Finds where groups can be made, out of the texts of `/proc/self/mountinfo` and
/// `/proc/self/cgroup`: at most one place for each controller.
fn places(mounts: &str, own: &str, may_use: impl Fn(&Path) -> bool) -> Vec<Place> {
    let mut found: Vec<Place> = Vec::new();
    for line in mounts.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let mut left = left.split(' ').skip(3);
        let (Some(root), Some(mounted)) = (left.next(), left.next()) else { continue };
        let mut right = right.split(' ');
        let (Some(kind), _, Some(options)) = (right.next(), right.next(), right.next()) else {
            continue;
        };
        for controller in Controller::ALL {
            if found.iter().any(|place| place.controller == controller) {
                continue;
            }
            let is_first = kind == "cgroup" && options.split(',').any(|it| it == controller.name());
            if !is_first && kind != "cgroup2" {
                continue;
            }
            let Some(path) = own_path(own, is_first.then(|| controller.name())) else { continue };
            let Ok(below) = Path::new(path).strip_prefix(root) else { continue };
            let folder = Path::new(mounted).join(below);
            let is_root = below.as_os_str().is_empty();
            let file = match (controller, is_first) {
                (Controller::Processes, _) => "pids.max",
                (Controller::Memory, true) => "memory.limit_in_bytes",
                (Controller::Memory, false) => "memory.max",
            };
            let place = |folder: &Path| Place { controller, folder: folder.to_owned(), file };
            if is_first {
                if is_root || may_use(&folder) {
                    found.push(place(&folder));
                }
                continue;
            }
            // In the second version a group that holds processes shares nothing out, but the one
            // above may.
            let above = folder.parent().filter(|_| !is_root);
            let fits = [Some(folder.as_path()), above].into_iter().flatten().find(|folder| {
                (folder == &Path::new(mounted) || may_use(folder)) && shares(folder, controller)
            });
            found.extend(fits.map(place));
        }
    }
    found
}

/// Returns this process's group in the hierarchy of a controller, or in that of the second version.
fn own_path<'a>(own: &'a str, controller: Option<&str>) -> Option<&'a str> {
    own.lines().find_map(|line| {
        let (number, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let fits = match controller {
            Some(name) => controllers.split(',').any(|it| it == name),
            None => number == "0" && controllers.is_empty(),
        };
        fits.then_some(path)
    })
}

/// Says whether the groups below a folder can have a controller, and asks for it if not.
fn shares(folder: &Path, controller: Controller) -> bool {
    use std::io::Write as _;
    let path = folder.join("cgroup.subtree_control");
    let has = || {
        fs::read_to_string(&path)
            .is_ok_and(|text| text.split_whitespace().any(|it| it == controller.name()))
    };
    let ask = || {
        let mut file = fs::OpenOptions::new().write(true).open(&path)?;
        file.write_all(format!("+{}", controller.name()).as_bytes())
    };
    // Refused where processes are in the folder itself.
    has() || (ask().is_ok() && has())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_versions_roots_are_used_and_others_groups_are_not() {
        let mounts = "35 31 0:32 / /cg/memory rw - cgroup cgroup rw,memory\n\
                      39 31 0:36 / /cg/pids rw - cgroup cgroup rw,pids\n\
                      41 31 0:38 / /cg/unified rw - cgroup2 cgroup2 rw\n";
        let own = "8:pids:/\n4:memory:/somebody/else\n0::/\n";
        let processes = Place {
            controller: Controller::Processes,
            folder: "/cg/pids".into(),
            file: "pids.max",
        };
        assert_eq!(places(mounts, own, |_| false), std::slice::from_ref(&processes));
        let memory = Place {
            controller: Controller::Memory,
            folder: "/cg/memory/somebody/else".into(),
            file: "memory.limit_in_bytes",
        };
        assert_eq!(places(mounts, own, |_| true), [memory, processes]);
        // What a container shows of the hierarchy begins further down.
        let mounts = "39 31 0:36 /docker/x /cg/pids ro - cgroup cgroup rw,pids\n";
        assert_eq!(places(mounts, "8:pids:/docker/x\n", |_| false).len(), 1);
        assert_eq!(places(mounts, "8:pids:/other\n", |_| true), []);
    }

    #[test]
    fn the_second_version_is_used_where_a_handed_over_group_shares_its_controllers() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path();
        let slice = root.join("user.slice/app.slice");
        fs::create_dir_all(slice.join("run.scope")).unwrap();
        let mounts = format!("41 31 0:38 / {} rw - cgroup2 cgroup2 rw\n", root.display());
        let own = "0::/user.slice/app.slice/run.scope\n";
        let names = |may_use: bool| -> Vec<_> {
            places(&mounts, own, |_| may_use).into_iter().map(|it| (it.folder, it.file)).collect()
        };
        assert_eq!(names(true), []);
        // One that takes requests and does not grant them.
        fs::write(slice.join("cgroup.subtree_control"), "cpu\n").unwrap();
        assert_eq!(names(true), []);
        fs::write(slice.join("cgroup.subtree_control"), "cpu memory pids\n").unwrap();
        assert_eq!(names(true), [(slice.clone(), "pids.max"), (slice, "memory.max")]);
        assert_eq!(names(false), []);
        fs::write(root.join("cgroup.subtree_control"), "pids\n").unwrap();
        assert_eq!(places(&mounts, "0::/\n", |_| false).len(), 1);
    }
}
