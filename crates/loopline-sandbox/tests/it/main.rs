//! Real processes, on the host and in sandboxes.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
#![expect(clippy::print_stdout, reason = "a skipped test says so")]

mod confinement;
mod containers;
mod host;
mod network;
mod sandbox;
mod support;

loopline_sandbox::run_helper_in_tests!();
