//! A container from outside: starts one, and asks its supervisor for things.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fs_err as fs;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

use super::clients::address;
use super::control::{Reply, Request, Start, State, Supervision};
use super::spec::{ContainerSpec, Ended, ProcessConfig, Usage};
use crate::sandbox::fork_server;
use crate::sandbox::owner::{StartError, pair};
use crate::sandbox::protocol::{receive, send};

/// A connection to a container's supervisor.
#[derive(Debug)]
pub struct Container {
    socket: OwnedFd,
    /// What was heard while an answer was waited for; never more than the supervisor lets wait.
    heard: Mutex<VecDeque<Event>>,
}

/// A container that could not be started, or asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContainerError {
    /// The program that makes containers could not be reached.
    #[error("start the container's supervisor")]
    Supervisor(#[from] StartError),
    /// No supervisor runs for this folder.
    #[error("reach the container in {}: it is not running", folder.display())]
    NotRunning {
        /// The container's folder.
        folder: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The supervisor ended, or said something unheard of.
    #[error("talk to the container's supervisor")]
    Talk(#[source] io::Error),
    /// What was asked for cannot be done.
    #[error("{message}")]
    Refused {
        /// What Docker would end with: 125 for the set-up, 126 for a program that cannot be run,
        /// 127 for one that is not there.
        code: u8,
        /// Why, in a sentence.
        message: String,
    },
}

/// Something a container did.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// It printed this; on its error output where that is true.
    Output(bool, Vec<u8>),
    /// It has ended, or the process that was started in it.
    Ended(Ended),
}

impl Container {
    /// Starts a container and returns when its program runs. `streams` are its input, output and
    /// error output; without them the supervisor keeps the output. `folder` is where its state, log
    /// and socket are; a container without one is only reached through the value returned.
    ///
    /// # Errors
    /// [`ContainerError`], each variant as it says.
    pub fn start(
        spec: &ContainerSpec,
        supervision: &Supervision,
        folder: Option<&Path>,
        streams: Option<[BorrowedFd<'_>; 3]>,
    ) -> Result<Self, ContainerError> {
        let (ours, theirs) = pair().map_err(ContainerError::Talk)?;
        let start = Start {
            spec: spec.clone(),
            supervision: supervision.clone(),
            folder: folder.map(Path::to_owned),
        };
        let message = serde_json::to_vec(&start).map_err(|it| ContainerError::Talk(it.into()))?;
        let mut descriptors = vec![theirs.as_fd()];
        descriptors.extend(streams.into_iter().flatten());
        fork_server::ask_for_container(&message, &descriptors)?;
        drop(theirs);
        let container = Self { socket: ours, heard: Mutex::default() };
        container.expect_done()?;
        Ok(container)
    }

    /// Reaches the running container of a folder.
    ///
    /// # Errors
    /// [`ContainerError::NotRunning`].
    pub fn connect(folder: &Path) -> Result<Self, ContainerError> {
        let connected = || -> io::Result<OwnedFd> {
            let kind = SocketType::SEQPACKET;
            let socket = socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
            connect(&socket, &address(&fs::File::open(folder)?)?)?;
            Ok(socket)
        };
        let socket = connected()
            .map_err(|source| ContainerError::NotRunning { folder: folder.to_owned(), source })?;
        Ok(Self { socket, heard: Mutex::default() })
    }

    /// Returns a descriptor that is readable when [`Container::next`] has something to return.
    #[must_use]
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Asks to hear of the end, and of what is printed from now on where `output` is true.
    ///
    /// # Errors
    /// [`ContainerError::Talk`].
    pub fn follow(&self, output: bool) -> Result<(), ContainerError> {
        if output {
            self.ask_unless_over(&Request::Attach)?;
        }
        self.ask_unless_over(&Request::Wait)
    }

    /// Waits for the next thing that the container, or the process started through this
    /// connection, does.
    ///
    /// # Errors
    /// [`ContainerError::Talk`] when the supervisor is gone.
    pub fn next(&self) -> Result<Event, ContainerError> {
        loop {
            if let Some(event) =
                self.heard.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
            {
                return Ok(event);
            }
            // Any other is an answer that nobody waited for: that of input.
            let (reply, _) = self.hear()?;
            self.keep(reply);
        }
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// As [`Container::next`].
    pub fn wait(&self) -> Result<Ended, ContainerError> {
        self.ask_unless_over(&Request::Wait)?;
        loop {
            if let Event::Ended(ended) = self.next()? {
                return Ok(ended);
            }
        }
    }

    /// Asks it to stop, kills it when it does not within `patience` (or what it was started with),
    /// and returns when it has ended.
    ///
    /// # Errors
    /// As [`Container::next`].
    pub fn stop(&self, patience: Option<Duration>) -> Result<Ended, ContainerError> {
        self.ask_unless_over(&Request::Stop(patience))?;
        loop {
            if let Event::Ended(ended) = self.next()? {
                return Ok(ended);
            }
        }
    }

    /// Sends a signal to its first process.
    ///
    /// # Errors
    /// [`ContainerError::Refused`] for a number that no signal has.
    pub fn signal(&self, number: i32) -> Result<(), ContainerError> {
        self.ask(&Request::Signal(number), &[])?;
        self.expect_done()
    }

    /// Stops all its processes where they are, or lets them go on.
    ///
    /// # Errors
    /// [`ContainerError::Refused`] where this machine has no control group for it.
    pub fn freeze(&self, frozen: bool) -> Result<(), ContainerError> {
        self.ask(&Request::Freeze(frozen), &[])?;
        self.expect_done()
    }

    /// Returns how it goes.
    ///
    /// # Errors
    /// [`ContainerError::Talk`] when the supervisor is gone.
    pub fn state(&self) -> Result<State, ContainerError> {
        self.ask(&Request::State, &[])?;
        loop {
            match self.hear()?.0 {
                Reply::State(state) => return Ok(*state),
                other => self.keep(other),
            }
        }
    }

    /// Returns what it uses.
    ///
    /// # Errors
    /// [`ContainerError::Talk`] when the supervisor is gone.
    pub fn usage(&self) -> Result<Usage, ContainerError> {
        self.ask(&Request::Usage, &[])?;
        loop {
            match self.hear()?.0 {
                Reply::Usage(usage) => return Ok(usage),
                other => self.keep(other),
            }
        }
    }

    /// Gives it something to read; nothing is the end of its input.
    ///
    /// # Errors
    /// [`ContainerError::Talk`] when the supervisor is gone.
    pub fn input(&self, bytes: &[u8]) -> Result<(), ContainerError> {
        if bytes.is_empty() {
            return self.ask(&Request::EndInput, &[]);
        }
        self.ask(&Request::Input(bytes.to_vec()), &[])
    }

    /// Tells the size of the terminal: rows, then columns.
    ///
    /// # Errors
    /// [`ContainerError::Talk`] when the supervisor is gone.
    pub fn resize(&self, rows: u16, columns: u16) -> Result<(), ContainerError> {
        self.ask(&Request::Resize(rows, columns), &[])
    }

    /// Starts a process inside, with these streams, or with a terminal of its own, whose other side
    /// is returned. How it ends is the next [`Event::Ended`] of this connection; when the
    /// connection is dropped it is killed.
    ///
    /// # Errors
    /// [`ContainerError::Refused`] where it cannot be started.
    pub fn execute(
        &self,
        process: &ProcessConfig,
        streams: Option<[BorrowedFd<'_>; 3]>,
    ) -> Result<Option<OwnedFd>, ContainerError> {
        let request = Request::Execute { process: process.clone(), terminal: streams.is_none() };
        let descriptors: Vec<_> = streams.into_iter().flatten().collect();
        self.ask(&request, &descriptors)?;
        loop {
            match self.hear()? {
                (Reply::Done, descriptors) => return Ok(descriptors.into_iter().next()),
                (Reply::Refused { code, message }, _) => {
                    return Err(ContainerError::Refused { code, message });
                }
                (other, _) => self.keep(other),
            }
        }
    }

    /// Signals the process that was started through this connection.
    ///
    /// # Errors
    /// [`ContainerError::Talk`] when the supervisor is gone.
    pub fn signal_executed(&self, number: i32) -> Result<(), ContainerError> {
        self.ask(&Request::SignalExecuted(number), &[])
    }

    fn ask(&self, request: &Request, descriptors: &[BorrowedFd<'_>]) -> Result<(), ContainerError> {
        let message = serde_json::to_vec(request).map_err(|it| ContainerError::Talk(it.into()))?;
        send(self.socket.as_fd(), &message, descriptors).map_err(ContainerError::Talk)
    }

    /// Keeps what happened for whoever asks for it next.
    fn keep(&self, reply: Reply) {
        let event = match reply {
            Reply::Output(is_error, text) => Event::Output(is_error, text),
            Reply::Ended(ended) => Event::Ended(ended),
            _ => return,
        };
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).push_back(event);
    }

    /// Asks what needs no asking where the end has been told already.
    fn ask_unless_over(&self, request: &Request) -> Result<(), ContainerError> {
        match self.ask(request, &[]) {
            Err(ContainerError::Talk(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }

    fn hear(&self) -> Result<(Reply, Vec<OwnedFd>), ContainerError> {
        let heard = receive(self.socket.as_fd()).map_err(ContainerError::Talk)?;
        let gone = || ContainerError::Talk(io::ErrorKind::UnexpectedEof.into());
        let (message, descriptors) = heard.ok_or_else(gone)?;
        let reply =
            serde_json::from_slice(&message).map_err(|it| ContainerError::Talk(it.into()))?;
        Ok((reply, descriptors))
    }

    fn expect_done(&self) -> Result<(), ContainerError> {
        loop {
            match self.hear()?.0 {
                Reply::Done => return Ok(()),
                Reply::Refused { code, message } => {
                    return Err(ContainerError::Refused { code, message });
                }
                other => self.keep(other),
            }
        }
    }
}
