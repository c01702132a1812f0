//! From `uses` to an action that can be run: where it is and what its metadata says.
//!
//! Remote actions are fetched while the job is set up, those inside composite actions included,
//! so that what is missing is known before the first step. An action in the workspace is read
//! when its step is reached, because a step before it may have put it there; only that it is a
//! Docker action is said at once, where the run's own working tree says so.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use loopline_source::SourceFile;
use loopline_workflow::github::model::{Action, ActionRuns, Step, StepKind, UsesRef};
use loopline_workflow::github::template::Token;

use super::Job;
use super::strand::{ActionIdentity, MAX_COMPOSITE_DEPTH};
use crate::actions::Builtin;
use crate::actions::links::{Confined, LinkError};

/// The names an action's metadata may have, in the order in which they are looked for.
const METADATA: [&str; 2] = ["action.yml", "action.yaml"];
/// The largest metadata that is read, in bytes.
const MAX_METADATA_BYTES: u64 = 1024 * 1024;

/// An action that can be run.
#[derive(Clone)]
pub(crate) struct Loaded {
    pub(crate) source: Source,
    /// The folder of its metadata.
    pub(crate) folder: PathBuf,
    pub(crate) identity: ActionIdentity,
}

/// What an action is.
#[derive(Clone)]
pub(crate) enum Source {
    /// One Loopline brings along.
    Builtin(Arc<dyn Builtin>),
    /// What its metadata says.
    Metadata(Arc<Action>),
}

