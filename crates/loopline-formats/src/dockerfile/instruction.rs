//! What instructions mean: flags by name, sources and destinations, stages. Variables are not
//! yet expanded; that needs the values the plan knows.

mod flags;
mod read;

use loopline_source::Span;
use loopline_units::{GoDuration, GoDurationError};

use super::mount;
use super::tree::{Keyword, Pair, Word};

pub use read::{command, read};

/// A file's instructions by stages.
#[derive(Clone, Debug, Default)]
pub struct Build {
    /// The `ARG`s before the first `FROM`, in order.
    pub globals: Vec<Argument>,
    /// The stages in order.
    pub stages: Vec<Stage>,
}

/// One stage: a `FROM` and what follows it.
#[derive(Clone, Debug)]
pub struct Stage {
    /// Its `FROM` among the tree's instructions.
    pub instruction: usize,
    /// The image or the earlier stage it stands on, variables not expanded.
    pub base: Word,
    /// The name behind `AS`, in lower case; the place is the one of the name as written.
    pub name: Option<Word>,
    /// The word `AS` as written.
    pub keyword: Option<Word>,
    /// `--platform`.
    pub platform: Option<Word>,
    /// Its instructions.
    pub commands: Vec<Command>,
}

/// One instruction of a stage.
#[derive(Clone, Debug)]
pub struct Command {
    /// Where it is among the tree's instructions; for `ONBUILD`'s inner one too.
    pub instruction: usize,
    /// What it does.
    pub kind: CommandKind,
}

/// What an instruction does.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "they are the words of the format")]
pub enum CommandKind {
    Add(Transfer),
    Arg(Vec<Argument>),
    Cmd(CommandLine),
    Copy(Transfer),
    Entrypoint(CommandLine),
    Env(Vec<Pair>),
    Expose(Vec<Word>),
    Healthcheck(Healthcheck),
    Label(Vec<Pair>),
    Maintainer(Word),
    Onbuild(Trigger),
    Run(Run),
    Shell(Vec<Word>),
    Stopsignal(Word),
    User(Word),
    Volume(Vec<Word>),
    Workdir(Word),
}

/// `ARG name` or `ARG name=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// The instruction among the tree's.
    pub instruction: usize,
    /// The name.
    pub name: Word,
    /// The value if none is given to the build.
    pub default: Option<Word>,
}

/// `ADD` and `COPY`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transfer {
    /// Paths, and for `ADD` URLs and repositories; here-documents by their marker.
    pub sources: Vec<Source>,
    /// Where they go.
    pub destination: Word,
    /// `--from`: a stage by name or number, or an image (`COPY`).
    pub from: Option<Word>,
    /// `--chown`.
    pub chown: Option<Word>,
    /// `--chmod`.
    pub chmod: Option<Word>,
    /// `--link`: the files are a layer of their own.
    pub link: bool,
    /// `--parents`: folders of the sources are kept (`COPY`).
    pub parents: bool,
    /// `--exclude`, each a pattern.
    pub exclude: Vec<Word>,
    /// `--checksum` (`ADD`).
    pub checksum: Option<Word>,
    /// `--keep-git-dir` (`ADD`).
    pub keep_git_dir: bool,
    /// `--unpack`: whether archives are unpacked; local ones are without it (`ADD`).
    pub unpack: Option<bool>,
}

/// One source of [`Transfer`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A path or a URL.
    Path(Word),
    /// A here-document: its number among the instruction's.
    Heredoc(usize),
}

/// What a path of `ADD` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Location {
    /// A path of the context.
    Context,
    /// A file to download.
    Url,
    /// A git repository.
    Git,
}

impl Location {
    /// Returns what `path` is, once its variables are expanded.
    pub fn of(path: &str) -> Self {
        let repository = path.split(['#', '?']).next().unwrap_or("").trim_end_matches('/');
        let schemes = ["git://", "ssh://", "git@"];
        let web = path.starts_with("http://") || path.starts_with("https://");
        if schemes.iter().any(|start| path.starts_with(start))
            || web && repository.ends_with(".git")
        {
            return Self::Git;
        }
        if web { Self::Url } else { Self::Context }
    }
}

/// A program with arguments, or a line for the shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandLine {
    /// The exec form.
    Exec(Vec<Word>),
    /// The shell form.
    Shell(Word),
}

