//! Starts and ends processes, on the host or in a copy-on-write sandbox.
//!
//! Every process Loopline starts is started here, because whoever starts a process must be able
//! to end it: a [`Machine`] owns the processes of one job, and after its teardown none is left,
//! however it was detached. What the processes print and mean is the caller's business.

mod descriptor;
mod host;
mod launch;
mod machine;
mod orphans;
mod process;
mod sandbox;
mod signal;

pub use host::Host;
pub use machine::{Kind, Machine, MachineError, Teardown};
pub use process::{Output, Process, ProcessSpec, SpawnError, Stdin, WaitError, Waited};
pub use sandbox::{
    Bind, Bounds, Enforced, Means, Network, Sandbox, SandboxSpec, StartError, Support, enforced,
    maybe_run_helper, probe, remove_state, run_helper_before_main, warm_up,
};
pub use signal::Signal;
