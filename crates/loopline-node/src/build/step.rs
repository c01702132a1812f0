//! One step: finds what an earlier build made of it, or carries it out and makes a layer.

use std::io::Read as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;
use loopline_formats::dockerfile::instruction::{Network, Security};
use loopline_formats::dockerfile::mount::{Kind, Sharing};
use loopline_formats::dockerfile::plan::{
    Copy, CopySource, From, PlannedMount, Run, Step, StepKind,
};
use loopline_image::digest::Digest;
use loopline_image::layer::{Compression, Owners, PackOptions};
use loopline_sandbox::{
    Container, ContainerError, ContainerNetwork, ContainerSpec, DEFAULT_CAPABILITIES, Limits,
    Mount, MountSource, ProcessConfig, Restart, Root, Supervision, output_pipe, resolver_file,
};
use rustix::fs::{FlockOperation, flock};
use serde_json::json;

use super::cache::Made;
use super::transfer::{Selection, Tree, make_folder, select};
use super::view::View;
use super::{BuildError, Ground, Work};

/// The `PATH` of a step whose image sets none.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The host name of a step.
const HOSTNAME: &str = "buildkitsandbox";
/// The folder of what caches keep between builds.
const MOUNTS: &str = "builds/mounts";
/// How much of a program's output is read at once, in bytes.
const CHUNK_BYTES: usize = 32 * 1024;

