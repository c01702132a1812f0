//! Windows: how many bytes a peer lets us have on their way, of each stream and of all together.
//!
//! The clients of Kubernetes know no windows and never give any. So they count from the
//! beginning, and bind from the moment at which a peer first speaks of them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The window that a stream and a connection begin with.
const INITIAL_BYTES: i64 = 64 * 1024;

/// The windows of a connection.
#[derive(Debug)]
pub(super) struct Windows {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    binding: bool,
    initial: i64,
    all: i64,
    streams: HashMap<u32, i64>,
}

impl Default for Windows {
    fn default() -> Self {
        let state = State {
            binding: false,
            initial: INITIAL_BYTES,
            all: INITIAL_BYTES,
            streams: HashMap::new(),
        };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }
}

impl Windows {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to count a stream.
    pub(super) fn open(&self, stream: u32) {
        let mut state = self.state();
        let initial = state.initial;
        state.streams.insert(stream, initial);
    }

    /// Ends to count a stream.
    pub(super) fn close(&self, stream: u32) {
        self.state().streams.remove(&stream);
    }

    /// Changes the window that streams begin with, also for those that have begun.
    pub(super) fn set_initial(&self, size: u32) {
        {
            let mut state = self.state();
            let change = i64::from(size) - state.initial;
            state.initial = i64::from(size);
            state.binding = true;
            for window in state.streams.values_mut() {
                *window = window.saturating_add(change);
            }
        }
        self.changed.notify_waiters();
    }

    /// Opens a window further; that of all streams for 0.
    pub(super) fn add(&self, stream: u32, delta: u32) {
        {
            let mut state = self.state();
            state.binding = true;
            let window =
                if stream == 0 { Some(&mut state.all) } else { state.streams.get_mut(&stream) };
            if let Some(window) = window {
                *window = window.saturating_add(i64::from(delta));
            }
        }
        self.changed.notify_waiters();
    }

    /// Waits until something may be sent, and returns how much of `most`.
    pub(super) async fn take(&self, stream: u32, most: usize) -> Taken<'_> {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(size) = self.try_take(stream, most) {
                return Taken { windows: self, stream, size };
            }
            changed.await;
        }
    }

    fn try_take(&self, stream: u32, most: usize) -> Option<usize> {
        let mut state = self.state();
        let window = state.streams.get(&stream).copied().unwrap_or(0);
        let taken = if state.binding {
            let open = usize::try_from(window.min(state.all)).unwrap_or(0);
            open.min(most)
        } else {
            most
        };
        if taken == 0 {
            return None;
        }
        state.change(stream, -i64::try_from(taken).unwrap_or(i64::MAX));
        Some(taken)
    }
}

/// What was taken of a window; it goes back unless it was sent.
#[derive(Debug)]
pub(super) struct Taken<'a> {
    windows: &'a Windows,
    stream: u32,
    /// How many bytes.
    pub(super) size: usize,
}

impl Taken<'_> {
    /// Notes that the bytes were sent.
    pub(super) fn sent(mut self) {
        self.size = 0;
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if self.size > 0 {
            let size = i64::try_from(self.size).unwrap_or(i64::MAX);
            self.windows.state().change(self.stream, size);
            self.windows.changed.notify_waiters();
        }
    }
}

impl State {
    fn change(&mut self, stream: u32, by: i64) {
        self.all = self.all.saturating_add(by);
        if let Some(window) = self.streams.get_mut(&stream) {
            *window = window.saturating_add(by);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn take(windows: &Windows, stream: u32, most: usize) -> Option<usize> {
        let taking = std::pin::pin!(windows.take(stream, most));
        match taking.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(taken) => {
                let size = taken.size;
                taken.sent();
                Some(size)
            }
            Poll::Pending => None,
        }
    }

    #[test]
    fn windows_bind_once_the_peer_speaks_of_them_and_count_from_the_beginning() {
        let windows = Windows::default();
        windows.open(1);
        windows.open(3);
        assert_eq!(take(&windows, 1, 60_000), Some(60_000));
        assert_eq!(take(&windows, 1, 60_000), Some(60_000), "nobody spoke of windows");
        windows.add(0, 1_000_000);
        assert_eq!(take(&windows, 1, 1), None, "the stream's window is long used up");
        assert_eq!(take(&windows, 3, 100_000), Some(65_536));
        assert_eq!(take(&windows, 3, 1), None);
        windows.set_initial(65_546);
        drop(windows.try_take(3, 4).map(|size| Taken { windows: &windows, stream: 3, size }));
        assert_eq!(take(&windows, 3, 100), Some(10), "what was not sent was given back");
        windows.add(1, 54_565);
        assert_eq!(take(&windows, 1, 100), Some(100));
        assert_eq!(take(&windows, 1, 100), Some(11));
    }

    #[test]
    fn all_streams_share_a_window() {
        let windows = Windows::default();
        windows.open(1);
        windows.open(3);
        windows.add(1, 1);
        assert_eq!(take(&windows, 1, 60_000), Some(60_000));
        assert_eq!(take(&windows, 3, 60_000), Some(5_536));
        windows.close(3);
        windows.add(0, 5);
        assert_eq!(take(&windows, 3, 5), None, "a closed stream sends nothing");
    }
}
