//! Where jobs' processes live: on the host, or in a sandbox where the kernel allows one.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use loopline_runner::host::{Folders, HostError, Machines};
use loopline_sandbox::{
    Bind, Bounds, Host, Machine, Network, Sandbox, SandboxSpec, Support, probe,
};
use loopline_store::{Area, DataFolder};
use loopline_workflow::run::JobKey;

use super::request::Request;
use crate::environment;

/// The folder of the data folder in which emptied layers of sandboxes wait for their next use.
const LAYERS: &str = "layers";

/// Jobs as processes of this machine.
pub(crate) struct OnHost;

impl Machines for OnHost {
    fn machine(&self, job: &JobKey, _folders: &Folders) -> Result<Arc<dyn Machine>, HostError> {
        Ok(Arc::new(Host::new(job.as_str())))
    }
}

/// Jobs in sandboxes.
pub(crate) struct InSandbox {
    /// The user's home, whose path jobs see an empty folder at.
    pub(crate) home: PathBuf,
    /// What jobs may read besides their own folders.
    pub(crate) readable: Vec<PathBuf>,
    /// Whether jobs reach the internet.
    pub(crate) network: bool,
    /// Where emptied layers wait for their next use.
    pub(crate) pool: PathBuf,
}

impl Machines for InSandbox {
    fn machine(&self, _job: &JobKey, folders: &Folders) -> Result<Arc<dyn Machine>, HostError> {
        Ok(Arc::new(Sandbox::start(&self.spec(folders))?))
    }
}

impl InSandbox {
    /// Returns the sandbox of the job with these folders.
    pub(crate) fn spec(&self, folders: &Folders) -> SandboxSpec {
        let own =
            |path: &PathBuf| Bind { source: path.clone(), target: path.clone(), read_only: false };
        let mut binds = vec![own(&folders.workspace), own(&folders.temp), own(&folders.tool_cache)];
        binds.extend(self.readable.iter().filter(|path| path.exists()).map(|path| Bind {
            source: path.clone(),
            target: path.clone(),
            read_only: true,
        }));
        SandboxSpec {
            state: folders.job.join("layers"),
            pool: Some(self.pool.clone()),
            home: self.home.clone(),
            binds,
            // The run's folder: what of it a job sees is bound, down to its own folders.
            scaffolds: folders.job.ancestors().nth(2).map(Path::to_owned).into_iter().collect(),
            hostname: "loopline".to_owned(),
            network: if self.network { Network::User } else { Network::None },
            bounds: Bounds::of_machine(),
        }
    }
}

/// Returns how sandboxes of jobs of the repository at `root` are made.
pub(crate) fn in_sandbox(
    data: &DataFolder,
    root: &Path,
    request: &Request,
    network: bool,
) -> InSandbox {
    let home = environment::HOME.get_os().map_or_else(|| "/root".into(), Into::into);
    let mut readable = vec![data.area(Area::Actions)];
    readable.extend(request.actions.clone());
    if let Ok(repository) = loopline_git::Repository::discover(root) {
        // Work folders borrow the repository's objects instead of copying them.
        readable.push(repository.common_folder().join("objects"));
    }
    let pool = data.root().join(LAYERS);
    InSandbox { home, readable, network, pool }
}

/// Asks the kernel whether it allows sandboxes.
pub(crate) fn sandbox_support(data: &DataFolder) -> io::Result<Support> {
    let scratch = data.root().join(format!("probe-{}", std::process::id()));
    fs_err::create_dir_all(&scratch)?;
    let support = probe(&scratch);
    loopline_sandbox::remove_state(&scratch)?;
    Ok(support)
}

/// Returns the notes of an earlier yes to [`sandbox_support`], or asks again.
///
/// A yes is good until the machine starts again, for the same user and binary; asking costs a
/// whole sandbox. Should the kernel have changed its mind since, the job's own start says so.
pub(crate) fn known_support(data: &DataFolder) -> io::Result<Support> {
    let boot = fs_err::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let user = rustix::process::geteuid().as_raw();
    let key = format!("{} {user} {}", boot.trim(), env!("CARGO_PKG_VERSION"));
    let path = data.root().join("sandbox-support.json");
    let known = fs_err::read_to_string(&path)
        .ok()
        .and_then(|text| serde_json::from_str::<(String, Vec<String>)>(&text).ok())
        .filter(|(found, _)| *found == key);
    if let Some((_, notes)) = known {
        return Ok(Support::Full { notes });
    }
    let support = sandbox_support(data)?;
    if let Support::Full { notes } = &support {
        fs_err::write(&path, serde_json::to_vec(&(key, notes))?)?;
    }
    Ok(support)
}
