//! `USER`, `ENV`, `ARG`, `EXPOSE`, `CMD` and what else describes the image.

use std::collections::BTreeSet;

use loopline_diagnostic::{Rule, rule_set as rules};
use loopline_source::Span;

use super::context::Checker;
use crate::dockerfile::instruction::{Command, CommandKind, CommandLine, Healthcheck};
use crate::dockerfile::tree::{Arguments, Keyword, Pair, Word};

pub(super) fn check(checker: &mut Checker<'_>) {
    for (index, stage) in checker.build.stages.iter().enumerate() {
        last_user(checker, &stage.commands);
        once(checker, &stage.commands);
        for command in &stage.commands {
            instruction(checker, command);
        }
        if index + 1 == checker.build.stages.len() && !has_healthcheck(checker, index) {
            let message = "the image has no `HEALTHCHECK`";
            checker.add(&rules::DL3057, stage.base.span, message);
        }
    }
    for argument in &checker.build.globals {
        secret(checker, "ARG", &argument.name);
    }
    maintainers(checker);
    self_references(checker);
    triggers(checker);
    pragmas(checker);
}

fn instruction(checker: &mut Checker<'_>, command: &Command) {
    match &command.kind {
        CommandKind::User(user) => number(checker, user),
        CommandKind::Expose(ports) => ports.iter().for_each(|port| range(checker, port)),
        CommandKind::Cmd(line) | CommandKind::Entrypoint(line) => {
            exec_form(checker, command.instruction, line);
        }
        CommandKind::Healthcheck(Healthcheck::Command { line, .. }) => {
            exec_form(checker, command.instruction, line);
        }
        CommandKind::Env(pairs) => {
            pairs.iter().for_each(|pair| secret(checker, "ENV", &pair.key));
        }
        CommandKind::Arg(arguments) => {
            arguments.iter().for_each(|argument| secret(checker, "ARG", &argument.name));
        }
        CommandKind::Onbuild(trigger)
            if matches!(trigger.command.kind, CommandKind::Env(_) | CommandKind::Arg(_)) =>
        {
            instruction(checker, &trigger.command);
        }
        _ => {}
    }
}

/// DL4000, wherever it stands.
fn maintainers(checker: &mut Checker<'_>) {
    for instruction in &checker.dockerfile.instructions {
        if instruction.kind == Some(Keyword::Maintainer) {
            let message = "`MAINTAINER` is deprecated: use a label";
            checker.add(&rules::DL4000, instruction.keyword.span, message);
        }
    }
}

/// DL3002: the last user of a stage.
fn last_user(checker: &mut Checker<'_>, commands: &[Command]) {
    let last = commands.iter().rev().find_map(|command| match &command.kind {
        CommandKind::User(user) => Some(user),
        _ => None,
    });
    let Some(user) = last else { return };
    let name = user.text.split(':').next().unwrap_or("");
    if matches!(name, "root" | "0") {
        checker.add(&rules::DL3002, user.span, "processes of the image run as root");
    }
}

/// DL3066: users by name.
fn number(checker: &mut Checker<'_>, user: &Word) {
    let name = user.text.split(':').next().unwrap_or("");
    if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()) {
        return;
    }
    let message = format!("`{name}` is a name; the host knows numbers only");
    checker.add(&rules::DL3066, user.span, message);
}

/// DL3011: ports up to 65535.
fn range(checker: &mut Checker<'_>, port: &Word) {
    let ports = port.text.split('/').next().unwrap_or("");
    let too_large = ports.split(['-', ':']).any(|number| {
        !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
            && number.parse::<u32>().map_or(true, |number| number > 65_535)
    });
    if too_large {
        checker.add(&rules::DL3011, port.span, format!("`{}` is no port", port.text));
    }
}

/// DL3025: the exec form.
fn exec_form(checker: &mut Checker<'_>, index: usize, line: &CommandLine) {
    if let CommandLine::Shell(text) = line {
        let instruction = checker.instruction(index);
        let message = format!(
            "`{}` is written for a shell, which does not pass on signals",
            instruction.keyword.text
        );
        let hint = simple_words(&text.text)
            .map(|words| format!("write {} {words}", instruction.keyword.text));
        checker.add_hint(&rules::DL3025, text.span, message, hint);
    }
}

/// Returns the JSON form of a line without anything a shell is needed for.
fn simple_words(line: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || " -_./:=@,+".contains(c);
    if !line.chars().all(plain) || line.contains('=') && line.find('=') < line.find(' ') {
        return None;
    }
    let words: Vec<String> = line.split_whitespace().map(|word| format!("\"{word}\"")).collect();
    Some(format!("[{}]", words.join(", ")))
}

/// DL4003, DL4004 and DL3012: what counts once in a stage.
fn once(checker: &mut Checker<'_>, commands: &[Command]) {
    let mut check = |rule: &'static Rule, keyword: Keyword, is: fn(&CommandKind) -> bool| {
        for command in commands.iter().filter(|command| is(&command.kind)).skip(1) {
            let message = format!("an earlier `{keyword}` of this stage has no effect");
            checker.add(rule, checker.keyword(command.instruction), message);
        }
    };
    check(&rules::DL4003, Keyword::Cmd, |kind| matches!(kind, CommandKind::Cmd(_)));
    check(&rules::DL4004, Keyword::Entrypoint, |kind| matches!(kind, CommandKind::Entrypoint(_)));
    check(&rules::DL3012, Keyword::Healthcheck, |kind| matches!(kind, CommandKind::Healthcheck(_)));
}

