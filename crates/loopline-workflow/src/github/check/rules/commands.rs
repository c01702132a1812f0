//! Commands on standard output that the runner no longer obeys.

use std::sync::LazyLock;

use loopline_diagnostic::{Fix, rule_set as rules};
use loopline_source::SourceFile;
use loopline_source::yaml::Style;
use regex::Regex;

use super::labels::{System, system};
use crate::github::check::findings::Findings;
use crate::github::check::model::{Action, Step, Workflow};
use crate::github::check::text::Text;

/// The command, what follows its name, and what to write instead.
const COMMANDS: &[(&str, &str, &str)] = &[
    ("set-output", " name=", "echo \"NAME=VALUE\" >> \"$GITHUB_OUTPUT\""),
    ("save-state", " name=", "echo \"NAME=VALUE\" >> \"$GITHUB_STATE\""),
    ("set-env", " name=", "echo \"NAME=VALUE\" >> \"$GITHUB_ENV\""),
    ("add-path", "::", "echo \"PATH\" >> \"$GITHUB_PATH\""),
];

pub(super) fn check(workflow: &Workflow, findings: &mut Findings<'_>) {
    for job in &workflow.jobs {
        steps(&job.steps, system(job), findings);
    }
}

pub(super) fn steps(steps: &[Step], system: Option<System>, findings: &mut Findings<'_>) {
    for step in steps {
        match &step.action {
            Action::Run { script, shell, .. } => {
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
                    let posix = match shell {
                        Some(shell) => matches!(&*shell.lower(), "bash" | "sh"),
                        None => matches!(system, Some(System::Linux | System::MacOs)),
                    };
                    let fix = posix.then(|| rewritten(script, &file, command, at)).flatten();
                    let message = format!("the command `{command}` no longer works");
                    let hint = format!("write `{instead}` instead");
                    if let Some(found) =
                        findings.add(&rules::DEPRECATED_COMMAND, script.span, message)
                    {
                        found.hints.push(hint);
                        found.fix = fix;
                        *found = found.clone().also(&file, place, "here");
                    }
                }
            }
            Action::Parallel { steps: inner, .. } => self::steps(inner, system, findings),
            Action::Unknown
            | Action::Uses { .. }
            | Action::Wait { .. }
            | Action::WaitAll { .. }
            | Action::Cancel { .. } => {}
        }
    }
}

/// A line that only echoes one command: the quote, the command, the name and the value.
static ECHO: LazyLock<Option<Regex>> = LazyLock::new(|| {
    // In double quotes or none the shell puts in variables, as it does in the line written here.
    Regex::new(
        r#"^echo (?P<open>"?)::(?P<command>[a-z-]+)(?: name=(?P<name>[A-Za-z_][A-Za-z0-9_-]*))?::(?P<value>[^'"|&;<>\\`*?~#]*)(?P<close>"?)$"#,
    )
    .ok()
});

/// Returns the line with the command at byte `at` of `script` written for an environment file, if
/// the line does nothing else.
fn rewritten(script: &Text, file: &SourceFile, command: &str, at: usize) -> Option<Fix> {
    if !matches!(script.node.as_scalar()?.style, Style::Plain | Style::Literal) {
        return None;
    }
    let start = script.value[..at].rfind('\n').map_or(0, |at| at + 1);
    let line = script.value[start..].lines().next()?;
    let indentation = line.len() - line.trim_start().len();
    let found = ECHO.as_ref()?.captures(line.trim())?;
    if found["open"] != found["close"] || found["command"] != *command {
        return None;
    }
    let value = found.name("value")?.as_str();
    let text = match (command, found.name("name")) {
        ("add-path", None) => value.to_owned(),
        ("add-path", Some(_)) | (_, None) => return None,
        (_, Some(name)) => format!("{}={value}", name.as_str()),
    };
    let variable = match command {
        "set-output" => "GITHUB_OUTPUT",
        "save-state" => "GITHUB_STATE",
        "set-env" => "GITHUB_ENV",
        "add-path" => "GITHUB_PATH",
        _ => return None,
    };
    let (from, to) = (start + indentation, start + line.trim_end().len());
    let span = script.place(file, from, to);
    (file.slice(span) == line.trim())
        .then(|| Fix { span, replacement: format!("echo \"{text}\" >> \"${variable}\"") })
}
