//! `ADD`, `COPY` and `WORKDIR`: what goes where.

use std::collections::BTreeMap;

use loopline_diagnostic::rule_set as rules;

use super::context::Checker;
use crate::dockerfile::instruction::{CommandKind, Location, Source, Transfer};
use crate::dockerfile::tree::Word;

pub(super) fn check(checker: &mut Checker<'_>) {
    let unpacked = unpacked(checker);
    for index in 0..checker.build.stages.len() {
        let stage = &checker.build.stages[index];
        // Whether a `WORKDIR` was set here or in the stage this one stands on.
        let mut workdir = has_workdir(checker, index);
        for command in &stage.commands {
            match &command.kind {
                CommandKind::Workdir(path) => {
                    absolute(checker, path);
                    workdir = true;
                }
                CommandKind::Add(add) => added(checker, command.instruction, add),
                CommandKind::Copy(copy) => {
                    several(checker, copy);
                    from(checker, index, copy);
                    if !workdir {
                        relative(checker, copy);
                    }
                    archive(checker, index, command.instruction, copy, &unpacked);
                }
                _ => {}
            }
        }
    }
}

/// Removes one pair of quotes.
fn unquoted(text: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|inner| inner.strip_suffix(quote)) {
            return inner;
        }
    }
    text
}

/// Returns whether a path is absolute, or may be once its variables are known.
fn is_absolute(path: &str) -> bool {
    let bytes = path.as_bytes();
    let drive = bytes.len() > 1 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':';
    path.starts_with(['/', '$', '\\']) || drive
}

fn has_workdir(checker: &Checker<'_>, index: usize) -> bool {
    let mut at = index;
    // Stages stand on earlier ones only, so this ends.
    loop {
        let Some((base, stage)) = checker.stage_named(&checker.build.stages[at].base.text, at)
        else {
            return false;
        };
        if stage.commands.iter().any(|command| matches!(command.kind, CommandKind::Workdir(_))) {
            return true;
        }
        at = base;
    }
}

/// DL3000.
fn absolute(checker: &mut Checker<'_>, path: &Word) {
    let text = unquoted(&path.text);
    if !text.is_empty() && !is_absolute(text) {
        let message = format!("`{text}` is relative to wherever the base image happens to be");
        checker.add(&rules::DL3000, path.span, message);
    }
}

/// What `ADD` unpacks.
const ARCHIVES: [&str; 20] = [
    ".tar",
    ".tar.gz",
    ".tar.bz2",
    ".tar.xz",
    ".tar.zst",
    ".tar.lz",
    ".tar.lzma",
    ".tgz",
    ".tbz",
    ".tbz2",
    ".txz",
    ".tzst",
    ".tlz",
    ".gz",
    ".lzma",
    ".Z",
    ".tZ",
    ".tb2",
    ".bz2",
    ".xz",
];

fn is_archive(path: &str) -> bool {
    ARCHIVES.iter().any(|ending| path.ends_with(ending))
}

/// DL3020: `ADD` of what is neither an archive nor somewhere else.
fn added(checker: &mut Checker<'_>, instruction: usize, add: &Transfer) {
    let plain = |source: &&Source| match source {
        Source::Heredoc(_) => true,
        Source::Path(path) => {
            let path = unquoted(&path.text);
            Location::of(path) == Location::Context && !is_archive(path)
        }
    };
    if let Some(source) = add.sources.iter().find(plain) {
        let (what, span) = match source {
            Source::Path(path) => (path.text.as_str(), path.span),
            Source::Heredoc(_) => ("a here-document", checker.keyword(instruction)),
        };
        let message = format!("`{what}` is neither an archive nor a URL: `COPY` is enough");
        checker.add(&rules::DL3020, span, message);
    }
}

/// DL3021: several sources need a folder.
fn several(checker: &mut Checker<'_>, copy: &Transfer) {
    let destination = unquoted(&copy.destination.text);
    if copy.sources.len() > 1 && !destination.ends_with(['/', '\\']) {
        let message = format!(
            "{} sources go to `{destination}`, which does not end with `/`",
            copy.sources.len()
        );
        checker.add(&rules::DL3021, copy.destination.span, message);
    }
}