fn has_healthcheck(checker: &Checker<'_>, index: usize) -> bool {
    let mut at = index;
    loop {
        let stage = &checker.build.stages[at];
        let found = |command: &Command| matches!(command.kind, CommandKind::Healthcheck(_));
        if stage.commands.iter().any(found) {
            return true;
        }
        match checker.stage_named(&stage.base.text, at) {
            Some((base, _)) => at = base,
            None => return false,
        }
    }
}

/// DL3064: names with a telling part.
fn secret(checker: &mut Checker<'_>, keyword: &str, name: &Word) {
    if holds_secret(&name.text) {
        let message = format!("`{}` looks like a secret, and `{keyword}` keeps it", name.text);
        checker.add(&rules::DL3064, name.span, message);
    }
}

/// Words that say that a value is no secret.
const HARMLESS: [&str; 3] = ["public", "file", "version"];

/// Returns whether a variable's name says that it holds a secret, as the builder sees it: one of its words, separated by
/// `_`, does, and none says that it is public, a file's name or a version.
pub(super) fn is_secret(name: &str) -> bool {
    const SECRET: [&str; 10] = [
        "apikey",
        "auth",
        "credential",
        "credentials",
        "key",
        "password",
        "pword",
        "passwd",
        "secret",
        "token",
    ];
    let lower = name.to_lowercase();
    let has = |words: &[&str]| lower.split('_').any(|word| words.contains(&word));
    has(&SECRET) && !has(&HARMLESS)
}

/// Returns whether a part of a variable's name says that it holds a secret, and none says that it
/// is public, a file's name or a version.
pub(super) fn holds_secret(name: &str) -> bool {
    const PARTS: [&str; 5] = ["password", "secret", "token", "api_key", "private_key"];
    let lower = name.to_lowercase();
    let harmless = lower.split('_').any(|word| HARMLESS.contains(&word));
    !harmless && PARTS.iter().any(|part| lower.contains(part))
}

/// DL3044: a variable in the `ENV` that sets it first.
fn self_references(checker: &mut Checker<'_>) {
    let mut of_stages: Vec<BTreeSet<&str>> = Vec::new();
    for (index, stage) in checker.build.stages.iter().enumerate() {
        let base = checker.stage_named(&stage.base.text, index);
        let mut known = base.map_or_else(BTreeSet::new, |(base, _)| of_stages[base].clone());
        for command in &stage.commands {
            match &command.kind {
                CommandKind::Arg(arguments) => {
                    known.extend(arguments.iter().map(|argument| argument.name.text.as_str()));
                }
                CommandKind::Env(pairs) => {
                    for found in used_in(pairs, &known) {
                        let message =
                            format!("`{}` is not yet set in the `ENV` that sets it", found.1);
                        checker.add(&rules::DL3044, found.0, message);
                    }
                    known.extend(pairs.iter().map(|pair| pair.key.text.as_str()));
                }
                _ => {}
            }
        }
        of_stages.push(known);
    }
}

/// Returns the values of `pairs` that use a name which only another of them sets.
fn used_in(pairs: &[Pair], known: &BTreeSet<&str>) -> Vec<(Span, String)> {
    let set: BTreeSet<&str> = pairs.iter().map(|pair| pair.key.text.as_str()).collect();
    let new = |name: &&str| set.contains(name) && !known.contains(name);
    let mut found = Vec::new();
    for pair in pairs {
        let mut names = names_in(&pair.value.text).filter(|name| *name != pair.key.text);
        if let Some(name) = names.find(|name| new(name)) {
            found.push((pair.value.span, name.to_owned()));
        }
    }
    found
}

/// Returns the names in `$name` and `${name}`.
fn names_in(value: &str) -> impl Iterator<Item = &str> {
    value.match_indices('$').filter_map(|(at, _)| {
        let rest = &value[at + 1..];
        let (rest, braces) = match rest.strip_prefix('{') {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        (end > 0 && (!braces || rest[end..].starts_with('}'))).then(|| &rest[..end])
    })
}

/// DL3043: triggers that are refused.
fn triggers(checker: &mut Checker<'_>) {
    for instruction in &checker.dockerfile.instructions {
        let Arguments::Nested(inner) = &instruction.arguments else { continue };
        if let Some(kind @ (Keyword::Onbuild | Keyword::From | Keyword::Maintainer)) = inner.kind {
            let message = format!("`ONBUILD` cannot trigger `{kind}`");
            checker.add(&rules::DL3043, inner.keyword.span, message);
        }
    }
}

/// DL1001: comments that silence findings.
fn pragmas(checker: &mut Checker<'_>) {
    for pragma in &checker.settings.pragmas {
        let message = "findings are silenced here and not in `.hadolint.yaml`";
        checker.add(&rules::DL1001, pragma.span, message);
    }
}
