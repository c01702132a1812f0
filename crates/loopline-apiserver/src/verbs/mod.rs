//! What the verbs do to objects.

pub mod create;
pub mod delete;
pub mod get;
pub mod patch;
pub mod update;
pub mod watch;
