//! The fork server: a process of one thread and no async runtime, started once, that makes the
//! first process of every sandbox. A process with threads can neither enter a user namespace nor
//! fork safely, and starting a whole binary for each sandbox takes longer than all the rest.
#![expect(unsafe_code, reason = "namespaces, fork and privileges have no safe interface")]

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, FromRawFd as _, OwnedFd};
use std::path::Path;
use std::process::ExitCode;

use fs_err as fs;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior,
    set_parent_process_death_signal, setrlimit,
};
use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, CapabilitySets, clear_ambient_capability_set,
    set_capabilities, set_capabilities_secure_bits, set_no_new_privs,
};

use super::protocol::{Decoder, Encoder, receive, send};
use super::setup::{Failed, enter, is_plain, step};
use super::view::{Operation, decode};
use super::{filter, interfaces, serve};
use crate::container::supervise;

/// The hidden first argument that makes this binary the helper.
pub(super) const ARGUMENT: &str = "__sandbox-init";

/// What is asked for; the last byte of a request.
pub(super) const SANDBOX: u8 = 0;
pub(super) const CONTAINER: u8 = 1;

/// The answers to a start request.
pub(super) const FAILED: u32 = 0;
/// From the server: the first process is there, and this is its descriptor.
pub(super) const STARTED: u32 = 1;
/// From the first process: the view stands.
pub(super) const READY: u32 = 2;

/// Becomes the sandbox helper if this process was started as one, and returns otherwise.
///
/// The binary calls it before anything else, and certainly before any thread is started.
pub fn maybe_run_helper() -> Option<ExitCode> {
    if std::env::args_os().nth(1)? != ARGUMENT {
        return None;
    }
    Some(match run() {
        Ok(()) => ExitCode::SUCCESS,
        // The owner was told through the socket, or is gone.
        Err(_) => ExitCode::FAILURE,
    })
}

/// Becomes the sandbox helper before `main`, for test binaries, whose `main` is not ours; see
/// [`crate::run_helper_in_tests`].
pub extern "C" fn run_helper_before_main() {
    if let Some(code) = maybe_run_helper() {
        let code = i32::from(code != ExitCode::SUCCESS);
        // SAFETY: ends the process at once, without running anything of a `main` not begun.
        unsafe { libc::_exit(code) }
    }
}

/// Lets a test binary start sandboxes: put it once into its root module.
#[macro_export]
macro_rules! run_helper_in_tests {
    () => {
        const _: () = {
            #[used]
            #[unsafe(link_section = ".init_array")]
            static HELPER: extern "C" fn() = $crate::run_helper_before_main;
        };
    };
}

/// What the owner asks for.
struct Request {
    /// Whether the owner is root, who may map every user and set groups.
    by_root: bool,
    wants_tunnel: bool,
    /// Whether the host has IPv6, so that the tunnel leads there too.
    wants_ipv6: bool,
    /// The most processes of the sandbox.
    processes: u32,
    hostname: OsString,
    old: String,
    plan: Vec<Operation>,
}

/// Serves until the owner is gone. Sandboxes that are still there then end too.
fn run() -> io::Result<()> {
    let owner = take_socket()?;
    // SAFETY: sets a disposition. The kernel reaps the first processes; their ends are learnt
    // from process descriptors.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    let mut owner = Some(owner);
    while let Some(socket) = &owner {
        let Some((mut message, descriptors)) = receive(socket.as_fd())? else { return Ok(()) };
        let mut descriptors = descriptors.into_iter();
        let Some(control) = descriptors.next() else { continue };
        if message.pop() == Some(CONTAINER) {
            // A supervisor of its own, which makes the container and outlives this if it is to. Where
            // there is no room for it the closed connection says so.
            if let Ok(None) = clone_apart(0) {
                drop(owner.take());
                // SAFETY: as above; a supervisor waits for its children itself.
                unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
                return supervise(control, &message, descriptors.collect());
            }
            continue;
        }
        let request = read(&message)?;
        let (go, wait) = pipe_with(PipeFlags::CLOEXEC).map(|(wait, go)| (go, wait))?;
        match clone_apart(NAMESPACES) {
            Ok(None) => {
                // Nobody but the server may hold these, so that their ends are seen.
                drop((owner.take(), go));
                // SAFETY: as above; this process waits for its children itself.
                unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
                return first_process(control, wait, &request);
            }
            Ok(Some((child, end))) => {
                drop(wait);
                let mapped = step(map_users(child, request.by_root), || "map the users".to_owned());
                let told = mapped.and_then(|()| {
                    let message = Encoder::default().number(STARTED).finish();
                    let told = send(control.as_fd(), &message, &[end.as_fd()]);
                    step(told, || "tell of the first process".to_owned())
                });
                match told {
                    Ok(()) => fs::File::from_parts(go.into(), "go").write_all(&[1])?,
                    // The child ends when its pipe does; an owner that is gone needs no report.
                    Err(failed) => drop(report(&control, failed)),
                }
            }
            Err(source) => {
                let failed = Failed { step: "create the namespaces".to_owned(), source };
                // An owner that has given up on this sandbox may ask for others.
                let _ = report(&control, failed);
            }
        }
    }
    Ok(())
}