impl Work<'_> {
    pub(super) fn carry_out(
        &mut self,
        ground: &mut Ground,
        step: &Step,
        proxies: &[(String, String)],
    ) -> Result<(), BuildError> {
        let made = match &step.kind {
            // It happens when what it is on does, so that nothing changes where nothing changes.
            StepKind::Configure => {
                let created = ground.created.clone().unwrap_or_else(|| self.time());
                Made { layer: None, created }
            }
            StepKind::Folder(path) => {
                let key = key(&ground.key, &json!({"folder": path}));
                self.cached(ground, key, |_, upper, ground| {
                    make_folder(upper, path, &ground.view)?;
                    Ok(())
                })?
            }
            StepKind::Copy(copy) => self.transfer(ground, copy, step)?,
            StepKind::Run(run) => {
                // What a step sees of other places is part of what it makes: stages and images are
                // known by what they are the result of, the context by its files.
                let mut shown = Vec::new();
                for mount in run.mounts.iter().filter(|it| it.mount.kind == Kind::Bind) {
                    let files = bound(mount);
                    shown.push(match self.source(&files.from, step.line)? {
                        Some(ground) => ground.key,
                        None => {
                            let files = self.select(&files, &View::default(), step.line)?;
                            files.digest()?.to_string()
                        }
                    });
                }
                let description = json!({
                    "args": run.arguments,
                    "env": step.environment,
                    "workdir": step.working_directory,
                    "user": step.user,
                    "mounts": format!("{:?}", run.mounts),
                    "shown": shown,
                    "network": format!("{:?}", run.network),
                    "script": run.script.as_ref().map(|it| (&it.name, &it.content)),
                });
                let key = key(&ground.key, &description);
                self.cached(ground, key, |work, upper, ground| {
                    work.run(upper, ground, run, step, proxies)
                })?
            }
        };
        let mut history = json!({"created": made.created, "created_by": step.created_by});
        ground.created = Some(made.created);
        match made.layer {
            Some(layer) => self.add(ground, layer)?,
            None => history["empty_layer"] = json!(true),
        }
        ground.history.push(history);
        Ok(())
    }

    /// Returns what the key's step made, carrying it out only where nobody has.
    fn cached(
        &mut self,
        ground: &mut Ground,
        key: Digest,
        act: impl FnOnce(&mut Self, &Path, &Ground) -> Result<(), BuildError>,
    ) -> Result<Made, BuildError> {
        // Files are not newer than that, so it is part of what is made.
        let key = match self.request.epoch {
            Some(epoch) => Digest::of(format!("{key} {epoch}").as_bytes()),
            None => key,
        };
        ground.key = key.to_string();
        if let Some(made) = self.cache.get(&key) {
            self.cached += 1;
            self.progress.cached();
            return Ok(made);
        }
        let upper = self.scratch.join(format!("upper-{}", self.steps));
        fs::create_dir_all(&upper)?;
        act(self, &upper, ground)?;
        let is_empty = fs::read_dir(&upper)?.next().is_none();
        let layer = if is_empty {
            None
        } else {
            let is_root = rustix::process::geteuid().is_root();
            let options = PackOptions {
                compression: Compression::Gzip,
                overlay: true,
                newest: self.request.epoch,
                owners: if is_root { Owners::Keep } else { Owners::Fixed(0, 0) },
            };
            Some(self.lease.pack(&upper, &options)?)
        };
        let made = Made { layer, created: self.time() };
        self.cache.put(&key, &made)?;
        loopline_sandbox::remove_state(&upper)?;
        Ok(made)
    }

    /// Finds the files of an instruction, wherever they come from.
    fn select(&mut self, files: &Copy, base: &View, line: u32) -> Result<Selection, BuildError> {
        if let Some(from) = self.source(&files.from, line)? {
            return select(files, &Tree::View(&from.view), base, line);
        }
        let folder = fs::canonicalize(&self.request.context)?;
        let context = Tree::Context { folder: &folder, ignored: &self.ignored };
        select(files, &context, base, line)
    }

    /// Returns the stage or image that something is taken from; nothing for the context.
    fn source(&mut self, from: &From, line: u32) -> Result<Option<Ground>, BuildError> {
        match from {
            From::Context => Ok(None),
            From::Stage(number) => Ok(self.stages.get(number).cloned()),
            From::Image(name) => self.image(name, line).map(Some),
        }
    }

    fn transfer(
        &mut self,
        ground: &mut Ground,
        files: &Copy,
        step: &Step,
    ) -> Result<Made, BuildError> {
        if let Some(sum) = &files.checksum {
            let message = format!("--checksum={sum}: it is for files that ADD fetches");
            return Err(BuildError::Step { line: step.line, message });
        }
        let selection = self.select(files, &ground.view, step.line)?;
        let description = json!({
            "destination": files.destination,
            "link": files.link,
            "content": selection.digest()?.as_str(),
        });
        let key = key(&ground.key, &description);
        self.cached(ground, key, |_, upper, ground| {
            selection.write(upper, &ground.view, files.link)
        })
    }

    fn run(
        &mut self,
        upper: &Path,
        ground: &Ground,
        run: &Run,
        step: &Step,
        proxies: &[(String, String)],
    ) -> Result<(), BuildError> {
        let fail =
            |message: &str| BuildError::Step { line: step.line, message: message.to_owned() };
        if run.security == Security::Insecure {
            return Err(fail("--security=insecure: steps always run confined here"));
        }
        let network = match run.network {
            _ if self.request.offline => ContainerNetwork::None,
            Network::Default => ContainerNetwork::User,
            Network::None => ContainerNetwork::None,
            Network::Host => ContainerNetwork::Host,
        };
        let place = self.scratch.join(format!("step-{}", self.steps));
        fs::create_dir_all(&place)?;
        let variables = proxies.iter().chain(&step.environment);
        let mut env: Vec<String> =
            variables.map(|(name, value)| format!("{name}={value}")).collect();
        if !step.environment.iter().any(|(name, _)| name == "PATH") {
            env.push(format!("PATH={PATH}"));
        }
        let mut locks = Vec::new();
        let mut mounts = network_files(&place, network)?;
        for (index, asked) in run.mounts.iter().enumerate() {
            let place = place.join(index.to_string());
            mounts.extend(self.mount(asked, &place, step.line, &mut env, &mut locks)?);
        }
        if let Some(script) = &run.script {
            use std::os::unix::fs::PermissionsExt as _;
            let file = place.join("script");
            fs::write(&file, &script.content)?;
            fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755))?;
            mounts.push(bind(file, Path::new("/dev/pipes").join(&script.name), true));
        }
        let targets: Vec<PathBuf> = mounts.iter().map(|it| it.target.clone()).collect();
        let spec = ContainerSpec {
            id: self.builder.clock.random_hex(8),
            hostname: HOSTNAME.to_owned(),
            root: Root::Layers {
                lower: ground.view.layers.clone(),
                upper: upper.to_owned(),
                work: place.join("work"),
            },
            read_only: false,
            mounts,
            process: ProcessConfig {
                args: run.arguments.clone(),
                env,
                cwd: folder(&step.working_directory),
                user: step.user.clone(),
                groups: Vec::new(),
                capabilities: DEFAULT_CAPABILITIES.map(str::to_owned).to_vec(),
                no_new_privileges: false,
                filtered: true,
                rlimits: std::collections::BTreeMap::new(),
                oom_score_adj: None,
            },
            limits: Limits::default(),
            network,
            ports: Vec::new(),
            sysctls: std::collections::BTreeMap::new(),
            init: false,
            privileged: false,
        };
        let supervision = Supervision {
            detached: false,
            terminal: false,
            open_input: false,
            restart: Restart::No,
            health: None,
            stop_signal: 15,
            stop_timeout: Duration::ZERO,
        };
        let (ours, theirs) = output_pipe()?;
        let null: OwnedFd = fs::File::open("/dev/null")?.into_parts().0.into();
        let streams = [null.as_fd(), theirs.as_fd(), theirs.as_fd()];
        let started = Container::start(&spec, &supervision, None, Some(streams));
        let container = match started {
            Ok(container) => container,
            Err(ContainerError::Refused { code: 125, message }) => return Err(fail(&message)),
            Err(ContainerError::Refused { code, message }) => {
                self.progress.output(format!("{message}\n").as_bytes());
                return Err(BuildError::Failed {
                    line: step.line,
                    shown: step.created_by.clone(),
                    code,
                });
            }
            Err(other) => return Err(other.into()),
        };
        drop(theirs);
        let mut output = std::fs::File::from(ours);
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            match output.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => self.progress.output(&buffer[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        let ended = container.wait()?;
        if ended.code != 0 {
            return Err(BuildError::Failed {
                line: step.line,
                shown: step.created_by.clone(),
                code: ended.code,
            });
        }
        tidy(upper, &targets)?;
        Ok(())
    }

    /// Prepares what a step asks to have mounted.
    fn mount(
        &mut self,
        planned: &PlannedMount,
        place: &Path,
        line: u32,
        env: &mut Vec<String>,
        locks: &mut Vec<fs::File>,
    ) -> Result<Option<Mount>, BuildError> {
        let asked = &planned.mount;
        let fail = |message: String| BuildError::Step { line, message };
        let target = |usual: &str| PathBuf::from(asked.target.as_deref().unwrap_or(usual));
        match asked.kind {
            Kind::Tmpfs => Ok(Some(Mount {
                target: target("/tmp"),
                source: MountSource::Memory {
                    size_bytes: asked.size_bytes,
                    mode: 0o1777,
                    executable: true,
                },
                read_only: false,
                filled: false,
            })),
            Kind::Cache => {
                if asked.from.is_some() {
                    return Err(fail("--mount=type=cache: `from` is not honoured here".to_owned()));
                }
                let id = asked.id.clone().or(asked.target.clone()).unwrap_or_default();
                let name = Digest::of(id.as_bytes());
                let mut folder = self.builder.data.join(MOUNTS).join(name.hex());
                if asked.sharing == Sharing::Private {
                    folder = place.to_owned();
                }
                let is_new = !folder.exists();
                fs::create_dir_all(&folder)?;
                if is_new {
                    use std::os::unix::fs::PermissionsExt as _;
                    let mode = std::fs::Permissions::from_mode(asked.mode.unwrap_or(0o755));
                    fs::set_permissions(&folder, mode)?;
                    if asked.uid.is_some() || asked.gid.is_some() {
                        fs_err::os::unix::fs::chown(&folder, asked.uid, asked.gid)?;
                    }
                }
                if asked.sharing == Sharing::Locked {
                    let lock = fs::File::create(folder.with_extension("lock"))?;
                    flock(&lock, FlockOperation::LockExclusive).map_err(std::io::Error::from)?;
                    locks.push(lock);
                }
                Ok(Some(bind(folder, target("/"), asked.read_only)))
            }
            Kind::Secret => {
                let id = asked.id.clone().or_else(|| asked.source.clone()).or_else(|| {
                    let name = Path::new(asked.target.as_deref()?).file_name()?;
                    Some(name.to_string_lossy().into_owned())
                });
                let id = id.ok_or_else(|| fail("a secret has an id".to_owned()))?;
                let Some(secret) = self.request.secrets.get(&id) else {
                    if asked.required {
                        return Err(fail(format!(
                            "secret {id}: not found; `--secret id={id},src=FILE` gives it"
                        )));
                    }
                    return Ok(None);
                };
                if let Some(name) = &asked.env {
                    env.push(format!("{name}={}", String::from_utf8_lossy(secret)));
                    if asked.target.is_none() {
                        return Ok(None);
                    }
                }
                use std::os::unix::fs::PermissionsExt as _;
                fs::write(place, secret)?;
                let mode = std::fs::Permissions::from_mode(asked.mode.unwrap_or(0o400));
                fs::set_permissions(place, mode)?;
                if asked.uid.is_some() || asked.gid.is_some() {
                    fs_err::os::unix::fs::chown(place, asked.uid, asked.gid)?;
                }
                Ok(Some(bind(place.to_owned(), target(&format!("/run/secrets/{id}")), true)))
            }
            Kind::Ssh => match &self.request.ssh {
                None if asked.required => {
                    Err(fail("an agent is required; `--ssh` passes it on".to_owned()))
                }
                None => Ok(None),
                Some(socket) => {
                    let inside = target("/run/buildkit/ssh_agent.0");
                    env.push(format!("SSH_AUTH_SOCK={}", inside.display()));
                    Ok(Some(bind(socket.clone(), inside, false)))
                }
            },
            Kind::Bind => {
                // Written to a folder of its own: what a step does there is forgotten.
                let selection = self.select(&bound(planned), &View::default(), line)?;
                fs::create_dir_all(place)?;
                selection.write(place, &View::default(), true)?;
                Ok(Some(bind(place.join("mount"), target("/"), asked.read_only)))
            }
        }
    }
}

