//! What `RUN`s do, whatever they install.

use loopline_diagnostic::rule_set as rules;
use loopline_source::Span;

use super::context::{Checker, RunView};
use super::shell::Command;
use crate::dockerfile::instruction::CommandKind;

pub(super) fn check(checker: &mut Checker<'_>) {
    pointless(checker);
    folders(checker);
    sudo(checker);
    users(checker);
    downloads(checker);
    both_downloaders(checker);
    shell_link(checker);
    pipes(checker);
    consecutive(checker);
}

/// Returns the first command for which `is` holds, and where it stands.
fn first(run: &RunView<'_>, is: impl Fn(&Command) -> bool) -> Option<(Span, String)> {
    let command = run.script.commands.iter().find(|command| is(command))?;
    Some((run.word(&command.words[0]), command.name().to_owned()))
}

/// DL3001.
fn pointless(checker: &mut Checker<'_>) {
    const NAMES: [&str; 10] =
        ["free", "ifconfig", "kill", "mount", "ps", "service", "shutdown", "ssh", "top", "vim"];
    checker.each_run(&rules::DL3001, |run| {
        let (span, name) = first(run, |command| NAMES.contains(&command.name()))?;
        Some((span, format!("`{name}` makes no sense in a build")))
    });
}

/// DL3003.
fn folders(checker: &mut Checker<'_>) {
    checker.each_run(&rules::DL3003, |run| {
        if run.onbuild {
            return None;
        }
        let (span, _) = first(run, |command| command.name() == "cd")?;
        Some((span, "`cd` lasts for this `RUN` only: use `WORKDIR`".to_owned()))
    });
}

/// DL3004.
fn sudo(checker: &mut Checker<'_>) {
    checker.each_run(&rules::DL3004, |run| {
        let (span, _) = first(run, |command| command.name() == "sudo")?;
        Some((span, "a build needs no `sudo`: `USER` says who runs it".to_owned()))
    });
}

/// DL3046.
fn users(checker: &mut Checker<'_>) {
    checker.each_run(&rules::DL3046, |run| {
        let (span, _) = first(run, |command| {
            command.name() == "useradd"
                && command.has_flag(&["u", "uid"])
                && !command.has_flag(&["l", "no-log-init"])
                && user_id(command).is_some_and(|id| id.len() > 5)
        })?;
        Some((span, "`useradd` of a high id without `-l` writes a huge log file".to_owned()))
    });
}

/// Returns the id behind `-u` or `--uid`.
fn user_id(command: &Command) -> Option<&str> {
    let mut words = command.words[1..].iter().map(|word| word.text.as_str());
    while let Some(word) = words.next() {
        if let Some(id) = word.strip_prefix("--uid=") {
            return Some(id);
        }
        let short = word.starts_with('-') && !word.starts_with("--");
        if word == "--uid" || short && word.ends_with('u') {
            return words.next();
        }
        if short && let Some((_, id)) = word.split_once('u') {
            return Some(id);
        }
    }
    None
}

/// DL3047.
fn downloads(checker: &mut Checker<'_>) {
    checker.each_run(&rules::DL3047, |run| {
        let (span, _) = first(run, |command| {
            command.name() == "wget"
                && !command.has_flag(&[
                    "progress",
                    "q",
                    "quiet",
                    "o",
                    "output-file",
                    "a",
                    "append-output",
                    "no-verbose",
                    "version",
                    "V",
                    "help",
                    "h",
                ])
                && !command.words.iter().any(|word| word.text == "-nv")
        })?;
        Some((span, "`wget` writes its progress to the log".to_owned()))
    });
}

/// DL4001.
fn both_downloaders(checker: &mut Checker<'_>) {
    let mut found = Vec::new();
    for stage in 0..checker.build.stages.len() {
        let mut seen = [false, false];
        for run in checker.runs.iter().filter(|run| run.stage == stage && !run.onbuild) {
            let here = ["wget", "curl"].map(|name| first(run, |command| command.name() == name));
            for (seen, here) in seen.iter_mut().zip(&here) {
                *seen |= here.is_some();
            }
            if seen == [true, true]
                && let Some((span, name)) = here.into_iter().flatten().next_back()
            {
                let other = if name == "wget" { "curl" } else { "wget" };
                found.push((span, format!("this stage uses `{other}` as well as `{name}`")));
            }
        }
    }
    for (span, message) in found {
        checker.add(&rules::DL4001, span, message);
    }
}

/// DL4005.
fn shell_link(checker: &mut Checker<'_>) {
    checker.each_run(&rules::DL4005, |run| {
        let (span, _) = first(run, |command| {
            command.name() == "ln"
                && command.words.iter().any(|word| word.text == "/bin/sh")
                && command.plain().last().is_none_or(|word| word.text == "/bin/sh")
        })?;
        Some((span, "`SHELL` changes the shell of `RUN` without a link".to_owned()))
    });
}

/// DL4006.
fn pipes(checker: &mut Checker<'_>) {
    let mut found = Vec::new();
    for (index, stage) in checker.build.stages.iter().enumerate() {
        // Shells that do not know the option are left alone; so are those that have it set.
        let mut safe = false;
        for command in &stage.commands {
            if let CommandKind::Shell(words) = &command.kind {
                let words: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
                safe = is_safe(&words);
            }
            let Some(run) = checker
                .runs
                .iter()
                .find(|run| run.stage == index && run.index == command.instruction)
            else {
                continue;
            };
            if let Some(pipe) = run.script.pipe.filter(|_| !safe && !run.onbuild) {
                found.push(run.place(&(pipe..pipe + 1)));
            }
        }
    }
    for span in found {
        let message = "a failure before this `|` goes unnoticed without `pipefail`";
        checker.add(&rules::DL4006, span, message);
    }
}

fn is_safe(shell: &[&str]) -> bool {
    let Some((program, options)) = shell.split_first() else { return false };
    let name = program.rsplit(['/', '\\']).next().unwrap_or("").trim_end_matches(".exe");
    match name.to_lowercase().as_str() {
        "pwsh" | "powershell" | "cmd" => true,
        "bash" | "zsh" | "ash" => {
            let mut words = options.iter();
            while let Some(word) = words.next() {
                let sets = word.starts_with('-') && !word.starts_with("--") && word.ends_with('o');
                if sets && words.next() == Some(&"pipefail") {
                    return true;
                }
            }
            false
        }
        _ => false,
    }
}

/// DL3059.
fn consecutive(checker: &mut Checker<'_>) {
    let single = |run: &RunView<'_>| run.script.commands.len() <= 1 && !run.onbuild;
    let mut found = Vec::new();
    for pair in checker.runs.windows(2) {
        let [before, run] = pair else { continue };
        let adjacent = before.stage == run.stage && run.index == before.index + 1;
        let flags = |run: &RunView<'_>| {
            run.instruction.flags.iter().map(|flag| flag.text.clone()).collect::<Vec<_>>()
        };
        if adjacent && single(before) && single(run) && flags(before) == flags(run) {
            found.push(run.instruction.keyword.span);
        }
    }
    for span in found {
        checker.add(&rules::DL3059, span, "this `RUN` and the one before could be one layer");
    }
}
