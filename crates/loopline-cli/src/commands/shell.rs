//! `loopline shell`: a shell where a job ran, with its files and environment as it left them.

use std::io::{self, IsTerminal as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::sync::Arc;

use loopline_runner::host::Folders;
use loopline_runner::shell_state::ShellState;
use loopline_sandbox::{Host, Machine, Output, ProcessSpec, Sandbox, Stdin, Waited};
use loopline_store::{Area, DataFolder};
use loopline_workflow::run::summary::Summary;

use super::run::{Request, in_sandbox};
use super::{Context, Outcome, open};
use crate::arguments::ShellArguments;
use crate::environment;
use crate::error::{Class, CommandError, Status};
use crate::terminal::relay;

/// Becomes the better one of the shells there are.
const BEST_SHELL: &str = "if command -v bash >/dev/null; then exec bash; else exec sh; fi";

pub(crate) fn run(context: &Context<'_>, arguments: &ShellArguments) -> Outcome {
    let data = open::data_folder()?;
    let (reader, summary) = open::run(&data, &arguments.run)?;
    let job = open::job(&summary, &arguments.job)?;
    let number = reader.number();
    let gone = || {
        CommandError::usage(format!("run {number} kept nothing of job {}", job.key))
            .hint("jobs that fail are kept; `loopline run --keep` keeps the others too")
    };
    let workspace = job.workspace.as_ref().ok_or_else(gone)?;
    let folder = Path::new(workspace).parent().ok_or_else(gone)?;
    if !folder.is_dir() {
        return Err(gone());
    }
    if reader.state(&summary)? == loopline_store::State::Running && job.duration_ms.is_none() {
        return Err(CommandError::usage(format!("job {} is still running", job.key))
            .hint("the shell opens what a job left, so wait for its end or cancel it"));
    }
    let state = ShellState::load(folder).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            CommandError::usage(format!("no step of job {} started a process", job.key))
                .hint(format!("its folder is {}", folder.display()))
        }
        _ => CommandError::new(
            Class::Failed,
            format!("cannot read what run {number} kept of job {}: {error}", job.key),
        ),
    })?;
    if !state.secrets.is_empty() {
        let names = state.secrets.join(", ");
        context
            .printer
            .err(&format!("note: these variables held secrets and are not set: {names}"));
    }
    let machine = machine(&data, &summary, folder, &state)?;
    let result = open_shell(&*machine, &state, &arguments.command);
    let torn_down = machine.teardown();
    let status = result?;
    torn_down.map_err(|error| CommandError::new(Class::Failed, error.to_string()))?;
    Ok(Status::Child(status))
}

/// Makes the job's place again, over the layers it left.
fn machine(
    data: &DataFolder,
    summary: &Summary,
    folder: &Path,
    state: &ShellState,
) -> Result<Arc<dyn Machine>, CommandError> {
    if !state.sandbox {
        return Ok(Arc::new(Host::new("shell")));
    }
    let started = summary.started.clone().unwrap_or_default();
    // Whether the job had a network must be known, not guessed.
    let request: Request = serde_json::from_value(started.request).map_err(|error| {
        CommandError::new(Class::Failed, format!("cannot read what the run was asked for: {error}"))
    })?;
    let folders = Folders::new(folder.to_path_buf(), data.area(Area::Tools));
    let sandbox = in_sandbox(data, Path::new(&started.root), &request, !request.offline);
    let sandbox = Sandbox::start(&sandbox.spec(&folders)).map_err(|error| {
        CommandError::new(Class::Failed, format!("cannot open the job's sandbox again: {error}"))
    })?;
    Ok(Arc::new(sandbox))
}

fn open_shell(
    machine: &dyn Machine,
    state: &ShellState,
    command: &[String],
) -> Result<u8, CommandError> {
    let terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    let own;
    let words = match environment::SHELL.get() {
        _ if !command.is_empty() => command,
        Some(shell) if !state.sandbox => {
            own = [shell];
            &own[..]
        }
        _ => &["sh".to_owned(), "-c".to_owned(), BEST_SHELL.to_owned()],
    };
    let mut variables = state.environment.clone();
    if let Some(term) = environment::TERM.get().filter(|_| terminal) {
        variables.insert("TERM".to_owned(), term);
    }
    let spec = ProcessSpec {
        program: words[0].as_str().into(),
        args: words[1..].iter().map(Into::into).collect(),
        env: variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
        cwd: state.folder.clone(),
        stdin: Stdin::Inherit,
        output: if terminal { Output::Pty } else { Output::Inherit },
    };
    let mut process = machine.spawn(&spec).map_err(|error| {
        CommandError::new(Class::Failed, format!("cannot open a shell: {error}"))
    })?;
    if let Some(other_side) = process.take_output() {
        relay(process.end_descriptor()?, &other_side)?;
    }
    let status = match process.wait_blocking(None, None) {
        Ok(Waited::Ended(status)) => status,
        Ok(Waited::Woken | Waited::Late) => {
            return Err(CommandError::new(Class::Internal, "the shell ended without a status"));
        }
        Err(error) => return Err(CommandError::new(Class::Failed, error.to_string())),
    };
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    Ok(u8::try_from(code).unwrap_or(1))
}