/// Why an action cannot be run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// The reference has none of the forms.
    #[error("`{0}` is not an action: expected OWNER/REPOSITORY@REF, ./PATH or docker://IMAGE")]
    Form(String),
    /// Docker.
    #[error("`{0}` is a Docker action, which needs the image engine Loopline does not have yet")]
    Docker(String),
    /// It cannot be had.
    #[error("cannot get action `{uses}`")]
    Fetch {
        /// The reference.
        uses: String,
        /// Why.
        #[source]
        source: crate::host::FetchError,
    },
    /// There is nothing there.
    #[error(
        "cannot find 'action.yml' or 'action.yaml' under '{}' for `{uses}`; did you forget to run \
         actions/checkout before running a local action?", folder.display()
    )]
    Missing {
        /// The reference.
        uses: String,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// The path leads out of its repository.
    #[error("`{0}` leads out of its repository")]
    Outside(String),
    /// The metadata cannot be understood.
    #[error("`{}` is not a valid action: {problem}", file.display())]
    Invalid {
        /// The metadata.
        file: PathBuf,
        /// The first problem in it.
        problem: String,
    },
    /// Too many composite actions inside each other.
    #[error("`{0}`: composite actions nest deeper than {MAX_COMPOSITE_DEPTH} levels")]
    TooDeep(String),
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Job {
    /// Returns the action `uses` means; `root` is the repository of the action that says so,
    /// where one does.
    pub(crate) fn load(&self, uses: &str, root: Option<&Path>) -> Result<Loaded, LoadError> {
        match UsesRef::parse(uses) {
            None => Err(LoadError::Form(uses.to_owned())),
            Some(UsesRef::Docker(_)) => Err(LoadError::Docker(uses.to_owned())),
            Some(UsesRef::Local(path)) => {
                let root = &self.folders.workspace;
                load_folder(
                    uses,
                    root,
                    path,
                    ActionIdentity { root: root.clone(), ..ActionIdentity::default() },
                )
            }
            Some(UsesRef::Own(path)) => {
                let root = match root {
                    Some(root) => root.to_path_buf(),
                    None => self.own_root(uses)?,
                };
                let identity = ActionIdentity { root: root.clone(), ..ActionIdentity::default() };
                load_folder(uses, &root, path, identity)
            }
            Some(UsesRef::Remote { owner, repository, path, reference }) => {
                if let Some(loaded) = self.set_up().loaded.get(uses) {
                    return Ok(loaded.clone());
                }
                let loaded = self.load_remote(uses, owner, repository, path, reference)?;
                self.set_up().loaded.insert(uses.to_owned(), loaded.clone());
                Ok(loaded)
            }
        }
    }

    /// Returns the repository of the job's workflow, where `$/` leads.
    fn own_root(&self, uses: &str) -> Result<PathBuf, LoadError> {
        let Some(repository) = &self.source.repository else {
            return Ok(self.host.repository.clone());
        };
        let (owner, name) =
            repository.split_once('/').ok_or_else(|| LoadError::Form(repository.clone()))?;
        let reference = self.source.reference.as_deref().unwrap_or("HEAD");
        let fetched = self.host.actions.fetch(owner, name, reference);
        fetched
            .map(|fetched| fetched.root)
            .map_err(|source| LoadError::Fetch { uses: uses.to_owned(), source })
    }

    fn load_remote(
        &self,
        uses: &str,
        owner: &str,
        repository: &str,
        path: &str,
        reference: &str,
    ) -> Result<Loaded, LoadError> {
        let mut identity = ActionIdentity {
            path: String::new(),
            reference: reference.to_owned(),
            repository: format!("{owner}/{repository}"),
            root: PathBuf::new(),
        };
        if let Some(builtin) = self.host.builtins.find(owner, repository, path, reference) {
            let source = Source::Builtin(builtin);
            return Ok(Loaded { source, folder: PathBuf::new(), identity });
        }
        let fetched = self
            .host
            .actions
            .fetch(owner, repository, reference)
            .map_err(|source| LoadError::Fetch { uses: uses.to_owned(), source })?;
        self.say(&format!("{uses}: {} ({})", fetched.origin, fetched.commit));
        identity.root.clone_from(&fetched.root);
        load_folder(uses, &fetched.root, path, identity)
    }

    /// Loads every remote action the steps need, and refuses what cannot run. `root` is the
    /// repository of the action whose steps they are, `depth` how many actions are around.
    pub(crate) fn load_all(
        &self,
        steps: &[Step],
        root: Option<&Path>,
        depth: usize,
    ) -> Result<(), LoadError> {
        let mut todo: Vec<(Arc<[Step]>, Option<PathBuf>, usize)> =
            vec![(steps.into(), root.map(Path::to_path_buf), depth)];
        while let Some((steps, root, depth)) = todo.pop() {
            for step in steps.iter() {
                let uses = match &step.kind {
                    StepKind::Uses { uses, .. } => &*uses.value,
                    StepKind::Parallel(children) => {
                        todo.push((children.clone().into(), root.clone(), depth));
                        continue;
                    }
                    _ => continue,
                };
                if matches!(UsesRef::parse(uses), Some(UsesRef::Local(_))) {
                    continue;
                }
                let loaded = self.load(uses, root.as_deref())?;
                let Source::Metadata(action) = &loaded.source else { continue };
                match &action.runs {
                    Some(ActionRuns::Composite { steps }) => {
                        if depth >= MAX_COMPOSITE_DEPTH {
                            return Err(LoadError::TooDeep(uses.to_owned()));
                        }
                        let root = loaded.identity.root.clone();
                        todo.push((steps.clone().into(), Some(root), depth + 1));
                    }
                    Some(ActionRuns::Docker { .. }) => {
                        return Err(LoadError::Docker(uses.to_owned()));
                    }
                    Some(ActionRuns::Node { .. }) | None => {}
                }
            }
        }
        Ok(())
    }
}

impl Job {
    /// Refuses the Docker actions that the steps will find in the workspace, where a step before
    /// them puts the run's own working tree there. What else is in the workspace by then is for
    /// its step to find out.
    pub(crate) fn look_ahead(&self, steps: &[Step]) -> Result<(), LoadError> {
        let mut is_own_tree = false;
        let mut todo: Vec<(Step, usize, Option<String>)> = Vec::new();
        for step in steps {
            match &step.kind {
                StepKind::Uses { uses, with } => match UsesRef::parse(&uses.value) {
                    Some(UsesRef::Local(_)) if is_own_tree => todo.push((step.clone(), 0, None)),
                    Some(UsesRef::Remote { owner, repository, path: "", .. })
                        if owner.eq_ignore_ascii_case("actions")
                            && repository.eq_ignore_ascii_case("checkout") =>
                    {
                        let given = |name: &str| {
                            with.as_ref().and_then(Token::as_mapping).is_some_and(|pairs| {
                                pairs.iter().any(|pair| {
                                    pair.key
                                        .as_str()
                                        .is_none_or(|key| key.eq_ignore_ascii_case(name))
                                })
                            })
                        };
                        if !given("path") {
                            is_own_tree = !given("repository") && !given("ref");
                        }
                    }
                    _ => {}
                },
                StepKind::Parallel(children) if is_own_tree => {
                    todo.extend(children.iter().map(|child| (child.clone(), 0, None)));
                }
                _ => {}
            }
        }
        while let Some((step, depth, around)) = todo.pop() {
            let StepKind::Uses { uses, .. } = &step.kind else { continue };
            let uses = &*uses.value;
            let shown = match &around {
                Some(around) => format!("{uses}` in `{around}"),
                None => uses.to_owned(),
            };
            let path = match UsesRef::parse(uses) {
                Some(UsesRef::Docker(_)) => return Err(LoadError::Docker(shown)),
                Some(UsesRef::Local(path)) => path,
                _ => continue,
            };
            let root = &self.host.repository;
            // What is missing or wrong now may be there and right when its step is reached.
            let loaded = match load_folder(uses, root, path, ActionIdentity::default()) {
                Err(LoadError::Docker(_)) => return Err(LoadError::Docker(shown)),
                Err(_) => continue,
                Ok(loaded) => loaded,
            };
            let Source::Metadata(action) = &loaded.source else { continue };
            match &action.runs {
                Some(ActionRuns::Docker { .. }) => return Err(LoadError::Docker(shown)),
                Some(ActionRuns::Composite { steps }) if depth < MAX_COMPOSITE_DEPTH => {
                    todo.extend(
                        steps.iter().map(|step| (step.clone(), depth + 1, Some(uses.to_owned()))),
                    );
                }
                Some(ActionRuns::Composite { .. } | ActionRuns::Node { .. }) | None => {}
            }
        }
        Ok(())
    }
}

fn load_folder(
    uses: &str,
    root: &Path,
    path: &str,
    mut identity: ActionIdentity,
) -> Result<Loaded, LoadError> {
    let path = Path::new(path.trim_matches('/'));
    let folder = root.join(path);
    // The workspace is the job's, and the repository may be anybody's: links are followed only
    // as far as they stay inside.
    let confined = Confined::open(root)?;
    let outside = |error| match error {
        LinkError::Io(error) => LoadError::Io(error),
        LinkError::Out(_) | LinkError::TooMany => LoadError::Outside(uses.to_owned()),
    };
    identity.path = folder.to_string_lossy().into_owned();
    for name in METADATA {
        let file = folder.join(name);
        let text = match confined.read(&path.join(name), MAX_METADATA_BYTES) {
            Ok(Some(text)) => text,
            Ok(None) => continue,
            Err(LinkError::Io(error)) if error.kind() == io::ErrorKind::FileTooLarge => {
                let problem = format!("larger than {MAX_METADATA_BYTES} bytes");
                return Err(LoadError::Invalid { file, problem });
            }
            Err(error) => return Err(outside(error)),
        };
        let source = SourceFile::new(file.to_string_lossy(), text);
        let action = super::evaluate::parse_action(&source)
            .map_err(|problem| LoadError::Invalid { file, problem })?;
        return Ok(Loaded { source: Source::Metadata(Arc::new(action)), folder, identity });
    }
    for name in ["Dockerfile", "dockerfile"] {
        if confined.exists(&path.join(name)).map_err(outside)? {
            return Err(LoadError::Docker(uses.to_owned()));
        }
    }
    Err(LoadError::Missing { uses: uses.to_owned(), folder })
}
