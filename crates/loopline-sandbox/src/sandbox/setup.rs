//! Carries out the plan of a sandbox's view, inside its fresh namespaces. Decides nothing beyond
//! how to fall back when a mount is refused.
#![expect(unsafe_code, reason = "rustix has no mount_setattr")]

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use fs_err as fs;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind_recursive, mount_change,
    unmount,
};
use rustix::process::{chdir, pivot_root};

use super::view::Operation;

/// A step of the set-up that failed.
pub(crate) struct Failed {
    pub(crate) step: String,
    pub(crate) source: io::Error,
}

/// Names the step an error belongs to.
pub(crate) fn step<T, E: Into<io::Error>>(
    result: Result<T, E>,
    name: impl FnOnce() -> String,
) -> Result<T, Failed> {
    result.map_err(|error| Failed { step: name(), source: error.into() })
}

/// Parts of `/proc` that tell about the host or change it: covered, and read-only.
pub(crate) const MASKED: &[&str] = &[
    "acpi",
    "asound",
    "interrupts",
    "kallsyms",
    "kcore",
    "keys",
    "latency_stats",
    "sched_debug",
    "scsi",
    "timer_list",
    "timer_stats",
];
pub(crate) const READ_ONLY: &[&str] = &["bus", "fs", "irq", "sys", "sysrq-trigger"];

/// Where the empty file and folder that cover secrets come from; gone once the view stands.
const COVER: &str = "/.cover";

/// Where files come from that an overlay shows above the host's; gone once it is mounted.
const ABOVE: &str = "/.above";

/// Where the new root stands until it is the root: a folder that every host has, and in which no
/// state folder can be.
const ROOT: &str = "/proc";

/// Builds the view and makes it the root. `old` is an unguessable name for the host's root
/// meanwhile. Returns what had to be done otherwise than planned.
pub(super) fn enter(old: &str, plan: &[Operation]) -> Result<Vec<String>, Failed> {
    let all = MountPropagationFlags::REC | MountPropagationFlags::PRIVATE;
    step(mount_change("/", all), || "separate the mounts".to_owned())?;
    let root = Path::new(ROOT);
    step(memory(root, "size=16m,mode=755"), || "mount the new root".to_owned())?;
    let host = Path::new("/").join(old);
    let put_old = root.join(old);
    step(fs::create_dir(&put_old), || "prepare the new root".to_owned())?;
    // From here on paths are resolved inside the sandbox's own root, so that a link a former job
    // left in a kept layer leads nowhere else.
    step(pivot_root(root, &put_old), || "change the root".to_owned())?;
    step(chdir("/"), || "enter the new root".to_owned())?;
    step(covers(), || "prepare the new root".to_owned())?;

    let mut notes = Vec::new();
    for operation in plan {
        carry_out(operation, &host, &mut notes)?;
    }
    step(fs::remove_dir_all(COVER), || "finish the new root".to_owned())?;
    step(unmount(&host, UnmountFlags::DETACH), || "leave the host's root".to_owned())?;
    step(fs::remove_dir(&host), || "leave the host's root".to_owned())?;
    let flags = libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
    step(attributes(Path::new("/"), flags, false), || "protect the new root".to_owned())?;
    Ok(notes)
}

fn carry_out(operation: &Operation, host: &Path, notes: &mut Vec<String>) -> Result<(), Failed> {
    let on_host = |path: &Path| host.join(path.strip_prefix("/").unwrap_or(path));
    match operation {
        Operation::Folder(path) => step(folder(path), || format!("create {}", path.display())),
        Operation::Link { target, to } => {
            step(link(to, target), || format!("create {}", target.display()))
        }
        Operation::Overlay { target, lower, upper, work, files } => {
            let lower = on_host(lower);
            let (upper, work) = (on_host(upper), on_host(work));
            let Err(error) = overlay(target, &lower, &upper, &work, files) else { return Ok(()) };
            notes.push(format!("{} is read-only: no overlay ({error})", target.display()));
            step(bind(target, &lower, true), || format!("mount {}", target.display()))
        }
        Operation::Bind { target, source, read_only, required } => {
            match bind(target, &on_host(source), *read_only) {
                Err(error) if !required => {
                    notes.push(format!("{} is not visible: {error}", target.display()));
                    Ok(())
                }
                result => step(result, || format!("mount {}", target.display())),
            }
        }
        Operation::Memory { target, options } => {
            step(folder(target).and_then(|()| memory(target, options)), || {
                format!("mount {}", target.display())
            })
        }
        Operation::Hide(path) => step(hide(path), || format!("hide {}", path.display())),
        Operation::Kernel => kernel(notes),
    }
}

/// Makes a folder and those above it.
pub(crate) fn folder(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o755).create(path)
}

fn link(to: &Path, target: &Path) -> io::Result<()> {
    if let Some(parent) = target.parent() {
        folder(parent)?;
    }
    fs_err::os::unix::fs::symlink(to, target)
}

fn covers() -> io::Result<()> {
    folder(Path::new(COVER))?;
    std::fs::DirBuilder::new().mode(0o000).create(Path::new(COVER).join("folder"))?;
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o000)
        .open(Path::new(COVER).join("file"))?;
    Ok(())
}

