//! The name server a job sees: a question goes to the host's name servers in turn, until one
//! answers. They are asked from the host, so ones on its loopback work too.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;

use fs_err as fs;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::carrier::{After, DATAGRAM_BYTES, Micros, Outlet};
use super::datagrams::connect;
use super::packet::{self, Ends, Unreachable};
use super::reach::DOMAIN;

/// The most name servers that are asked, as many as the C library reads.
const SERVERS: usize = 3;
/// How long a name server may take before the next one is asked.
const PATIENCE: Micros = 1_500_000;

/// Reads the host's name servers.
pub(super) fn resolvers() -> Vec<SocketAddr> {
    parse(&fs::read_to_string("/etc/resolv.conf").unwrap_or_default())
}

/// Reads name servers out of the text of a `resolv.conf`; without one it is the local one, as in
/// resolv.conf(5).
fn parse(text: &str) -> Vec<SocketAddr> {
    let mut found: Vec<SocketAddr> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let name = (words.next()? == "nameserver").then(|| words.next())??;
            Some(SocketAddr::new(name.parse::<IpAddr>().ok()?, DOMAIN))
        })
        .take(SERVERS)
        .collect();
    if found.is_empty() {
        found.push((Ipv4Addr::LOCALHOST, DOMAIN).into());
    }
    found
}

/// One question of the job on its way.
pub(super) struct Question {
    ends: Ends,
    /// The head of the job's packet, for a report.
    quote: Vec<u8>,
    query: Vec<u8>,
    servers: Vec<SocketAddr>,
    /// How many servers were asked.
    asked: usize,
    /// Whether every server so far has said that it is none.
    refused: bool,
    outside: Option<OwnedFd>,
    deadline: Micros,
}

impl Question {
    /// Prepares a question, the server at `first` to be asked first.
    pub(super) fn new(
        ends: Ends,
        packet: &[u8],
        query: &[u8],
        mut servers: Vec<SocketAddr>,
        first: usize,
    ) -> Self {
        let first = first % servers.len().max(1);
        servers.rotate_left(first);
        Self {
            ends,
            quote: packet::quote(packet),
            query: query.to_vec(),
            servers,
            asked: 0,
            refused: true,
            outside: None,
            deadline: 0,
        }
    }

    pub(super) fn outside(&self) -> Option<&OwnedFd> {
        self.outside.as_ref()
    }

    /// Returns the server that is being asked.
    pub(super) fn server(&self) -> Option<SocketAddr> {
        self.asked.checked_sub(1).and_then(|index| self.servers.get(index)).copied()
    }

    /// Asks the next server. Says whether there was one; the socket is then a new one.
    pub(super) fn ask(&mut self, now: Micros) -> bool {
        self.outside = None;
        while let Some(&server) = self.servers.get(self.asked) {
            self.asked += 1;
            let sent = connect(server).and_then(|outside| {
                Ok((send(&outside, &self.query, SendFlags::NOSIGNAL)?, outside))
            });
            match sent {
                Ok((_, outside)) => {
                    self.outside = Some(outside);
                    self.deadline = now + PATIENCE;
                    return true;
                }
                Err(error) => self.note(&error),
            }
        }
        false
    }

    fn note(&mut self, error: &io::Error) {
        self.refused &= error.kind() == io::ErrorKind::ConnectionRefused;
    }

    /// Passes an answer on, or the turn to the next server.
    pub(super) fn service(&mut self, outlet: &Outlet<'_>, now: Micros) -> After {
        let mut answer = vec![0; DATAGRAM_BYTES];
        while let Some(outside) = &self.outside {
            match recv(outside, &mut answer, RecvFlags::DONTWAIT) {
                Ok((count, _)) => {
                    let answer = answer.get(..count).unwrap_or_default();
                    // The first two bytes name the question; whatever else comes is not for us.
                    if answer.len() >= 2 && answer.get(..2) == self.query.get(..2) {
                        outlet.send(&packet::datagram(self.ends.back(), answer));
                        return After::Answered;
                    }
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) if now < self.deadline => {
                    return After::Keep(Some(self.deadline));
                }
                Err(error) => {
                    self.note(&error.into());
                    break;
                }
            }
        }
        if self.ask(now) {
            return After::Watch(Some(self.deadline));
        }
        if self.refused {
            // Where some are only silent, the job's resolver asks again and gives up by itself.
            outlet.send(&packet::unreachable(&self.quote, Unreachable::Port));
        }
        After::End
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_read_as_the_c_library_does() {
        let text = "# nameserver 192.0.2.9\nsearch example.org\nnameserver 192.0.2.1\n\
                    nameserver\t::1 \nnameservers 192.0.2.2\nnameserver nonsense\n\
                    nameserver 192.0.2.3\nnameserver 192.0.2.4\n";
        let found: Vec<_> = parse(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["192.0.2.1:53", "[::1]:53", "192.0.2.3:53"]);
        assert_eq!(parse("")[0].to_string(), "127.0.0.1:53");
    }

    /// Serves a question until it ends, and returns how, and what the job gets.
    fn serve(question: &mut Question, late: bool) -> (After, Vec<u8>) {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
        let flags = SocketFlags::NONBLOCK;
        let (tunnel, job) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        let outlet = Outlet { tunnel: &tunnel, room: &mut [] };
        assert!(question.ask(0));
        let after = loop {
            let outside = question.outside().unwrap();
            let now = if late { question.deadline } else { 0 };
            if !late {
                let mut wait = [rustix::event::PollFd::new(outside, rustix::event::PollFlags::IN)];
                rustix::event::poll(&mut wait, None).unwrap();
            }
            match question.service(&outlet, now) {
                After::Keep(_) | After::Watch(_) => {}
                after => break after,
            }
        };
        let mut packet = vec![0; 1000];
        let count = rustix::io::read(&job, &mut packet).unwrap_or_default();
        packet.truncate(count);
        (after, packet)
    }

    #[test]
    fn the_next_server_is_asked_where_one_refuses_is_silent_or_answers_something_else() {
        let unbound = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let closed = unbound.local_addr().unwrap();
        drop(unbound);
        let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let good = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let (quiet, target) = (silent.local_addr().unwrap(), good.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let mut query = [0; 16];
            let (count, peer) = good.recv_from(&mut query).unwrap();
            good.send_to(b"??other", peer).unwrap();
            good.send_to(&[&query[..count], b" answered"].concat(), peer).unwrap();
        });
        let ends = Ends {
            source: "198.18.0.2:1234".parse().unwrap(),
            destination: "198.18.0.3:53".parse().unwrap(),
        };
        let asked = packet::datagram(ends, b"id query");
        let question = |servers: &[SocketAddr], first| {
            Question::new(ends, &asked, b"id query", servers.to_vec(), first)
        };
        let mut both = question(&[target, closed], 1);
        let (after, answer) = serve(&mut both, false);
        assert_eq!((after, both.server()), (After::Answered, Some(target)));
        let Some((back, packet::Content::Datagram(text))) = packet::read(&answer) else {
            panic!("{answer:?}")
        };
        assert_eq!((back, text), (ends.back(), &b"id query answered"[..]));
        server.join().unwrap();

        // Where all refuse the job is told so, where one is silent it asks again.
        let (after, report) = serve(&mut question(&[closed, closed], 0), false);
        assert_eq!((after, report[9], report[20], report[21]), (After::End, 1, 3, 3));
        assert_eq!(serve(&mut question(&[quiet, quiet], 0), true), (After::End, Vec::new()));
    }
}
