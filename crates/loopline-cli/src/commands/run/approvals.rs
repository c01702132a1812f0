//! Who decides about protected environments: `--yes`, a person at the terminal, or nobody.

use std::io::{BufRead as _, IsTerminal as _};
use std::sync::Mutex;

use loopline_runner::Cancel;
use loopline_runner::host::{Approvals, Decision};
use loopline_workflow::run::JobKey;

use crate::printer::Printer;

/// The approvals of one run.
pub(crate) struct Consent {
    pub(crate) printer: Printer,
    /// The environments that ask for consent.
    pub(crate) protected: Vec<String>,
    /// Whether everything is approved.
    pub(crate) yes: bool,
    /// One question at a time.
    pub(crate) asking: Mutex<()>,
}

impl Approvals for Consent {
    fn is_protected(&self, environment: &str) -> bool {
        self.protected.iter().any(|protected| protected.eq_ignore_ascii_case(environment))
    }

    fn decide(&self, job: &JobKey, environment: &str, cancel: &Cancel) -> Option<Decision> {
        if self.yes {
            return Some(Decision { approved: true, by: "--yes".to_owned() });
        }
        let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        if !terminal || self.printer.json {
            let by = "nobody is there to ask (`--yes` approves)".to_owned();
            return Some(Decision { approved: false, by });
        }
        let _one = self.asking.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if cancel.is_cancelled() {
            return None;
        }
        self.printer
            .err(&format!("job {job} wants to use environment {environment}. Approve? [y/N]"));
        let mut answer = String::new();
        let read = std::io::stdin().lock().read_line(&mut answer);
        if cancel.is_cancelled() {
            return None;
        }
        let approved = read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes");
        Some(Decision { approved, by: "the terminal".to_owned() })
    }
}
