//! A container's specification out of an image's configuration and what was asked for, as Docker
//! puts the two together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use loopline_image::store::Image;
use loopline_sandbox::{
    ContainerNetwork, ContainerSpec, DEFAULT_CAPABILITIES, Health, Limits, Mount, MountSource,
    Port, ProcessConfig, Restart, Root, Supervision, capabilities, is_capability, is_limit,
};
use serde_json::Value;

/// The `PATH` of an image that sets none.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How long a container may take to stop, where nobody says otherwise.
const STOP: Duration = Duration::from_secs(10);
/// The health check's figures where nobody gives them, as Docker has them.
const INTERVAL: Duration = Duration::from_secs(30);
const START_INTERVAL: Duration = Duration::from_secs(5);
const RETRIES: u32 = 3;

/// What a container is asked to be beyond its image; the fields are Docker's flags.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `--name`.
    pub name: Option<String>,
    /// What comes after the image.
    pub command: Vec<String>,
    /// `--entrypoint`; an empty one takes the image's away.
    pub entrypoint: Option<Vec<String>>,
    /// `--env`, `NAME=value`.
    pub env: Vec<String>,
    /// `--workdir`.
    pub workdir: Option<PathBuf>,
    /// `--user`.
    pub user: Option<String>,
    /// `--group-add`.
    pub groups: Vec<String>,
    /// `--hostname`; the short identifier without.
    pub hostname: Option<String>,
    /// `--volume`, `--mount`, `--tmpfs`.
    pub volumes: Vec<Volume>,
    /// `--publish`.
    pub ports: Vec<Port>,
    /// `--network`.
    pub network: Option<ContainerNetwork>,
    /// `--add-host`, name and address.
    pub hosts: Vec<(String, String)>,
    /// `--read-only`.
    pub read_only: bool,
    /// `--privileged`.
    pub privileged: bool,
    /// `--cap-add`, without `CAP_`; `ALL` for all.
    pub cap_add: Vec<String>,
    /// `--cap-drop`.
    pub cap_drop: Vec<String>,
    /// `--security-opt no-new-privileges`.
    pub no_new_privileges: bool,
    /// `--security-opt seccomp=unconfined`.
    pub unfiltered: bool,
    /// `--ulimit`.
    pub ulimits: BTreeMap<String, (u64, u64)>,
    /// `--sysctl`.
    pub sysctls: BTreeMap<String, String>,
    /// `--memory`, `--cpus` and their like.
    pub limits: Limits,
    /// `--oom-score-adj`.
    pub oom_score_adj: Option<i32>,
    /// `--shm-size`, in bytes.
    pub shm_bytes: Option<u64>,
    /// `--device`, host's path and the container's.
    pub devices: Vec<(PathBuf, PathBuf)>,
    /// `--init`.
    pub init: bool,
    /// `--tty`.
    pub terminal: bool,
    /// `--interactive`.
    pub interactive: bool,
    /// `--detach`.
    pub detached: bool,
    /// `--rm`.
    pub auto_remove: bool,
    /// `--restart`.
    pub restart: Option<Restart>,
    /// `--stop-signal`, by number.
    pub stop_signal: Option<i32>,
    /// `--stop-timeout`.
    pub stop_timeout: Option<Duration>,
    /// `--health-cmd`, in a shell; or `--no-healthcheck` (empty).
    pub health_command: Option<Vec<String>>,
    /// `--health-interval`.
    pub health_interval: Option<Duration>,
    /// `--health-timeout`.
    pub health_timeout: Option<Duration>,
    /// `--health-retries`.
    pub health_retries: Option<u32>,
    /// `--health-start-period`.
    pub health_start_period: Option<Duration>,
    /// `--health-start-interval`.
    pub health_start_interval: Option<Duration>,
    /// `--label`.
    pub labels: BTreeMap<String, String>,
}

/// Something mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Where it comes from.
    pub source: VolumeSource,
    /// The absolute path inside.
    pub target: PathBuf,
    /// `:ro`.
    pub read_only: bool,
}

/// Where a mount comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VolumeSource {
    /// A path of the host.
    Host(PathBuf),
    /// A volume of this name.
    Named(String),
    /// A volume of the container's own.
    Anonymous,
    /// Memory: size in bytes and mode.
    Memory(Option<u64>, u32),
}

/// A container's configuration that cannot be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadOptions(pub(crate) String);

/// The image's side, as Docker's `config` object has it.
struct Configured<'a>(&'a Value);

