//! Drives one run: does what the schedule says, and reports back.
//!
//! Whether and when a job runs is the schedule's business (`loopline_workflow::github::schedule`);
//! how a job runs is [`crate::job`]'s. Each running job has a thread of its own, as have waiting
//! for consent and for a concurrency group; this one only passes messages on.

use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use loopline_workflow::github::schedule::{
    Action, Claim, ClaimId, JobResult, JobStart, ReportError, Run,
};
use loopline_workflow::run::{Conclusion, Event, JobKey, Place};

use crate::cancel::{Cancel, Level};
use crate::host::{Decision, GroupRefusal, Host};
use crate::inbox::Inbox;
use crate::job::{self, STACK_BYTES};

/// The stack of a thread that only waits, in bytes.
const WAITING_STACK_BYTES: usize = 256 * 1024;

/// Why a run could not be driven to its end. What its jobs do wrong is no such error.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The system has no more descriptors or threads.
    #[error("start the run's jobs")]
    System(#[from] io::Error),
    /// The schedule and its driver disagree: a mistake of ours.
    #[error("follow the schedule")]
    Report(#[from] ReportError),
}

/// What threads tell the driver.
enum Message {
    Finished(JobKey, JobResult),
    Decided(JobKey, Option<Decision>),
    Acquired(ClaimId, Result<Box<dyn Send>, GroupRefusal>),
    /// Something to show at once.
    Waiting {
        group: String,
        reason: String,
    },
}

/// A job that was started.
struct Running {
    cancel: Cancel,
    /// When it has taken too long, on the monotonic clock, and after how many minutes that is.
    deadline: Duration,
    limit_minutes: f64,
    /// How long it may take to end once it was asked to.
    patience: Duration,
    /// When it was asked to end.
    asked: Option<Duration>,
}

/// A concurrency group that was claimed.
enum Held {
    /// Somebody waits for it; the token ends the waiting.
    Waiting(Cancel),
    /// It is ours until this is dropped.
    Ours { _guard: Box<dyn Send> },
}

/// Runs `run` to its end and returns how it ended; `cancel` ends it before.
///
/// Events go to the host's recorder: all but [`Event::RunStarted`], which is the caller's.
///
/// # Errors
/// [`RunError`], each variant as it says. Jobs that were started have ended when this returns.
pub fn run(mut run: Run, host: Arc<Host>, cancel: &Cancel) -> Result<Conclusion, RunError> {
    let started = host.clock.monotonic();
    let mut driver = Driver {
        inbox: Inbox::new()?,
        host,
        cancel: cancel.clone(),
        running: HashMap::new(),
        held: HashMap::new(),
        approvals: HashMap::new(),
        threads: Vec::new(),
    };
    let result = driver.drive(&mut run);
    if result.is_err() {
        for running in driver.running.values() {
            running.cancel.force("the run cannot go on");
        }
    }
    driver.held.clear();
    for thread in driver.threads.drain(..) {
        // A job's panic was caught and reported inside its thread.
        let _ended = thread.join();
    }
    let (mut conclusion, mut error) = result?;
    // Also where every job that failed for it is tolerated.
    if conclusion == Conclusion::Success
        && let Some(reason) = driver.host.recorder.incomplete()
    {
        conclusion = Conclusion::Failure;
        error = Some(format!("the run's record is incomplete: {reason}"));
    }
    let duration = driver.host.clock.monotonic().saturating_sub(started);
    driver.host.recorder.event(&Event::RunFinished {
        conclusion,
        error,
        at: driver.host.clock.now().to_string(),
        duration_ms: milliseconds(duration),
    });
    Ok(conclusion)
}

struct Driver {
    host: Arc<Host>,
    cancel: Cancel,
    inbox: Inbox<Message>,
    running: HashMap<JobKey, Running>,
    held: HashMap<ClaimId, Held>,
    /// Jobs that wait for consent, with the token that ends the waiting and the environment.
    approvals: HashMap<JobKey, (Cancel, String)>,
    threads: Vec<JoinHandle<()>>,
}

impl Driver {
    fn drive(&mut self, run: &mut Run) -> Result<(Conclusion, Option<String>), RunError> {
        let mut seen = Level::None;
        loop {
            loop {
                let actions = run.next();
                if actions.is_empty() {
                    break;
                }
                for action in actions {
                    if let Some(end) = self.obey(run, action)? {
                        return Ok(end);
                    }
                }
            }
            let patience = self.next_deadline();
            let messages = self.inbox.receive(&self.cancel, seen, patience)?;
            for message in messages {
                self.take(run, message)?;
            }
            let level = self.cancel.level();
            if level > seen {
                // The jobs' own tokens are this one's children and know already.
                if seen == Level::None {
                    run.cancel();
                }
                seen = level;
                let now = self.host.clock.monotonic();
                for running in self.running.values_mut() {
                    running.asked.get_or_insert(now);
                }
            }
            self.enforce_deadlines();
            self.threads.retain(|thread| !thread.is_finished());
        }
    }

    /// Does one thing the schedule says; returns how the run ended where it has.
    fn obey(
        &mut self,
        run: &mut Run,
        action: Action,
    ) -> Result<Option<(Conclusion, Option<String>)>, RunError> {
        match action {
            Action::Queue { key, name } => self.event(&Event::JobQueued { job: key, name }),
            Action::Start(start) => self.start(start)?,
            Action::Skip { key, name, skip } => {
                self.event(&Event::JobSkipped { job: key, name, skip });
            }
            Action::Conclude { key, name: _, conclusion, tolerated, error, place } => {
                if let Some((cancel, _)) = self.approvals.remove(&key) {
                    cancel.ask("the job was ended");
                }
                self.conclude(key, conclusion, tolerated, &error, place);
            }
            Action::Reuse { key, name: _, outputs } => self.event(&Event::JobFinished {
                job: key,
                conclusion: Conclusion::Success,
                tolerated: false,
                outputs,
                environment_url: None,
                duration_ms: 0,
            }),
            Action::Cancel { key, reason } => {
                if let Some(running) = self.running.get_mut(&key) {
                    running.asked.get_or_insert(self.host.clock.monotonic());
                    running.cancel.ask(&reason);
                }
            }
            Action::NeedApproval { key, name: _, environment } => {
                if self.host.approvals.is_protected(&environment) {
                    self.ask(key, environment)?;
                } else {
                    run.decided(&key, true, "nothing protects the environment")?;
                }
            }
            Action::Acquire(claim) => self.acquire(claim)?,
            Action::Release { claim } => match self.held.remove(&claim) {
                Some(Held::Waiting(cancel)) => cancel.ask("the job no longer waits"),
                Some(Held::Ours { .. }) | None => {}
            },
            Action::Called { key, name: _, conclusion, outputs } => {
                self.event(&Event::JobFinished {
                    job: key,
                    conclusion,
                    tolerated: false,
                    outputs,
                    environment_url: None,
                    duration_ms: 0,
                });
            }
            Action::Finished { conclusion, error } => return Ok(Some((conclusion, error))),
        }
        Ok(None)
    }

    fn take(&mut self, run: &mut Run, message: Message) -> Result<(), RunError> {
        match message {
            Message::Finished(key, result) => {
                self.running.remove(&key);
                self.host.jobs.remove(&key);
                run.finished(&key, result)?;
            }
            Message::Decided(key, decision) => {
                let Some((_, environment)) = self.approvals.remove(&key) else { return Ok(()) };
                // Nobody decided because the waiting was ended, and the schedule knows why.
                let Some(Decision { approved, by }) = decision else { return Ok(()) };
                self.event(&Event::ApprovalDecided {
                    job: key.clone(),
                    environment,
                    approved,
                    by: by.clone(),
                });
                run.decided(&key, approved, &by)?;
            }
            Message::Acquired(claim, outcome) => {
                if !matches!(self.held.get(&claim), Some(Held::Waiting(_))) {
                    // It was let go meanwhile; dropping the outcome lets the next one in.
                    return Ok(());
                }
                match outcome {
                    Ok(guard) => {
                        self.held.insert(claim, Held::Ours { _guard: guard });
                        run.acquired(claim)?;
                    }
                    Err(refusal) => {
                        self.held.remove(&claim);
                        run.refused(claim, &job::chain(&refusal))?;
                    }
                }
            }
            Message::Waiting { group, reason } => {
                self.event(&Event::RunWaiting { group, reason });
            }
        }
        Ok(())
    }

    fn start(&mut self, start: Box<JobStart>) -> Result<(), RunError> {
        let cancel = self.cancel.child()?;
        self.host.jobs.set(&start.key, &cancel);
        let limit_minutes = start.timeout_minutes;
        let limit = job::minutes(limit_minutes).unwrap_or(job::LONGEST);
        self.running.insert(
            start.key.clone(),
            Running {
                cancel: cancel.clone(),
                deadline: self.host.clock.monotonic().saturating_add(limit),
                limit_minutes,
                patience: job::minutes(start.cancel_timeout_minutes).unwrap_or_default(),
                asked: self.cancel.is_cancelled().then(|| self.host.clock.monotonic()),
            },
        );
        let (host, inbox) = (Arc::clone(&self.host), self.inbox.clone());
        self.spawn("job", STACK_BYTES, move || {
            let ran = catch_unwind(AssertUnwindSafe(|| job::life::run(&host, &start, &cancel)));
            match ran {
                Ok((result, leftovers)) => {
                    inbox.send(Message::Finished(start.key.clone(), result));
                    leftovers.clear();
                }
                Err(_panic) => {
                    host.recorder.event(&Event::Warning {
                        code: None,
                        message: format!("job {}: a bug in Loopline ended it", start.key),
                        place: None,
                    });
                    host.recorder.event(&Event::JobFinished {
                        job: start.key.clone(),
                        conclusion: Conclusion::Failure,
                        tolerated: false,
                        outputs: Default::default(),
                        environment_url: None,
                        duration_ms: 0,
                    });
                    let result = JobResult::of(Conclusion::Failure);
                    inbox.send(Message::Finished(start.key.clone(), result));
                }
            }
        })
    }

    fn ask(&mut self, key: JobKey, environment: String) -> Result<(), RunError> {
        self.event(&Event::ApprovalRequested {
            job: key.clone(),
            environment: environment.clone(),
        });
        let cancel = self.cancel.child()?;
        self.approvals.insert(key.clone(), (cancel.clone(), environment.clone()));
        let (host, inbox) = (Arc::clone(&self.host), self.inbox.clone());
        self.spawn("approval", WAITING_STACK_BYTES, move || {
            let decision = host.approvals.decide(&key, &environment, &cancel);
            inbox.send(Message::Decided(key, decision));
        })
    }

    fn acquire(&mut self, claim: Claim) -> Result<(), RunError> {
        let cancel = self.cancel.child()?;
        if let Some(job) = &claim.job {
            self.host.jobs.set(job, &cancel);
        }
        self.held.insert(claim.id, Held::Waiting(cancel.clone()));
        let (host, inbox) = (Arc::clone(&self.host), self.inbox.clone());
        self.spawn("concurrency group", WAITING_STACK_BYTES, move || {
            let outcome = host.groups.take(&claim, &cancel, &mut |reason| {
                inbox.send(Message::Waiting {
                    group: claim.group.clone(),
                    reason: reason.to_owned(),
                });
            });
            inbox.send(Message::Acquired(claim.id, outcome));
        })
    }

    /// Records a job that ended without being started.
    fn conclude(
        &self,
        key: JobKey,
        conclusion: Conclusion,
        tolerated: bool,
        error: &str,
        place: Option<Place>,
    ) {
        if conclusion == Conclusion::Failure {
            let error = self.host.masker.mask_text(error).into_owned();
            self.event(&Event::StepStarted {
                job: key.clone(),
                step: 1,
                id: None,
                name: "Set up job".to_owned(),
                at: self.host.clock.now().to_string(),
                place,
            });
            self.host.recorder.log(&key, 1, format!("##[error]{error}\n").as_bytes());
            self.event(&Event::StepFinished {
                job: key.clone(),
                step: 1,
                outcome: conclusion,
                conclusion,
                exit_code: None,
                error: Some(error),
                duration_ms: 0,
            });
        }
        self.event(&Event::JobFinished {
            job: key,
            conclusion,
            tolerated,
            outputs: Default::default(),
            environment_url: None,
            duration_ms: 0,
        });
    }

    /// Returns how long until a job has taken too long; nothing where none can.
    fn next_deadline(&self) -> Option<Duration> {
        let now = self.host.clock.monotonic();
        let due = |running: &Running| match running.asked {
            Some(_) if running.cancel.level() == Level::Forced => None,
            Some(asked) => Some(asked.saturating_add(running.patience)),
            None => Some(running.deadline),
        };
        self.running.values().filter_map(due).min().map(|due| due.saturating_sub(now))
    }

    fn enforce_deadlines(&mut self) {
        let now = self.host.clock.monotonic();
        for (key, running) in &mut self.running {
            match running.asked {
                None if now >= running.deadline => {
                    let reason = format!(
                        "the job has exceeded the maximum execution time of {} minutes",
                        running.limit_minutes
                    );
                    self.host.recorder.event(&Event::Warning {
                        code: None,
                        message: format!("job {key}: {reason}"),
                        place: None,
                    });
                    running.asked = Some(now);
                    running.cancel.ask(&reason);
                }
                Some(asked) if now >= asked.saturating_add(running.patience) => {
                    running.cancel.force("the job did not end in time after it was cancelled");
                }
                None | Some(_) => {}
            }
        }
    }

    fn spawn(
        &mut self,
        name: &str,
        stack_bytes: usize,
        work: impl FnOnce() + Send + 'static,
    ) -> Result<(), RunError> {
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .stack_size(stack_bytes)
            .spawn(work)?;
        self.threads.push(thread);
        Ok(())
    }

    fn event(&self, event: &Event) {
        self.host.recorder.event(event);
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