/// `RUN`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// What runs. Here-documents are with the instruction.
    pub line: CommandLine,
    /// `--mount`, each as written; [`mount::parse`] reads it.
    pub mounts: Vec<Word>,
    /// `--network`.
    pub network: Network,
    /// `--security`.
    pub security: Security,
    /// `--device`, each as written.
    pub devices: Vec<Word>,
}

/// What network a `RUN` has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are the words of the format")]
pub enum Network {
    #[default]
    Default,
    None,
    Host,
}

/// How a `RUN` is confined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are the words of the format")]
pub enum Security {
    #[default]
    Sandbox,
    Insecure,
}

/// `HEALTHCHECK`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Healthcheck {
    /// `HEALTHCHECK NONE`.
    None,
    /// `HEALTHCHECK CMD`.
    Command {
        /// What runs.
        line: CommandLine,
        /// `--interval`; zero is the default of the runtime, here as in the others.
        interval: GoDuration,
        /// `--timeout`.
        timeout: GoDuration,
        /// `--start-period`.
        start_period: GoDuration,
        /// `--start-interval`.
        start_interval: GoDuration,
        /// `--retries`.
        retries: u32,
    },
}

/// `ONBUILD`.
#[derive(Clone, Debug)]
pub struct Trigger {
    /// The instruction as the image keeps it, here-documents included.
    pub expression: String,
    /// What it will do.
    pub command: Box<Command>,
}

/// An instruction that makes no sense. BuildKit refuses the file.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{kind}")]
pub struct Problem {
    /// Where.
    pub span: Span,
    /// The first line of the instruction, from 1.
    pub line: u32,
    /// What.
    pub kind: ProblemKind,
}

/// What is wrong with an instruction. The wording is BuildKit's.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ProblemKind {
    #[error("unknown instruction: {word}{}", suggested(.nearest.as_deref()))]
    UnknownInstruction { word: String, nearest: Option<&'static str> },
    #[error("dockerfile contains no stages to build")]
    NoStages,
    #[error("no build stage in current context")]
    BeforeFrom,
    #[error("{0} requires at least one argument")]
    AtLeastOne(Keyword),
    #[error("{0} requires exactly one argument")]
    ExactlyOne(Keyword),
    #[error("FROM requires either one or three arguments")]
    FromArguments,
    #[error(
        "invalid name for build stage: {0:?}, name can't start with a number or contain symbols"
    )]
    StageName(String),
    #[error(
        "{0} requires at least two arguments, but only one was provided. \
         Destination could not be determined"
    )]
    NoDestination(Keyword),
    #[error("{0} cannot accept a heredoc as a destination")]
    HeredocDestination(Keyword),
    #[error("{0} names can not be blank")]
    BlankName(Keyword),
    #[error("unknown flag: {flag}{}", suggested(.nearest.as_deref()))]
    UnknownFlag { flag: String, nearest: Option<&'static str> },
    #[error("duplicate flag specified: {0}")]
    DuplicateFlag(String),
    #[error("missing a value on flag: {0}")]
    FlagValue(String),
    #[error("expecting boolean value for flag {flag}, not: {value}")]
    FlagBoolean { flag: String, value: String },
    #[error("security {0:?} is not valid")]
    SecurityValue(String),
    #[error("invalid network mode {0:?}")]
    NetworkValue(String),
    #[error("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")]
    OnbuildOnbuild,
    #[error("{0} isn't allowed as an ONBUILD trigger")]
    OnbuildTrigger(Keyword),
    #[error("HEALTHCHECK NONE takes no arguments")]
    HealthNone,
    #[error("Unknown type {0:?} in HEALTHCHECK (try CMD)")]
    HealthType(String),
    #[error("Missing command after HEALTHCHECK CMD")]
    HealthCommand,
    #[error("Interval \"{0}\" cannot be less than 1ms")]
    Interval(&'static str),
    #[error(transparent)]
    Duration(#[from] GoDurationError),
    #[error("strconv.ParseInt: parsing {0:?}: invalid syntax")]
    Retries(String),
    #[error("--retries cannot be negative ({0})")]
    NegativeRetries(i64),
    #[error("VOLUME specified can not be an empty string")]
    EmptyVolume,
    #[error("SHELL requires the arguments to be in JSON form")]
    ShellForm,
    #[error(transparent)]
    Mount(#[from] mount::Error),
    #[error("parsing produced an invalid run command: a heredoc needs the shell form")]
    HeredocExec,
}

fn suggested(nearest: Option<&str>) -> String {
    nearest.map(|nearest| format!(" (did you mean {nearest}?)")).unwrap_or_default()
}
