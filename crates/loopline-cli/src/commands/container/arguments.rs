//! The grammar of `loopline container`; flags are Docker's.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::arguments::RegistryAccess;

/// Options of `loopline container`.
#[derive(Debug, Args)]
pub struct ContainerArguments {
    /// What to do
    #[command(subcommand)]
    pub command: ContainerCommand,
}

/// What can be done with containers.
#[derive(Debug, Subcommand)]
pub enum ContainerCommand {
    /// Make a container of an image and run it
    #[command(disable_help_flag = true)]
    Run(Box<CreateArguments>),
    /// Make a container of an image
    #[command(disable_help_flag = true)]
    Create(Box<CreateArguments>),
    /// Start containers that do not run
    Start(NamesArguments),
    /// Ask containers to stop, and kill those that do not
    Stop(StopArguments),
    /// Stop containers and start them again
    Restart(StopArguments),
    /// Send a signal to containers
    Kill(KillArguments),
    /// Stop all processes of containers where they are
    Pause(NamesArguments),
    /// Let the processes of containers go on
    Unpause(NamesArguments),
    /// Remove containers
    Rm(RemoveArguments),
    /// Give a container another name
    Rename(RenameArguments),
    /// Wait until containers have ended and print their exit codes
    Wait(NamesArguments),
    /// List containers
    Ps(ListArguments),
    /// Show what a container printed
    Logs(ContainerLogsArguments),
    /// Run a program in a running container
    Exec(Box<ExecArguments>),
    /// Show all that is known of containers
    Inspect(NamesArguments),
    /// Show what running containers use
    Stats(StatsArguments),
}

/// Containers by name, identifier or the beginning of one.
#[derive(Debug, Args)]
pub struct NamesArguments {
    /// Names or identifiers
    #[arg(required = true, value_name = "CONTAINER")]
    pub names: Vec<String>,
}

/// Options of `run` and `create`.
#[derive(Debug, Args)]
pub struct CreateArguments {
    /// The image
    pub image: String,
    /// The program and its arguments, instead of the image's
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
    /// Its name
    #[arg(long)]
    pub name: Option<String>,
    /// Go on without this command; prints the identifier
    #[arg(short, long)]
    pub detach: bool,
    /// Remove it when it has ended
    #[arg(long)]
    pub rm: bool,
    /// Pass on what is typed
    #[arg(short, long)]
    pub interactive: bool,
    /// Give it a terminal
    #[arg(short, long)]
    pub tty: bool,
    /// Have an init that passes signals on and reaps
    #[arg(long)]
    pub init: bool,
    /// Run this program instead of the image's entry point
    #[arg(long)]
    pub entrypoint: Option<String>,
    /// Set a variable; without a value it is taken from here
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub env: Vec<String>,
    /// Set the variables of a file, NAME=VALUE a line
    #[arg(long, value_name = "FILE")]
    pub env_file: Vec<PathBuf>,
    /// The working folder
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<PathBuf>,
    /// Who it runs as: a user or USER:GROUP
    #[arg(short, long)]
    pub user: Option<String>,
    /// Another group of its user
    #[arg(long, value_name = "GROUP")]
    pub group_add: Vec<String>,
    /// Its host name
    #[arg(short = 'h', long)]
    pub hostname: Option<String>,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    pub help: Option<bool>,
    /// Another line of its /etc/hosts
    #[arg(long, value_name = "NAME:ADDRESS")]
    pub add_host: Vec<String>,
    /// Mount a path or a volume: SOURCE:TARGET[:ro]
    #[arg(short, long, value_name = "VOLUME")]
    pub volume: Vec<String>,
    /// Mount something: type=bind|volume|tmpfs,source=..,target=..[,readonly]
    #[arg(long, value_name = "MOUNT")]
    pub mount: Vec<String>,
    /// Mount memory: TARGET[:size=SIZE,mode=MODE]
    #[arg(long, value_name = "TMPFS")]
    pub tmpfs: Vec<String>,
    /// Publish a TCP port: [ADDRESS:]HOST:CONTAINER, on loopback without an address
    #[arg(short, long, value_name = "PORT")]
    pub publish: Vec<String>,
    /// Its network: `default` (its own, with the internet), `none` or `host`
    #[arg(long)]
    pub network: Option<String>,
    /// Mount its root file system read-only
    #[arg(long)]
    pub read_only: bool,
    /// Keep every capability of its user namespace and hide nothing
    #[arg(long)]
    pub privileged: bool,
    /// Give root inside a capability
    #[arg(long, value_name = "CAPABILITY")]
    pub cap_add: Vec<String>,
    /// Take a capability from root inside
    #[arg(long, value_name = "CAPABILITY")]
    pub cap_drop: Vec<String>,
    /// `no-new-privileges` or `seccomp=unconfined`
    #[arg(long, value_name = "OPTION")]
    pub security_opt: Vec<String>,
    /// A resource limit: NAME=SOFT[:HARD]
    #[arg(long, value_name = "LIMIT")]
    pub ulimit: Vec<String>,
    /// A kernel parameter of its namespaces
    #[arg(long, value_name = "NAME=VALUE")]
    pub sysctl: Vec<String>,
    /// A device of the host: SOURCE[:TARGET]
    #[arg(long, value_name = "DEVICE")]
    pub device: Vec<String>,
    /// The size of its /dev/shm
    #[arg(long, value_name = "BYTES")]
    pub shm_size: Option<String>,
    /// The most memory: a number with b, k, m or g
    #[arg(short, long, value_name = "BYTES")]
    pub memory: Option<String>,
    /// The most memory and swap together; -1 for any
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    pub memory_swap: Option<String>,
    /// What it keeps when memory is short
    #[arg(long, value_name = "BYTES")]
    pub memory_reservation: Option<String>,
    /// Processors, as 1.5
    #[arg(long)]
    pub cpus: Option<String>,
    /// The weight against others, 1024 being the usual
    #[arg(short, long, value_name = "WEIGHT")]
    pub cpu_shares: Option<u64>,
    /// The processors it may run on, as 0-3,5
    #[arg(long, value_name = "LIST")]
    pub cpuset_cpus: Option<String>,
    /// The most processes and threads
    #[arg(long, value_name = "COUNT")]
    pub pids_limit: Option<u64>,
    /// How readily it is killed when memory runs out
    #[arg(long, value_name = "SCORE", allow_hyphen_values = true)]
    pub oom_score_adj: Option<i32>,
    /// When it is started again: no, always, unless-stopped or on-failure[:TIMES]
    #[arg(long, value_name = "POLICY")]
    pub restart: Option<String>,
    /// The signal that asks it to stop
    #[arg(long, value_name = "SIGNAL")]
    pub stop_signal: Option<String>,
    /// How many seconds it may take to stop
    #[arg(long, value_name = "SECONDS")]
    pub stop_timeout: Option<u64>,
    /// Learn its health by this command
    #[arg(long, value_name = "COMMAND")]
    pub health_cmd: Option<String>,
    /// Between two checks
    #[arg(long, value_name = "DURATION")]
    pub health_interval: Option<String>,
    /// How long a check may take
    #[arg(long, value_name = "DURATION")]
    pub health_timeout: Option<String>,
    /// How many failed checks make it unhealthy
    #[arg(long, value_name = "COUNT")]
    pub health_retries: Option<u32>,
    /// How long failed checks do not count after the start
    #[arg(long, value_name = "DURATION")]
    pub health_start_period: Option<String>,
    /// Between two checks meanwhile
    #[arg(long, value_name = "DURATION")]
    pub health_start_interval: Option<String>,
    /// Do not learn its health
    #[arg(long)]
    pub no_healthcheck: bool,
    /// A label
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub label: Vec<String>,
    /// How registries are reached, where the image is not here
    #[command(flatten)]
    pub access: RegistryAccess,
}

