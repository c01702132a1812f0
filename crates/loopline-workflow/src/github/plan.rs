//! What a run would do, decided before its first step: which jobs in which order, what they need
//! of this machine, and what makes the run impossible.

mod check;
mod describe;
mod graph;
mod inputs;
mod request;
mod settings;
mod text;
mod trigger;

pub use describe::{
    Legs, Plan, PlanContexts, PlannedJob, PlannedLeg, PlannedStep, Verdict as ConditionVerdict,
};
pub use graph::Graph;
pub use inputs::{InputError, dispatch_inputs};
pub use request::{Refused, Request, plan};
pub use settings::{Labels, Selection, Settings};
pub use trigger::{Schedule, Verdict, schedules, triggers};
