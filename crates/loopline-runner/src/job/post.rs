//! Post steps: what actions do at the end of a job, last one first.

use std::path::PathBuf;
use std::sync::Arc;

use loopline_workflow::github::model::Step;
use loopline_workflow::run::{Conclusion, Event, Skip};

use super::environment::Variables;
use super::record::StepLog;
use super::strand::{ActionIdentity, Outcome, Outputs, Running, Scope, Strand};
use crate::actions::Builtin;
use crate::cancel::Level;

/// One post step.
pub(crate) struct Post {
    /// The name of the step it belongs to.
    pub(crate) name: String,
    /// When it runs.
    pub(crate) condition: String,
    pub(crate) kind: PostKind,
    pub(crate) inputs: Outputs,
    /// The step's `env` context.
    pub(crate) env: Arc<Variables>,
    /// What the step saved.
    pub(crate) state: Outputs,
    pub(crate) identity: Option<ActionIdentity>,
    /// The step it belongs to.
    pub(crate) steps: Arc<[Step]>,
    pub(crate) index: usize,
}

/// What a post step does.
pub(crate) enum PostKind {
    /// Runs a script with Node.
    Node { script: PathBuf },
    /// Calls a built-in action.
    Builtin { builtin: Arc<dyn Builtin>, uses: String },
}

impl Strand {
    /// Runs the post steps, newest first; `scope` is the job's.
    pub(crate) fn run_posts(&mut self, scope: &mut Scope) {
        while let Some(post) = self.posts.pop() {
            self.run_post(post, scope);
        }
    }

    fn run_post(&mut self, post: Post, scope: &mut Scope) {
        let name = format!("Post {}", post.name);
        let number = self.job.next_number();
        let seen = self.cancel.level();
        let verdict = self.sight_in(scope, &post.env, None).condition_text(&post.condition);
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
        let mut running = Running {
            steps: Arc::clone(&post.steps),
            index: post.index,
            number: Some(number),
            name,
            started,
            env: Arc::clone(&post.env),
            deadline: None,
            seen,
            condition: Some(post.condition.clone()),
            limit_minutes: None,
            outputs: Outputs::new(),
        };
        let outcome = match verdict {
            Err(error) => Outcome::failure(error.to_string()),
            Ok(_) => match &post.kind {
                PostKind::Node { script } => {
                    match self.node(script.clone().into_os_string(), &post.inputs, &post.state) {
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
            },
        };
        if outcome.conclusion == Conclusion::Failure {
            scope.status = Conclusion::Failure;
        }
        self.finish_event(number, started, outcome.conclusion, outcome);
    }
}
