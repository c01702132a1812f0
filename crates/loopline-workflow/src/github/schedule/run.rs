//! The state of one run, and the reports that move it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use serde_json::Value as Json;

use super::action::{Action, ClaimId};
use super::context::Contexts;
use super::leg::{Leg, LegState};
use super::start::JobResult;
use crate::github::expression::Value;
use crate::github::plan::{Graph, Plan, Selection, Settings};
use crate::run::{Conclusion, JobKey};

/// How many jobs one run may hold, legs and called workflows counted; what goes beyond fails.
pub const MAX_JOBS: usize = 100_000;

/// How a plan is run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// How many jobs may be started at once; as many as there are where `None`.
    pub limit: Option<usize>,
    /// Jobs of an earlier attempt that succeeded: they are not repeated unless something they
    /// need is.
    pub reuse: BTreeMap<JobKey, Reused>,
}

/// A job that an earlier attempt finished.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reused {
    /// Its outputs.
    pub outputs: BTreeMap<String, String>,
}

impl Options {
    /// Returns options that repeat what did not succeed in `earlier` and what depends on it.
    #[must_use]
    pub fn resume(mut self, earlier: &crate::run::summary::Summary) -> Self {
        use crate::run::summary::State;
        for job in &earlier.jobs {
            let succeeded = job.state == State::Ended(Conclusion::Success)
                || (job.tolerated && job.state == State::Ended(Conclusion::Failure));
            if succeeded {
                self.reuse.insert(job.key.clone(), Reused { outputs: job.outputs.clone() });
            }
        }
        self
    }
}

pub(super) type InstanceId = usize;
pub(super) type NodeId = usize;
pub(super) type LegId = usize;

/// One workflow that runs: the run's own, or one that a job calls.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) graph: Arc<Graph>,
    /// The leg that calls it; `None` for the run's own.
    pub(super) parent: Option<LegId>,
    /// What comes before its jobs' keys: empty, or `deploy.0/`.
    pub(super) key_prefix: String,
    /// What comes before its jobs' names: empty, or `deploy (eu) / `.
    pub(super) name_prefix: String,
    /// `github`, `vars`, `inputs` and `secrets`.
    pub(super) contexts: Contexts,
    /// Which of its jobs run.
    pub(super) selection: Selection,
    /// The node of each job, in the order of the file.
    pub(super) nodes: Vec<Option<NodeId>>,
    /// How many of its jobs have not ended.
    pub(super) remaining: usize,
    /// Its claim to its workflow's concurrency group.
    pub(super) claim: Option<ClaimId>,
    pub(super) begun: bool,
    pub(super) ended: bool,
    pub(super) cancelled: bool,
}

/// One job of a workflow that runs, all its legs together.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) instance: InstanceId,
    pub(super) job: usize,
    /// How many of the jobs it names have not ended.
    pub(super) waiting: usize,
    /// How it ended, as `needs` shows it.
    pub(super) result: Option<Conclusion>,
    /// Whether it counts as failed for the run.
    pub(super) failed: bool,
    /// Whether any leg succeeded, or failed and is tolerated.
    pub(super) succeeded: bool,
    /// Whether any leg was cancelled.
    pub(super) cancelled: bool,
    pub(super) ancestors: Ancestors,
    /// Whether it, or anything it depends on, was done in this attempt rather than an earlier.
    pub(super) fresh: bool,
    pub(super) needs_fresh: bool,
    pub(super) outputs: BTreeMap<String, String>,
    pub(super) needs: Value,
    pub(super) legs: Vec<LegId>,
    /// Legs that have not ended.
    pub(super) unfinished: usize,
    /// Legs that hold one of the places `max-parallel` gives.
    pub(super) in_flight: usize,
    pub(super) max_parallel: usize,
    pub(super) fail_fast: bool,
    /// Legs that wait for such a place.
    pub(super) queue: VecDeque<LegId>,
    /// Whether no further leg may start.
    pub(super) stopped: bool,
}

/// How everything a job depends on ended, however far away.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ancestors {
    pub(super) all_succeeded: bool,
    pub(super) any_failed: bool,
}

/// What has to be looked at next.
#[derive(Clone, Copy, Debug)]
pub(super) enum Work {
    /// All that the job needs has ended.
    Decide(NodeId),
    /// The job may have a free place for a leg.
    Fill(NodeId),
}

/// One run of a plan.
#[derive(Debug)]
pub struct Run {
    pub(super) settings: Settings,
    pub(super) options: Options,
    pub(super) instances: Vec<Instance>,
    pub(super) nodes: Vec<Node>,
    pub(super) legs: Vec<Leg>,
    pub(super) by_key: HashMap<JobKey, LegId>,
    pub(super) claims: Vec<Holder>,
    pub(super) work: VecDeque<Work>,
    /// Jobs that wait for one of the run's own places.
    pub(super) places: VecDeque<LegId>,
    pub(super) running: usize,
    pub(super) actions: Vec<Action>,
    pub(super) finished: bool,
}

/// What a claim is for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holder {
    pub(super) of: HolderOf,
    pub(super) open: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum HolderOf {
    Instance(InstanceId),
    Leg(LegId),
}

/// A report about something the run does not know, or not in that state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// There is no such job.
    #[error("take the report: the run has no job `{0}`")]
    UnknownJob(JobKey),
    /// The job is not in a state where this can be said of it.
    #[error("take the report: job `{0}` is not in that state")]
    WrongState(JobKey),
    /// There is no such claim, or it was let go.
    #[error("take the report: the run has no open claim {}", .0.0)]
    UnknownClaim(ClaimId),
}

