//! The signals a job's processes are sent.

/// A signal that asks a process group to stop, or ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// `SIGINT`: the first, polite request of a cancelled run.
    Interrupt,
    /// `SIGTERM`: the second request.
    Terminate,
    /// `SIGHUP`: the terminal of a shell is gone.
    HangUp,
    /// `SIGKILL`: the end.
    Kill,
}

impl Signal {
    /// Returns the kernel's number of the signal.
    pub fn number(self) -> i32 {
        self.native().as_raw()
    }

    pub(crate) fn native(self) -> rustix::process::Signal {
        match self {
            Self::Interrupt => rustix::process::Signal::INT,
            Self::Terminate => rustix::process::Signal::TERM,
            Self::HangUp => rustix::process::Signal::HUP,
            Self::Kill => rustix::process::Signal::KILL,
        }
    }

    pub(crate) fn from_number(number: i32) -> Option<Self> {
        [Self::Interrupt, Self::Terminate, Self::HangUp, Self::Kill]
            .into_iter()
            .find(|signal| signal.number() == number)
    }
}

/// The names of signals, without `SIG`.
const NAMES: [(&str, i32); 31] = [
    ("HUP", libc::SIGHUP),
    ("INT", libc::SIGINT),
    ("QUIT", libc::SIGQUIT),
    ("ILL", libc::SIGILL),
    ("TRAP", libc::SIGTRAP),
    ("ABRT", libc::SIGABRT),
    ("BUS", libc::SIGBUS),
    ("FPE", libc::SIGFPE),
    ("KILL", libc::SIGKILL),
    ("USR1", libc::SIGUSR1),
    ("SEGV", libc::SIGSEGV),
    ("USR2", libc::SIGUSR2),
    ("PIPE", libc::SIGPIPE),
    ("ALRM", libc::SIGALRM),
    ("TERM", libc::SIGTERM),
    ("STKFLT", libc::SIGSTKFLT),
    ("CHLD", libc::SIGCHLD),
    ("CONT", libc::SIGCONT),
    ("STOP", libc::SIGSTOP),
    ("TSTP", libc::SIGTSTP),
    ("TTIN", libc::SIGTTIN),
    ("TTOU", libc::SIGTTOU),
    ("URG", libc::SIGURG),
    ("XCPU", libc::SIGXCPU),
    ("XFSZ", libc::SIGXFSZ),
    ("VTALRM", libc::SIGVTALRM),
    ("PROF", libc::SIGPROF),
    ("WINCH", libc::SIGWINCH),
    ("IO", libc::SIGIO),
    ("PWR", libc::SIGPWR),
    ("SYS", libc::SIGSYS),
];

/// Returns the number of a signal: by its name, with `SIG` or without, or by its number.
///
/// ```
/// assert_eq!(loopline_sandbox::signal_number("SIGQUIT"), Some(3));
/// assert_eq!(loopline_sandbox::signal_number("term"), Some(15));
/// assert_eq!(loopline_sandbox::signal_number("9"), Some(9));
/// assert_eq!(loopline_sandbox::signal_number("NONE"), None);
/// ```
#[must_use]
pub fn signal_number(name: &str) -> Option<i32> {
    let name = name.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let known = NAMES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    known.or_else(|| {
        let number = name.parse().ok()?;
        NAMES.iter().any(|(_, known)| *known == number).then_some(number)
    })
}
