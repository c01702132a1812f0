//! The wire: what a packet of the job's is about, and the packets that are written to the job
//! without a connection: datagrams, refusals (RFC 9293, 3.5.2) and reports of what cannot be
//! reached (RFC 792 and RFC 4443).

use std::net::{IpAddr, SocketAddr};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    IPV4_HEADER_LEN, IPV6_HEADER_LEN, Icmpv4Message, Icmpv4Packet, Icmpv6Message, Icmpv6Packet,
    IpAddress, IpProtocol, IpRepr, Ipv4Packet, Ipv6Packet, TcpControl, TcpPacket, TcpRepr,
    TcpSeqNumber, UdpPacket, UdpRepr,
};

const TIME_TO_LIVE: u8 = 64;
/// How much of a packet behind its header a report quotes.
const QUOTED_BYTES: usize = 8;
/// The header of a report.
const REPORT_BYTES: usize = 8;
const UDP_BYTES: usize = 8;

/// Where a packet comes from and where it goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ends {
    pub(super) source: SocketAddr,
    pub(super) destination: SocketAddr,
}

impl Ends {
    /// Returns the ends of an answer.
    pub(super) fn back(self) -> Self {
        Self { source: self.destination, destination: self.source }
    }
}

/// What a packet carries.
pub(super) enum Content<'a> {
    Segment(TcpPacket<&'a [u8]>),
    Datagram(&'a [u8]),
}

/// What cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreachable {
    Network,
    Host,
    Port,
}

impl Unreachable {
    fn code_v4(self) -> u8 {
        match self {
            Self::Network => 0,
            Self::Host => 1,
            Self::Port => 3,
        }
    }

    fn code_v6(self) -> u8 {
        match self {
            Self::Network => 0,
            Self::Host => 3,
            Self::Port => 4,
        }
    }
}

/// Reads a packet; nothing for what is not carried: pings, fragments, multicast.
pub(super) fn read(packet: &[u8]) -> Option<(Ends, Content<'_>)> {
    let (source, destination, protocol, body): (IpAddr, IpAddr, _, _) = match packet.first()? >> 4 {
        4 => {
            let packet = Ipv4Packet::new_checked(packet).ok()?;
            if packet.more_frags() || packet.frag_offset() != 0 {
                return None;
            }
            let (source, destination) = (packet.src_addr(), packet.dst_addr());
            (source.into(), destination.into(), packet.next_header(), packet.payload())
        }
        6 => {
            let packet = Ipv6Packet::new_checked(packet).ok()?;
            let (source, destination) = (packet.src_addr(), packet.dst_addr());
            (source.into(), destination.into(), packet.next_header(), packet.payload())
        }
        _ => return None,
    };
    if destination.is_multicast() {
        return None;
    }
    let (ports, content) = match protocol {
        IpProtocol::Tcp => {
            let segment = TcpPacket::new_checked(body).ok()?;
            ((segment.src_port(), segment.dst_port()), Content::Segment(segment))
        }
        IpProtocol::Udp => {
            let datagram = UdpPacket::new_checked(body).ok()?;
            let ports = (datagram.src_port(), datagram.dst_port());
            (ports, Content::Datagram(datagram.payload()))
        }
        _ => return None,
    };
    let ends = Ends {
        source: SocketAddr::new(source, ports.0),
        destination: SocketAddr::new(destination, ports.1),
    };
    Some((ends, content))
}

/// Returns what a report quotes of a packet.
pub(super) fn quote(packet: &[u8]) -> Vec<u8> {
    let header = match packet.first().map_or(0, |first| first >> 4) {
        4 => packet.first().map_or(0, |first| usize::from(first & 0x0f) * 4),
        _ => IPV6_HEADER_LEN,
    };
    packet.get(..header + QUOTED_BYTES).unwrap_or(packet).to_vec()
}

