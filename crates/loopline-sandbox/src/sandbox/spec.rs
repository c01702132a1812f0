//! What a sandbox is started with.

use std::path::PathBuf;

/// A sandbox to start.
#[derive(Clone, Debug)]
pub struct SandboxSpec {
    /// A folder on disk for the sandbox's own layers: what the job writes outside its binds.
    /// Starting again over the same folder shows the sandbox as it was left.
    pub state: PathBuf,
    /// A folder on the same disk where emptied layers wait for their next use, if they may.
    pub pool: Option<PathBuf>,
    /// The home of the job: the user's own path, under which the job sees an empty folder of its
    /// own and the toolchains of the real home, read-only.
    pub home: PathBuf,
    /// The host's folders and files the job is given, parents before children.
    pub binds: Vec<Bind>,
    /// Folders that hold nothing but targets of binds; those are then made in memory.
    pub scaffolds: Vec<PathBuf>,
    /// The host name inside.
    pub hostname: String,
    /// What the job reaches besides itself.
    pub network: Network,
    /// How much of the machine the job may take.
    pub bounds: Bounds,
}

/// How much of the machine a sandbox may take, as far as it can be [`Enforced`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The most processes and threads at a time.
    pub processes: u32,
    /// The most memory, in bytes.
    pub memory_bytes: u64,
}

/// The most processes and threads of a job: more than builds have, and fewer than a machine can
/// bear.
const PROCESSES: u32 = 16 * 1024;

impl Bounds {
    /// Returns the bounds of a job that may have the machine to itself, but must leave it alive:
    /// half of the processes the kernel can have, up to a number that no build reaches, and
    /// nine tenths of the memory.
    pub fn of_machine() -> Self {
        let number = |path: &str| {
            fs_err::read_to_string(path).ok().and_then(|text| text.trim().parse::<u32>().ok())
        };
        let most = ["/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max"];
        let most = most.into_iter().filter_map(number).min().unwrap_or(u32::MAX);
        let memory = rustix::system::sysinfo();
        #[expect(clippy::useless_conversion, reason = "the width depends on the architecture")]
        let total = u64::from(memory.totalram).saturating_mul(u64::from(memory.mem_unit));
        Self { processes: PROCESSES.min(most / 2), memory_bytes: total / 10 * 9 }
    }
}

/// By what a bound is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Means {
    /// A control group of the sandbox's own.
    ControlGroup,
    /// The resource limit of a user, which the kernel counts for each sandbox.
    ResourceLimit,
    /// Nothing.
    #[default]
    None,
}

/// Which of a sandbox's [`Bounds`] are kept, and by what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Enforced {
    /// The bound on processes.
    pub processes: Means,
    /// The bound on memory.
    pub memory: Means,
}

impl Enforced {
    /// Returns what there is without a control group: a limit on processes, which does not bind
    /// root.
    pub(super) fn by_limits() -> Self {
        let is_root = rustix::process::getuid().is_root();
        let processes = if is_root { Means::None } else { Means::ResourceLimit };
        Self { processes, memory: Means::None }
    }
}

/// A folder or file of the host that is visible in a sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    /// The host's path.
    pub source: PathBuf,
    /// The absolute path inside.
    pub target: PathBuf,
    /// Whether the job may only read it.
    pub read_only: bool,
}

/// What the processes of a sandbox can reach over the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Only each other, on a loopback of their own.
    None,
    /// The internet too, by user-mode networking; never the host's loopback nor link-local
    /// addresses. Where the user may not create a tunnel device the sandbox has no network, and
    /// [`crate::Sandbox::notes`] says so.
    User,
}
