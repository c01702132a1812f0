//! Facts that policies ask for: who the image runs as, what a later removal does not undo,
//! passwords in the file.

use loopline_diagnostic::rule_set as rules;

use super::context::Checker;
use super::metadata::{holds_secret, is_secret};
use crate::dockerfile::instruction::CommandKind;
use crate::dockerfile::tree::Word;

pub(super) fn check(checker: &mut Checker<'_>) {
    root(checker);
    late_removal(checker);
    values(checker);
}

/// LL0402: the last stage never says who it runs as.
fn root(checker: &mut Checker<'_>) {
    let Some(last) = checker.build.stages.len().checked_sub(1) else { return };
    let mut at = last;
    loop {
        let stage = &checker.build.stages[at];
        if stage.commands.iter().any(|command| matches!(command.kind, CommandKind::User(_))) {
            return;
        }
        match checker.stage_named(&stage.base.text, at) {
            Some((base, _)) => at = base,
            None => break,
        }
    }
    // Images made for it run as another user by themselves.
    if checker.build.stages[at].base.text.contains("nonroot") {
        return;
    }
    let span = checker.build.stages[last].base.span;
    let message = "no `USER`: the image runs as whoever its base does, which is root by default";
    checker.add(&rules::DOCKERFILE_ROOT, span, message);
}

/// LL0403: a cache is removed by a later `RUN` than the one that filled it.
fn late_removal(checker: &mut Checker<'_>) {
    const CACHES: [(&str, &[&str], &str); 5] = [
        ("/var/lib/apt/lists", &["apt-get", "apt"], "update"),
        ("/var/cache/apk", &["apk"], "add"),
        ("/var/cache/yum", &["yum"], "install"),
        ("/var/cache/dnf", &["dnf"], "install"),
        ("/root/.cache", &["pip", "pip3"], "install"),
    ];
    let mut found = Vec::new();
    // The last `RUN` of the stage that filled each cache, and its line.
    let mut filled: [Option<(usize, usize, u32)>; CACHES.len()] = [None; CACHES.len()];
    for run in &checker.runs {
        for ((_, names, verb), last) in CACHES.iter().zip(&mut filled) {
            if run.called(names).any(|command| command.has_plain(verb)) {
                *last = Some((run.stage, run.index, run.instruction.first_line));
            }
        }
        for command in run.called(&["rm"]) {
            for word in command.plain() {
                let cache = CACHES.iter().position(|(path, ..)| word.text.starts_with(path));
                let Some(cache) = cache else { continue };
                let path = CACHES[cache].0;
                // What this `RUN` filled itself, it may remove.
                if let Some((stage, index, line)) = filled[cache]
                    && stage == run.stage
                    && index < run.index
                {
                    let message = format!(
                        "`{path}` was filled by the `RUN` of line {line}, whose layer keeps it"
                    );
                    found.push((run.word(word), message));
                }
            }
        }
    }
    for (span, message) in found {
        checker.add(&rules::DOCKERFILE_PACKAGE_CACHE, span, message);
    }
}

/// LL0404: a secret's value stands in the file.
fn values(checker: &mut Checker<'_>) {
    let mut found: Vec<(&Word, &Word)> = Vec::new();
    for stage in &checker.build.stages {
        for command in &stage.commands {
            match &command.kind {
                CommandKind::Env(pairs) => {
                    found.extend(pairs.iter().map(|pair| (&pair.key, &pair.value)));
                }
                CommandKind::Arg(arguments) => {
                    found.extend(arguments.iter().filter_map(|argument| {
                        argument.default.as_ref().map(|value| (&argument.name, value))
                    }))
                }
                _ => {}
            }
        }
    }
    found.extend(
        checker
            .build
            .globals
            .iter()
            .filter_map(|argument| argument.default.as_ref().map(|value| (&argument.name, value))),
    );
    for (name, value) in found {
        let text = value.text.trim_matches(['"', '\'']);
        let secret = is_secret(&name.text) || holds_secret(&name.text);
        if secret && !text.is_empty() && !text.contains('$') {
            let message = format!("the value of `{}` can be read by everybody", name.text);
            checker.add(&rules::DOCKERFILE_SECRET_VALUE, value.span, message);
        }
    }
}
