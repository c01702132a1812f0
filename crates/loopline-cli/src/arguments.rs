//! The command line's grammar.

mod api;
mod image;
mod objects;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use crate::commands::container::arguments::ContainerArguments;
pub use api::{ApiArguments, BackupArguments, CrdsArguments, RestoreArguments};
pub use image::{
    ImageAliasArguments, ImageArguments, ImageBuildArguments, ImageCommand, ImageHistoryArguments,
    ImageImportArguments, ImageInspectArguments, ImageListArguments, ImageLoadArguments,
    ImagePruneArguments, ImagePullArguments, ImagePushArguments, ImageRmArguments,
    ImageSaveArguments, ImageTagArguments, LayerCompression, RegistryAccess, RegistryArguments,
    SaveFormat,
};
pub use objects::{
    ApplyArguments, Cascade, ClusterArguments, DeleteArguments, DiffArguments, FileArguments,
    GetArguments, MergeArguments, WaitArguments,
};

/// Runs a team's delivery loop from the files its repository already has.
#[derive(Debug, Parser)]
#[command(name = "loopline", version, disable_help_subcommand = true)]
#[command(after_help = "Without a command: what this repository holds, and what to do next.")]
pub struct Arguments {
    /// Print JSON instead of text (streams are NDJSON)
    #[arg(long, global = true)]
    pub json: bool,

    /// Work as if started in DIR
    #[arg(short = 'C', long = "directory", global = true, value_name = "DIR")]
    pub directory: Option<PathBuf>,

    /// What to do
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the repository's workflows on this machine
    Run(Box<RunArguments>),
    /// List runs
    Runs(RunsArguments),
    /// Show the log of a run or of one of its jobs
    Logs(LogsArguments),
    /// Run a run again, or only what failed in it
    Rerun(Box<RerunArguments>),
    /// Cancel a run that is in progress
    Cancel(CancelArguments),
    /// List or fetch the artifacts of a run
    Artifacts(ArtifactsArguments),
    /// Show why a job or step did not run, with the values that decided
    Why(WhyArguments),
    /// Open a shell in a job's sandbox as the job left it
    Shell(ShellArguments),
    /// Evaluate an expression as a workflow would
    Eval(EvalArguments),
    /// Serve the Kubernetes API on this machine
    Api(ApiArguments),
    /// Make objects of a Kubernetes API what documents say
    Apply(Box<ApplyArguments>),
    /// Show objects of a Kubernetes API
    Get(Box<GetArguments>),
    /// Delete objects of a Kubernetes API
    Delete(Box<DeleteArguments>),
    /// Show what applying documents would change
    Diff(Box<DiffArguments>),
    /// Wait until objects are there, gone, or in a condition
    Wait(Box<WaitArguments>),
    /// Write a snapshot of the API's objects, whether it runs or not
    Backup(BackupArguments),
    /// Put a snapshot in the place of the API's objects
    Restore(RestoreArguments),
    /// Print the definitions of custom resources that Loopline knows
    Crds(CrdsArguments),
    /// Run, list and stop containers
    Container(ContainerArguments),
    /// Keep images: fetch, send, take in and write them
    Image(ImageArguments),
    /// Serve a registry of images
    Registry(Box<RegistryArguments>),
    /// Check the repository's workflows, actions and Dockerfiles
    Check(CheckArguments),
    /// Explain the code of an error or rule
    Explain(ExplainArguments),
    /// Remove old runs, artifacts, caches, actions, toolchains and unused layers
    Prune(PruneArguments),
    /// Show what this machine can do
    Doctor,
    /// Print the completion script of a shell
    Completions(CompletionsArguments),
}

/// Where jobs run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Executor {
    /// As processes of this machine, in a private copy of the work tree
    Host,
    /// In a copy-on-write view of this machine with its own processes, users and network
    Sandbox,
}

/// Options of `loopline run`.
#[derive(Clone, Debug, Default, Args)]
pub struct RunArguments {
    /// A workflow: its path, its file name or its `name:`; all that the event starts otherwise
    pub workflow: Option<String>,

    /// Run only this job and what it needs (may be repeated)
    #[arg(short, long = "job", value_name = "JOB")]
    pub job: Vec<String>,

    /// The event that starts the run
    #[arg(long, value_name = "NAME")]
    pub event: Option<String>,

    /// A JSON file with the event's payload
    #[arg(long, value_name = "FILE")]
    pub event_file: Option<PathBuf>,

    /// An input of `workflow_dispatch`
    #[arg(long, value_name = "KEY=VALUE")]
    pub input: Vec<String>,

    /// A configuration variable (the `vars` context)
    #[arg(long, value_name = "KEY=VALUE")]
    pub var: Vec<String>,

    /// A secret; without a value it is taken from the variable of that name
    #[arg(long, value_name = "KEY[=VALUE]")]
    pub secret: Vec<String>,

    /// A file of secrets, KEY=VALUE a line
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,

    /// A file of environment variables for every step, KEY=VALUE a line
    #[arg(long, value_name = "FILE")]
    pub env_file: Option<PathBuf>,

    /// Run only the matrix legs with this value
    #[arg(long, value_name = "KEY=VALUE")]
    pub matrix: Vec<String>,

    /// Show what would run, and run nothing
    #[arg(long, visible_alias = "dry-run")]
    pub plan: bool,

    /// List the workflows with their events and next scheduled times
    #[arg(long)]
    pub list: bool,

