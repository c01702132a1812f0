//! The control group of a sandbox or container: bounds that nothing inside can lift, where this
//! user has a place to make one. Groups that somebody else manages are left alone: what is used is
//! the root of a hierarchy, what was delegated to this user, and, in the first version, where a
//! group below one's own takes nothing from whoever manages that, one's own.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use fs_err as fs;
use rustix::event::{PollFd, Timespec, poll};

use super::spec::{Bounds, Enforced, Means};
use crate::container::{Limits, Usage};

/// How often the removal of a group is tried, a millisecond apart: the kernel may still be busy
/// with the last process.
const REMOVALS: usize = 200;
/// What the names of our groups begin with; the owner's number follows.
const PREFIX: &str = "loopline-";

/// What the magic number of a hierarchy of the first version is, of statfs(2).
const FIRST_VERSION: i64 = 0x0027_e0eb;
/// Over how long processor time is counted against a limit, in microseconds.
const PERIOD_US: u64 = 100_000;

/// What is bounded and counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Controller {
    Processes,
    Memory,
    Processor,
    Processors,
    /// Counts processor time; in the second version every group does.
    Accounting,
    /// Stops all processes at once; in the second version every group can.
    Freezer,
}

impl Controller {
    const BOUNDS: [Self; 2] = [Self::Processes, Self::Memory];
    const ALL: [Self; 6] = [
        Self::Processes,
        Self::Memory,
        Self::Processor,
        Self::Processors,
        Self::Accounting,
        Self::Freezer,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Processes => "pids",
            Self::Memory => "memory",
            Self::Processor => "cpu",
            Self::Processors => "cpuset",
            Self::Accounting => "cpuacct",
            Self::Freezer => "freezer",
        }
    }

    /// Says whether a group of the second version has it without being asked.
    fn is_everywhere(self) -> bool {
        matches!(self, Self::Accounting | Self::Freezer)
    }
}

/// A folder in which a group with a controller can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    controller: Controller,
    folder: PathBuf,
    /// Whether it is of the first version.
    is_first: bool,
}

/// The group of one sandbox or container; dropping it, after everything inside has ended, removes
/// it.
#[derive(Debug, Default)]
pub(crate) struct Group {
    /// The folder of each controller, and whether it is of the first version.
    controllers: BTreeMap<Controller, (PathBuf, bool)>,
    enforced: Enforced,
}

