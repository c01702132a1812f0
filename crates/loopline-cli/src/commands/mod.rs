//! One file a command; each reads its arguments, calls an operation and prints the result.

mod api;
mod artifacts;
mod backup;
mod cancel;
mod check;
mod completions;
pub(crate) mod container;
mod crds;
mod doctor;
mod eval;
mod explain;
mod image;
mod inventory;
mod logs;
mod objects;
mod open;
mod prune;
mod registry;
mod run;
mod runs;
mod shell;
mod why;

use crate::arguments::{Arguments, Command};
use crate::error::{CommandError, Status};
use crate::printer::Printer;

/// What every command gets.
pub(crate) struct Context<'a> {
    /// Where it writes.
    pub(crate) printer: &'a Printer,
}

/// How a command ends.
pub(crate) type Outcome = Result<Status, CommandError>;

/// Runs the command that was asked for.
pub(crate) fn dispatch(context: &Context<'_>, arguments: Arguments) -> Outcome {
    if let Some(directory) = &arguments.directory {
        std::env::set_current_dir(directory).map_err(|error| {
            CommandError::usage(format!("cannot work in {}: {error}", directory.display()))
        })?;
    }
    match arguments.command {
        Some(Command::Api(arguments)) => api::run(context, &arguments),
        Some(Command::Apply(arguments)) => objects::apply::run(context, &arguments),
        Some(Command::Get(arguments)) => objects::get::run(context, &arguments),
        Some(Command::Delete(arguments)) => objects::delete::run(context, &arguments),
        Some(Command::Diff(arguments)) => objects::diff::run(context, &arguments),
        Some(Command::Wait(arguments)) => objects::wait::run(context, &arguments),
        Some(Command::Backup(arguments)) => backup::run(context, &arguments),
        Some(Command::Restore(arguments)) => backup::restore(context, &arguments),
        Some(Command::Crds(arguments)) => crds::run(context, &arguments),
        Some(Command::Container(arguments)) => container::run(context, &arguments),
        Some(Command::Runs(arguments)) => runs::run(context, &arguments),
        Some(Command::Logs(arguments)) => logs::run(context, &arguments),
        Some(Command::Cancel(arguments)) => cancel::run(context, &arguments),
        Some(Command::Artifacts(arguments)) => artifacts::run(context, &arguments),
        Some(Command::Why(arguments)) => why::run(context, &arguments),
        Some(Command::Explain(arguments)) => explain::run(context, &arguments),
        Some(Command::Prune(arguments)) => prune::run(context, &arguments),
        Some(Command::Doctor) => doctor::run(context),
        Some(Command::Completions(arguments)) => completions::run(context, &arguments),
        Some(Command::Image(arguments)) => image::run(context, arguments.command),
        Some(Command::Registry(arguments)) => registry::run(context, &arguments),
        Some(Command::Check(arguments)) => check::run(context, &arguments),
        Some(Command::Shell(arguments)) => shell::run(context, &arguments),
        Some(Command::Run(arguments)) => run::run(context, &arguments),
        Some(Command::Rerun(arguments)) => run::rerun(context, &arguments),
        Some(Command::Eval(arguments)) => eval::run(context, &arguments),
        None => inventory::run(context),
    }
}
