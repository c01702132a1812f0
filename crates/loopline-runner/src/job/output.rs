//! Waiting for a step's process: its output, its end, its deadline and requests to stop it.
//!
//! One thread waits for all of that at once by polling descriptors, so a step needs no thread
//! of its own. What output means is the log's business; starting the process is the sandbox's.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use loopline_clock::Clock;
use loopline_sandbox::Signal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::record::StepLog;
use crate::cancel::{Cancel, Level};

/// How much output is read at once.
const CHUNK_BYTES: usize = 128 * 1024;
/// How long an interrupted process has until it is told to terminate (GitHub's runner).
pub(crate) const INTERRUPT_PATIENCE: Duration = Duration::from_millis(7500);
/// How long a process told to terminate has until it is killed (GitHub's runner).
pub(crate) const TERMINATE_PATIENCE: Duration = Duration::from_millis(2500);
/// How long the output of an ended process may be silent while something else holds it open.
const QUIET: Duration = Duration::from_millis(20);
/// How long its output is waited for at most; what comes later is read beside the next steps.
const DRAIN: Duration = Duration::from_millis(100);
/// How many chunks of left-over output are read in one go, so that no writer starves the rest.
const LINGERING_CHUNKS: usize = 16;

/// What following a process needs of it.
pub(crate) trait Followed {
    /// Returns the descriptor that is readable once the process has ended.
    fn ended(&self) -> io::Result<std::os::fd::BorrowedFd<'_>>;

    /// Sends `signal` to the process and everything in its group.
    fn signal(&self, signal: Signal);
}

/// Why a process was made to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// Nobody made it.
    No,
    /// Its time was up.
    TimedOut,
    /// The step, the job or the run was cancelled.
    Cancelled,
}

/// The output of an ended process that something it started still holds open.
///
/// A server started with `&` keeps writing long after its step; were the pipe closed, it would
/// die of it, and were nobody reading, it would hang.
pub(crate) struct Lingering {
    pipe: OwnedFd,
    log: StepLog,
}

impl Lingering {
    /// Keeps reading `pipe` into `log`.
    pub(crate) fn new(pipe: OwnedFd, log: StepLog) -> Self {
        Self { pipe, log }
    }

    /// Reads what is there; returns whether there may be more one day. The last line of all may
    /// lack its end.
    fn read(&mut self, buffer: &mut [u8]) -> bool {
        let goes_on = self.read_some(buffer);
        if !goes_on {
            self.log.end();
        }
        goes_on
    }

    fn read_some(&mut self, buffer: &mut [u8]) -> bool {
        for _ in 0..LINGERING_CHUNKS {
            match rustix::io::read(&self.pipe, &mut *buffer) {
                Ok(0) => return false,
                Ok(count) => self.log.write(&buffer[..count]),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return true,
                Err(_) => return false,
            }
        }
        true
    }
}

/// Reads everything that left-over processes wrote before they were ended.
pub(crate) fn finish(lingering: &mut Vec<Lingering>) {
    let mut buffer = vec![0; CHUNK_BYTES];
    for mut one in lingering.drain(..) {
        if one.read(&mut buffer) {
            one.log.end();
        }
    }
}

/// What a process is waited for with.
pub(crate) struct Watch<'a> {
    /// Where time comes from.
    pub(crate) clock: &'a Clock,
    /// The token that ends it.
    pub(crate) cancel: &'a Cancel,
    /// How strongly the token was used when the step decided to run all the same.
    pub(crate) seen: Level,
    /// The monotonic time at which it must be done.
    pub(crate) deadline: Option<Duration>,
    /// Left-over output of earlier steps, read while waiting.
    pub(crate) lingering: &'a mut Vec<Lingering>,
    /// A buffer kept between steps.
    pub(crate) buffer: &'a mut Vec<u8>,
}

/// How following ended.
pub(crate) struct Followup {
    /// Whether the process was made to end.
    pub(crate) stopped: Stopped,
    /// The output, where something still holds it open.
    pub(crate) pipe: Option<OwnedFd>,
}

