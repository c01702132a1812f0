//! One step's log on its way to the run's record.

use std::io;
use std::path::Path;
use std::sync::Arc;

use fs_err as fs;
use loopline_workflow::run::{Annotation, Event, JobKey, Level, Recorder};

use super::Job;
use super::effects::{Effect, Effects};
use super::environment::{Layers, Variables};
use crate::log;

/// The largest problem matcher file that is read, in bytes.
const MAX_MATCHER_BYTES: u64 = 1024 * 1024;
/// Gives `::set-env::` and `::add-path::` their effect, in the step's `env` context or the
/// machine's environment.
const ALLOW_COMMANDS: &str = "ACTIONS_ALLOW_UNSECURE_COMMANDS";
/// Lets any text end a pause of commands, in the job's variables.
const ALLOW_STOP_TOKENS: &str = "ACTIONS_ALLOW_UNSECURE_STOPCOMMAND_TOKENS";

/// The log of one step; what is left in it is written when it is closed or dropped.
pub(crate) struct StepLog {
    pipeline: log::Pipeline,
    sink: Sink,
}

/// Where the pipeline's results go.
struct Sink {
    recorder: Arc<dyn Recorder>,
    masker: log::Masker,
    job: JobKey,
    step: u32,
    effects: Vec<log::Effect>,
}

impl StepLog {
    /// Opens the log of step `step`.
    pub(crate) fn open(job: &Job, step: u32) -> Self {
        Self {
            pipeline: log::Pipeline::new(
                job.log_options(),
                job.masker.clone(),
                job.matchers.clone(),
            ),
            sink: Sink {
                recorder: Arc::clone(&job.host.recorder),
                masker: job.masker.clone(),
                job: job.key.clone(),
                step,
                effects: Vec::new(),
            },
        }
    }

    /// Returns the step's number.
    pub(crate) const fn number(&self) -> u32 {
        self.sink.step
    }

    /// Heeds what the variables of the step and of the job say about unsecure commands.
    pub(crate) fn heed(&mut self, env: &Variables, layers: &Layers) {
        let says = |name: &str, sources: &[&Variables]| {
            sources.iter().any(|variables| {
                variables.get(name).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"))
            })
        };
        self.pipeline.allow(
            says(ALLOW_COMMANDS, &[env, &layers.machine]),
            says(ALLOW_STOP_TOKENS, &[&layers.shared]),
        );
    }

    /// Takes what a process wrote.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.pipeline.push(bytes, &mut self.sink);
    }

    /// Writes a line of the runner's own; commands in it have no effect.
    pub(crate) fn line(&mut self, text: &str) {
        self.pipeline.finish(&mut self.sink);
        let mut lines = self.sink.masker.mask_text(text).trim_end().replace('\r', "");
        lines.push('\n');
        self.sink.recorder.log(&self.sink.job, self.sink.step, lines.as_bytes());
    }

    /// Writes why the step failed.
    pub(crate) fn error(&mut self, text: &str) {
        for (index, line) in text.lines().enumerate() {
            self.line(&if index == 0 { format!("##[error]{line}") } else { line.to_owned() });
        }
    }

    /// Points something out.
    pub(crate) fn annotate(&mut self, mut annotation: Annotation) {
        let text = self.sink.masker.mask_text(&annotation.message).into_owned();
        let word = match annotation.level {
            Level::Debug => "debug",
            Level::Notice => "notice",
            Level::Warning => "warning",
            Level::Error => "error",
        };
        self.line(&format!("##[{word}]{text}"));
        annotation.message = text;
        self.sink.recorder.event(&Event::Annotation {
            job: self.sink.job.clone(),
            step: self.sink.step,
            annotation,
        });
    }

    /// Ends the last line of a process and hands over what its commands asked for.
    pub(crate) fn take_effects(&mut self, effects: &mut Effects) {
        self.pipeline.finish(&mut self.sink);
        for effect in self.sink.effects.drain(..) {
            match effect {
                log::Effect::SetOutput { name, value } => {
                    effects.outputs.insert(name, value);
                }
                log::Effect::SaveState { name, value } => {
                    effects.state.insert(name, value);
                }
                log::Effect::SetEnv { name, value } => effects.set_variables([(name, value)]),
                log::Effect::AddPath { path } => effects.lasting.push(Effect::Path(path)),
                log::Effect::Fail { reason } => {
                    effects.error.get_or_insert(reason);
                }
            }
        }
    }

    /// Writes what is left.
    pub(crate) fn close(mut self) {
        self.end();
    }

    /// Ends the last line of a process that nobody waits for.
    pub(crate) fn end(&mut self) {
        self.pipeline.finish(&mut self.sink);
    }
}

impl log::Sink for Sink {
    fn lines(&mut self, lines: &[u8]) {
        self.recorder.log(&self.job, self.step, lines);
    }

    fn annotation(&mut self, annotation: Annotation) {
        self.recorder.event(&Event::Annotation {
            job: self.job.clone(),
            step: self.step,
            annotation,
        });
    }

    fn effect(&mut self, effect: log::Effect) {
        self.effects.push(effect);
    }

    fn read_matcher(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        let about = fs::metadata(path)?;
        if !about.is_file() || about.len() > MAX_MATCHER_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        fs::read(path)
    }

    fn file_exists(&mut self, path: &Path) -> bool {
        path.is_file()
    }
}
