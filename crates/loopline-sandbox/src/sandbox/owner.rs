//! The owner's side of a sandbox: starts it, asks its first process for things, ends it.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use fs_err as fs;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::pidfd_send_signal;

use super::fork_server;
use super::group::Group;
use super::helper::{FAILED, READY, STARTED};
use super::layers::Layers;
use super::protocol::{Decoder, Encoder, receive, send};
use super::remote::Remote;
use super::serve::{
    DONE, GIVEN_INPUT, KILL_ALL, LISTEN, NULL_INPUT, SPAWN, TEAR_DOWN, TERMINAL, decode_error,
};
use super::spec::{Enforced, Network, SandboxSpec};
use super::uplink::{Uplink, has_ipv6};
use super::view::{HostFacts, encode, plan};
use crate::launch::output_pipe;
use crate::machine::{Kind, Machine, MachineError, Teardown};
use crate::process::{Output, Process, ProcessSpec, SpawnError, Stdin};
use crate::signal::Signal;

/// How long a start or a teardown may take before the sandbox is given up, in milliseconds.
const LIMIT_MS: u64 = 10_000;

/// A running sandbox. Dropping it ends everything inside.
#[derive(Debug)]
pub struct Sandbox {
    notes: Vec<String>,
    enforced: Enforced,
    spec: SandboxSpec,
    layers: Layers,
    inside: Mutex<Option<Inside>>,
}

/// What is there until the teardown.
#[derive(Debug)]
struct Inside {
    control: OwnedFd,
    /// A descriptor of the first process.
    end: OwnedFd,
    _uplink: Option<Uplink>,
    _group: Group,
}