/// Builds a packet around a body.
fn around(
    (source, destination): (IpAddr, IpAddr),
    protocol: IpProtocol,
    body_bytes: usize,
    body: impl FnOnce(&mut [u8], &IpAddress, &IpAddress),
) -> Vec<u8> {
    let (source, destination) = (IpAddress::from(source), IpAddress::from(destination));
    let header = IpRepr::new(source, destination, protocol, body_bytes, TIME_TO_LIVE);
    let mut packet = vec![0; header.buffer_len()];
    header.emit(&mut packet, &ChecksumCapabilities::default());
    let header_bytes = if source.version() == smoltcp::wire::IpVersion::Ipv4 {
        IPV4_HEADER_LEN
    } else {
        IPV6_HEADER_LEN
    };
    if let Some(room) = packet.get_mut(header_bytes..) {
        body(room, &source, &destination);
    }
    packet
}

/// Builds a datagram.
pub(super) fn datagram(ends: Ends, payload: &[u8]) -> Vec<u8> {
    let (source, destination) = (ends.source, ends.destination);
    let addresses = (source.ip(), destination.ip());
    around(addresses, IpProtocol::Udp, UDP_BYTES + payload.len(), |room, from, to| {
        let header = UdpRepr { src_port: source.port(), dst_port: destination.port() };
        let checksums = ChecksumCapabilities::default();
        let fill = |room: &mut [u8]| room.copy_from_slice(payload);
        let mut packet = UdpPacket::new_unchecked(room);
        header.emit(&mut packet, from, to, payload.len(), fill, &checksums);
    })
}

/// Builds the refusal of a segment, which came along `ends`; there is none of a refusal.
pub(super) fn reset(ends: Ends, segment: &TcpPacket<&[u8]>) -> Option<Vec<u8>> {
    if segment.rst() {
        return None;
    }
    let (sequence, acknowledged) = if segment.ack() {
        (segment.ack_number(), None)
    } else {
        (TcpSeqNumber(0), Some(segment.seq_number() + segment.segment_len()))
    };
    let answer = TcpRepr {
        src_port: ends.destination.port(),
        dst_port: ends.source.port(),
        control: TcpControl::Rst,
        seq_number: sequence,
        ack_number: acknowledged,
        window_len: 0,
        window_scale: None,
        max_seg_size: None,
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: &[],
    };
    let addresses = (ends.destination.ip(), ends.source.ip());
    Some(around(addresses, IpProtocol::Tcp, answer.buffer_len(), |room, from, to| {
        let mut packet = TcpPacket::new_unchecked(room);
        answer.emit(&mut packet, from, to, &ChecksumCapabilities::default());
    }))
}

/// Builds a report that the packet quoted has not reached its destination.
pub(super) fn unreachable(quote: &[u8], what: Unreachable) -> Vec<u8> {
    let body_bytes = REPORT_BYTES + quote.len();
    if quote.first().is_some_and(|first| first >> 4 == 6) {
        let about = Ipv6Packet::new_unchecked(quote);
        let addresses = (about.dst_addr().into(), about.src_addr().into());
        let (from, to) = (about.dst_addr(), about.src_addr());
        return around(addresses, IpProtocol::Icmpv6, body_bytes, |room, _, _| {
            let mut report = Icmpv6Packet::new_unchecked(room);
            report.set_msg_type(Icmpv6Message::DstUnreachable);
            report.set_msg_code(what.code_v6());
            report.payload_mut().copy_from_slice(quote);
            report.fill_checksum(&from, &to);
        });
    }
    let about = Ipv4Packet::new_unchecked(quote);
    let addresses = (about.dst_addr().into(), about.src_addr().into());
    around(addresses, IpProtocol::Icmp, body_bytes, |room, _, _| {
        let mut report = Icmpv4Packet::new_unchecked(room);
        report.set_msg_type(Icmpv4Message::DstUnreachable);
        report.set_msg_code(what.code_v4());
        report.data_mut().copy_from_slice(quote);
        report.fill_checksum();
    })
}
