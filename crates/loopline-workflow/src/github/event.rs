//! Events: which one a run is of, what its payload says, and the `github` context that follows.
//!
//! Everything is made from [`Facts`] that somebody else gathered (from git, from options), or from
//! a payload of the user's; whether a workflow listens is decided in [`super::plan`].

mod choose;
mod context;
mod facts;
mod payload;

pub use choose::{Choice, ChooseError, choose};
pub use context::{RunFacts, github_context};
pub use facts::{Facts, GitRef, Person, PullRequest};
pub use payload::{Event, EventError, NAMES};
