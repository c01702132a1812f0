//! Where actions come from and what a built-in one may do.

mod builtins;

pub use builtins::{Builtin, BuiltinError, Builtins, Call, NoBuiltins};
