//! Where actions come from and what a built-in one may do.

pub mod builtin;
mod builtins;
pub mod git;
pub(crate) mod links;
pub mod source;

pub use builtins::{Builtin, BuiltinError, Builtins, Call, NoBuiltins};
