//! What the runner is handed for one job, and what it hands back.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::context::Contexts;
use crate::github::model::{Job, JobKind, OrdinaryJob, Permissions, Workflow};
use crate::github::template::Token;
use crate::run::{Conclusion, JobKey};

/// How long a job may take where it does not say, in minutes.
pub const DEFAULT_TIMEOUT_MINUTES: f64 = 360.0;
/// How long a cancelled job may take to end where it does not say, in minutes.
pub const DEFAULT_CANCEL_TIMEOUT_MINUTES: f64 = 5.0;

/// Everything that must be known to execute one job.
#[derive(Clone, Debug)]
pub struct JobStart {
    /// Which.
    pub key: JobKey,
    /// The name people see, callers included (`deploy / migrate (3)`).
    pub name: String,
    /// The job in its workflow.
    pub job: JobRef,
    /// Where the workflow's file comes from: what `./` and `$/` in its steps refer to.
    pub source: Source,
    /// The contexts that are fixed when the job starts.
    pub contexts: Contexts,
    /// `runs-on`, evaluated.
    pub runs_on: RunsOn,
    /// `environment`, its name evaluated.
    pub environment: Option<Environment>,
    /// `timeout-minutes`, evaluated.
    pub timeout_minutes: f64,
    /// `cancel-timeout-minutes`, evaluated.
    pub cancel_timeout_minutes: f64,
    /// `continue-on-error`, evaluated: whether the job's failure is kept from the run.
    pub continue_on_error: bool,
    /// What the job's token may do.
    pub permissions: Option<Permissions>,
}

impl JobStart {
    /// Returns the job's steps and all that goes with them.
    pub fn ordinary(&self) -> &OrdinaryJob {
        self.job.ordinary()
    }

    /// Returns the workflow that the job belongs to.
    pub fn workflow(&self) -> &Workflow {
        &self.job.workflow
    }
}

/// A job with steps in a workflow; cheap to clone, and it keeps the workflow alive.
#[derive(Clone, Debug)]
pub struct JobRef {
    /// The workflow, with its `env` and `defaults`.
    pub workflow: Arc<Workflow>,
    index: usize,
}

impl JobRef {
    /// Returns the job at `index`; `None` where there is none, or where it calls a workflow.
    pub fn new(workflow: Arc<Workflow>, index: usize) -> Option<Self> {
        match workflow.jobs.get(index)?.kind {
            JobKind::Ordinary(_) => Some(Self { workflow, index }),
            JobKind::Reusable(_) => None,
        }
    }

    /// Returns the job.
    pub fn job(&self) -> &Job {
        &self.workflow.jobs[self.index]
    }

    /// Returns the job's steps and all that goes with them.
    pub fn ordinary(&self) -> &OrdinaryJob {
        match &self.job().kind {
            JobKind::Ordinary(ordinary) => ordinary,
            JobKind::Reusable(_) => unreachable!("JobRef::new takes no such job"),
        }
    }
}

/// Where a workflow's file comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// `owner/name` of another repository; `None` for the repository that runs.
    pub repository: Option<String>,
    /// The branch, tag or commit that the caller names; `None` for what is checked out.
    pub reference: Option<String>,
    /// The path in that repository.
    pub path: String,
}

/// `runs-on`, evaluated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunsOn {
    /// The labels, all of which a runner must have.
    pub labels: Vec<String>,
    /// The group the runner must be in.
    pub group: Option<String>,
}

/// `environment`, its name evaluated.
#[derive(Clone, Debug, PartialEq)]
pub struct Environment {
    /// The name.
    pub name: String,
    /// The address, evaluated by the runner once the job's steps are done.
    pub url: Option<Token>,
}

/// What became of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobResult {
    /// How it ended; `Failure` also where `continue-on-error` tolerates it.
    pub conclusion: Conclusion,
    /// Its outputs; those that hold secrets left out.
    pub outputs: BTreeMap<String, String>,
    /// The environment's address.
    pub environment_url: Option<String>,
}

impl JobResult {
    /// Returns the result of a job without outputs.
    pub fn of(conclusion: Conclusion) -> Self {
        Self { conclusion, outputs: BTreeMap::new(), environment_url: None }
    }
}
