//! Whether this kernel lets this user have sandboxes, and if not, why.

use std::path::Path;

use fs_err as fs;

use super::group::Group;
use super::owner::{Sandbox, StartError};
use super::spec::{Bounds, Enforced, Network, SandboxSpec};
use crate::machine::Machine as _;

/// What this machine offers.
#[derive(Debug)]
pub enum Support {
    /// Sandboxes work; the notes say what is otherwise than asked for.
    Full {
        /// Folders that are not copy-on-write, a network that is not there.
        notes: Vec<String>,
    },
    /// Sandboxes do not work.
    None {
        /// What was refused.
        error: StartError,
        /// The setting that refuses it, and how to change it, if it is known.
        hint: Option<&'static str>,
    },
}

/// Starts an empty sandbox with its state in `scratch`, an empty folder, and tells how it went.
pub fn probe(scratch: &Path) -> Support {
    let spec = SandboxSpec {
        state: scratch.to_owned(),
        pool: None,
        home: "/root".into(),
        binds: Vec::new(),
        scaffolds: Vec::new(),
        hostname: "probe".to_owned(),
        network: Network::User,
        bounds: Bounds::of_machine(),
    };
    match Sandbox::start(&spec) {
        Ok(sandbox) => {
            let notes = sandbox.notes().to_vec();
            match sandbox.teardown() {
                Ok(_) => Support::Full { notes },
                Err(_) => Support::None { error: StartError::HelperEnded, hint: None },
            }
        }
        Err(error) => Support::None { hint: hint(), error },
    }
}

/// Says which of `bounds` a sandbox of this process would be kept to.
pub fn enforced(bounds: &Bounds) -> Enforced {
    Group::create(bounds).enforced()
}

/// Names the setting that keeps user namespaces away.
fn hint() -> Option<&'static str> {
    let reads =
        |path: &str, value: &str| fs::read_to_string(path).is_ok_and(|text| text.trim() == value);
    if reads("/proc/sys/user/max_user_namespaces", "0") {
        return Some("user.max_user_namespaces is 0; `sysctl user.max_user_namespaces=10000`");
    }
    if reads("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        return Some(
            "kernel.unprivileged_userns_clone is 0; `sysctl kernel.unprivileged_userns_clone=1`",
        );
    }
    if reads("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        return Some(
            "AppArmor restricts user namespaces; \
             `sysctl kernel.apparmor_restrict_unprivileged_userns=0` or a profile for loopline",
        );
    }
    if !Path::new("/proc/self/ns/user").exists() {
        return Some("this kernel is built without user namespaces");
    }
    None
}