/// Returns the files that a bind mount shows, as a copy of them.
fn bound(planned: &PlannedMount) -> Copy {
    let source = planned.mount.source.as_deref().unwrap_or_default().trim_start_matches('/');
    Copy {
        add: false,
        from: planned.from.clone().unwrap_or(From::Context),
        sources: vec![CopySource::Path(if source.is_empty() { "." } else { source }.to_owned())],
        destination: "/mount".to_owned(),
        chown: None,
        chmod: None,
        link: true,
        parents: false,
        exclude: Vec::new(),
        checksum: None,
        keep_git_dir: false,
        unpack: None,
    }
}

/// Returns a working folder as a path; without one it is the root.
fn folder(path: &str) -> PathBuf {
    Path::new("/").join(path)
}

fn bind(source: PathBuf, target: PathBuf, read_only: bool) -> Mount {
    Mount { target, source: MountSource::Bind(source), read_only, filled: false }
}

/// The files that tell a step its names, none of which stays in the image.
fn network_files(place: &Path, network: ContainerNetwork) -> Result<Vec<Mount>, BuildError> {
    let hosts = format!("127.0.0.1\tlocalhost {HOSTNAME}\n::1\tlocalhost\n");
    let texts = [("hosts", hosts), ("resolv.conf", resolver_file(network)?)];
    let mut mounts = Vec::new();
    for (name, text) in texts {
        let path = place.join(name);
        fs::write(&path, text)?;
        mounts.push(bind(path, Path::new("/etc").join(name), true));
    }
    Ok(mounts)
}

