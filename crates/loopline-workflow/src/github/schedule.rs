//! One run of a plan as a state machine: results go in, actions come out.
//!
//! It starts no process, waits for nothing and knows no clock. Whoever drives it calls
//! [`Run::next`] until nothing comes, does what it is told, and reports what became of it; every
//! report costs time in the number of jobs it touches, not in the number of jobs there are.

mod action;
mod call;
mod conclude;
mod context;
mod evaluate;
mod expand;
mod leg;
mod run;
mod start;

pub use action::{Action, Claim, ClaimId, Queue};
pub(crate) use call::contexts as call_contexts;
pub use context::Contexts;
pub(crate) use evaluate::place_of;
pub use evaluate::{Condition, EvaluationError, Scenario, condition, referenced, value};
pub use expand::{ExpandError, Expanded, expand};
pub(crate) use expand::{leg_name, matrix_of};
pub(crate) use leg::{environment, runs_on};
pub use run::{MAX_JOBS, Options, ReportError, Reused, Run};
pub use start::{
    DEFAULT_CANCEL_TIMEOUT_MINUTES, DEFAULT_TIMEOUT_MINUTES, Environment, JobRef, JobResult,
    JobStart, RunsOn, Source,
};
