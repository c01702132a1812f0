//! Builds a container's root file system inside its fresh namespaces and makes it the root.
//!
//! Everything of the host that will be mounted is taken in hand (`open_tree`) while the host's root
//! is still there; then the container's own root becomes the root, and only after that is any path
//! of the container looked at. So a link in an image leads nowhere but into the image.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use fs_err as fs;
use rustix::fs::CWD;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, UnmountFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount,
    fsopen, mount, mount_bind, mount_change, move_mount, open_tree, unmount,
};
use rustix::process::{chdir, pivot_root};

use super::links::follow_links;
use super::spec::{ContainerNetwork, ContainerSpec, Mount, MountSource, Root};
use crate::sandbox::interfaces::RESOLVER;
use crate::sandbox::setup::{Failed, MASKED, READ_ONLY, attributes, folder, step};
use crate::sandbox::view::{DEVICE_LINKS, DEVICES};

/// Where the new root stands until it is the root: a folder that every host has.
const ROOT: &str = "/proc";
/// What of `/sys` tells about the machine or changes it.
const MASKED_SYS: &[&str] = &["firmware", "devices/virtual/powercap"];
/// The size of `/dev/shm`, in bytes, where the specification mounts nothing there.
const SHARED_MEMORY_BYTES: u64 = 64 * 1024 * 1024;
/// The group of terminals, by the convention of every distribution.
const TERMINAL_GROUP: u32 = 5;

/// A mount of the host, in hand.
struct Taken<'a> {
    mount: &'a Mount,
    tree: Option<OwnedFd>,
    is_folder: bool,
}

/// Makes the specification's root the root, with everything on it but its read-only state; see
/// [`seal`].
pub(super) fn enter(spec: &ContainerSpec) -> Result<(), Failed> {
    let all = MountPropagationFlags::REC | MountPropagationFlags::PRIVATE;
    step(mount_change("/", all), || "separate the mounts".to_owned())?;
    let mut taken = Vec::new();
    for mount in &spec.mounts {
        taken.push(take(mount)?);
    }
    let mut devices = Vec::new();
    for name in DEVICES {
        let path = Path::new("/dev").join(name);
        let tree = step(clone_tree(&path), || format!("find the device {}", path.display()))?;
        devices.push((path, tree));
    }
    let host_sys = (spec.network == ContainerNetwork::Host)
        .then(|| step(clone_tree(Path::new("/sys")), || "find /sys".to_owned()))
        .transpose()?;
    step(mount_root(&spec.root), || "mount the root file system".to_owned())?;
    step(chdir(ROOT), || "enter the root file system".to_owned())?;
    step(pivot_root(".", "."), || "change the root".to_owned())?;
    // The host's root is now what `.` is; `/` and all paths from it are the container's own. It is
    // let go only when the kernel's file systems are mounted, which it refuses to whoever sees none.
    kernel(spec, devices, host_sys)?;
    for taken in taken {
        let target = &taken.mount.target;
        step(place(taken), || format!("mount {}", target.display()))?;
    }
    if !spec.privileged {
        mask()?;
    }
    step(unmount(".", UnmountFlags::DETACH), || "leave the host's root".to_owned())?;
    step(chdir("/"), || "enter the new root".to_owned())
}

/// Makes the root read-only where the specification says so. The last step, because mount points
/// and the working folder are made before.
pub(super) fn seal(spec: &ContainerSpec) -> Result<(), Failed> {
    if spec.read_only {
        step(attributes(Path::new("/"), libc::MOUNT_ATTR_RDONLY, false), || {
            "make the root file system read-only".to_owned()
        })?;
    }
    Ok(())
}

fn take(mount: &Mount) -> Result<Taken<'_>, Failed> {
    let MountSource::Bind(source) = &mount.source else {
        return Ok(Taken { mount, tree: None, is_folder: true });
    };
    let name =
        || format!("find {}, which is mounted at {}", source.display(), mount.target.display());
    let is_folder = step(fs::metadata(source), name)?.is_dir();
    let tree = step(clone_tree(source), name)?;
    Ok(Taken { mount, tree: Some(tree), is_folder })
}

