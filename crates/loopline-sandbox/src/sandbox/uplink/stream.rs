//! One connection of the job's: a stack of its own that ends it, and the host's connection that
//! goes on. Each half is closed when its writer closes it, and what one side breaks off is broken
//! off on the other.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::sockopt::{set_socket_linger, set_tcp_nodelay, socket_error};
use rustix::net::{
    RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, recv, send, shutdown, socket_with,
};
use smoltcp::iface::{Config, Interface, PollResult, SocketHandle, SocketSet};
use smoltcp::phy::{Checksum, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

use super::super::interfaces::TUNNEL_PACKET_BYTES;
use super::carrier::{After, Micros, Outlet};
use super::datagrams::family;
use super::packet::{self, Content, Ends, Unreachable};

/// How long a connection of the host's own may take to open.
const CONNECT: Micros = 30_000_000;
/// How much of a connection waits in either direction, at most.
const BUFFER_BYTES: usize = 512 * 1024;
/// The same where many connections are open: [`CROWD`] or more.
const CROWD_BUFFER_BYTES: usize = 64 * 1024;
const CROWD: usize = 128;
/// How often a silent connection is asked whether the job still knows it.
const KEEP_ALIVE: smoltcp::time::Duration = smoltcp::time::Duration::from_secs(75);

/// A connection that is being opened on the host.
pub(super) struct Opening {
    ends: Ends,
    /// The job's packet.
    request: Vec<u8>,
    /// Where to try, the next one last.
    targets: Vec<SocketAddr>,
    outside: Option<OwnedFd>,
    last: Errno,
    deadline: Micros,
}

impl Opening {
    pub(super) fn new(ends: Ends, request: &[u8], mut targets: Vec<SocketAddr>) -> Self {
        targets.reverse();
        let request = request.to_vec();
        Self { ends, request, targets, outside: None, last: Errno::CONNREFUSED, deadline: 0 }
    }

    pub(super) fn outside(&self) -> Option<&OwnedFd> {
        self.outside.as_ref()
    }

    /// Looks at how it goes, and tries the next target where one fails.
    pub(super) fn service(&mut self, outlet: &Outlet<'_>, now: Micros) -> After {
        if let Some(outside) = &self.outside {
            match socket_error(outside) {
                Ok(Err(error)) | Err(error) => self.last = error,
                Ok(Ok(())) if rustix::net::getpeername(outside).is_ok() => return After::Opened,
                Ok(Ok(())) if now < self.deadline => return After::Keep(Some(self.deadline)),
                Ok(Ok(())) => self.last = Errno::TIMEDOUT,
            }
        }
        self.outside = None;
        while let Some(target) = self.targets.pop() {
            match connect(target) {
                Ok(outside) => {
                    self.outside = Some(outside);
                    self.deadline = now + CONNECT;
                    return After::Watch(Some(self.deadline));
                }
                Err(error) => self.last = error,
            }
        }
        let quote = packet::quote(&self.request);
        let answer = match self.last {
            Errno::HOSTUNREACH | Errno::TIMEDOUT => {
                Some(packet::unreachable(&quote, Unreachable::Host))
            }
            Errno::NETUNREACH | Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT => {
                Some(packet::unreachable(&quote, Unreachable::Network))
            }
            _ => match packet::read(&self.request) {
                Some((ends, Content::Segment(segment))) => packet::reset(ends, &segment),
                _ => None,
            },
        };
        if let Some(answer) = answer {
            outlet.send(&answer);
        }
        After::End
    }

    /// Takes the job's request up, now that the host's connection is open.
    pub(super) fn opened(
        &mut self,
        outlet: &mut Outlet<'_>,
        now: Micros,
        crowd: usize,
    ) -> Option<Stream> {
        let outside = self.outside.take()?;
        let mut stream = Stream::new(outside, self.ends, outlet, now, crowd)?;
        stream.feed(&self.request, outlet, now);
        Some(stream)
    }
}

fn connect(target: SocketAddr) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family(target), SocketType::STREAM, flags, None)?;
    set_tcp_nodelay(&socket, true)?;
    match rustix::net::connect(&socket, &target) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error),
    }
}

