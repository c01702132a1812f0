//! What ends the work of a built-in action: its step's time, or a job that is cancelled.
//!
//! A process can be sent a signal; work that is done here must ask. It asks between files and
//! with every piece of a file it reads or writes, and while it waits for a process.

use std::io::{self, Read, Write};
use std::process::ExitStatus;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use loopline_clock::Clock;
use loopline_sandbox::{Process, Waited};

use crate::cancel::{Cancel, Level};

/// Why work must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// Its time is up.
    #[error("the step's time was up")]
    TimedOut,
    /// The step, the job or the run was cancelled.
    #[error("the step was cancelled")]
    Cancelled,
}

/// Tells work whether it may go on.
pub struct Leash<'a> {
    clock: Clock,
    /// When it must be done, on the monotonic clock.
    deadline: Option<Duration>,
    cancel: Option<&'a Cancel>,
    /// How far the token was used when the step began all the same, or would go on.
    seen: Level,
    /// Set where another step cancelled this one.
    stopped: Option<&'a AtomicBool>,
    ended: OnceLock<Ended>,
}

impl<'a> Leash<'a> {
    /// Returns a leash that never ends.
    pub fn free(clock: Clock) -> Self {
        Self {
            clock,
            deadline: None,
            cancel: None,
            seen: Level::Asked,
            stopped: None,
            ended: OnceLock::new(),
        }
    }

    /// Returns a leash that ends at `deadline`, or once `cancel` is used more than `seen`.
    pub fn new(
        clock: Clock,
        deadline: Option<Duration>,
        cancel: &'a Cancel,
        seen: Level,
        stopped: Option<&'a AtomicBool>,
    ) -> Self {
        let (cancel, seen) = (Some(cancel), seen.min(Level::Asked));
        Self { clock, deadline, cancel, seen, stopped, ended: OnceLock::new() }
    }

    /// Returns why the work had to end, where it was told so.
    pub fn ended(&self) -> Option<Ended> {
        self.ended.get().copied()
    }

    /// Returns whether the work may go on; once it may not, it never may again.
    ///
    /// # Errors
    /// [`Ended`], each variant as it says.
    pub fn check(&self) -> Result<(), Ended> {
        if let Some(ended) = self.ended() {
            return Err(ended);
        }
        let level = self.cancel.map_or(Level::None, Cancel::level);
        let stopped = self.stopped.is_some_and(|stopped| stopped.load(Ordering::Acquire));
        let ended = if level > self.seen || (stopped && level > Level::None) {
            Ended::Cancelled
        } else if self.deadline.is_some_and(|deadline| self.clock.monotonic() >= deadline) {
            Ended::TimedOut
        } else {
            return Ok(());
        };
        Err(*self.ended.get_or_init(|| ended))
    }

    /// Waits for a process, at most `patience`; returns its status, or nothing where it took too
    /// long.
    ///
    /// # Errors
    /// Where the work must end, and where the process cannot be waited for.
    pub fn wait(
        &self,
        process: &mut Process,
        patience: Option<Duration>,
    ) -> io::Result<Option<ExitStatus>> {
        let now = self.clock.monotonic();
        let until = match (patience.map(|patience| now + patience), self.deadline) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        let above = self.cancel.and_then(|cancel| cancel.above(self.seen));
        let left = until.map(|until| until.saturating_sub(now));
        let waited = process.wait_blocking(above, left).map_err(io::Error::other)?;
        if let Waited::Ended(status) = waited {
            return Ok(Some(status));
        }
        self.check().map_err(io::Error::other)?;
        Ok(None)
    }

    /// Returns `inner`, whose reads and writes fail once the work must end.
    pub fn hold<T>(&self, inner: T) -> Held<'_, T> {
        Held { inner, leash: self }
    }
}

/// A reader or writer on a leash.
pub struct Held<'a, T> {
    inner: T,
    leash: &'a Leash<'a>,
}

impl<T> Held<'_, T> {
    /// Returns what was held.
    pub fn into_inner(self) -> T {
        self.inner
    }
}

impl<T: Read> Read for Held<'_, T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.leash.check().map_err(io::Error::other)?;
        self.inner.read(buffer)
    }
}

impl<T: Write> Write for Held<'_, T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.leash.check().map_err(io::Error::other)?;
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: io::Seek> io::Seek for Held<'_, T> {
    fn seek(&mut self, position: io::SeekFrom) -> io::Result<u64> {
        self.inner.seek(position)
    }
}

#[cfg(test)]
mod tests {
    use loopline_clock::Timestamp;

    use super::*;

    #[test]
    fn ends_with_its_time_and_with_a_stronger_request_and_stays_ended() {
        let (clock, script) = Clock::scripted(Timestamp::UNIX_EPOCH);
        let cancel = Cancel::new().unwrap();
        let deadline = clock.monotonic() + Duration::from_secs(5);
        let leash = Leash::new(clock.clone(), Some(deadline), &cancel, Level::None, None);
        assert_eq!(leash.check(), Ok(()));
        script.advance(Duration::from_secs(5));
        assert_eq!(leash.check(), Err(Ended::TimedOut));
        cancel.ask("now");
        assert_eq!(leash.check(), Err(Ended::TimedOut));
        let always = Leash::new(clock.clone(), None, &cancel, Level::Asked, None);
        assert_eq!(always.check(), Ok(()));
        let stopped = AtomicBool::new(true);
        let other = Leash::new(clock, None, &cancel, Level::Asked, Some(&stopped));
        assert_eq!(other.check(), Err(Ended::Cancelled));
        cancel.force("at once");
        assert_eq!(always.check(), Err(Ended::Cancelled));
        assert!(always.hold(&b"x"[..]).read(&mut [0]).is_err());
    }
}
