//! Where actions come from and what a built-in one may do.

pub mod builtin;
mod builtins;

pub use builtins::{Builtin, BuiltinError, Builtins, Call, NoBuiltins};
