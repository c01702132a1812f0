//! What `loopline shell` needs of a job that ended: where its last process ran, and with what.
//!
//! The file lies in the job's kept folder and only its owner may read it. Variables that hold
//! secrets are left out and named instead.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use fs_err as fs;
use loopline_sandbox::{Kind, ProcessSpec};
use serde::{Deserialize, Serialize};

use crate::log::Masker;

const FILE: &str = "shell.json";

/// A job's last process, as far as a shell in its place needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShellState {
    /// Whether the job ran in a sandbox.
    pub sandbox: bool,
    /// The folder the process ran in.
    pub folder: PathBuf,
    /// Its environment, secrets left out.
    pub environment: BTreeMap<String, String>,
    /// The variables that are left out.
    pub secrets: Vec<String>,
}

impl ShellState {
    /// Returns the state of a process started from `spec` on a machine of `kind`.
    pub fn of(spec: &ProcessSpec, kind: Kind, masker: &Masker) -> Self {
        let mut state =
            Self { sandbox: kind == Kind::Sandbox, folder: spec.cwd.clone(), ..Self::default() };
        for (name, value) in &spec.env {
            let name = name.to_string_lossy().into_owned();
            let value = value.to_string_lossy().into_owned();
            if masker.contains_secret(&value) {
                state.secrets.push(name);
            } else {
                state.environment.insert(name, value);
            }
        }
        state
    }

    /// Writes the state into the folder of its job.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn save(&self, job: &Path) -> io::Result<()> {
        use fs_err::os::unix::fs::OpenOptionsExt as _;
        let mut file = fs::OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(job.join(FILE))?;
        file.write_all(&serde_json::to_vec(self)?)
    }

    /// Reads the state from the folder of its job.
    ///
    /// # Errors
    /// Where there is none.
    pub fn load(job: &Path) -> io::Result<Self> {
        Ok(serde_json::from_str(&fs::read_to_string(job.join(FILE))?)?)
    }
}