/// A connection that is open on the host.
pub(super) struct Stream {
    outside: OwnedFd,
    interface: Interface,
    sockets: SocketSet<'static>,
    handle: SocketHandle,
    /// Whether the host's socket may have something, or room.
    readable: bool,
    writable: bool,
    /// Whether the other side has closed its half.
    outside_ended: bool,
    /// Whether the job has closed its half, and the other side was told.
    inside_ended: bool,
}

impl Stream {
    fn new(
        outside: OwnedFd,
        ends: Ends,
        outlet: &mut Outlet<'_>,
        now: Micros,
        crowd: usize,
    ) -> Option<Self> {
        let mut config = Config::new(HardwareAddress::Ip);
        // Sequence numbers begin differently; nobody but the job sees them.
        config.random_seed = now;
        let mut interface = Interface::new(config, &mut Wire::new(None, outlet), instant(now));
        // The stack is whom the job wants to reach, and everybody is one hop away.
        let address = IpAddress::from(ends.destination.ip());
        let mut fits = true;
        interface.update_ip_addrs(|addresses| {
            let whole = if ends.destination.is_ipv4() { 32 } else { 128 };
            fits = addresses.push(IpCidr::new(address, whole)).is_ok();
        });
        let routed = match ends.destination.ip() {
            IpAddr::V4(address) => interface.routes_mut().add_default_ipv4_route(address),
            IpAddr::V6(address) => interface.routes_mut().add_default_ipv6_route(address),
        };
        let bytes = if crowd < CROWD { BUFFER_BYTES } else { CROWD_BUFFER_BYTES };
        let buffer = || SocketBuffer::new(vec![0; bytes]);
        let mut socket = Socket::new(buffer(), buffer());
        socket.set_nagle_enabled(false);
        socket.set_ack_delay(None);
        socket.set_keep_alive(Some(KEEP_ALIVE));
        let listens = socket.listen((address, ends.destination.port()));
        if !fits || routed.is_err() || listens.is_err() {
            return None;
        }
        let mut sockets = SocketSet::new(Vec::new());
        let handle = sockets.add(socket);
        Some(Self {
            outside,
            interface,
            sockets,
            handle,
            readable: true,
            writable: true,
            outside_ended: false,
            inside_ended: false,
        })
    }

    pub(super) fn outside(&self) -> &OwnedFd {
        &self.outside
    }

    /// Remembers what the host's socket is ready for.
    pub(super) fn note(&mut self, flags: EventFlags) {
        let broken = flags.intersects(EventFlags::ERR | EventFlags::HUP);
        self.readable |= broken || flags.contains(EventFlags::IN);
        self.writable |= broken || flags.contains(EventFlags::OUT);
    }

    /// Gives the stack a packet of the job's.
    pub(super) fn feed(&mut self, packet: &[u8], outlet: &mut Outlet<'_>, now: Micros) {
        let mut wire = Wire::new(Some(packet), outlet);
        self.interface.poll_ingress_single(instant(now), &mut wire, &mut self.sockets);
    }

    /// Moves what can be moved.
    pub(super) fn service(&mut self, outlet: &mut Outlet<'_>, now: Micros) -> After {
        let broken = self.up().and_then(|()| self.down()).is_err();
        let socket = self.sockets.get_mut::<Socket<'_>>(self.handle);
        if broken {
            socket.abort();
        }
        let mut wire = Wire::new(None, outlet);
        while self.interface.poll_egress(instant(now), &mut wire, &mut self.sockets)
            != PollResult::None
        {}
        let socket = self.sockets.get_mut::<Socket<'_>>(self.handle);
        let both_ended = self.inside_ended && self.outside_ended;
        match socket.state() {
            State::TimeWait | State::Closed if both_ended => return After::End,
            // What was read to its end is still to be passed on.
            State::Closed if self.outside_ended && !broken && socket.can_recv() => {}
            State::Closed => {
                // Broken off on one side, so on the other; there is nobody to tell of a failure.
                let _ = set_socket_linger(&self.outside, Some(Duration::ZERO));
                return After::End;
            }
            _ => {}
        }
        let next = self.interface.poll_at(instant(now), &self.sockets);
        After::Keep(next.map(|moment| u64::try_from(moment.total_micros()).unwrap_or_default()))
    }

