//! Builds images from Dockerfiles: carries out what [`loopline_formats::dockerfile::plan`] says, a
//! container for each `RUN`, and remembers what every step made.

mod cache;
mod document;
mod step;
mod transfer;
mod view;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use jiff::Timestamp;
use loopline_clock::Clock;
use loopline_formats::dockerfile::ignore::Patterns;
use loopline_formats::dockerfile::plan::{Base, Configuration, ErrorKind, Facts, Stage, plan};
use loopline_formats::dockerfile::platform::Platform as Planned;
use loopline_formats::dockerfile::tree::Dockerfile;
use loopline_formats::dockerfile::{instruction, parse};
use loopline_image::digest::Digest;
use loopline_image::platform::Platform;
use loopline_image::reference::Reference;
use loopline_image::store::{Layer, Lease, Store, StoreError};
use loopline_sandbox::{ContainerError, remove_state};
use loopline_source::SourceFile;
use serde_json::{Value, json};

use cache::Cache;
use view::View;

/// The folder of what is built right now.
const SCRATCH: &str = "builds/scratch";
/// The largest Dockerfile, in bytes.
const FILE_BYTES: u64 = 4 * 1024 * 1024;

/// What is to be built.
#[derive(Clone, Debug)]
pub struct BuildRequest {
    /// The folder that `COPY` takes files from.
    pub context: PathBuf,
    /// The Dockerfile.
    pub file: PathBuf,
    /// The names the image is given.
    pub tags: Vec<Reference>,
    /// `--build-arg`.
    pub args: BTreeMap<String, String>,
    /// `--target`.
    pub target: Option<String>,
    /// `--label`.
    pub labels: BTreeMap<String, String>,
    /// `--secret`, by id.
    pub secrets: BTreeMap<String, Vec<u8>>,
    /// The socket of an agent, for `--mount=type=ssh`.
    pub ssh: Option<PathBuf>,
    /// Whether steps are carried out although an earlier build has.
    pub no_cache: bool,
    /// Whether steps have no network.
    pub offline: bool,
    /// `SOURCE_DATE_EPOCH`: no time in the image is later.
    pub epoch: Option<i64>,
}

/// Hears how a build goes.
pub trait Progress {
    /// A step begins: its number, how many there are, the stage and the instruction.
    fn step(&self, number: usize, count: usize, stage: &str, shown: &str);
    /// The step is what an earlier build made.
    fn cached(&self);
    /// The program of a step has printed this.
    fn output(&self, text: &[u8]);
}

/// An image that was built.
#[derive(Clone, Debug)]
pub struct Built {
    /// Its identifier: the digest of its configuration.
    pub id: Digest,
    /// The digest of its manifest.
    pub manifest: Digest,
    /// How many steps were carried out, and how many an earlier build had made.
    pub steps: usize,
    /// Of them, those that were cached.
    pub cached: usize,
}

/// A build that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The Dockerfile or the context cannot be used.
    #[error("{message}")]
    Step {
        /// The line of the Dockerfile, from 1.
        line: u32,
        /// What is wrong.
        message: String,
    },
    /// A base image is not here.
    #[error("the base image `{image}` is not here")]
    Base {
        /// The line of its `FROM`.
        line: u32,
        /// Its name.
        image: String,
        /// What the store says.
        #[source]
        source: StoreError,
    },
    /// A program ended with a failure.
    #[error("`{shown}` ended with code {code}")]
    Failed {
        /// The line.
        line: u32,
        /// The instruction.
        shown: String,
        /// The exit code.
        code: u8,
    },
    /// A program could not be started.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// The store of images failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl BuildError {
    /// Returns the line of the Dockerfile that it is about.
    #[must_use]
    pub fn line(&self) -> Option<u32> {
        match self {
            Self::Step { line, .. } | Self::Base { line, .. } | Self::Failed { line, .. } => {
                Some(*line)
            }
            _ => None,
        }
    }
}

/// A stage, or an image, as far as it is built.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ground {
    /// Its layers, the lowest first.
    layers: Vec<Layer>,
    view: View,
    config: Configuration,
    history: Vec<Value>,
    /// What it is the result of.
    key: String,
    /// When its last step was.
    created: Option<String>,
    /// What it runs on; nothing for one that stands on nothing.
    platform: Option<Platform>,
}

/// Builds images of one data folder.
#[derive(Debug)]
pub struct Builder {
    data: PathBuf,
    store: Store,
    clock: Clock,
}

impl Builder {
    /// Opens a data folder, which `store` keeps the images of.
    #[must_use]
    pub fn open(data: &Path, store: Store, clock: Clock) -> Self {
        Self { data: data.to_owned(), store, clock }
    }

    /// Forgets what earlier builds have made. Returns how many steps are forgotten.
    ///
    /// # Errors
    /// [`BuildError::Io`]; [`BuildError::Store`].
    pub fn clear_cache(&self) -> Result<usize, BuildError> {
        cache::clear(&self.data, &self.store)
    }

