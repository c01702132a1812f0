//! One process: what it is started with, how it is signalled and how its end is learnt.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::descriptor::Descriptor;
use crate::orphans;
use crate::sandbox::Remote;
use crate::signal::Signal;

/// What to start, and with what.
#[derive(Debug)]
pub struct ProcessSpec {
    /// The program: a path, or a name looked up in the `PATH` of `env`.
    pub program: OsString,
    /// Its arguments, without the program's name.
    pub args: Vec<OsString>,
    /// Its whole environment; nothing is inherited.
    pub env: Vec<(OsString, OsString)>,
    /// The folder it starts in.
    pub cwd: PathBuf,
    /// Where it reads from.
    pub stdin: Stdin,
    /// Where it prints to.
    pub output: Output,
}

/// What a process reads from.
#[derive(Debug)]
pub enum Stdin {
    /// Nothing: `/dev/null`.
    Null,
    /// What Loopline itself reads from.
    Inherit,
    /// An open file. The process gets a duplicate.
    Fd(OwnedFd),
}

/// What a process prints to.
#[derive(Debug)]
pub enum Output {
    /// One pipe for both streams, so that their order is kept; see [`Process::take_output`].
    Piped,
    /// An open file for both streams. The process gets a duplicate.
    Fd(OwnedFd),
    /// Where Loopline itself prints to.
    Inherit,
    /// A new terminal for all three streams, in a session of its own; `stdin` is ignored and
    /// [`Process::take_output`] returns the terminal's other side, to be read and written.
    Pty,
}

