//! The orchestrator's queue of messages: bounded, and pollable beside a [`Cancel`] token.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;

use crate::cancel::{Cancel, Level};

/// How many messages may wait before senders have to.
const CAPACITY: usize = 1024;

/// A queue with one reader and many senders; clones are the same queue.
pub(crate) struct Inbox<T>(Arc<Shared<T>>);

struct Shared<T> {
    messages: Mutex<VecDeque<T>>,
    room: Condvar,
    filled: OwnedFd,
}

impl<T> Clone for Inbox<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Inbox<T> {
    /// Returns an empty queue.
    ///
    /// # Errors
    /// Where the system has no more descriptors.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(Shared {
            messages: Mutex::new(VecDeque::new()),
            room: Condvar::new(),
            filled: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        })))
    }

    /// Adds a message, waiting for room.
    pub(crate) fn send(&self, message: T) {
        let mut messages = self.0.messages.lock().unwrap_or_else(PoisonError::into_inner);
        while messages.len() >= CAPACITY {
            messages = self.0.room.wait(messages).unwrap_or_else(PoisonError::into_inner);
        }
        messages.push_back(message);
        // A full counter is a readable counter.
        let _woken = rustix::io::write(&self.0.filled, &1_u64.to_ne_bytes());
    }

    /// Waits for messages, for `cancel` to rise above `seen`, or for `patience` to end, and
    /// returns the messages.
    ///
    /// # Errors
    /// Where waiting fails.
    pub(crate) fn receive(
        &self,
        cancel: &Cancel,
        seen: Level,
        patience: Option<Duration>,
    ) -> io::Result<VecDeque<T>> {
        let mut polled = vec![PollFd::from_borrowed_fd(self.0.filled.as_fd(), PollFlags::IN)];
        polled.extend(cancel.above(seen).map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        let timeout = patience.map(|patience| Timespec {
            tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: patience.subsec_nanos().into(),
        });
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        // Emptying the counter before the queue loses no message: a later one fills it again.
        let _emptied = rustix::io::read(&self.0.filled, &mut [0_u8; 8]);
        let mut messages = self.0.messages.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = std::mem::take(&mut *messages);
        drop(messages);
        self.0.room.notify_all();
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_cancellation_both_wake_the_reader() {
        let inbox = Inbox::new().unwrap();
        let cancel = Cancel::new().unwrap();
        let sender = inbox.clone();
        std::thread::scope(|scope| {
            scope.spawn(move || (0..3000).for_each(|number| sender.send(number)));
            let mut sum = 0;
            let mut count = 0;
            while count < 3000 {
                for number in inbox.receive(&cancel, Level::None, None).unwrap() {
                    sum += number;
                    count += 1;
                }
            }
            assert_eq!(sum, 2999 * 3000 / 2);
        });
        cancel.ask("enough");
        assert!(inbox.receive(&cancel, Level::None, None).unwrap().is_empty());
    }
}
