//! Pre steps: what remote actions do before the first step of a job, in the order of its steps.
//!
//! As GitHub's runner has it, a composite action's `pre` is that of the actions inside it, an
//! action in the workspace has none (it may not be there yet, which its step says), and an
//! action whose `pre` ran gets its `post` even where its step does not run.

use std::sync::Arc;

use loopline_workflow::github::model::{Action, ActionRuns, Step, StepKind, UsesRef};
use loopline_workflow::run::{Annotation, Conclusion, Event, Level};

use super::Job;
use super::evaluate::object;
use super::load::{Loaded, Source};
use super::post::{Post, PostKind};
use super::record::StepLog;
use super::strand::{MAX_COMPOSITE_DEPTH, Outcome, Outputs, Running, Strand};

/// The condition of a `pre` that names none, and of every composite action's.
const ALWAYS: &str = "always()";

impl Job {
    /// Returns the action of a step where it runs something before the job's steps; `root` is
    /// the repository of the action the step is in.
    fn with_pre(&self, step: &Step, root: Option<&std::path::Path>) -> Option<Loaded> {
        let StepKind::Uses { uses, .. } = &step.kind else { return None };
        if matches!(UsesRef::parse(&uses.value), Some(UsesRef::Local(_)) | None) {
            return None;
        }
        // What cannot be loaded has stopped the set-up before this.
        let loaded = self.load(&uses.value, root).ok()?;
        let Source::Metadata(action) = &loaded.source else { return None };
        self.has_pre(action, &loaded.identity.root, 0).then_some(loaded)
    }

    /// Returns whether `action`, whose repository is `root`, or an action inside it has a `pre`.
    fn has_pre(&self, action: &Action, root: &std::path::Path, depth: usize) -> bool {
        match &action.runs {
            Some(ActionRuns::Node { pre, .. }) => pre.is_some(),
            Some(ActionRuns::Composite { steps }) if depth < MAX_COMPOSITE_DEPTH => {
                steps.iter().any(|step| {
                    let StepKind::Uses { uses, .. } = &step.kind else { return false };
                    if matches!(UsesRef::parse(&uses.value), Some(UsesRef::Local(_)) | None) {
                        return false;
                    }
                    self.load(&uses.value, Some(root)).is_ok_and(|loaded| match &loaded.source {
                        Source::Metadata(action) => {
                            self.has_pre(action, &loaded.identity.root, depth + 1)
                        }
                        Source::Builtin(_) => false,
                    })
                })
            }
            Some(ActionRuns::Composite { .. } | ActionRuns::Docker { .. }) | None => false,
        }
    }
}

impl Strand {
    /// Runs what the actions of the job's steps do before them.
    pub(crate) fn run_pres(&mut self, steps: &Arc<[Step]>) {
        for (index, step) in steps.iter().enumerate() {
            if let StepKind::Parallel(children) = &step.kind {
                let children: Arc<[Step]> = children.clone().into();
                for child in 0..children.len() {
                    self.run_pre(&children, child);
                }
            } else {
                self.run_pre(steps, index);
            }
        }
    }

    fn run_pre(&mut self, steps: &Arc<[Step]>, index: usize) {
        let Some(loaded) = self.job.with_pre(&steps[index], None) else { return };
        let mut running = self.running_now(steps, index);
        let prepared = self.own_env(&mut running);
        let verdict = self.pre_holds(&running, &loaded);
        if matches!(verdict, Ok(false)) {
            return;
        }
        let number = self.job.next_number();
        self.job.event(&Event::StepStarted {
            job: self.job.key.clone(),
            step: number,
            id: None,
            name: format!("Pre {}", running.name),
            at: self.job.host.clock.now().to_string(),
            place: None,
        });
        self.log = Some(StepLog::open(&self.job, number));
        let started = running.started;
        let outcome = match prepared.and(verdict) {
            Ok(_) => self.work_pre(running, &loaded),
            Err(error) => Outcome::failure(error),
        };
        if outcome.conclusion == Conclusion::Failure
            && let Some(scope) = self.scope_mut()
        {
            scope.status = Conclusion::Failure;
        }
        self.finish_event(number, started, outcome.conclusion, outcome);
    }

    fn pre_holds(&self, running: &Running, loaded: &Loaded) -> Result<bool, String> {
        let Source::Metadata(action) = &loaded.source else { return Ok(false) };
        let condition = match &action.runs {
            Some(ActionRuns::Node { pre_if: Some(condition), .. }) => &*condition.value,
            _ => ALWAYS,
        };
        let verdict = self.sight(&running.env, running.step()).condition_text(condition);
        verdict.map(|verdict| verdict.holds).map_err(|error| error.to_string())
    }

