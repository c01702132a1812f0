//! Post steps: what actions do at the end of a job, last one first.

use std::path::PathBuf;
use std::sync::Arc;

use loopline_workflow::github::model::{Action, Step, StepKind};
use loopline_workflow::run::{Conclusion, Event, Skip};

use super::environment::Variables;
use super::record::StepLog;
use super::strand::{ActionIdentity, Outcome, Outputs, Running, Scope, Strand, Trail};
use crate::actions::Builtin;
use crate::cancel::Level;

/// One post step.
pub(crate) struct Post {
    /// The name of the step it belongs to.
    pub(crate) name: String,
    /// When it runs.
    pub(crate) condition: String,
    pub(crate) kind: PostKind,
    /// The inputs as the step had them.
    pub(crate) inputs: Outputs,
    /// The step's own `env` and that of the steps around it.
    pub(crate) own: Arc<Variables>,
    /// What the step saved.
    pub(crate) state: Outputs,
    pub(crate) identity: Option<ActionIdentity>,
    /// Where the step it belongs to is.
    pub(crate) trail: Trail,
    /// The step it belongs to.
    pub(crate) steps: Arc<[Step]>,
    pub(crate) index: usize,
}

/// What a post step does.
#[derive(Clone)]
pub(crate) enum PostKind {
    /// Runs a script with Node.
    Node { script: PathBuf, action: Arc<Action> },
    /// Calls a built-in action.
    Builtin { builtin: Arc<dyn Builtin>, uses: String },
    /// Does what the actions inside a composite action registered.
    Group,
}

impl Strand {
    /// Registers a post step; one that its `pre` registered already keeps its place.
    pub(crate) fn register_post(&mut self, post: Post) {
        match self.posts.iter_mut().find(|known| known.trail == post.trail) {
            Some(known) => {
                known.inputs = post.inputs;
                known.own = post.own;
                known.state.extend(post.state);
            }
            None => self.posts.push(post),
        }
    }

    /// Registers the post step of a composite action of the job itself, which stands for those
    /// of the actions inside it.
    pub(crate) fn register_group(&mut self, running: &Running) {
        let trail = self.trail(running);
        if !trail.is_outermost() {
            return;
        }
        self.register_post(Post {
            name: running.name.clone(),
            condition: "always()".to_owned(),
            kind: PostKind::Group,
            inputs: Outputs::new(),
            own: Arc::clone(&running.own),
            state: Outputs::new(),
            identity: None,
            trail,
            steps: Arc::clone(&running.steps),
            index: running.index,
        });
    }

    /// Keeps what a step saved for its post step, where it has one.
    pub(crate) fn keep_post_state(&mut self, trail: &Trail, state: &Outputs) {
        if let Some(post) = self.posts.iter_mut().find(|post| post.trail == *trail) {
            post.state.extend(state.clone());
        }
    }

    /// Runs the post steps, newest first; `scope` is the job's.
    pub(crate) fn run_posts(&mut self, scope: &mut Scope) {
        let (outermost, mut inner): (Vec<Post>, Vec<Post>) =
            std::mem::take(&mut self.posts).into_iter().partition(|post| post.trail.is_outermost());
        // Inside a composite action the order is that of its steps, whatever ran first.
        inner.sort_by(|one, two| one.trail.cmp(&two.trail));
        for post in outermost.into_iter().rev() {
            let (own, others) =
                inner.into_iter().partition::<Vec<_>, _>(|one| one.trail.is_within(&post.trail));
            inner = others;
            if !(matches!(post.kind, PostKind::Group) && own.is_empty()) {
                self.run_post(post, own, scope);
            }
        }
    }

    fn run_post(&mut self, post: Post, inner: Vec<Post>, scope: &mut Scope) {
        let name = format!("Post {}", post.name);
        let number = self.job.next_number();
        let seen = self.cancel.level();
        let env = self.post_env(&post, scope);
        let verdict = self
            .sight_in(scope, env.as_ref().map_or(&post.own, |(env, _)| env), None)
            .condition_text(&post.condition);
        let reason = if self.cancel.level() == Level::Forced {
            Some(Skip {
                reason: format!("the job was ended: {}", self.cancel.reason()),
                condition: None,
                trace: Vec::new(),
                place: None,
            })
        } else {
            verdict.as_ref().ok().filter(|verdict| !verdict.holds).map(|verdict| Skip {
                reason: verdict.reason(),
                condition: Some(verdict.condition.clone()),
                trace: verdict.trace.clone(),
                place: None,
            })
        };
        if let Some(skip) = reason {
            self.job.event(&Event::StepSkipped {
                job: self.job.key.clone(),
                step: number,
                id: None,
                name,
                skip,
            });
            return;
        }
        let clock = &self.job.host.clock;
        let started = clock.monotonic();
        self.job.event(&Event::StepStarted {
            job: self.job.key.clone(),
            step: number,
            id: None,
            name: name.clone(),
            at: clock.now().to_string(),
            place: None,
        });
        self.log = Some(StepLog::open(&self.job, number));
        let outcome = match verdict.map_err(|error| error.to_string()).and(env) {
            Err(error) => Outcome::failure(error),
            Ok((env, own)) => {
                let running = Running {
                    steps: Arc::clone(&post.steps),
                    index: post.index,
                    number: Some(number),
                    name,
                    started,
                    env,
                    own,
                    deadline: None,
                    seen,
                    condition: Some(post.condition.clone()),
                    limit_minutes: None,
                    outputs: Outputs::new(),
                };
                match post.kind {
                    PostKind::Group => self.work_inner_posts(inner, running, scope),
                    _ => self.work_post(post, running, scope),
                }
            }
        };
        if outcome.conclusion == Conclusion::Failure {
            scope.status = Conclusion::Failure;
        }
        self.finish_event(number, started, outcome.conclusion, outcome);
    }

