//! The first process of a container: how the supervisor makes it, and what it does until it
//! becomes the container's program.
#![expect(unsafe_code, reason = "fork, sessions and death signals have no safe interface")]

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::process::{
    DumpableBehavior, Pid, WaitOptions, ioctl_tiocsctty, set_dumpable_behavior,
    set_parent_process_death_signal, setsid, wait,
};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::mapping;
use super::process::{self, Refusal};
use super::root;
use super::spec::{ContainerNetwork, ContainerSpec};
use crate::launch::terminal;
use crate::sandbox::group::Group;
use crate::sandbox::helper::clone_apart;
use crate::sandbox::interfaces;
use crate::sandbox::owner::pair;
use crate::sandbox::protocol::{Decoder, Encoder, receive, send};
use crate::sandbox::setup::{Failed, step};

/// What the first process tells the supervisor.
pub(super) const PREPARED: u32 = 0;
const FAILED: u32 = 1;

/// The streams of a process in a container.
pub(super) enum Streams {
    /// These three.
    Plain([OwnedFd; 3]),
    /// A terminal of the container's own.
    Terminal,
}

/// A running first process.
#[derive(Debug)]
pub(super) struct Init {
    pub(super) pid: Pid,
    /// Readable once it has ended.
    pub(super) end: OwnedFd,
    /// Our side of its terminal.
    pub(super) terminal: Option<OwnedFd>,
    /// The other side of its network.
    pub(super) tunnel: Option<OwnedFd>,
    /// What is otherwise than asked for, in words.
    pub(super) notes: Vec<String>,
}

/// Why a process is not there, and with which exit code Docker would say so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NotStarted {
    pub(super) code: u8,
    pub(super) message: String,
}

impl NotStarted {
    pub(super) fn by_system(what: &str, error: &io::Error) -> Self {
        Self { code: 125, message: format!("{what}: {error}") }
    }
}

/// Starts a container's first process. Called by a process of one thread that nothing else waits
/// for children of.
pub(super) fn start(
    spec: &ContainerSpec,
    group: &mut Group,
    streams: Streams,
) -> Result<Init, NotStarted> {
    let fail = NotStarted::by_system;
    let (ours, theirs) = pair().map_err(|error| fail("talk to the container", &error))?;
    let mut flags = libc::CLONE_NEWUSER
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS;
    if spec.network != ContainerNetwork::Host {
        flags |= libc::CLONE_NEWNET;
    }
    match clone_apart(flags).map_err(|error| fail("create the container's namespaces", &error))? {
        None => {
            drop(ours);
            let code = first_process(spec, &theirs, streams);
            // SAFETY: ends this copy of the supervisor at once, without running its destructors.
            unsafe { libc::_exit(code) }
        }
        Some((child, end)) => {
            drop((theirs, streams));
            let started = mapping::map(child).and_then(|note| {
                group.admit(&child.to_string())?;
                send(ours.as_fd(), &[], &[])?;
                Ok(note)
            });
            let heard =
                started.map_err(|error| fail("set the container up", &error)).and_then(|note| {
                    let mut heard = hear(&ours)?;
                    heard.notes.extend(note);
                    Ok(heard)
                });
            let pid = Pid::from_raw(child).ok_or_else(|| {
                fail("create the container's namespaces", &io::ErrorKind::InvalidData.into())
            })?;
            match heard {
                Ok(heard) => Ok(Init {
                    pid,
                    end,
                    terminal: heard.terminal,
                    tunnel: heard.tunnel,
                    notes: heard.notes,
                }),
                Err(error) => {
                    let _ = rustix::process::pidfd_send_signal(&end, rustix::process::Signal::KILL);
                    // It ends, by this at the latest; nothing is learnt from how.
                    let _ = rustix::process::waitpid(Some(pid), WaitOptions::empty());
                    Err(error)
                }
            }
        }
    }
}

/// What the first process had to say before it became the program.
#[derive(Default)]
pub(super) struct Heard {
    pub(super) terminal: Option<OwnedFd>,
    tunnel: Option<OwnedFd>,
    notes: Vec<String>,
}

