//! Finds the data folder, runs and jobs that commands name.

use std::path::{Path, PathBuf};

use loopline_store::{DataFolder, RunReader};
use loopline_workflow::run::summary::{Job, State as JobState, Summary};

use crate::environment;
use crate::error::CommandError;
use crate::printer::{Printer, Tone};

/// Opens the data folder.
pub(crate) fn data_folder() -> Result<DataFolder, CommandError> {
    let path: PathBuf = environment::data_folder().ok_or_else(|| {
        CommandError::usage("there is no place for the data folder: HOME is not set")
            .hint("LOOPLINE_DATA=DIR says where to keep runs, caches and artifacts")
    })?;
    Ok(DataFolder::open(path)?)
}

/// Returns the folder of the API's objects.
pub(crate) fn api_folder(data: Option<&Path>) -> Result<PathBuf, CommandError> {
    match data {
        Some(folder) => Ok(folder.join("api")),
        None => Ok(data_folder()?.root().join("api")),
    }
}

/// Opens a run and reads what is known of it.
pub(crate) fn run(data: &DataFolder, run: &str) -> Result<(RunReader, Summary), CommandError> {
    let reader = RunReader::open(data, run)?;
    let summary = reader.summary()?;
    Ok((reader, summary))
}

/// Finds the job that `name` means: its key, its name, or the start of one job's name only.
pub(crate) fn job<'a>(summary: &'a Summary, name: &str) -> Result<&'a Job, CommandError> {
    let exact = summary.jobs.iter().find(|job| job.key.0 == name || job.name == name);
    if let Some(job) = exact {
        return Ok(job);
    }
    let mut starting =
        summary.jobs.iter().filter(|job| job.key.0.starts_with(name) || job.name.starts_with(name));
    match (starting.next(), starting.next()) {
        (Some(job), None) => Ok(job),
        (found, _) => {
            let names: Vec<&str> = summary.jobs.iter().map(|job| job.key.as_str()).collect();
            let problem = if found.is_some() { "names several jobs" } else { "names no job" };
            Err(CommandError::usage(format!("`{name}` {problem} of this run"))
                .hint(format!("its jobs are: {}", names.join(", "))))
        }
    }
}

/// Returns a state as a coloured word for standard output.
pub(crate) fn state_word(printer: &Printer, state: &str) -> String {
    let tone = match state {
        "success" => Tone::Good,
        "failure" => Tone::Bad,
        "cancelled" | "interrupted" => Tone::Care,
        "skipped" | "queued" => Tone::Quiet,
        _ => Tone::Strong,
    };
    printer.tone_out(tone, &format!("{state:<11}"))
}

/// Returns the word for where a job or step is.
pub(crate) const fn job_state(state: JobState) -> &'static str {
    match state {
        JobState::Queued => "queued",
        JobState::Running => "running",
        JobState::Ended(conclusion) => conclusion.as_str(),
    }
}

/// Returns the word for where a run is.
pub(crate) fn run_state(
    reader: &RunReader,
    summary: &Summary,
) -> Result<&'static str, CommandError> {
    Ok(match (summary.conclusion, reader.state(summary)?) {
        (Some(conclusion), _) => conclusion.as_str(),
        (None, loopline_store::State::Running) => "running",
        (None, _) => "interrupted",
    })
}
