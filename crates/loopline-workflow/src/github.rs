//! GitHub Actions: reading workflows and action metadata the way GitHub does.
//!
//! [`schema`] says what a file may hold, [`template`] turns YAML into tokens by it, [`parse`]
//! turns tokens into the [`model`]. Nothing here touches a disk or a network.

pub mod check;
pub mod event;
pub mod expression;
pub mod filter;
pub mod matrix;
pub mod model;
pub mod parse;
pub mod plan;
pub mod schedule;
pub mod schema;
pub mod template;
