//! The sandbox executor: fresh namespaces over a copy-on-write view of the host.
//!
//! The owner ([`Sandbox`]) plans the view as a list of operations and asks the fork server, a
//! single-threaded process, for the sandbox's first process. That one carries the operations out
//! in fresh namespaces, starts what it is told, reaps, and ends with its owner.

pub(crate) mod filter;
pub(crate) mod fork_server;
pub(crate) mod group;
pub(crate) mod helper;
pub(crate) mod interfaces;
mod layers;
pub(crate) mod owner;
mod probe;
pub(crate) mod protocol;
mod remote;
pub(crate) mod removal;
mod secrets;
mod serve;
pub(crate) mod setup;
mod spec;
pub(crate) mod uplink;
pub(crate) mod view;

pub use helper::{maybe_run_helper, run_helper_before_main};
pub use owner::{Sandbox, StartError, warm_up};
pub use probe::{Support, enforced, probe};
pub(crate) use remote::Remote;
pub use removal::remove_state;
pub use spec::{Bind, Bounds, Enforced, Means, Network, SandboxSpec};
