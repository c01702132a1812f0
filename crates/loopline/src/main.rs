//! The `loopline` binary: becomes a sandbox's first process where it was started as one, and
//! hands over to the command line otherwise.

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = loopline_sandbox::maybe_run_helper() {
        return code;
    }
    loopline_cli::main()
}
