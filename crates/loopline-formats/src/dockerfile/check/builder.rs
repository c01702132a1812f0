//! The builder's own checks, by the names it gives them.

use std::collections::{BTreeMap, BTreeSet};

use loopline_diagnostic::rule_set as rules;
use loopline_source::Span;

use super::context::Checker;
use crate::dockerfile::ignore::{self, Patterns};
use crate::dockerfile::instruction::{Command, CommandKind, CommandLine, Source, Stage};
use crate::dockerfile::platform::Platform;
use crate::dockerfile::reference::is_reference;
use crate::dockerfile::tree::{Keyword, Word};
use crate::dockerfile::word::{Lexer, NoVariables};

pub(super) fn check(checker: &mut Checker<'_>) {
    casing(checker);
    stages(checker);
    empty_lines(checker);
    bases(checker);
    let mut known: Vec<Known> = Vec::new();
    for index in 0..checker.build.stages.len() {
        let of = variables(checker, index, &known);
        known.push(of);
        once(checker, index);
        commands(checker, index);
    }
    ignored_files(checker);
    descriptions(checker);
}

fn is_lower(text: &str) -> bool {
    text == text.to_lowercase()
}

fn is_upper(text: &str) -> bool {
    text == text.to_uppercase()
}

/// ConsistentInstructionCasing: as most of them are.
fn casing(checker: &mut Checker<'_>) {
    let of_stages =
        checker.dockerfile.instructions.iter().filter(|instruction| instruction.kind.is_some());
    let words: Vec<&Word> = of_stages.map(|instruction| &instruction.keyword).collect();
    let lower = words.iter().filter(|word| is_lower(&word.text)).count();
    let upper = words.iter().filter(|word| is_upper(&word.text)).count();
    let (wanted, is): (&str, fn(&str) -> bool) =
        if lower > upper { ("lowercase", is_lower) } else { ("uppercase", is_upper) };
    for word in words {
        if !is(&word.text) {
            let message = format!("`{}` should be {wanted} as most instructions are", word.text);
            checker.add(&rules::CONSISTENT_INSTRUCTION_CASING, word.span, message);
        }
    }
}

/// StageNameCasing, FromAsCasing, DuplicateStageName, ReservedStageName.
fn stages(checker: &mut Checker<'_>) {
    for (index, stage) in checker.build.stages.iter().enumerate() {
        let from = &checker.instruction(stage.instruction).keyword;
        if let Some(keyword) = &stage.keyword
            && is_lower(&from.text) != is_lower(&keyword.text)
        {
            let message =
                format!("`{}` and `{}` are not in the same case", from.text, keyword.text);
            checker.add(&rules::FROM_AS_CASING, keyword.span, message);
        }
        let Some(name) = &stage.name else { continue };
        let written = checker.dockerfile.file.slice(name.span);
        if !is_lower(written) {
            let message = format!("the stage's name `{written}` should be lowercase");
            checker.add(&rules::STAGE_NAME_CASING, name.span, message);
        }
        if matches!(name.text.as_str(), "scratch" | "context") {
            let message = format!("`{}` is a reserved name", name.text);
            checker.add(&rules::RESERVED_STAGE_NAME, name.span, message);
        }
        if checker.stage_named(&name.text, index).is_some() {
            let message = format!("another stage is called `{}` already", name.text);
            checker.add(&rules::DUPLICATE_STAGE_NAME, name.span, message);
        }
    }
}

/// NoEmptyContinuation.
fn empty_lines(checker: &mut Checker<'_>) {
    for instruction in &checker.dockerfile.instructions {
        if let Some(span) = instruction.empty_continuation {
            let message = format!("an empty line inside of `{}`", instruction.keyword.text);
            checker.add(&rules::NO_EMPTY_CONTINUATION, span, message);
        }
    }
}

/// The variables that the builder sets before the first `FROM`.
pub(super) const PLATFORM_VARIABLES: [&str; 10] = [
    "BUILDPLATFORM",
    "BUILDOS",
    "BUILDOSVERSION",
    "BUILDARCH",
    "BUILDVARIANT",
    "TARGETPLATFORM",
    "TARGETOS",
    "TARGETOSVERSION",
    "TARGETARCH",
    "TARGETVARIANT",
];

