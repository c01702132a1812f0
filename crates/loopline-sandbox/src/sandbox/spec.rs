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
