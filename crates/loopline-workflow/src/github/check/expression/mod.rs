//! Expressions in `${{ }}`: their syntax with places, and the types they are checked with.
//!
//! Nothing here evaluates an expression; that is what `github::expression` is for.

mod constant;
mod contexts;
mod functions;
mod json;
mod syntax;
mod types;
mod typing;
mod untrusted;

pub(crate) use constant::is_constant;
pub(crate) use contexts::{Availability, Contexts};
pub(crate) use syntax::{Error, Kind, parse};
pub(crate) use types::{Object, Type};
pub(crate) use typing::{Problem, ProblemKind, check};
pub(crate) use untrusted::untrusted;