/// DL3022, DL3023 and DL3067: `--from`.
fn from(checker: &mut Checker<'_>, index: usize, copy: &Transfer) {
    let Some(from) = &copy.from else { return };
    let name = from.text.to_lowercase();
    let own = checker.build.stages[index].name.as_ref();
    if own.is_some_and(|own| own.text == name) {
        let message = format!("`{}` is this very stage", from.text);
        checker.add(&rules::DL3023, from.span, message);
    } else if let Ok(number) = name.parse::<usize>() {
        if number >= index {
            let message = format!("there is no stage {number} before this one");
            checker.add(&rules::DL3022, from.span, message);
        }
    } else if checker.stage_named(&name, index).is_none() && !name.contains([':', '@']) {
        let names: Vec<&str> = checker.build.stages[..index]
            .iter()
            .filter_map(|stage| stage.name.as_ref().map(|name| name.text.as_str()))
            .collect();
        let near = super::context::nearest(&name, &names);
        let hint = near.map(|near| format!("did you mean `{near}`?"));
        let message = format!("no stage before this one is called `{}`", from.text);
        checker.add_hint(&rules::DL3022, from.span, message, hint);
    }
    let whole = |source: &Source| matches!(source, Source::Path(path) if path.text == "/");
    if copy.sources.iter().any(whole) && copy.destination.text == "/" {
        let message = format!("everything of `{}` is copied into one layer", from.text);
        checker.add(&rules::DL3067, copy.destination.span, message);
    }
}

/// DL3045: a relative destination without `WORKDIR`.
fn relative(checker: &mut Checker<'_>, copy: &Transfer) {
    let destination = unquoted(&copy.destination.text);
    if !is_absolute(destination) {
        let message =
            format!("`{destination}` is relative, and this stage has no `WORKDIR` before it");
        checker.add(&rules::DL3045, copy.destination.span, message);
    }
}

/// Returns the last path element.
fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or("")
}

/// Returns for each stage the files that `tar` unpacks, and the last instruction that does.
fn unpacked(checker: &Checker<'_>) -> BTreeMap<(usize, String), usize> {
    let mut unpacked = BTreeMap::new();
    for run in &checker.runs {
        for command in run.called(&["tar"]) {
            let short = |word: &str| {
                word.strip_prefix('-')
                    .is_some_and(|flags| !flags.starts_with('-') && flags.contains('x'))
            };
            // The first word may hold flags without a dash: `tar xzf`.
            let old = |at: usize, word: &str| {
                at == 0
                    && !word.starts_with('-')
                    && !word.contains(['/', '.'])
                    && word.contains('x')
            };
            let extracts = command.words[1..].iter().enumerate().any(|(at, word)| {
                let text = word.text.as_str();
                short(text) || matches!(text, "--extract" | "--get") || old(at, text)
            });
            if extracts {
                for word in &command.words[1..] {
                    unpacked.insert((run.stage, base(&word.text).to_owned()), run.index);
                }
            }
        }
    }
    unpacked
}

/// DL3010: an archive that is copied and then unpacked.
fn archive(
    checker: &mut Checker<'_>,
    index: usize,
    instruction: usize,
    copy: &Transfer,
    unpacked: &BTreeMap<(usize, String), usize>,
) {
    if copy.from.is_some() {
        return;
    }
    for source in &copy.sources {
        let Source::Path(path) = source else { continue };
        let source = unquoted(&path.text);
        if !is_archive(source) {
            continue;
        }
        let destination = unquoted(&copy.destination.text);
        let target = if destination.ends_with('/') || matches!(destination, "." | "..") {
            source
        } else {
            destination
        };
        let last = unpacked.get(&(index, base(target).to_owned()));
        if last.is_some_and(|last| *last > instruction) {
            let message = format!("`{source}` is copied and then unpacked; `ADD` unpacks it");
            checker.add(&rules::DL3010, path.span, message);
        }
    }
}
