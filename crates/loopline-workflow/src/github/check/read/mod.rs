//! The tolerant reader: a YAML tree to a [`Workflow`](super::model::Workflow), with a finding for
//! every key, type or value that does not belong.
//!
//! What a value means is left to the rules. One file a part of the workflow.

mod events;
mod job;
mod reader;
mod step;
mod workflow;

pub(crate) use reader::Reader;
pub(crate) use step::steps;
pub(crate) use workflow::{called, workflow};
