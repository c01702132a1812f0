//! Background steps: strands on threads of their own, and the steps that wait for or end them.
//!
//! A background step starts with a copy of the variables and the scope as they are when it is
//! reached. What it changes (variables, paths, outputs, post steps) is put into the main strand
//! when it is waited for, and so is its failure. Steps nobody waits for are waited for at the
//! end, before the post steps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use loopline_workflow::github::model::{Step, StepKind};
use loopline_workflow::run::Conclusion;

use super::effects::Effect;
use super::files::Pool;
use super::output::Lingering;
use super::post::Post;
use super::strand::{Beginning, Frame, Outcome, Outputs, Running, StepRecord, Strand};
use crate::cancel::Cancel;

/// How many background steps of one job run at once (GitHub's runner); more wait their turn.
pub(crate) const MAX_AT_ONCE: usize = 10;

/// Lets [`MAX_AT_ONCE`] in.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    inside: Mutex<usize>,
    left: Condvar,
}

impl Gate {
    fn enter(&self) -> Inside<'_> {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        while *inside >= MAX_AT_ONCE {
            inside = self.left.wait(inside).unwrap_or_else(PoisonError::into_inner);
        }
        *inside += 1;
        Inside(self)
    }
}

/// A place behind a [`Gate`]; given back when dropped, also by a panic.
struct Inside<'a>(&'a Gate);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        *self.0.inside.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.left.notify_one();
    }
}

/// A background step.
pub(crate) struct Background {
    id: Arc<str>,
    cancel: Cancel,
    stopped: Arc<AtomicBool>,
    /// Absent once it was waited for.
    thread: Option<JoinHandle<Finished>>,
    /// How it ended, once it was waited for.
    conclusion: Option<Conclusion>,
}

/// What a background strand hands back.
struct Finished {
    record: Option<StepRecord>,
    changes: Vec<Effect>,
    posts: Vec<Post>,
    lingering: Vec<Lingering>,
}

impl Strand {
    /// Returns how many background steps the frame on top has started so far.
    pub(crate) fn background_count(&self) -> usize {
        self.frames.last().map_or(0, |frame| frame.background.len())
    }

    /// Starts a step on a strand of its own.
    pub(crate) fn start_background(&mut self, steps: &Arc<[Step]>, index: usize) {
        let Some(frame) = self.frames.last() else { return };
        let cancel = match self.cancel.child() {
            Ok(cancel) => cancel,
            Err(error) => return self.fail_early(steps, index, Outcome::broken(&error)),
        };
        let stopped = Arc::new(AtomicBool::new(false));
        let number = self.job.background.fetch_add(1, Ordering::Relaxed);
        let mut strand = Strand {
            job: Arc::clone(&self.job),
            layers: self.layers.clone(),
            cancel: cancel.clone(),
            background: Some(Beginning {
                job: self.background.as_ref().map_or(&self.cancel, |it| &it.job).clone(),
                stopped: Arc::clone(&stopped),
                number: (self.frames.len() == 1).then(|| self.job.next_number()),
            }),
            frames: vec![Frame {
                steps: Arc::clone(steps),
                next: steps.len(),
                scope: frame.scope.clone(),
                background: Vec::new(),
                late_failure: false,
                caller: None,
            }],
            changes: Some(Vec::new()),
            posts: Vec::new(),
            lingering: Vec::new(),
            buffer: Vec::new(),
            pool: Pool::new(self.job.folders.temp.join(format!("background_{number}"))),
            log: None,
        };
        let (own, id) = (Arc::clone(steps), Arc::clone(&steps[index].id.value));
        let spawned = std::thread::Builder::new()
            .name("background step".to_owned())
            .stack_size(super::STACK_BYTES)
            .spawn(move || {
                let job = Arc::clone(&strand.job);
                let inside = job.gate.enter();
                strand.ordinary(&own, index);
                let scope = strand.run();
                drop(inside);
                let record =
                    scope.and_then(|mut scope| scope.steps.swap_remove(&*own[index].id.value));
                Finished {
                    record,
                    changes: strand.changes.unwrap_or_default(),
                    posts: strand.posts,
                    lingering: strand.lingering,
                }
            });
        match spawned {
            Ok(thread) => {
                if let Some(frame) = self.frames.last_mut() {
                    let thread = Some(thread);
                    frame.background.push(Background {
                        id,
                        cancel,
                        stopped,
                        thread,
                        conclusion: None,
                    });
                }
            }
            Err(error) => self.fail_early(steps, index, Outcome::broken(&error)),
        }
    }

