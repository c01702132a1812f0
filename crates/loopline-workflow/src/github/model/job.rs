//! Jobs and steps.

use loopline_source::Span;

use super::{Permissions, Spanned, Text, Workflow};
use crate::github::template::Token;

/// One job of a workflow.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its id; ids compare without regard to case.
    pub id: Text,
    /// Where the job's mapping stands.
    pub span: Span,
    /// `name`, a string or an expression; the id where absent or empty.
    pub name: Token,
    /// `needs`.
    pub needs: Vec<Text>,
    /// `if` as an expression token, `success() && (...)` already put around it where no status
    /// function is called.
    pub condition: Token,
    /// `strategy`: an expression or `{matrix, fail-fast, max-parallel}`.
    pub strategy: Option<Token>,
    /// `permissions` of the job, or else those of the workflow (or, in a called workflow, those
    /// the caller states).
    pub permissions: Option<Permissions>,
    /// `concurrency`: a string, an expression, or `{group, cancel-in-progress, queue}`.
    pub concurrency: Option<Token>,
    /// What only one of the two kinds has.
    pub kind: JobKind,
}

/// The two kinds of jobs.
#[derive(Clone, Debug)]
pub enum JobKind {
    /// A job with steps.
    Ordinary(Box<OrdinaryJob>),
    /// A job that calls a workflow.
    Reusable(Box<ReusableJob>),
}

/// What only a job with steps has.
#[derive(Clone, Debug)]
pub struct OrdinaryJob {
    /// `runs-on`: a label, labels, an expression, or `{group, labels}`.
    pub runs_on: Option<Token>,
    /// `timeout-minutes`: a number or an expression.
    pub timeout_minutes: Option<Token>,
    /// `cancel-timeout-minutes`: a number or an expression.
    pub cancel_timeout_minutes: Option<Token>,
    /// `continue-on-error`: a boolean or an expression.
    pub continue_on_error: Option<Token>,
    /// `container`: an image or a mapping.
    pub container: Option<Token>,
    /// `services`: a mapping of containers.
    pub services: Option<Token>,
    /// `env`: a mapping.
    pub env: Option<Token>,
    /// `environment`: a name, an expression, or `{name, url, deployment}`.
    pub environment: Option<Token>,
    /// `outputs`: a mapping.
    pub outputs: Option<Token>,
    /// `defaults`: `{run: {shell, working-directory}}`.
    pub defaults: Option<Token>,
    /// `snapshot`: an image name or `{image-name, version, if}`.
    pub snapshot: Option<Token>,
    /// `steps`.
    pub steps: Vec<Step>,
}

/// What only a job that calls a workflow has.
#[derive(Clone, Debug)]
pub struct ReusableJob {
    /// `uses`.
    pub uses: Text,
    /// `with`: a mapping.
    pub with: Option<Token>,
    /// `secrets`.
    pub secrets: Secrets,
    /// The called workflow, where it was loaded.
    pub called: Option<Called>,
}

/// A called workflow.
#[derive(Clone, Debug)]
pub struct Called {
    /// The workflow. Its jobs' permissions are already narrowed to what the caller allows.
    pub workflow: Workflow,
    /// `on.workflow_call.inputs` as a mapping token, if there are any.
    pub input_definitions: Option<Token>,
    /// `on.workflow_call.secrets` as a mapping token, if there are any.
    pub secret_definitions: Option<Token>,
    /// `on.workflow_call.outputs` as a mapping token, if there are any.
    pub output_definitions: Option<Token>,
    /// What the called workflow itself states, or else what the caller states.
    pub permissions: Option<Permissions>,
}

/// `secrets` of a job that calls a workflow.
#[derive(Clone, Debug)]
pub enum Secrets {
    /// No key.
    None,
    /// `inherit`.
    Inherit,
    /// A mapping.
    Mapping(Token),
}

/// A reference in `uses`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UsesRef<'a> {
    /// `docker://IMAGE`.
    Docker(&'a str),
    /// `./PATH` in the checked-out repository.
    Local(&'a str),
    /// `$/PATH` in the repository of the file that says it.
    Own(&'a str),
    /// `OWNER/REPOSITORY[/PATH]@REF`.
    Remote {
        /// The owner.
        owner: &'a str,
        /// The repository.
        repository: &'a str,
        /// The path inside it; empty for its root.
        path: &'a str,
        /// The branch, tag or commit.
        reference: &'a str,
    },
}

impl<'a> UsesRef<'a> {
    /// Reads a reference; `None` where it has none of the forms.
    pub fn parse(text: &'a str) -> Option<Self> {
        if let Some(image) = text.strip_prefix("docker://") {
            return Some(Self::Docker(image));
        }
        if let Some(path) = text.strip_prefix("./").or_else(|| text.strip_prefix(".\\")) {
            return Some(Self::Local(path));
        }
        if let Some(path) = text.strip_prefix("$/") {
            return Some(Self::Own(path));
        }
        let (path, reference) = text.split_once('@')?;
        if reference.is_empty() || reference.contains('@') {
            return None;
        }
        let separator = ['/', '\\'];
        let (owner, rest) = path.trim_start_matches(separator).split_once(separator)?;
        let rest = rest.trim_start_matches(separator);
        let (repository, path) = rest.split_once(separator).unwrap_or((rest, ""));
        if owner.is_empty() || repository.is_empty() {
            return None;
        }
        Some(Self::Remote { owner, repository, path: path.trim_matches(separator), reference })
    }
}

/// One step.
#[derive(Clone, Debug)]
pub struct Step {
    /// `id`, or one made up that starts with `__`.
    pub id: Text,
    /// Whether the id was made up.
    pub id_generated: bool,
    /// Where the step's mapping stands.
    pub span: Span,
    /// `name`, a string or an expression.
    pub name: Option<Token>,
    /// `if` as an expression token, `success() && (...)` already put around it where no status
    /// function is called.
    pub condition: Token,
    /// `continue-on-error`: a boolean or an expression.
    pub continue_on_error: Option<Token>,
    /// `timeout-minutes`: a number or an expression.
    pub timeout_minutes: Option<Token>,
    /// `env`: a mapping or an expression.
    pub env: Option<Token>,
    /// `background`.
    pub background: Option<Spanned<bool>>,
    /// What the step does.
    pub kind: StepKind,
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum StepKind {
    /// `run`.
    Run {
        /// The script, a string or an expression.
        run: Token,
        /// `shell`.
        shell: Option<Token>,
        /// `working-directory`.
        working_directory: Option<Token>,
    },
    /// `uses`.
    Uses {
        /// The action.
        uses: Text,
        /// `with`: a mapping or an expression.
        with: Option<Token>,
    },
    /// `wait`: the ids of background steps.
    Wait(Vec<Text>),
    /// `wait-all`.
    WaitAll,
    /// `cancel`: the id of a background step.
    Cancel(Text),
    /// `parallel`: steps that run side by side; the group ends with the last.
    Parallel(Vec<Step>),
}
