//! The first process of a sandbox at work: starts what the owner asks for, passes signals on,
//! reaps everything, and ends, with all that runs under it, when the owner does.
#![expect(unsafe_code, reason = "rustix has no signalfd")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsFd as _, FromRawFd as _, OwnedFd};
use std::path::PathBuf;
use std::process::Stdio;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv};
use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, wait};

use super::protocol::{Decoder, Encoder, receive, send};
use crate::launch::{Launch, Streams, launch, terminal};
use crate::process::SpawnError;

/// What the owner can ask for; the first number of a message.
pub(super) const SPAWN: u32 = 0;
pub(super) const LISTEN: u32 = 1;
pub(super) const KILL_ALL: u32 = 2;
pub(super) const TEAR_DOWN: u32 = 3;

/// The answers.
pub(super) const DONE: u32 = 0;
pub(super) const REFUSED: u32 = 1;

/// How the streams of a process travel: as descriptors after the answer socket.
pub(super) const NULL_INPUT: u32 = 0;
pub(super) const GIVEN_INPUT: u32 = 1;
pub(super) const TERMINAL: u32 = 2;

/// A process that the owner started, and the socket on which it hears of it.
type Children = BTreeMap<i32, OwnedFd>;

/// Serves until the owner is gone or asks for the end.
pub(super) fn serve(control: &OwnedFd) -> io::Result<()> {
    let deaths = watch_deaths()?;
    let mut children = Children::new();
    loop {
        let ready = wait_for_events(control, &deaths, &children)?;
        if ready.deaths {
            // Only a wake-up: what ended is asked for below.
            let mut ignored = [0; 128];
            let _ = rustix::io::read(&deaths, &mut ignored);
            reap(&mut children);
        }
        for pid in ready.children {
            pass_signal(pid, &mut children);
        }
        if !ready.control {
            continue;
        }
        let Some((message, descriptors)) = receive(control.as_fd())? else { return Ok(()) };
        let mut descriptors = descriptors.into_iter();
        let Some(answer) = descriptors.next() else { continue };
        let mut message = Decoder::new(&message);
        match message.number()? {
            SPAWN => spawn(&mut message, descriptors, answer, &mut children)?,
            LISTEN => listen(&answer)?,
            KILL_ALL => {
                let number = message.signed()?;
                if let Some(signal) = crate::signal::Signal::from_number(number) {
                    // Everything but this process; that nothing is there is no error.
                    let _ = kill_everything(signal.native());
                }
                let _ = send(answer.as_fd(), &Encoder::default().number(DONE).finish(), &[]);
            }
            TEAR_DOWN => {
                let orphans = end_all(&mut children);
                let message = Encoder::default().number(DONE).number(orphans).finish();
                let _ = send(answer.as_fd(), &message, &[]);
                return Ok(());
            }
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// Signals everything in the sandbox but this process.
fn kill_everything(signal: Signal) -> io::Result<()> {
    // SAFETY: takes integers only; -1 means every process that may be signalled.
    if unsafe { libc::kill(-1, signal.as_raw()) } == 0 {
        return Ok(());
    }
    Err(io::Error::last_os_error())
}

/// Blocks the signal that tells of ended children and turns it into a descriptor.
fn watch_deaths() -> io::Result<OwnedFd> {
    // SAFETY: the set is initialised by `sigemptyset` before it is used, and all pointers are to
    // a local that outlives the calls. The descriptor is new and owned by nobody else.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        if libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
        let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
        match libc::signalfd(-1, &raw const set, flags) {
            -1 => Err(io::Error::last_os_error()),
            number => Ok(OwnedFd::from_raw_fd(number)),
        }
    }
}

struct Ready {
    control: bool,
    deaths: bool,
    children: Vec<i32>,
}

fn wait_for_events(control: &OwnedFd, deaths: &OwnedFd, children: &Children) -> io::Result<Ready> {
    let mut watched = Vec::with_capacity(children.len() + 2);
    watched.push(PollFd::new(control, PollFlags::IN));
    watched.push(PollFd::new(deaths, PollFlags::IN));
    watched.extend(children.values().map(|socket| PollFd::new(socket, PollFlags::IN)));
    loop {
        match poll(&mut watched, None) {
            Ok(_) => break,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let is_ready = |index: usize| watched.get(index).is_some_and(|it| !it.revents().is_empty());
    let children = children.keys().enumerate();
    Ok(Ready {
        control: is_ready(0),
        deaths: is_ready(1),
        children: children.filter(|(index, _)| is_ready(index + 2)).map(|(_, pid)| *pid).collect(),
    })
}

/// Reaps whatever has ended; tells the owner of what it started. Returns how many others ended.
fn reap(children: &mut Children) -> u32 {
    let mut others = 0;
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        others += note_end(pid, status.as_raw(), children);
    }
    others
}

fn note_end(pid: Pid, status: i32, children: &mut Children) -> u32 {
    match children.remove(&pid.as_raw_nonzero().get()) {
        Some(socket) => {
            // An owner that no longer listens does not want to know.
            let _ = rustix::net::send(&socket, &status.to_le_bytes(), SendFlags::NOSIGNAL);
            0
        }
        None => 1,
    }
}

/// Passes a signal from the owner to a process group; without an owner the group is killed.
fn pass_signal(pid: i32, children: &mut Children) {
    let Some(socket) = children.get(&pid) else { return };
    let mut message = [0; 4];
    let signal = match recv(socket, &mut message, RecvFlags::DONTWAIT) {
        Ok((4, _)) => crate::signal::Signal::from_number(i32::from_le_bytes(message))
            .map(crate::signal::Signal::native),
        Err(Errno::AGAIN | Errno::INTR) => None,
        Ok(_) | Err(_) => {
            children.remove(&pid);
            Some(Signal::KILL)
        }
    };
    if let (Some(signal), Some(group)) = (signal, Pid::from_raw(pid)) {
        let _ = kill_process_group(group, signal);
    }
}

fn spawn(
    message: &mut Decoder<'_>,
    mut descriptors: impl Iterator<Item = OwnedFd>,
    answer: OwnedFd,
    children: &mut Children,
) -> io::Result<()> {
    let program = message.bytes()?;
    let args = message.list(Decoder::bytes)?;
    let env: Vec<(OsString, OsString)> =
        message.list(|message| Ok((message.bytes()?, message.bytes()?)))?;
    let cwd = PathBuf::from(message.bytes()?);
    let mut ours = None;
    let kind = message.number()?;
    let streams = if kind == TERMINAL {
        match terminal() {
            Ok((our_side, their_side)) => {
                ours = Some(our_side);
                Streams::Terminal(their_side)
            }
            Err(source) => {
                return refuse(&answer, &SpawnError::System { program: program.into(), source });
            }
        }
    } else {
        let mut next = || {
            let found = descriptors.next().map(Stdio::from);
            found.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
        };
        let stdin = if kind == GIVEN_INPUT { next()? } else { Stdio::null() };
        Streams::Plain { stdin, stdout: next()?, stderr: next()? }
    };
    match launch(Launch { program: &program, args: &args, env: &env, cwd: &cwd, streams }) {
        Ok(pid) => {
            let number = pid.as_raw_nonzero().get();
            let message = Encoder::default().number(DONE).signed(number).finish();
            let descriptors: Vec<_> = ours.iter().map(OwnedFd::as_fd).collect();
            let _ = send(answer.as_fd(), &message, &descriptors);
            children.insert(number, answer);
            Ok(())
        }
        Err(error) => refuse(&answer, &error),
    }
}

fn refuse(answer: &OwnedFd, error: &SpawnError) -> io::Result<()> {
    let message = encode_error(Encoder::default().number(REFUSED), error).finish();
    // An owner that no longer listens does not want to know.
    let _ = send(answer.as_fd(), &message, &[]);
    Ok(())
}

fn listen(answer: &OwnedFd) -> io::Result<()> {
    let (message, listener) = match TcpListener::bind((Ipv4Addr::LOCALHOST, 0)) {
        Ok(listener) => (Encoder::default().number(DONE), Some(listener)),
        Err(error) => {
            let code = error.raw_os_error().unwrap_or(0);
            (Encoder::default().number(REFUSED).signed(code), None)
        }
    };
    let descriptors: Vec<_> = listener.iter().map(std::os::fd::AsFd::as_fd).collect();
    let _ = send(answer.as_fd(), &message.finish(), &descriptors);
    Ok(())
}

/// Kills and reaps until nothing is left. Returns how many the owner had not started.
fn end_all(children: &mut Children) -> u32 {
    // What is already dead did not outlive anything.
    reap(children);
    let mut orphans = 0;
    loop {
        let _ = kill_everything(Signal::KILL);
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) => orphans += note_end(pid, status.as_raw(), children),
            Err(Errno::INTR) | Ok(None) => {}
            Err(_) => return orphans,
        }
    }
}

fn encode_error(message: Encoder, error: &SpawnError) -> Encoder {
    let code = |source: &io::Error| source.raw_os_error().unwrap_or(0);
    match error {
        SpawnError::NotFound { program, path } => message.number(0).bytes(program).bytes(path),
        SpawnError::Denied { program } => message.number(1).bytes(program),
        SpawnError::Format { program } => message.number(2).bytes(program),
        SpawnError::Interpreter { program } => message.number(3).bytes(program),
        SpawnError::Directory { cwd, source } => message.number(4).bytes(cwd).signed(code(source)),
        SpawnError::TooLarge { program } => message.number(5).bytes(program),
        SpawnError::ZeroByte { program } => message.number(6).bytes(program),
        SpawnError::TornDown { program } => message.number(7).bytes(program),
        SpawnError::System { program, source } => {
            message.number(8).bytes(program).signed(code(source))
        }
    }
}

/// Reads the error that [`encode_error`] wrote.
pub(super) fn decode_error(message: &mut Decoder<'_>) -> io::Result<SpawnError> {
    let kind = message.number()?;
    let name = message.bytes()?;
    let program = PathBuf::from(name.clone());
    Ok(match kind {
        0 => SpawnError::NotFound { program: name, path: message.bytes()? },
        1 => SpawnError::Denied { program },
        2 => SpawnError::Format { program },
        3 => SpawnError::Interpreter { program },
        4 => SpawnError::Directory {
            cwd: program,
            source: io::Error::from_raw_os_error(message.signed()?),
        },
        5 => SpawnError::TooLarge { program },
        6 => SpawnError::ZeroByte { program },
        7 => SpawnError::TornDown { program: name },
        8 => {
            SpawnError::System { program, source: io::Error::from_raw_os_error(message.signed()?) }
        }
        _ => return Err(io::ErrorKind::InvalidData.into()),
    })
}
