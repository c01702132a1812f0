//! Turns a process inside a container's namespaces into the program the container is for: its
//! user, limits, capabilities and filter, and then `execve`.
#![expect(unsafe_code, reason = "some of prctl(2) and rlimits by number have no safe interface")]

use std::ffi::OsString;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::process::{DumpableBehavior, set_dumpable_behavior, set_parent_process_death_signal};
use rustix::thread::{
    CapabilitySet, CapabilitySets, Gid, Uid, clear_ambient_capability_set, set_capabilities,
    set_no_new_privs, set_thread_groups,
};

use super::root;
use super::spec::ProcessConfig;
use super::trampoline;
use super::users::{self, User};
use crate::launch::find;
use crate::process::SpawnError;
use crate::sandbox::filter;
use crate::sandbox::setup::{Failed, step};

/// The names of capabilities, at the places of their numbers in the kernel.
const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// The resource limits by the names of ulimit(1) and Docker.
const LIMITS: [(&str, libc::__rlimit_resource_t); 15] = [
    ("as", libc::RLIMIT_AS),
    ("core", libc::RLIMIT_CORE),
    ("cpu", libc::RLIMIT_CPU),
    ("data", libc::RLIMIT_DATA),
    ("fsize", libc::RLIMIT_FSIZE),
    ("locks", libc::RLIMIT_LOCKS),
    ("memlock", libc::RLIMIT_MEMLOCK),
    ("msgqueue", libc::RLIMIT_MSGQUEUE),
    ("nice", libc::RLIMIT_NICE),
    ("nofile", libc::RLIMIT_NOFILE),
    ("nproc", libc::RLIMIT_NPROC),
    ("rss", libc::RLIMIT_RSS),
    ("rtprio", libc::RLIMIT_RTPRIO),
    ("sigpending", libc::RLIMIT_SIGPENDING),
    ("stack", libc::RLIMIT_STACK),
];

/// Says whether this is the name of a capability, without `CAP_`.
#[must_use]
pub fn is_capability(name: &str) -> bool {
    CAPABILITIES.contains(&name)
}

/// Returns the names of all capabilities, without `CAP_`.
#[must_use]
pub fn capabilities() -> &'static [&'static str] {
    &CAPABILITIES
}

/// Says whether this is the name of a resource limit.
#[must_use]
pub fn is_limit(name: &str) -> bool {
    LIMITS.iter().any(|(known, _)| *known == name)
}

/// A process about to be: everything that was looked up before privileges are dropped.
pub(super) struct Ready {
    user: User,
    program: PathBuf,
    /// With what it is called by.
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    trampoline: OwnedFd,
}

/// How much of a program is looked at: more than the kernel reads of a script's first line.
const FIRST_BYTES: u64 = 512;

/// A program that could not be run, in Docker's exit codes.
pub(super) enum Refusal {
    /// The set-up failed.
    SetUp(Failed),
    /// The program is not there (127), or cannot be run (126).
    Program { code: u32, message: String },
}

impl From<Failed> for Refusal {
    fn from(failed: Failed) -> Self {
        Self::SetUp(failed)
    }
}

/// Applies limits and looks up the user, the working folder and the program, as root inside.
pub(super) fn prepare(config: &ProcessConfig) -> Result<Ready, Refusal> {
    let user = users::look_up(Path::new("/"), &config.user, &config.groups)
        .map_err(|message| Refusal::Program { code: 126, message })?;
    let mut env: Vec<(OsString, OsString)> = Vec::new();
    for line in &config.env {
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        env.retain(|(known, _)| known != name);
        env.push((name.into(), value.into()));
    }
    if !env.iter().any(|(name, _)| name == "HOME") {
        env.push(("HOME".into(), user.home.clone().into()));
    }
    root::enter_folder(&config.cwd)?;
    for (name, &(soft, hard)) in &config.rlimits {
        step(limit(name, soft, hard), || format!("set the limit `{name}`"))?;
    }
    if let Some(score) = config.oom_score_adj {
        step(fs_err::write("/proc/self/oom_score_adj", score.to_string()), || {
            "set oom_score_adj".to_owned()
        })?;
    }
    let Some((arg0, args)) = config.args.split_first() else {
        return Err(Refusal::Program { code: 127, message: "no command is given".to_owned() });
    };
    let program = find(arg0.as_ref(), &env, &config.cwd).map_err(program_refusal)?;
    look_at(&program)?;
    let args = std::iter::once(arg0).chain(args).map(OsString::from).collect();
    let trampoline = step(trampoline::make(), || "prepare to run the program".to_owned())?;
    Ok(Ready { user, program, args, env, trampoline })
}

