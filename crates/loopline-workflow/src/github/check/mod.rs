//! What is wrong with a workflow before it runs.
//!
//! `read` turns the YAML tree into the model and complains about its shape; each file in `rules`
//! looks at the model for one kind of mistake; `expression` types what stands in `${{ }}`.
//! One broken part never hides another. The strict reader that plans a run is elsewhere.

mod checker;
mod expression;
mod findings;
mod model;
mod read;
mod rules;
mod text;

pub use checker::{Options, action, workflow};