/// The namespaces that are a sandbox's own.
const NAMESPACES: libc::c_int = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWNET;

/// Forks into fresh namespaces, those that the flags of clone(2) name. Returns the child and a descriptor of it in the parent, nothing
/// in the child.
pub(crate) fn clone_apart(flags: libc::c_int) -> io::Result<Option<(libc::pid_t, OwnedFd)>> {
    let mut end: libc::c_int = -1;
    // SAFETY: `clone_args` is a C structure of integers; all zeroes is valid.
    let mut request: libc::clone_args = unsafe { std::mem::zeroed() };
    request.flags = u64::from((flags | libc::CLONE_PIDFD).cast_unsigned());
    request.pidfd = (&raw mut end).addr() as u64;
    if flags & libc::CLONE_PARENT == 0 {
        request.exit_signal = u64::from(libc::SIGCHLD.cast_unsigned());
    }
    // SAFETY: without a stack of its own the child goes on like one of fork(2) on a copy of the
    // memory. This process has one thread, so no lock is held by another. The request and the
    // place for the descriptor outlive the call.
    let child =
        unsafe { libc::syscall(libc::SYS_clone3, &raw const request, size_of_val(&request)) };
    match libc::pid_t::try_from(child).map_err(io::Error::other)? {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(None),
        // SAFETY: the kernel has put a new descriptor there, which nobody else owns.
        child => Ok(Some((child, unsafe { OwnedFd::from_raw_fd(end) }))),
    }
}

/// Takes the socket from standard input and leaves `/dev/null` in its place.
fn take_socket() -> io::Result<OwnedFd> {
    let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let null = fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    Ok(socket)
}

fn read(message: &[u8]) -> io::Result<Request> {
    let mut message = Decoder::new(message);
    let request = Request {
        by_root: message.number()? == 1,
        wants_tunnel: message.number()? == 1,
        wants_ipv6: message.number()? == 1,
        processes: message.number()?,
        hostname: message.bytes()?,
        old: message.bytes()?.to_string_lossy().into_owned(),
        plan: message.list(decode)?,
    };
    if is_plain(request.old.as_ref()) {
        Ok(request)
    } else {
        Err(io::ErrorKind::InvalidData.into())
    }
}

/// Maps every user and group root knows to itself, so that files keep their owners inside; for
/// anybody else only their own.
pub(crate) fn map_users(child: libc::pid_t, by_root: bool) -> io::Result<()> {
    let own = |name: &str| Path::new("/proc/self").join(name);
    let theirs = |name: &str| Path::new("/proc").join(child.to_string()).join(name);
    if !by_root {
        fs::write(theirs("setgroups"), "deny")?;
        let user = rustix::process::geteuid().as_raw();
        let group = rustix::process::getegid().as_raw();
        fs::write(theirs("uid_map"), format!("{user} {user} 1"))?;
        return fs::write(theirs("gid_map"), format!("{group} {group} 1"));
    }
    for name in ["uid_map", "gid_map"] {
        let mut map = String::new();
        for line in fs::read_to_string(own(name))?.lines() {
            let mut fields = line.split_ascii_whitespace();
            if let (Some(first), Some(_), Some(count)) =
                (fields.next(), fields.next(), fields.next())
            {
                map.push_str(&format!("{first} {first} {count}\n"));
            }
        }
        fs::write(theirs(name), map)?;
    }
    Ok(())
}