fn memory(target: &Path, options: &str) -> io::Result<()> {
    let options = CString::new(options)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    Ok(mount("tmpfs", target, "tmpfs", flags, options.as_c_str())?)
}

fn overlay(
    target: &Path,
    lower: &Path,
    upper: &Path,
    work: &Path,
    files: &[(OsString, OsString)],
) -> io::Result<()> {
    // Overlay reads commas and colons as separators unless they are escaped.
    let mut options = b"lowerdir=".to_vec();
    if !files.is_empty() {
        folder(Path::new(ABOVE))?;
        memory(Path::new(ABOVE), "size=1m,mode=755")?;
        for (name, text) in files {
            fs::write(Path::new(ABOVE).join(name), text.as_bytes())?;
        }
        options.extend(ABOVE.as_bytes());
        options.push(b':');
    }
    let parts = [("", lower), (",upperdir=", upper), (",workdir=", work)];
    for (name, path) in parts {
        options.extend(name.as_bytes());
        for &byte in path.as_os_str().as_bytes() {
            if matches!(byte, b',' | b':' | b'\\') {
                options.push(b'\\');
            }
            options.push(byte);
        }
    }
    // Volatile, because an end of the mount would otherwise wait until everything that anybody
    // has written to the disk is on it.
    options.extend(b",userxattr,volatile");
    let options = CString::new(options)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    let mounted = mount("overlay", target, "overlay", flags, options.as_c_str());
    if !files.is_empty() {
        // The overlay keeps what it needs.
        unmount(ABOVE, UnmountFlags::DETACH)?;
        fs::remove_dir(ABOVE)?;
    }
    Ok(mounted?)
}

fn bind(target: &Path, source: &Path, read_only: bool) -> io::Result<()> {
    let kind = fs::metadata(source)?;
    if kind.is_dir() {
        folder(target)?;
    } else {
        if let Some(parent) = target.parent() {
            folder(parent)?;
        }
        if fs::symlink_metadata(target).is_err() {
            fs::File::create(target)?;
        }
    }
    // Recursive, because the kernel refuses to show what a mount of the host covers.
    mount_bind_recursive(source, target)?;
    let mut flags = libc::MOUNT_ATTR_NOSUID;
    if read_only {
        flags |= libc::MOUNT_ATTR_RDONLY;
    }
    if kind.is_dir() {
        flags |= libc::MOUNT_ATTR_NODEV;
    }
    attributes(target, flags, true)
}

fn hide(path: &Path) -> io::Result<()> {
    let Ok(kind) = fs::symlink_metadata(path) else { return Ok(()) };
    let cover = Path::new(COVER).join(if kind.is_dir() { "folder" } else { "file" });
    mount_bind_recursive(&cover, path)?;
    attributes(path, libc::MOUNT_ATTR_RDONLY, false)
}

/// Adds mount attributes, to a whole tree of mounts if asked.
pub(crate) fn attributes(path: &Path, set: u64, recursive: bool) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let request = libc::mount_attr { attr_set: set, attr_clr: 0, propagation: 0, userns_fd: 0 };
    let flags = if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path ends with a zero byte, and the request is a `mount_attr` of the size given.
    // Both live until the call returns, and the kernel only reads them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            flags,
            &raw const request,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Mounts what the kernel makes up: `/proc`, `/dev/pts` and, where it is allowed, `/sys`.
fn kernel(notes: &mut Vec<String>) -> Result<(), Failed> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let at = |path: &str| PathBuf::from(path);
    let fresh = |path: &str, kind: &str, flags, options: Option<&std::ffi::CStr>| {
        folder(&at(path))?;
        mount(kind, path, kind, flags, options).map_err(io::Error::from)
    };
    step(fresh("/proc", "proc", flags, None), || "mount /proc".to_owned())?;
    let options = c"newinstance,ptmxmode=0666,mode=0620";
    step(
        fresh("/dev/pts", "devpts", MountFlags::NOSUID | MountFlags::NOEXEC, Some(options)),
        || "mount /dev/pts".to_owned(),
    )?;
    if let Err(error) = fresh("/sys", "sysfs", flags | MountFlags::RDONLY, None) {
        notes.push(format!("/sys is empty: {error}"));
    }
    for name in READ_ONLY {
        let path = Path::new("/proc").join(name);
        if path.exists() {
            let protect = mount_bind_recursive(&path, &path)
                .map_err(io::Error::from)
                .and_then(|()| attributes(&path, libc::MOUNT_ATTR_RDONLY, true));
            step(protect, || format!("protect {}", path.display()))?;
        }
    }
    for name in MASKED {
        let path = Path::new("/proc").join(name);
        step(hide(&path), || format!("hide {}", path.display()))?;
    }
    Ok(())
}

/// Says whether a name is fit for the host's root meanwhile: one plain component.
pub(super) fn is_plain(name: &OsStr) -> bool {
    !name.is_empty() && name.as_bytes().iter().all(u8::is_ascii_alphanumeric)
}