impl Group {
    /// Makes a group with bounds, as far as there are places for it.
    pub(super) fn create(bounds: &Bounds) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{count}", std::process::id());
        let limits = Limits {
            processes: Some(bounds.processes.into()),
            memory_bytes: Some(bounds.memory_bytes),
            ..Limits::default()
        };
        // Where a bound cannot be set the other means stay, and `Enforced` tells which.
        Self::create_as(&name, &Controller::BOUNDS, &limits).0
    }

    /// Makes the group of a container. Returns in words which limits cannot be kept, and why.
    pub(crate) fn of_container(id: &str, limits: &Limits) -> (Self, Vec<String>) {
        Self::create_as(&format!("{PREFIX}{}-{id}", std::process::id()), &Controller::ALL, limits)
    }

    fn create_as(name: &str, wanted: &[Controller], limits: &Limits) -> (Self, Vec<String>) {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let found =
            places(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"), wanted, may_use);
        let mut group = Self { controllers: BTreeMap::new(), enforced: Enforced::by_limits() };
        let mut made: Vec<PathBuf> = Vec::new();
        let mut notes = Vec::new();
        for place in found {
            let folder = place.folder.join(name);
            if !made.contains(&folder) {
                sweep(&place.folder);
                if fs::create_dir(&folder).is_err() {
                    continue;
                }
                made.push(folder.clone());
            }
            if place.controller == Controller::Processors && place.is_first {
                // A new one of these has no processors and no memory until it is told.
                for file in ["cpuset.cpus", "cpuset.mems"] {
                    let all = fs::read_to_string(place.folder.join(file)).unwrap_or_default();
                    let _ = fs::write(folder.join(file), all.trim());
                }
            }
            group.controllers.insert(place.controller, (folder, place.is_first));
        }
        for setting in settings(limits) {
            let failed = match group.controllers.get(&setting.controller) {
                None => Some(format!("no control group with `{}`", setting.controller.name())),
                Some((folder, is_first)) => {
                    let files = if *is_first { &setting.first } else { &setting.second };
                    let mut writes = files.iter().map(|(file, value)| {
                        fs::write(folder.join(file), value).map_err(|error| error.to_string())
                    });
                    writes.find_map(Result::err)
                }
            };
            match (failed, setting.controller) {
                (None, Controller::Processes) => {
                    group.enforced.processes = Means::ControlGroup;
                }
                (None, Controller::Memory) => group.enforced.memory = Means::ControlGroup,
                (None, _) => {}
                (Some(why), _) => {
                    notes.push(format!("{} is not limited: {why}", setting.what));
                }
            }
        }
        (group, notes)
    }

    fn folders(&self) -> impl Iterator<Item = &PathBuf> {
        let mut seen: Vec<&PathBuf> = Vec::new();
        for (folder, _) in self.controllers.values() {
            if !seen.contains(&folder) {
                seen.push(folder);
            }
        }
        seen.into_iter()
    }

    /// Puts a process, and with it all that it will start, into the group.
    pub(crate) fn admit(&mut self, pid: &str) -> io::Result<()> {
        let result =
            self.folders().try_for_each(|folder| fs::write(folder.join("cgroup.procs"), pid));
        if result.is_err() {
            self.enforced = Enforced::by_limits();
        }
        result
    }

    pub(super) fn enforced(&self) -> Enforced {
        self.enforced
    }

    /// Returns what the group uses now, as far as it is counted.
    pub(crate) fn usage(&self) -> Usage {
        let read = |controller, first: &str, second: &str| {
            let (folder, is_first) = self.controllers.get(&controller)?;
            fs::read_to_string(folder.join(if *is_first { first } else { second })).ok()
        };
        let number = |text: Option<String>| text.and_then(|text| text.trim().parse::<u64>().ok());
        let keyed = |text: Option<String>, first: &str, second: &str| {
            text?.lines().find_map(|line| {
                let (key, value) = line.split_once(' ')?;
                (key == first || key == second).then(|| value.trim().parse::<u64>().ok())?
            })
        };
        let memory = Controller::Memory;
        let in_use = number(read(memory, "memory.usage_in_bytes", "memory.current"));
        let cached = keyed(
            read(memory, "memory.stat", "memory.stat"),
            "total_inactive_file",
            "inactive_file",
        );
        let accounted = read(Controller::Accounting, "cpuacct.usage", "cpu.stat");
        let is_first = self.controllers.get(&Controller::Accounting).is_some_and(|it| it.1);
        Usage {
            cpu_ns: if is_first {
                number(accounted)
            } else {
                keyed(accounted, "usage_usec", "usage_usec").map(|us| us.saturating_mul(1000))
            },
            // Cached files are given back before anything else, so nobody counts them.
            memory_bytes: in_use.map(|bytes| bytes.saturating_sub(cached.unwrap_or(0))),
            processes: number(read(Controller::Processes, "pids.current", "pids.current")),
            oom_kills: keyed(
                read(memory, "memory.oom_control", "memory.events"),
                "oom_kill",
                "oom_kill",
            ),
        }
    }

    /// Stops all processes, or lets them go on.
    pub(crate) fn freeze(&self, frozen: bool) -> io::Result<()> {
        let Some((folder, is_first)) = self.controllers.get(&Controller::Freezer) else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        match (is_first, frozen) {
            (true, true) => fs::write(folder.join("freezer.state"), "FROZEN"),
            (true, false) => fs::write(folder.join("freezer.state"), "THAWED"),
            (false, _) => fs::write(folder.join("cgroup.freeze"), u8::from(frozen).to_string()),
        }
    }
}

