//! Where actions come from and what a built-in one may do.

pub mod builtin;
mod builtins;
pub mod commits;
pub mod git;
pub(crate) mod links;
pub mod remote;
pub mod source;

pub use builtins::{Builtin, BuiltinError, Builtins, Call, NoBuiltins};
