//! Shells, by the runner's operating system.

use loopline_diagnostic::rule_set as rules;

use super::labels::{System, system};
use crate::github::check::findings::Findings;
use crate::github::check::model::{Action, Step, Workflow};
use crate::github::check::text::Text;

const ANYWHERE: &[&str] = &["bash", "cmd", "powershell", "pwsh", "python", "sh"];
const WINDOWS: &[&str] = &["bash", "cmd", "powershell", "pwsh", "python"];
const UNIX: &[&str] = &["bash", "pwsh", "python", "sh"];

pub(super) fn check(workflow: &Workflow, findings: &mut Findings<'_>) {
    let default = workflow.defaults.as_ref().and_then(|defaults| defaults.shell.as_ref());
    shell(default, None, findings);
    for job in &workflow.jobs {
        let system = system(job);
        let default = job.defaults.as_ref().and_then(|defaults| defaults.shell.as_ref());
        shell(default, system, findings);
        steps(&job.steps, system, findings);
    }
}

pub(super) fn steps(steps: &[Step], system: Option<System>, findings: &mut Findings<'_>) {
    for step in steps {
        match &step.action {
            Action::Run { shell: Some(name), .. } => shell(Some(name), system, findings),
            Action::Parallel { steps: inner, .. } => self::steps(inner, system, findings),
            _ => {}
        }
    }
}

fn shell(name: Option<&Text>, system: Option<System>, findings: &mut Findings<'_>) {
    let Some(name) = name else { return };
    let lower = name.lower();
    if name.is_empty() || name.has_expression() || lower.contains("{0}") {
        return;
    }
    let (known, place) = match system {
        None => (ANYWHERE, ""),
        Some(System::Windows) => (WINDOWS, " on Windows"),
        Some(System::Linux) => (UNIX, " on Linux"),
        Some(System::MacOs) => (UNIX, " on macOS"),
    };
    if !known.contains(&&*lower) {
        let message = format!("there is no shell `{}`{place}", name.value);
        findings.add_unknown(
            &rules::SHELL_NAME,
            name.span,
            message,
            &name.value,
            known.iter().copied(),
        );
    }
}
