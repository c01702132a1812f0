//! Starts and ends processes, on the host, in a copy-on-write sandbox or in a container.
//!
//! Every process Loopline starts is started here, because whoever starts a process must be able
//! to end it: a [`Machine`] owns the processes of one job, and after its teardown none is left,
//! however it was detached. What the processes print and mean is the caller's business. A
//! [`Container`] runs an image's root file system instead, and may outlive whoever started it.

mod container;
mod descriptor;
mod host;
mod launch;
mod machine;
mod orphans;
mod process;
mod sandbox;
mod signal;

pub use container::{
    Container, ContainerError, ContainerNetwork, ContainerSpec, DEFAULT_CAPABILITIES, Ended, Event,
    Health, HealthStatus, Limits, LogLine, Mount, MountSource, Port, ProcessConfig, Restart, Root,
    State, Status, Supervision, Usage, capabilities, follow_links, is_capability, is_limit,
    log_files, look_up_owner, resolver_file,
};
pub use host::Host;
pub use launch::output_pipe;
pub use machine::{Kind, Machine, MachineError, Teardown};
pub use process::{Output, Process, ProcessSpec, SpawnError, Stdin, WaitError, Waited};
pub use sandbox::{
    Bind, Bounds, Enforced, Means, Network, Sandbox, SandboxSpec, StartError, Support, enforced,
    maybe_run_helper, probe, remove_state, run_helper_before_main, warm_up,
};
pub use signal::{Signal, signal_number};
