//! What a build will do: stages as nodes of a graph, each with its steps, every word expanded.
//!
//! Planning is pure: the file, the build's arguments and the configurations of base images in, the
//! plan out. An image that is not known ends planning with its name; who builds gets it and plans
//! again. Stages that the target does not need are left out.
//!
//! ```
//! use loopline_formats::dockerfile::plan::{Configuration, Facts, From, StepKind, plan};
//! use loopline_formats::dockerfile::{instruction, parse};
//! use loopline_source::SourceFile;
//!
//! let file = SourceFile::new("Dockerfile", "\
//! FROM alpine:3.20 AS build
//! ARG NAME=app
//! WORKDIR /src
//! RUN make $NAME
//! FROM alpine:3.20 AS test
//! RUN make test
//! FROM scratch
//! COPY --from=build /src/app /bin/
//! ENTRYPOINT [\"/bin/app\"]
//! ");
//! let parsed = parse(&file);
//! let (build, problems) = instruction::read(&parsed.dockerfile);
//! assert!(parsed.problems.is_empty() && problems.is_empty());
//!
//! let mut facts = Facts::default();
//! facts.build_arguments.insert("NAME".to_owned(), "web".to_owned());
//! facts.images.insert("alpine:3.20".to_owned(), Configuration::default());
//! let plan = plan(&parsed.dockerfile, &build, &facts)?;
//!
//! // Nothing needs the stage `test`.
//! let stages: Vec<usize> = plan.stages.iter().map(|stage| stage.index).collect();
//! assert_eq!(stages, [0, 2]);
//! let StepKind::Run(run) = &plan.stages[0].steps[2].kind else { panic!("a RUN") };
//! assert_eq!(run.arguments, ["/bin/sh", "-c", "make $NAME"]);
//! assert!(plan.stages[0].steps[2].environment.contains(&("NAME".into(), "web".into())));
//! let StepKind::Copy(copy) = &plan.stages[1].steps[0].kind else { panic!("a COPY") };
//! assert_eq!(copy.from, From::Stage(0));
//! assert_eq!(plan.target().configuration.entrypoint.as_deref(), Some(&["/bin/app".to_owned()][..]));
//! # Ok::<(), Vec<loopline_formats::dockerfile::plan::Error>>(())
//! ```

mod graph;
mod stage;

use std::collections::{BTreeMap, BTreeSet};

use loopline_source::Span;

use super::ignore;
use super::instruction::{Network, Security};
use super::mount::{self, Mount};
use super::platform::{self, Platform};
use super::word;

pub use graph::plan;

/// What a plan stands on beside the file.
#[derive(Clone, Debug)]
pub struct Facts {
    /// `--build-arg`.
    pub build_arguments: BTreeMap<String, String>,
    /// `--target`: a stage's name; the last stage without it.
    pub target: Option<String>,
    /// `--platform`: what the image is for.
    pub platform: Platform,
    /// What the build runs on.
    pub build_platform: Platform,
    /// The configurations of images, by the names `FROM` gives them once variables are expanded.
    pub images: BTreeMap<String, Configuration>,
}

impl Default for Facts {
    fn default() -> Self {
        Self {
            build_arguments: BTreeMap::new(),
            target: None,
            platform: Platform::linux_amd64(),
            build_platform: Platform::linux_amd64(),
            images: BTreeMap::new(),
        }
    }
}

/// What an image says about the containers that run it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// Its variables, in order.
    pub environment: Vec<(String, String)>,
    /// `USER`; empty is root.
    pub user: String,
    /// `WORKDIR`; empty is `/`.
    pub working_directory: String,
    /// `SHELL`.
    pub shell: Option<Vec<String>>,
    /// `ENTRYPOINT`.
    pub entrypoint: Option<Vec<String>>,
    /// `CMD`.
    pub command: Option<Vec<String>>,
    /// `EXPOSE`, as `80/tcp`.
    pub exposed_ports: BTreeSet<String>,
    /// `VOLUME`.
    pub volumes: BTreeSet<String>,
    /// `LABEL`.
    pub labels: BTreeMap<String, String>,
    /// `STOPSIGNAL`.
    pub stop_signal: Option<String>,
    /// `HEALTHCHECK`.
    pub healthcheck: Option<Healthcheck>,
    /// `ONBUILD`: instructions for what stands on this image.
    pub on_build: Vec<String>,
    /// `MAINTAINER`.
    pub author: Option<String>,
}

/// A health check as image configurations hold it; times are in nanoseconds, zero is the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", ...]` or `["CMD-SHELL", line]`.
    pub test: Vec<String>,
    /// Between two checks.
    pub interval_ns: i64,
    /// Of one check.
    pub timeout_ns: i64,
    /// During which failures do not count.
    pub start_period_ns: i64,
    /// Between two checks in that time.
    pub start_interval_ns: i64,
    /// Failures in a row that make a container unhealthy.
    pub retries: u32,
}

/// What a build will do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The stages the target needs, in the order of the file, the target among them. Each needs
    /// earlier ones only.
    pub stages: Vec<Stage>,
    /// The target's place among the file's stages.
    pub target: usize,
    /// Variables of proxies for every `RUN`; they are not kept in the image.
    pub proxies: Vec<(String, String)>,
    /// `--build-arg`s that no `ARG` asks for.
    pub unused_build_arguments: Vec<String>,
}

impl Plan {
    /// Returns the target stage.
    pub fn target(&self) -> &Stage {
        let found = self.stages.iter().find(|stage| stage.index == self.target);
        found.unwrap_or(&self.stages[self.stages.len() - 1])
    }
}

