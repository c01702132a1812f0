//! The host executor: processes run as the user, on the host itself. Not isolated at all; but
//! every process of the job is found again and ended.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsFd as _;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::process::{Pid, PidfdFlags, getpid, pidfd_open};

use crate::launch::{Launch, Streams, launch, output_pipe, terminal};
use crate::machine::{Kind, Machine, MachineError, Teardown};
use crate::orphans;
use crate::process::{Output, Process, ProcessSpec, SpawnError, Stdin};
use crate::signal::Signal;

/// The host as a place for one job's processes.
#[derive(Debug)]
pub struct Host {
    marker: String,
    /// The process groups of everything this job started.
    groups: Mutex<BTreeSet<i32>>,
    torn_down: AtomicBool,
}

impl Host {
    /// Returns the host, ready for the processes of the job `job_id`.
    pub fn new(job_id: &str) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let marker = format!("{job_id}.{}.{count}", getpid().as_raw_nonzero());
        orphans::enlist(&marker);
        Self { marker, groups: Mutex::default(), torn_down: AtomicBool::new(false) }
    }

    fn groups(&self) -> BTreeSet<i32> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Machine for Host {
    fn spawn(&self, spec: &ProcessSpec) -> Result<Process, SpawnError> {
        if self.torn_down.load(Ordering::Acquire) {
            return Err(SpawnError::TornDown { program: spec.program.clone() });
        }
        let mut env = Vec::with_capacity(spec.env.len() + 1);
        env.extend(spec.env.iter().cloned());
        env.push((orphans::MARKER.into(), OsString::from(&self.marker)));
        let process = spawn_here(spec, &env)?;
        let group = i32::try_from(process.id()).unwrap_or_default();
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).insert(group);
        Ok(process)
    }

    fn listen(&self) -> Result<TcpListener, MachineError> {
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(MachineError::Listen)
    }

    fn kind(&self) -> Kind {
        Kind::Host
    }

    fn kill_all(&self, signal: Signal) -> Result<(), MachineError> {
        let groups = self.groups();
        orphans::signal_groups(&groups, signal.native());
        orphans::signal(&self.marker, &groups, signal.native()).map_err(MachineError::Processes)
    }

    fn teardown(&self) -> Result<Teardown, MachineError> {
        self.torn_down.store(true, Ordering::Release);
        let groups = self.groups();
        orphans::end_groups(&groups);
        let orphans_killed = orphans::end(&self.marker, &groups)?;
        orphans::discharge(&self.marker);
        Ok(Teardown { orphans_killed })
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if !self.torn_down.load(Ordering::Acquire) {
            // Nobody is left to be told; what could be ended has been.
            let _ = self.teardown();
        }
        orphans::discharge(&self.marker);
    }
}

/// Starts a process on the host with exactly the environment `env`.
pub(crate) fn spawn_here(
    spec: &ProcessSpec,
    env: &[(OsString, OsString)],
) -> Result<Process, SpawnError> {
    let system = |source| SpawnError::System { program: spec.program.clone().into(), source };
    let mut output = None;
    let streams = if let Output::Pty = spec.output {
        let (ours, theirs) = terminal().map_err(system)?;
        output = Some(ours);
        Streams::Terminal(theirs)
    } else {
        let stdin = match &spec.stdin {
            Stdin::Null => Stdio::null(),
            Stdin::Inherit => Stdio::inherit(),
            Stdin::Fd(file) => file.as_fd().try_clone_to_owned().map_err(system)?.into(),
        };
        let (stdout, stderr) = match &spec.output {
            Output::Inherit | Output::Pty => (Stdio::inherit(), Stdio::inherit()),
            Output::Piped => {
                let (read, write) = output_pipe().map_err(system)?;
                output = Some(read);
                let second = write.try_clone().map_err(system)?;
                (write.into(), second.into())
            }
            Output::Fd(file) => {
                let first = file.as_fd().try_clone_to_owned().map_err(system)?;
                let second = file.as_fd().try_clone_to_owned().map_err(system)?;
                (first.into(), second.into())
            }
        };
        Streams::Plain { stdin, stdout, stderr }
    };
    let request = Launch { program: &spec.program, args: &spec.args, env, cwd: &spec.cwd, streams };
    let guard = orphans::spawning();
    let pid: Pid = launch(request)?;
    orphans::hold(pid);
    drop(guard);
    // The child is unreaped, so the number still means it.
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => Ok(Process::on_host(pid, pidfd, output)),
        Err(error) => {
            orphans::abandon(pid);
            Err(system(error.into()))
        }
    }
}
