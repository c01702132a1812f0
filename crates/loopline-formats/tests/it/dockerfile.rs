//! Tests of the Dockerfile.

mod fuzz;
mod instructions;
mod lossless;
mod parser;

use loopline_formats::dockerfile::parse::{Parsed, parse};
use loopline_source::SourceFile;

/// Dockerfiles whose pieces the made-up inputs are put together from.
pub(crate) const SEEDS: [&str; 3] = [
    include_str!("dockerfile/everything.Dockerfile"),
    include_str!("dockerfile/windows.Dockerfile"),
    include_str!("dockerfile/hostile.Dockerfile"),
];

pub(crate) fn read(text: &str) -> Parsed {
    parse(&SourceFile::new("Dockerfile", text))
}
