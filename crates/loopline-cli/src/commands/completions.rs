//! `loopline completions`: the completion script of a shell.

use clap::CommandFactory as _;

use super::{Context, Outcome};
use crate::arguments::{Arguments, CompletionsArguments};
use crate::error::Status;

pub(crate) fn run(context: &Context<'_>, arguments: &CompletionsArguments) -> Outcome {
    let mut script = Vec::new();
    let mut command = Arguments::command();
    clap_complete::generate(arguments.shell, &mut command, "loopline", &mut script);
    context.printer.out_raw(&script);
    Ok(Status::Ok)
}
