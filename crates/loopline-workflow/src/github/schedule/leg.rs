//! One leg of a job on its way from known to started: its keys evaluated, its group taken, its
//! environment approved, its place found.

use super::action::{Action, Claim, ClaimId, Queue};
use super::call;
use super::context::Contexts;
use super::evaluate::{EvaluationError, Scenario, value};
use super::run::{Holder, HolderOf, InstanceId, LegId, NodeId, Run};
use super::start::{
    DEFAULT_CANCEL_TIMEOUT_MINUTES, DEFAULT_TIMEOUT_MINUTES, Environment, JobRef, JobStart, RunsOn,
};
use crate::github::expression::Value;
use crate::github::model::{JobKind, OrdinaryJob};
use crate::github::template::{Kind, Token};
use crate::run::{Conclusion, JobKey, Skip};

/// One leg of a job; a job without a matrix has one.
#[derive(Debug)]
pub(super) struct Leg {
    pub(super) node: NodeId,
    pub(super) key: JobKey,
    pub(super) name: String,
    pub(super) state: LegState,
    pub(super) matrix: Value,
    pub(super) strategy: Value,
    pub(super) tolerated: bool,
    pub(super) environment: Option<Environment>,
    pub(super) claim: Option<ClaimId>,
    /// What will be started, once the leg is prepared.
    pub(super) start: Option<Box<JobStart>>,
    /// The contexts of the workflow it calls, once it is prepared.
    pub(super) called: Option<Box<Contexts>>,
    /// The workflow it calls, once that runs.
    pub(super) instance: Option<InstanceId>,
}

/// How far a leg is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LegState {
    /// It waits for a place that `max-parallel` gives.
    Queued,
    /// It has that place, and its keys are evaluated.
    Preparing,
    /// It waits for its concurrency group.
    AwaitsGroup,
    /// It waits for somebody's consent.
    AwaitsApproval,
    /// It waits for one of the run's places.
    AwaitsPlace,
    /// It was started, or the workflow it calls was.
    Running,
    /// It was told to stop.
    Cancelling,
    /// It is over.
    Ended,
}

impl Run {
    /// Starts as many legs as `max-parallel` has places for.
    pub(super) fn fill(&mut self, id: NodeId) {
        while let node = &mut self.nodes[id]
            && !node.stopped
            && node.in_flight < node.max_parallel
            && let Some(leg) = node.queue.pop_front()
        {
            node.in_flight += 1;
            self.legs[leg].state = LegState::Preparing;
            self.prepare(leg);
        }
    }

    /// Returns the contexts of a leg's own keys.
    pub(super) fn leg_contexts(&self, id: LegId) -> Contexts {
        let leg = &self.legs[id];
        let node = &self.nodes[leg.node];
        Contexts {
            needs: node.needs.clone(),
            strategy: leg.strategy.clone(),
            matrix: leg.matrix.clone(),
            ..self.instances[node.instance].contexts.clone()
        }
    }

