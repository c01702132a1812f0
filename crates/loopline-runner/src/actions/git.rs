//! Runs the `git` program for what talks to other repositories.
//!
//! Reading the own repository needs no program (`loopline-git`). Talking to others does: git
//! knows every transport, credential form and proxy there is. It is started without the user's
//! and the system's configuration, without hooks, prompts and helpers, and secrets reach it in
//! its environment, never in its arguments.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use loopline_clock::Clock;
use loopline_sandbox::{Host, Machine as _, Output, ProcessSpec, Signal, SpawnError, Stdin};

use crate::leash::Leash;

/// How long one command may take.
const PATIENCE: Duration = Duration::from_secs(600);
/// How often the size of what a command fetches is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How much of what a command prints is kept, in bytes.
const MAX_OUTPUT_BYTES: u64 = 1024 * 1024;

/// Why git could not do something.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// There is no `git` on `PATH`.
    #[error("the `git` program is needed to fetch from other repositories, and is not on PATH")]
    Missing,
    /// It said no.
    #[error("git {what}: {said}")]
    Failed {
        /// The command's first words.
        what: String,
        /// The last line it printed.
        said: String,
    },
    /// It did not finish in time.
    #[error("git {what} did not finish within {} s", PATIENCE.as_secs())]
    TooSlow {
        /// The command's first words.
        what: String,
    },
    /// It brought too much.
    #[error("git {what} was ended: it brought more than {limit_bytes} bytes")]
    TooLarge {
        /// The command's first words.
        what: String,
        /// The bound.
        limit_bytes: u64,
    },
    /// It could not be started or waited for.
    #[error("git: {0}")]
    System(String),
}

/// What shows a server who asks.
#[derive(Clone)]
pub struct Access {
    /// The server's address; nobody else is shown the header.
    pub server: String,
    /// The header.
    pub header: String,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("server", &self.server).finish_non_exhaustive()
    }
}

/// How git is started.
#[derive(Clone, Debug)]
pub struct Git {
    environment: Arc<IndexMap<String, String>>,
}

impl Git {
    /// Returns git with `PATH`, certificates and proxies of `environment`.
    pub fn new(environment: Arc<IndexMap<String, String>>) -> Self {
        Self { environment }
    }

    /// Runs `git arguments` in `folder` and returns what it printed; `leash` ends it early.
    ///
    /// # Errors
    /// [`GitError`], each variant as it says.
    pub fn run(
        &self,
        folder: &Path,
        arguments: &[&str],
        access: Option<&Access>,
        leash: Option<&Leash<'_>>,
    ) -> Result<String, GitError> {
        self.run_bounded(folder, arguments, access, leash, u64::MAX)
    }

    /// Runs git like [`Git::run`], and ends it when the packs in `folder` have grown beyond
    /// `limit_bytes`.
    ///
    /// # Errors
    /// [`GitError`], each variant as it says.
    pub fn run_bounded(
        &self,
        folder: &Path,
        arguments: &[&str],
        access: Option<&Access>,
        leash: Option<&Leash<'_>>,
        limit_bytes: u64,
    ) -> Result<String, GitError> {
        let named = arguments.chunks(2).position(|pair| pair[0] != "-c").unwrap_or(0) * 2;
        let what = arguments.iter().skip(named).take(2).copied().collect::<Vec<_>>().join(" ");
        let system = |error: &dyn std::fmt::Display| GitError::System(error.to_string());
        let mut args: Vec<&str> = vec![
            "-c",
            "core.hooksPath=/dev/null",
            "-c",
            "protocol.ext.allow=never",
            "-c",
            "credential.helper=",
            "-c",
            "gc.auto=0",
            "-c",
            "safe.directory=*",
        ];
        args.extend(arguments);
        let spec = ProcessSpec {
            program: "git".into(),
            args: args.iter().map(Into::into).collect(),
            env: self.variables(access),
            cwd: folder.to_path_buf(),
            stdin: Stdin::Null,
            output: Output::Piped,
        };
        let machine = Host::new("git");
        let mut process = machine.spawn(&spec).map_err(|error| match error {
            SpawnError::NotFound { .. } => GitError::Missing,
            error => system(&error),
        })?;
        let mut said = Vec::new();
        if let Some(pipe) = process.take_output() {
            // Git's own children end with it, so the pipe does too; the bound is for safety.
            let reader = std::thread::spawn(move || {
                let mut bytes = Vec::new();
                let read = File::from(pipe).take(MAX_OUTPUT_BYTES).read_to_end(&mut bytes);
                read.map(|_| bytes)
            });
            let free = Leash::free(Clock::real());
            let leash = leash.unwrap_or(&free);
            let mut waited = Duration::ZERO;
            while leash.wait(&mut process, Some(LOOK)).map_err(|error| system(&error))?.is_none() {
                waited += LOOK;
                let too_large = packs_bytes(folder) > limit_bytes;
                if too_large || waited >= PATIENCE {
                    process.signal(Signal::Kill).map_err(|error| system(&error))?;
                    return Err(match too_large {
                        true => GitError::TooLarge { what, limit_bytes },
                        false => GitError::TooSlow { what },
                    });
                }
            }
            if let Ok(Ok(bytes)) = reader.join() {
                said = bytes;
            }
        }
        let status = process.try_wait().map_err(|error| system(&error))?;
        let said = String::from_utf8_lossy(&said).into_owned();
        if status.is_some_and(|status| status.success()) {
            return Ok(said);
        }
        let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it failed");
        Err(GitError::Failed { what, said: last.trim().to_owned() })
    }

    fn variables(&self, access: Option<&Access>) -> Vec<(std::ffi::OsString, std::ffi::OsString)> {
        let own = [
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_ASKPASS", "true"),
            ("LC_ALL", "C"),
        ];
        let mut variables: Vec<(std::ffi::OsString, std::ffi::OsString)> = self
            .environment
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .chain(own.iter().map(|(name, value)| (name.into(), value.into())))
            .collect();
        if let Some(Access { server, header }) = access {
            for (name, value) in [
                ("GIT_CONFIG_COUNT", "2"),
                ("GIT_CONFIG_KEY_0", &format!("http.{server}/.extraHeader")),
                ("GIT_CONFIG_VALUE_0", header),
                // Git would take the header along to wherever it is led.
                ("GIT_CONFIG_KEY_1", "http.followRedirects"),
                ("GIT_CONFIG_VALUE_1", "false"),
            ] {
                variables.push((name.into(), value.into()));
            }
        }
        variables
    }
}

/// Returns the size of the packs of the repository at `folder`, those that are being written
/// included.
fn packs_bytes(folder: &Path) -> u64 {
    let size = |packs: &Path| {
        let Ok(entries) = fs_err::read_dir(packs) else { return 0 };
        // What vanishes while it is counted was temporary.
        entries.flatten().filter_map(|entry| entry.metadata().ok()).map(|about| about.len()).sum()
    };
    ["objects/pack", ".git/objects/pack"].iter().map(|packs| size(&folder.join(packs))).sum::<u64>()
}
