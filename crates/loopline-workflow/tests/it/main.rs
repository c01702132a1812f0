//! Tests of the pipeline languages, one module a subject.

#![expect(clippy::print_stdout, reason = "the counts are what one reads of these tests")]

mod check;
mod corpus;
mod expression;
mod filter;
mod fixes;
mod fuzz;
mod matrix;
mod negative;
mod plan;
mod reader;
mod schedule;
mod settings;

use std::path::{Path, PathBuf};

/// Returns the folder a variable names, or says that a test was skipped.
pub(crate) fn folder(variable: &str) -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "tests are told where their data is")]
    let found = std::env::var_os(variable).map(PathBuf::from);
    if found.is_none() {
        println!("skipped: {variable} is not set");
    }
    found
}

/// Returns the files of a folder that have an extension, sorted.
pub(crate) fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs_err::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("the folder can be listed").path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    files
}