/// A process that could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// No such program.
    #[error("find `{}` in PATH ({})", program.display(), path.display())]
    NotFound {
        /// The name as given.
        program: OsString,
        /// The `PATH` that was searched, or the folder when the name was a path.
        path: OsString,
    },
    /// The file is there but may not be executed.
    #[error("run `{}`: permission denied", program.display())]
    Denied {
        /// The file.
        program: PathBuf,
    },
    /// The file is there but is neither a binary for this machine nor a script with a first line
    /// that names its interpreter.
    #[error("run `{}`: not an executable format of this machine", program.display())]
    Format {
        /// The file.
        program: PathBuf,
    },
    /// The interpreter named in the script's first line, or the loader of the binary, is missing.
    #[error("run `{}`: its interpreter is missing", program.display())]
    Interpreter {
        /// The script or binary.
        program: PathBuf,
    },
    /// The working folder is missing, is no folder, or may not be entered.
    #[error("enter the working folder `{}`", cwd.display())]
    Directory {
        /// The folder.
        cwd: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Arguments and environment together are larger than the kernel takes.
    #[error("start `{}`: its arguments and environment are too large", program.display())]
    TooLarge {
        /// The program.
        program: PathBuf,
    },
    /// A name or value holds a zero byte.
    #[error("start `{}`: an argument or variable holds a zero byte", program.display())]
    ZeroByte {
        /// The program.
        program: PathBuf,
    },
    /// The job has ended.
    #[error("start `{}`: the job's machine has been torn down", program.display())]
    TornDown {
        /// The program.
        program: OsString,
    },
    /// The system refused for another reason.
    #[error("start `{}`", program.display())]
    System {
        /// The program.
        program: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// A process whose end could not be learnt.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The system refused to wait.
    #[error("wait for a process")]
    System(#[from] io::Error),
    /// The sandbox ended before the process was known to have.
    #[error("wait for a process: its sandbox has ended")]
    SandboxEnded,
}

/// What ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// The process did, with this status.
    Ended(ExitStatus),
    /// The descriptor that was waited for beside it became readable.
    Woken,
    /// The time was up.
    Late,
}

/// A started process and the group it leads. Dropping it while it runs kills the group.
#[derive(Debug)]
pub struct Process {
    id: u32,
    output: Option<OwnedFd>,
    status: Option<ExitStatus>,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Host { pid: Pid, exit: Descriptor },
    Sandbox(Remote),
}

impl Process {
    pub(crate) fn on_host(pid: Pid, pidfd: OwnedFd, output: Option<OwnedFd>) -> Self {
        let id = pid.as_raw_nonzero().get().unsigned_abs();
        Self { id, output, status: None, place: Place::Host { pid, exit: Descriptor::Idle(pidfd) } }
    }

    pub(crate) fn in_sandbox(id: u32, remote: Remote, output: Option<OwnedFd>) -> Self {
        Self { id, output, status: None, place: Place::Sandbox(remote) }
    }

    /// Returns the process id, as the job sees it: in a sandbox it is the sandbox's own number.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Takes the reading end of the output pipe, or the terminal's other side. The pipe ends only
    /// when every process that inherited it has ended, which may be long after this one did.
    pub fn take_output(&mut self) -> Option<OwnedFd> {
        self.output.take()
    }

    /// Sends `signal` to the whole process group; a group that is gone is no error.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        match &self.place {
            // The leader stays unreaped until this value is dropped, so the number cannot have
            // been given to anybody else.
            Place::Host { pid, .. } => match kill_process_group(*pid, signal.native()) {
                Ok(()) | Err(Errno::SRCH) => Ok(()),
                Err(error) => Err(error.into()),
            },
            Place::Sandbox(remote) => remote.signal(signal),
        }
    }

    /// Waits until the process itself has ended, whoever still holds its output. Needs a tokio
    /// runtime with IO enabled; may be called again and may be cancelled.
    pub async fn wait(&mut self) -> Result<ExitStatus, WaitError> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        let status = match &mut self.place {
            Place::Host { exit, .. } => exit.when_readable(peek).await?,
            Place::Sandbox(remote) => remote.wait().await?,
        };
        self.status = Some(status);
        Ok(status)
    }

    /// Waits without a runtime until the process itself has ended, until `wake` is readable, or
    /// for `limit`, whichever comes first.
    ///
    /// # Errors
    /// [`WaitError`], each variant as it says.
    pub fn wait_blocking(
        &mut self,
        wake: Option<BorrowedFd<'_>>,
        limit: Option<Duration>,
    ) -> Result<Waited, WaitError> {
        let limit = limit.map(|limit| Timespec {
            tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: limit.subsec_nanos().into(),
        });
        loop {
            if let Some(status) = self.try_wait()? {
                return Ok(Waited::Ended(status));
            }
            let mut polled = vec![PollFd::from_borrowed_fd(self.end_descriptor()?, PollFlags::IN)];
            polled.extend(wake.map(|wake| PollFd::from_borrowed_fd(wake, PollFlags::IN)));
            match poll(&mut polled, limit.as_ref()) {
                Ok(0) => return Ok(Waited::Late),
                Ok(_) if polled.get(1).is_some_and(|wake| !wake.revents().is_empty()) => {
                    return Ok(Waited::Woken);
                }
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
    }

    /// Returns a descriptor that is readable once the process may have ended, for callers that
    /// poll without a runtime; [`Process::try_wait`] then tells.
    ///
    /// # Errors
    /// Where an earlier wait lost it.
    pub fn end_descriptor(&self) -> io::Result<BorrowedFd<'_>> {
        match &self.place {
            Place::Host { exit, .. } => Ok(exit.get()?.as_fd()),
            Place::Sandbox(remote) => remote.descriptor(),
        }
    }

    /// Returns the status if the process has ended, without waiting.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>, WaitError> {
        if self.status.is_none() {
            self.status = match &mut self.place {
                Place::Host { exit, .. } => peek(exit.get()?)?,
                Place::Sandbox(remote) => remote.try_wait()?,
            };
        }
        Ok(self.status)
    }
}

/// Reads the status of an ended process and leaves it unreaped.
fn peek(pidfd: &OwnedFd) -> io::Result<Option<ExitStatus>> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    loop {
        match waitid(WaitId::PidFd(pidfd.as_fd()), options) {
            Ok(None) => return Ok(None),
            Ok(Some(status)) => {
                let raw = match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => (code & 0xff) << 8,
                    (None, Some(signal)) => signal,
                    (None, None) => return Ok(None),
                };
                return Ok(Some(ExitStatus::from_raw(raw)));
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let Place::Host { pid, exit } = &self.place else { return };
        let ended =
            self.status.is_some() || exit.get().and_then(peek).is_ok_and(|status| status.is_some());
        if !ended {
            // Nobody is left to ask about the outcome, so nothing is lost with the signal's.
            let _ = kill_process_group(*pid, rustix::process::Signal::KILL);
        }
        while let Err(Errno::INTR) = waitid(WaitId::Pid(*pid), WaitIdOptions::EXITED) {}
        orphans::release(*pid);
    }
}
