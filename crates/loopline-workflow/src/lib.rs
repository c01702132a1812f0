//! Pipeline languages: parse, check and plan. No IO.
//!
//! One folder a dialect, each with the same three rooms; [`run`] is the record they share.

pub mod github;
pub mod run;