    /// Builds an image.
    ///
    /// # Errors
    /// [`BuildError`], each variant as it says.
    pub fn build(
        &self,
        request: &BuildRequest,
        progress: &dyn Progress,
    ) -> Result<Built, BuildError> {
        let text = read_file(&request.file)?;
        let source = SourceFile::new(request.file.to_string_lossy(), text);
        let parsed = parse(&source);
        if let Some(problem) = parsed.problems.first() {
            return Err(BuildError::Step { line: problem.line, message: problem.kind.to_string() });
        }
        let (read, problems) = instruction::read(&parsed.dockerfile);
        if let Some(problem) = problems.first() {
            return Err(BuildError::Step { line: problem.line, message: problem.kind.to_string() });
        }
        let platform = Platform::of_this_machine();
        let planned = Planned {
            os: platform.os.clone(),
            architecture: platform.architecture.clone(),
            variant: platform.variant.clone().unwrap_or_default(),
        };
        let mut facts = Facts {
            build_arguments: request.args.clone(),
            target: request.target.clone(),
            platform: planned.clone(),
            build_platform: planned,
            images: BTreeMap::new(),
        };
        let all = self.data.join(SCRATCH);
        fs::create_dir_all(&all)?;
        sweep(&all)?;
        let name = format!("{}-{}", std::process::id(), self.clock.random_hex(8));
        let scratch = all.join(name);
        fs::create_dir(&scratch)?;
        let lease = self.store.lease()?;
        let mut work = Work {
            builder: self,
            request,
            ignored: ignored(request)?,
            cache: Cache::open(&self.data, self.store.clone(), request.no_cache)?,
            lease: &lease,
            scratch: &scratch,
            images: BTreeMap::new(),
            stages: BTreeMap::new(),
            steps: 0,
            cached: 0,
            progress,
        };
        let result = (|| {
            // Each base that is not known yet ends planning with its name.
            let plan = loop {
                let errors = match plan(&parsed.dockerfile, &read, &facts) {
                    Ok(plan) => break plan,
                    Err(errors) => errors,
                };
                let missing = errors.iter().find_map(|error| match &error.kind {
                    ErrorKind::MissingImage(name) => Some((name.clone(), error.line)),
                    _ => None,
                });
                match (missing, errors.into_iter().next()) {
                    (Some((name, line)), _) => {
                        let ground = work.image(&name, line)?;
                        facts.images.insert(name, ground.config);
                    }
                    (None, error) => {
                        let (line, message) = match error {
                            Some(error) => (error.line, error.kind.to_string()),
                            None => (1, "the file cannot be planned".to_owned()),
                        };
                        return Err(BuildError::Step { line, message });
                    }
                }
            };
            for stage in &plan.stages {
                let line = dockerfile_line(&parsed.dockerfile, &read, stage.index);
                let ground = work.base(stage, line)?;
                let ground = work.stage(ground, stage, &plan.proxies)?;
                work.stages.insert(stage.index, ground);
            }
            work.finish(plan.target)
        })();
        // What a killed build leaves there, the next one removes.
        let removed = remove_state(&scratch);
        let built = result?;
        removed?;
        Ok(built)
    }
}

/// Removes what builds have left whose process is gone.
fn sweep(all: &Path) -> io::Result<()> {
    for entry in fs::read_dir(all)? {
        let entry = entry?;
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.split('-').next());
        if owner.is_some_and(|owner| !Path::new("/proc").join(owner).exists()) {
            remove_state(&entry.path())?;
        }
    }
    Ok(())
}

/// Reads a Dockerfile.
fn read_file(path: &Path) -> Result<String, BuildError> {
    if fs::metadata(path)?.len() > FILE_BYTES {
        let message = format!("{} is larger than {FILE_BYTES} bytes", path.display());
        return Err(BuildError::Step { line: 1, message });
    }
    String::from_utf8(fs::read(path)?).map_err(|_| BuildError::Step {
        line: 1,
        message: format!("{} is not UTF-8", path.display()),
    })
}

/// Reads what of the context is left out.
fn ignored(request: &BuildRequest) -> Result<Patterns, BuildError> {
    let name = request.file.file_name().unwrap_or_default().to_string_lossy();
    let own = request.file.with_file_name(format!("{name}.dockerignore"));
    let path = if own.exists() { own } else { request.context.join(".dockerignore") };
    let text = match fs::read(&path) {
        Ok(text) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error.into()),
    };
    Patterns::parse(&text).map_err(|error| BuildError::Step {
        line: error.line,
        message: format!("{}:{}: {}", path.display(), error.line, error.kind),
    })
}

/// Returns the line of a stage's `FROM`.
fn dockerfile_line(dockerfile: &Dockerfile, read: &instruction::Build, stage: usize) -> u32 {
    let from = read.stages.get(stage).map_or(0, |stage| stage.instruction);
    dockerfile.instructions.get(from).map_or(1, |it| it.first_line)
}

/// A build at work.
struct Work<'a> {
    builder: &'a Builder,
    request: &'a BuildRequest,
    ignored: Patterns,
    cache: Cache,
    lease: &'a Lease,
    scratch: &'a Path,
    images: BTreeMap<String, Ground>,
    stages: BTreeMap<usize, Ground>,
    steps: usize,
    cached: usize,
    progress: &'a dyn Progress,
}

