//! The terminal of whoever runs a command, joined to one of a process elsewhere.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

/// How much is relayed at once, in bytes.
const CHUNK_BYTES: usize = 16 * 1024;

/// Our own terminal in raw mode; it is as before when this is dropped.
pub(crate) struct Raw(Termios);

impl Raw {
    pub(crate) fn new() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Flush, &raw)?;
        Ok(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Nothing is left to do where the terminal is gone.
        let _gone = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}

/// Carries keys to the other side of a terminal and what it prints to ours, until `end` is readable
/// or it is let go of.
pub(crate) fn relay(end: BorrowedFd<'_>, other_side: &OwnedFd) -> io::Result<()> {
    let _raw = Raw::new()?;
    let resized = Arc::new(AtomicBool::new(true));
    let handler = signal_hook::flag::register(signal_hook::consts::SIGWINCH, Arc::clone(&resized))?;
    let result = carry(end, other_side, &resized);
    signal_hook::low_level::unregister(handler);
    result
}

fn carry(end: BorrowedFd<'_>, other_side: &OwnedFd, resized: &AtomicBool) -> io::Result<()> {
    let (input, output) = (io::stdin(), io::stdout());
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut keys = true;
    loop {
        if resized.swap(false, Ordering::Relaxed)
            && let Ok(size) = tcgetwinsize(&output)
        {
            // It may have ended; the loop finds out.
            let _ended = tcsetwinsize(other_side, size);
        }
        let wanted = if keys { PollFlags::IN } else { PollFlags::empty() };
        let mut polled = [
            PollFd::from_borrowed_fd(other_side.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(end, PollFlags::IN),
            PollFd::from_borrowed_fd(input.as_fd(), wanted),
        ];
        match poll(&mut polled, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        let [printed, ended, typed] = polled.map(|one| one.revents());
        if printed.intersects(PollFlags::IN) {
            match rustix::io::read(other_side, &mut buffer) {
                Ok(count) if count > 0 => {
                    write_all(&output, &buffer[..count])?;
                    continue;
                }
                Ok(_) | Err(Errno::IO) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if ended.intersects(PollFlags::IN) {
            return Ok(());
        }
        if typed.intersects(PollFlags::IN | PollFlags::HUP) {
            match rustix::io::read(&input, &mut buffer)? {
                0 => keys = false,
                count => write_all(other_side, &buffer[..count])?,
            }
        }
    }
}

pub(crate) fn write_all(to: impl AsFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(&to, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
