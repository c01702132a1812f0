//! The network interfaces of a sandbox's own network namespace: loopback, and a tunnel whose other
//! side the owner holds.
#![expect(unsafe_code, reason = "interfaces are configured by ioctl(2) on C structures")]

use std::ffi::CStr;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

/// The job's address, of a range that RFC 2544 keeps free of real hosts.
pub(crate) const JOB: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);
/// The name server the job sees; the owner answers for it.
pub(crate) const RESOLVER: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 3);
/// The job's address where the host has IPv6, of a range that is unique to this use.
const JOB_V6: Ipv6Addr = Ipv6Addr::new(0xfd6c, 0x6f6f, 0x706c, 0, 0, 0, 0, 2);
const PREFIX_V6_BITS: u32 = 64;
const NETMASK: Ipv4Addr = Ipv4Addr::new(255, 255, 255, 0);
/// The largest packet of the tunnel, in bytes; large ones cost fewer system calls.
pub(super) const TUNNEL_PACKET_BYTES: u16 = 65520;

/// How often a new address is tried before it is given up.
const ADDRESS_TRIES: u32 = 400;
/// How long is waited between two tries.
const ADDRESS_WAIT: Duration = Duration::from_micros(250);

const LOOPBACK: &CStr = c"lo";
const TUNNEL: &CStr = c"tun0";

/// The kernel's `in6_rtmsg`, of which libc keeps the fields to itself.
#[repr(C)]
struct Route6 {
    destination: libc::in6_addr,
    source: libc::in6_addr,
    gateway: libc::in6_addr,
    kind: u32,
    destination_bits: u16,
    source_bits: u16,
    metric: u32,
    info: libc::c_ulong,
    flags: u32,
    interface: libc::c_int,
}

/// Brings loopback up.
pub(crate) fn loopback() -> io::Result<()> {
    up(&control()?, LOOPBACK)
}

/// Opens the tunnel device, before the host's `/dev` is left behind.
pub(crate) fn open_tunnel() -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let tunnel = rustix::fs::open("/dev/net/tun", flags, Mode::empty())?;
    let mut request = named(TUNNEL);
    request.ifr_ifru.ifru_flags =
        libc::c_short::try_from(libc::IFF_TUN | libc::IFF_NO_PI).map_err(io::Error::other)?;
    call(&tunnel, libc::TUNSETIFF, &mut request)?;
    // Without this, closing the descriptor waits for the kernel to take the device apart, tens
    // of milliseconds; so it goes with its namespace, in the background.
    // SAFETY: the code takes an integer.
    if unsafe { libc::ioctl(tunnel.as_raw_fd(), libc::TUNSETPERSIST, 1) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let control = control()?;
    let mut request = named(TUNNEL);
    request.ifr_ifru.ifru_addr = address(JOB);
    call(&control, libc::SIOCSIFADDR, &mut request)?;
    let mut request = named(TUNNEL);
    request.ifr_ifru.ifru_netmask = address(NETMASK);
    call(&control, libc::SIOCSIFNETMASK, &mut request)?;
    let mut request = named(TUNNEL);
    request.ifr_ifru.ifru_mtu = i32::from(TUNNEL_PACKET_BYTES);
    call(&control, libc::SIOCSIFMTU, &mut request)?;
    up(&control, TUNNEL)?;
    default_route(&control)?;
    Ok(tunnel)
}

fn control() -> io::Result<OwnedFd> {
    Ok(socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?)
}

fn up(control: &OwnedFd, name: &CStr) -> io::Result<()> {
    let mut request = named(name);
    request.ifr_ifru.ifru_flags =
        libc::c_short::try_from(libc::IFF_UP | libc::IFF_RUNNING).map_err(io::Error::other)?;
    call(control, libc::SIOCSIFFLAGS, &mut request)
}

fn named(name: &CStr) -> libc::ifreq {
    // SAFETY: `ifreq` is a C structure of integers and unions of them; all zeroes is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.to_bytes_with_nul()) {
        *to = from.cast_signed();
    }
    request
}

fn address(address: Ipv4Addr) -> libc::sockaddr {
    // SAFETY: `sockaddr` is a C structure of integers; all zeroes is valid.
    let mut raw: libc::sockaddr = unsafe { std::mem::zeroed() };
    raw.sa_family = u16::try_from(libc::AF_INET).unwrap_or_default();
    // The layout of `sockaddr_in`: two bytes of port, then the address in network order.
    for (to, from) in raw.sa_data[2..6].iter_mut().zip(address.octets()) {
        *to = from.cast_signed();
    }
    raw
}

fn call(on: &OwnedFd, code: libc::Ioctl, request: &mut libc::ifreq) -> io::Result<()> {
    // SAFETY: all codes used here take a pointer to an `ifreq`, which outlives the call.
    let result = unsafe { libc::ioctl(on.as_raw_fd(), code, &raw mut *request) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Gives the tunnel an address of IPv6 and all that goes there.
pub(super) fn add_ipv6() -> io::Result<()> {
    let control = socket_with(AddressFamily::INET6, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    // SAFETY: the name ends with a zero byte, and the call only reads it.
    let index = unsafe { libc::if_nametoindex(TUNNEL.as_ptr()) };
    if index == 0 {
        return Err(io::Error::last_os_error());
    }
    let request = libc::in6_ifreq {
        ifr6_addr: libc::in6_addr { s6_addr: JOB_V6.octets() },
        ifr6_prefixlen: PREFIX_V6_BITS,
        ifr6_ifindex: i32::try_from(index).map_err(io::Error::other)?,
    };
    // SAFETY: the code takes a pointer to an `in6_ifreq`, which outlives the call.
    if unsafe { libc::ioctl(control.as_raw_fd(), libc::SIOCSIFADDR, &raw const request) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let nowhere = libc::in6_addr { s6_addr: [0; 16] };
    let route = Route6 {
        destination: nowhere,
        source: nowhere,
        gateway: nowhere,
        kind: 0,
        destination_bits: 0,
        source_bits: 0,
        metric: 1,
        info: 0,
        flags: u32::from(libc::RTF_UP),
        interface: request.ifr6_ifindex,
    };
    // SAFETY: the code takes a pointer to an `in6_rtmsg`, which outlives the call.
    if unsafe { libc::ioctl(control.as_raw_fd(), libc::SIOCADDRT, &raw const route) } != 0 {
        return Err(io::Error::last_os_error());
    }
    await_usable(JOB_V6)
}

/// Waits until an address can be used: the kernel holds a new one back until it has made sure, in
/// the background, that there is nobody to ask whether it is taken.
fn await_usable(address: Ipv6Addr) -> io::Result<()> {
    let mut tries = 0;
    loop {
        match UdpSocket::bind((address, 0)) {
            Ok(_) => return Ok(()),
            Err(error) if tries == ADDRESS_TRIES => return Err(error),
            Err(_) => tries += 1,
        }
        std::thread::sleep(ADDRESS_WAIT);
    }
}

fn default_route(control: &OwnedFd) -> io::Result<()> {
    // SAFETY: `rtentry` is a C structure of integers and pointers; all zeroes is valid.
    let mut route: libc::rtentry = unsafe { std::mem::zeroed() };
    route.rt_dst = address(Ipv4Addr::UNSPECIFIED);
    route.rt_genmask = address(Ipv4Addr::UNSPECIFIED);
    route.rt_flags = libc::RTF_UP;
    route.rt_dev = TUNNEL.as_ptr().cast_mut();
    // SAFETY: the route and the name it points to outlive the call, which only reads them.
    let result = unsafe { libc::ioctl(control.as_raw_fd(), libc::SIOCADDRT, &raw const route) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