impl<'a> Configured<'a> {
    fn text(&self, name: &str) -> Option<&'a str> {
        self.0.get(name)?.as_str().filter(|it| !it.is_empty())
    }

    fn list(&self, name: &str) -> Option<Vec<String>> {
        let list = self.0.get(name)?.as_array()?;
        Some(list.iter().filter_map(|it| it.as_str().map(str::to_owned)).collect())
    }

    fn keys(&self, name: &str) -> Vec<String> {
        let keys = self.0.get(name).and_then(Value::as_object);
        keys.map(|it| it.keys().cloned().collect()).unwrap_or_default()
    }
}

/// What the parts make together.
pub(crate) struct Made {
    pub(crate) spec: ContainerSpec,
    pub(crate) supervision: Supervision,
    pub(crate) command: Vec<String>,
    pub(crate) labels: BTreeMap<String, String>,
    /// The mounts that need a volume, in the image's order after those asked for.
    pub(crate) volumes: Vec<Volume>,
}

/// Puts an image and options together. The root and the mounts are the caller's.
pub(crate) fn make(
    id: &str,
    image: &Image,
    options: &Options,
    root: Root,
) -> Result<Made, BadOptions> {
    let empty = Value::Null;
    let config = Configured(image.raw.get("config").unwrap_or(&empty));
    let command = command(&config, options);
    if command.is_empty() {
        return Err(BadOptions("no command is given, and the image has none".to_owned()));
    }
    let hostname = options.hostname.clone().unwrap_or_else(|| id[..12.min(id.len())].to_owned());
    let network = options.network.unwrap_or(ContainerNetwork::User);
    if network != ContainerNetwork::User && !options.ports.is_empty() {
        return Err(BadOptions(
            "ports are published by a network of the container's own".to_owned(),
        ));
    }
    let process = ProcessConfig {
        args: command.clone(),
        env: environment(&config, options, &hostname),
        cwd: options
            .workdir
            .clone()
            .or_else(|| config.text("WorkingDir").map(PathBuf::from))
            .map_or_else(|| PathBuf::from("/"), |it| Path::new("/").join(it)),
        user: options
            .user
            .clone()
            .or_else(|| config.text("User").map(str::to_owned))
            .unwrap_or_default(),
        groups: options.groups.clone(),
        capabilities: kept_capabilities(options)?,
        no_new_privileges: options.no_new_privileges,
        filtered: !options.unfiltered && !options.privileged,
        rlimits: limits(options)?,
        oom_score_adj: options.oom_score_adj,
    };
    let supervision = Supervision {
        detached: options.detached,
        terminal: options.terminal,
        open_input: options.interactive,
        restart: options.restart.unwrap_or(Restart::No),
        health: health(&config, options),
        stop_signal: match (options.stop_signal, config.text("StopSignal")) {
            (Some(signal), _) => signal,
            (None, Some(name)) => loopline_sandbox::signal_number(name)
                .ok_or_else(|| BadOptions(format!("the image's STOPSIGNAL is `{name}`")))?,
            (None, None) => 15,
        },
        stop_timeout: options.stop_timeout.unwrap_or(STOP),
    };
    let mut labels: BTreeMap<String, String> = BTreeMap::new();
    if let Some(own) = config.0.get("Labels").and_then(Value::as_object) {
        labels.extend(
            own.iter().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))),
        );
    }
    labels.extend(options.labels.clone());
    let mut volumes = options.volumes.clone();
    for target in config.keys("Volumes").into_iter().map(PathBuf::from) {
        if !volumes.iter().any(|it| it.target == target) {
            volumes.push(Volume { source: VolumeSource::Anonymous, target, read_only: false });
        }
    }
    // Parents before children.
    volumes.sort_by_key(|it| it.target.components().count());
    let spec = ContainerSpec {
        id: id.to_owned(),
        hostname,
        root,
        read_only: options.read_only,
        mounts: own_mounts(options),
        process,
        limits: options.limits.clone(),
        network,
        ports: options.ports.clone(),
        sysctls: options.sysctls.clone(),
        init: options.init,
        privileged: options.privileged,
    };
    Ok(Made { spec, supervision, command, labels, volumes })
}

fn command(config: &Configured<'_>, options: &Options) -> Vec<String> {
    let own = config.list("Cmd").unwrap_or_default();
    let (mut command, rest) = match &options.entrypoint {
        // Another entry point does not get the arguments that were meant for the image's.
        Some(other) => (other.clone(), Vec::new()),
        None => (config.list("Entrypoint").unwrap_or_default(), own),
    };
    command.extend(if options.command.is_empty() { rest } else { options.command.clone() });
    command
}

