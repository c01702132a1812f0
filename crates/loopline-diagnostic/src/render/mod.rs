//! Findings as text for people, as JSON for programs and as SARIF for code hosts.

mod json;
mod sarif;
mod text;

pub use json::{JSON_SCHEMA, json};
pub use sarif::sarif;
pub use text::{TextOptions, summary, text};