/// Takes away what was made in the layer only for something to be mounted on: empty files and
/// folders at the targets, and the folders of the kernel.
fn tidy(upper: &Path, targets: &[PathBuf]) -> Result<(), BuildError> {
    let kernel = ["/dev", "/proc", "/sys"].map(PathBuf::from);
    let mut all: Vec<&PathBuf> = targets.iter().chain(&kernel).collect();
    // Children before parents.
    all.sort_by_key(|it| std::cmp::Reverse(it.components().count()));
    for target in all {
        let mut here = target.clone();
        loop {
            let place = upper.join(here.strip_prefix("/").unwrap_or(&here));
            let Ok(metadata) = fs::symlink_metadata(&place) else { break };
            let gone = if metadata.is_dir() {
                fs::remove_dir(&place).is_ok()
            } else {
                metadata.is_file() && metadata.len() == 0 && fs::remove_file(&place).is_ok()
            };
            if !gone || !here.pop() || here == Path::new("/") {
                break;
            }
            // A folder above that was not made for this holds something else, or is of the image.
            if fs::read_dir(upper.join(here.strip_prefix("/").unwrap_or(&here)))
                .is_ok_and(|mut entries| entries.next().is_some())
            {
                break;
            }
        }
    }
    Ok(())
}

/// The key of what a step makes on a ground.
fn key(ground: &str, description: &serde_json::Value) -> Digest {
    Digest::of(json!([1, ground, description]).to_string().as_bytes())
}