/// UndefinedArgInFrom, InvalidDefaultArgInFrom, FromPlatformFlagConstDisallowed and
/// RedundantTargetPlatform.
fn bases(checker: &mut Checker<'_>) {
    let lexer = Lexer::new(checker.dockerfile.escape);
    let mut defaults: BTreeMap<String, String> = PLATFORM_VARIABLES
        .iter()
        .map(|name| ((*name).to_owned(), default_of(name).to_owned()))
        .collect();
    for argument in &checker.build.globals {
        let value = match &argument.default {
            Some(word) => lexer.expand(&word.text, &defaults).map(|expanded| expanded.text),
            None => continue,
        };
        // The build fails with this; there is nothing more to say.
        let Ok(value) = value else { return };
        defaults.insert(argument.name.text.clone(), value);
    }
    let mut declared: Vec<&str> =
        checker.build.globals.iter().map(|argument| argument.name.text.as_str()).collect();
    declared.extend(PLATFORM_VARIABLES);
    for stage in &checker.build.stages {
        for word in [Some(&stage.base), stage.platform.as_ref()].into_iter().flatten() {
            let Ok(used) = lexer.expand(&word.text, &NoVariables) else { continue };
            for name in used.missing.iter().filter(|name| !declared.contains(&name.as_str())) {
                let near = super::context::nearest(name, &declared);
                let hint = near.map(|near| format!("did you mean `{near}`?"));
                let message = format!("no `ARG` before the first `FROM` declares `{name}`");
                checker.add_hint(&rules::UNDEFINED_ARG_IN_FROM, word.span, message, hint);
            }
        }
        if let Ok(base) = lexer.expand(&stage.base.text, &defaults)
            && !is_reference(&base.text)
        {
            let message = format!(
                "without `--build-arg` the base image is `{}`, which is no image's name",
                base.text
            );
            checker.add(&rules::INVALID_DEFAULT_ARG_IN_FROM, stage.base.span, message);
        }
        platform(checker, stage, lexer);
    }
}

fn default_of(name: &str) -> &'static str {
    match name {
        "BUILDPLATFORM" | "TARGETPLATFORM" => "linux/amd64",
        "BUILDOS" | "TARGETOS" => "linux",
        "BUILDARCH" | "TARGETARCH" => "amd64",
        _ => "",
    }
}

fn platform(checker: &mut Checker<'_>, stage: &Stage, lexer: Lexer) {
    let Some(word) = &stage.platform else { return };
    if matches!(word.text.as_str(), "$TARGETPLATFORM" | "${TARGETPLATFORM}") {
        let message = format!("`{}` is the platform anyway", word.text);
        checker.add(&rules::REDUNDANT_TARGET_PLATFORM, word.span, message);
    }
    let Ok(expanded) = lexer.expand(&word.text, &NoVariables) else { return };
    if word.text.contains('$') {
        return;
    }
    let Ok(platform) = Platform::parse(&expanded.text, &Platform::linux_amd64()) else { return };
    let name = stage.name.as_ref().map_or("", |name| name.text.as_str());
    if !name.contains(&platform.os) && !name.contains(&platform.architecture) {
        let message = format!("the platform `{}` is fixed", expanded.text);
        checker.add(&rules::FROM_PLATFORM_FLAG_CONST_DISALLOWED, word.span, message);
    }
}

/// The most variables of one instruction that are looked at once they are not known.
const MAX_UNDEFINED: usize = 100;

/// What is known of the variables at the end of a stage.
#[derive(Clone, Default)]
struct Known {
    names: BTreeSet<String>,
    /// Whether the base image, which is not known here, may set more.
    open: bool,
    workdir: bool,
}

/// UndefinedVar and WorkdirRelativePath.
fn variables(checker: &mut Checker<'_>, index: usize, earlier: &[Known]) -> Known {
    let stage = &checker.build.stages[index];
    let base = checker.stage_named(&stage.base.text, index).map(|(base, _)| base);
    let mut known = match base {
        Some(base) => earlier[base].clone(),
        None => Known {
            names: BTreeSet::from(["PATH".to_owned()]),
            open: stage.base.text != "scratch",
            workdir: false,
        },
    };
    let lexer = Lexer::new(checker.dockerfile.escape);
    let body = Lexer { ignore_quotes: true, ..Lexer::new('\\') };
    for command in &stage.commands {
        let heredocs = &checker.instruction(command.instruction).heredocs;
        let mut texts: Vec<(String, Span, Lexer)> = Vec::new();
        for word in expanded_words(command) {
            texts.push((word.text.clone(), word.span, lexer));
        }
        if let CommandKind::Copy(transfer) | CommandKind::Add(transfer) = &command.kind {
            for source in &transfer.sources {
                if let Source::Heredoc(number) = source
                    && let Some(heredoc) = heredocs.get(*number).filter(|heredoc| heredoc.expand)
                {
                    let text = checker.dockerfile.file.slice(heredoc.body).to_owned();
                    texts.push((text, heredoc.body, body));
                }
            }
        }
        let mut missing = BTreeMap::new();
        for (text, span, lexer) in texts {
            let Ok(expanded) = lexer.expand(&text, &NoVariables) else { continue };
            for name in expanded.missing {
                if !known.names.contains(&name) {
                    missing.entry(name).or_insert(span);
                }
            }
        }
        for (name, span) in missing.into_iter().take(MAX_UNDEFINED) {
            undefined(checker, &known, &name, span);
        }
        match &command.kind {
            CommandKind::Env(pairs) => {
                known.names.extend(pairs.iter().map(|pair| pair.key.text.clone()));
            }
            CommandKind::Arg(arguments) => {
                known.names.extend(arguments.iter().map(|argument| argument.name.text.clone()));
            }
            CommandKind::Workdir(path) => {
                let text = path.text.trim_matches(['"', '\'']);
                if !known.workdir && !text.starts_with(['/', '$']) && !text.contains(":\\") {
                    let message = format!("`{text}` depends on where the base image is");
                    checker.add(&rules::WORKDIR_RELATIVE_PATH, path.span, message);
                }
                known.workdir = true;
            }
            _ => {}
        }
    }
    known
}

