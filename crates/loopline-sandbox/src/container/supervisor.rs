//! The process that watches over one container: forked from the fork server, with one thread, so
//! that it can fork into namespaces itself. It holds the container's output, writes its log and
//! state, answers requests, checks its health and starts it again.
//!
//! A detached one outlives whoever asked for it; any other kills its container when they end.
#![expect(unsafe_code, reason = "descriptors of a forked child are closed by number")]

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::time::Duration;

use fs_err as fs;
use loopline_clock::Clock;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    Pid, Signal, WaitOptions, pidfd_send_signal, set_parent_process_death_signal, setsid, waitpid,
};

use super::clients::{Clients, OUTPUT_QUEUE_BYTES};
use super::control::{HealthStatus, Restart, Start, State, Status};
use super::health::Checks;
use super::init::{self, Init, NotStarted, Streams, exit_code};
use super::log::Log;
use super::ports::{self, Published, publish};
use super::spec::{Ended, Port, Root};
use crate::sandbox::group::Group;
use crate::sandbox::helper::clone_apart;
use crate::sandbox::removal::remove_state;
use crate::sandbox::uplink::Uplink;

/// How much output is read at once, in bytes.
const READ_BYTES: usize = 32 * 1024;
/// How often an output is read before others have their turn: whoever prints without end must not
/// keep the supervisor from hearing that it shall stop.
const READS: usize = 16;
/// How long the first wait before a restart is, and the longest; as Docker doubles it.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LAST_BACKOFF: Duration = Duration::from_secs(60);
/// A container that ran so long has its next restart at once.
const STEADY: Duration = Duration::from_secs(10);

/// A container and all that is known of it.
pub(super) struct Supervisor {
    pub(super) start: Start,
    pub(super) clock: Clock,
    pub(super) state: State,
    pub(super) group: Group,
    pub(super) init: Option<Init>,
    /// The ends that its outputs are read from; a terminal is one for both.
    outputs: [Option<OwnedFd>; 2],
    /// Where its input is written to.
    pub(super) input: Option<OwnedFd>,
    /// The streams it was given instead.
    given: Option<[OwnedFd; 3]>,
    uplink: Option<(Pid, OwnedFd)>,
    log: Option<Log>,
    checks: Option<Checks>,
    /// When it is killed if it has not stopped by then.
    pub(super) kill_at: Option<Duration>,
    /// Whether it was asked to stop, so that it is not started again.
    pub(super) is_stopping: bool,
    restart_at: Option<Duration>,
    backoff: Duration,
    started: Duration,
}

/// Watches over the container to its end. `owner` is the connection of whoever asked for it.
pub(crate) fn supervise(owner: OwnedFd, message: &[u8], streams: Vec<OwnedFd>) -> io::Result<()> {
    let start: Start = serde_json::from_slice(message)?;
    if start.supervision.detached {
        setsid()?;
        leave_streams()?;
    } else {
        set_parent_process_death_signal(Some(Signal::KILL))?;
    }
    let mut clients = Clients::new(owner, start.folder.as_deref(), start.supervision.detached)?;
    let log = start.folder.as_deref().map(Log::open).transpose()?;
    let mut supervisor = Supervisor {
        clock: Clock::real(),
        state: State::created(),
        group: Group::default(),
        init: None,
        outputs: [None, None],
        input: None,
        given: <[OwnedFd; 3]>::try_from(streams).ok(),
        uplink: None,
        log,
        checks: start.supervision.health.clone().map(Checks::new),
        kill_at: None,
        is_stopping: false,
        restart_at: None,
        backoff: FIRST_BACKOFF,
        started: Duration::ZERO,
        start,
    };
    match supervisor.run() {
        Ok(()) => clients.started(),
        Err(error) => {
            supervisor.note_failure(&error);
            supervisor.write_state()?;
            clients.not_started(&error);
            return Ok(());
        }
    }
    supervisor.watch(&mut clients)?;
    clients.farewell(supervisor.state.ended);
    Ok(())
}