/// Listens until the program runs, which closes the socket.
pub(super) fn hear(socket: &OwnedFd) -> Result<Heard, NotStarted> {
    let fail = |error: io::Error| NotStarted::by_system("talk to the container", &error);
    let mut heard = None;
    while let Some((bytes, descriptors)) = receive(socket.as_fd()).map_err(fail)? {
        let mut message = Decoder::new(&bytes);
        if message.number().map_err(fail)? == PREPARED {
            let has_terminal = message.number().map_err(fail)? == 1;
            let has_tunnel = message.number().map_err(fail)? == 1;
            let notes = message
                .list(|message| Ok(message.bytes()?.to_string_lossy().into_owned()))
                .map_err(fail)?;
            let mut descriptors = descriptors.into_iter();
            let terminal = has_terminal.then(|| descriptors.next()).flatten();
            let tunnel = has_tunnel.then(|| descriptors.next()).flatten();
            heard = Some(Heard { terminal, tunnel, notes });
        } else {
            return Err(refused(&bytes));
        }
    }
    // A socket that is closed before anything was said is that of a process that was killed.
    heard.ok_or_else(|| NotStarted {
        code: 125,
        message: "the container ended while it was set up".to_owned(),
    })
}

/// Runs in the new namespaces. Returns the code to end with where the program could not be run, or
/// an init of our own has seen it end.
fn first_process(spec: &ContainerSpec, socket: &OwnedFd, streams: Streams) -> i32 {
    match become_program(spec, socket, streams) {
        Ok(code) => code,
        Err(refusal) => refuse(socket, refusal),
    }
}

/// Tells the supervisor why the program does not run. Returns the code to end with.
pub(super) fn refuse(socket: &OwnedFd, refusal: Refusal) -> i32 {
    let (code, message) = match refusal {
        Refusal::SetUp(Failed { step, source }) => (125, format!("{step}: {source}")),
        Refusal::Program { code, message } => (code, message),
    };
    let report = Encoder::default().number(FAILED).number(code).bytes(message).finish();
    // A supervisor that is gone needs no report.
    let _ = send(socket.as_fd(), &report, &[]);
    i32::try_from(code).unwrap_or(125)
}

/// Reads what [`refuse`] told.
pub(super) fn refused(message: &[u8]) -> NotStarted {
    let mut message = Decoder::new(message);
    let read = message.number().and_then(|_| {
        let code = message.number()?;
        Ok((code, message.bytes()?.to_string_lossy().into_owned()))
    });
    match read {
        Ok((code, message)) => NotStarted { code: u8::try_from(code).unwrap_or(125), message },
        Err(error) => NotStarted::by_system("talk to the container", &error),
    }
}

fn become_program(
    spec: &ContainerSpec,
    socket: &OwnedFd,
    streams: Streams,
) -> Result<i32, Refusal> {
    process::survive_terminals();
    let ends_with_supervisor = set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    step(ends_with_supervisor, || "prepare to end with the supervisor".to_owned())?;
    // Until the users are mapped and the group is entered.
    if step(receive(socket.as_fd()), || "wait for the supervisor".to_owned())?.is_none() {
        return Ok(125);
    }
    // Nothing that will run inside may look into this process or get hold of its binary.
    let hidden = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    step(hidden, || "hide from the container".to_owned())?;
    // SAFETY: this namespace says how control groups are shown; nothing in this process relies on
    // it.
    step(unsafe { unshare_unsafe(UnshareFlags::NEWCGROUP) }, || {
        "create the control group's namespace".to_owned()
    })?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    step(rustix::system::sethostname(spec.hostname.as_bytes()), || "set the host name".to_owned())?;
    let mut notes = Vec::new();
    let tunnel = network(spec, &mut notes)?;
    root::enter(spec)?;
    let mut ours = None;
    let streams = match streams {
        Streams::Plain(streams) => {
            step(setsid(), || "start a session".to_owned())?;
            streams
        }
        Streams::Terminal => {
            let (our_side, theirs) = step(terminal(), || "open a terminal".to_owned())?;
            step(setsid(), || "start a session".to_owned())?;
            step(ioctl_tiocsctty(&theirs), || "take the terminal".to_owned())?;
            ours = Some(our_side);
            step(three(&theirs), || "take the terminal".to_owned())?
        }
    };
    let ready = process::prepare(&spec.process)?;
    root::seal(spec)?;
    let descriptors: Vec<BorrowedFd<'_>> =
        ours.iter().chain(&tunnel).map(std::os::fd::AsFd::as_fd).collect();
    let message = Encoder::default()
        .number(PREPARED)
        .number(u32::from(ours.is_some()))
        .number(u32::from(tunnel.is_some()))
        .list(&notes, |message, note| message.bytes(note))
        .finish();
    step(send(socket.as_fd(), &message, &descriptors), || "reach the supervisor".to_owned())?;
    drop((ours, tunnel));
    step(take_streams(streams), || "take the streams".to_owned())?;
    if spec.init
        && let Some(code) = stand_by(socket)?
    {
        return Ok(code);
    }
    Err(process::execute(ready, &spec.process, spec.privileged))
}

