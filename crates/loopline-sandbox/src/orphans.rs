//! Finds and ends processes of a job that outlived whoever started them.
//!
//! Loopline makes itself the reaper of its descendants (prctl(2), `PR_SET_CHILD_SUBREAPER`), so a
//! process whose parent ends becomes Loopline's child however often it forked or changed its
//! session. Which job it belongs to is told by a marker in its environment, and if that was
//! cleared by its process group.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::{LazyLock, Mutex, MutexGuard, Once, PoisonError, RwLock, RwLockReadGuard};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, getpgid, getpgrp, getpid, pidfd_open,
    pidfd_send_signal, set_child_subreaper, waitid,
};

use crate::machine::MachineError;

/// The variable that marks every process of a job started on the host.
pub(crate) const MARKER: &str = "LOOPLINE_JOB_MARKER";

/// How often a teardown looks again for processes that were forked while it was killing.
const ROUNDS: usize = 1000;

/// How long a killed process may take to end: more than the kernel ever needs, unless a device
/// hangs.
const DEATH: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// Held for reading while a process is started and registered, for writing while children are
/// listed: a child that is listed is either registered or an orphan.
static SPAWNING: RwLock<()> = RwLock::new(());
/// The children that a [`crate::Process`] holds and will reap.
static HELD: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());
/// The markers of the jobs that have not been torn down.
static JOBS: LazyLock<Mutex<BTreeSet<String>>> = LazyLock::new(Mutex::default);
/// One teardown at a time, so that nobody reaps what another is looking at.
static SWEEP: Mutex<()> = Mutex::new(());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes this process the reaper of its descendants.
pub(crate) fn adopt() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Refused only by kernels older than 3.4, where orphans go to the first process.
        let _ = set_child_subreaper(Some(getpid()));
    });
}

/// Announces a job; its marker must be unique.
pub(crate) fn enlist(marker: &str) {
    adopt();
    lock(&JOBS).insert(marker.to_owned());
}

/// Announces that the job's processes are gone.
pub(crate) fn discharge(marker: &str) {
    lock(&JOBS).remove(marker);
}

/// Keeps orphan hunts away until the returned guard is dropped.
pub(crate) fn spawning() -> RwLockReadGuard<'static, ()> {
    SPAWNING.read().unwrap_or_else(PoisonError::into_inner)
}

/// Registers a child that somebody will reap.
pub(crate) fn hold(pid: Pid) {
    lock(&HELD).insert(pid.as_raw_nonzero().get());
}

/// Forgets a child that was reaped.
pub(crate) fn release(pid: Pid) {
    lock(&HELD).remove(&pid.as_raw_nonzero().get());
}

/// Signals every orphan of the job once.
pub(crate) fn signal(marker: &str, groups: &BTreeSet<i32>, signal: Signal) -> io::Result<()> {
    let _sweep = lock(&SWEEP);
    for pid in find(marker, groups)? {
        // It may have ended meanwhile; it is our unreaped child, so nobody else has its number.
        let _ = rustix::process::kill_process(pid, signal);
    }
    Ok(())
}

/// Kills the job's orphans until none is left, and returns how many there were.
pub(crate) fn end(marker: &str, groups: &BTreeSet<i32>) -> Result<usize, MachineError> {
    let _sweep = lock(&SWEEP);
    let mut killed = 0;
    for _ in 0..ROUNDS {
        let found = find(marker, groups).map_err(MachineError::Processes)?;
        if found.is_empty() {
            return Ok(killed);
        }
        let mut dying = Vec::with_capacity(found.len());
        for pid in found {
            let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
            let _ = pidfd_send_signal(&pidfd, Signal::KILL);
            dying.push((pid, pidfd));
        }
        for (pid, pidfd) in dying {
            let _ = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&DEATH));
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
            if let Ok(Some(_)) = waitid(WaitId::Pid(pid), options) {
                killed += 1;
            }
        }
    }
    let remaining = find(marker, groups).map_err(MachineError::Processes)?.len();
    if remaining == 0 { Ok(killed) } else { Err(MachineError::Unkillable { remaining }) }
}

