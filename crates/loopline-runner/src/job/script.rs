//! Running one process for a step: a `run` script, or whatever an action starts.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use fs_err as fs;
use loopline_sandbox::{Output, Process, ProcessSpec, Signal, SpawnError, Stdin};
use loopline_workflow::github::template::Token;
use loopline_workflow::run::Conclusion;

use super::effects::Effects;
use super::files::KINDS;
use super::output::{Followed, Lingering, Stopped, Watch};
use super::record::StepLog;
use super::strand::{Outcome, Progress, Running, Strand};
use crate::cancel::Level;
use crate::host::Keep;
use crate::shell::Shell;
use crate::shell_state::ShellState;

/// A process to start for a step.
pub(crate) struct Launch {
    pub(crate) program: OsString,
    pub(crate) args: Vec<OsString>,
    pub(crate) cwd: PathBuf,
    /// Variables beside the usual ones, such as `INPUT_*`.
    pub(crate) extra: Vec<(String, String)>,
}

/// Why and how a process ended.
pub(crate) struct Executed {
    pub(crate) outcome: Outcome,
    pub(crate) effects: Effects,
}

impl Followed for Process {
    fn ended(&self) -> std::io::Result<std::os::fd::BorrowedFd<'_>> {
        self.end_descriptor()
    }

    fn signal(&self, signal: Signal) {
        // A group that is gone needs no signal; anything else is found by the teardown.
        let _sent = self.signal(signal);
    }
}

impl Strand {
    /// Runs a `run` step.
    pub(crate) fn script(
        &mut self,
        mut running: Running,
        run: &Token,
        shell: Option<&Token>,
        working_directory: Option<&Token>,
    ) -> Progress {
        let launch = match self.script_launch(&running, run, shell, working_directory) {
            Ok(launch) => launch,
            Err(outcome) => return Progress::Done(running, outcome),
        };
        let executed = match launch {
            (Some(first), second) => match self.execute(&running, first, true) {
                Ok(executed) => executed,
                Err(_no_bash) => self.must_execute(&running, second),
            },
            (None, only) => self.must_execute(&running, only),
        };
        let outcome = self.settle(&mut running, executed).0;
        Progress::Done(running, outcome)
    }

    /// Returns what to start for a script, and what to try before it.
    fn script_launch(
        &mut self,
        running: &Running,
        run: &Token,
        shell: Option<&Token>,
        working_directory: Option<&Token>,
    ) -> Result<(Option<Launch>, Launch), Outcome> {
        let step = running.step();
        let fail = |error: &dyn std::error::Error| Outcome::broken(error);
        let sight = self.sight(&running.env, step);
        let text = sight.string(run).map_err(|error| fail(&error))?;
        let in_action = self.scope().is_some_and(|scope| scope.action.is_some());
        let shell = match shell {
            Some(token) => Some(sight.string(token).map_err(|error| fail(&error))?),
            None if in_action => None,
            None => self.job.defaults.get().and_then(|defaults| defaults.shell.clone()),
        };
        let folder = match working_directory {
            Some(token) => Some(sight.string(token).map_err(|error| fail(&error))?),
            None if in_action => None,
            None => self.job.defaults.get().and_then(|defaults| defaults.folder.clone()),
        };
        let cwd = match folder.filter(|folder| !folder.is_empty()) {
            Some(folder) => self.job.folders.workspace.join(folder),
            None => self.job.folders.workspace.clone(),
        };
        let shells = match shell.filter(|shell| !shell.trim().is_empty()) {
            Some(text) => (None, Shell::parse(&text).map_err(|error| fail(&error))?),
            None => (Some(Shell::unset(true)), Shell::unset(false)),
        };
        let number = self.job.scripts.fetch_add(1, Ordering::Relaxed);
        let path = self.job.folders.temp.join(format!("script_{number}{}", shells.1.extension));
        fs::write(&path, shells.1.script(&text).as_bytes()).map_err(|error| fail(&error))?;
        let launch = |shell: &Shell| Launch {
            program: shell.program.clone().into(),
            args: shell.arguments(&path).into_iter().map(OsString::from).collect(),
            cwd: cwd.clone(),
            extra: Vec::new(),
        };
        Ok((shells.0.as_ref().map(launch), launch(&shells.1)))
    }

