//! The owner's side of the fork server ([`super::helper`]): starts it with the first sandbox, and
//! hands it the requests of all.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use super::helper::{ARGUMENT, CONTAINER, SANDBOX};
use super::owner::{StartError, pair};
use super::protocol::send;
use crate::host::spawn_here;
use crate::orphans;
use crate::process::{Output, Process, ProcessSpec, Stdin};

/// A running server. It ends when its socket does, with this process at the latest.
struct Server {
    socket: OwnedFd,
    /// Held so that it is reaped, and not taken for an orphan of a job.
    _process: Process,
}

static SERVER: Mutex<Option<Server>> = Mutex::new(None);

/// Starts the server if it is not there yet, so that the first sandbox need not wait for it.
pub(super) fn warm_up() -> Result<(), StartError> {
    let mut server = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
    if server.is_none() {
        *server = Some(start()?);
    }
    Ok(())
}

/// Asks for a sandbox whose first process is reached through the other end of `control`.
pub(super) fn ask(request: Vec<u8>, control: BorrowedFd<'_>) -> Result<(), StartError> {
    tell(SANDBOX, request, &[control])
}

/// Asks for a container. The first descriptor is what its supervisor is reached by, the others are
/// its streams.
pub(crate) fn ask_for_container(
    request: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> Result<(), StartError> {
    tell(CONTAINER, request.to_vec(), descriptors)
}

fn tell(kind: u8, mut request: Vec<u8>, descriptors: &[BorrowedFd<'_>]) -> Result<(), StartError> {
    request.push(kind);
    let request = request.as_slice();
    let mut server = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(running) = &*server {
        match send(running.socket.as_fd(), request, descriptors) {
            // Somebody has killed it; another is as good.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => *server = None,
            result => return result.map_err(StartError::Talk),
        }
    }
    let started = server.insert(start()?);
    send(started.socket.as_fd(), request, descriptors).map_err(StartError::Talk)
}

fn start() -> Result<Server, StartError> {
    orphans::adopt();
    let (ours, theirs) = pair().map_err(StartError::Talk)?;
    let spec = ProcessSpec {
        program: "/proc/self/exe".into(),
        args: vec![ARGUMENT.into()],
        env: Vec::new(),
        cwd: PathBuf::from("/"),
        stdin: Stdin::Fd(theirs),
        output: Output::Inherit,
    };
    let process = spawn_here(&spec, &[]).map_err(StartError::Helper)?;
    Ok(Server { socket: ours, _process: process })
}
