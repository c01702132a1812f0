//! Built-in equivalents of well-known actions, chosen by name and major version.
//!
//! They work offline and say in the log what they stand for. An input they do not honour is an
//! error, never passed over. How steps call them is the job's business; what they need of the
//! world comes in a [`Context`].

mod artifact;
mod cache;
mod checkout;
mod context;
mod files;
mod find;
mod local;
mod node;
mod packages;
mod toolchain;

pub use artifact::unpack as unpack_artifact;
pub use checkout::{CloneRequest, Cloned, Extras, Sources, Submodules};
pub use context::{Context, Failure, ProcessRun, Start};
pub use find::{Equivalent, Kind, find};
pub use local::{Local, Settings};

#[cfg(test)]
mod tests;