    /// Runs `wait`, `wait-all` or `cancel`.
    pub(crate) fn control(&mut self, steps: &Arc<[Step]>, index: usize) {
        let mut running = self.running_now(steps, index);
        self.announce(&mut running);
        let mut outcome = Outcome::success();
        match &steps[index].kind {
            StepKind::WaitAll => {
                if self.wait_from(0) == Conclusion::Failure {
                    outcome = Outcome::failure("a background step failed");
                }
            }
            StepKind::Wait(ids) => {
                for id in ids {
                    match self.find(&id.value) {
                        Some(at) => {
                            if self.wait_for(at) == Conclusion::Failure {
                                outcome = Outcome::failure(format!(
                                    "background step `{}` failed",
                                    id.value
                                ));
                            }
                        }
                        None => {
                            outcome = Outcome::failure(format!(
                                "no background step `{}` was started before this one",
                                id.value
                            ));
                        }
                    }
                }
            }
            StepKind::Cancel(id) => match self.find(&id.value) {
                Some(at) => {
                    if let Some(background) =
                        self.frames.last().and_then(|frame| frame.background.get(at))
                    {
                        background.stopped.store(true, Ordering::Release);
                        background.cancel.ask("cancelled by a later step");
                    }
                    self.wait_for(at);
                }
                None => {
                    outcome = Outcome::failure(format!(
                        "no background step `{}` was started before this one",
                        id.value
                    ));
                }
            },
            StepKind::Run { .. } | StepKind::Uses { .. } | StepKind::Parallel(_) => {}
        }
        self.complete(running, outcome);
    }

    /// Waits for the background steps of the frame on top from `first` on that nobody waited for
    /// yet; returns the worst conclusion.
    pub(crate) fn wait_from(&mut self, first: usize) -> Conclusion {
        let mut worst = Conclusion::Success;
        for at in first..self.background_count() {
            let open = self.frames.last().and_then(|frame| frame.background.get(at));
            if open.is_some_and(|background| background.thread.is_some())
                && self.wait_for(at) == Conclusion::Failure
            {
                worst = Conclusion::Failure;
            }
        }
        worst
    }

    /// Waits for one background step, once, and takes over what it changed.
    fn wait_for(&mut self, at: usize) -> Conclusion {
        let Some(frame) = self.frames.last_mut() else { return Conclusion::Success };
        let Some(background) = frame.background.get_mut(at) else { return Conclusion::Success };
        let Some(thread) = background.thread.take() else {
            return background.conclusion.unwrap_or(Conclusion::Success);
        };
        let id = background.id.to_string();
        let conclusion = match thread.join() {
            Ok(finished) => {
                let conclusion =
                    finished.record.as_ref().map_or(Conclusion::Failure, |one| one.conclusion);
                self.take_effects(finished.changes);
                for post in finished.posts {
                    self.register_post(post);
                }
                self.lingering.extend(finished.lingering);
                if let (Some(scope), Some(record)) = (self.scope_mut(), finished.record) {
                    scope.steps.insert(id, record);
                }
                conclusion
            }
            // A panic is our bug, and must not look like a success.
            Err(_panic) => Conclusion::Failure,
        };
        if let Some(frame) = self.frames.last_mut() {
            // What waits for the step says what follows from its failure at once; in the end it
            // counts in any case, also where a later step wanted to cancel it and came too late.
            frame.late_failure |= conclusion == Conclusion::Failure;
            if let Some(background) = frame.background.get_mut(at) {
                background.conclusion = Some(conclusion);
            }
        }
        conclusion
    }

    fn find(&self, id: &str) -> Option<usize> {
        let frame = self.frames.last()?;
        frame.background.iter().rposition(|one| one.id.eq_ignore_ascii_case(id))
    }

    /// Returns a step as it begins, without asking its condition.
    pub(crate) fn running_now(&self, steps: &Arc<[Step]>, index: usize) -> Running {
        let env = self.env_context();
        let name = self.sight(&env, &steps[index]).step_name(&steps[index]);
        Running {
            steps: Arc::clone(steps),
            index,
            number: None,
            name,
            started: self.job.host.clock.monotonic(),
            env: Arc::new(env),
            own: self.outer(),
            deadline: None,
            seen: self.cancel.level(),
            condition: None,
            limit_minutes: None,
            outputs: Outputs::new(),
        }
    }

    fn fail_early(&mut self, steps: &Arc<[Step]>, index: usize, outcome: Outcome) {
        let mut running = self.running_now(steps, index);
        self.announce(&mut running);
        self.complete(running, outcome);
    }
}
