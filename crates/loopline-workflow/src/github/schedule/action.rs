//! What whoever drives a run is told to do.

use std::collections::BTreeMap;

use serde::Serialize;

use super::start::JobStart;
use crate::run::{Conclusion, JobKey, Place, Skip};

/// One thing to do, or to tell the user.
#[derive(Clone, Debug)]
pub enum Action {
    /// A job is known and will be decided on; to be shown.
    Queue {
        /// Which.
        key: JobKey,
        /// The name people see.
        name: String,
    },
    /// Start a job, and report with [`super::Run::finished`].
    Start(Box<JobStart>),
    /// A job is not wanted; it has ended.
    Skip {
        /// Which.
        key: JobKey,
        /// The name people see.
        name: String,
        /// Why.
        skip: Skip,
    },
    /// A job ended without being started: an expression of it failed, it was refused, or it was
    /// cancelled while it waited.
    Conclude {
        /// Which.
        key: JobKey,
        /// The name people see.
        name: String,
        /// `Failure` or `Cancelled`.
        conclusion: Conclusion,
        /// Whether `continue-on-error` keeps the failure from the run.
        tolerated: bool,
        /// Why, in one sentence.
        error: String,
        /// The place that decided.
        place: Option<Place>,
    },
    /// A job that an earlier attempt finished is not repeated; it has ended.
    Reuse {
        /// Which.
        key: JobKey,
        /// The name people see.
        name: String,
        /// Its outputs of then.
        outputs: BTreeMap<String, String>,
    },
    /// Stop a job that was started; it is still reported with [`super::Run::finished`].
    Cancel {
        /// Which.
        key: JobKey,
        /// Why, in one sentence.
        reason: String,
    },
    /// Ask whether a job may use an environment, and report with [`super::Run::decided`]; where
    /// nothing protects the environment, at once.
    NeedApproval {
        /// Which.
        key: JobKey,
        /// The name people see.
        name: String,
        /// The environment.
        environment: String,
    },
    /// Take a concurrency group, and report with [`super::Run::acquired`] or
    /// [`super::Run::refused`].
    Acquire(Claim),
    /// Let go of a group that was taken, or stop waiting for it.
    Release {
        /// The claim.
        claim: ClaimId,
    },
    /// A called workflow ended.
    Called {
        /// The job that calls it.
        key: JobKey,
        /// The name people see.
        name: String,
        /// How it ended.
        conclusion: Conclusion,
        /// Its outputs.
        outputs: BTreeMap<String, String>,
    },
    /// The run ended; nothing follows.
    Finished {
        /// How.
        conclusion: Conclusion,
        /// Why, where no job says so.
        error: Option<String>,
    },
}

/// Names one claim within its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ClaimId(pub u32);

/// Who waits when a concurrency group is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Queue {
    /// The newest only.
    #[default]
    Single,
    /// Everybody, in order.
    Max,
}

/// A claim to a concurrency group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Claim {
    /// Names the claim.
    pub id: ClaimId,
    /// The job that claims the group (for a called workflow, the job that calls it), or `None`
    /// for the whole run.
    pub job: Option<JobKey>,
    /// The group's name; names compare without regard to case.
    pub group: String,
    /// Whether whoever holds it is cancelled.
    pub cancel_in_progress: bool,
    /// Who waits.
    pub queue: Queue,
}