/// One stage of a plan.
#[derive(Clone, Debug)]
pub struct Stage {
    /// Its place among the file's stages, from 0.
    pub index: usize,
    /// Its name.
    pub name: Option<String>,
    /// What it stands on.
    pub base: Base,
    /// What it is for.
    pub platform: Platform,
    /// What happens, in order.
    pub steps: Vec<Step>,
    /// The configuration at its end.
    pub configuration: Configuration,
    /// The stages it needs, its base among them.
    pub needs: BTreeSet<usize>,
}

/// What a stage stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// `FROM scratch`: nothing.
    Scratch,
    /// An image.
    Image(String),
    /// An earlier stage.
    Stage(usize),
}

/// Where files come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    /// The build's context.
    Context,
    /// Another stage.
    Stage(usize),
    /// An image.
    Image(String),
}

/// One instruction of a stage, ready to be done.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its place among the tree's instructions; the `FROM` for a trigger of the base.
    pub instruction: usize,
    /// Its first line, from 1.
    pub line: u32,
    /// Whether it is a trigger (`ONBUILD`) of the base.
    pub trigger: bool,
    /// What to do.
    pub kind: StepKind,
    /// The variables while it runs, arguments of the build among them.
    pub environment: Vec<(String, String)>,
    /// The folder it runs in.
    pub working_directory: String,
    /// Who it runs as; empty is root.
    pub user: String,
    /// The line of the image's history.
    pub created_by: String,
    /// Whether it makes a layer.
    pub layer: bool,
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum StepKind {
    /// Runs a program.
    Run(Run),
    /// Copies or fetches files.
    Copy(Copy),
    /// Makes a folder (`WORKDIR`), owned by the user.
    Folder(String),
    /// Changes the configuration only.
    Configure,
}

/// A program to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The program and its arguments, the shell in front where there is one.
    pub arguments: Vec<String>,
    /// A file that is there while it runs: a here-document that starts with `#!`.
    pub script: Option<Inline>,
    /// What is mounted.
    pub mounts: Vec<PlannedMount>,
    /// Its network.
    pub network: Network,
    /// How it is confined.
    pub security: Security,
}

/// A mount with its target made absolute, and what it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedMount {
    /// The mount.
    pub mount: Mount,
    /// Where a bind or a cache's first content comes from.
    pub from: Option<From>,
}

/// Files to copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// Whether it is `ADD`.
    pub add: bool,
    /// Where paths are looked up.
    pub from: From,
    /// What is copied.
    pub sources: Vec<CopySource>,
    /// Where it goes: absolute; a `/` at the end says that it is a folder.
    pub destination: String,
    /// The owner.
    pub chown: Option<String>,
    /// The mode.
    pub chmod: Option<String>,
    /// Whether the files are a layer that does not depend on what is below.
    pub link: bool,
    /// Whether the folders of sources are kept.
    pub parents: bool,
    /// What is left out, as patterns of [`ignore::Patterns`].
    pub exclude: Vec<String>,
    /// What a download must be.
    pub checksum: Option<String>,
    /// Whether `.git` is kept.
    pub keep_git_dir: bool,
    /// Whether archives are unpacked, where the file says so.
    pub unpack: Option<bool>,
}

/// One thing to copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopySource {
    /// A path; may hold wildcards.
    Path(String),
    /// A file to download.
    Url(String),
    /// A git repository.
    Git(String),
    /// A file whose content is in the Dockerfile.
    Inline(Inline),
}

/// A file whose content is in the Dockerfile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inline {
    /// Its name.
    pub name: String,
    /// Its content.
    pub content: String,
}

/// Why there is no plan.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("line {line}: {kind}")]
pub struct Error {
    /// Where.
    pub span: Span,
    /// The first line of the instruction, from 1.
    pub line: u32,
    /// Why.
    pub kind: ErrorKind,
}

/// Why there is no plan. The wording is BuildKit's where it has one.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ErrorKind {
    #[error(transparent)]
    Word(#[from] word::Error),
    #[error(transparent)]
    Mount(#[from] mount::Error),
    #[error("failed to parse platform: {0}")]
    Platform(#[from] platform::Error),
    #[error("empty platform value from expression {0}")]
    EmptyPlatform(String),
    #[error("`{0}`: only images for Linux are built here")]
    NotLinux(Platform),
    #[error("base name ({0}) should not be blank")]
    EmptyBase(String),
    #[error("failed to parse stage name {0:?}: invalid reference format")]
    Reference(String),
    #[error("the configuration of the base image `{0}` is not known")]
    MissingImage(String),
    #[error("target stage {name:?} could not be found{}", .nearest.as_ref().map(|nearest| format!(" (did you mean {nearest}?)")).unwrap_or_default())]
    Target { name: String, nearest: Option<String> },
    #[error("circular dependency detected on stage: {0}")]
    Circular(String),
    #[error(
        "cannot copy from stage {from:?}, it needs to be defined before current stage {stage:?}"
    )]
    OutOfOrder { from: String, stage: String },
    #[error("invalid stage index {0}")]
    StageIndex(usize),
    #[error(
        "variable expansion is not supported for --from, define a new stage with FROM using ARG \
         from global scope as a workaround"
    )]
    FromExpansion,
    #[error("invalid mount target {0:?}")]
    MountTarget(String),
    #[error("the trigger `{trigger}` of the base image: {message}")]
    Trigger { trigger: String, message: String },
    #[error("invalid containerPort: {0}")]
    Port(String),
    #[error("invalid proto: {0}")]
    Protocol(String),
    #[error("--exclude: {0}")]
    Exclude(ignore::Error),
    #[error("`--device` needs a device interface that is not there")]
    Device,
    #[error("there is no stage to build")]
    NoStages,
}
