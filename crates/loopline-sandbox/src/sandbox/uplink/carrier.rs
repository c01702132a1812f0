//! The loop of a sandbox's network: one thread that waits for the tunnel, for the host's sockets
//! and for deadlines, and never for anything else.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime};

use super::super::interfaces::TUNNEL_PACKET_BYTES;
use super::datagrams::Datagrams;
use super::names::{Question, resolvers};
use super::packet::{self, Content, Ends, Unreachable};
use super::reach::{destinations, is_resolver};
use super::stream::{Opening, Stream};

/// The most connections and datagram flows of one sandbox at a time; more are refused.
const FLOWS: usize = 2048;
/// The most packets that are read before the host's sockets get their turn.
const BURST: usize = 128;
/// The most events that are taken at a time.
const EVENTS: usize = 256;
/// The largest datagram.
pub(super) const DATAGRAM_BYTES: usize = 64 * 1024;

const TUNNEL: u64 = 0;
const END: u64 = 1;
/// The first number of a flow.
const FIRST_FLOW: u64 = 2;

/// A moment of the monotonic clock.
pub(super) type Micros = u64;

/// The tunnel, to be written to.
pub(super) struct Outlet<'a> {
    pub(super) tunnel: &'a OwnedFd,
    /// Room for one packet.
    pub(super) room: &'a mut [u8],
}

impl Outlet<'_> {
    /// Writes a packet to the job. One that does not fit now is lost, as on any network; whoever
    /// wanted it asks again.
    pub(super) fn send(&self, packet: &[u8]) {
        let _ = rustix::io::write(self.tunnel, packet);
    }
}

/// How a flow goes on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum After {
    /// As it is, with another look at the moment given at the latest.
    Keep(Option<Micros>),
    /// With a new socket of the host's.
    Watch(Option<Micros>),
    /// The host's connection is open.
    Opened,
    /// The question was answered.
    Answered,
    /// Not at all.
    End,
}

enum Flow {
    Opening(Opening),
    Stream(Box<Stream>),
    Datagrams(Datagrams),
    Question(Question),
}

impl Flow {
    fn outside(&self) -> Option<&OwnedFd> {
        match self {
            Self::Opening(flow) => flow.outside(),
            Self::Stream(flow) => Some(flow.outside()),
            Self::Datagrams(flow) => Some(flow.outside()),
            Self::Question(flow) => flow.outside(),
        }
    }

    /// Streams are told of changes only, since they remember what they could do.
    fn interest(&self) -> EventFlags {
        match self {
            Self::Opening(_) | Self::Stream(_) => EventFlags::IN | EventFlags::OUT | EventFlags::ET,
            Self::Datagrams(_) | Self::Question(_) => EventFlags::IN,
        }
    }
}

struct Entry {
    flow: Flow,
    key: Option<Key>,
    deadline: Option<Micros>,
}

/// What a packet of a flow is known by: whether it is of a connection, and its ends.
type Key = (bool, Ends);

pub(super) struct Carrier {
    tunnel: OwnedFd,
    _end: OwnedFd,
    epoll: OwnedFd,
    flows: HashMap<u64, Entry>,
    by_key: HashMap<Key, u64>,
    deadlines: BTreeSet<(Micros, u64)>,
    next: u64,
    /// The name server that answered last, which is asked first.
    good_server: Option<SocketAddr>,
    room: Vec<u8>,
}

