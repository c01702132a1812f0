//! The record of a run: what happens, in the order it happens, in the terms of no one dialect.
//!
//! The runner tells a [`Recorder`]; the store appends what it is told to the run's journal, the
//! printer shows it, and `--json` prints it. One vocabulary serves all three, and a run is
//! rebuilt from its journal by folding [`Event`]s into a [`summary::Summary`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub mod summary;

/// The version of the journal's events; a newer Loopline opens older ones.
pub const SCHEMA: &str = "loopline.run/v1";

/// How a step, a job or a run ended (GitHub's `outcome` and `conclusion`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// It did what it should.
    Success,
    /// It did not.
    Failure,
    /// Somebody or something stopped it.
    Cancelled,
    /// It was not wanted.
    Skipped,
}

impl Conclusion {
    /// Returns the word that expressions see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
        }
    }
}

/// Names one job of a run: the job's key, and for a matrix the leg's place in it.
///
/// `build`, `test.2` (the third leg), `deploy/migrate` (job `migrate` of the workflow that job
/// `deploy` calls), `deploy.0/migrate`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobKey(pub String);

impl JobKey {
    /// Returns the key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for JobKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where something stands in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The path, relative to the repository where it is inside.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1; 0 where only the line is known.
    #[serde(default)]
    pub column: u32,
}

/// How much an annotation matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// `::debug::`
    Debug,
    /// `::notice::`
    Notice,
    /// `::warning::`
    Warning,
    /// `::error::`
    Error,
}

/// What a step, an action or a problem matcher points out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Annotation {
    /// How much it matters.
    pub level: Level,
    /// What it says, masked.
    pub message: String,
    /// A heading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Where, if it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// The last line, if it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_line: Option<u32>,
    /// The last column, if it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_column: Option<u32>,
}

/// Why a job or step did not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skip {
    /// One sentence.
    pub reason: String,
    /// The condition as written, where one decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// The condition's parts with their values, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trace: Vec<String>,
    /// Where the condition stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

/// One thing that happened. Times are RFC 3339; durations are in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The run exists.
    RunStarted(Box<RunStarted>),
    /// Something the user should know about the run as a whole, such as an ignored key.
    Warning {
        /// The rule or error code, where it has one.
        code: Option<String>,
        /// What.
        message: String,
        /// Where.
        place: Option<Place>,
    },
    /// The run waits for another run of its concurrency group.
    RunWaiting {
        /// The group.
        group: String,
        /// What it waits for.
        reason: String,
    },
    /// A job is known and waits for its needs, its group or a free place.
    JobQueued {
        /// Which.
        job: JobKey,
        /// The name people see.
        name: String,
    },
    /// A job began.
    JobStarted {
        /// Which.
        job: JobKey,
        /// The name people see.
        name: String,
        /// When.
        at: String,
        /// `host` or `sandbox`.
        executor: String,
        /// The work folder, for `loopline shell`.
        workspace: Option<String>,
    },
    /// A job did not run.
    JobSkipped {
        /// Which.
        job: JobKey,
        /// The name people see.
        name: String,
        /// Why.
        skip: Skip,
    },
    /// A step began. Steps are numbered from 1 in the order in which they are reached.
    StepStarted {
        /// Which job.
        job: JobKey,
        /// Its number.
        step: u32,
        /// Its `id`, where the file gives one.
        id: Option<String>,
        /// The name people see.
        name: String,
        /// When.
        at: String,
        /// Where it stands in the file.
        place: Option<Place>,
    },
    /// A step or its post step did not run.
    StepSkipped {
        /// Which job.
        job: JobKey,
        /// Its number.
        step: u32,
        /// Its `id`, where the file gives one.
        id: Option<String>,
        /// The name people see.
        name: String,
        /// Why.
        skip: Skip,
    },
    /// A line pointed something out.
    Annotation {
        /// Which job.
        job: JobKey,
        /// Which step.
        step: u32,
        /// What.
        annotation: Annotation,
    },
    /// A step wrote its summary.
    StepSummary {
        /// Which job.
        job: JobKey,
        /// Which step.
        step: u32,
        /// Markdown, masked.
        markdown: String,
    },
    /// A step ended.
    StepFinished {
        /// Which job.
        job: JobKey,
        /// Its number.
        step: u32,
        /// Before `continue-on-error`.
        outcome: Conclusion,
        /// After it.
        conclusion: Conclusion,
        /// The process's exit status, where there was a process.
        exit_code: Option<i32>,
        /// Why it failed, in one sentence, where the log does not say.
        error: Option<String>,
        /// How long it took, in milliseconds.
        duration_ms: u64,
    },
    /// A job needs somebody's consent.
    ApprovalRequested {
        /// Which job.
        job: JobKey,
        /// The environment that is protected.
        environment: String,
    },
    /// Somebody decided.
    ApprovalDecided {
        /// Which job.
        job: JobKey,
        /// The environment.
        environment: String,
        /// Whether it may go on.
        approved: bool,
        /// Who or what decided: a person, `--yes`, a policy.
        by: String,
    },
    /// A job stored an artifact.
    ArtifactStored {
        /// Which job.
        job: JobKey,
        /// Its name.
        name: String,
        /// Its size on disk, in bytes.
        size_bytes: u64,
        /// `sha256:...` of the archive.
        digest: String,
    },
    /// A job ended.
    JobFinished {
        /// Which.
        job: JobKey,
        /// How.
        conclusion: Conclusion,
        /// Whether `continue-on-error` keeps its failure from the run.
        tolerated: bool,
        /// What it hands to others; secrets are never in here.
        outputs: BTreeMap<String, String>,
        /// The environment's address, if it has one.
        environment_url: Option<String>,
        /// How long it took, in milliseconds.
        duration_ms: u64,
    },
    /// The run ended.
    RunFinished {
        /// How.
        conclusion: Conclusion,
        /// Why, where no job says so.
        error: Option<String>,
        /// When.
        at: String,
        /// How long it took, in milliseconds.
        duration_ms: u64,
    },
}

/// What a run is of; enough to run it again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunStarted {
    /// [`SCHEMA`].
    pub schema: String,
    /// The run's id, as the command line takes it.
    pub run: String,
    /// The number of the run in its repository's workflow.
    pub number: u64,
    /// Which try this is, from 1.
    pub attempt: u64,
    /// The run this one repeats, if it does.
    pub rerun_of: Option<String>,
    /// The workflow's path in the repository.
    pub workflow: String,
    /// Its name.
    pub name: String,
    /// `run-name` evaluated, or what stands for it.
    pub title: String,
    /// The event that started it.
    pub trigger: String,
    /// The full ref (`refs/heads/main`).
    pub git_ref: String,
    /// The commit.
    pub sha: String,
    /// The repository's folder.
    pub root: String,
    /// `owner/name`.
    pub repository: String,
    /// `host` or `sandbox`.
    pub executor: String,
    /// When.
    pub at: String,
    /// The command's own options, secrets left out, so that `rerun` can repeat it.
    pub request: serde_json::Value,
}

/// Where a run's events and logs go. Calls return when the event is in the operating system's
/// hands; they are made from many threads.
pub trait Recorder: Send + Sync {
    /// Takes one event.
    fn event(&self, event: &Event);

    /// Takes log text of one step: whole lines, masked, each ended by `\n`.
    fn log(&self, job: &JobKey, step: u32, lines: &[u8]);

    /// Returns why what was taken so far is not all kept, where it is not.
    fn incomplete(&self) -> Option<String> {
        None
    }
}
