//! Formats whose machines live on the floors above: one module each, all with the same rooms.
//!
//! `parse` turns text into a tree and problems, `check` a tree into findings, `plan` a tree and
//! facts into what to do. Nothing here reads a file, tells the time or starts a process.

pub mod dockerfile;
