//! The step machine: one strand runs steps one after the other, composite actions included.
//!
//! A job has one main strand; every background step is a strand of its own that starts with a
//! copy of the main one's variables and scope and hands back what it changed when it is waited
//! for. A strand is an explicit stack of frames, so actions nest without recursion. How one
//! step's process is run is in [`super::script`] and [`super::action`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indexmap::IndexMap;
use loopline_source::SourceFile;
use loopline_workflow::github::model::{Action, Step, StepKind};
use loopline_workflow::run::{Conclusion, Event, Skip};

use super::background::Background;
use super::effects::Effect;
use super::environment::{Layers, Variables};
use super::evaluate::{Sight, Value};
use super::files::Pool;
use super::output::Lingering;
use super::post::Post;
use super::record::StepLog;
use super::{Job, chain};
use crate::cancel::{Cancel, Level};

/// How deep composite actions nest (GitHub's runner).
pub(crate) const MAX_COMPOSITE_DEPTH: usize = 9;

/// Outputs of a step or an action, by name.
pub(crate) type Outputs = IndexMap<String, String>;

/// How a step went.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// Before `continue-on-error`.
    pub(crate) conclusion: Conclusion,
    /// The process's exit status, where there was one.
    pub(crate) exit_code: Option<i32>,
    /// Why it failed, where the log does not say.
    pub(crate) error: Option<String>,
}

impl Outcome {
    /// Returns a success without a process.
    pub(crate) const fn success() -> Self {
        Self { conclusion: Conclusion::Success, exit_code: None, error: None }
    }

    /// Returns a failure with its reason.
    pub(crate) fn failure(error: impl Into<String>) -> Self {
        Self { conclusion: Conclusion::Failure, exit_code: None, error: Some(error.into()) }
    }

    /// Returns a failure whose reason is an error and what lies behind it.
    pub(crate) fn broken(error: &dyn std::error::Error) -> Self {
        Self::failure(chain(error))
    }
}

/// What a step left in the `steps` context.
#[derive(Clone, Debug)]
pub(crate) struct StepRecord {
    pub(crate) outputs: Outputs,
    pub(crate) outcome: Conclusion,
    pub(crate) conclusion: Conclusion,
}

/// Where a step is in its job: the place and the id of every step around it, and its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Trail(Vec<(usize, Arc<str>)>);

impl Trail {
    /// Returns the trail of a step inside the one this is of.
    fn step_within(&self, index: usize, id: &Arc<str>) -> Self {
        let mut trail = self.clone();
        trail.0.push((index, Arc::clone(id)));
        trail
    }

    /// Returns whether the step is one of the job's own.
    pub(crate) fn is_outermost(&self) -> bool {
        self.0.len() == 1
    }

    /// Returns whether the step is inside the one `other` is of.
    pub(crate) fn is_within(&self, other: &Self) -> bool {
        self.0.len() > other.0.len() && self.0.starts_with(&other.0)
    }
}

/// What the expressions of a frame's steps see.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    /// `inputs`.
    pub(crate) inputs: Value,
    /// `steps`.
    pub(crate) steps: IndexMap<String, StepRecord>,
    /// How the steps of this scope went so far: `job.status`, or `action_status`.
    pub(crate) status: Conclusion,
    /// The `env` of the steps that called this action; it beats the job's.
    pub(crate) outer: Arc<Variables>,
    /// Where the step that called this action is.
    pub(crate) trail: Trail,
    /// The action whose steps these are; absent for the job itself.
    pub(crate) action: Option<Arc<ActionIdentity>>,
    /// The file the steps stand in.
    pub(crate) file: SourceFile,
    /// How many composite actions are around.
    pub(crate) depth: usize,
    /// When everything here must be done, on the monotonic clock.
    pub(crate) deadline: Option<Duration>,
}

/// Who an action is, as its own steps see it.
#[derive(Clone, Debug, Default)]
pub(crate) struct ActionIdentity {
    /// `github.action_path`.
    pub(crate) path: String,
    /// `github.action_ref`.
    pub(crate) reference: String,
    /// `github.action_repository`.
    pub(crate) repository: String,
    /// The folder of its repository, where `$/` leads.
    pub(crate) root: std::path::PathBuf,
}

