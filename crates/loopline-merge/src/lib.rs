//! Patches and merges of Kubernetes objects, as values in and values out.
//!
//! [`Type`] is what merging needs to know of a type; `loopline-schema` implements it for built-in
//! kinds and for custom resources alike. Nothing here knows a kind by name.

mod depth;
pub mod difference;
pub mod json_patch;
pub mod managed;
pub mod merge_patch;
mod order;
pub mod path;
pub mod strategic;
pub mod structured;
mod types;

pub use depth::{MAX_DEPTH, TooDeep};
pub use order::equal;
pub use types::{PatchStrategy, ScalarKind, Shape, Type};
