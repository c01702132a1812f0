//! Patches and merges of Kubernetes objects, as values in and values out.
//!
//! [`Type`] is what merging needs to know of a type; `loopline-schema` implements it for built-in
//! kinds and for custom resources alike. Nothing here knows a kind by name.

mod types;

pub use types::{PatchStrategy, ScalarKind, Shape, Type};
