//! The binary, as a user meets it: real repositories, real processes, real exit statuses.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod api;
mod durable;
mod images;
mod lifecycle;
mod negative;
mod remote;
mod repository;
mod samples;
mod verbs;
