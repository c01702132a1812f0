//! Webhooks: programs elsewhere that change or refuse writes.
//!
//! Which writes a webhook is asked about is said in `matching`; how it is called, in `client`.
//! Conditions (`matchConditions`) need an engine of expressions: without one, configurations that
//! have some are refused when they are written.

mod client;
mod response;
mod steps;

pub(crate) use steps::{Mutating, Validating};