/// A sandbox that could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The host or the state folder could not be prepared.
    #[error("prepare the sandbox's folders")]
    Prepare(#[source] io::Error),
    /// The helper process could not be started.
    #[error("start the sandbox's helper process")]
    Helper(#[source] SpawnError),
    /// The helper ended without a word: this binary does not call
    /// [`crate::maybe_run_helper`] first, or it was killed.
    #[error("reach the sandbox's helper process: it ended early")]
    HelperEnded,
    /// Talking to the helper failed.
    #[error("talk to the sandbox's helper process")]
    Talk(#[source] io::Error),
    /// The helper did not answer in time.
    #[error("start a sandbox within {limit_ms} ms")]
    Stuck {
        /// How long was waited, in milliseconds.
        limit_ms: u64,
    },
    /// The kernel refused a step.
    #[error("{step}")]
    Refused {
        /// What was to be done.
        step: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

impl Sandbox {
    /// Starts a sandbox. Takes a few milliseconds and blocks for them.
    pub fn start(spec: &SandboxSpec) -> Result<Self, StartError> {
        let facts = HostFacts::read().map_err(StartError::Prepare)?;
        let mut spec = spec.clone();
        spec.state = resolved(&spec.state).map_err(StartError::Prepare)?;
        let (plan, layers) = plan(&spec, &facts).map_err(StartError::Prepare)?;
        layers.lay(&spec.state, spec.pool.as_deref()).map_err(StartError::Prepare)?;

        let (ours, theirs) = pair().map_err(StartError::Talk)?;
        let by_root = rustix::process::geteuid().is_root();
        let wants_tunnel = spec.network == Network::User;
        let request = Encoder::default()
            .number(u32::from(by_root))
            .number(u32::from(wants_tunnel))
            .number(u32::from(wants_tunnel && has_ipv6()))
            .number(spec.bounds.processes)
            .bytes(&spec.hostname)
            .bytes(secret_name().map_err(StartError::Prepare)?)
            .list(&plan, encode)
            .finish();
        let mut group = Group::create(&spec.bounds);
        fork_server::ask(request, theirs.as_fd())?;
        drop(theirs);
        let ready = await_ready(&ours, &mut group)?;
        let enforced = group.enforced();
        let uplink = ready.tunnel.map(Uplink::start).transpose().map_err(StartError::Talk)?;
        let inside = Inside { control: ours, end: ready.end, _uplink: uplink, _group: group };
        Ok(Self { notes: ready.notes, enforced, spec, layers, inside: Mutex::new(Some(inside)) })
    }

    /// Returns what is otherwise than asked for, in words: folders that are read-only or missing,
    /// a network that is not there.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Returns which of its bounds the sandbox is kept to.
    pub fn enforced(&self) -> Enforced {
        self.enforced
    }

    /// Sends a request with an answer socket of its own, and returns our end of it.
    fn ask(&self, message: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<OwnedFd> {
        let (ours, theirs) = pair()?;
        let mut all = vec![theirs.as_fd()];
        all.extend_from_slice(descriptors);
        let inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let inside = inside.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        send(inside.control.as_fd(), message, &all)?;
        Ok(ours)
    }
}

impl Machine for Sandbox {
    fn spawn(&self, spec: &ProcessSpec) -> Result<Process, SpawnError> {
        let system = |source: io::Error| match source.kind() {
            io::ErrorKind::NotConnected | io::ErrorKind::BrokenPipe => {
                SpawnError::TornDown { program: spec.program.clone() }
            }
            _ => SpawnError::System { program: spec.program.clone().into(), source },
        };
        let mut output = None;
        let writer;
        let mut descriptors = Vec::new();
        let terminal = matches!(spec.output, Output::Pty);
        let kind = match (&spec.stdin, terminal) {
            (_, true) => TERMINAL,
            (Stdin::Null, _) => NULL_INPUT,
            (Stdin::Inherit, _) => {
                descriptors.push(rustix::stdio::stdin());
                GIVEN_INPUT
            }
            (Stdin::Fd(file), _) => {
                descriptors.push(file.as_fd());
                GIVEN_INPUT
            }
        };
        match &spec.output {
            Output::Pty => {}
            Output::Inherit => {
                descriptors.extend([rustix::stdio::stdout(), rustix::stdio::stderr()]);
            }
            Output::Fd(file) => descriptors.extend([file.as_fd(), file.as_fd()]),
            Output::Piped => {
                let (read, write) = output_pipe().map_err(system)?;
                output = Some(read);
                writer = write;
                descriptors.extend([writer.as_fd(), writer.as_fd()]);
            }
        }
        let message = Encoder::default()
            .number(SPAWN)
            .bytes(&spec.program)
            .list(&spec.args, |message, arg| message.bytes(arg))
            .list(&spec.env, |message, (name, value)| message.bytes(name).bytes(value))
            .bytes(&spec.cwd)
            .number(kind)
            .finish();
        let socket = self.ask(&message, &descriptors).map_err(system)?;
        let Some((answer, received)) = receive(socket.as_fd()).map_err(system)? else {
            return Err(SpawnError::TornDown { program: spec.program.clone() });
        };
        let mut answer = Decoder::new(&answer);
        if answer.number().map_err(system)? != DONE {
            return Err(decode_error(&mut answer).unwrap_or_else(system));
        }
        let id = answer.number().map_err(system)?;
        let output = output.or(received.into_iter().next());
        Ok(Process::in_sandbox(id, Remote::new(socket), output))
    }

    fn listen(&self) -> Result<TcpListener, MachineError> {
        let socket = self
            .ask(&Encoder::default().number(LISTEN).finish(), &[])
            .map_err(|_| MachineError::Ended)?;
        let answer = receive(socket.as_fd()).map_err(MachineError::Listen)?;
        let (answer, received) = answer.ok_or(MachineError::Ended)?;
        let mut answer = Decoder::new(&answer);
        if let Some(listener) = received.into_iter().next() {
            return Ok(listener.into());
        }
        let _refused = answer.number().map_err(MachineError::Listen)?;
        let code = answer.signed().map_err(MachineError::Listen)?;
        Err(MachineError::Listen(io::Error::from_raw_os_error(code)))
    }

    fn kind(&self) -> Kind {
        Kind::Sandbox
    }

    fn kill_all(&self, signal: Signal) -> Result<(), MachineError> {
        let message = Encoder::default().number(KILL_ALL).signed(signal.number()).finish();
        let socket = self.ask(&message, &[]).map_err(|_| MachineError::Ended)?;
        receive(socket.as_fd()).ok().flatten().map(|_| ()).ok_or(MachineError::Ended)
    }

    fn teardown(&self) -> Result<Teardown, MachineError> {
        let message = Encoder::default().number(TEAR_DOWN).finish();
        let Ok(socket) = self.ask(&message, &[]) else {
            self.inside.lock().unwrap_or_else(PoisonError::into_inner).take();
            return Ok(Teardown::default());
        };
        let inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut found = Teardown::default();
        if wait_readable(&socket, LIMIT_MS)
            && let Ok(Some((answer, _))) = receive(socket.as_fd())
        {
            let mut answer = Decoder::new(&answer);
            let orphans = answer.number().and_then(|_| answer.number()).unwrap_or_default();
            found.orphans_killed = usize::try_from(orphans).unwrap_or_default();
        }
        if let Some(Inside { control, end, _uplink, _group }) = inside {
            // The first process is gone when the kernel has ended everything inside.
            drop(control);
            if !wait_readable(&end, LIMIT_MS) {
                // It cannot be waited for any longer, but it can be told.
                let _ = pidfd_send_signal(&end, rustix::process::Signal::KILL);
                return Err(MachineError::Stuck { limit_ms: LIMIT_MS });
            }
        }
        Ok(found)
    }

    fn discard(&self) {
        let still_there = self.inside.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        if let Some(pool) = self.spec.pool.as_ref().filter(|_| !still_there) {
            // What cannot be put by is removed with the job's folder.
            let _ = self.layers.put_by(&self.spec.state, pool);
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // Nobody is left to be told; the helper is killed if it does not end by itself.
        let _ = self.teardown();
    }
}

/// Starts what the first sandbox would otherwise wait for; for a thread of its own.
///
/// # Errors
/// Where the helper process cannot be started; the first sandbox would say the same.
pub fn warm_up() -> Result<(), StartError> {
    fork_server::warm_up()?;
    super::secrets::hidden();
    Ok(())
}

pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Returns a path without links, of which the last part need not exist.
fn resolved(path: &Path) -> io::Result<PathBuf> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    fs::create_dir_all(parent)?;
    if fs::symlink_metadata(path).is_ok_and(|it| it.is_symlink()) {
        return fs::canonicalize(path);
    }
    Ok(fs::canonicalize(parent)?.join(name))
}

/// A sandbox whose view stands.
struct Ready {
    end: OwnedFd,
    notes: Vec<String>,
    tunnel: Option<OwnedFd>,
}

/// Waits until the first process is ready.
fn await_ready(socket: &OwnedFd, group: &mut Group) -> Result<Ready, StartError> {
    let mut end = None;
    let mut not_bounded = None;
    loop {
        if !wait_readable(socket, LIMIT_MS) {
            if let Some(end) = end {
                let _ = pidfd_send_signal(&end, rustix::process::Signal::KILL);
            }
            return Err(StartError::Stuck { limit_ms: LIMIT_MS });
        }
        let received = receive(socket.as_fd()).map_err(StartError::Talk)?;
        let (message, descriptors) = received.ok_or(StartError::HelperEnded)?;
        let mut message = Decoder::new(&message);
        match message.number().map_err(StartError::Talk)? {
            STARTED => {
                end = descriptors.into_iter().next();
                if let Some(Err(error)) = end.as_ref().and_then(number).map(|it| group.admit(&it)) {
                    not_bounded = Some(format!("not bounded by a control group: {error}"));
                }
            }
            READY => {
                let mut notes: Vec<_> = message
                    .list(|message| Ok(message.bytes()?.to_string_lossy().into_owned()))
                    .map_err(StartError::Talk)?;
                notes.extend(not_bounded);
                let end = end.ok_or(StartError::HelperEnded)?;
                return Ok(Ready { end, notes, tunnel: descriptors.into_iter().next() });
            }
            FAILED => {
                let step = message.bytes().map_err(StartError::Talk)?;
                let code = message.signed().map_err(StartError::Talk)?;
                let text = message.bytes().map_err(StartError::Talk)?;
                return Err(StartError::Refused {
                    step: step.to_string_lossy().into_owned(),
                    source: match code {
                        0 => io::Error::other(text.to_string_lossy().into_owned()),
                        code => io::Error::from_raw_os_error(code),
                    },
                });
            }
            _ => return Err(StartError::Talk(io::ErrorKind::InvalidData.into())),
        }
    }
}

/// Reads which process a descriptor is of.
fn number(process: &OwnedFd) -> Option<String> {
    let path = format!("/proc/self/fdinfo/{}", process.as_raw_fd());
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| Some(line.strip_prefix("Pid:")?.trim().to_owned()))
}

fn wait_readable(socket: &OwnedFd, limit_ms: u64) -> bool {
    let limit = Timespec { tv_sec: i64::try_from(limit_ms / 1000).unwrap_or(i64::MAX), tv_nsec: 0 };
    loop {
        match poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&limit)) {
            Err(rustix::io::Errno::INTR) => {}
            Ok(0) | Err(_) => return false,
            Ok(_) => return true,
        }
    }
}

/// Makes up a name that a job of an earlier start cannot have foreseen.
fn secret_name() -> io::Result<String> {
    use std::io::Read as _;
    let mut bytes = [0; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