    /// Passes on what the job has sent.
    fn up(&mut self) -> io::Result<()> {
        let socket = self.sockets.get_mut::<Socket<'_>>(self.handle);
        while self.writable && socket.can_recv() {
            let sent = socket.recv(|bytes| match send(&self.outside, bytes, SendFlags::NOSIGNAL) {
                Ok(count) => (count, Ok(())),
                Err(error) => (0, Err(error)),
            });
            match sent.map_err(io::Error::other)? {
                Ok(()) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.writable = false,
                Err(error) => return Err(error.into()),
            }
        }
        let has_closed = matches!(
            socket.state(),
            State::CloseWait | State::LastAck | State::Closing | State::TimeWait
        );
        if has_closed && !socket.can_recv() && !self.inside_ended {
            self.inside_ended = true;
            shutdown(&self.outside, Shutdown::Write)?;
        }
        Ok(())
    }

    /// Passes on what the other side has sent.
    fn down(&mut self) -> io::Result<()> {
        let socket = self.sockets.get_mut::<Socket<'_>>(self.handle);
        while self.readable && !self.outside_ended && socket.can_send() {
            let received =
                socket.send(|room| match recv(&self.outside, &mut *room, RecvFlags::DONTWAIT) {
                    Ok((count, _)) => (count, Ok(count)),
                    Err(error) => (0, Err(error)),
                });
            match received.map_err(io::Error::other)? {
                Ok(0) => {
                    self.outside_ended = true;
                    socket.close();
                }
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.readable = false,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

fn instant(now: Micros) -> Instant {
    Instant::from_micros(i64::try_from(now).unwrap_or(i64::MAX))
}

/// The tunnel as the stack sees it: at most one packet to be read, and room for any to write.
struct Wire<'a, 'b> {
    packet: Option<&'a [u8]>,
    outlet: &'a mut Outlet<'b>,
}

impl<'a, 'b> Wire<'a, 'b> {
    fn new(packet: Option<&'a [u8]>, outlet: &'a mut Outlet<'b>) -> Self {
        Self { packet, outlet }
    }
}

impl<'b> Device for Wire<'_, 'b> {
    type RxToken<'t>
        = Received<'t>
    where
        Self: 't;
    type TxToken<'t>
        = Sent<'t, 'b>
    where
        Self: 't;

    fn receive(&mut self, _: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        let packet = self.packet.take()?;
        Some((Received(packet), Sent(self.outlet)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Self::TxToken<'_>> {
        Some(Sent(self.outlet))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = usize::from(TUNNEL_PACKET_BYTES);
        // What comes from the kernel's own stack through memory is not checked.
        capabilities.checksum.ipv4 = Checksum::Tx;
        capabilities.checksum.tcp = Checksum::Tx;
        capabilities
    }
}

struct Received<'a>(&'a [u8]);

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(self.0)
    }
}

struct Sent<'a, 'b>(&'a mut Outlet<'b>);

impl TxToken for Sent<'_, '_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, bytes: usize, fill: F) -> R {
        let Outlet { tunnel, room } = self.0;
        // The stack keeps to the size it was told, for which there is room.
        let packet = &mut room[..bytes];
        let result = fill(packet);
        // What does not fit is lost, as on any network, and sent again.
        let _ = rustix::io::write(&**tunnel, packet);
        result
    }
}
