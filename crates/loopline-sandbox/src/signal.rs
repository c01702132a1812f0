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
