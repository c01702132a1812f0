//! Whole runs on the real host: workflow text in, record out.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod actions;
mod hostile;
mod life;
mod negative;
mod stages;
mod steps;
mod support;
