//! Published ports: connections to an address of the host are carried to the container. The
//! listeners are the host's, the other ends are opened inside the container's network, by a thread
//! that has entered it.
#![expect(unsafe_code, reason = "a thread enters a network namespace by its descriptor")]

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::event::{PollFd, PollFlags, poll};

use super::spec::Port;
use crate::sandbox::interfaces::JOB;

/// How many connections one container's ports carry at once; further ones are closed.
const CONNECTIONS: usize = 1024;
/// How much is carried at once, in bytes.
const CHUNK_BYTES: usize = 64 * 1024;
/// The memory of a thread that carries.
const STACK_BYTES: usize = 128 * 1024;

/// A port of the container, and the host's listener for it.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) listener: TcpListener,
    pub(super) port: u16,
}

/// Opens the host's side of the ports, in the order given.
pub(super) fn publish(ports: &[Port]) -> Result<Vec<Published>, (Port, io::Error)> {
    let mut all = Vec::new();
    for port in ports {
        let listener = TcpListener::bind(port.host).map_err(|error| (*port, error))?;
        all.push(Published { listener, port: port.container });
    }
    Ok(all)
}

/// Carries connections until the process is killed. `network` is the container's.
pub(super) fn carry(published: Vec<Published>, network: &OwnedFd) -> io::Result<()> {
    // SAFETY: takes integers; only this thread enters the namespace, and those that it starts.
    if unsafe { libc::setns(network.as_raw_fd(), libc::CLONE_NEWNET) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        let mut watched: Vec<_> =
            published.iter().map(|it| PollFd::new(&it.listener, PollFlags::IN)).collect();
        match poll(&mut watched, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready: Vec<bool> = watched.iter().map(|it| !it.revents().is_empty()).collect();
        for (published, _) in published.iter().zip(ready).filter(|(_, ready)| *ready) {
            let Ok((outside, _)) = published.listener.accept() else { continue };
            if open.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS {
                open.fetch_sub(1, Ordering::Relaxed);
                continue;
            }
            let (port, open) = (published.port, Arc::clone(&open));
            // Where there is no room for a thread the connection is closed.
            let _ = thread(move || {
                // Its ends tell both sides how it went.
                let _ = connect(outside, port);
                open.fetch_sub(1, Ordering::Relaxed);
            });
        }
    }
}

fn thread(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let builder = std::thread::Builder::new().name("port".to_owned()).stack_size(STACK_BYTES);
    builder.spawn(work).map(|_| ())
}

fn connect(outside: TcpStream, port: u16) -> io::Result<()> {
    // As Docker does, to the container's address: what listens on its loopback only stays its own.
    let inside = TcpStream::connect((JOB, port))?;
    let (from_outside, to_inside) = (outside.try_clone()?, inside.try_clone()?);
    thread(move || {
        let _ = pass(from_outside, to_inside);
    })?;
    pass(inside, outside)
}

/// Passes on what one side sends, and that it has ended.
fn pass(mut from: TcpStream, mut to: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let count = match from.read(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                let _ = to.shutdown(Shutdown::Both);
                return Err(error);
            }
        };
        if count == 0 {
            return to.shutdown(Shutdown::Write);
        }
        to.write_all(&buffer[..count])?;
    }
}