impl Run {
    /// Begins a run of `plan`.
    pub fn new(plan: &Plan, options: Options) -> Self {
        let contexts = Contexts {
            github: plan.contexts.github.clone(),
            vars: plan.contexts.vars.clone(),
            inputs: plan.contexts.inputs.clone(),
            secrets: plan.contexts.secrets.clone(),
            ..Contexts::default()
        };
        let mut run = Self {
            settings: plan.settings.clone(),
            options,
            instances: Vec::new(),
            nodes: Vec::new(),
            legs: Vec::new(),
            by_key: HashMap::new(),
            claims: Vec::new(),
            work: VecDeque::new(),
            places: VecDeque::new(),
            running: 0,
            actions: Vec::new(),
            finished: false,
        };
        let selection = plan.settings.selection.clone();
        run.add_instance(
            Arc::clone(&plan.graph),
            None,
            String::new(),
            String::new(),
            contexts,
            selection,
        );
        run.claim_workflow(0);
        run
    }

    /// Returns what is to be done now; empty until the next report.
    #[expect(clippy::should_implement_trait, reason = "a machine's step, not an iterator's")]
    pub fn next(&mut self) -> Vec<Action> {
        while let Some(work) = self.work.pop_front() {
            match work {
                Work::Decide(node) => self.decide(node),
                Work::Fill(node) => self.fill(node),
            }
        }
        self.fill_places();
        std::mem::take(&mut self.actions)
    }

    /// Returns whether the run has ended.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Takes the result of a job that was started.
    ///
    /// # Errors
    /// [`ReportError`] where the job was not started or was reported before.
    pub fn finished(&mut self, key: &JobKey, result: JobResult) -> Result<(), ReportError> {
        let leg = self.leg_of(key)?;
        if !matches!(self.legs[leg].state, LegState::Running | LegState::Cancelling) {
            return Err(ReportError::WrongState(key.clone()));
        }
        self.running -= 1;
        self.nodes[self.legs[leg].node].fresh = true;
        self.end_leg(leg, result.conclusion, result.outputs);
        Ok(())
    }

    /// Takes a decision about a job's environment; `by` says who or what decided.
    ///
    /// # Errors
    /// [`ReportError`] where the job does not wait for one.
    pub fn decided(&mut self, key: &JobKey, approved: bool, by: &str) -> Result<(), ReportError> {
        let leg = self.leg_of(key)?;
        if self.legs[leg].state != LegState::AwaitsApproval {
            // A decision that comes after the job was cancelled changes nothing.
            return if self.legs[leg].state == LegState::Ended {
                Ok(())
            } else {
                Err(ReportError::WrongState(key.clone()))
            };
        }
        if approved {
            self.launch(leg);
        } else {
            let error = format!("{by} did not approve the job's environment");
            self.conclude(leg, Conclusion::Failure, error, None);
        }
        Ok(())
    }

    /// Takes the news that a claim was granted.
    ///
    /// # Errors
    /// [`ReportError::UnknownClaim`].
    pub fn acquired(&mut self, claim: ClaimId) -> Result<(), ReportError> {
        match self.holder(claim)?.of {
            HolderOf::Instance(instance) => self.begin_instance(instance),
            HolderOf::Leg(leg) if self.legs[leg].state == LegState::AwaitsGroup => {
                self.approve(leg)
            }
            HolderOf::Leg(leg) => return Err(ReportError::WrongState(self.legs[leg].key.clone())),
        }
        Ok(())
    }

    /// Takes the news that a claim was refused: a newer one took its place, or the host gave up.
    ///
    /// # Errors
    /// [`ReportError::UnknownClaim`].
    pub fn refused(&mut self, claim: ClaimId, reason: &str) -> Result<(), ReportError> {
        let holder = self.holder(claim)?;
        self.claims[claim.0 as usize].open = false;
        match holder.of {
            HolderOf::Instance(instance) => {
                self.instances[instance].claim = None;
                self.instances[instance].cancelled = true;
                self.end_unbegun(instance, reason.to_owned());
            }
            HolderOf::Leg(leg) => {
                self.legs[leg].claim = None;
                self.conclude(leg, Conclusion::Cancelled, reason.to_owned(), None);
            }
        }
        Ok(())
    }

    /// Cancels the run: what waits ends, what runs is asked to; a job whose condition still
    /// holds (`always()`) goes on.
    pub fn cancel(&mut self) {
        if !self.finished {
            self.cancel_instance(0, "the run was cancelled");
        }
    }

    /// Returns the outputs of the jobs that have ended, by job key without legs; for tests and
    /// for the plan's JSON.
    pub fn outputs(&self) -> Json {
        let jobs = self.nodes.iter().filter(|node| node.result.is_some()).map(|node| {
            let outputs =
                node.outputs.iter().map(|(name, value)| (name.clone(), Json::from(value.as_str())));
            (self.node_key(node).0, Json::Object(outputs.collect()))
        });
        Json::Object(jobs.collect())
    }

    pub(super) fn node_key(&self, node: &Node) -> JobKey {
        let instance = &self.instances[node.instance];
        JobKey(format!(
            "{}{}",
            instance.key_prefix, instance.graph.workflow.jobs[node.job].id.value
        ))
    }

    fn leg_of(&self, key: &JobKey) -> Result<LegId, ReportError> {
        self.by_key.get(key).copied().ok_or_else(|| ReportError::UnknownJob(key.clone()))
    }

    fn holder(&self, claim: ClaimId) -> Result<Holder, ReportError> {
        self.claims
            .get(claim.0 as usize)
            .copied()
            .filter(|holder| holder.open)
            .ok_or(ReportError::UnknownClaim(claim))
    }
}
