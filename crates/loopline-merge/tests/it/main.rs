//! Merging, told as data.
//!
//! `cargo test` makes up a few thousand inputs for the fuzz targets; `cargo bolero test` goes on.

mod fuzz;
mod kind;
mod managed;
mod plain;
mod strategic;
mod structured;
