//! Real processes, on the host and in sandboxes.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod host;
mod support;
