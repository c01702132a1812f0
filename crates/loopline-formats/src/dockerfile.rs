//! The Dockerfile, with the syntax BuildKit's front end reads (`docker/dockerfile:1`).
//!
//! [`parse`] gives a lossless tree: every byte of the file belongs to exactly one [`Piece`], and
//! every word knows where it was written. [`word`] expands variables as the builder does.
//!
//! [`Piece`]: tree::Piece

pub mod parse;
pub mod tree;
pub mod word;

pub use parse::parse;
