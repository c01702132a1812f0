//! What a run needs of the world around it, as traits: consent, concurrency groups, clocks,
//! folders. The command line (and one day the server) fills them in; tests use their own.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;
use loopline_clock::Clock;
use loopline_sandbox::Machine;
pub use loopline_workflow::github::schedule::{Claim, Queue};
use loopline_workflow::run::{Conclusion, JobKey, Recorder};

use crate::actions::Builtins;
use crate::cancel::{Cancel, JobTokens};
use crate::log::Masker;

/// Everything a run needs of the world around it.
pub struct Host {
    /// Where events and logs go.
    pub recorder: Arc<dyn Recorder>,
    /// Where time, identifiers and randomness come from.
    pub clock: Clock,
    /// Makes the places where jobs' processes live.
    pub machines: Arc<dyn Machines>,
    /// Where remote actions come from.
    pub actions: Arc<dyn Actions>,
    /// The actions Loopline brings along.
    pub builtins: Arc<dyn Builtins>,
    /// Starts what actions reach over HTTP.
    pub services: Arc<dyn Services>,
    /// Decides about protected environments.
    pub approvals: Arc<dyn Approvals>,
    /// Concurrency groups.
    pub groups: Arc<dyn Groups>,
    /// What is hidden in every log, beside the secrets jobs are given.
    pub masker: Masker,
    /// What every process gets of the machine's own environment (`PATH`, `HOME`, `LANG`, ...).
    pub environment: Arc<IndexMap<String, String>>,
    /// The repository's folder.
    pub repository: PathBuf,
    /// The run's folder, in which each job gets one of its own.
    pub folder: PathBuf,
    /// `runner.tool_cache`.
    pub tool_cache: PathBuf,
    /// Node.js, where there is one.
    pub node: Option<PathBuf>,
    /// `runner.name`.
    pub runner_name: String,
    /// Whether steps show their `::debug::` lines (`ACTIONS_STEP_DEBUG`).
    pub debug: bool,
    /// Which jobs' folders are kept after their end.
    pub keep: Keep,
    /// Where the tokens of jobs are found while they run or wait.
    pub jobs: JobTokens,
}

/// Which jobs' folders are kept after their end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// None.
    Nothing,
    /// Those of jobs that did not succeed, for `loopline shell`.
    #[default]
    Failed,
    /// All.
    Everything,
}

impl Keep {
    pub(crate) fn keeps(self, conclusion: Conclusion) -> bool {
        match self {
            Self::Nothing => false,
            Self::Failed => conclusion != Conclusion::Success,
            Self::Everything => true,
        }
    }
}

/// Why a job's place or its services cannot be had; shown with what lies behind it.
pub type HostError = Box<dyn std::error::Error + Send + Sync>;

/// Makes the places where jobs' processes live.
pub trait Machines: Send + Sync {
    /// Returns the place for one job. The job's folders exist; in a sandbox, the workspace, the
    /// temporary folder and the tool cache must be at the same paths.
    ///
    /// # Errors
    /// Where the place cannot be made.
    fn machine(&self, job: &JobKey, folders: &Folders) -> Result<Arc<dyn Machine>, HostError>;
}

/// What one job's services are.
#[derive(Default)]
pub struct JobServices {
    /// Variables for actions, such as `ACTIONS_RESULTS_URL`.
    pub variables: Vec<(String, String)>,
    /// Texts to hide, such as tokens.
    pub secrets: Vec<String>,
    /// Ends the services when it is dropped.
    pub guard: Option<Box<dyn Send + Sync>>,
}

/// Starts what actions reach over HTTP: the artifact and cache servers.
pub trait Services: Send + Sync {
    /// Starts the services of one job; called only for jobs with actions that may need them.
    ///
    /// # Errors
    /// Where they cannot be started.
    fn start(
        &self,
        job: &JobKey,
        machine: &Arc<dyn Machine>,
        folders: &Folders,
    ) -> Result<JobServices, HostError>;
}

/// No services.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoServices;

impl Services for NoServices {
    fn start(
        &self,
        _job: &JobKey,
        _machine: &Arc<dyn Machine>,
        _folders: &Folders,
    ) -> Result<JobServices, HostError> {
        Ok(JobServices::default())
    }
}

