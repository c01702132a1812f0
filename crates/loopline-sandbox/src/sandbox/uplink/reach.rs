//! What a job may reach, and where a flow of it really goes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use super::super::interfaces::RESOLVER;
use super::names;

/// The port of name servers.
pub(super) const DOMAIN: u16 = 53;

/// Says whether a flow asks for the job's name server.
pub(super) fn is_resolver(wanted: SocketAddr) -> bool {
    wanted == SocketAddr::from((RESOLVER, DOMAIN))
}

/// Returns where a flow to `wanted` really goes, in the order of trying; nowhere if it must not.
pub(super) fn destinations(wanted: SocketAddr) -> Vec<SocketAddr> {
    if is_resolver(wanted) {
        return names::resolvers();
    }
    let allowed = match wanted.ip() {
        IpAddr::V4(address) => may_reach_v4(address),
        IpAddr::V6(address) => may_reach_v6(address),
    };
    if allowed { vec![wanted] } else { Vec::new() }
}

/// Says whether a job may reach an address: not the host's own loopback, nor what is only for
/// this link, for everybody at once, or for nobody.
fn may_reach_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    !(address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || first == 0
        || first >= 240
        || (first == 198 && matches!(second, 18 | 19)))
}

/// The same for IPv6, where an address may also carry one of IPv4.
fn may_reach_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let [.., high, low] = segments;
    let [a, b] = high.to_be_bytes();
    let [c, d] = low.to_be_bytes();
    let carried = Ipv4Addr::new(a, b, c, d);
    let is_carrier = segments[..6] == [0; 6]
        || segments[..6] == [0, 0, 0, 0, 0, 0xffff]
        || segments[..6] == [0, 0, 0, 0, 0xffff, 0]
        || segments[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
    if is_carrier {
        // Only the translators' prefix leads anywhere by itself.
        return segments[0] == 0x64 && may_reach_v4(carried);
    }
    // fe80::/10 is for the link, fec0::/10 was for the site, ff00::/8 is for many.
    segments[0] < 0xfe80
}

/// Says whether this host has a way to the rest of the world over IPv6. Nothing is sent to find
/// it out.
pub(in super::super) fn has_ipv6() -> bool {
    let anywhere: SocketAddr = (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 9).into();
    UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok_and(|it| it.connect(anywhere).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_own_and_everybodys_addresses_are_out_of_reach() {
        for address in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "198.19.0.1",
            "240.0.0.1",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:192.0.2.1",
            "::127.0.0.1",
            "::ffff:0:127.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b::169.254.169.254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            let wanted = SocketAddr::new(address.parse().unwrap(), 80);
            assert!(destinations(wanted).is_empty(), "{address}");
        }
        for address in ["192.0.2.1", "10.0.0.1", "2001:db8::1", "fd00::1", "64:ff9b::192.0.2.1"] {
            let wanted = SocketAddr::new(address.parse().unwrap(), 80);
            assert_eq!(destinations(wanted), [wanted]);
        }
        assert!(destinations((RESOLVER, 80).into()).is_empty());
        assert!(!destinations((RESOLVER, DOMAIN).into()).is_empty());
    }
}
