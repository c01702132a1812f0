//! Reads runs, finished or not, whoever writes them.

use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use fs_err as fs;
use loopline_workflow::run::summary::Summary;
use loopline_workflow::run::{Event, JobKey};

use crate::folder::{DataFolder, FolderError};
use crate::write::file_name;

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its process is alive.
    Running,
    /// It said how it ended.
    Finished,
    /// Its process is gone and it never said how it ended.
    Interrupted,
}

/// A run's folder, to read.
#[derive(Clone, Debug)]
pub struct RunReader {
    number: u64,
    folder: PathBuf,
}

/// One step's log.
#[derive(Clone, Debug)]
pub struct LogFile {
    /// The step's number.
    pub step: u32,
    /// Where its text is.
    pub path: PathBuf,
}

impl RunReader {
    /// Opens the run `run`: a number, or `latest`.
    ///
    /// # Errors
    /// [`FolderError::NoRun`] where there is none.
    pub fn open(data: &DataFolder, run: &str) -> Result<Self, FolderError> {
        let number = match run {
            "latest" => data.runs()?.first().copied(),
            text => text.trim_start_matches('#').parse().ok(),
        };
        let number = number.ok_or_else(|| FolderError::NoRun(run.to_owned()))?;
        let folder = data.run(number);
        if !folder.join("journal.ndjson").exists() {
            return Err(FolderError::NoRun(run.to_owned()));
        }
        Ok(Self { number, folder })
    }

    /// Returns the run's number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Returns the run's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns whether a process owns the run now.
    ///
    /// # Errors
    /// Where the lock cannot be asked.
    pub fn is_owned(&self) -> io::Result<bool> {
        let file = match fs::File::open(self.folder.join("owner")) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(false),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the run so far.
    ///
    /// # Errors
    /// Where the journal cannot be read.
    pub fn summary(&self) -> io::Result<Summary> {
        let mut summary = Summary::default();
        self.events(|event| summary.apply(&event))?;
        Ok(summary)
    }

    /// Returns where a run with this summary is.
    ///
    /// # Errors
    /// Where the lock cannot be asked.
    pub fn state(&self, summary: &Summary) -> io::Result<State> {
        Ok(if summary.conclusion.is_some() {
            State::Finished
        } else if self.is_owned()? {
            State::Running
        } else {
            State::Interrupted
        })
    }

    /// Calls `each` with every event. A last line that was cut off by a crash is left out; a
    /// broken line before the last is an error.
    ///
    /// # Errors
    /// Where the journal cannot be read.
    pub fn events(&self, mut each: impl FnMut(Event)) -> io::Result<()> {
        let path = self.folder.join("journal.ndjson");
        let mut reader = BufReader::new(fs::File::open(&path)?);
        let mut line = Vec::new();
        let mut number = 0;
        loop {
            line.clear();
            number += 1;
            if reader.read_until(b'\n', &mut line)? == 0 || !line.ends_with(b"\n") {
                return Ok(());
            }
            let event = serde_json::from_slice(&line).map_err(|error| {
                let text = format!("{}:{number}: {error}", path.display());
                io::Error::new(io::ErrorKind::InvalidData, text)
            })?;
            each(event);
        }
    }

    /// Returns the logs of `job`, by step.
    ///
    /// # Errors
    /// Where the folder cannot be listed; a job that wrote nothing has no logs.
    pub fn logs(&self, job: &JobKey) -> io::Result<Vec<LogFile>> {
        let folder = self.folder.join("logs").join(file_name(job));
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut logs = Vec::new();
        for entry in entries {
            let path = entry?.path();
            let step = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
            if let Some(step) = step {
                logs.push(LogFile { step, path });
            }
        }
        logs.sort_by_key(|log| log.step);
        Ok(logs)
    }
}