    /// Runs a process; a program that is not there is a failed step.
    pub(crate) fn must_execute(&mut self, running: &Running, launch: Launch) -> Executed {
        match self.execute(running, launch, false) {
            Ok(executed) => executed,
            Err(error) => {
                Executed { outcome: Outcome::broken(&error), effects: Effects::default() }
            }
        }
    }

    /// Starts a process, waits for its end and reads what it asked for.
    ///
    /// # Errors
    /// Only where `look` is set and the program is not there.
    fn execute(
        &mut self,
        running: &Running,
        launch: Launch,
        look: bool,
    ) -> Result<Executed, SpawnError> {
        let failed = |error: &dyn std::error::Error| Executed {
            outcome: Outcome::broken(error),
            effects: Effects::default(),
        };
        if let Some(log) = &mut self.log {
            log.heed(&running.env, &self.layers);
        }
        let files = match self.pool.take() {
            Ok(files) => files,
            Err(error) => return Ok(failed(&error)),
        };
        let job = Arc::clone(&self.job);
        let mut own: Vec<(&str, String)> = KINDS
            .iter()
            .map(|&kind| (kind.variable(), files.path(kind).to_string_lossy().into_owned()))
            .collect();
        own.push(("GITHUB_ACTION", running.step().id.value.to_string()));
        if let Some(action) = self.scope().and_then(|scope| scope.action.as_ref()) {
            own.push(("GITHUB_ACTION_PATH", action.path.clone()));
            own.push(("GITHUB_ACTION_REF", action.reference.clone()));
            own.push(("GITHUB_ACTION_REPOSITORY", action.repository.clone()));
        }
        let env = self.layers.process(
            &running.env,
            job.variables
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .chain(own.iter().map(|(name, value)| (*name, value.as_str())))
                .chain(launch.extra.iter().map(|(name, value)| (name.as_str(), value.as_str()))),
        );
        let spec = ProcessSpec {
            program: launch.program,
            args: launch.args,
            env: env.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
            cwd: launch.cwd,
            stdin: Stdin::Null,
            output: Output::Piped,
        };
        let mut process = match job.machine.spawn(&spec) {
            Ok(process) => process,
            Err(error) => {
                self.pool.give_back(files, true);
                if look && matches!(error, SpawnError::NotFound { .. }) {
                    return Err(error);
                }
                return Ok(failed(&error));
            }
        };
        if job.host.keep != Keep::Nothing {
            // Now rather than later, so that it is there should Loopline be killed. Only
            // `loopline shell` misses it, and says so.
            let state = ShellState::of(&spec, job.machine.kind(), &job.masker);
            let _unsaved = state.save(&job.folders.job);
        }
        let outcome = match self.follow(&mut process, running) {
            Ok(outcome) => outcome,
            Err(error) => {
                let _killed = process.signal(Signal::Kill);
                Outcome::broken(&error)
            }
        };
        let mut effects = Effects::default();
        let untouched = effects.read(&files, &job.masker);
        self.pool.give_back(files, untouched);
        if let Some(log) = &mut self.log {
            log.take_effects(&mut effects);
        }
        Ok(Executed { outcome, effects })
    }

