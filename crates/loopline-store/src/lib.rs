//! Objects, run journals, their logs, concurrency groups and retention, on disk.
//!
//! Objects of the API are in [`object`], whose database has durability rules of its own; the rest
//! of this page is about runs.
//!
//! Everything below the data folder is found through [`DataFolder`]. A run's folder has one
//! writer, the process that holds the lock on its `owner` file; other processes read it at any
//! time and talk to the owner through its control socket.
//!
//! **Durability.** An event or log line handed to [`RunWriter`] is in the operating system's
//! hands when the call returns, so it survives `kill -9`; a timer writes it through to the disk
//! within a second, and the end of the run does so at once.

mod control;
mod folder;
mod folder_tree;
mod groups;
pub mod object;
mod read;
mod retention;
mod write;

pub use control::{Control, ControlError, Request, serve};
pub use folder::{Area, DataFolder, FolderError};
pub use folder_tree::FolderTree;
pub use groups::{Claim, Group, GroupError, Queue};
pub use read::{LogFile, RunReader, State};
pub use retention::{Kept, Policy, Pruned};
pub use write::{RunWriter, WriteError};
