//! Datagrams between one port of the job's and one address: a socket of the host's own.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with,
};

use super::carrier::{After, DATAGRAM_BYTES, Micros, Outlet};
use super::packet::{self, Ends, Unreachable};

/// How long a flow may be silent.
const SILENCE: Micros = 60_000_000;
/// The most answers that are passed on before others get their turn.
const ANSWERS: usize = 64;

pub(super) struct Datagrams {
    ends: Ends,
    /// The head of the job's last packet, for a report.
    quote: Vec<u8>,
    outside: OwnedFd,
    deadline: Micros,
}

/// Returns the family of an address.
pub(super) fn family(of: SocketAddr) -> AddressFamily {
    if of.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 }
}

/// Opens a datagram socket to an address.
pub(super) fn connect(target: SocketAddr) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family(target), SocketType::DGRAM, flags, None)?;
    rustix::net::connect(&socket, &target)?;
    Ok(socket)
}

impl Datagrams {
    pub(super) fn new(ends: Ends, target: SocketAddr) -> io::Result<Self> {
        let outside = connect(target)?;
        Ok(Self { ends, quote: Vec::new(), outside, deadline: 0 })
    }

    pub(super) fn outside(&self) -> &OwnedFd {
        &self.outside
    }

    /// Sends what the job sends. What does not fit now is lost, as on any network.
    pub(super) fn feed(&mut self, packet: &[u8], payload: &[u8], outlet: &Outlet<'_>, now: Micros) {
        self.quote = packet::quote(packet);
        self.deadline = now + SILENCE;
        match send(&self.outside, payload, SendFlags::NOSIGNAL) {
            Err(Errno::CONNREFUSED) => {
                // That was about an earlier one, so this one is still to be sent.
                outlet.send(&packet::unreachable(&self.quote, Unreachable::Port));
                let _ = send(&self.outside, payload, SendFlags::NOSIGNAL);
            }
            Err(Errno::HOSTUNREACH) => {
                outlet.send(&packet::unreachable(&self.quote, Unreachable::Host));
            }
            Err(Errno::NETUNREACH) => {
                outlet.send(&packet::unreachable(&self.quote, Unreachable::Network));
            }
            Ok(_) | Err(_) => {}
        }
    }

    /// Passes answers on.
    pub(super) fn service(&mut self, outlet: &Outlet<'_>, now: Micros) -> After {
        let mut answer = vec![0; DATAGRAM_BYTES];
        for _ in 0..ANSWERS {
            match recv(&self.outside, &mut answer, RecvFlags::DONTWAIT) {
                Ok((count, _)) => {
                    let answer = answer.get(..count).unwrap_or_default();
                    outlet.send(&packet::datagram(self.ends.back(), answer));
                    self.deadline = now + SILENCE;
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::CONNREFUSED) => {
                    outlet.send(&packet::unreachable(&self.quote, Unreachable::Port));
                }
                Err(_) => {}
            }
        }
        if now < self.deadline { After::Keep(Some(self.deadline)) } else { After::End }
    }
}
