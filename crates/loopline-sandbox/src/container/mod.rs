//! Containers: an image's root file system in fresh namespaces, with a supervisor that outlives
//! whoever started it where that is asked for.
//!
//! [`spec`] is what a container is started with, [`root`] builds its file system, [`process`] turns
//! a process into its program as the user [`users`] finds, by way of [`trampoline`], [`init`] is its first process, and
//! [`supervisor`] watches over it.

mod clients;
mod control;
mod handle;
mod health;
mod init;
mod join;
mod links;
mod log;
mod mapping;
mod ports;
mod process;
mod root;
mod spec;
mod supervisor;
mod trampoline;
mod users;

pub use control::{Health, HealthStatus, Restart, State, Status, Supervision};
pub use handle::{Container, ContainerError, Event};
pub use links::follow_links;
pub use log::{LogLine, log_files};
pub use process::{capabilities, is_capability, is_limit};
pub use root::resolver_file;
pub use spec::{
    ContainerNetwork, ContainerSpec, DEFAULT_CAPABILITIES, Ended, Limits, Mount, MountSource, Port,
    ProcessConfig, Root, Usage,
};
pub(crate) use supervisor::supervise;
pub use users::look_up_owner;