/// A list of steps being worked through.
pub(crate) struct Frame {
    pub(crate) steps: Arc<[Step]>,
    pub(crate) next: usize,
    pub(crate) scope: Scope,
    pub(crate) background: Vec<Background>,
    /// Whether a background step failed that was waited for.
    pub(crate) late_failure: bool,
    /// The step that called the composite action; absent at the bottom.
    pub(crate) caller: Option<Caller>,
}

/// A step whose composite action is running.
pub(crate) struct Caller {
    pub(crate) running: Running,
    pub(crate) action: Arc<Action>,
}

/// A step that has begun.
pub(crate) struct Running {
    /// Where the step is in its frame's list.
    pub(crate) steps: Arc<[Step]>,
    pub(crate) index: usize,
    /// Its number in the run's record; nested steps have none of their own.
    pub(crate) number: Option<u32>,
    /// Its name as shown.
    pub(crate) name: String,
    /// When it began, on the monotonic clock.
    pub(crate) started: Duration,
    /// Its `env` context, its own `env` included.
    pub(crate) env: Arc<Variables>,
    /// The part of it that is its own and that of the steps around it.
    pub(crate) own: Arc<Variables>,
    /// When it must be done.
    pub(crate) deadline: Option<Duration>,
    /// How far the job was cancelled when the step's condition was asked.
    pub(crate) seen: Level,
    /// The condition, where it is not the step's own (post steps).
    pub(crate) condition: Option<String>,
    /// Its own `timeout-minutes`.
    pub(crate) limit_minutes: Option<f64>,
    /// What it put out.
    pub(crate) outputs: Outputs,
}

impl Running {
    /// Returns that its time, or that of the step around it, was up.
    pub(crate) fn timed_out(&self, exit_code: Option<i32>) -> Outcome {
        let error = match self.limit_minutes {
            Some(minutes) => format!("`{}` timed out after {minutes} minutes", self.name),
            None => format!("`{}` timed out with the step around it", self.name),
        };
        Outcome { exit_code, ..Outcome::failure(error) }
    }

    /// Returns the step's text.
    pub(crate) fn step(&self) -> &Step {
        &self.steps[self.index]
    }
}

/// What starting a step led to.
#[expect(clippy::large_enum_variant, reason = "made once a step and taken apart at once")]
pub(crate) enum Progress {
    /// It is done.
    Done(Running, Outcome),
    /// It is a composite action whose frame now lies on top.
    Entered,
}

/// How a background strand begins and is stopped.
pub(crate) struct Beginning {
    /// The token of the job: `cancelled()` is about it, not about the step's own.
    pub(crate) job: Cancel,
    /// Set where another step cancelled this one: its `if` is not asked.
    pub(crate) stopped: Arc<AtomicBool>,
    /// The number the step was given when it was reached.
    pub(crate) number: Option<u32>,
}

/// One line of execution.
pub(crate) struct Strand {
    pub(crate) job: Arc<Job>,
    pub(crate) layers: Layers,
    pub(crate) cancel: Cancel,
    /// What only a background strand has.
    pub(crate) background: Option<Beginning>,
    pub(crate) frames: Vec<Frame>,
    /// What changed for the steps that follow; kept by background strands only.
    pub(crate) changes: Option<Vec<Effect>>,
    /// Registered post steps, the newest last.
    pub(crate) posts: Vec<Post>,
    pub(crate) lingering: Vec<Lingering>,
    pub(crate) buffer: Vec<u8>,
    pub(crate) pool: Pool,
    pub(crate) log: Option<StepLog>,
}

impl Strand {
    /// Works until the frame at the bottom is done, and returns its scope.
    pub(crate) fn run(&mut self) -> Option<Scope> {
        loop {
            let frame = self.frames.last_mut()?;
            if frame.next < frame.steps.len() {
                let (steps, index) = (Arc::clone(&frame.steps), frame.next);
                frame.next += 1;
                self.step(&steps, index);
            } else if let Some(scope) = self.leave() {
                return Some(scope);
            }
        }
    }