    /// Runs the `pre` of one action, or of the actions inside it. The depth of the recursion is
    /// that of composite actions, which loading has bounded.
    fn work_pre(&mut self, mut running: Running, loaded: &Loaded) -> Outcome {
        let Source::Metadata(action) = &loaded.source else { return Outcome::success() };
        let given = match &running.step().kind {
            StepKind::Uses { with: Some(token), .. } => {
                match self.sight(&running.env, running.step()).mapping(token) {
                    Ok(given) => given,
                    Err(error) => return Outcome::failure(error.to_string()),
                }
            }
            _ => Outputs::new(),
        };
        let inputs = match self.inputs(&running, action, &given) {
            Ok(inputs) => inputs,
            Err(error) => return Outcome::failure(error),
        };
        match &action.runs {
            Some(ActionRuns::Node { pre: Some(pre), .. }) => {
                self.register_node_post(&running, loaded, action, &inputs);
                let script = loaded.folder.join(&*pre.value).into_os_string();
                let launch = match self.node(script, &inputs, &Outputs::new()) {
                    Ok(launch) => launch,
                    Err(error) => return Outcome::failure(error),
                };
                let trail = self.trail(&running);
                let identity = Some(loaded.identity.clone());
                let executed = self.must_execute_as(&running, launch, identity);
                let (outcome, state) = self.settle(&mut running, executed);
                self.keep_post_state(&trail, &state);
                self.job.keep_pre_state(trail, state);
                outcome
            }
            Some(ActionRuns::Composite { steps }) => {
                self.register_group(&running);
                let steps: Arc<[Step]> = steps.clone().into();
                let inputs =
                    object(inputs.iter().map(|(name, value)| (name.as_str(), value.as_str())));
                let status = self.scope().map_or(Conclusion::Success, |scope| scope.status);
                let identity = loaded.identity.clone();
                self.enter(running, Arc::clone(action), Arc::clone(&steps), inputs, identity);
                if let Some(scope) = self.scope_mut() {
                    scope.status = status;
                }
                let outcome = self.work_inner_pres(&steps, &loaded.identity.root);
                self.frames.pop();
                outcome
            }
            _ => Outcome::success(),
        }
    }

    /// Runs the `pre` of every action among the steps of the composite action on top.
    fn work_inner_pres(&mut self, steps: &Arc<[Step]>, root: &std::path::Path) -> Outcome {
        let mut result = Outcome::success();
        for index in 0..steps.len() {
            let Some(loaded) = self.job.with_pre(&steps[index], Some(root)) else { continue };
            let mut running = self.running_now(steps, index);
            let prepared = self.own_env(&mut running);
            let outcome = match prepared.and_then(|()| self.pre_holds(&running, &loaded)) {
                Ok(false) => continue,
                Ok(true) => {
                    if let Some(log) = &mut self.log {
                        log.line(&format!("Pre {}", running.name));
                    }
                    self.work_pre(running, &loaded)
                }
                Err(error) => Outcome::failure(error),
            };
            if outcome.conclusion == Conclusion::Success {
                continue;
            }
            if let Some(scope) = self.scope_mut() {
                scope.status = outcome.conclusion;
            }
            // The step is told the first reason; the log has the others.
            if result.conclusion == Conclusion::Success {
                result = outcome;
            } else if let (Some(log), Some(error)) = (&mut self.log, &outcome.error) {
                log.error(&self.job.mask(error));
            }
        }
        result
    }

    /// Says that the `pre` of an action in the workspace does not run.
    pub(crate) fn warn_of_local_pre(
        &mut self,
        uses: &str,
        action: &Action,
        root: &std::path::Path,
    ) {
        if !self.job.has_pre(action, root, 0) {
            return;
        }
        if let Some(log) = &mut self.log {
            log.annotate(Annotation {
                level: Level::Warning,
                message: format!("`pre` execution is not supported for local action from '{uses}'"),
                title: None,
                place: None,
                end_line: None,
                end_column: None,
            });
        }
    }

    /// Registers the post step of a JavaScript action, where it has one and it is not
    /// registered yet.
    pub(crate) fn register_node_post(
        &mut self,
        running: &Running,
        loaded: &Loaded,
        action: &Action,
        inputs: &Outputs,
    ) {
        let Some(ActionRuns::Node { post: Some(post), post_if, .. }) = &action.runs else { return };
        let condition = post_if.as_ref().map_or(ALWAYS.into(), |text| text.value.to_string());
        self.register_post(Post {
            name: running.name.clone(),
            condition,
            kind: PostKind::Node {
                script: loaded.folder.join(&*post.value),
                action: Arc::new(action.clone()),
            },
            inputs: inputs.clone(),
            own: Arc::clone(&running.own),
            state: Outputs::new(),
            identity: Some(loaded.identity.clone()),
            trail: self.trail(running),
            steps: Arc::clone(&running.steps),
            index: running.index,
        });
    }
}
