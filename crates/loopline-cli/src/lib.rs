//! The commands and the printer: everything that knows a terminal.
//!
//! A command is a thin file in [`commands`]: it reads its arguments, calls an operation of a
//! crate below, and prints what that returns. Nothing else in the workspace prints.

pub mod arguments;
mod cluster;
mod commands;
pub mod environment;
mod error;
mod live;
mod manifests;
mod markers;
mod printer;
mod show;
mod terminal;

use std::process::ExitCode;

use clap::Parser as _;

use crate::arguments::Arguments;
use crate::commands::Context;
use crate::printer::Printer;

/// Runs the command line and returns the process's exit status:
/// 0 ok, 1 the thing failed, 2 usage or configuration, 4 permission, 70 our bug,
/// 130 interrupted.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return printer::usage(&error),
    };
    let printer = Printer::for_process(arguments.json);
    let context = Context { printer: &printer };
    match commands::dispatch(&context, arguments) {
        Ok(status) => status.into(),
        Err(error) => printer.failure(&error),
    }
}