/// Gives up what the process shall not have, and becomes the program. Returns only what went wrong.
pub(super) fn execute(ready: Ready, config: &ProcessConfig, privileged: bool) -> Refusal {
    let dropped = step(forgo(config, privileged), || "drop privileges".to_owned())
        .and_then(|kept| {
            step(become_user(&ready.user, kept), || match ready.user.uid {
                0 => "become root".to_owned(),
                uid => format!("become user {uid}, which this machine's /etc/subuid must allow"),
            })
        })
        .and_then(|()| step(shut(config), || "drop privileges".to_owned()));
    if let Err(failed) = dropped {
        return failed.into();
    }
    // Whatever Loopline was started with: a program in a container ignores and blocks nothing.
    // SAFETY: sets dispositions, which is refused for those that cannot be caught; the set is
    // initialised before it is used.
    unsafe {
        for signal in 1..=libc::SIGRTMAX() {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
    let name = ready.program.display().to_string();
    let source =
        trampoline::execute(&ready.trampoline, ready.program.into(), ready.args, ready.env);
    Refusal::Program { code: 126, message: format!("run `{name}`: {source}") }
}

/// Keeps the end of a terminal that is not needed any more from ending this process before it has
/// said why.
pub(super) fn survive_terminals() {
    // SAFETY: sets a disposition.
    unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
}

/// Says whether a file is Loopline's own, which is no program for a container.
fn is_own(path: &Path) -> bool {
    let same = |one: &std::fs::Metadata, other: &std::fs::Metadata| {
        (one.dev(), one.ino()) == (other.dev(), other.ino())
    };
    match (fs_err::metadata(path), fs_err::metadata("/proc/self/exe")) {
        (Ok(one), Ok(own)) => same(&one, &own),
        _ => false,
    }
}

/// Says why the kernel would refuse to run a file, as far as its first bytes tell: afterwards
/// nobody is there to say it.
fn look_at(program: &Path) -> Result<(), Refusal> {
    let name = program.display();
    let refuse =
        |code, what: &str| Err(Refusal::Program { code, message: format!("run `{name}`: {what}") });
    if is_own(program) {
        return refuse(126, "it is Loopline's own binary");
    }
    let mut start = Vec::new();
    let read =
        fs_err::File::open(program).and_then(|file| file.take(FIRST_BYTES).read_to_end(&mut start));
    if read.is_err() {
        // A program that may be run but not read is the kernel's to judge.
        return Ok(());
    }
    if let Some(line) = start.strip_prefix(b"#!") {
        let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line);
        let Some(interpreter) = line.split_whitespace().next() else {
            return refuse(126, "its first line names no interpreter");
        };
        if is_own(Path::new(interpreter)) {
            return refuse(126, "its interpreter is Loopline's own binary");
        }
        if !root::is_program(Path::new(interpreter)) {
            return refuse(127, &format!("its interpreter `{interpreter}` is missing"));
        }
    } else if !start.starts_with(b"\x7fELF") {
        return refuse(126, "exec format error: neither a binary nor a script with `#!`");
    } else if start.get(18..20) != Some(&trampoline::MACHINE.to_le_bytes()) {
        return refuse(126, "exec format error: a binary for another machine");
    }
    Ok(())
}

fn program_refusal(error: SpawnError) -> Refusal {
    let code = if matches!(error, SpawnError::NotFound { .. }) { 127 } else { 126 };
    Refusal::Program { code, message: error.to_string() }
}

/// Sets a resource limit, as far as this user may: what is above the hard limit is clamped to it.
fn limit(name: &str, soft: u64, hard: u64) -> io::Result<()> {
    let Some((_, resource)) = LIMITS.iter().find(|(known, _)| *known == name) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let wanted = libc::rlimit { rlim_cur: soft, rlim_max: hard };
    let mut now = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both structures live on this stack; the kernel reads the one and writes the other.
    unsafe {
        if libc::setrlimit(*resource, &raw const wanted) == 0 {
            return Ok(());
        }
        if libc::getrlimit(*resource, &raw mut now) != 0 {
            return Err(io::Error::last_os_error());
        }
        let wanted =
            libc::rlimit { rlim_cur: soft.min(now.rlim_max), rlim_max: hard.min(now.rlim_max) };
        if libc::setrlimit(*resource, &raw const wanted) == 0 {
            return Ok(());
        }
    }
    Err(io::Error::last_os_error())
}

/// Gives up for good the capabilities that nothing in the container shall have. Returns the others.
fn forgo(config: &ProcessConfig, privileged: bool) -> io::Result<CapabilitySet> {
    let mut kept = CapabilitySet::empty();
    for (number, name) in CAPABILITIES.iter().enumerate() {
        if privileged || config.capabilities.iter().any(|it| it == name) {
            kept |= CapabilitySet::from_bits_retain(1 << number);
        }
    }
    if !config.no_new_privileges && config.filtered {
        // Root inside may do so now; later nobody may.
        filter::install()?;
    }
    for capability in 0..64_u32 {
        // SAFETY: takes integers only. Fails past the last capability the kernel knows.
        let dropped = kept.bits() & (1 << capability) != 0
            || unsafe {
                libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(capability), 0, 0, 0)
            } == 0;
        if !dropped {
            break;
        }
    }
    clear_ambient_capability_set()?;
    Ok(kept)
}

fn become_user(user: &User, kept: CapabilitySet) -> io::Result<()> {
    let groups: Vec<Gid> = user.groups.iter().map(|it| Gid::from_raw(*it)).collect();
    match set_thread_groups(&groups) {
        // Without subordinate groups nobody may set any, and has none to lose.
        Err(rustix::io::Errno::PERM) if groups.is_empty() => {}
        result => result?,
    }
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    // Gives up all capabilities unless it stays root.
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    let has = if user.uid == 0 { kept } else { CapabilitySet::empty() };
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: has, permitted: has, inheritable: none };
    Ok(set_capabilities(None, sets)?)
}

/// The last things before the program.
fn shut(config: &ProcessConfig) -> io::Result<()> {
    if config.no_new_privileges {
        set_no_new_privs(true)?;
        if config.filtered {
            filter::install()?;
        }
    }
    // A change of the user has cleared it.
    set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    // And this one too, which keeps whoever is inside out of this process until the program runs.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}
