//! A run as it stands after some of its events.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Annotation, Conclusion, Event, JobKey, RunStarted, Skip};

/// Where a job or step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Known, not begun.
    Queued,
    /// Begun.
    Running,
    /// Ended in this way.
    #[serde(untagged)]
    Ended(Conclusion),
}

/// A run so far.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// What it is of.
    pub started: Option<RunStarted>,
    /// Its jobs in the order in which they became known.
    pub jobs: Vec<Job>,
    /// What to know about the run as a whole.
    pub warnings: Vec<String>,
    /// How it ended, if it did.
    pub conclusion: Option<Conclusion>,
    /// Why, where no job says so.
    pub error: Option<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: Option<u64>,
}

/// A job so far.
#[derive(Clone, Debug, Serialize)]
pub struct Job {
    /// Which.
    pub key: JobKey,
    /// The name people see.
    pub name: String,
    /// Where it is.
    pub state: State,
    /// Why it did not run.
    pub skip: Option<Skip>,
    /// Whether its failure is kept from the run.
    pub tolerated: bool,
    /// Its steps in the order in which they were reached.
    pub steps: Vec<Step>,
    /// What it hands to others.
    pub outputs: BTreeMap<String, String>,
    /// The work folder.
    pub workspace: Option<String>,
    /// `host` or `sandbox`.
    pub executor: Option<String>,
    /// Artifacts it stored: name, size in bytes, digest.
    pub artifacts: Vec<(String, u64, String)>,
    /// How long it took, in milliseconds.
    pub duration_ms: Option<u64>,
}

/// A step so far.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// Its number.
    pub number: u32,
    /// Its `id`.
    pub id: Option<String>,
    /// The name people see.
    pub name: String,
    /// Where it is; after `continue-on-error`.
    pub state: State,
    /// Before `continue-on-error`.
    pub outcome: Option<Conclusion>,
    /// Why it did not run.
    pub skip: Option<Skip>,
    /// The process's exit status.
    pub exit_code: Option<i32>,
    /// Why it failed.
    pub error: Option<String>,
    /// What it pointed out.
    pub annotations: Vec<Annotation>,
    /// How long it took, in milliseconds.
    pub duration_ms: Option<u64>,
}

impl Summary {
    /// Returns the run that `events` tell of.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut summary = Self::default();
        for event in events {
            summary.apply(event);
        }
        summary
    }

    /// Returns the job with `key`.
    pub fn job(&self, key: &JobKey) -> Option<&Job> {
        self.jobs.iter().find(|job| job.key == *key)
    }

    /// Takes in one more event.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::RunStarted(started) => self.started = Some((**started).clone()),
            Event::Warning { message, .. } => self.warnings.push(message.clone()),
            Event::RunWaiting { .. }
            | Event::ApprovalRequested { .. }
            | Event::ApprovalDecided { .. }
            | Event::StepSummary { .. } => {}
            Event::JobQueued { job, name } => {
                self.at(job).name.clone_from(name);
            }
            Event::JobStarted { job, name, executor, workspace, .. } => {
                let job = self.at(job);
                job.name.clone_from(name);
                job.state = State::Running;
                job.executor = Some(executor.clone());
                job.workspace.clone_from(workspace);
            }
            Event::JobSkipped { job, name, skip } => {
                let job = self.at(job);
                job.name.clone_from(name);
                job.state = State::Ended(Conclusion::Skipped);
                job.skip = Some(skip.clone());
            }
            Event::StepStarted { job, step, id, name, .. } => {
                self.at(job).steps.push(Step::new(*step, id.clone(), name, State::Running));
            }
            Event::StepSkipped { job, step, id, name, skip } => {
                let state = State::Ended(Conclusion::Skipped);
                let mut found = Step::new(*step, id.clone(), name, state);
                found.outcome = Some(Conclusion::Skipped);
                found.skip = Some(skip.clone());
                self.at(job).steps.push(found);
            }
            Event::Annotation { job, step, annotation } => {
                if let Some(step) = self.at(job).step(*step) {
                    step.annotations.push(annotation.clone());
                }
            }
            Event::StepFinished {
                job,
                step,
                outcome,
                conclusion,
                exit_code,
                error,
                duration_ms,
            } => {
                if let Some(step) = self.at(job).step(*step) {
                    step.state = State::Ended(*conclusion);
                    step.outcome = Some(*outcome);
                    step.exit_code = *exit_code;
                    step.error.clone_from(error);
                    step.duration_ms = Some(*duration_ms);
                }
            }
            Event::ArtifactStored { job, name, size_bytes, digest } => {
                self.at(job).artifacts.push((name.clone(), *size_bytes, digest.clone()));
            }
            Event::JobFinished { job, conclusion, tolerated, outputs, duration_ms, .. } => {
                let job = self.at(job);
                job.state = State::Ended(*conclusion);
                job.tolerated = *tolerated;
                job.outputs.clone_from(outputs);
                job.duration_ms = Some(*duration_ms);
            }
            Event::RunFinished { conclusion, error, duration_ms, .. } => {
                self.conclusion = Some(*conclusion);
                self.error.clone_from(error);
                self.duration_ms = Some(*duration_ms);
            }
        }
    }

    fn at(&mut self, key: &JobKey) -> &mut Job {
        let index = match self.jobs.iter().position(|job| job.key == *key) {
            Some(index) => index,
            None => {
                self.jobs.push(Job {
                    key: key.clone(),
                    name: key.0.clone(),
                    state: State::Queued,
                    skip: None,
                    tolerated: false,
                    steps: Vec::new(),
                    outputs: BTreeMap::new(),
                    workspace: None,
                    executor: None,
                    artifacts: Vec::new(),
                    duration_ms: None,
                });
                self.jobs.len() - 1
            }
        };
        &mut self.jobs[index]
    }
}

impl Job {
    fn step(&mut self, number: u32) -> Option<&mut Step> {
        self.steps.iter_mut().find(|step| step.number == number)
    }
}

impl Step {
    fn new(number: u32, id: Option<String>, name: &str, state: State) -> Self {
        Self {
            number,
            id,
            name: name.to_owned(),
            state,
            outcome: None,
            skip: None,
            exit_code: None,
            error: None,
            annotations: Vec::new(),
            duration_ms: None,
        }
    }
}
