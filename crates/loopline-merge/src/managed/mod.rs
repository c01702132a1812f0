//! `metadata.managedFields`: which manager owns which fields, kept through applies and updates.
//!
//! [`FieldManager`] stands between a request and the store: it merges applied configurations,
//! refuses conflicts, and writes down who owns what.

mod cap;
mod conflict;
mod entry;
mod last_applied;
mod manager;
mod settle;

pub use cap::{ANCIENT_CHANGES, MAX_UPDATE_MANAGERS};
pub use conflict::{Cause, Conflicts};
pub use entry::{DecodeError, ManagedFields, ManagerId, Operation};
pub use last_applied::LAST_APPLIED;
pub use manager::{ApplyError, FieldManager};
pub use settle::keep_times;
