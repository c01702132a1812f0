//! What a place for a job's processes must be able to do. The places are in [`crate::Host`] and
//! [`crate::Sandbox`].

use std::io;
use std::net::TcpListener;

use crate::process::{Process, ProcessSpec, SpawnError};
use crate::signal::Signal;

/// Where one job's processes live.
///
/// Calls may block for about a millisecond (a teardown for as long as the kernel needs to end
/// the processes), so long ones belong on a thread that may wait.
pub trait Machine: Send + Sync {
    /// Starts one process in a process group of its own.
    fn spawn(&self, spec: &ProcessSpec) -> Result<Process, SpawnError>;

    /// Opens a loopback listener that the job's processes can reach. On the host it listens on
    /// 127.0.0.1; in a sandbox it listens inside the sandbox's own network.
    fn listen(&self) -> Result<TcpListener, MachineError>;

    /// Returns which kind of place this is.
    fn kind(&self) -> Kind;

    /// Sends `signal` to every process of the job.
    fn kill_all(&self, signal: Signal) -> Result<(), MachineError>;

    /// Ends every process of the job, daemons and double-forked ones included, and says how many
    /// had outlived the processes that were started here. Nothing can be started afterwards.
    fn teardown(&self) -> Result<Teardown, MachineError>;

    /// Says, after a teardown, that nobody will look at what the job left in the place itself, so
    /// that it can be emptied for another job. The host keeps nothing.
    fn discard(&self) {}
}

/// The kind of a [`Machine`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The host itself: processes see and change what the user can.
    Host,
    /// A sandbox: fresh namespaces over a copy-on-write view of the host.
    Sandbox,
}

impl Kind {
    /// Returns the kind's name, as `--executor` spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Sandbox => "sandbox",
        }
    }
}

/// What a teardown found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Teardown {
    /// How many processes were still there and were killed.
    pub orphans_killed: usize,
}

/// A machine that could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MachineError {
    /// No listener could be opened.
    #[error("open a listener the job can reach")]
    Listen(#[source] io::Error),
    /// The list of processes could not be read.
    #[error("look for the job's remaining processes")]
    Processes(#[source] io::Error),
    /// Processes remain although they were killed again and again.
    #[error("end {remaining} processes of the job")]
    Unkillable {
        /// How many are left.
        remaining: usize,
    },
    /// The sandbox is gone: it was torn down, or its first process was killed.
    #[error("reach the sandbox: it has ended")]
    Ended,
    /// The sandbox did not end in time.
    #[error("end the sandbox within {limit_ms} ms")]
    Stuck {
        /// How long was waited, in milliseconds.
        limit_ms: u64,
    },
}
