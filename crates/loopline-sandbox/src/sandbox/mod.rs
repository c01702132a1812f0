//! The sandbox executor: fresh namespaces over a copy-on-write view of the host.
//!
//! The owner ([`Sandbox`]) plans the view as a list of operations and asks the fork server, a
//! single-threaded process, for the sandbox's first process. That one carries the operations out
//! in fresh namespaces, starts what it is told, reaps, and ends with its owner.

mod filter;
mod fork_server;
mod group;
mod helper;
mod interfaces;
mod layers;
mod owner;
mod probe;
mod protocol;
mod remote;
mod removal;
mod secrets;
mod serve;
mod setup;
mod spec;
mod uplink;
mod view;

pub use helper::{maybe_run_helper, run_helper_before_main};
pub use owner::{Sandbox, StartError, warm_up};
pub use probe::{Support, enforced, probe};
pub(crate) use remote::Remote;
pub use removal::remove_state;
pub use spec::{Bind, Bounds, Enforced, Means, Network, SandboxSpec};
