//! Writes one run: its journal, its logs, its lock.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use fs_err as fs;
use loopline_workflow::run::{Event, JobKey, Recorder};

use crate::folder::{DataFolder, FolderError, make_private};

/// How long something written may stay in memory only.
const SYNC_EVERY: Duration = Duration::from_millis(800);

/// How many log files one run keeps open; others are opened again when they are written to.
const OPEN_LOGS: usize = 64;

/// Why a run's record could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The folder refused.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The one writer of a run's folder.
///
/// A write that fails (a full disk) is kept and given back by [`RunWriter::finish`] and
/// [`RunWriter::failure`]: the run ends red, and says why.
pub struct RunWriter {
    shared: Arc<Shared>,
    folder: PathBuf,
    number: u64,
    /// Holds the lock on the run.
    _owner: fs::File,
    stop: Option<SyncSender<()>>,
    timer: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
}

struct State {
    journal: fs::File,
    logs_folder: PathBuf,
    logs: HashMap<(JobKey, u32), fs::File>,
    /// Closed logs that are not known to be on the disk.
    dirty: bool,
    failure: Option<io::Error>,
    buffer: Vec<u8>,
}

impl RunWriter {
    /// Makes the folder of a new run and takes its lock.
    ///
    /// # Errors
    /// Where the folder or its files cannot be made.
    pub fn create(data: &DataFolder) -> Result<Self, WriteError> {
        let number = data.new_run()?;
        let folder = data.run(number);
        let owner = fs::OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .open(folder.join("owner"))?;
        rustix::fs::flock(&owner, rustix::fs::FlockOperation::NonBlockingLockExclusive)
            .map_err(io::Error::from)?;
        write!(&owner, "{}", std::process::id())?;
        let journal =
            fs::OpenOptions::new().create(true).append(true).open(folder.join("journal.ndjson"))?;
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                journal,
                logs_folder: folder.join("logs"),
                logs: HashMap::new(),
                dirty: false,
                failure: None,
                buffer: Vec::new(),
            }),
        });
        let (stop, stopped) = sync_channel::<()>(1);
        let timed = Arc::clone(&shared);
        let timer = std::thread::Builder::new()
            .name("journal-sync".to_owned())
            .stack_size(64 * 1024)
            .spawn(move || {
                while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(SYNC_EVERY) {
                    timed.sync();
                }
            })?;
        Ok(Self { shared, folder, number, _owner: owner, stop: Some(stop), timer: Some(timer) })
    }

    /// Returns the run's number, by which the command line knows it.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Returns the run's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns why something could not be written, if that happened.
    pub fn failure(&self) -> Option<String> {
        self.shared.lock().failure.as_ref().map(ToString::to_string)
    }

    /// Writes everything through to the disk.
    ///
    /// # Errors
    /// The first error of this run's writing.
    pub fn finish(&self) -> Result<(), io::Error> {
        self.shared.sync();
        match self.shared.lock().failure.take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

impl Drop for RunWriter {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(timer) = self.timer.take() {
            // The timer's thread cannot panic; if it did, the run's record is what it is.
            let _ended = timer.join();
        }
        self.shared.sync();
    }
}

impl Recorder for RunWriter {
    fn event(&self, event: &Event) {
        let mut state = self.shared.lock();
        let mut buffer = std::mem::take(&mut state.buffer);
        buffer.clear();
        let written =
            serde_json::to_writer(&mut buffer, event).map_err(io::Error::from).and_then(|()| {
                buffer.push(b'\n');
                state.journal.write_all(&buffer)
            });
        state.buffer = buffer;
        state.dirty = true;
        state.keep(written);
    }

    fn log(&self, job: &JobKey, step: u32, lines: &[u8]) {
        let mut state = self.shared.lock();
        let written = state.log_file(job, step).and_then(|file| file.write_all(lines));
        state.dirty = true;
        state.keep(written);
    }

    fn incomplete(&self) -> Option<String> {
        self.failure()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what is in memory to the disk. Writers wait only while the handles are copied.
    fn sync(&self) {
        let mut state = self.lock();
        if !std::mem::take(&mut state.dirty) {
            return;
        }
        let files: Result<Vec<fs::File>, io::Error> = std::iter::once(&state.journal)
            .chain(state.logs.values())
            .map(fs::File::try_clone)
            .collect();
        drop(state);
        let synced = files.and_then(|files| files.iter().try_for_each(fs::File::sync_data));
        self.lock().keep(synced);
    }
}

impl State {
    fn keep(&mut self, result: io::Result<()>) {
        if let Err(error) = result {
            self.failure.get_or_insert(error);
        }
    }

    fn log_file(&mut self, job: &JobKey, step: u32) -> io::Result<&mut fs::File> {
        let key = (job.clone(), step);
        if !self.logs.contains_key(&key) {
            if self.logs.len() >= OPEN_LOGS
                && let Some(oldest) = self.logs.keys().next().cloned()
                && let Some(file) = self.logs.remove(&oldest)
            {
                file.sync_data()?;
            }
            let folder = self.logs_folder.join(file_name(job));
            let path = folder.join(format!("{step}.log"));
            let open = || fs::OpenOptions::new().create(true).append(true).open(&path);
            let file = match open() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    make_private(&folder)?;
                    open()?
                }
                other => other?,
            };
            self.logs.insert(key.clone(), file);
        }
        self.logs.get_mut(&key).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// Returns the name of a job's folder: its key with everything unusual escaped.
pub(crate) fn file_name(job: &JobKey) -> String {
    let mut name = String::with_capacity(job.0.len());
    for byte in job.0.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => name.push(char::from(byte)),
            b'.' if !name.is_empty() => name.push('.'),
            _ => name.push_str(&format!("%{byte:02X}")),
        }
    }
    name
}
