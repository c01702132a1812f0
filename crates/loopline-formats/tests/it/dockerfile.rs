//! Tests of the Dockerfile.

mod check;
mod fuzz;
mod hadolint;
mod instructions;
mod lossless;
mod parser;
mod plan;

use loopline_formats::dockerfile::parse::{Parsed, parse};
use loopline_source::SourceFile;

/// Dockerfiles whose pieces the made-up inputs are put together from.
pub(crate) const SEEDS: [&str; 3] = [
    include_str!("dockerfile/everything.txt"),
    include_str!("dockerfile/windows.txt"),
    include_str!("dockerfile/hostile.txt"),
];

pub(crate) fn read(text: &str) -> Parsed {
    parse(&SourceFile::new("Dockerfile", text))
}
