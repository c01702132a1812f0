//! Executes a workflow plan: steps, logs, actions, artifacts and caches.

pub mod actions;
mod cancel;
pub mod glob;
pub mod hash_files;
pub mod host;
mod inbox;
mod job;
pub mod leash;
pub mod log;
mod run;
pub mod services;
mod shell;
pub mod shell_state;
pub mod workspace;

pub use cancel::{Cancel, JobTokens, Level};
pub use host::Host;
pub use run::{RunError, run};