/// Makes the network the specification asks for. Returns the other side of the tunnel.
fn network(spec: &ContainerSpec, notes: &mut Vec<String>) -> Result<Option<OwnedFd>, Failed> {
    if spec.network == ContainerNetwork::Host {
        return Ok(None);
    }
    step(interfaces::loopback(), || "bring loopback up".to_owned())?;
    if spec.network == ContainerNetwork::None {
        return Ok(None);
    }
    match interfaces::open_tunnel() {
        Ok(tunnel) => Ok(Some(tunnel)),
        Err(error) => {
            notes.push(format!("no network: cannot open /dev/net/tun ({error})"));
            Ok(None)
        }
    }
}

pub(super) fn three(stream: &OwnedFd) -> io::Result<[OwnedFd; 3]> {
    Ok([stream.try_clone()?, stream.try_clone()?, stream.try_clone()?])
}

/// Puts the streams where programs look for them.
pub(super) fn take_streams(streams: [OwnedFd; 3]) -> io::Result<()> {
    // First above the three places, so that none is overwritten before it is used.
    let mut high = Vec::new();
    for stream in streams {
        high.push(rustix::io::fcntl_dupfd_cloexec(stream, 3)?);
    }
    for (number, stream) in (0..).zip(&high) {
        // SAFETY: takes integers; the three standard descriptors are nobody's to own.
        if unsafe { libc::dup2(stream.as_raw_fd(), number) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Goes on in a child, while this process stays as the first one: it passes signals on and reaps
/// whatever ends. Returns nothing in the child, and the exit code here.
fn stand_by(socket: &OwnedFd) -> Result<Option<i32>, Failed> {
    // SAFETY: the set is initialised before it is used. This process has one thread, so the child
    // goes on like one of fork(2).
    let (child, set) = unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut set);
        libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
        (libc::fork(), set)
    };
    match child {
        -1 => step(Err(io::Error::last_os_error()), || "start the program".to_owned()),
        0 => {
            // SAFETY: as above.
            unsafe {
                let mut none: libc::sigset_t = std::mem::zeroed();
                libc::sigemptyset(&raw mut none);
                libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
            }
            Ok(None)
        }
        child => {
            // The program's own copy alone tells the supervisor that it runs.
            // SAFETY: closes a descriptor that this process, which never returns from here to a
            // place that uses it, does not use again.
            unsafe { libc::close(socket.as_raw_fd()) };
            let mut code = 0;
            loop {
                let mut signal = 0;
                // SAFETY: both pointers are to locals that outlive the call.
                if unsafe { libc::sigwait(&raw const set, &raw mut signal) } != 0 {
                    continue;
                }
                if signal != libc::SIGCHLD {
                    // SAFETY: takes integers. A child that has ended gets no signal.
                    unsafe { libc::kill(child, signal) };
                    continue;
                }
                let mut is_over = false;
                while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
                    if pid.as_raw_nonzero().get() == child {
                        code = exit_code(status.as_raw());
                        is_over = true;
                    }
                }
                if is_over {
                    return Ok(Some(code.into()));
                }
            }
        }
    }
}

/// Returns a status of wait(2) as a shell tells it.
pub(super) fn exit_code(status: i32) -> u8 {
    let code = if libc::WIFSIGNALED(status) {
        128 + libc::WTERMSIG(status)
    } else {
        libc::WEXITSTATUS(status)
    };
    u8::try_from(code).unwrap_or(u8::MAX)
}
