//! The connections to a container's supervisor: what they ask for, and what is sent to them. None
//! of them can hold the supervisor up; whoever attaches and does not read holds up the container.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::Path;
use std::time::Duration;

use fs_err as fs;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, listen, socket_with,
};
use rustix::process::{Signal, WaitOptions, pidfd_send_signal, waitpid};
use rustix::termios::{Winsize, tcsetwinsize};

use super::control::{Reply, Request, Status};
use super::init::{NotStarted, Streams, exit_code};
use super::join::{self, Joined};
use super::spec::Ended;
use super::supervisor::{Supervisor, not_blocking};
use crate::sandbox::protocol::{receive, send};

/// The name of the socket in a container's folder.
pub(super) const SOCKET: &str = "control";
/// How much output may wait for whoever is attached before the container has to, in bytes.
pub(super) const OUTPUT_QUEUE_BYTES: usize = 1024 * 1024;
/// How many connections there may be at once; more have to wait.
const CONNECTIONS: usize = 64;
/// How many connections may wait to be taken.
const BACKLOG: i32 = 64;
/// How long the last words may take to be sent.
const FAREWELL: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// All connections, the owner's first.
pub(super) struct Clients {
    listener: Option<OwnedFd>,
    all: Vec<Client>,
    /// Whether the container ends with the first connection.
    is_bound: bool,
    owner_is_gone: bool,
}

struct Client {
    socket: OwnedFd,
    queue: VecDeque<(Vec<u8>, Option<OwnedFd>)>,
    queued_bytes: usize,
    is_owner: bool,
    is_attached: bool,
    waits: bool,
    executed: Option<Joined>,
    is_gone: bool,
}

impl Client {
    fn new(socket: OwnedFd, is_owner: bool) -> io::Result<Self> {
        not_blocking(&socket)?;
        Ok(Self {
            socket,
            queue: VecDeque::new(),
            queued_bytes: 0,
            is_owner,
            is_attached: false,
            // Whoever started it hears of its end even if that comes before the question.
            waits: is_owner,
            executed: None,
            is_gone: false,
        })
    }

    fn answer(&mut self, reply: &Reply, descriptor: Option<OwnedFd>) {
        // A structure of text and numbers is always writable as JSON.
        if let Ok(message) = serde_json::to_vec(reply) {
            self.queued_bytes += message.len();
            self.queue.push_back((message, descriptor));
            self.flush();
        }
    }

    /// Sends what waits, as far as it can be taken.
    fn flush(&mut self) {
        while let Some((message, descriptor)) = self.queue.front() {
            let descriptors: Vec<_> = descriptor.iter().map(OwnedFd::as_fd).collect();
            match send(self.socket.as_fd(), message, &descriptors) {
                Ok(()) => {
                    self.queued_bytes -= message.len();
                    self.queue.pop_front();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.is_gone = true;
                    self.queue.clear();
                    self.queued_bytes = 0;
                }
            }
        }
    }
}

impl Clients {
    pub(super) fn new(owner: OwnedFd, folder: Option<&Path>, detached: bool) -> io::Result<Self> {
        let listener = folder.map(open).transpose()?;
        let all = vec![Client::new(owner, true)?];
        Ok(Self { listener, all, is_bound: !detached, owner_is_gone: false })
    }

    pub(super) fn started(&mut self) {
        for client in &mut self.all {
            client.answer(&Reply::Done, None);
        }
    }

    pub(super) fn not_started(&mut self, error: &NotStarted) {
        self.listener = None;
        let reply = Reply::Refused { code: error.code, message: error.message.clone() };
        for client in &mut self.all {
            client.answer(&reply, None);
        }
        self.linger();
    }

    /// Tells everybody who waits that it is over.
    pub(super) fn farewell(&mut self, ended: Option<Ended>) {
        // From here on nobody reaches a container that is not there any more.
        self.listener = None;
        let ended = ended.unwrap_or(Ended { code: 125, oom_killed: false });
        for client in &mut self.all {
            if client.waits {
                client.answer(&Reply::Ended(ended), None);
            }
        }
        self.linger();
    }