/// Somebody's decision about a protected environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether the job may go on.
    pub approved: bool,
    /// Who or what decided: a person, `--yes`, a policy.
    pub by: String,
}

/// Decides whether jobs may use protected environments.
pub trait Approvals: Send + Sync {
    /// Returns whether `environment` needs consent at all.
    fn is_protected(&self, environment: &str) -> bool;

    /// Waits for a decision, or returns `None` soon after `cancel` was used: the run's end waits
    /// for it.
    fn decide(&self, job: &JobKey, environment: &str, cancel: &Cancel) -> Option<Decision>;
}

/// Approvals for hosts where no environment is protected.
#[derive(Clone, Copy, Debug, Default)]
pub struct NothingProtected;

impl Approvals for NothingProtected {
    fn is_protected(&self, _environment: &str) -> bool {
        false
    }

    fn decide(&self, _job: &JobKey, _environment: &str, _cancel: &Cancel) -> Option<Decision> {
        None
    }
}

/// Why a group was not given.
#[derive(Debug, thiserror::Error)]
pub enum GroupRefusal {
    /// A newer claim took the waiting place.
    #[error("a newer claim to the concurrency group took its place")]
    Superseded,
    /// The queue is full.
    #[error("too many already wait for the concurrency group")]
    Full,
    /// The run or the job was cancelled while waiting.
    #[error("cancelled while waiting for the concurrency group")]
    Cancelled,
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Concurrency groups, across every run of the host.
pub trait Groups: Send + Sync {
    /// Takes a group, waiting for it where it is held; what is returned lets go of it when it is
    /// dropped. `waiting` is told what it waits for, once. It returns soon after `cancel` was
    /// used: the run's end waits for it.
    ///
    /// # Errors
    /// [`GroupRefusal`], each variant as it says.
    fn take(
        &self,
        claim: &Claim,
        cancel: &Cancel,
        waiting: &mut dyn FnMut(&str),
    ) -> Result<Box<dyn Send>, GroupRefusal>;
}

/// The folders of one job.
#[derive(Clone, Debug)]
pub struct Folders {
    /// Everything of the job; removed when the job's workspace is no longer wanted.
    pub job: PathBuf,
    /// `github.workspace`.
    pub workspace: PathBuf,
    /// `runner.temp`.
    pub temp: PathBuf,
    /// `HOME` of the job's processes where the machine has private ones.
    pub home: PathBuf,
    /// `runner.tool_cache`, shared between jobs.
    pub tool_cache: PathBuf,
}

impl Folders {
    /// Returns the folders of the job whose own folder is `job`.
    pub fn new(job: PathBuf, tool_cache: PathBuf) -> Self {
        Self {
            workspace: job.join("work"),
            temp: job.join("temp"),
            home: job.join("home"),
            job,
            tool_cache,
        }
    }

    /// Returns where `path` is, taken relative to the workspace.
    pub fn in_workspace(&self, path: &str) -> PathBuf {
        self.workspace.join(Path::new(path))
    }
}

/// How many jobs run at once.
///
/// Jobs wait more than they compute (downloads, servers, `sleep`), and GitHub starts all of them
/// at once; so the default is not the number of cores but several times that, and never so few
/// that a job with nothing to compute holds up the others.
pub fn default_job_limit() -> usize {
    const JOBS_PER_CORE: usize = 16;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (cores * JOBS_PER_CORE).clamp(32, 256)
}

/// An action's repository, unpacked.
#[derive(Clone, Debug)]
pub struct FetchedAction {
    /// The folder of the repository; never written to.
    pub root: PathBuf,
    /// The commit it is at.
    pub commit: String,
    /// A line for the log that says where it came from.
    pub origin: String,
}

/// Why an action cannot be had; shown with what lies behind it.
pub type FetchError = Box<dyn std::error::Error + Send + Sync>;

/// Where remote actions come from.
pub trait Actions: Send + Sync {
    /// Returns the repository `OWNER/REPOSITORY` at `reference`, fetching it where needed.
    ///
    /// # Errors
    /// Where it is not there or may not be fetched.
    fn fetch(
        &self,
        owner: &str,
        repository: &str,
        reference: &str,
    ) -> Result<FetchedAction, FetchError>;
}
