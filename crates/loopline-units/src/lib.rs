//! Durations, sizes, quantities, label selectors, cron expressions and versions, as the file
//! formats write them.

pub mod cron;
mod duration;
pub mod quantity;
pub mod selector;
mod show;
pub mod version;

pub use duration::{GoDuration, GoDurationError};
pub use show::{show_age, show_bytes, show_duration};