fn report(socket: &OwnedFd, failed: Failed) -> io::Result<()> {
    let code = failed.source.raw_os_error().unwrap_or(0);
    let message = Encoder::default()
        .number(FAILED)
        .bytes(failed.step)
        .signed(code)
        .bytes(failed.source.to_string())
        .finish();
    send(socket.as_fd(), &message, &[])?;
    Err(failed.source)
}

/// Sets the sandbox up from inside and serves it to its end.
fn first_process(socket: OwnedFd, wait: OwnedFd, request: &Request) -> io::Result<()> {
    // Before the wait, so that a server that ends meanwhile is noticed one way or the other.
    set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let mut go = [0];
    if rustix::io::read(&wait, &mut go)? != 1 {
        return Ok(());
    }
    drop(wait);
    match prepare(request) {
        Ok((mut notes, tunnel)) => {
            let tunnel = tunnel.unwrap_or_else(|error| {
                if let Some(error) = error {
                    notes.push(format!("no network: cannot open /dev/net/tun ({error})"));
                }
                None
            });
            let message = Encoder::default()
                .number(READY)
                .list(&notes, |message, note| message.bytes(note))
                .finish();
            let descriptors: Vec<_> = tunnel.iter().map(OwnedFd::as_fd).collect();
            send(socket.as_fd(), &message, &descriptors)?;
            drop(tunnel);
            serve::serve(&socket)
        }
        Err(failed) => report(&socket, failed),
    }
}

/// A tunnel, or why there is none: not wanted, or refused.
type Tunnel = Result<Option<OwnedFd>, Option<io::Error>>;

fn prepare(request: &Request) -> Result<(Vec<String>, Tunnel), Failed> {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    step(rustix::system::sethostname(request.hostname.as_encoded_bytes()), || {
        "set the host name".to_owned()
    })?;
    step(interfaces::loopback(), || "bring loopback up".to_owned())?;
    let tunnel = if request.wants_tunnel {
        interfaces::open_tunnel().map(Some).map_err(Some)
    } else {
        Err(None)
    };
    let ipv6 = match &tunnel {
        Ok(Some(_)) if request.wants_ipv6 => interfaces::add_ipv6(),
        _ => Ok(()),
    };
    let mut notes = enter(&request.old, &request.plan)?;
    if let Err(error) = ipv6 {
        notes.push(format!("no IPv6: cannot give the tunnel an address ({error})"));
    }
    step(drop_privileges(request), || "drop privileges".to_owned())?;
    if let Err(error) = filter::install() {
        notes.push(format!("system calls are not filtered ({error})"));
    }
    Ok((notes, tunnel))
}

/// Gives up every capability for good, so that nothing started here ever has one.
fn drop_privileges(request: &Request) -> io::Result<()> {
    if request.by_root {
        rustix::thread::set_thread_groups(&[])?;
    }
    for capability in 0..64 as libc::c_ulong {
        // SAFETY: takes integers only. Fails past the last capability the kernel knows.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) } != 0 {
            break;
        }
    }
    set_capabilities_secure_bits(
        CapabilitiesSecureBits::NO_ROOT
            | CapabilitiesSecureBits::NO_ROOT_LOCKED
            | CapabilitiesSecureBits::NO_SETUID_FIXUP
            | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
            | CapabilitiesSecureBits::KEEP_CAPS_LOCKED
            | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
            | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED,
    )?;
    clear_ambient_capability_set()?;
    set_no_new_privs(true)?;
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    // Root is not bound by this one, but by the sandbox's control group.
    let own = getrlimit(Resource::Nproc);
    let most = own.maximum.map_or(request.processes.into(), |it| it.min(request.processes.into()));
    setrlimit(Resource::Nproc, Rlimit { current: Some(most), maximum: Some(most) })?;
    // The job runs as the same user: it must not trace the process that rules it.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}
