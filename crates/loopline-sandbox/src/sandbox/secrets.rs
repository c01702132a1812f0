//! What of `/etc` a job must not read: a fixed list, and for root, whom permissions do not stop,
//! everything that is not readable by everybody.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use fs_err as fs;

/// Files and folders that are secret by what they are.
const NAMED: &[&str] = &[
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/gshadow",
    "/etc/gshadow-",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/ssl/private",
    "/etc/pki/tls/private",
    "/etc/krb5.keytab",
    "/etc/NetworkManager/system-connections",
    "/etc/wireguard",
    "/etc/letsencrypt",
    "/etc/kubernetes",
    "/etc/rancher",
    "/etc/docker",
    "/etc/machine-id",
    "/etc/ppp",
    "/etc/security/opasswd",
    "/etc/credstore",
    "/etc/credstore.encrypted",
    "/etc/netrc",
];
/// How deep and how much of `/etc` is looked at; real ones hold a few thousand files.
const DEPTH: usize = 12;
const ENTRIES: usize = 200_000;

/// Lists what to hide. The host's `/etc` is read once.
pub(super) fn hidden() -> Vec<PathBuf> {
    static HIDDEN: OnceLock<Vec<PathBuf>> = OnceLock::new();
    HIDDEN
        .get_or_init(|| {
            let mut found: Vec<PathBuf> = NAMED
                .iter()
                .map(PathBuf::from)
                .filter(|path| fs::symlink_metadata(path).is_ok_and(|it| !it.is_symlink()))
                .collect();
            if rustix::process::geteuid().is_root() {
                let mut left = ENTRIES;
                scan(Path::new("/etc"), DEPTH, &mut left, &mut found);
            }
            found.sort();
            found.dedup();
            // What lies in a hidden folder is hidden with it.
            let mut kept: Vec<PathBuf> = Vec::new();
            for path in found {
                if !kept.last().is_some_and(|folder| path.starts_with(folder)) {
                    kept.push(path);
                }
            }
            kept
        })
        .clone()
}

fn scan(folder: &Path, depth: usize, left: &mut usize, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        let mode = metadata.permissions().mode();
        // Past the bounds nothing is shown rather than everything.
        let over = *left == 0 || depth == 0;
        *left = left.saturating_sub(1);
        if metadata.is_dir() {
            if over || mode & 0o005 != 0o005 {
                found.push(path);
            } else {
                scan(&path, depth - 1, left, found);
            }
        } else if !metadata.is_symlink() && (over || mode & 0o004 == 0) {
            found.push(path);
        }
    }
}
