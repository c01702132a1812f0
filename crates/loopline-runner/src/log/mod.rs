//! What a step writes: lines, workflow commands, problem matchers and secrets.
//!
//! Everything here is text in, text and events out. Reading a process's output, the files of
//! `GITHUB_OUTPUT` and matcher definitions is the caller's business (see [`Sink`]), and so is
//! keeping what comes out. Behaviour is that of GitHub's runner; where it leaks, Loopline
//! masks more.

mod commands;
mod encoders;
pub mod file_commands;
mod issue;
mod masker;
mod matchers;
mod pattern;
mod pipeline;

#[cfg(test)]
mod tests;

pub use masker::{Masker, TooManySecrets};
pub use matchers::{MatcherError, Matchers};
pub use pipeline::{Effect, Options, Pipeline, Sink};
