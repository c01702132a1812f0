//! One job's life: set-up, steps, post steps, outputs, teardown.
//!
//! [`life::run`] tells it from start to end; [`strand::Strand`] is the step machine, and what
//! its expressions see is in [`evaluate`]. Which jobs run and when is not decided here.

mod action;
mod background;
mod effects;
mod environment;
mod evaluate;
mod files;
pub(crate) mod life;
mod load;
mod output;
mod post;
mod pre;
mod record;
mod script;
mod strand;

use std::collections::HashMap;
use std::error::Error;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use loopline_sandbox::Machine;
use loopline_workflow::github::schedule::Source;
use loopline_workflow::run::{Event, JobKey};

use crate::Host;
use crate::host::Folders;
use crate::log;

/// The stack of a job's thread, in bytes: steps are a loop, but expressions nest.
pub(crate) const STACK_BYTES: usize = 1024 * 1024;

/// What everything in a job shares.
pub(crate) struct Job {
    pub(crate) host: Arc<Host>,
    pub(crate) key: JobKey,
    pub(crate) machine: Arc<dyn Machine>,
    pub(crate) folders: Folders,
    pub(crate) masker: log::Masker,
    pub(crate) matchers: log::Matchers,
    /// The contexts that do not change while the job runs.
    pub(crate) contexts: evaluate::Fixed,
    /// `GITHUB_*` and `RUNNER_*` that do not change while the job runs.
    pub(crate) variables: Vec<(String, String)>,
    /// What actions, but not scripts, get to reach the job's services.
    pub(crate) service_variables: OnceLock<Vec<(String, String)>>,
    /// `defaults.run` of the job over the workflow's.
    pub(crate) defaults: OnceLock<Defaults>,
    pub(crate) debug: bool,
    /// Where the job's workflow comes from.
    pub(crate) source: Source,
    pub(crate) empty_scope: strand::Scope,
    pub(crate) scripts: AtomicU32,
    pub(crate) background: AtomicU32,
    pub(crate) gate: background::Gate,
    numbers: AtomicU32,
    set_up: Mutex<SetUp>,
}

/// What `run` steps have where they say nothing themselves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Defaults {
    pub(crate) shell: Option<String>,
    pub(crate) folder: Option<String>,
}

/// What is gathered before the first step.
#[derive(Default)]
struct SetUp {
    loaded: HashMap<String, load::Loaded>,
    /// What `pre` scripts saved.
    pre_state: HashMap<strand::Trail, strand::Outputs>,
    lines: Vec<String>,
    /// Keeps the services running.
    guard: Option<Box<dyn Send + Sync>>,
}

impl Job {
    /// Returns the next step's number.
    pub(crate) fn next_number(&self) -> u32 {
        self.numbers.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Tells the run's record.
    pub(crate) fn event(&self, event: &Event) {
        self.host.recorder.event(event);
    }

    /// Hides secrets.
    pub(crate) fn mask(&self, text: &str) -> String {
        self.masker.mask_text(text).into_owned()
    }

    /// Notes a line for the set-up's log.
    pub(crate) fn say(&self, line: &str) {
        self.set_up().lines.push(line.to_owned());
    }

    /// Returns what a step's log is read with.
    pub(crate) fn log_options(&self) -> log::Options {
        log::Options {
            workspace: self.folders.workspace.clone(),
            debug: self.debug,
            ..log::Options::default()
        }
    }

    /// Keeps what the `pre` script of a step saved.
    pub(crate) fn keep_pre_state(&self, trail: strand::Trail, state: strand::Outputs) {
        self.set_up().pre_state.insert(trail, state);
    }

    /// Takes what the `pre` script of a step saved.
    pub(crate) fn take_pre_state(&self, trail: &strand::Trail) -> strand::Outputs {
        self.set_up().pre_state.remove(trail).unwrap_or_default()
    }

    /// Returns what the job's own expressions see before its first step.
    pub(crate) fn sight<'a>(&'a self, env: &'a environment::Variables) -> evaluate::Sight<'a> {
        evaluate::Sight { job: self, scope: &self.empty_scope, env, action: None, cancelled: false }
    }

    fn set_up(&self) -> MutexGuard<'_, SetUp> {
        self.set_up.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns an error and everything behind it as one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        // Some errors say what their source says; twice is no clearer.
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        source = error.source();
    }
    text
}

/// The longest a job or a step may be given: more than any takes, less than a clock can hold.
pub(crate) const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Returns `timeout-minutes` as a duration; none where it is not above zero, as on GitHub.
pub(crate) fn minutes(minutes: f64) -> Option<Duration> {
    (minutes > 0.0)
        .then(|| Duration::try_from_secs_f64(minutes * 60.0).unwrap_or(LONGEST).min(LONGEST))
}

/// Returns a job's own folder in the run's: the key with what a file name cannot hold replaced.
pub(crate) fn folder_name(key: &JobKey) -> PathBuf {
    PathBuf::from(key.as_str().replace('/', "__"))
}