    fn prepare(&mut self, id: LegId) {
        let leg = &self.legs[id];
        let node = &self.nodes[leg.node];
        if !node.needs_fresh
            && let Some(reused) = self.options.reuse.remove(&leg.key)
        {
            let (key, name) = (leg.key.clone(), leg.name.clone());
            self.actions.push(Action::Reuse { key, name, outputs: reused.outputs.clone() });
            self.end_leg(id, Conclusion::Success, reused.outputs);
            return;
        }
        let contexts = self.leg_contexts(id);
        let graph = std::sync::Arc::clone(&self.instances[node.instance].graph);
        let index = node.job;
        let prepared = match &graph.workflow.jobs[index].kind {
            JobKind::Ordinary(_) => self.prepare_ordinary(id, &contexts),
            JobKind::Reusable(job) => call::contexts(job, &contexts).map(|called| {
                self.legs[id].called = Some(Box::new(called));
                true
            }),
        };
        match prepared {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                self.nodes[self.legs[id].node].fresh = true;
                let place = error.place(&graph.workflow.file);
                return self.conclude(id, Conclusion::Failure, error.to_string(), place);
            }
        }
        let group = graph.workflow.jobs[index].concurrency.as_ref();
        match group.map(|token| concurrency(token, &contexts)).transpose() {
            Ok(Some(group)) => {
                let key = self.legs[id].key.clone();
                let claim = self.claim(HolderOf::Leg(id), Some(key), group);
                self.legs[id].claim = Some(claim);
                self.legs[id].state = LegState::AwaitsGroup;
            }
            Ok(None) => self.approve(id),
            Err(error) => {
                let place = error.place(&graph.workflow.file);
                self.conclude(id, Conclusion::Failure, error.to_string(), place);
            }
        }
    }

    /// Evaluates the keys of a job with steps; returns whether it may go on, or has ended.
    fn prepare_ordinary(
        &mut self,
        id: LegId,
        contexts: &Contexts,
    ) -> Result<bool, EvaluationError> {
        let leg = &self.legs[id];
        let node = &self.nodes[leg.node];
        let graph = std::sync::Arc::clone(&self.instances[node.instance].graph);
        let Some(job) = JobRef::new(std::sync::Arc::clone(&graph.workflow), node.job) else {
            return Ok(true);
        };
        let ordinary = job.ordinary();
        let continue_on_error =
            flag(ordinary.continue_on_error.as_ref(), contexts)?.unwrap_or(false);
        self.legs[id].tolerated = continue_on_error;
        let runs_on = runs_on(ordinary, contexts)?;
        let unsupported = self.settings.labels.unsupported(&runs_on);
        if let Some(reason) = unsupported {
            let place = ordinary.runs_on.as_ref().map(|token| graph.place(token.span));
            if self.settings.skip_unsupported {
                let skip = Skip { reason, condition: None, trace: Vec::new(), place };
                self.skip_leg(id, skip);
            } else {
                // Nobody said that a job which cannot run may be passed over.
                self.legs[id].tolerated = false;
                self.conclude(id, Conclusion::Failure, reason, place);
            }
            return Ok(false);
        }
        let leg = &self.legs[id];
        let environment = environment(ordinary, contexts)?;
        let start = JobStart {
            key: leg.key.clone(),
            name: leg.name.clone(),
            source: graph.source.clone(),
            contexts: contexts.clone(),
            runs_on,
            environment: environment.clone(),
            timeout_minutes: minutes(ordinary.timeout_minutes.as_ref(), contexts)?
                .unwrap_or(DEFAULT_TIMEOUT_MINUTES),
            cancel_timeout_minutes: minutes(ordinary.cancel_timeout_minutes.as_ref(), contexts)?
                .unwrap_or(DEFAULT_CANCEL_TIMEOUT_MINUTES),
            continue_on_error,
            permissions: job.job().permissions.clone(),
            job,
        };
        let leg = &mut self.legs[id];
        leg.environment = environment;
        leg.start = Some(Box::new(start));
        Ok(true)
    }

    /// Asks for consent where the job names an environment.
    pub(super) fn approve(&mut self, id: LegId) {
        let leg = &mut self.legs[id];
        match &leg.environment {
            Some(environment) => {
                leg.state = LegState::AwaitsApproval;
                self.actions.push(Action::NeedApproval {
                    key: leg.key.clone(),
                    name: leg.name.clone(),
                    environment: environment.name.clone(),
                });
            }
            None => self.launch(id),
        }
    }

    /// Starts the workflow the leg calls, or lets the job wait for a place.
    pub(super) fn launch(&mut self, id: LegId) {
        if let Some(contexts) = self.legs[id].called.take() {
            self.legs[id].state = LegState::Running;
            self.begin_call(id, *contexts);
        } else {
            self.legs[id].state = LegState::AwaitsPlace;
            self.places.push_back(id);
        }
    }

    /// Starts jobs as long as the run has places.
    pub(super) fn fill_places(&mut self) {
        while self.options.limit.is_none_or(|limit| self.running < limit.max(1))
            && let Some(id) = self.places.pop_front()
        {
            let leg = &mut self.legs[id];
            if leg.state == LegState::AwaitsPlace
                && let Some(start) = leg.start.take()
            {
                leg.state = LegState::Running;
                self.running += 1;
                self.actions.push(Action::Start(start));
            }
        }
    }

    /// Asks for a group.
    pub(super) fn claim(&mut self, of: HolderOf, job: Option<JobKey>, group: Group) -> ClaimId {
        #[expect(clippy::cast_possible_truncation, reason = "fewer than MAX_JOBS")]
        let id = ClaimId(self.claims.len() as u32);
        self.claims.push(Holder { of, open: true });
        let Group { name, cancel_in_progress, queue } = group;
        self.actions.push(Action::Acquire(Claim {
            id,
            job,
            group: name,
            cancel_in_progress,
            queue,
        }));
        id
    }
}

/// A concurrency group, evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) cancel_in_progress: bool,
    pub(crate) queue: Queue,
}