impl Supervisor {
    /// Starts the container's first process.
    fn run(&mut self) -> Result<(), NotStarted> {
        let fail = |error: io::Error| NotStarted::by_system("prepare the container", &error);
        if let Root::Layers { upper, work, .. } = &self.start.spec.root {
            // What an earlier end left there would keep the layers from being mounted again.
            remove_state(work).map_err(fail)?;
            fs::create_dir_all(work).map_err(fail)?;
            fs::create_dir_all(upper).map_err(fail)?;
        }
        let spec = &self.start.spec;
        let (mut group, mut notes) = Group::of_container(&spec.id, &spec.limits);
        let published = publish(&spec.ports).map_err(|(port, error)| NotStarted {
            code: 125,
            message: format!("listen on {} for port {}: {error}", port.host, port.container),
        })?;
        let ports = published
            .iter()
            .map(|it| Ok(Port { host: it.listener.local_addr()?, container: it.port }));
        let ports = ports.collect::<io::Result<_>>().map_err(fail)?;
        let streams = self.streams().map_err(fail)?;
        let mut init = init::start(&self.start.spec, &mut group, streams)?;
        let tunnel = init.tunnel.take();
        if tunnel.is_some() || !published.is_empty() {
            match carry(tunnel, published, init.pid) {
                Ok(process) => self.uplink = Some(process),
                // A program that has ended already needs no network.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(fail(error)),
            }
        }
        if let Some(terminal) = &init.terminal {
            let ours = terminal.try_clone().map_err(fail)?;
            not_blocking(&ours).map_err(fail)?;
            self.outputs = [Some(ours), None];
        }
        notes.append(&mut init.notes);
        let now = self.clock.monotonic();
        self.started = now;
        self.group = group;
        self.state.status = Status::Running;
        self.state.pid = init.pid.as_raw_nonzero().get();
        self.state.started_at = Some(self.clock.now());
        self.state.ended = None;
        self.state.error = None;
        self.state.notes = notes;
        self.state.ports = ports;
        self.init = Some(init);
        if let Some(checks) = &mut self.checks {
            self.state.health = Some(HealthStatus::Starting);
            checks.begin(now);
        }
        self.write_state().map_err(fail)
    }

    /// Makes the streams of the first process, and keeps our ends.
    fn streams(&mut self) -> io::Result<Streams> {
        self.outputs = [None, None];
        self.input = None;
        if self.start.supervision.terminal {
            return Ok(Streams::Terminal);
        }
        if let Some([input, output, error]) = &self.given {
            let streams = [input.try_clone()?, output.try_clone()?, error.try_clone()?];
            return Ok(Streams::Plain(streams));
        }
        let input: OwnedFd = if self.start.supervision.open_input {
            let (theirs, ours) = pipe_with(PipeFlags::CLOEXEC)?;
            not_blocking(&ours)?;
            self.input = Some(ours);
            theirs
        } else {
            fs::File::open("/dev/null")?.into_parts().0.into()
        };
        let (output, error) = (crate::launch::output_pipe()?, crate::launch::output_pipe()?);
        not_blocking(&output.0)?;
        not_blocking(&error.0)?;
        self.outputs = [Some(output.0), Some(error.0)];
        Ok(Streams::Plain([input, output.1, error.1]))
    }

    /// Answers and watches until the container has ended for good.
    fn watch(&mut self, clients: &mut Clients) -> io::Result<()> {
        loop {
            self.wait_for_events(clients)?;
            self.read_outputs(clients);
            clients.serve(self);
            if clients.owner_is_gone() {
                self.is_stopping = true;
                self.kill(Signal::KILL);
            }
            let now = self.clock.monotonic();
            if let Some(mut checks) = self.checks.take() {
                let before = self.state.health;
                checks.turn(self, now);
                self.checks = Some(checks);
                if self.state.health != before {
                    self.write_state()?;
                }
            }
            if self.kill_at.is_some_and(|at| at <= now) {
                self.kill_at = None;
                self.kill(Signal::KILL);
            }
            if let Some(ended) = self.reap()? {
                self.read_outputs(clients);
                self.close(ended)?;
                if !self.plan_restart(ended, now) {
                    return self.write_state();
                }
                self.write_state()?;
            }
            let Some(restart_at) = self.restart_at else { continue };
            if self.is_stopping {
                self.state.status = Status::Exited;
                return self.write_state();
            }
            if restart_at <= now {
                self.restart_at = None;
                self.state.restarts += 1;
                if let Err(error) = self.run() {
                    self.note_failure(&error);
                    return self.write_state();
                }
            }
        }
    }

