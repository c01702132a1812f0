//! The seam between jobs and built-in actions: what one is given and what it may ask for.
//!
//! The actions themselves are in `actions/builtin`.

use std::path::Path;

use indexmap::IndexMap;
use loopline_sandbox::Machine;
use loopline_workflow::run::JobKey;

use crate::host::Folders;
use crate::leash::Leash;

/// Why a built-in action failed: one sentence with its cause.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct BuiltinError {
    /// What went wrong.
    pub message: String,
}

impl BuiltinError {
    /// Returns an error that says `message`.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

/// One use of a built-in action: what it is given and where its answers go.
pub struct Call<'a> {
    /// The job.
    pub job: &'a JobKey,
    /// The action as written in `uses`.
    pub uses: &'a str,
    /// Its inputs as given, names in lowercase; defaults are the action's own business.
    pub inputs: &'a IndexMap<String, String>,
    /// The environment its process would get.
    pub env: &'a IndexMap<String, String>,
    /// The job's folders.
    pub folders: &'a Folders,
    /// Where it may start processes.
    pub machine: &'a dyn Machine,
    /// Ends it.
    pub leash: &'a Leash<'a>,
    /// Takes lines for the step's log, without line breaks; commands in them have effect.
    pub log: &'a mut dyn FnMut(&str),
    /// `steps.<id>.outputs`.
    pub outputs: &'a mut IndexMap<String, String>,
    /// What `post` gets back.
    pub state: &'a mut IndexMap<String, String>,
    /// Variables for the steps that follow.
    pub variables: &'a mut Vec<(String, String)>,
    /// Folders before `PATH`.
    pub paths: &'a mut Vec<String>,
}

impl Call<'_> {
    /// Returns the input `name`, or an empty text.
    pub fn input(&self, name: &str) -> &str {
        self.inputs.get(&name.to_lowercase()).map_or("", |value| value.trim())
    }

    /// Returns `path` taken relative to the workspace.
    pub fn in_workspace(&self, path: &str) -> std::path::PathBuf {
        self.folders.workspace.join(Path::new(path))
    }
}

/// An action Loopline brings along.
pub trait Builtin: Send + Sync {
    /// Returns the line the log shows, such as `actions/checkout@v4 (built in)`.
    fn title(&self) -> String;

    /// Does the work.
    ///
    /// # Errors
    /// Where it cannot; the step then fails.
    fn main(&self, call: &mut Call<'_>) -> Result<(), BuiltinError>;

    /// Returns the condition of its post step, or `None` where it has none.
    fn post_condition(&self) -> Option<&'static str> {
        None
    }

    /// Does what is left at the end of the job.
    ///
    /// # Errors
    /// Where it cannot; the post step then fails.
    fn post(&self, _call: &mut Call<'_>) -> Result<(), BuiltinError> {
        Ok(())
    }
}

/// The built-in actions by reference.
pub trait Builtins: Send + Sync {
    /// Returns what stands for `OWNER/REPOSITORY[/PATH]@REF`, if anything does.
    fn find(
        &self,
        owner: &str,
        repository: &str,
        path: &str,
        reference: &str,
    ) -> Option<std::sync::Arc<dyn Builtin>>;
}

/// No built-in actions at all, as with `--real-actions`.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoBuiltins;

impl Builtins for NoBuiltins {
    fn find(
        &self,
        _owner: &str,
        _repository: &str,
        _path: &str,
        _reference: &str,
    ) -> Option<std::sync::Arc<dyn Builtin>> {
        None
    }
}