    /// Returns the `env` context of a post step as it is now, and the step's own part of it.
    fn post_env(
        &self,
        post: &Post,
        scope: &Scope,
    ) -> Result<(Arc<Variables>, Arc<Variables>), String> {
        let mut env = self.layers.shared.clone();
        let mut own = Arc::clone(&post.own);
        if post.trail.is_outermost()
            && let Some(token) = &post.steps[post.index].env
        {
            let step = &post.steps[post.index];
            let now = self.sight_in(scope, &env, Some(step)).mapping(token);
            own = Arc::new(now.map_err(|error| error.to_string())?);
        }
        env.extend(own.iter().map(|(name, value)| (name.clone(), value.clone())));
        Ok((Arc::new(env), own))
    }

    /// Does what one post step does.
    fn work_post(&mut self, post: Post, mut running: Running, scope: &Scope) -> Outcome {
        match &post.kind {
            PostKind::Node { script, action } => {
                let inputs = match self.post_inputs(&post, action, &running, scope) {
                    Ok(inputs) => inputs,
                    Err(error) => return Outcome::failure(error),
                };
                match self.node(script.clone().into_os_string(), &inputs, &post.state) {
                    Ok(launch) => {
                        let executed = self.must_execute_as(&running, launch, post.identity);
                        self.settle(&mut running, executed).0
                    }
                    Err(error) => Outcome::failure(error),
                }
            }
            PostKind::Builtin { builtin, uses } => {
                let mut state = post.state;
                let executed =
                    self.call_builtin(&running, uses, &post.inputs, &mut state, |call| {
                        builtin.post(call)
                    });
                self.settle(&mut running, executed).0
            }
            PostKind::Group => Outcome::success(),
        }
    }

    /// Returns the inputs of a post step: those of the job's own steps are evaluated again, as
    /// GitHub's runner does, so that they see what later steps changed.
    fn post_inputs(
        &mut self,
        post: &Post,
        action: &Action,
        running: &Running,
        scope: &Scope,
    ) -> Result<Outputs, String> {
        let StepKind::Uses { with: Some(token), .. } = &running.step().kind else {
            return Ok(post.inputs.clone());
        };
        if !post.trail.is_outermost() {
            return Ok(post.inputs.clone());
        }
        let given = self
            .sight_in(scope, &running.env, Some(running.step()))
            .mapping(token)
            .map_err(|error| error.to_string())?;
        let mut inputs = post.inputs.clone();
        inputs.retain(|name, _| {
            action.inputs.iter().any(|input| input.name.value.eq_ignore_ascii_case(name))
        });
        inputs.extend(given.into_iter().map(|(name, value)| (name.to_lowercase(), value)));
        Ok(inputs)
    }

    /// Does what the actions inside a composite action registered, last step first.
    fn work_inner_posts(
        &mut self,
        inner: Vec<Post>,
        around: Running,
        scope: &mut Scope,
    ) -> Outcome {
        let mut result = Outcome::success();
        for post in inner.into_iter().rev() {
            let name = format!("Post {}", post.name);
            let verdict = self.sight_in(scope, &around.env, None).condition_text(&post.condition);
            let outcome = match verdict {
                _ if self.cancel.level() == Level::Forced => {
                    Outcome { conclusion: Conclusion::Cancelled, ..Outcome::success() }
                }
                Ok(verdict) if !verdict.holds => continue,
                Ok(_) => {
                    if let Some(log) = &mut self.log {
                        log.line(&name);
                    }
                    match self.post_env(&post, scope) {
                        Ok((env, own)) => {
                            let running = Running {
                                steps: Arc::clone(&post.steps),
                                index: post.index,
                                number: around.number,
                                name,
                                started: self.job.host.clock.monotonic(),
                                env,
                                own,
                                deadline: None,
                                seen: self.cancel.level(),
                                condition: Some(post.condition.clone()),
                                limit_minutes: None,
                                outputs: Outputs::new(),
                            };
                            self.work_post(post, running, scope)
                        }
                        Err(error) => Outcome::failure(error),
                    }
                }
                Err(error) => Outcome::failure(error.to_string()),
            };
            if outcome.conclusion == Conclusion::Success {
                continue;
            }
            if outcome.conclusion == Conclusion::Failure {
                scope.status = Conclusion::Failure;
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
}
