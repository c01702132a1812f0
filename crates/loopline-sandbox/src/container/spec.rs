//! What a container is started with, as its supervisor keeps it in the container's folder. The
//! terms are those of the OCI runtime specification where it has one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A container to start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// A name that no other container of this machine has; letters and digits. Its control group
    /// is called by it.
    pub id: String,
    /// The host name inside.
    pub hostname: String,
    /// What the root file system is made of.
    pub root: Root,
    /// Whether the root file system is mounted read-only.
    pub read_only: bool,
    /// What is mounted on top, parents before children.
    pub mounts: Vec<Mount>,
    /// The first process.
    pub process: ProcessConfig,
    /// What the container may take.
    pub limits: Limits,
    /// What it reaches.
    pub network: ContainerNetwork,
    /// The ports of it that are reached from outside, where it has a network of its own.
    pub ports: Vec<Port>,
    /// Kernel parameters of its own namespaces, by their dotted names.
    pub sysctls: BTreeMap<String, String>,
    /// Whether an init of Loopline's is the first process, which passes signals on and reaps.
    pub init: bool,
    /// Whether it keeps every capability its user namespace has, and nothing is masked.
    pub privileged: bool,
}

/// What a root file system is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Root {
    /// Unpacked layers, the topmost first, and two folders on one disk for what is written.
    Layers {
        /// The folders of the layers, in the form overlayfs has them (`user.overlay.*`).
        lower: Vec<PathBuf>,
        /// Where writes go.
        upper: PathBuf,
        /// Overlayfs' own folder beside it.
        work: PathBuf,
    },
    /// A folder, which the container changes.
    Folder(PathBuf),
}

/// Something that is mounted in a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// The absolute path inside. It is made where it is missing.
    pub target: PathBuf,
    /// What is mounted there.
    pub source: MountSource,
    /// Whether the container may only read it.
    pub read_only: bool,
    /// Whether an empty folder first gets what the root file system has at the target, as Docker's
    /// volumes do.
    pub filled: bool,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountSource {
    /// A folder, file or device of the host.
    Bind(PathBuf),
    /// A file system in memory.
    Memory {
        /// Its size in bytes; half of the machine's memory without.
        size_bytes: Option<u64>,
        /// The mode of its root folder.
        mode: u32,
        /// Whether programs may be run from it.
        executable: bool,
    },
}

/// A process in a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessConfig {
    /// The program, a path or a name looked up in `PATH`, and its arguments.
    pub args: Vec<String>,
    /// Its environment, `NAME=value`. `HOME` is added from the user's line in `/etc/passwd`.
    pub env: Vec<String>,
    /// Its working folder, made where it is missing.
    pub cwd: PathBuf,
    /// Who it runs as: `user`, `uid`, `user:group` or `uid:gid` of the container's own
    /// `/etc/passwd` and `/etc/group`; empty for root.
    pub user: String,
    /// Groups beside the user's own, names or numbers.
    pub groups: Vec<String>,
    /// The capabilities of root inside, by their names without `CAP_`.
    pub capabilities: Vec<String>,
    /// Whether it can never gain privileges by running a program.
    pub no_new_privileges: bool,
    /// Whether system calls that reach into the kernel are refused.
    pub filtered: bool,
    /// Resource limits, by the names of ulimit(1), soft and hard.
    pub rlimits: BTreeMap<String, (u64, u64)>,
    /// How readily it is killed when memory runs out.
    pub oom_score_adj: Option<i32>,
}

/// A TCP port of a container that is reached at an address of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// The address; with port 0 the system chooses one, which [`super::State::ports`] tells.
    pub host: SocketAddr,
    /// The port inside.
    pub container: u16,
}

/// What a container may take; absent is without a bound.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Memory, in bytes.
    pub memory_bytes: Option<u64>,
    /// Memory and swap together, in bytes.
    pub memory_and_swap_bytes: Option<u64>,
    /// What is reclaimed first when memory is short, in bytes.
    pub memory_reservation_bytes: Option<u64>,
    /// Processors, in thousandths.
    pub cpu_milli: Option<u64>,
    /// The weight against others, 1024 being the usual.
    pub cpu_shares: Option<u64>,
    /// The processors it may run on, as `0-3,5`.
    pub cpuset: Option<String>,
    /// Processes and threads.
    pub processes: Option<u64>,
}

/// What a container reaches over the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContainerNetwork {
    /// Itself, on a loopback of its own.
    None,
    /// The internet too, by user-mode networking.
    User,
    /// The host's own network.
    Host,
}

/// The capabilities that Docker gives by default, and with it this.
pub const DEFAULT_CAPABILITIES: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// What a container uses now, as far as the kernel counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Processor time since its start, in nanoseconds.
    pub cpu_ns: Option<u64>,
    /// Memory without cached files, in bytes.
    pub memory_bytes: Option<u64>,
    /// Processes and threads.
    pub processes: Option<u64>,
    /// How many processes were killed because memory ran out.
    pub oom_kills: Option<u64>,
}

/// How a process of a container ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The exit code; 128 and the signal's number for one that a signal ended.
    pub code: u8,
    /// Whether the container ran out of memory meanwhile.
    pub oom_killed: bool,
}
