//! The `loopline` binary: hands over to the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    loopline_cli::main()
}