/// Options of `stop` and `restart`.
#[derive(Debug, Args)]
pub struct StopArguments {
    /// Names or identifiers
    #[arg(required = true, value_name = "CONTAINER")]
    pub names: Vec<String>,
    /// How many seconds they may take, instead of what they were made with
    #[arg(short, long, alias = "timeout", value_name = "SECONDS")]
    pub time: Option<u64>,
}

/// Options of `kill`.
#[derive(Debug, Args)]
pub struct KillArguments {
    /// Names or identifiers
    #[arg(required = true, value_name = "CONTAINER")]
    pub names: Vec<String>,
    /// The signal
    #[arg(short, long, default_value = "KILL")]
    pub signal: String,
}

/// Options of `rm`.
#[derive(Debug, Args)]
pub struct RemoveArguments {
    /// Names or identifiers
    #[arg(required = true, value_name = "CONTAINER")]
    pub names: Vec<String>,
    /// Kill those that run
    #[arg(short, long)]
    pub force: bool,
    /// Remove their anonymous volumes too
    #[arg(short, long)]
    pub volumes: bool,
}

/// Options of `rename`.
#[derive(Debug, Args)]
pub struct RenameArguments {
    /// Its name or identifier
    #[arg(value_name = "CONTAINER")]
    pub old: String,
    /// Its new name
    #[arg(value_name = "NAME")]
    pub new: String,
}

/// Options of `ps`.
#[derive(Debug, Args)]
pub struct ListArguments {
    /// Those too that do not run
    #[arg(short, long)]
    pub all: bool,
    /// Print identifiers only
    #[arg(short, long)]
    pub quiet: bool,
}

/// Options of `logs`.
#[derive(Debug, Args)]
pub struct ContainerLogsArguments {
    /// Its name or identifier
    #[arg(value_name = "CONTAINER")]
    pub name: String,
    /// Go on with what it prints from now on
    #[arg(short, long)]
    pub follow: bool,
    /// Print when each line was printed
    #[arg(short, long)]
    pub timestamps: bool,
    /// Only so many lines, from the end
    #[arg(short = 'n', long, value_name = "LINES")]
    pub tail: Option<usize>,
}

/// Options of `exec`.
#[derive(Debug, Args)]
pub struct ExecArguments {
    /// Its name or identifier
    #[arg(value_name = "CONTAINER")]
    pub name: String,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
    /// Pass on what is typed
    #[arg(short, long)]
    pub interactive: bool,
    /// Give it a terminal
    #[arg(short, long)]
    pub tty: bool,
    /// Set a variable
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub env: Vec<String>,
    /// The working folder
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<PathBuf>,
    /// Who it runs as
    #[arg(short, long)]
    pub user: Option<String>,
}

/// Options of `stats`.
#[derive(Debug, Args)]
pub struct StatsArguments {
    /// Names or identifiers; all that run otherwise
    #[arg(value_name = "CONTAINER")]
    pub names: Vec<String>,
}
