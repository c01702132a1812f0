//! What a built-in action is given, and what it may ask for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;
use loopline_clock::Clock;

use super::checkout::Sources;
use crate::leash::Leash;
use crate::services::OnStored;
use crate::services::storage::{Artifacts, CacheScope, Caches};

/// Why a built-in action failed: one sentence with its cause.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Failure(pub String);

impl Failure {
    /// Returns a failure while doing `what`.
    pub(super) fn of(what: impl std::fmt::Display, error: impl std::fmt::Display) -> Self {
        Self(format!("{what}: {error}"))
    }
}

/// How a process that an action started ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessRun {
    /// Its exit status; nothing if a signal ended it.
    pub exit_code: Option<i32>,
    /// What it printed, both streams.
    pub output: String,
}

/// Starts a program of the job's environment (its name or path, and arguments) and waits.
pub type Start<'a> = dyn FnMut(&str, &[&str]) -> Result<ProcessRun, Failure> + 'a;

/// One use of a built-in action.
pub struct Context<'a> {
    /// The action as written in `uses`.
    pub uses: &'a str,
    /// Its inputs as given, names in lowercase.
    pub inputs: &'a IndexMap<String, String>,
    /// The environment its process would get.
    pub env: &'a IndexMap<String, String>,
    /// `github.workspace`.
    pub workspace: &'a Path,
    /// `runner.temp`.
    pub temp: &'a Path,
    /// `HOME` of the job's processes.
    pub home: &'a Path,
    /// `runner.tool_cache`.
    pub tool_cache: &'a Path,
    /// Whether the job is kept from the machine, so that an action must not be its way out.
    pub confined: bool,
    /// Whether a toolchain of another version is accepted (`--lenient-tools`).
    pub lenient_tools: bool,
    /// The run, which artifacts belong to.
    pub run: &'a str,
    /// The job, as one word.
    pub job: &'a str,
    /// Which caches the job may see and store.
    pub scope: &'a CacheScope,
    /// Where artifacts are.
    pub artifacts: Arc<dyn Artifacts>,
    /// Where caches are.
    pub caches: Arc<dyn Caches>,
    /// Who is told of artifacts.
    pub on_stored: OnStored,
    /// Where commits come from.
    pub sources: Arc<dyn Sources>,
    /// Where time comes from.
    pub clock: Clock,
    /// Ends it.
    pub leash: &'a Leash<'a>,
    /// Takes lines for the step's log; commands in them have effect.
    pub log: &'a mut dyn FnMut(&str),
    /// Starts programs.
    pub start: &'a mut Start<'a>,
    /// `steps.<id>.outputs`.
    pub outputs: &'a mut IndexMap<String, String>,
    /// What `post` gets back.
    pub state: &'a mut IndexMap<String, String>,
    /// Variables for the steps that follow.
    pub variables: &'a mut Vec<(String, String)>,
    /// Folders before `PATH`, for the steps that follow.
    pub paths: &'a mut Vec<String>,
}

impl Context<'_> {
    /// Returns the input `name`, trimmed; an empty text if it is not given.
    pub(super) fn input(&self, name: &str) -> &str {
        self.inputs.get(&name.to_ascii_lowercase()).map_or("", |value| value.trim())
    }

    /// Returns an input that is `true` or `false`, in YAML's spellings of them.
    pub(super) fn flag(&self, name: &str, default: bool) -> Result<bool, Failure> {
        match self.input(name) {
            "" => Ok(default),
            "true" | "True" | "TRUE" => Ok(true),
            "false" | "False" | "FALSE" => Ok(false),
            other => {
                Err(Failure(format!("input `{name}` is `{other}`, and must be `true` or `false`")))
            }
        }
    }

    /// Returns the lines of an input that are not empty.
    pub(super) fn lines(&self, name: &str) -> Vec<String> {
        let lines = self.input(name).lines().map(str::trim).filter(|line| !line.is_empty());
        lines.map(str::to_owned).collect()
    }

    pub(super) fn log(&mut self, line: &str) {
        (self.log)(line);
    }

    pub(super) fn set(&mut self, output: &str, value: impl Into<String>) {
        self.outputs.insert(output.to_owned(), value.into());
    }

    /// Returns a path of the job's: relative to the workspace, `~` is its home.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        match path.strip_prefix('~') {
            Some("") => self.home.to_path_buf(),
            Some(rest) if rest.starts_with('/') => self.home.join(&rest[1..]),
            _ => self.workspace.join(path),
        }
    }

    /// Warns of inputs the action does not have, and refuses those that it has and Loopline's
    /// equivalent does not honour.
    pub(super) fn check_inputs(
        &mut self,
        known: &[&str],
        unsupported: &[&str],
    ) -> Result<(), Failure> {
        let named =
            |names: &[&str], name: &str| names.iter().any(|known| known.eq_ignore_ascii_case(name));
        let given: Vec<(String, bool)> = self
            .inputs
            .iter()
            .map(|(name, value)| {
                let idle = matches!(value.trim(), "" | "false" | "False" | "FALSE");
                (name.clone(), idle)
            })
            .collect();
        for (name, idle) in given {
            if named(unsupported, &name) {
                if !idle {
                    return Err(Failure(format!(
                        "the built-in equivalent of {} does not support the input `{name}`; \
                         `--real-actions` runs the original",
                        self.uses
                    )));
                }
            } else if !named(known, &name) {
                self.log(&format!("::warning::Unexpected input(s) '{name}'"));
            }
        }
        Ok(())
    }
}