impl Work<'_> {
    /// Finds what a stage stands on.
    fn base(&mut self, stage: &Stage, line: u32) -> Result<Ground, BuildError> {
        match &stage.base {
            Base::Scratch => Ok(Ground { key: "scratch".to_owned(), ..Ground::default() }),
            Base::Stage(earlier) => Ok(self.stages.get(earlier).cloned().unwrap_or_default()),
            Base::Image(name) => {
                let own = Platform::of_this_machine();
                let wanted: Result<Platform, _> = stage.platform.to_string().parse();
                if !wanted.is_ok_and(|it| own.runs(&it)) {
                    let message = format!(
                        "--platform={}: programs of this machine's {own} are run here",
                        stage.platform
                    );
                    return Err(BuildError::Step { line, message });
                }
                self.image(name, line)
            }
        }
    }

    /// Finds an image, once.
    fn image(&mut self, name: &str, line: u32) -> Result<Ground, BuildError> {
        if let Some(ground) = self.images.get(name) {
            return Ok(ground.clone());
        }
        let reference: Reference = name.parse().map_err(|error| BuildError::Step {
            line,
            message: format!("`{name}` names no image: {error}"),
        })?;
        let missing = |source| BuildError::Base { line, image: reference.familiar(), source };
        let image = self.builder.store.image(&reference, None, self.lease).map_err(missing)?;
        let mut ground = Ground {
            config: document::read(&image.raw),
            history: image.raw["history"].as_array().cloned().unwrap_or_default(),
            key: image.id.to_string(),
            created: image.raw["created"].as_str().map(str::to_owned),
            platform: Some(Platform::of_configuration(&image.configuration)),
            ..Ground::default()
        };
        for (descriptor, diff_id) in image.manifest.layers().iter().zip(image.diff_ids()?) {
            let layer = Layer { descriptor: descriptor.clone(), diff_id };
            self.add(&mut ground, layer)?;
        }
        self.images.insert(name.to_owned(), ground.clone());
        Ok(ground)
    }

    /// Puts a layer on top.
    fn add(&self, ground: &mut Ground, layer: Layer) -> Result<(), BuildError> {
        let blob = Digest::try_from(layer.descriptor.digest()).map_err(StoreError::from)?;
        let folder = self.lease.unpacked(&blob, &layer.diff_id)?;
        ground.view.layers.insert(0, folder);
        ground.layers.push(layer);
        Ok(())
    }

    fn stage(
        &mut self,
        mut ground: Ground,
        stage: &Stage,
        proxies: &[(String, String)],
    ) -> Result<Ground, BuildError> {
        let name = stage.name.clone().unwrap_or_else(|| stage.index.to_string());
        let count = stage.steps.len();
        for (index, step) in stage.steps.iter().enumerate() {
            self.steps += 1;
            self.progress.step(index + 1, count, &name, &step.created_by);
            self.carry_out(&mut ground, step, proxies)?;
        }
        ground.config = stage.configuration.clone();
        Ok(ground)
    }

    /// Writes the image of the stage that was asked for.
    fn finish(&self, target: usize) -> Result<Built, BuildError> {
        let ground = self.stages.get(&target).ok_or_else(|| BuildError::Step {
            line: 1,
            message: "the file has no stage to build".to_owned(),
        })?;
        let own = Platform::of_this_machine();
        let platform = ground.platform.as_ref().unwrap_or(&own);
        let mut config = ground.config.clone();
        config.labels.extend(self.request.labels.clone());
        let mut configuration = json!({
            "created": ground.created.clone().unwrap_or_else(|| self.time()),
            "architecture": platform.architecture,
            "os": platform.os,
        });
        if let Some(variant) = &platform.variant {
            configuration["variant"] = json!(variant);
        }
        if let Some(author) = &config.author {
            configuration["author"] = json!(author);
        }
        configuration["config"] = document::write(&config);
        let diff_ids: Vec<_> = ground.layers.iter().map(|it| it.diff_id.to_string()).collect();
        configuration["rootfs"] = json!({"type": "layers", "diff_ids": diff_ids});
        configuration["history"] = json!(ground.history);
        let descriptors = ground.layers.iter().map(|it| it.descriptor.clone()).collect();
        let descriptor = self.lease.write_image(&configuration, descriptors)?;
        for tag in &self.request.tags {
            self.builder.store.set(tag, &descriptor, self.lease)?;
        }
        let manifest = Digest::try_from(descriptor.digest()).map_err(StoreError::from)?;
        let image = self.builder.store.image_at(&manifest, "the image", None, self.lease)?;
        Ok(Built { id: image.id, manifest, steps: self.steps, cached: self.cached })
    }

    /// The time that the image says it was made at.
    fn time(&self) -> String {
        let now = match self.request.epoch {
            Some(seconds) => Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH),
            None => self.builder.clock.now(),
        };
        now.to_string()
    }
}
