//! Commands on standard output that the runner no longer obeys.

use loopline_diagnostic::rule_set as rules;

use crate::github::check::findings::Findings;
use crate::github::check::model::{Action, Step, Workflow};

/// The command, what follows its name, and what to write instead.
const COMMANDS: &[(&str, &str, &str)] = &[
    ("set-output", " name=", "echo \"NAME=VALUE\" >> \"$GITHUB_OUTPUT\""),
    ("save-state", " name=", "echo \"NAME=VALUE\" >> \"$GITHUB_STATE\""),
    ("set-env", " name=", "echo \"NAME=VALUE\" >> \"$GITHUB_ENV\""),
    ("add-path", "::", "echo \"PATH\" >> \"$GITHUB_PATH\""),
];

pub(super) fn check(workflow: &Workflow, findings: &mut Findings<'_>) {
    for job in &workflow.jobs {
        steps(&job.steps, findings);
    }
}

pub(super) fn steps(steps: &[Step], findings: &mut Findings<'_>) {
    for step in steps {
        match &step.action {
            Action::Run { script, .. } => {
                for (command, follows, instead) in COMMANDS {
                    let text = format!("::{command}");
                    let Some(at) = script.value.match_indices(&text).map(|(at, _)| at).find(|at| {
                        let rest = &script.value[at + text.len()..];
                        rest.starts_with("::") || rest.trim_start().starts_with(follows.trim())
                    }) else {
                        continue;
                    };
                    let place = script.place(findings.file, at, at + text.len());
                    let file = findings.file.clone();
                    let message = format!("the command `{command}` no longer works");
                    let hint = format!("write `{instead}` instead");
                    if let Some(found) =
                        findings.add(&rules::DEPRECATED_COMMAND, script.span, message)
                    {
                        found.hints.push(hint);
                        *found = found.clone().also(&file, place, "here");
                    }
                }
            }
            Action::Parallel { steps: inner, .. } => self::steps(inner, findings),
            Action::Unknown
            | Action::Uses { .. }
            | Action::Wait { .. }
            | Action::WaitAll { .. }
            | Action::Cancel { .. } => {}
        }
    }
}