    /// Gives slow ones some time to take what waits for them.
    fn linger(&mut self) {
        loop {
            self.all.retain(|client| !client.is_gone && !client.queue.is_empty());
            if self.all.is_empty() {
                return;
            }
            let mut watched: Vec<_> =
                self.all.iter().map(|it| PollFd::new(&it.socket, PollFlags::OUT)).collect();
            if !matches!(poll(&mut watched, Some(&FAREWELL)), Ok(count) if count > 0) {
                return;
            }
            self.all.iter_mut().for_each(Client::flush);
        }
    }

    pub(super) fn owner_is_gone(&self) -> bool {
        self.is_bound && self.owner_is_gone
    }

    /// Returns how much output waits for the slowest that is attached.
    pub(super) fn queued_bytes(&self) -> usize {
        self.all.iter().filter(|it| it.is_attached).map(|it| it.queued_bytes).max().unwrap_or(0)
    }

    pub(super) fn watch<'a>(&'a self, watched: &mut Vec<PollFd<'a>>) {
        if let Some(listener) = self.listener.as_ref().filter(|_| self.all.len() < CONNECTIONS) {
            watched.push(PollFd::new(listener, PollFlags::IN));
        }
        for client in &self.all {
            let mut flags = PollFlags::IN;
            if !client.queue.is_empty() {
                flags |= PollFlags::OUT;
            }
            watched.push(PollFd::new(&client.socket, flags));
            if let Some(executed) = &client.executed {
                watched.push(PollFd::new(&executed.end, PollFlags::IN));
            }
        }
    }

    /// Passes on what the container printed.
    pub(super) fn printed(&mut self, is_error: bool, text: &[u8]) {
        for client in self.all.iter_mut().filter(|it| it.is_attached) {
            client.answer(&Reply::Output(is_error, text.to_vec()), None);
        }
    }

    /// Takes new connections, answers what is asked, and tells of processes that have ended.
    pub(super) fn serve(&mut self, supervisor: &mut Supervisor) {
        if let Some(listener) = self.listener.as_ref().filter(|_| self.all.len() < CONNECTIONS)
            && let Ok(socket) = accept_with(listener, SocketFlags::CLOEXEC)
            && let Ok(client) = Client::new(socket, false)
        {
            self.all.push(client);
        }
        for client in &mut self.all {
            client.flush();
            client.reap();
            loop {
                match receive(client.socket.as_fd()) {
                    Ok(Some((message, descriptors))) => match serde_json::from_slice(&message) {
                        Ok(request) => client.serve(request, descriptors, supervisor),
                        Err(error) => client.refuse(&format!("no such request: {error}")),
                    },
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Ok(None) | Err(_) => {
                        client.is_gone = true;
                        break;
                    }
                }
            }
        }
        for client in self.all.extract_if(.., |client| client.is_gone) {
            self.owner_is_gone |= client.is_owner;
            if let Some(executed) = client.executed {
                // Nobody is left to hear how it ends.
                let _ = pidfd_send_signal(&executed.end, Signal::KILL);
                let _ = waitpid(Some(executed.pid), WaitOptions::empty());
            }
        }
    }
}

impl Client {
    fn refuse(&mut self, message: &str) {
        self.answer(&Reply::Refused { code: 125, message: message.to_owned() }, None);
    }

    fn done(&mut self, result: io::Result<()>) {
        match result {
            Ok(()) => self.answer(&Reply::Done, None),
            Err(error) => self.refuse(&error.to_string()),
        }
    }

    fn reap(&mut self) {
        let Some(executed) = &self.executed else { return };
        if let Ok(Some((_, status))) = waitpid(Some(executed.pid), WaitOptions::NOHANG) {
            self.executed = None;
            let ended = Ended { code: exit_code(status.as_raw()), oom_killed: false };
            self.answer(&Reply::Ended(ended), None);
        }
    }

