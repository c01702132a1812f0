//! Tests of the formats, one module a format.

#![expect(clippy::print_stdout, reason = "the counts are what one reads of these tests")]

mod dockerfile;

use std::path::PathBuf;

/// Returns the folder a variable names, or says that a test was skipped.
pub(crate) fn folder(variable: &str) -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "tests are told where their data is")]
    let found = std::env::var_os(variable).map(PathBuf::from);
    if found.is_none() {
        println!("skipped: {variable} is not set");
    }
    found
}
