//! Custom resources: what a `CustomResourceDefinition` makes of a server.
//!
//! `check` judges definitions, `custom` is one version of a resource ready to be served, `names`
//! decides which names a definition gets, `establish` keeps the registry and the conditions of
//! definitions up with what is stored, and `cleanup` removes the objects of deleted ones.

pub(crate) mod check;
pub(crate) mod cleanup;
mod columns;
mod custom;
mod establish;
pub mod jsonpath;
mod names;
mod ratchet;
mod rules;

pub use custom::Custom;
pub(crate) use establish::{Definitions, is_definition, remember_storage};
