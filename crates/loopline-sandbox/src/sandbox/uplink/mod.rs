//! User-mode networking: the owner's side of a sandbox's tunnel. A TCP/IP stack in a thread of its
//! own ends the job's connections and opens ones of the host's own for them, as any program of the
//! user could. A connection is opened on the host before the job hears an answer, so what is
//! refused or unreachable outside is so inside.
//!
//! [`carrier`] holds the thread's loop, [`stream`] and [`datagrams`] what it carries, [`reach`]
//! decides where to, [`names`] answers for the job's name server, [`packet`] is the wire.

mod carrier;
mod datagrams;
mod names;
mod packet;
mod reach;
mod stream;

use std::io;
use std::os::fd::OwnedFd;
use std::thread::JoinHandle;

use rustix::event::{EventfdFlags, eventfd};
use rustix::process::{Resource, getrlimit, setrlimit};

use carrier::Carrier;
pub(super) use reach::has_ipv6;

/// How many files this process may want to have open at a time with a busy network.
const FILES: u64 = 8192;

/// The running network of one sandbox; dropping it ends all its connections.
#[derive(Debug)]
pub(crate) struct Uplink {
    end: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

impl Uplink {
    /// Starts carrying what comes out of the tunnel.
    pub(crate) fn start(tunnel: OwnedFd) -> io::Result<Self> {
        allow_files();
        let end = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let mut carrier = Carrier::new(tunnel, end.try_clone()?)?;
        let thread = std::thread::Builder::new()
            .name("loopline-uplink".to_owned())
            // Without its tunnel a job's network is down, which the job sees.
            .spawn(move || drop(carrier.carry()))?;
        Ok(Self { end, thread: Some(thread) })
    }
}

impl Drop for Uplink {
    fn drop(&mut self) {
        // Adding to a counter of zero does not fail.
        let _ = rustix::io::write(&self.end, &1_u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            // Its panic was reported where it happened.
            let _ = thread.join();
        }
    }
}

/// Raises this process's limit of open files as far as it may and needs to: each of the job's
/// connections is one file here.
fn allow_files() {
    let mut limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(FILES, |maximum| maximum.min(FILES));
    if limit.current.is_some_and(|current| current < wanted) {
        limit.current = Some(wanted);
        // With fewer files fewer connections are carried; the rest is refused.
        let _ = setrlimit(Resource::Nofile, limit);
    }
}