    fn step(&mut self, steps: &Arc<[Step]>, index: usize) {
        let step = &steps[index];
        if self.cancel.level() == Level::Forced {
            self.skip(
                steps,
                index,
                Skip {
                    reason: format!("the job was ended: {}", self.cancel.reason()),
                    condition: None,
                    trace: Vec::new(),
                    place: None,
                },
            );
            return;
        }
        match &step.kind {
            StepKind::Wait(_) | StepKind::WaitAll | StepKind::Cancel(_) => {
                self.control(steps, index);
            }
            StepKind::Parallel(children) => {
                let first = self.background_count();
                let children: Arc<[Step]> = children.clone().into();
                for child in 0..children.len() {
                    self.start_background(&children, child);
                }
                if self.wait_from(first) == Conclusion::Failure
                    && let Some(scope) = self.scope_mut()
                {
                    scope.status = Conclusion::Failure;
                }
            }
            StepKind::Run { .. } | StepKind::Uses { .. } => {
                if step.background.as_ref().is_some_and(|background| background.value)
                    && self.changes.is_none()
                {
                    self.start_background(steps, index);
                } else {
                    self.ordinary(steps, index);
                }
            }
        }
    }

    /// Runs a step that is not in the background, up to its end or into its composite action.
    pub(crate) fn ordinary(&mut self, steps: &Arc<[Step]>, index: usize) {
        let step = &steps[index];
        let started = self.job.host.clock.monotonic();
        let mut env = self.env_context();
        let mut all_own = self.outer();
        let mut early = None;
        // A request to end that comes after this must find the step interruptible, so it is
        // looked at before the condition is asked.
        let seen = self.cancel.level();
        if let Some(token) = &step.env {
            match self.sight(&env, step).mapping(token) {
                Ok(own) => {
                    Arc::make_mut(&mut all_own).extend(own.clone());
                    env.extend(own);
                }
                Err(error) => early = Some(Outcome::failure(error.to_string())),
            }
        }
        if early.is_none() {
            match self.sight(&env, step).condition(&step.condition) {
                Ok(verdict) if verdict.holds => {}
                Ok(verdict) => {
                    let skip = Skip {
                        reason: verdict.reason(),
                        condition: Some(verdict.condition),
                        trace: verdict.trace,
                        place: Some(self.place(step.span.start)),
                    };
                    self.skip(steps, index, skip);
                    return;
                }
                Err(error) => early = Some(Outcome::failure(error.to_string())),
            }
        }
        let name = self.sight(&env, step).step_name(step);
        let (deadline, limit_minutes) = match self.deadline(step, &env) {
            Ok(limits) => limits,
            Err(error) => {
                early.get_or_insert(Outcome::failure(error));
                (None, None)
            }
        };
        let mut running = Running {
            steps: Arc::clone(steps),
            index,
            number: None,
            name,
            started,
            env: Arc::new(env),
            own: all_own,
            deadline,
            seen,
            condition: None,
            limit_minutes,
            outputs: Outputs::new(),
        };
        self.announce(&mut running);
        if early.is_none() && self.is_stopped() {
            let conclusion = Conclusion::Cancelled;
            early = Some(Outcome { conclusion, ..Outcome::success() });
        }
        if let Some(outcome) = early {
            self.complete(running, outcome);
            return;
        }
        let progress = match &step.kind {
            StepKind::Run { run, shell, working_directory } => {
                self.script(running, run, shell.as_ref(), working_directory.as_ref())
            }
            StepKind::Uses { uses, with } => self.action(running, uses, with.as_ref()),
            // The caller sends only the two kinds above here.
            StepKind::Wait(_) | StepKind::WaitAll | StepKind::Cancel(_) | StepKind::Parallel(_) => {
                Progress::Done(
                    running,
                    Outcome::failure("this kind of step cannot run in the background"),
                )
            }
        };
        if let Progress::Done(running, outcome) = progress {
            self.complete(running, outcome);
        }
    }

    /// Ends the frame on top: completes the step that called it, or returns the bottom's scope.
    fn leave(&mut self) -> Option<Scope> {
        self.wait_from(0);
        let mut frame = self.frames.pop()?;
        if frame.late_failure {
            frame.scope.status = Conclusion::Failure;
        }
        let Some(Caller { mut running, action }) = frame.caller else {
            return Some(frame.scope);
        };
        let mut outcome = Outcome::success();
        if self.cancel.is_cancelled() && frame.scope.status != Conclusion::Success
            || frame.scope.status == Conclusion::Cancelled
        {
            outcome.conclusion = Conclusion::Cancelled;
        } else if frame.scope.status == Conclusion::Failure {
            outcome.conclusion = Conclusion::Failure;
        }
        let scope = frame.scope;
        for output in &action.outputs {
            let Some(value) = &output.value else { continue };
            match self.sight_in(&scope, &running.env, None).string(value) {
                Ok(text) => {
                    running.outputs.insert(output.name.value.to_string(), text);
                }
                Err(error) => outcome = Outcome::failure(error.to_string()),
            }
        }
        self.complete(running, outcome);
        None
    }

