//! Durations, sizes, cron expressions and versions, as the file formats write them.

pub mod cron;
mod show;
pub mod version;

pub use show::{show_bytes, show_duration};