/// Returns a copy of a tree of mounts, mounted nowhere yet.
fn clone_tree(path: &Path) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    Ok(open_tree(CWD, path, flags)?)
}

fn move_to(tree: &OwnedFd, target: &Path) -> io::Result<()> {
    Ok(move_mount(tree.as_fd(), "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
}

fn mount_root(root: &Root) -> io::Result<()> {
    match root {
        // A mount of its own even so, because only a mount can become the root.
        Root::Folder(folder) => move_to(&clone_tree(folder)?, Path::new(ROOT)),
        Root::Layers { lower, upper, work } => {
            let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
            // One by one, because a list of many layers is longer than a mount option may be.
            for layer in lower {
                fsconfig_set_string(context.as_fd(), "lowerdir+", layer)?;
            }
            fsconfig_set_string(context.as_fd(), "upperdir", upper)?;
            fsconfig_set_string(context.as_fd(), "workdir", work)?;
            fsconfig_set_flag(context.as_fd(), "userxattr")?;
            // What is written is lost with the machine's power anyway; without this the end of the
            // mount waits for the disk.
            fsconfig_set_flag(context.as_fd(), "volatile")?;
            fsconfig_create(context.as_fd())?;
            let mount = fsmount(
                context.as_fd(),
                FsMountFlags::FSMOUNT_CLOEXEC,
                MountAttrFlags::MOUNT_ATTR_NODEV,
            )?;
            move_to(&mount, Path::new(ROOT))
        }
    }
}

fn memory(target: &Path, options: &str, flags: MountFlags) -> io::Result<()> {
    let options = CString::new(options)?;
    Ok(mount("tmpfs", target, "tmpfs", flags, options.as_c_str())?)
}

/// Makes sure that something can be mounted at a path: a folder, or an empty file. Returns where it
/// leads.
fn mount_point(target: &Path, is_folder: bool) -> io::Result<PathBuf> {
    // The container's root is the root by now.
    let target = follow_links(target, true, |path| match fs::symlink_metadata(path) {
        Ok(it) if it.is_symlink() => fs::read_link(path).map(Some),
        _ => Ok(None),
    })?;
    if is_folder {
        folder(&target)?;
        return Ok(target);
    }
    if let Some(parent) = target.parent() {
        folder(parent)?;
    }
    if fs::symlink_metadata(&target).is_err() {
        fs::File::create(&target)?;
    }
    Ok(target)
}

/// Mounts what the kernel makes up, and the devices.
fn kernel(
    spec: &ContainerSpec,
    devices: Vec<(PathBuf, OwnedFd)>,
    host_sys: Option<OwnedFd>,
) -> Result<(), Failed> {
    let strict = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let fresh = |path: &str, kind: &str, flags, options: Option<&std::ffi::CStr>| {
        folder(Path::new(path))?;
        mount(kind, path, kind, flags, options).map_err(io::Error::from)
    };
    step(fresh("/proc", "proc", strict, None), || "mount /proc".to_owned())?;
    for (name, value) in &spec.sysctls {
        // `net.ipv4.conf.eth0/1.x` writes a dot of a name as a slash.
        let swapped: String = name
            .chars()
            .map(|it| match it {
                '.' => '/',
                '/' => '.',
                it => it,
            })
            .collect();
        let path = Path::new("/proc/sys").join(swapped);
        step(fs::write(&path, value), || format!("set the kernel parameter {name}"))?;
    }
    let dev = MountFlags::NOSUID | MountFlags::NOEXEC;
    step(
        folder(Path::new("/dev"))
            .and_then(|()| memory(Path::new("/dev"), "mode=755,size=65536k", MountFlags::NOSUID)),
        || "mount /dev".to_owned(),
    )?;
    for (path, tree) in devices {
        let placed = fs::File::create(&path).and_then(|_| move_to(&tree, &path));
        step(placed, || format!("mount {}", path.display()))?;
    }
    let with_group = format!("newinstance,ptmxmode=0666,mode=0620,gid={TERMINAL_GROUP}");
    let with_group = step(CString::new(with_group), || "mount /dev/pts".to_owned())?;
    let terminals = fresh("/dev/pts", "devpts", dev, Some(&with_group)).or_else(|_| {
        // The group is not mapped for a user without a range of subordinate ones.
        fresh("/dev/pts", "devpts", dev, Some(c"newinstance,ptmxmode=0666,mode=0620"))
    });
    step(terminals, || "mount /dev/pts".to_owned())?;
    step(fresh("/dev/mqueue", "mqueue", strict, None), || "mount /dev/mqueue".to_owned())?;
    let shared = format!("mode=1777,size={SHARED_MEMORY_BYTES}");
    step(
        folder(Path::new("/dev/shm")).and_then(|()| memory(Path::new("/dev/shm"), &shared, strict)),
        || "mount /dev/shm".to_owned(),
    )?;
    for (name, to) in DEVICE_LINKS {
        let path = Path::new("/dev").join(name);
        step(fs_err::os::unix::fs::symlink(to, &path), || format!("create {}", path.display()))?;
    }
    let sys = match host_sys {
        Some(tree) => folder(Path::new("/sys"))
            .and_then(|()| move_to(&tree, Path::new("/sys")))
            .and_then(|()| attributes(Path::new("/sys"), libc::MOUNT_ATTR_RDONLY, true)),
        None => fresh("/sys", "sysfs", strict | MountFlags::RDONLY, None),
    };
    step(sys, || "mount /sys".to_owned())?;
    control_groups(spec)
        .map_err(|source| Failed { step: "mount /sys/fs/cgroup".to_owned(), source })
}

/// Shows a container its own control group, so that what sizes itself by its limits can.
fn control_groups(spec: &ContainerSpec) -> io::Result<()> {
    if spec.network == ContainerNetwork::Host {
        // The host's are there, read-only.
        return Ok(());
    }
    let strict = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::RDONLY;
    let target = Path::new("/sys/fs/cgroup");
    // The hierarchies of the host as the container's /proc tells of them.
    let own = fs::read_to_string("/proc/self/cgroup")?;
    let first: Vec<&str> = own
        .lines()
        .filter_map(|line| line.split(':').nth(1))
        .filter(|names| !names.is_empty() && !names.starts_with("name="))
        .collect();
    if first.is_empty() {
        return Ok(mount("cgroup2", target, "cgroup2", strict, None)?);
    }
    memory(target, "mode=755,size=1m", strict - MountFlags::RDONLY)?;
    for names in first {
        let folder = target.join(names);
        fs::create_dir(&folder)?;
        let options = CString::new(names)?;
        mount("cgroup", &folder, "cgroup", strict, options.as_c_str())?;
    }
    attributes(target, libc::MOUNT_ATTR_RDONLY, false)
}

fn place(taken: Taken<'_>) -> io::Result<()> {
    let Mount { target, source, read_only, filled } = taken.mount;
    let target = &mount_point(target, taken.is_folder)?;
    match (source, &taken.tree) {
        (MountSource::Memory { size_bytes, mode, executable }, _) => {
            let mut options = format!("mode={mode:o}");
            if let Some(size) = size_bytes {
                options.push_str(&format!(",size={size}"));
            }
            let mut flags = MountFlags::NOSUID | MountFlags::NODEV;
            if !executable {
                flags |= MountFlags::NOEXEC;
            }
            memory(target, &options, flags)?;
            if *read_only {
                attributes(target, libc::MOUNT_ATTR_RDONLY, false)?;
            }
            Ok(())
        }
        (MountSource::Bind(_), Some(tree)) => {
            if *filled && taken.is_folder {
                fill(Path::new(&format!("/proc/self/fd/{}", tree.as_raw_fd())), target)?;
            }
            move_to(tree, target)?;
            let kind = fs::metadata(target)?.file_type();
            let mut flags = libc::MOUNT_ATTR_NOSUID;
            if !kind.is_char_device() && !kind.is_block_device() {
                flags |= libc::MOUNT_ATTR_NODEV;
            }
            if *read_only {
                flags |= libc::MOUNT_ATTR_RDONLY;
            }
            attributes(target, flags, true)
        }
        (MountSource::Bind(_), None) => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// How many files a volume is filled with at most.
const FILLING: usize = 1_000_000;

/// Copies what is in one folder into another that is empty: files, folders and links, with their
/// owners and modes. The first has no mounts below it yet.
fn fill(empty: &Path, full: &Path) -> io::Result<()> {
    if fs::read_dir(empty)?.next().is_some() {
        return Ok(());
    }
    own_as(&fs::symlink_metadata(full)?, empty)?;
    let mut left = vec![(full.to_owned(), empty.to_owned())];
    let mut count = 0;
    while let Some((from, to)) = left.pop() {
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            count += 1;
            if count > FILLING {
                return Err(io::Error::other(format!("more than {FILLING} files fill a volume")));
            }
            let (from, to) = (entry.path(), to.join(entry.file_name()));
            let kind = fs::symlink_metadata(&from)?;
            if kind.is_symlink() {
                fs_err::os::unix::fs::symlink(fs::read_link(&from)?, &to)?;
                fs_err::os::unix::fs::lchown(&to, Some(kind.uid()), Some(kind.gid()))?;
                continue;
            } else if kind.is_dir() {
                fs::create_dir(&to)?;
                left.push((from, to.clone()));
            } else if kind.is_file() {
                fs::copy(&from, &to)?;
            } else {
                // Sockets and devices are what programs make, not what they find.
                continue;
            }
            own_as(&kind, &to)?;
        }
    }
    Ok(())
}

fn own_as(kind: &std::fs::Metadata, path: &Path) -> io::Result<()> {
    fs_err::os::unix::fs::chown(path, Some(kind.uid()), Some(kind.gid()))?;
    fs::set_permissions(path, std::fs::Permissions::from_mode(kind.mode() & 0o7777))
}

/// Covers and protects what tells about the host or changes it.
fn mask() -> Result<(), Failed> {
    for name in READ_ONLY {
        let path = Path::new("/proc").join(name);
        if path.exists() {
            let protect = mount_bind(&path, &path)
                .map_err(io::Error::from)
                .and_then(|()| attributes(&path, libc::MOUNT_ATTR_RDONLY, true));
            step(protect, || format!("protect {}", path.display()))?;
        }
    }
    let proc = MASKED.iter().map(|name| Path::new("/proc").join(name));
    let sys = MASKED_SYS.iter().map(|name| Path::new("/sys").join(name));
    for path in proc.chain(sys) {
        let Ok(kind) = fs::symlink_metadata(&path) else { continue };
        let covered = if kind.is_dir() {
            let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::RDONLY;
            memory(&path, "mode=555,size=0", flags)
        } else {
            mount_bind("/dev/null", &path).map_err(io::Error::from)
        };
        step(covered, || format!("hide {}", path.display()))?;
    }
    Ok(())
}

/// Makes the working folder where an image does not have it, and enters it.
pub(super) fn enter_folder(cwd: &Path) -> Result<(), Failed> {
    step(folder(cwd).and_then(|()| Ok(chdir(cwd)?)), || {
        format!("enter the working folder {}", cwd.display())
    })
}

/// Says whether a file may be run by somebody; a folder may not.
pub(super) fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}

/// Returns what a container's `/etc/resolv.conf` says.
///
/// # Errors
/// Where the container has the host's network, and the host's file cannot be read.
pub fn resolver_file(network: ContainerNetwork) -> io::Result<String> {
    match network {
        ContainerNetwork::None => Ok(String::new()),
        ContainerNetwork::User => Ok(format!("nameserver {RESOLVER}\n")),
        ContainerNetwork::Host => match fs::read_to_string("/etc/resolv.conf") {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            result => result,
        },
    }
}
