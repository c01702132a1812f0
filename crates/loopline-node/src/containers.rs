//! The containers of one data folder: made, started, found and removed.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use fs_err as fs;
use loopline_clock::Clock;
use loopline_image::reference::Reference;
use loopline_image::store::{Store, StoreError};
use loopline_sandbox::{
    Container, ContainerError, ContainerNetwork, Mount, MountSource, Root, State, Status,
    remove_state, resolver_file,
};

use crate::names::{is_name, make_up};
use crate::options::{BadOptions, Options, make};
use crate::record::{Found, Record};
use crate::volumes;

/// The folder of the data folder that they are in.
const FOLDER: &str = "containers";
/// How often another name is made up before a container keeps its identifier for one.
const NAME_TRIES: usize = 16;
/// The file of what a container was made of, and that of how it goes.
const RECORD: &str = "container.json";
const STATE: &str = "state.json";

/// The containers of one data folder.
#[derive(Debug)]
pub struct Containers {
    data: PathBuf,
    store: Store,
    clock: Clock,
}

/// Something that could not be done with a container.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// A name that none may have.
    #[error("`{name}` cannot be the name of a {what}: letters, digits, `_`, `.` and `-` can")]
    Name {
        /// What was to be called so.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A name that another container has.
    #[error("the name `{name}` is taken by container {id}")]
    Taken {
        /// The name.
        name: String,
        /// Whose it is.
        id: String,
    },
    /// No container is meant by this.
    #[error("no container `{asked}`")]
    Unknown {
        /// What was asked for.
        asked: String,
    },
    /// Several containers are meant by this.
    #[error("`{asked}` is the beginning of {count} identifiers")]
    Ambiguous {
        /// What was asked for.
        asked: String,
        /// How many have it.
        count: usize,
    },
    /// The container runs, and must not.
    #[error("container {name} is running")]
    Running {
        /// Its name.
        name: String,
    },
    /// What was asked for cannot be.
    #[error(transparent)]
    Options(#[from] BadOptions),
    /// The image is not there, or broken.
    #[error(transparent)]
    Image(#[from] StoreError),
    /// The container could not be started or reached.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// A file of a container cannot be read.
    #[error("read {}: {why}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Containers {
    /// Opens the containers of a data folder, which `store` keeps the images of.
    #[must_use]
    pub fn open(data: &Path, store: Store, clock: Clock) -> Self {
        Self { data: data.to_owned(), store, clock }
    }

    /// Returns the store of images.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Makes a container of an image; it does not run yet.
    ///
    /// # Errors
    /// [`NodeError::Image`] where the image is missing, [`NodeError::Options`] and
    /// [`NodeError::Name`] and [`NodeError::Taken`] for what cannot be.
    pub fn create(&self, image: &Reference, options: &Options) -> Result<Found, NodeError> {
        let snapshot = self.store.snapshot(image, None)?;
        let id = self.clock.random_hex(32);
        let folder = self.data.join(FOLDER).join(&id);
        let root = Root::Layers {
            lower: snapshot.lower_directories().map(Path::to_owned).collect(),
            upper: folder.join("upper"),
            work: folder.join("work"),
        };
        let made = make(&id, &snapshot.image, options, root)?;
        let name = self.name(&id, options.name.as_deref())?;
        fs::create_dir_all(&folder)?;
        let finish = || -> Result<Found, NodeError> {
            let (volumes, anonymous_volumes) =
                volumes::mounts(&self.data, &made.volumes, &self.clock)?;
            let mut spec = made.spec;
            spec.mounts.extend(files(&folder, &spec.hostname, spec.network, options)?);
            spec.mounts.extend(volumes);
            let record = Record {
                name,
                image: image.familiar(),
                image_id: snapshot.image.id.to_string(),
                created: self.clock.now(),
                command: made.command,
                labels: made.labels,
                auto_remove: options.auto_remove,
                anonymous_volumes,
                spec,
                supervision: made.supervision,
                id: id.clone(),
            };
            snapshot.pin(&pin(&id))?;
            write(&folder, &record)?;
            Ok(Found { record, state: State::created(), folder: folder.clone() })
        };
        finish().inspect_err(|_| {
            // Nothing is left of a container that was not made; the first error is the one to tell.
            let _ = self.store.unpin(&pin(&id));
            let _ = remove_state(&folder);
        })
    }

    /// Starts a container, with these streams or without.
    ///
    /// # Errors
    /// [`NodeError::Running`]; [`NodeError::Container`].
    pub fn start(
        &self,
        found: &Found,
        streams: Option<[BorrowedFd<'_>; 3]>,
    ) -> Result<Container, NodeError> {
        if Container::connect(&found.folder).is_ok() {
            return Err(NodeError::Running { name: found.record.name.clone() });
        }
        let Record { spec, supervision, .. } = &found.record;
        Ok(Container::start(spec, supervision, Some(&found.folder), streams)?)
    }

    /// Returns all containers, the newest first.
    ///
    /// # Errors
    /// [`NodeError::Record`]; [`NodeError::Io`].
    pub fn list(&self) -> Result<Vec<Found>, NodeError> {
        let all = self.records()?.into_iter().map(|(record, folder)| found(record, folder));
        let mut all = all.collect::<Result<Vec<_>, _>>()?;
        all.sort_by_key(|it| std::cmp::Reverse(it.record.created));
        Ok(all)
    }

    /// Returns what all containers were made of, and their folders. How they go costs a file and a
    /// connection each, so whoever wants it for one asks [`found`].
    fn records(&self) -> Result<Vec<(Record, PathBuf)>, NodeError> {
        let mut all = Vec::new();
        let entries = match fs::read_dir(self.data.join(FOLDER)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(all),
            Err(error) => return Err(error.into()),
        };
        for entry in entries {
            let folder = entry?.path();
            // One that is just being made or removed has no record.
            if let Some(record) = file(&folder.join(RECORD))? {
                all.push((record, folder));
            }
        }
        Ok(all)
    }

    /// Returns the container that a name, an identifier or the beginning of one means.
    ///
    /// # Errors
    /// [`NodeError::Unknown`]; [`NodeError::Ambiguous`]; [`NodeError::Record`].
    pub fn find(&self, asked: &str) -> Result<Found, NodeError> {
        let mut all = self.records()?;
        if let Some(exact) = all.iter().position(|(it, _)| it.name == asked || it.id == asked) {
            let (record, folder) = all.swap_remove(exact);
            return found(record, folder);
        }
        all.retain(|(it, _)| !asked.is_empty() && it.id.starts_with(asked));
        match <[(Record, PathBuf); 1]>::try_from(all) {
            Ok([(record, folder)]) => found(record, folder),
            Err(none) if none.is_empty() => Err(NodeError::Unknown { asked: asked.to_owned() }),
            Err(many) => Err(NodeError::Ambiguous { asked: asked.to_owned(), count: many.len() }),
        }
    }

    /// Removes a container that does not run, and its anonymous volumes where that is asked for.
    ///
    /// # Errors
    /// [`NodeError::Running`]; [`NodeError::Io`].
    pub fn remove(&self, found: &Found, with_volumes: bool) -> Result<(), NodeError> {
        if Container::connect(&found.folder).is_ok() {
            return Err(NodeError::Running { name: found.record.name.clone() });
        }
        // The record last, so that what could not be removed is still listed.
        for name in ["work", "upper"] {
            remove_state(&found.folder.join(name))?;
        }
        if with_volumes {
            for name in &found.record.anonymous_volumes {
                volumes::remove(&self.data, name)?;
            }
        }
        self.store.unpin(&pin(&found.record.id))?;
        remove_state(&found.folder)?;
        Ok(())
    }

    /// Gives a container another name.
    ///
    /// # Errors
    /// [`NodeError::Name`]; [`NodeError::Taken`].
    pub fn rename(&self, found: &Found, name: &str) -> Result<(), NodeError> {
        let mut record = found.record.clone();
        record.name = self.name(&record.id, Some(name))?;
        write(&found.folder, &record)
    }

    fn name(&self, id: &str, asked: Option<&str>) -> Result<String, NodeError> {
        let all = self.records()?;
        let holder = |name: &str| all.iter().map(|(it, _)| it).find(|it| it.name == name);
        if let Some(name) = asked {
            if !is_name(name) {
                return Err(NodeError::Name { what: "container", name: name.to_owned() });
            }
            return match holder(name).filter(|it| it.id != id) {
                Some(other) => {
                    Err(NodeError::Taken { name: name.to_owned(), id: other.short_id().to_owned() })
                }
                None => Ok(name.to_owned()),
            };
        }
        let made_up = (0..NAME_TRIES).map(|_| make_up(&self.clock));
        Ok(made_up.into_iter().find(|name| holder(name).is_none()).unwrap_or_else(|| id.to_owned()))
    }
}

/// The name under which a container's image is kept.
fn pin(id: &str) -> String {
    format!("container-{id}")
}

/// Writes the files that tell a container its names, and returns their mounts.
fn files(
    folder: &Path,
    hostname: &str,
    network: ContainerNetwork,
    options: &Options,
) -> io::Result<Vec<Mount>> {
    let mut hosts = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n".to_owned();
    hosts.push_str(&format!("127.0.1.1\t{hostname}\n"));
    for (name, address) in &options.hosts {
        hosts.push_str(&format!("{address}\t{name}\n"));
    }
    let texts = [
        ("hostname", format!("{hostname}\n")),
        ("hosts", hosts),
        ("resolv.conf", resolver_file(network)?),
    ];
    let mut mounts = Vec::new();
    for (name, text) in texts {
        let path = folder.join(name);
        fs::write(&path, text)?;
        mounts.push(Mount {
            target: Path::new("/etc").join(name),
            source: MountSource::Bind(path),
            read_only: false,
            filled: false,
        });
    }
    Ok(mounts)
}

fn write(folder: &Path, record: &Record) -> Result<(), NodeError> {
    let draft = folder.join(".container.json");
    let text = serde_json::to_vec_pretty(record).map_err(io::Error::from)?;
    fs::write(&draft, text)?;
    Ok(fs::rename(draft, folder.join(RECORD))?)
}

/// Reads a file of a container, if it is there.
fn file<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, NodeError> {
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text)
            .map(Some)
            .map_err(|it| NodeError::Record { path: path.to_owned(), why: it.to_string() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Adds to a record how its container goes.
fn found(record: Record, folder: PathBuf) -> Result<Found, NodeError> {
    let mut state: State = file(&folder.join(STATE))?.unwrap_or_else(State::created);
    let claims_to_run = !matches!(state.status, Status::Created | Status::Exited);
    if claims_to_run && Container::connect(&folder).is_err() {
        // Its supervisor was killed, and it with that.
        state.status = Status::Exited;
        state.pid = 0;
        let killed = loopline_sandbox::Ended { code: 137, oom_killed: false };
        state.ended = state.ended.or(Some(killed));
    }
    Ok(Found { record, state, folder })
}
