//! The built-in actions and the servers of one run, on stores they share.
//!
//! This is where a job's [`Call`] becomes a [`Context`]. What the actions do is in their own
//! modules.

use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use fs_err as fs;
use loopline_clock::Clock;
use loopline_sandbox::{Kind as MachineKind, Machine, Output, ProcessSpec, Signal, Stdin};
use loopline_workflow::run::{Event, JobKey, Recorder};
use sha2::{Digest as _, Sha256};

use super::checkout::Sources;
use super::context::{Context, Failure, ProcessRun};
use super::find::{Equivalent, find};
use crate::actions::{Builtin, BuiltinError, Builtins, Call};
use crate::host::{Folders, HostError, JobServices, Services};
use crate::leash::Leash;
use crate::services::storage::{Artifacts, CacheScope, Caches};
use crate::services::{OnStored, Server, Session};

/// How much of what an action's process prints is read, in bytes.
const MAX_OUTPUT_BYTES: u64 = 1024 * 1024;

/// What the actions and the servers of one run share; cheap to clone.
#[derive(Clone)]
pub struct Local(Arc<Settings>);

/// What a run's built-in actions work with.
pub struct Settings {
    /// The run's id, of letters, digits and hyphens; artifacts belong to it.
    pub run: String,
    /// Which caches the run may see and store.
    pub scope: CacheScope,
    /// Where artifacts are.
    pub artifacts: Arc<dyn Artifacts>,
    /// Where caches are.
    pub caches: Arc<dyn Caches>,
    /// Where commits come from.
    pub sources: Arc<dyn Sources>,
    /// Who is told of artifacts.
    pub recorder: Arc<dyn Recorder>,
    /// Where time and secrets come from.
    pub clock: Clock,
    /// Whether a toolchain of another version is accepted (`--lenient-tools`).
    pub lenient_tools: bool,
}

impl Local {
    /// Returns the actions and servers of one run.
    pub fn new(settings: Settings) -> Self {
        Self(Arc::new(settings))
    }
}

/// Returns the job as one word, as tokens name it.
fn word(job: &JobKey) -> String {
    Sha256::digest(job.as_str()).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

impl Settings {
    fn on_stored(&self, job: &JobKey) -> OnStored {
        let (recorder, job) = (Arc::clone(&self.recorder), job.clone());
        Arc::new(move |artifact| {
            recorder.event(&Event::ArtifactStored {
                job: job.clone(),
                name: artifact.name.clone(),
                size_bytes: artifact.size_bytes,
                digest: artifact.digest.clone(),
            });
        })
    }
}

impl Services for Local {
    fn start(
        &self,
        job: &JobKey,
        machine: &Arc<dyn Machine>,
        _folders: &Folders,
    ) -> Result<JobServices, HostError> {
        let settings = &self.0;
        let session = Session {
            run: settings.run.clone(),
            job: word(job),
            scope: settings.scope.clone(),
            artifacts: Arc::clone(&settings.artifacts),
            caches: Arc::clone(&settings.caches),
            clock: settings.clock.clone(),
            on_stored: settings.on_stored(job),
        };
        let server = Server::start(machine.listen()?, session)?;
        Ok(JobServices {
            variables: server.variables(),
            secrets: vec![server.token().to_owned()],
            guard: Some(Box::new(server)),
        })
    }
}

impl Builtins for Local {
    fn find(
        &self,
        owner: &str,
        repository: &str,
        path: &str,
        reference: &str,
    ) -> Option<Arc<dyn Builtin>> {
        let equivalent = find(owner, repository, path, reference)?;
        Some(Arc::new(Bound { equivalent, settings: Arc::clone(&self.0) }))
    }
}

/// An equivalent with what it works with.
struct Bound {
    equivalent: Equivalent,
    settings: Arc<Settings>,
}

impl Builtin for Bound {
    fn title(&self) -> String {
        self.equivalent.title()
    }

    fn main(&self, call: &mut Call<'_>) -> Result<(), BuiltinError> {
        self.with(call, |context| self.equivalent.main(context))
    }

    fn post_condition(&self) -> Option<&'static str> {
        self.equivalent.post_condition()
    }

    fn post(&self, call: &mut Call<'_>) -> Result<(), BuiltinError> {
        self.with(call, |context| self.equivalent.post(context))
    }
}

impl Bound {
    fn with(
        &self,
        call: &mut Call<'_>,
        work: impl FnOnce(&mut Context<'_>) -> Result<(), Failure>,
    ) -> Result<(), BuiltinError> {
        let settings = &self.settings;
        let confined = call.machine.kind() == MachineKind::Sandbox;
        // On the host, processes have the user's own home.
        let home = match call.env.get("HOME").filter(|_| !confined) {
            Some(home) => PathBuf::from(home),
            None => call.folders.home.clone(),
        };
        let (folders, machine, leash, env) = (call.folders, call.machine, call.leash, call.env);
        let output = folders.temp.join(format!(".loopline-{}", settings.clock.random_hex(8)));
        let mut start = |program: &str, arguments: &[&str]| {
            let failed = |error: &dyn std::fmt::Display| Failure::of(program, error);
            let file = fs::File::options()
                .create_new(true)
                .read(true)
                .write(true)
                .open(&output)
                .map_err(|error| failed(&error))?;
            fs::remove_file(&output).map_err(|error| failed(&error))?;
            let spec = ProcessSpec {
                program: program.into(),
                args: arguments.iter().map(Into::into).collect(),
                env: env.iter().map(|(name, value)| (name.into(), value.into())).collect(),
                cwd: folders.workspace.clone(),
                stdin: Stdin::Null,
                output: Output::Fd(OwnedFd::from(
                    file.file().try_clone().map_err(|error| failed(&error))?,
                )),
            };
            let process = machine.spawn(&spec).map_err(|error| failed(&error))?;
            let exit_code = wait(process, leash).map_err(|error| failed(&error))?;
            Ok(ProcessRun { exit_code, output: read(file).map_err(|error| failed(&error))? })
        };
        let mut context = Context {
            uses: call.uses,
            inputs: call.inputs,
            env: call.env,
            workspace: &folders.workspace,
            temp: &folders.temp,
            home: &home,
            tool_cache: &folders.tool_cache,
            confined,
            lenient_tools: settings.lenient_tools,
            run: &settings.run,
            job: &word(call.job),
            scope: &settings.scope,
            artifacts: Arc::clone(&settings.artifacts),
            caches: Arc::clone(&settings.caches),
            on_stored: settings.on_stored(call.job),
            sources: Arc::clone(&settings.sources),
            clock: settings.clock.clone(),
            leash,
            log: call.log,
            start: &mut start,
            outputs: call.outputs,
            state: call.state,
            variables: call.variables,
            paths: call.paths,
        };
        work(&mut context).map_err(|failure| BuiltinError::new(failure.0))
    }
}

/// Waits for a process, and ends it once the step must end.
fn wait(mut process: loopline_sandbox::Process, leash: &Leash<'_>) -> io::Result<Option<i32>> {
    match leash.wait(&mut process, None) {
        Ok(status) => Ok(status.and_then(|status| status.code())),
        Err(error) => {
            process.signal(Signal::Kill)?;
            Err(error)
        }
    }
}

fn read(mut file: fs::File) -> io::Result<String> {
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    file.take(MAX_OUTPUT_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
