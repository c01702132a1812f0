//! Further processes in a running container: `exec`, and health checks.
#![expect(unsafe_code, reason = "fork, and joining user namespaces, have no safe interface")]

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use rustix::process::{
    DumpableBehavior, Pid, WaitOptions, ioctl_tiocsctty, set_dumpable_behavior,
    set_parent_process_death_signal, setsid, waitpid,
};

use super::init::{NotStarted, Streams, hear, refuse, take_streams, three};
use super::process::{self, Refusal};
use super::spec::{ContainerNetwork, ContainerSpec, ProcessConfig};
use crate::launch::terminal;
use crate::sandbox::group::Group;
use crate::sandbox::helper::clone_apart;
use crate::sandbox::owner::pair;
use crate::sandbox::protocol::{Encoder, receive, send};
use crate::sandbox::setup::step;

/// A process that has joined a container.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) pid: Pid,
    /// Readable once it has ended.
    pub(super) end: OwnedFd,
    /// Our side of its terminal.
    pub(super) terminal: Option<OwnedFd>,
}

/// Starts a process in the namespaces of the container whose first process `init` is a descriptor
/// of. Called by the supervisor, which becomes its parent.
pub(super) fn start(
    spec: &ContainerSpec,
    init: &OwnedFd,
    group: &mut Group,
    config: &ProcessConfig,
    streams: Streams,
) -> Result<Joined, NotStarted> {
    let fail = NotStarted::by_system;
    let (ours, theirs) = pair().map_err(|error| fail("talk to the process", &error))?;
    // A process enters namespaces of processes only with its children, so two are made: one that
    // joins, and ends, and its child, which is the supervisor's all the same.
    match clone_apart(0).map_err(|error| fail("start a process", &error))? {
        None => {
            drop(ours);
            let code = match go_between(spec, init, config, &theirs, streams) {
                Ok(()) => 0,
                Err(refusal) => refuse(&theirs, refusal),
            };
            // SAFETY: ends this copy of the supervisor at once, without running its destructors.
            unsafe { libc::_exit(code) }
        }
        Some((between, _end)) => {
            drop((theirs, streams));
            let reap = || {
                if let Some(pid) = Pid::from_raw(between) {
                    // It ends by itself; how says nothing that it has not said.
                    let _ = waitpid(Some(pid), WaitOptions::empty());
                }
            };
            let admitted =
                group.admit(&between.to_string()).and_then(|()| send(ours.as_fd(), &[], &[]));
            if let Err(error) = admitted {
                drop(ours);
                reap();
                return Err(fail("enter the container's control group", &error));
            }
            let first = receive(ours.as_fd());
            reap();
            let joined = first.map_err(|error| fail("talk to the process", &error))?;
            let Some((message, descriptors)) = joined else {
                return Err(fail("join the container", &io::ErrorKind::BrokenPipe.into()));
            };
            let Some(end) = descriptors.into_iter().next() else {
                return Err(super::init::refused(&message));
            };
            let number = message.try_into().map_or(0, i32::from_le_bytes);
            let pid = Pid::from_raw(number)
                .ok_or_else(|| fail("join the container", &io::ErrorKind::InvalidData.into()))?;
            let heard = hear(&ours).inspect_err(|_| {
                let _ = rustix::process::pidfd_send_signal(&end, rustix::process::Signal::KILL);
                let _ = waitpid(Some(pid), WaitOptions::empty());
            })?;
            Ok(Joined { pid, end, terminal: heard.terminal })
        }
    }
}

/// Joins the namespaces and leaves a child there. Returns in the process in between only.
fn go_between(
    spec: &ContainerSpec,
    init: &OwnedFd,
    config: &ProcessConfig,
    socket: &OwnedFd,
    streams: Streams,
) -> Result<(), Refusal> {
    step(set_dumpable_behavior(DumpableBehavior::NotDumpable), || {
        "hide from the container".to_owned()
    })?;
    // Until the group is entered.
    step(receive(socket.as_fd()), || "wait for the supervisor".to_owned())?;
    let mut namespaces = libc::CLONE_NEWUSER
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWCGROUP;
    if spec.network != ContainerNetwork::Host {
        namespaces |= libc::CLONE_NEWNET;
    }
    // SAFETY: takes integers. This process has one thread, as joining a user namespace demands.
    if unsafe { libc::setns(init.as_raw_fd(), namespaces) } != 0 {
        return Err(Refusal::SetUp(crate::sandbox::setup::Failed {
            step: "join the container".to_owned(),
            source: io::Error::last_os_error(),
        }));
    }
    // Root inside, whoever that is outside.
    // SAFETY: takes integers; this process has one thread.
    unsafe {
        libc::setresgid(0, 0, 0);
        libc::setresuid(0, 0, 0);
    }
    match step(clone_apart(libc::CLONE_PARENT), || "start a process".to_owned())? {
        Some((child, end)) => {
            let message = child.to_le_bytes();
            step(send(socket.as_fd(), &message, &[end.as_fd()]), || {
                "reach the supervisor".to_owned()
            })?;
            Ok(())
        }
        None => {
            let code = match become_program(spec, config, socket, streams) {
                Ok(()) => 0,
                Err(refusal) => refuse(socket, refusal),
            };
            // SAFETY: as above.
            unsafe { libc::_exit(code) }
        }
    }
}

fn become_program(
    spec: &ContainerSpec,
    config: &ProcessConfig,
    socket: &OwnedFd,
    streams: Streams,
) -> Result<(), Refusal> {
    process::survive_terminals();
    let ends_with_supervisor = set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    step(ends_with_supervisor, || "prepare to end with the supervisor".to_owned())?;
    step(setsid(), || "start a session".to_owned())?;
    let mut ours = None;
    let streams = match streams {
        Streams::Plain(streams) => streams,
        Streams::Terminal => {
            let (our_side, theirs) = step(terminal(), || "open a terminal".to_owned())?;
            step(ioctl_tiocsctty(&theirs), || "take the terminal".to_owned())?;
            ours = Some(our_side);
            step(three(&theirs), || "take the terminal".to_owned())?
        }
    };
    let ready = process::prepare(config)?;
    let message = Encoder::default()
        .number(super::init::PREPARED)
        .number(u32::from(ours.is_some()))
        .number(0)
        .number(0)
        .finish();
    let descriptors: Vec<_> = ours.iter().map(OwnedFd::as_fd).collect();
    step(send(socket.as_fd(), &message, &descriptors), || "reach the supervisor".to_owned())?;
    drop(ours);
    step(take_streams(streams), || "take the streams".to_owned())?;
    Err(process::execute(ready, config, spec.privileged))
}
