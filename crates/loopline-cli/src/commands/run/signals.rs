//! Ctrl-C and its like: the first asks the run to end, the second ends it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use loopline_runner::Cancel;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

/// Listens while it lives.
pub(crate) struct Listening {
    handle: Handle,
    heard: Arc<AtomicBool>,
}

impl Listening {
    /// Starts listening for `cancel`.
    pub(crate) fn start(cancel: &Cancel) -> io::Result<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let handle = signals.handle();
        let heard = Arc::new(AtomicBool::new(false));
        let (cancel, set) = (cancel.clone(), Arc::clone(&heard));
        std::thread::Builder::new().name("signals".to_owned()).stack_size(64 * 1024).spawn(
            move || {
                for signal in signals.forever() {
                    let name = match signal {
                        SIGINT => "Ctrl-C",
                        SIGTERM => "SIGTERM",
                        _ => "the terminal closing",
                    };
                    if set.swap(true, Ordering::AcqRel) {
                        cancel.force(&format!("cancelled again by {name}"));
                    } else {
                        cancel.ask(&format!("cancelled by {name}"));
                    }
                }
            },
        )?;
        Ok(Self { handle, heard })
    }

    /// Returns whether a signal came.
    pub(crate) fn heard(&self) -> bool {
        self.heard.load(Ordering::Acquire)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.handle.close();
    }
}