    fn follow(&mut self, process: &mut Process, running: &Running) -> std::io::Result<Outcome> {
        let Some(pipe) = process.take_output() else {
            return Err(std::io::ErrorKind::BrokenPipe.into());
        };
        rustix::io::ioctl_fionbio(&pipe, true)?;
        let mut lingering = std::mem::take(&mut self.lingering);
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut log = self.log.take();
        let followup = {
            let mut watch = Watch {
                clock: &self.job.host.clock,
                cancel: &self.cancel,
                seen: running.seen,
                deadline: running.deadline,
                lingering: &mut lingering,
                buffer: &mut buffer,
            };
            watch.follow(
                process,
                pipe,
                &mut |bytes| {
                    if let Some(log) = &mut log {
                        log.write(bytes);
                    }
                },
                &mut || self.stays(running),
            )
        };
        self.log = log;
        self.lingering = lingering;
        self.buffer = buffer;
        let followup = followup?;
        if let Some(pipe) = followup.pipe
            && followup.stopped == Stopped::No
        {
            let number = self.log.as_ref().map_or(0, StepLog::number);
            let mut rest = StepLog::open(&self.job, number);
            rest.heed(&running.env, &self.layers);
            self.lingering.push(Lingering::new(pipe, rest));
        }
        let status = process.try_wait().map_err(std::io::Error::other)?;
        let exit_code = status.map(exit_code);
        Ok(match followup.stopped {
            Stopped::TimedOut => running.timed_out(exit_code),
            Stopped::Cancelled => {
                Outcome { conclusion: Conclusion::Cancelled, exit_code, error: None }
            }
            Stopped::No if exit_code == Some(0) => Outcome { exit_code, ..Outcome::success() },
            Stopped::No => Outcome {
                exit_code,
                ..Outcome::failure(match exit_code {
                    Some(code) => format!("process completed with exit code {code}"),
                    None => "the process ended without a status".to_owned(),
                })
            },
        })
    }

    /// Asks a running step, in a job that is being cancelled, whether it wants to go on.
    fn stays(&self, running: &Running) -> bool {
        if self.cancel.level() == Level::Forced || self.is_stopped() {
            return false;
        }
        self.would_stay(running)
    }

    /// Returns whether a step would go on in a job that is cancelled.
    pub(crate) fn would_stay(&self, running: &Running) -> bool {
        let step = running.step();
        let mut sight = self.sight(&running.env, step);
        sight.cancelled = true;
        let verdict = match &running.condition {
            Some(condition) => sight.condition_text(condition),
            None => sight.condition(&step.condition),
        };
        verdict.is_ok_and(|verdict| verdict.holds)
            && self.frames.iter().skip(1).all(|frame| {
                // A nested step goes on only where every step around it does.
                let Some(caller) = &frame.caller else { return true };
                let step = caller.running.step();
                let mut sight =
                    self.sight_in(&self.job.empty_scope, &caller.running.env, Some(step));
                sight.cancelled = true;
                sight.condition(&step.condition).is_ok_and(|verdict| verdict.holds)
            })
    }

    /// Puts what a process asked for where it belongs; returns the outcome and the state.
    pub(crate) fn settle(
        &mut self,
        running: &mut Running,
        executed: Executed,
    ) -> (Outcome, super::strand::Outputs) {
        let Executed { mut outcome, mut effects } = executed;
        if let Some(log) = &mut self.log {
            for annotation in effects.refused.drain(..) {
                log.annotate(annotation);
            }
        }
        if let Some(summary) = effects.summary.take() {
            self.summary(summary);
        }
        if let Some(error) = effects.error.take()
            && outcome.conclusion == Conclusion::Success
        {
            outcome = Outcome { exit_code: outcome.exit_code, ..Outcome::failure(error) };
        }
        running.outputs.extend(effects.outputs);
        self.take_effects(effects.lasting);
        (outcome, effects.state)
    }

    fn summary(&self, markdown: String) {
        let Some(step) = self.log.as_ref().map(StepLog::number) else { return };
        self.job.event(&loopline_workflow::run::Event::StepSummary {
            job: self.job.key.clone(),
            step,
            markdown,
        });
    }
}

/// Returns the status as a shell would report it: a signal is 128 and its number.
fn exit_code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}