impl Carrier {
    pub(super) fn new(tunnel: OwnedFd, end: OwnedFd) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &tunnel, EventData::new_u64(TUNNEL), EventFlags::IN)?;
        epoll::add(&epoll, &end, EventData::new_u64(END), EventFlags::IN)?;
        Ok(Self {
            tunnel,
            _end: end,
            epoll,
            flows: HashMap::new(),
            by_key: HashMap::new(),
            deadlines: BTreeSet::new(),
            next: FIRST_FLOW,
            good_server: None,
            room: vec![0; usize::from(TUNNEL_PACKET_BYTES)],
        })
    }

    /// Carries until the owner says so or the tunnel is gone.
    pub(super) fn carry(&mut self) -> io::Result<()> {
        let mut events = [const { MaybeUninit::<Event>::uninit() }; EVENTS];
        let mut packet = vec![0; usize::from(u16::MAX)];
        // The flows that something has happened to.
        let mut touched = BTreeSet::new();
        loop {
            let timeout = self.timeout();
            let happened = match epoll::wait(&self.epoll, &mut events, timeout.as_ref()) {
                Ok((happened, _)) => happened,
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let mut has_packets = false;
            for event in happened {
                match event.data.u64() {
                    END => return Ok(()),
                    TUNNEL => has_packets = true,
                    flow => {
                        self.note(flow, event.flags);
                        touched.insert(flow);
                    }
                }
            }
            let now = micros();
            if has_packets {
                for _ in 0..BURST {
                    match rustix::io::read(self.tunnel.as_fd(), &mut packet) {
                        Ok(count) => {
                            let packet = packet.get(..count).unwrap_or_default();
                            touched.extend(self.take(packet, now));
                        }
                        Err(Errno::AGAIN) => break,
                        Err(Errno::INTR) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
            }
            let due = self.deadlines.iter().take_while(|(moment, _)| *moment <= now);
            touched.extend(due.map(|(_, flow)| *flow));
            while let Some(flow) = touched.pop_first() {
                self.service(flow, now);
            }
        }
    }

    /// Returns how long may be waited.
    fn timeout(&self) -> Option<Timespec> {
        let (moment, _) = self.deadlines.first()?;
        let micros = moment.saturating_sub(micros());
        Some(Timespec {
            tv_sec: i64::try_from(micros / 1_000_000).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(micros % 1_000_000 * 1000).unwrap_or(0),
        })
    }

    fn note(&mut self, flow: u64, flags: EventFlags) {
        if let Some(Entry { flow: Flow::Stream(stream), .. }) = self.flows.get_mut(&flow) {
            stream.note(flags);
        }
    }

    /// Takes a packet of the job's, and returns the flow it belongs to.
    fn take(&mut self, packet: &[u8], now: Micros) -> Option<u64> {
        let (ends, content) = packet::read(packet)?;
        let key = (matches!(content, Content::Segment(_)), ends);
        let known = self.by_key.get(&key).copied();
        if let Some(number) = known
            && let Some(entry) = self.flows.get_mut(&number)
        {
            let mut outlet = Outlet { tunnel: &self.tunnel, room: &mut self.room };
            match (&mut entry.flow, content) {
                (Flow::Stream(stream), _) => stream.feed(packet, &mut outlet, now),
                (Flow::Datagrams(flow), Content::Datagram(payload)) => {
                    flow.feed(packet, payload, &outlet, now);
                }
                // A repeated request for what is being opened is not another one.
                (Flow::Opening(_), _) | (_, _) => {}
            }
            return known;
        }
        match content {
            Content::Segment(segment) if segment.syn() && !segment.ack() && !segment.rst() => {
                let targets = destinations(ends.destination);
                if targets.is_empty() || self.flows.len() >= FLOWS {
                    self.write(packet::reset(ends, &segment));
                    return None;
                }
                let opening = Opening::new(ends, packet, targets);
                Some(self.add(Flow::Opening(opening), Some(key)))
            }
            // Nobody knows the connection, or any longer.
            Content::Segment(segment) => {
                self.write(packet::reset(ends, &segment));
                None
            }
            Content::Datagram(payload) => self.start_datagrams(packet, key, payload, now),
        }
    }

    fn start_datagrams(
        &mut self,
        packet: &[u8],
        key: Key,
        payload: &[u8],
        now: Micros,
    ) -> Option<u64> {
        let ends = key.1;
        let refuse = packet::unreachable(&packet::quote(packet), Unreachable::Port);
        if self.flows.len() >= FLOWS {
            self.write(Some(refuse));
            return None;
        }
        if is_resolver(ends.destination) {
            let servers = resolvers();
            let first = servers.iter().position(|server| Some(*server) == self.good_server);
            let question = Question::new(ends, packet, payload, servers, first.unwrap_or_default());
            return Some(self.add(Flow::Question(question), None));
        }
        let target = destinations(ends.destination).first().copied();
        let started = target.map(|target| Datagrams::new(ends, target));
        let Some(Ok(mut flow)) = started else {
            self.write(Some(refuse));
            return None;
        };
        let outlet = Outlet { tunnel: &self.tunnel, room: &mut self.room };
        flow.feed(packet, payload, &outlet, now);
        let number = self.add(Flow::Datagrams(flow), Some(key));
        self.watch(number);
        Some(number)
    }

    fn write(&mut self, packet: Option<Vec<u8>>) {
        if let Some(packet) = packet {
            Outlet { tunnel: &self.tunnel, room: &mut self.room }.send(&packet);
        }
    }

    fn add(&mut self, flow: Flow, key: Option<Key>) -> u64 {
        let number = self.next;
        self.next += 1;
        if let Some(key) = key {
            self.by_key.insert(key, number);
        }
        self.flows.insert(number, Entry { flow, key, deadline: None });
        number
    }

    /// Starts waiting for a flow's socket; a closed one is forgotten by itself.
    fn watch(&mut self, number: u64) -> bool {
        let Some(entry) = self.flows.get(&number) else { return false };
        let data = EventData::new_u64(number);
        entry.flow.outside().is_some_and(|outside| {
            epoll::add(&self.epoll, outside, data, entry.flow.interest()).is_ok()
        })
    }

    /// Does what there is to do for a flow.
    fn service(&mut self, number: u64, now: Micros) {
        let crowd = self.flows.len();
        let Some(entry) = self.flows.get_mut(&number) else { return };
        let mut outlet = Outlet { tunnel: &self.tunnel, room: &mut self.room };
        let mut after = match &mut entry.flow {
            Flow::Opening(flow) => flow.service(&outlet, now),
            Flow::Stream(flow) => flow.service(&mut outlet, now),
            Flow::Datagrams(flow) => flow.service(&outlet, now),
            Flow::Question(flow) => flow.service(&outlet, now),
        };
        if after == After::Opened
            && let Flow::Opening(opening) = &mut entry.flow
        {
            after = match opening.opened(&mut outlet, now, crowd) {
                Some(mut stream) => {
                    let after = stream.service(&mut outlet, now);
                    entry.flow = Flow::Stream(Box::new(stream));
                    after
                }
                None => After::End,
            };
        }
        match after {
            After::Keep(deadline) => self.remind(number, deadline),
            After::Watch(deadline) => {
                if self.watch(number) {
                    self.remind(number, deadline);
                } else {
                    self.forget(number);
                }
            }
            After::Answered => {
                if let Some(Entry { flow: Flow::Question(question), .. }) = self.flows.get(&number)
                {
                    self.good_server = question.server();
                }
                self.forget(number);
            }
            After::Opened | After::End => self.forget(number),
        }
    }

    fn remind(&mut self, number: u64, deadline: Option<Micros>) {
        let Some(entry) = self.flows.get_mut(&number) else { return };
        if entry.deadline == deadline {
            return;
        }
        if let Some(old) = std::mem::replace(&mut entry.deadline, deadline) {
            self.deadlines.remove(&(old, number));
        }
        if let Some(new) = deadline {
            self.deadlines.insert((new, number));
        }
    }

    fn forget(&mut self, number: u64) {
        self.remind(number, None);
        if let Some(Entry { key: Some(key), .. }) = self.flows.remove(&number) {
            self.by_key.remove(&key);
        }
    }
}

/// Reads the monotonic clock. It only spaces repetitions and limits waits; nothing is recorded.
fn micros() -> Micros {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    seconds * 1_000_000 + u64::try_from(now.tv_nsec).unwrap_or_default() / 1000
}
