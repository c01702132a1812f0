//! The helper process: enters fresh namespaces and becomes their first process. It has one thread
//! and no async runtime, because a process with threads can neither enter a user namespace nor
//! fork safely.
#![expect(unsafe_code, reason = "namespaces, fork and privileges have no safe interface")]

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use fs_err as fs;
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, WaitOptions, set_dumpable_behavior,
    set_parent_process_death_signal, setrlimit, waitpid,
};
use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, CapabilitySets, UnshareFlags,
    clear_ambient_capability_set, set_capabilities, set_capabilities_secure_bits, set_no_new_privs,
    unshare_unsafe,
};

use super::protocol::{Decoder, Encoder, receive, send};
use super::setup::{Failed, enter, is_plain, step};
use super::view::{Operation, decode};
use super::{interfaces, serve};

/// The hidden first argument that makes this binary the helper.
pub(super) const ARGUMENT: &str = "__sandbox-init";

/// The answers to a start request.
pub(super) const FAILED: u32 = 0;
pub(super) const UNSHARED: u32 = 1;
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
    /// Whether the owner writes the map of user ids, or the helper maps its own id.
    owner_maps: bool,
    wants_tunnel: bool,
    hostname: OsString,
    root: PathBuf,
    old: String,
    plan: Vec<Operation>,
}

fn run() -> io::Result<()> {
    let socket = take_socket()?;
    let Some((message, _)) = receive(socket.as_fd())? else { return Ok(()) };
    let request = read(&message)?;
    if let Err(failed) = separate(&socket, &request) {
        return report(&socket, failed);
    }
    // SAFETY: this process has one thread, so the child may do anything a new process may.
    match unsafe { libc::fork() } {
        -1 => {
            let source = io::Error::last_os_error();
            report(&socket, Failed { step: "start the first process".to_owned(), source })
        }
        0 => first_process(socket, &request),
        _ => {
            // Only the first process may hold the socket, so that its end is the socket's.
            drop(socket);
            while let Err(rustix::io::Errno::INTR) = waitpid(None, WaitOptions::empty()) {}
            Ok(())
        }
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
        owner_maps: message.number()? == 1,
        wants_tunnel: message.number()? == 1,
        hostname: message.bytes()?,
        root: message.bytes()?.into(),
        old: message.bytes()?.to_string_lossy().into_owned(),
        plan: message.list(decode)?,
    };
    if is_plain(request.old.as_ref()) {
        Ok(request)
    } else {
        Err(io::ErrorKind::InvalidData.into())
    }
}

/// Creates the namespaces and maps the user into them.
fn separate(socket: &OwnedFd, request: &Request) -> Result<(), Failed> {
    let user = rustix::process::geteuid();
    let group = rustix::process::getegid();
    let flags = UnshareFlags::NEWUSER
        | UnshareFlags::NEWNS
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWUTS
        | UnshareFlags::NEWNET;
    // SAFETY: the process has one thread and shares its descriptors with nobody.
    step(unsafe { unshare_unsafe(flags) }, || "create the namespaces".to_owned())?;
    let map = || "map the user".to_owned();
    if request.owner_maps {
        let message = Encoder::default().number(UNSHARED).finish();
        step(send(socket.as_fd(), &message, &[]), map)?;
        let answer = step(receive(socket.as_fd()), map)?;
        if answer.is_none() {
            let source = io::ErrorKind::UnexpectedEof.into();
            return Err(Failed { step: map(), source });
        }
        return Ok(());
    }
    step(fs::write("/proc/self/setgroups", "deny"), map)?;
    let (user, group) = (user.as_raw(), group.as_raw());
    step(fs::write("/proc/self/uid_map", format!("{user} {user} 1")), map)?;
    step(fs::write("/proc/self/gid_map", format!("{group} {group} 1")), map)
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
fn first_process(socket: OwnedFd, request: &Request) -> io::Result<()> {
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
    let kill = Some(rustix::process::Signal::KILL);
    step(set_parent_process_death_signal(kill), || "tie the sandbox to its owner".to_owned())?;
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
    let notes = enter(Path::new(&request.root), &request.old, &request.plan)?;
    step(drop_privileges(request.owner_maps), || "drop privileges".to_owned())?;
    Ok((notes, tunnel))
}

/// Gives up every capability for good, so that nothing started here ever has one.
fn drop_privileges(may_set_groups: bool) -> io::Result<()> {
    if may_set_groups {
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
    // The job runs as the same user: it must not trace the process that rules it.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}