impl Watch<'_> {
    /// Follows `process` until it has ended and its output is read. `stay` tells, when the job
    /// is cancelled, whether the step wants to go on nevertheless.
    ///
    /// # Errors
    /// Where the descriptors cannot be read.
    pub(crate) fn follow(
        &mut self,
        process: &dyn Followed,
        pipe: OwnedFd,
        sink: &mut dyn FnMut(&[u8]),
        stay: &mut dyn FnMut() -> bool,
    ) -> io::Result<Followup> {
        self.buffer.resize(CHUNK_BYTES, 0);
        let mut pipe = Some(pipe);
        let mut widened = false;
        let mut seen = self.seen.min(Level::Asked);
        let mut stopping = Stopping { stopped: Stopped::No, next: None };
        loop {
            let until = stopping.next.map(|(at, _)| at).or(match stopping.stopped {
                Stopped::No => self.deadline,
                _ => None,
            });
            let ready = self.wait(Some(process), pipe.as_ref(), seen, until)?;
            if ready.output
                && let Some(open) = &pipe
            {
                match rustix::io::read(open, &mut self.buffer[..]) {
                    Ok(0) => pipe = None,
                    Ok(count) => {
                        sink(&self.buffer[..count]);
                        if !widened && count >= 64 * 1024 {
                            // A wider pipe means fewer switches for a step that writes a lot;
                            // where the user's quota is used up the narrow one works as well.
                            let _wider = rustix::pipe::fcntl_setpipe_size(open, 1024 * 1024);
                            widened = true;
                        }
                    }
                    Err(Errno::INTR | Errno::AGAIN) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            if ready.cancelled {
                let level = self.cancel.level();
                if level == Level::Forced {
                    stopping.kill(process, Stopped::Cancelled);
                } else if level > seen && stopping.stopped == Stopped::No && !stay() {
                    stopping.begin(process, Stopped::Cancelled, self.clock.monotonic());
                }
                seen = level;
            }
            if ready.exited {
                break;
            }
            if until.is_some_and(|until| self.clock.monotonic() >= until) {
                let now = self.clock.monotonic();
                match stopping.stopped {
                    Stopped::No => stopping.begin(process, Stopped::TimedOut, now),
                    _ => stopping.escalate(process, now),
                }
            }
        }
        if stopping.stopped != Stopped::No {
            // Whoever ignored the gentle signals goes with the process that led the group.
            process.signal(Signal::Kill);
        }
        let pipe = match pipe {
            Some(pipe) => self.drain(pipe, sink)?,
            None => None,
        };
        Ok(Followup { stopped: stopping.stopped, pipe })
    }

    /// Reads what an ended process wrote, and for a moment what others write to its pipe.
    fn drain(&mut self, pipe: OwnedFd, sink: &mut dyn FnMut(&[u8])) -> io::Result<Option<OwnedFd>> {
        let end = self.clock.monotonic() + DRAIN;
        loop {
            match rustix::io::read(&pipe, &mut self.buffer[..]) {
                Ok(0) => return Ok(None),
                Ok(count) => sink(&self.buffer[..count]),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    let now = self.clock.monotonic();
                    if now >= end {
                        return Ok(Some(pipe));
                    }
                    let until = (now + QUIET).min(end);
                    let ready = self.wait(None, Some(&pipe), Level::Asked, Some(until))?;
                    if ready.cancelled || !ready.output && self.clock.monotonic() >= until {
                        return Ok(Some(pipe));
                    }
                }
                Err(error) => return Err(error.into()),
            }
            if self.clock.monotonic() >= end {
                return Ok(Some(pipe));
            }
        }
    }

    /// Waits for anything to happen, and reads left-over output meanwhile.
    fn wait(
        &mut self,
        process: Option<&dyn Followed>,
        pipe: Option<&OwnedFd>,
        seen: Level,
        until: Option<Duration>,
    ) -> io::Result<Ready> {
        let above = self.cancel.above(seen);
        let mut polled = Vec::with_capacity(3 + self.lingering.len());
        polled.extend(pipe.map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        if let Some(process) = process {
            polled.push(PollFd::from_borrowed_fd(process.ended()?, PollFlags::IN));
        }
        polled.extend(above.map(|above| PollFd::from_borrowed_fd(above, PollFlags::IN)));
        let own = polled.len();
        polled.extend(
            self.lingering
                .iter()
                .map(|one| PollFd::from_borrowed_fd(one.pipe.as_fd(), PollFlags::IN)),
        );
        let timeout = until.map(|until| {
            let left = until.saturating_sub(self.clock.monotonic());
            Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            }
        });
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(Ready::default()),
            Err(error) => return Err(error.into()),
        }
        let mut fired = polled.iter().map(|one| !one.revents().is_empty());
        let mut next = |there: bool| there && fired.next().unwrap_or(false);
        let ready = Ready {
            output: next(pipe.is_some()),
            exited: next(process.is_some()),
            cancelled: next(above.is_some()),
        };
        if polled.len() > own {
            let fired: Vec<bool> =
                polled[own..].iter().map(|one| !one.revents().is_empty()).collect();
            drop(polled);
            let mut buffer = vec![0; CHUNK_BYTES];
            let mut fired = fired.into_iter();
            self.lingering
                .retain_mut(|one| !fired.next().unwrap_or(false) || one.read(&mut buffer));
        }
        Ok(ready)
    }
}

/// What happened while waiting.
#[derive(Clone, Copy, Debug, Default)]
struct Ready {
    output: bool,
    exited: bool,
    cancelled: bool,
}

/// How far a process is on its way out.
struct Stopping {
    stopped: Stopped,
    /// When the next signal is due, and which.
    next: Option<(Duration, Signal)>,
}

impl Stopping {
    fn begin(&mut self, process: &dyn Followed, why: Stopped, now: Duration) {
        self.stopped = why;
        process.signal(Signal::Interrupt);
        self.next = Some((now + INTERRUPT_PATIENCE, Signal::Terminate));
    }

    fn escalate(&mut self, process: &dyn Followed, now: Duration) {
        let Some((_, signal)) = self.next.take() else { return };
        process.signal(signal);
        if signal == Signal::Terminate {
            self.next = Some((now + TERMINATE_PATIENCE, Signal::Kill));
        }
    }

    fn kill(&mut self, process: &dyn Followed, why: Stopped) {
        if self.stopped == Stopped::No {
            self.stopped = why;
        }
        process.signal(Signal::Kill);
        self.next = None;
    }
}