    /// Enters a composite action.
    pub(crate) fn enter(
        &mut self,
        running: Running,
        action: Arc<Action>,
        steps: Arc<[Step]>,
        inputs: Value,
        identity: ActionIdentity,
    ) {
        let depth = self.scope().map_or(0, |scope| scope.depth) + 1;
        let scope = Scope {
            inputs,
            steps: IndexMap::new(),
            status: Conclusion::Success,
            outer: Arc::clone(&running.own),
            trail: self.trail(&running),
            action: Some(Arc::new(identity)),
            file: action.file.clone(),
            depth,
            deadline: running.deadline,
        };
        self.frames.push(Frame {
            steps,
            next: 0,
            scope,
            background: Vec::new(),
            late_failure: false,
            caller: Some(Caller { running, action }),
        });
    }

    /// Tells the record that a step began, and opens its log where it is one of the job's own.
    pub(crate) fn announce(&mut self, running: &mut Running) {
        let nested = self.frames.len() > 1;
        if nested {
            if let Some(log) = &mut self.log {
                log.line(&running.name);
            }
            return;
        }
        let number = self.take_number();
        running.number = Some(number);
        let step = running.step();
        self.job.event(&Event::StepStarted {
            job: self.job.key.clone(),
            step: number,
            id: self.shown_id(step),
            name: running.name.clone(),
            at: self.job.host.clock.now().to_string(),
            place: Some(self.place(step.span.start)),
        });
        self.log = Some(StepLog::open(&self.job, number));
    }

    /// Tells the record and the scope how a step ended.
    pub(crate) fn complete(&mut self, running: Running, mut outcome: Outcome) {
        let mut conclusion = outcome.conclusion;
        let step = running.step();
        if outcome.conclusion == Conclusion::Failure
            && let Some(token) = &step.continue_on_error
        {
            match self.sight(&running.env, step).boolean(token) {
                Ok(true) => conclusion = Conclusion::Success,
                Ok(false) => {}
                Err(error) => {
                    outcome.error = Some(match outcome.error.take() {
                        Some(first) => format!("{first}; and {error}"),
                        None => error.to_string(),
                    });
                }
            }
        }
        if let Some(error) = &mut outcome.error {
            *error = self.job.mask(error);
            if let Some(log) = &mut self.log {
                log.error(error);
            }
        }
        if let Some(number) = running.number {
            if let Some(log) = self.log.take() {
                log.close();
            }
            let now = self.job.host.clock.monotonic();
            self.job.event(&Event::StepFinished {
                job: self.job.key.clone(),
                step: number,
                outcome: outcome.conclusion,
                conclusion,
                exit_code: outcome.exit_code,
                error: outcome.error,
                duration_ms: u64::try_from(now.saturating_sub(running.started).as_millis())
                    .unwrap_or(u64::MAX),
            });
        }
        let id = step.id.value.to_string();
        if let Some(scope) = self.scope_mut() {
            if conclusion == Conclusion::Failure {
                scope.status = Conclusion::Failure;
            } else if conclusion == Conclusion::Cancelled && scope.status == Conclusion::Success {
                scope.status = Conclusion::Cancelled;
            }
            scope.steps.insert(
                id,
                StepRecord { outputs: running.outputs, outcome: outcome.conclusion, conclusion },
            );
        }
    }

    /// Passes over a step.
    pub(crate) fn skip(&mut self, steps: &Arc<[Step]>, index: usize, skip: Skip) {
        let step = &steps[index];
        if self.frames.len() <= 1 {
            let number = self.take_number();
            let env = self.env_context();
            let name = self.sight(&env, step).step_name(step);
            self.job.event(&Event::StepSkipped {
                job: self.job.key.clone(),
                step: number,
                id: self.shown_id(step),
                name,
                skip,
            });
        }
        let id = step.id.value.to_string();
        if let Some(scope) = self.scope_mut() {
            scope.steps.insert(
                id,
                StepRecord {
                    outputs: Outputs::new(),
                    outcome: Conclusion::Skipped,
                    conclusion: Conclusion::Skipped,
                },
            );
        }
    }