    fn serve(&mut self, request: Request, descriptors: Vec<OwnedFd>, supervisor: &mut Supervisor) {
        match request {
            Request::State => {
                self.answer(&Reply::State(Box::new(supervisor.state.clone())), None);
            }
            Request::Usage => self.answer(&Reply::Usage(supervisor.group.usage()), None),
            Request::Wait => self.waits = true,
            Request::Attach => self.is_attached = true,
            Request::Signal(number) => match Signal::from_named_raw(number) {
                Some(signal) => {
                    supervisor.kill(signal);
                    self.answer(&Reply::Done, None);
                }
                None => self.refuse(&format!("no signal has the number {number}")),
            },
            Request::Stop(patience) => {
                self.waits = true;
                supervisor.is_stopping = true;
                let patience = patience.unwrap_or(supervisor.start.supervision.stop_timeout);
                supervisor.kill_at = Some(supervisor.clock.monotonic() + patience);
                if supervisor.state.status == Status::Paused {
                    // A process that does not run does not stop.
                    let _ = supervisor.group.freeze(false);
                }
                let signal = supervisor.start.supervision.stop_signal;
                let signal = Signal::from_named_raw(signal).unwrap_or(Signal::TERM);
                if patience > Duration::ZERO {
                    supervisor.kill(signal);
                }
            }
            Request::Freeze(frozen) => {
                let result = supervisor.group.freeze(frozen);
                if result.is_ok() {
                    let status = if frozen { Status::Paused } else { Status::Running };
                    supervisor.state.status = status;
                }
                self.done(result.and_then(|()| supervisor.write_state()));
            }
            Request::Input(bytes) => {
                let target = supervisor
                    .init
                    .as_ref()
                    .and_then(|init| init.terminal.as_ref())
                    .or(supervisor.input.as_ref());
                let result = match target {
                    Some(target) => write_all(target, &bytes),
                    None => Err(io::ErrorKind::BrokenPipe.into()),
                };
                self.done(result);
            }
            Request::EndInput => supervisor.input = None,
            Request::Resize(rows, columns) => {
                let own = self.executed.as_ref().and_then(|it| it.terminal.as_ref());
                let container = supervisor.init.as_ref().and_then(|it| it.terminal.as_ref());
                let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
                if let Some(terminal) = own.or(container) {
                    // A terminal that is gone has no size.
                    let _ = tcsetwinsize(terminal, size);
                }
            }
            Request::Execute { process, terminal } => {
                self.execute(&process, terminal, descriptors, supervisor);
            }
            Request::SignalExecuted(number) => {
                let sent = match (&self.executed, Signal::from_named_raw(number)) {
                    (Some(executed), Some(signal)) => {
                        pidfd_send_signal(&executed.end, signal).map_err(io::Error::from)
                    }
                    _ => Err(io::ErrorKind::InvalidInput.into()),
                };
                self.done(sent);
            }
        }
    }

    fn execute(
        &mut self,
        process: &super::spec::ProcessConfig,
        terminal: bool,
        descriptors: Vec<OwnedFd>,
        supervisor: &mut Supervisor,
    ) {
        let Some(init) = &supervisor.init else {
            return self.refuse("the container is not running");
        };
        if self.executed.is_some() {
            return self.refuse("this connection has started a process already");
        }
        let streams = match <[OwnedFd; 3]>::try_from(descriptors) {
            _ if terminal => Streams::Terminal,
            Ok(streams) => Streams::Plain(streams),
            Err(_) => return self.refuse("three streams come with a process"),
        };
        let joined =
            join::start(&supervisor.start.spec, &init.end, &mut supervisor.group, process, streams);
        match joined {
            Ok(joined) => {
                let terminal = joined.terminal.as_ref().map(|it| it.try_clone()).transpose();
                self.executed = Some(joined);
                match terminal {
                    Ok(terminal) => self.answer(&Reply::Done, terminal),
                    Err(error) => self.refuse(&error.to_string()),
                }
            }
            Err(NotStarted { code, message }) => {
                self.answer(&Reply::Refused { code, message }, None);
            }
        }
    }
}

/// How long a container may take to read what it is given before that is refused.
const INPUT_WAIT: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

fn write_all(target: &OwnedFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(target, bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(rustix::io::Errno::AGAIN) => {
                let mut watched = [PollFd::new(target, PollFlags::OUT)];
                if poll(&mut watched, Some(&INPUT_WAIT))? == 0 {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Returns the address of a container's socket: by way of its folder's descriptor, because an
/// address is shorter than a path may be.
pub(super) fn address(folder: &fs::File) -> io::Result<SocketAddrUnix> {
    let path = format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd());
    Ok(SocketAddrUnix::new(path)?)
}

fn open(folder: &Path) -> io::Result<OwnedFd> {
    match fs::remove_file(folder.join(SOCKET)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let folder = fs::File::open(folder)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let listener = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    bind(&listener, &address(&folder)?)?;
    listen(&listener, BACKLOG)?;
    Ok(listener)
}
