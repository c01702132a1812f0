//! What the tests share: programs that may not be there, folders and images.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use loopline_clock::Clock;
use loopline_image::archive::{ImportOptions, import};
use loopline_image::layer::Compression;
use loopline_image::reference::Reference;
use loopline_image::store::{Lease, Store};
use loopline_image::tar::{Entry, Kind, Writer};
use serde_json::json;

/// Says that a test was skipped, and why.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn skipped(why: &str) {
    eprintln!("skipped: {why}");
}

/// Says whether all of `programs` are there, and that the test was skipped if not.
pub(crate) fn have(programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let here = |program: &str| std::env::split_paths(&path).any(|it| it.join(program).exists());
    match programs.iter().find(|program| !here(program)) {
        Some(missing) => {
            skipped(&format!("{missing} is not installed"));
            false
        }
        None => true,
    }
}

/// Says whether this is the machine's administrator, and that the test was skipped if not.
pub(crate) fn is_root() -> bool {
    let is = rustix::process::geteuid().is_root();
    if !is {
        skipped("only root makes devices and mounts overlays");
    }
    is
}

/// Runs a program that has to succeed and returns what it printed.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {err}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Opens a store in a new folder.
pub(crate) fn store(folder: &Path) -> Store {
    Store::open(folder.join("images"), Clock::real()).unwrap()
}

/// Returns what a folder holds, one line a file: kind, mode, owner, size, time, name, link.
pub(crate) fn listing(folder: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(path) = open.pop() {
        let about = fs_err::symlink_metadata(&path).unwrap();
        let name = path.strip_prefix(folder).unwrap().display();
        let link = fs_err::read_link(&path).map(|it| format!(" -> {}", it.display()));
        let size = if about.is_file() { about.len() } else { 0 };
        let device = about.rdev();
        lines.push(format!(
            "{name} {:o} {}:{} {size} {device} {}.{:09}{}",
            about.permissions().mode(),
            about.uid(),
            about.gid(),
            about.mtime(),
            about.mtime_nsec(),
            link.unwrap_or_default(),
        ));
        if about.is_dir() {
            for entry in fs_err::read_dir(&path).unwrap() {
                open.push(entry.unwrap().path());
            }
        }
    }
    lines.sort();
    lines
}

/// One entry of an archive: path, kind, link or content.
pub(crate) type Line<'a> = (&'a str, Kind, &'a str);

/// Writes an archive.
pub(crate) fn archive(lines: &[Line<'_>]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (path, kind, text) in lines {
        let mut entry = Entry::new(*path, *kind);
        entry.uid = rustix::process::geteuid().as_raw();
        entry.gid = rustix::process::getegid().as_raw();
        entry.mtime.seconds = 1_000_000_000;
        if *kind == Kind::File {
            entry.size = text.len() as u64;
        } else {
            entry.link = text.as_bytes().to_vec();
        }
        writer.append(&entry, text.as_bytes()).unwrap();
    }
    writer.finish().unwrap()
}

/// Imports an archive under a name.
pub(crate) fn image(store: &Store, name: &str, archive: &[u8]) -> Lease {
    let lease = store.lease().unwrap();
    let options = ImportOptions {
        platform: "linux/amd64".parse().unwrap(),
        compression: Compression::Gzip,
        config: json!({ "Cmd": ["/bin/sh"] }),
        created: 1_700_000_000,
        comment: "made by a test".to_owned(),
    };
    let descriptor = import(archive, "test", &options, &lease).unwrap();
    let reference: Reference = name.parse().unwrap();
    store.set(&reference, &descriptor, &lease).unwrap();
    lease
}

/// Makes a root file system of Debian's busybox, if that is installed.
pub(crate) fn busybox(folder: &Path) -> Option<PathBuf> {
    if !have(&["busybox"]) {
        return None;
    }
    let root = folder.join("rootfs");
    for name in ["bin", "etc", "tmp", "proc", "dev", "sys"] {
        fs_err::create_dir_all(root.join(name)).unwrap();
    }
    fs_err::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
    for name in ["sh", "ls", "cat", "echo", "true"] {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(name)).unwrap();
    }
    fs_err::write(root.join("etc/passwd"), "root:x:0:0:root:/:/bin/sh\n").unwrap();
    Some(root)
}
