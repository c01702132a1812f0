//! `FROM` and the stages.

use loopline_diagnostic::rule_set as rules;

use super::context::Checker;
use crate::dockerfile::instruction::CommandKind;
use crate::dockerfile::mount;
use crate::dockerfile::tree::{Keyword, Word};

pub(super) fn check(checker: &mut Checker<'_>) {
    first_instruction(checker);
    for index in 0..checker.build.stages.len() {
        base(checker, index);
        name(checker, index);
        platform(checker, index);
    }
    registries(checker);
}

/// DL3061: what may stand before the first `FROM`.
fn first_instruction(checker: &mut Checker<'_>) {
    let instructions = &checker.dockerfile.instructions;
    let early = instructions
        .iter()
        .take_while(|instruction| instruction.kind != Some(Keyword::From))
        .filter(|instruction| instruction.kind.is_some_and(|kind| kind != Keyword::Arg));
    for instruction in early {
        let message = format!(
            "`{}` stands before the first `FROM`, where only `ARG` may",
            instruction.keyword.text
        );
        checker.add(&rules::DL3061, instruction.keyword.span, message);
    }
}

/// The parts of an image's name.
struct Reference<'a> {
    /// The registry, if the name starts with one.
    registry: Option<&'a str>,
    tag: Option<&'a str>,
    digest: Option<&'a str>,
}

fn reference(name: &str) -> Reference<'_> {
    let (name, digest) = match name.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (name, None),
    };
    let path = name.rfind('/').map_or(0, |at| at + 1);
    let tag = name[path..].split_once(':').map(|(_, tag)| tag);
    let first = name.split_once('/').map(|(first, _)| first);
    let registry = first.filter(|first| first.contains(['.', ':']) || *first == "localhost");
    Reference { registry, tag, digest }
}

/// DL3006 and DL3007: the tag of the base image.
fn base(checker: &mut Checker<'_>, index: usize) {
    let stage = &checker.build.stages[index];
    let name = stage.base.text.as_str();
    let earlier = checker.stage_named(name, index).is_some();
    if name == "scratch" || name.starts_with('$') || earlier {
        return;
    }
    let parts = reference(name);
    match (parts.tag, parts.digest) {
        (_, Some(_)) => {}
        (None, None) => {
            let message = format!("`{name}` has no tag: the image may be another one tomorrow");
            checker.add(&rules::DL3006, stage.base.span, message);
        }
        (Some("latest"), None) => {
            let message = format!("`{name}` moves: name a release");
            checker.add(&rules::DL3007, stage.base.span, message);
        }
        (Some(_), None) => {}
    }
}

/// DL3024 and DL3063: names of stages.
fn name(checker: &mut Checker<'_>, index: usize) {
    let Some(name) = &checker.build.stages[index].name else { return };
    if checker.stage_named(&name.text, index).is_some() {
        let message = format!("another stage is called `{}` already", name.text);
        checker.add(&rules::DL3024, name.span, message);
    }
    if matches!(name.text.as_str(), "scratch" | "context") {
        let message = format!("`{}` means something else to the builder", name.text);
        checker.add(&rules::DL3063, name.span, message);
    }
}

/// DL3029 and DL3065: `--platform`.
fn platform(checker: &mut Checker<'_>, index: usize) {
    let Some(platform) = &checker.build.stages[index].platform else { return };
    match platform.text.as_str() {
        "$TARGETPLATFORM" | "${TARGETPLATFORM}" => {
            let message = "`--platform=$TARGETPLATFORM` is what the builder does without it";
            checker.add(&rules::DL3065, platform.span, message);
        }
        text if text.contains("BUILDPLATFORM") || text.contains("TARGETPLATFORM") => {}
        text => {
            let message = format!("`--platform={text}` fixes the platform of this stage");
            checker.add(&rules::DL3029, platform.span, message);
        }
    }
}

/// DL3026: images from registries that are not trusted.
fn registries(checker: &mut Checker<'_>) {
    let trusted = &checker.settings.trusted_registries;
    if trusted.is_empty() {
        return;
    }
    let mut images: Vec<(Word, usize)> = Vec::new();
    for (index, stage) in checker.build.stages.iter().enumerate() {
        images.push((stage.base.clone(), index));
        for command in &stage.commands {
            match &command.kind {
                CommandKind::Copy(copy) => {
                    images.extend(copy.from.clone().map(|from| (from, index)));
                }
                CommandKind::Run(run) => {
                    for word in &run.mounts {
                        let mount = mount::parse(&word.text, &mut |value| Ok(value.to_owned()));
                        let from = mount.ok().and_then(|mount| mount.from);
                        images.extend(from.map(|text| (Word { text, span: word.span }, index)));
                    }
                }
                _ => {}
            }
        }
    }
    for (image, index) in images {
        let name = image.text.as_str();
        if name == "scratch"
            || name.starts_with('$')
            || name.parse::<usize>().is_ok()
            || checker.stage_named(name, index).is_some()
        {
            continue;
        }
        let registry = reference(name).registry.unwrap_or("docker.io");
        if !trusted.iter().any(|pattern| matches_registry(pattern, registry)) {
            let message = format!("`{registry}`, where `{name}` comes from, is not trusted");
            checker.add(&rules::DL3026, image.span, message);
        }
    }
}

/// Returns whether a registry matches: `*` at one end stands for anything.
fn matches_registry(pattern: &str, registry: &str) -> bool {
    let docker = ["docker.io", "hub.docker.com"];
    if docker.contains(&pattern) && docker.contains(&registry) {
        return true;
    }
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(end), _) => registry.ends_with(end),
        (None, Some(start)) => registry.starts_with(start),
        (None, None) => pattern == registry,
    }
}