/// Evaluates `concurrency`.
pub(crate) fn concurrency(token: &Token, contexts: &Contexts) -> Result<Group, EvaluationError> {
    let evaluated = value(token, contexts, Scenario::SUCCESS)?;
    let (name, cancel_in_progress, queue) = match &evaluated {
        Value::Object(_) => (
            evaluated.get("group").map(Value::to_text).unwrap_or_default(),
            evaluated.get("cancel-in-progress").is_some_and(is_true),
            match evaluated.get("queue").map(Value::to_text).as_deref() {
                None | Some("" | "single") => Queue::Single,
                Some("max") => Queue::Max,
                Some(other) => {
                    let reason =
                        format!("`concurrency.queue` is `{other}`; it must be `single` or `max`");
                    return Err(EvaluationError::invalid(token, reason));
                }
            },
        ),
        other => (other.to_text(), false, Queue::Single),
    };
    if name.is_empty() {
        return Err(EvaluationError::invalid(token, "the concurrency group is empty"));
    }
    if cancel_in_progress && queue == Queue::Max {
        let reason = "`queue: max` and `cancel-in-progress: true` exclude each other";
        return Err(EvaluationError::invalid(token, reason));
    }
    Ok(Group { name: name.into_owned(), cancel_in_progress, queue })
}

/// Whether a value that stands for a boolean is true; a string that an expression made counts.
pub(crate) fn is_true(value: &Value) -> bool {
    match value {
        Value::String(text) => text.eq_ignore_ascii_case("true"),
        other => other.truthy(),
    }
}

fn flag(token: Option<&Token>, contexts: &Contexts) -> Result<Option<bool>, EvaluationError> {
    let Some(token) = token else { return Ok(None) };
    match value(token, contexts, Scenario::SUCCESS)? {
        Value::Null => Ok(None),
        Value::Bool(value) => Ok(Some(value)),
        Value::String(text) if text.is_empty() => Ok(None),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
        other => {
            let reason = format!("`{}` is not a boolean", other.to_text());
            Err(EvaluationError::invalid(token, reason))
        }
    }
}

fn minutes(token: Option<&Token>, contexts: &Contexts) -> Result<Option<f64>, EvaluationError> {
    let Some(token) = token else { return Ok(None) };
    let evaluated = value(token, contexts, Scenario::SUCCESS)?;
    if matches!(&evaluated, Value::Null) || evaluated.to_text().is_empty() {
        return Ok(None);
    }
    let number = evaluated.to_number();
    if number.is_finite() && number > 0.0 {
        return Ok(Some(number));
    }
    Err(EvaluationError::invalid(
        token,
        format!("`{}` is not a number of minutes", evaluated.to_text()),
    ))
}

/// Evaluates `runs-on`.
pub(crate) fn runs_on(job: &OrdinaryJob, contexts: &Contexts) -> Result<RunsOn, EvaluationError> {
    let Some(token) = &job.runs_on else { return Ok(RunsOn::default()) };
    let evaluated = value(token, contexts, Scenario::SUCCESS)?;
    let labels_of = |value: &Value| match value {
        Value::Array(items) => items.iter().map(|item| item.to_text().into_owned()).collect(),
        Value::Null => Vec::new(),
        other => vec![other.to_text().into_owned()],
    };
    let runs_on = match &evaluated {
        Value::Object(_) => RunsOn {
            labels: evaluated.get("labels").map(labels_of).unwrap_or_default(),
            group: evaluated.get("group").map(|group| group.to_text().into_owned()),
        },
        other => RunsOn { labels: labels_of(other), group: None },
    };
    if runs_on.group.is_none() && runs_on.labels.iter().all(String::is_empty) {
        return Err(EvaluationError::invalid(token, "`runs-on` names no runner"));
    }
    Ok(runs_on)
}

/// Evaluates the name of `environment`.
pub(crate) fn environment(
    job: &OrdinaryJob,
    contexts: &Contexts,
) -> Result<Option<Environment>, EvaluationError> {
    let Some(token) = &job.environment else { return Ok(None) };
    let (name, url) = match &token.kind {
        Kind::Mapping(_) => (token.get("name"), token.get("url").cloned()),
        _ => (Some(token), None),
    };
    let Some(name) = name else { return Ok(None) };
    match value(name, contexts, Scenario::SUCCESS)? {
        // An expression may give the whole mapping.
        object @ Value::Object(_) => {
            Ok(object.get("name").filter(|name| name.truthy()).map(|found| Environment {
                name: found.to_text().into_owned(),
                url: object.get("url").map(|url| Token::string(name.span, &*url.to_text())),
            }))
        }
        name => {
            let name = name.to_text();
            Ok((!name.is_empty()).then(|| Environment { name: name.into_owned(), url }))
        }
    }
}