/// Lists the job's orphans; reaps dead orphans of whatever job on the way.
fn find(marker: &str, groups: &BTreeSet<i32>) -> io::Result<Vec<Pid>> {
    let (held, children) = {
        let _nobody_starts = SPAWNING.write().unwrap_or_else(PoisonError::into_inner);
        (lock(&HELD).clone(), children()?)
    };
    let mut found = Vec::new();
    for number in children {
        let Some(pid) = Pid::from_raw(number) else { continue };
        if held.contains(&number) {
            continue;
        }
        let group = getpgid(Some(pid)).ok();
        // A child in our own group was started by somebody who does not use this crate.
        if group == Some(getpgrp()) {
            continue;
        }
        if is_dead(number) {
            let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
            continue;
        }
        let ours = match marker_of(number) {
            Some(theirs) if theirs == marker => true,
            Some(theirs) if lock(&JOBS).contains(&theirs) => false,
            _ => {
                let known = group.is_some_and(|it| groups.contains(&it.as_raw_nonzero().get()));
                known || lock(&JOBS).iter().all(|job| job == marker)
            }
        };
        if ours {
            found.push(pid);
        }
    }
    Ok(found)
}

/// Lists this process's children.
fn children() -> io::Result<Vec<i32>> {
    let mut all = Vec::new();
    for task in fs_err::read_dir("/proc/self/task")? {
        // A thread that ends meanwhile has handed its children to another.
        match fs_err::read_to_string(task?.path().join("children")) {
            Ok(text) => {
                all.extend(text.split_ascii_whitespace().filter_map(|it| it.parse::<i32>().ok()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return children_by_parent();
            }
            Err(_) => {}
        }
    }
    Ok(all)
}

/// Lists this process's children on kernels built without `CONFIG_PROC_CHILDREN`.
fn children_by_parent() -> io::Result<Vec<i32>> {
    let me = getpid().as_raw_nonzero().get();
    let mut all = Vec::new();
    for entry in fs_err::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(number) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        if stat(number).is_some_and(|(_, parent)| parent == me) {
            all.push(number);
        }
    }
    Ok(all)
}

fn is_dead(number: i32) -> bool {
    stat(number).is_none_or(|(state, _)| matches!(state, 'Z' | 'X'))
}

/// Reads the state and the parent out of `/proc/PID/stat`; the name before them may hold
/// anything, so the last parenthesis counts.
fn stat(number: i32) -> Option<(char, i32)> {
    let text = fs_err::read(format!("/proc/{number}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text);
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// Reads the job's marker out of a process's environment.
fn marker_of(number: i32) -> Option<String> {
    let environment = fs_err::read(format!("/proc/{number}/environ")).ok()?;
    environment.split(|byte| *byte == 0).find_map(|variable| {
        let value = variable.strip_prefix(MARKER.as_bytes())?.strip_prefix(b"=")?;
        Some(std::ffi::OsStr::from_bytes(value).to_string_lossy().into_owned())
    })
}

/// Signals the process groups whose leaders are held: an unreaped leader keeps its number.
pub(crate) fn signal_groups(groups: &BTreeSet<i32>, signal: Signal) {
    let held = lock(&HELD);
    for group in groups.intersection(&held).copied().filter_map(Pid::from_raw) {
        let _ = rustix::process::kill_process_group(group, signal);
    }
}

/// Kills the process groups whose leaders are held and waits until the leaders have ended; they
/// are reaped by whoever holds them.
pub(crate) fn end_groups(groups: &BTreeSet<i32>) {
    let mut dying = Vec::new();
    {
        let held = lock(&HELD);
        for group in groups.intersection(&held).copied().filter_map(Pid::from_raw) {
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
            dying.extend(pidfd_open(group, PidfdFlags::empty()));
        }
    }
    for pidfd in dying {
        let _ = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&DEATH));
    }
}

/// Kills and reaps a child that could not be handed out.
pub(crate) fn abandon(pid: Pid) {
    let _ = rustix::process::kill_process_group(pid, Signal::KILL);
    let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED);
    release(pid);
}
