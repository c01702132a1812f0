//! Containers of real images, made from Debian's static busybox.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
#![expect(clippy::print_stdout, reason = "a skipped test says so")]

mod build;
mod containers;
mod guide;

loopline_sandbox::run_helper_in_tests!();
