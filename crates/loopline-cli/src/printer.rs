//! The one place that writes to the terminal.
//!
//! Data goes to standard output, everything else to standard error. A word stands beside every
//! glyph and colour, so nothing is said by colour alone.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use loopline_diagnostic::{Diagnostic, render};
use serde::Serialize;

use crate::environment;
use crate::error::CommandError;

/// A meaning that has a colour where colours are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// It went well.
    Good,
    /// It did not.
    Bad,
    /// Look at this.
    Care,
    /// Less important.
    Quiet,
    /// A heading or a name.
    Strong,
}

impl Tone {
    const fn code(self) -> &'static str {
        match self {
            Self::Good => "\x1b[32m",
            Self::Bad => "\x1b[31m",
            Self::Care => "\x1b[33m",
            Self::Quiet => "\x1b[2m",
            Self::Strong => "\x1b[1m",
        }
    }
}

/// Writes what commands say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printer {
    /// Whether results are JSON.
    pub(crate) json: bool,
    /// Whether standard error takes a live region.
    pub(crate) live: bool,
    color_out: bool,
    color_err: bool,
}

impl Printer {
    /// Returns the printer that suits this process's terminal and variables.
    pub(crate) fn for_process(json: bool) -> Self {
        let dumb = environment::TERM.get().is_some_and(|term| term == "dumb");
        let never = environment::NO_COLOR.get_os().is_some() || dumb;
        let forced = environment::CLICOLOR_FORCE.is_on();
        let (out, err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        Self {
            json,
            live: err && !json && !dumb && !environment::ACCESSIBLE.is_on(),
            color_out: !never && (forced || out),
            color_err: !never && (forced || err),
        }
    }

    /// Returns whether standard output takes colours.
    pub(crate) fn color_out(&self) -> bool {
        self.color_out
    }

    /// Writes findings to standard error.
    pub(crate) fn findings(&self, findings: &[Diagnostic]) {
        let options = render::TextOptions { color: self.color_err };
        self.err(render::text(findings, &options).trim_end());
    }

    /// Returns `text` in the colour of `tone`, for standard error.
    pub(crate) fn tone(&self, tone: Tone, text: &str) -> String {
        paint(self.color_err, tone, text)
    }

    /// Returns `text` in the colour of `tone`, for standard output.
    pub(crate) fn tone_out(&self, tone: Tone, text: &str) -> String {
        paint(self.color_out, tone, text)
    }

    /// Writes a line to standard output.
    pub(crate) fn out(&self, line: &str) {
        write_to(&mut io::stdout().lock(), line.as_bytes(), true);
    }

    /// Writes bytes to standard output as they are.
    pub(crate) fn out_raw(&self, bytes: &[u8]) {
        write_to(&mut io::stdout().lock(), bytes, false);
    }

    /// Writes a line to standard error.
    pub(crate) fn err(&self, line: &str) {
        write_to(&mut io::stderr().lock(), line.as_bytes(), true);
    }

    /// Writes bytes to standard error as they are.
    pub(crate) fn err_raw(&self, bytes: &[u8]) {
        write_to(&mut io::stderr().lock(), bytes, false);
    }

    /// Writes one JSON document on one line of standard output.
    pub(crate) fn json(&self, value: &impl Serialize) {
        // A value of ours that cannot be written as JSON is a bug, and says so on its line.
        let line = serde_json::to_string(value)
            .unwrap_or_else(|error| format!("{{\"error\":\"unprintable: {error}\"}}"));
        self.out(&line);
    }

    /// Says why a command failed and returns its exit status.
    pub(crate) fn failure(&self, error: &CommandError) -> ExitCode {
        if self.json {
            self.json(&serde_json::json!({
                "schema": "loopline.error/v1",
                "error": error.message,
                "hints": error.hints,
                "exit_code": error.code(),
                "diagnostics": render::json(&error.diagnostics),
            }));
        } else {
            if !error.diagnostics.is_empty() {
                self.findings(&error.diagnostics);
            }
            self.err(&format!("{} {}", self.tone(Tone::Bad, "error:"), error.message));
            for hint in &error.hints {
                self.err(&format!("{} {hint}", self.tone(Tone::Strong, "hint:")));
            }
        }
        ExitCode::from(error.code())
    }
}

/// Writes clap's own message: help and version to standard output, the rest to standard error.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    let _shown = error.print();
    ExitCode::from(if error.use_stderr() { 2 } else { 0 })
}

fn paint(wanted: bool, tone: Tone, text: &str) -> String {
    if wanted { format!("{}{text}\x1b[0m", tone.code()) } else { text.to_owned() }
}

/// Writes all of `bytes`. A reader that went away (`loopline logs | head`) is no error.
fn write_to(stream: &mut impl io::Write, bytes: &[u8], line: bool) {
    let _gone =
        stream.write_all(bytes).and_then(|()| if line { stream.write_all(b"\n") } else { Ok(()) });
    let _gone = stream.flush();
}