    fn take_number(&mut self) -> u32 {
        let given = self.background.as_mut().and_then(|background| background.number.take());
        given.unwrap_or_else(|| self.job.next_number())
    }

    /// Returns whether another step cancelled this one.
    pub(crate) fn is_stopped(&self) -> bool {
        let stopped = self.background.as_ref().map(|background| &background.stopped);
        stopped.is_some_and(|stopped| stopped.load(Ordering::Acquire))
    }

    /// Returns where a step of the frame on top is.
    pub(crate) fn trail(&self, running: &Running) -> Trail {
        let outer = self.scope().map(|scope| scope.trail.clone()).unwrap_or_default();
        outer.step_within(running.index, &running.step().id.value)
    }

    /// Returns the `env` of the steps around the frame on top.
    pub(crate) fn outer(&self) -> Arc<Variables> {
        self.scope().map(|scope| Arc::clone(&scope.outer)).unwrap_or_default()
    }

    /// Adds a step's own `env` to what it sees.
    pub(crate) fn own_env(&self, running: &mut Running) -> Result<(), String> {
        let Some(token) = &running.step().env else { return Ok(()) };
        let own = self.sight(&running.env, running.step()).mapping(token);
        let own = own.map_err(|error| error.to_string())?;
        Arc::make_mut(&mut running.own).extend(own.clone());
        Arc::make_mut(&mut running.env).extend(own);
        Ok(())
    }

    /// Returns the `env` context before the step's own `env`.
    pub(crate) fn env_context(&self) -> Variables {
        let mut env = self.layers.shared.clone();
        if let Some(scope) = self.scope() {
            env.extend(scope.outer.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        env
    }

    /// Puts what a process asked for into the job, and remembers it where somebody waits for it.
    pub(crate) fn take_effects(&mut self, effects: Vec<Effect>) {
        super::effects::apply(&mut self.layers, &effects);
        if let Some(changes) = &mut self.changes {
            changes.extend(effects);
        }
    }

    /// Returns when a step must be done, and its own `timeout-minutes`.
    fn deadline(
        &self,
        step: &Step,
        env: &Variables,
    ) -> Result<(Option<Duration>, Option<f64>), String> {
        let outer = self.scope().and_then(|scope| scope.deadline);
        let Some(token) = &step.timeout_minutes else { return Ok((outer, None)) };
        let minutes = self
            .sight(env, step)
            .number(token)
            .map_err(|error| format!("timeout-minutes: {error}"))?;
        let own = super::minutes(minutes).map(|limit| self.job.host.clock.monotonic() + limit);
        let deadline = match (own, outer) {
            (Some(own), Some(outer)) => Some(own.min(outer)),
            (own, outer) => own.or(outer),
        };
        Ok((deadline, own.map(|_| minutes)))
    }

    pub(crate) fn scope(&self) -> Option<&Scope> {
        self.frames.last().map(|frame| &frame.scope)
    }

    pub(crate) fn scope_mut(&mut self) -> Option<&mut Scope> {
        self.frames.last_mut().map(|frame| &mut frame.scope)
    }

    /// Returns what the expressions of `step` see in the frame on top.
    pub(crate) fn sight<'a>(&'a self, env: &'a Variables, step: &'a Step) -> Sight<'a> {
        // Steps exist only in frames; an empty stack sees what an empty job would.
        let scope = self.scope().unwrap_or(&self.job.empty_scope);
        self.sight_in(scope, env, Some(step))
    }

    pub(crate) fn sight_in<'a>(
        &'a self,
        scope: &'a Scope,
        env: &'a Variables,
        step: Option<&'a Step>,
    ) -> Sight<'a> {
        Sight {
            job: &self.job,
            scope,
            env,
            action: step.map(|step| &*step.id.value),
            cancelled: self.background.as_ref().map_or(&self.cancel, |it| &it.job).is_cancelled(),
        }
    }

    fn shown_id(&self, step: &Step) -> Option<String> {
        (!step.id_generated).then(|| step.id.value.to_string())
    }

    pub(crate) fn place(&self, offset: u32) -> loopline_workflow::run::Place {
        let scope = self.scope().unwrap_or(&self.job.empty_scope);
        let position = scope.file.position(offset);
        loopline_workflow::run::Place {
            file: scope.file.name().to_owned(),
            line: position.line,
            column: position.column,
        }
    }
}