fn undefined(checker: &mut Checker<'_>, known: &Known, name: &str, span: Span) {
    let globals = &checker.build.globals;
    let global = globals.iter().any(|argument| argument.name.text == name)
        || PLATFORM_VARIABLES.contains(&name);
    let names: Vec<&str> = known.names.iter().map(String::as_str).collect();
    let near = super::context::nearest(name, &names);
    // What the base image sets is not known: a slip must show in another way.
    if known.open && !global && near.is_none() {
        return;
    }
    let hint = match (global, near) {
        (true, _) => Some(format!("add `ARG {name}` to this stage: it is set before `FROM` only")),
        (false, near) => near.map(|near| format!("did you mean `{near}`?")),
    };
    let message = format!("nothing in this stage sets `{name}`");
    checker.add_hint(&rules::UNDEFINED_VAR, span, message, hint);
}

/// Returns the words of an instruction that the builder expands.
fn expanded_words(command: &Command) -> Vec<&Word> {
    match &command.kind {
        CommandKind::Add(transfer) | CommandKind::Copy(transfer) => {
            let paths = transfer.sources.iter().filter_map(|source| match source {
                Source::Path(path) => Some(path),
                Source::Heredoc(_) => None,
            });
            paths
                .chain([&transfer.destination])
                .chain(&transfer.chown)
                .chain(&transfer.chmod)
                .chain(&transfer.checksum)
                .chain(&transfer.exclude)
                .collect()
        }
        CommandKind::Env(pairs) | CommandKind::Label(pairs) => {
            pairs.iter().flat_map(|pair| [&pair.key, &pair.value]).collect()
        }
        CommandKind::Arg(arguments) => {
            arguments.iter().filter_map(|argument| argument.default.as_ref()).collect()
        }
        CommandKind::Expose(words) | CommandKind::Volume(words) => words.iter().collect(),
        CommandKind::Stopsignal(word) | CommandKind::User(word) | CommandKind::Workdir(word) => {
            vec![word]
        }
        _ => Vec::new(),
    }
}

/// MultipleInstructionsDisallowed: the earlier ones have no effect.
fn once(checker: &mut Checker<'_>, index: usize) {
    let mut check = |keyword: Keyword, is: fn(&CommandKind) -> bool| {
        let commands = &checker.build.stages[index].commands;
        for command in commands.iter().filter(|command| is(&command.kind)).skip(1) {
            let message = format!("only the last `{keyword}` of a stage counts");
            let span = checker.keyword(command.instruction);
            checker.add(&rules::MULTIPLE_INSTRUCTIONS_DISALLOWED, span, message);
        }
    };
    check(Keyword::Cmd, |kind| matches!(kind, CommandKind::Cmd(_)));
    check(Keyword::Entrypoint, |kind| matches!(kind, CommandKind::Entrypoint(_)));
    check(Keyword::Healthcheck, |kind| matches!(kind, CommandKind::Healthcheck(_)));
}