    fn wait_for_events(&self, clients: &Clients) -> io::Result<()> {
        let mut watched = Vec::new();
        if let Some(init) = &self.init {
            watched.push(PollFd::new(&init.end, PollFlags::IN));
        }
        if clients.queued_bytes() < OUTPUT_QUEUE_BYTES {
            for output in self.outputs.iter().flatten() {
                watched.push(PollFd::new(output, PollFlags::IN));
            }
        }
        clients.watch(&mut watched);
        let mut until: Option<Duration> = self.kill_at;
        let mut earliest = |at: Option<Duration>| {
            until = match (until, at) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
        };
        earliest(self.restart_at);
        if let Some(checks) = &self.checks {
            checks.watch(&mut watched);
            earliest(checks.next());
        }
        let limit = until.map(|at| {
            let left = at.saturating_sub(self.clock.monotonic());
            Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            }
        });
        loop {
            match poll(&mut watched, limit.as_ref()) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Reads what was printed, as long as somebody can take it; all that is left where the container
    /// has ended.
    fn read_outputs(&mut self, clients: &mut Clients) {
        let mut buffer = vec![0; READ_BYTES];
        for index in 0..2 {
            let mut reads = 0;
            while self.init.is_none()
                || (reads < READS && clients.queued_bytes() < OUTPUT_QUEUE_BYTES)
            {
                reads += 1;
                let Some(output) = &self.outputs[index] else { break };
                match rustix::io::read(output, &mut buffer) {
                    // A terminal that nobody has open any more says so by an error.
                    Ok(0) | Err(Errno::IO) => self.outputs[index] = None,
                    Ok(count) => {
                        let text = &buffer[..count];
                        if let Some(log) = &mut self.log
                            && let Err(error) = log.add(index == 1, text, self.clock.now())
                        {
                            self.note(format!("the log is incomplete: {error}"));
                        }
                        clients.printed(index == 1, text);
                    }
                    Err(Errno::INTR) => {}
                    Err(_) => break,
                }
            }
        }
    }

    fn note(&mut self, note: String) {
        if !self.state.notes.contains(&note) {
            self.state.notes.push(note);
        }
    }

    /// Reaps the first process if it has ended.
    fn reap(&mut self) -> io::Result<Option<Ended>> {
        let Some(init) = &self.init else { return Ok(None) };
        let Some((_, status)) = waitpid(Some(init.pid), WaitOptions::NOHANG)? else {
            return Ok(None);
        };
        self.init = None;
        let oom_killed = self.group.usage().oom_kills.is_some_and(|count| count > 0);
        Ok(Some(Ended { code: exit_code(status.as_raw()), oom_killed }))
    }

    /// Puts everything away that was the ended first process's.
    fn close(&mut self, ended: Ended) -> io::Result<()> {
        self.kill_at = None;
        self.outputs = [None, None];
        self.input = None;
        if let Some((pid, end)) = self.uplink.take() {
            let _ = pidfd_send_signal(&end, Signal::KILL);
            waitpid(Some(pid), WaitOptions::empty())?;
        }
        self.group = Group::default();
        if let Some(checks) = &mut self.checks {
            checks.end();
        }
        if let Some(log) = &mut self.log
            && let Err(error) = log.finish(self.clock.now())
        {
            self.note(format!("the log is incomplete: {error}"));
        }
        self.state.pid = 0;
        self.state.status = Status::Exited;
        self.state.ended = Some(ended);
        self.state.finished_at = Some(self.clock.now());
        Ok(())
    }

    /// Decides whether an ended container is started again, and when.
    fn plan_restart(&mut self, ended: Ended, now: Duration) -> bool {
        let again = match self.start.supervision.restart {
            Restart::No => false,
            Restart::Always => true,
            Restart::OnFailure(most) => {
                ended.code != 0 && most.is_none_or(|most| self.state.restarts < most)
            }
        };
        if !again || self.is_stopping {
            return false;
        }
        if now.saturating_sub(self.started) >= STEADY {
            self.backoff = FIRST_BACKOFF;
        }
        self.restart_at = Some(now + self.backoff);
        self.backoff = (self.backoff * 2).min(LAST_BACKOFF);
        self.state.status = Status::Restarting;
        true
    }

    fn note_failure(&mut self, error: &NotStarted) {
        self.state.status = Status::Exited;
        self.state.error = Some(error.message.clone());
        self.state.ended = Some(Ended { code: error.code, oom_killed: false });
        self.state.finished_at = Some(self.clock.now());
    }

    /// Signals the first process; one that has ended gets none.
    pub(super) fn kill(&self, signal: Signal) {
        if let Some(init) = &self.init {
            let _ = pidfd_send_signal(&init.end, signal);
        }
    }

    /// Writes the state where everybody can read it, whole or not at all.
    pub(super) fn write_state(&self) -> io::Result<()> {
        let Some(folder) = &self.start.folder else { return Ok(()) };
        let (draft, path) = (folder.join(".state.json"), folder.join("state.json"));
        fs::write(&draft, serde_json::to_vec_pretty(&self.state)?)?;
        fs::rename(draft, path)
    }
}

pub(super) fn not_blocking(file: &OwnedFd) -> io::Result<()> {
    let flags = fcntl_getfl(file)?;
    Ok(fcntl_setfl(file, flags | OFlags::NONBLOCK)?)
}

/// Lets go of the streams of whoever started this, who may wait for their end.
fn leave_streams() -> io::Result<()> {
    let null = fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(())
}

/// Carries a container's network in a process of its own, because that has threads.
fn carry(
    tunnel: Option<OwnedFd>,
    published: Vec<Published>,
    init: Pid,
) -> io::Result<(Pid, OwnedFd)> {
    let namespace = |name: &str| -> io::Result<OwnedFd> {
        let path = format!("/proc/{}/ns/{name}", init.as_raw_nonzero());
        Ok(fs::File::open(path)?.into_parts().0.into())
    };
    let (users, network) = (namespace("user")?, namespace("net")?);
    match clone_apart(0)? {
        Some((pid, end)) => {
            let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidData)?;
            Ok((pid, end))
        }
        None => {
            let end = || -> io::Result<()> {
                set_parent_process_death_signal(Some(Signal::KILL))?;
                leave_streams()?;
                let mut kept = vec![network.as_raw_fd()];
                kept.extend(tunnel.iter().map(|it| it.as_raw_fd()));
                kept.extend(published.iter().map(|it| it.listener.as_raw_fd()));
                // Root there may enter the network; this one's own stays the host's.
                // SAFETY: takes integers. This process has one thread still.
                if unsafe { libc::setns(users.as_raw_fd(), libc::CLONE_NEWUSER) } != 0 {
                    return Err(io::Error::last_os_error());
                }
                keep_only(kept)?;
                let _uplink = tunnel.map(Uplink::start).transpose()?;
                if !published.is_empty() {
                    return std::thread::Builder::new()
                        .name("ports".to_owned())
                        .spawn(move || ports::carry(published, &network))?
                        .join()
                        .map_err(|_| io::Error::other("the ports' thread has panicked"))?;
                }
                loop {
                    let nothing: &mut [PollFd<'_>] = &mut [];
                    // Until it is killed.
                    let _ = poll(nothing, None);
                }
            };
            let code = i32::from(end().is_err());
            // SAFETY: ends this copy of the supervisor at once, without running its destructors.
            unsafe { libc::_exit(code) }
        }
    }
}

/// Closes every descriptor but the standard ones and these.
fn keep_only(mut kept: Vec<RawFd>) -> io::Result<()> {
    kept.sort_unstable();
    let mut first = 3;
    for next in kept.into_iter().map(Some).chain([None]) {
        let last = next.map_or(u32::MAX, |next| u32::try_from(next - 1).unwrap_or(0));
        // SAFETY: takes integers. This process was just forked and uses none of the descriptors
        // that it has inherited; what owns them in its memory is never dropped.
        if first <= last && unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } != 0 {
            return Err(io::Error::last_os_error());
        }
        if let Some(next) = next {
            first = u32::try_from(next + 1).map_err(io::Error::other)?;
        }
    }
    Ok(())
}