fn environment(config: &Configured<'_>, options: &Options, hostname: &str) -> Vec<String> {
    let mut env = config.list("Env").unwrap_or_default();
    if !env.iter().any(|line| line.starts_with("PATH=")) {
        env.insert(0, PATH.to_owned());
    }
    env.push(format!("HOSTNAME={hostname}"));
    if options.terminal {
        env.push("TERM=xterm".to_owned());
    }
    env.extend(options.env.clone());
    env
}

fn kept_capabilities(options: &Options) -> Result<Vec<String>, BadOptions> {
    let plain = |name: &String| {
        let name = name.to_ascii_uppercase();
        let name = name.strip_prefix("CAP_").unwrap_or(&name).to_owned();
        if name == "ALL" || is_capability(&name) {
            Ok(name)
        } else {
            Err(BadOptions(format!("no capability is called `{name}`")))
        }
    };
    let add = options.cap_add.iter().map(plain).collect::<Result<Vec<_>, _>>()?;
    let drop = options.cap_drop.iter().map(plain).collect::<Result<Vec<_>, _>>()?;
    let mut kept: Vec<String> = if add.iter().any(|it| it == "ALL") {
        capabilities().iter().map(|it| (*it).to_owned()).collect()
    } else if drop.iter().any(|it| it == "ALL") {
        Vec::new()
    } else {
        DEFAULT_CAPABILITIES.map(str::to_owned).to_vec()
    };
    kept.retain(|it| !drop.contains(it));
    for name in add.into_iter().filter(|it| it != "ALL") {
        if !kept.contains(&name) {
            kept.push(name);
        }
    }
    Ok(kept)
}

fn limits(options: &Options) -> Result<BTreeMap<String, (u64, u64)>, BadOptions> {
    match options.ulimits.keys().find(|name| !is_limit(name)) {
        Some(name) => Err(BadOptions(format!("no resource limit is called `{name}`"))),
        None => Ok(options.ulimits.clone()),
    }
}

/// What is mounted without being a volume: devices, shared memory of another size.
fn own_mounts(options: &Options) -> Vec<Mount> {
    let mut mounts = Vec::new();
    for (source, target) in &options.devices {
        mounts.push(Mount {
            target: target.clone(),
            source: MountSource::Bind(source.clone()),
            read_only: false,
            filled: false,
        });
    }
    if let Some(bytes) = options.shm_bytes {
        mounts.push(Mount {
            target: "/dev/shm".into(),
            source: MountSource::Memory {
                size_bytes: Some(bytes),
                mode: 0o1777,
                executable: false,
            },
            read_only: false,
            filled: false,
        });
    }
    mounts
}

fn health(config: &Configured<'_>, options: &Options) -> Option<Health> {
    let own = config.0.get("Healthcheck").cloned().unwrap_or(Value::Null);
    let own = Configured(&own);
    let test = match &options.health_command {
        Some(command) => command.clone(),
        None => match own.list("Test")? {
            list if list.first().is_some_and(|it| it == "CMD") => list[1..].to_vec(),
            list if list.first().is_some_and(|it| it == "CMD-SHELL") => {
                let mut test =
                    config.list("Shell").unwrap_or_else(|| vec!["/bin/sh".into(), "-c".into()]);
                test.extend(list.get(1).cloned());
                test
            }
            _ => return None,
        },
    };
    if test.is_empty() {
        return None;
    }
    // An image has nanoseconds, of which 0 is as good as nothing.
    let nanoseconds = |name: &str| {
        let number = own.0.get(name)?.as_u64().filter(|it| *it > 0)?;
        Some(Duration::from_nanos(number))
    };
    let retries = own.0.get("Retries").and_then(Value::as_u64).filter(|it| *it > 0);
    Some(Health {
        test,
        interval: options.health_interval.or(nanoseconds("Interval")).unwrap_or(INTERVAL),
        timeout: options.health_timeout.or(nanoseconds("Timeout")).unwrap_or(INTERVAL),
        retries: options
            .health_retries
            .or(retries.and_then(|it| u32::try_from(it).ok()))
            .unwrap_or(RETRIES),
        start_period: options
            .health_start_period
            .or(nanoseconds("StartPeriod"))
            .unwrap_or(Duration::ZERO),
        start_interval: options
            .health_start_interval
            .or(nanoseconds("StartInterval"))
            .unwrap_or(START_INTERVAL),
    })
}
