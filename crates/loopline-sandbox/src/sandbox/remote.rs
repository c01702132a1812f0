//! Loopline's side of one process in a sandbox: a socket on which the sandbox's first process
//! tells how it ended and takes signals for it. One socket a process, so that nothing has to be
//! sorted and the end of the sandbox is the end of the socket.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::descriptor::Descriptor;
use crate::process::WaitError;
use crate::signal::Signal;

/// A process in a sandbox.
#[derive(Debug)]
pub(crate) struct Remote(Descriptor);

impl Remote {
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self(Descriptor::Idle(socket))
    }

    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        let message = signal.number().to_le_bytes();
        match send(self.0.get()?, &message, SendFlags::NOSIGNAL) {
            // A process whose sandbox is gone has nobody left to signal.
            Ok(_) | Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn descriptor(&self) -> io::Result<BorrowedFd<'_>> {
        Ok(self.0.get()?.as_fd())
    }

    pub(crate) async fn wait(&mut self) -> Result<ExitStatus, WaitError> {
        self.0.when_readable(receive).await
    }

    pub(crate) fn try_wait(&self) -> Result<Option<ExitStatus>, WaitError> {
        receive(self.0.get()?)
    }
}

/// Reads the status, if it was sent already.
fn receive(socket: &OwnedFd) -> Result<Option<ExitStatus>, WaitError> {
    let mut message = [0; 4];
    loop {
        return match recv(socket, &mut message, RecvFlags::DONTWAIT) {
            Ok((4, _)) => Ok(Some(ExitStatus::from_raw(i32::from_le_bytes(message)))),
            Ok(_) | Err(Errno::CONNRESET) => Err(WaitError::SandboxEnded),
            Err(Errno::AGAIN) => Ok(None),
            Err(Errno::INTR) => continue,
            Err(error) => Err(io::Error::from(error).into()),
        };
    }
}
