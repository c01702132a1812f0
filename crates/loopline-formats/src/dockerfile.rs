//! The Dockerfile, with the syntax BuildKit's front end reads (`docker/dockerfile:1`).
//!
//! [`parse`] gives a lossless tree: every byte of the file belongs to exactly one [`Piece`], and
//! every word knows where it was written. [`instruction`] gives the words their meaning, [`word`]
//! expands variables as the builder does, [`ignore`] says what of the context is left out,
//! [`check`] what is wrong, and [`plan`] what a build does.
//!
//! [`Piece`]: tree::Piece

pub mod check;
pub mod ignore;
pub mod instruction;
pub mod mount;
pub mod parse;
pub mod plan;
pub mod platform;
pub mod reference;
pub mod tree;
pub mod word;

pub use parse::parse;