    /// Where jobs run [default: sandbox where the kernel allows it]
    #[arg(long, value_enum)]
    pub executor: Option<Executor>,

    /// How many jobs run at once [default: 16 a processor, 32 at least]
    #[arg(long, value_name = "N")]
    pub jobs: Option<usize>,

    /// Keep the work folders of all jobs, not only of failed ones
    #[arg(long)]
    pub keep: bool,

    /// Run the original actions also where Loopline has an equivalent
    #[arg(long)]
    pub real_actions: bool,

    /// Take the toolchain that is there where the wanted version is not
    #[arg(long)]
    pub lenient_tools: bool,

    /// Never use the network
    #[arg(long)]
    pub offline: bool,

    /// A folder of action repositories (OWNER/NAME) to use before the network
    #[arg(long, value_name = "DIR")]
    pub actions: Option<PathBuf>,

    /// Skip jobs that this machine cannot run, and say so, instead of refusing the run
    #[arg(long)]
    pub skip_unsupported: bool,

    /// Refuse keys that Loopline does not honour [default without a terminal]
    #[arg(long, conflicts_with = "no_strict")]
    pub strict: bool,

    /// Warn about keys that Loopline does not honour
    #[arg(long)]
    pub no_strict: bool,

    /// Approve every environment that asks for consent
    #[arg(long)]
    pub yes: bool,

    /// Environments that ask for consent before a job uses them (may be repeated)
    #[arg(long, value_name = "ENVIRONMENT")]
    pub protect: Vec<String>,
}

/// Options of `loopline runs`.
#[derive(Debug, Args)]
pub struct RunsArguments {
    /// Runs of all repositories, not only of this one
    #[arg(long)]
    pub all: bool,
    /// How many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    pub limit: usize,
}

/// Options of `loopline logs`.
#[derive(Debug, Args)]
pub struct LogsArguments {
    /// A run's number, or `latest`
    #[arg(default_value = "latest")]
    pub run: String,
    /// A job: its key or its name
    pub job: Option<String>,
    /// Only the step with this number
    #[arg(long, value_name = "N")]
    pub step: Option<u32>,
    /// Only steps that failed
    #[arg(long)]
    pub failed: bool,
}

/// Options of `loopline rerun`.
#[derive(Debug, Args)]
pub struct RerunArguments {
    /// A run's number, or `latest`
    #[arg(default_value = "latest")]
    pub run: String,
    /// Only jobs that did not succeed; the others' outputs and artifacts are kept
    #[arg(long)]
    pub failed: bool,
    /// A secret, since runs do not keep them
    #[arg(long, value_name = "KEY[=VALUE]")]
    pub secret: Vec<String>,
    /// A file of secrets
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
}

/// Options of `loopline cancel`.
#[derive(Debug, Args)]
pub struct CancelArguments {
    /// A run's number, or `latest`
    pub run: String,
    /// Only this job
    #[arg(short, long)]
    pub job: Option<String>,
    /// Do not wait for steps that clean up
    #[arg(long)]
    pub force: bool,
}

/// Options of `loopline artifacts`.
#[derive(Debug, Args)]
pub struct ArtifactsArguments {
    /// A run's number, or `latest`
    #[arg(default_value = "latest")]
    pub run: String,
    /// Unpack the artifact with this name
    #[arg(long, value_name = "NAME")]
    pub get: Option<String>,
    /// Where to unpack it [default: a folder with its name]
    #[arg(long, value_name = "DIR", requires = "get")]
    pub into: Option<PathBuf>,
}

/// Options of `loopline why`.
#[derive(Debug, Args)]
pub struct WhyArguments {
    /// A run's number, or `latest`
    #[arg(default_value = "latest")]
    pub run: String,
    /// A job: its key or its name
    pub job: Option<String>,
}

/// Options of `loopline shell`.
#[derive(Debug, Args)]
pub struct ShellArguments {
    /// A run's number, or `latest`
    pub run: String,
    /// A job: its key or its name
    pub job: String,
    /// A command to run instead of a shell
    #[arg(last = true)]
    pub command: Vec<String>,
}

/// Options of `loopline eval`.
#[derive(Debug, Args)]
pub struct EvalArguments {
    /// An expression, with or without `${{ }}`
    pub expression: String,
    /// Contexts as a JSON object: `{"github": {"ref": "refs/heads/main"}}`
    #[arg(long, value_name = "FILE")]
    pub contexts: Option<PathBuf>,
    /// Show the value of every part
    #[arg(long)]
    pub trace: bool,
}

/// How findings are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// One JSON document
    Json,
    /// SARIF 2.1.0
    Sarif,
}

/// Options of `loopline check`.
#[derive(Debug, Args)]
pub struct CheckArguments {
    /// Files or folders [default: this repository]
    pub paths: Vec<PathBuf>,
    /// How findings are printed
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Options of `loopline explain`.
#[derive(Debug, Args)]
pub struct ExplainArguments {
    /// A code such as LL0101; all codes otherwise
    pub code: Option<String>,
}

/// Options of `loopline prune`.
#[derive(Debug, Args)]
pub struct PruneArguments {
    /// Remove everything that is not in use, whatever its age
    #[arg(long)]
    pub all: bool,
    /// Show what there is, and remove nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Options of `loopline completions`.
#[derive(Debug, Args)]
pub struct CompletionsArguments {
    /// The shell
    pub shell: clap_complete::Shell,
}