/// The checks of single instructions.
fn commands(checker: &mut Checker<'_>, index: usize) {
    let stage = &checker.build.stages[index];
    let shell = stage.commands.iter().any(|command| matches!(command.kind, CommandKind::Shell(_)));
    for command in &stage.commands {
        let keyword = &checker.instruction(command.instruction).keyword;
        match &command.kind {
            CommandKind::Maintainer(_) => {
                let message = "`MAINTAINER` is deprecated in favor of a label";
                checker.add(&rules::MAINTAINER_DEPRECATED, keyword.span, message);
            }
            CommandKind::Cmd(CommandLine::Shell(line))
            | CommandKind::Entrypoint(CommandLine::Shell(line))
                if !shell =>
            {
                let message = format!("JSON is recommended for `{}`", keyword.text);
                checker.add(&rules::JSON_ARGS_RECOMMENDED, line.span, message);
            }
            CommandKind::Env(pairs) | CommandKind::Label(pairs) => {
                for pair in pairs {
                    if pair.legacy {
                        let message = format!("write `{} name=value`", keyword.text);
                        checker.add(&rules::LEGACY_KEY_VALUE_FORMAT, pair.key.span, message);
                    }
                    if matches!(command.kind, CommandKind::Env(_)) {
                        secret(checker, "ENV", &pair.key);
                    }
                }
            }
            CommandKind::Arg(arguments) => {
                arguments.iter().for_each(|argument| secret(checker, "ARG", &argument.name));
            }
            CommandKind::Expose(ports) => ports.iter().for_each(|port| exposed(checker, port)),
            _ => {}
        }
    }
}

/// SecretsUsedInArgOrEnv.
fn secret(checker: &mut Checker<'_>, keyword: &str, name: &Word) {
    if super::metadata::is_secret(&name.text) {
        let message = format!("`{keyword}` keeps `{}`, which looks like a secret", name.text);
        checker.add(&rules::SECRETS_USED_IN_ARG_OR_ENV, name.span, message);
    }
}

/// ExposeProtoCasing and ExposeInvalidFormat.
fn exposed(checker: &mut Checker<'_>, port: &Word) {
    if port.text.contains('$') {
        return;
    }
    if let Some((_, protocol)) = port.text.split_once('/')
        && !is_lower(protocol)
    {
        let message = format!("the protocol `{protocol}` should be lowercase");
        checker.add(&rules::EXPOSE_PROTO_CASING, port.span, message);
    }
    if port.text.contains(':') {
        let message = format!("`{}` names an address or a port of the host", port.text);
        checker.add(&rules::EXPOSE_INVALID_FORMAT, port.span, message);
    }
}

/// CopyIgnoredFile: what `.dockerignore` next to the file leaves out.
fn ignored_files(checker: &mut Checker<'_>) {
    let name = checker.dockerfile.file.name();
    let folder = name.rfind('/').map_or("", |at| &name[..=at]);
    let candidates = [format!("{name}.dockerignore"), format!("{folder}.dockerignore")];
    let Some(text) = candidates.iter().find_map(|path| checker.tree.read(path).ok()) else {
        return;
    };
    let Ok(patterns) = Patterns::parse(&text) else { return };
    // With exclusions a folder left out may hold what is taken back in.
    if patterns.is_empty() || patterns.has_exclusions() {
        return;
    }
    for stage in &checker.build.stages {
        for command in &stage.commands {
            let (CommandKind::Copy(transfer) | CommandKind::Add(transfer)) = &command.kind else {
                continue;
            };
            if transfer.from.is_some() {
                continue;
            }
            for source in &transfer.sources {
                let Source::Path(path) = source else { continue };
                let cleaned = ignore::clean(&path.text);
                if path.text.contains("://") || path.text.contains('$') || cleaned == "." {
                    continue;
                }
                if patterns.matches(&cleaned) {
                    let message = format!("`.dockerignore` leaves `{}` out", path.text);
                    checker.add(&rules::COPY_IGNORED_FILE, path.span, message);
                }
            }
        }
    }
}

/// InvalidDefinitionDescription.
fn descriptions(checker: &mut Checker<'_>) {
    let mut found = Vec::new();
    for stage in &checker.build.stages {
        if let Some(name) = &stage.name {
            found.push((stage.instruction, vec![name.text.clone()]));
        }
    }
    let commands = checker.build.stages.iter().flat_map(|stage| &stage.commands);
    let of_stages = commands.filter_map(|command| match &command.kind {
        CommandKind::Arg(arguments) => Some(arguments),
        _ => None,
    });
    let mut by_instruction: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for argument in checker.build.globals.iter().chain(of_stages.flatten()) {
        by_instruction.entry(argument.instruction).or_default().push(argument.name.text.clone());
    }
    found.extend(by_instruction);
    for (index, names) in found {
        let comments = &checker.instruction(index).comments;
        let Some(last) = comments.last() else { continue };
        let describes = comments.iter().any(|comment| {
            names.iter().any(|name| {
                comment.text.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with(' '))
            })
        });
        if !describes {
            let message = format!("the comment should be `# {} <description>`", names[0]);
            checker.add(&rules::INVALID_DEFINITION_DESCRIPTION, last.span, message);
        }
    }
}
