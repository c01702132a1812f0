//! A descriptor that is registered with the async runtime at the first wait, so that starting a
//! process needs no runtime.
#![expect(unsafe_code, reason = "tokio asks for a promise that a descriptor stays open")]

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// An open descriptor that can be waited for.
#[derive(Debug)]
pub(crate) enum Descriptor {
    Idle(OwnedFd),
    Watched(AsyncFd<OwnedFd>),
    /// Registration failed.
    Lost,
}

impl Descriptor {
    pub(crate) fn get(&self) -> io::Result<&OwnedFd> {
        match self {
            Self::Idle(inner) => Ok(inner),
            Self::Watched(inner) => Ok(inner.get_ref()),
            Self::Lost => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Waits until `read`, tried whenever the descriptor becomes readable, returns something.
    pub(crate) async fn when_readable<T, E: From<io::Error>>(
        &mut self,
        read: impl Fn(&OwnedFd) -> Result<Option<T>, E>,
    ) -> Result<T, E> {
        if let Some(value) = read(self.get()?)? {
            return Ok(value);
        }
        let watched = self.watch()?;
        loop {
            let mut ready = watched.readable().await?;
            if let Some(value) = read(ready.get_inner())? {
                return Ok(value);
            }
            ready.clear_ready();
        }
    }

    fn watch(&mut self) -> io::Result<&AsyncFd<OwnedFd>> {
        if let Self::Idle(_) = self
            && let Self::Idle(inner) = std::mem::replace(self, Self::Lost)
        {
            // SAFETY: an `OwnedFd` is open until it is dropped, always returns the same number,
            // and is owned by the `AsyncFd` from here on; nothing takes it out again.
            *self = Self::Watched(unsafe {
                AsyncFd::register_with_interest(inner, Interest::READABLE)?
            });
        }
        match self {
            Self::Watched(watched) => Ok(watched),
            Self::Idle(_) | Self::Lost => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}