/// What a limit is in the files of both versions.
struct Setting {
    what: &'static str,
    controller: Controller,
    first: Vec<(&'static str, String)>,
    second: Vec<(&'static str, String)>,
}

fn settings(limits: &Limits) -> Vec<Setting> {
    let mut found = Vec::new();
    let mut add = |what, controller, first, second| {
        found.push(Setting { what, controller, first, second });
    };
    if let Some(most) = limits.processes {
        let files = vec![("pids.max", most.to_string())];
        add("the number of processes", Controller::Processes, files.clone(), files);
    }
    if let Some(bytes) = limits.memory_bytes {
        let first = vec![("memory.limit_in_bytes", bytes.to_string())];
        add("memory", Controller::Memory, first, vec![("memory.max", bytes.to_string())]);
    }
    if let Some(bytes) = limits.memory_and_swap_bytes {
        let swap = bytes.saturating_sub(limits.memory_bytes.unwrap_or(0));
        let first = vec![("memory.memsw.limit_in_bytes", bytes.to_string())];
        add("swap", Controller::Memory, first, vec![("memory.swap.max", swap.to_string())]);
    }
    if let Some(bytes) = limits.memory_reservation_bytes {
        let first = vec![("memory.soft_limit_in_bytes", bytes.to_string())];
        let second = vec![("memory.low", bytes.to_string())];
        add("reserved memory", Controller::Memory, first, second);
    }
    if let Some(milli) = limits.cpu_milli {
        let quota = milli.saturating_mul(PERIOD_US) / 1000;
        let first = vec![
            ("cpu.cfs_period_us", PERIOD_US.to_string()),
            ("cpu.cfs_quota_us", quota.to_string()),
        ];
        let second = vec![("cpu.max", format!("{quota} {PERIOD_US}"))];
        add("processor time", Controller::Processor, first, second);
    }
    if let Some(shares) = limits.cpu_shares {
        // The two scales, 2 to 262144 and 1 to 10000, as runc maps them.
        let weight = 1 + shares.clamp(2, 262_144).saturating_sub(2) * 9999 / 262_142;
        let first = vec![("cpu.shares", shares.to_string())];
        add(
            "processor weight",
            Controller::Processor,
            first,
            vec![("cpu.weight", weight.to_string())],
        );
    }
    if let Some(list) = &limits.cpuset {
        let files = vec![("cpuset.cpus", list.clone())];
        add("the set of processors", Controller::Processors, files.clone(), files);
    }
    found
}

impl Drop for Group {
    fn drop(&mut self) {
        for folder in self.folders() {
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
/// belongs to this user, or the service manager has handed it over, or root's own of the first
/// version.
fn may_use(folder: &Path) -> bool {
    let user = rustix::process::geteuid();
    #[expect(clippy::useless_conversion, reason = "the width depends on the architecture")]
    let is_first =
        || rustix::fs::statfs(folder).is_ok_and(|it| i64::from(it.f_type) == FIRST_VERSION);
    if user.is_root() && is_first() {
        return true;
    }
    let own = || fs::metadata(folder).is_ok_and(|it| it.uid() == user.as_raw());
    let mut value = [0; 1];
    let is_handed_over = rustix::fs::getxattr(folder, "user.delegate", &mut value)
        .is_ok_and(|count| count == 1 && value == *b"1");
    is_handed_over || (!user.is_root() && own())
}

/// Finds where groups can be made, out of the texts of `/proc/self/mountinfo` and
/// `/proc/self/cgroup`: at most one place for each controller.
fn places(
    mounts: &str,
    own: &str,
    wanted: &[Controller],
    may_use: impl Fn(&Path) -> bool,
) -> Vec<Place> {
    let mut found: Vec<Place> = Vec::new();
    for line in mounts.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let mut left = left.split(' ').skip(3);
        let (Some(root), Some(mounted)) = (left.next(), left.next()) else { continue };
        let mut right = right.split(' ');
        let (Some(kind), _, Some(options)) = (right.next(), right.next(), right.next()) else {
            continue;
        };
        for &controller in wanted {
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
            let place = |folder: &Path| Place { controller, folder: folder.to_owned(), is_first };
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
                (folder == &Path::new(mounted) || may_use(folder))
                    && (controller.is_everywhere() || shares(folder, controller))
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
        let places = |mounts, own, may_use: &dyn Fn(&Path) -> bool| {
            places(mounts, own, &Controller::BOUNDS, may_use)
        };
        let processes =
            Place { controller: Controller::Processes, folder: "/cg/pids".into(), is_first: true };
        assert_eq!(places(mounts, own, &|_| false), std::slice::from_ref(&processes));
        let memory = Place {
            controller: Controller::Memory,
            folder: "/cg/memory/somebody/else".into(),
            is_first: true,
        };
        assert_eq!(places(mounts, own, &|_| true), [memory, processes]);
        // What a container shows of the hierarchy begins further down.
        let mounts = "39 31 0:36 /docker/x /cg/pids ro - cgroup cgroup rw,pids\n";
        assert_eq!(places(mounts, "8:pids:/docker/x\n", &|_| false).len(), 1);
        assert_eq!(places(mounts, "8:pids:/other\n", &|_| true), []);
    }

    #[test]
    fn the_second_version_is_used_where_a_handed_over_group_shares_its_controllers() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path();
        let slice = root.join("user.slice/app.slice");
        fs::create_dir_all(slice.join("run.scope")).unwrap();
        let mounts = format!("41 31 0:38 / {} rw - cgroup2 cgroup2 rw\n", root.display());
        let own = "0::/user.slice/app.slice/run.scope\n";
        let places = |own, may_use: bool| places(&mounts, own, &Controller::BOUNDS, |_| may_use);
        let names = |may_use| -> Vec<_> {
            places(own, may_use).into_iter().map(|it| (it.folder, it.controller)).collect()
        };
        assert_eq!(names(true), []);
        // One that takes requests and does not grant them.
        fs::write(slice.join("cgroup.subtree_control"), "cpu\n").unwrap();
        assert_eq!(names(true), []);
        fs::write(slice.join("cgroup.subtree_control"), "cpu memory pids\n").unwrap();
        assert_eq!(
            names(true),
            [(slice.clone(), Controller::Processes), (slice, Controller::Memory)]
        );
        assert_eq!(names(false), []);
        fs::write(root.join("cgroup.subtree_control"), "pids\n").unwrap();
        assert_eq!(places("0::/\n", false).len(), 1);
    }
}
