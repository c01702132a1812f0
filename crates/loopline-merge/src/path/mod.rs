//! Paths to fields and list items, sets of them, and their form in `managedFields`.

mod codec;
mod element;
mod set;

pub use codec::FieldsError;
pub use element::{Path, PathElement};
pub(crate) use set::Node;
pub use set::PathSet;
