//! Stages: what they stand on, what they need, which of them the target needs.

use std::collections::{BTreeMap, BTreeSet};

use loopline_source::Span;

use super::stage::{self, Evaluated, Triggered};
use super::{Base, Error, ErrorKind, Facts, From, Plan};
use crate::dockerfile::instruction::{Argument, Build, CommandKind, Stage};
use crate::dockerfile::mount;
use crate::dockerfile::platform::Platform;
use crate::dockerfile::tree::{Dockerfile, Word};
use crate::dockerfile::word::{Lexer, NoVariables};

/// The proxies that every `RUN` gets when the build is given them.
const PROXIES: [&str; 5] = ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"];

/// What planning knows of the whole file.
pub(super) struct Context<'a> {
    pub(super) dockerfile: &'a Dockerfile,
    pub(super) build: &'a Build,
    pub(super) facts: &'a Facts,
    pub(super) lexer: Lexer,
    /// The variables before the first `FROM`.
    pub(super) globals: BTreeMap<String, String>,
}

impl Context<'_> {
    /// Returns an error at `span` of the instruction at `index`.
    pub(super) fn error(&self, index: usize, span: Span, kind: impl Into<ErrorKind>) -> Error {
        let line = self.dockerfile.instructions[index].first_line;
        Error { span, line, kind: kind.into() }
    }

    /// Returns the last stage called `name`, in any case, wherever it stands.
    fn named(&self, name: &str) -> Option<usize> {
        let lower = name.to_lowercase();
        self.build
            .stages
            .iter()
            .rposition(|stage| stage.name.as_ref().is_some_and(|found| found.text == lower))
    }

    /// Returns how messages call a stage.
    fn shown(&self, index: usize) -> String {
        let name = self.build.stages[index].name.as_ref();
        name.map_or_else(|| format!("stage-{index}"), |name| name.text.clone())
    }

    /// Returns what `name` (of `--from` or a mount) means in the stage `own`.
    pub(super) fn from(&self, own: usize, index: usize, name: &Word) -> Result<From, Error> {
        let error = |kind| self.error(index, name.span, kind);
        let expanded = self.lexer.expand(&name.text, &NoVariables);
        if expanded.map_err(|word| error(word.into()))?.text != name.text {
            return Err(error(ErrorKind::FromExpansion));
        }
        let found = match name.text.parse::<usize>() {
            Ok(number) if number < self.build.stages.len() => Some(number),
            Ok(number) => return Err(error(ErrorKind::StageIndex(number))),
            Err(_) => self.named(&name.text),
        };
        match found {
            None if name.text == "scratch" => Ok(From::Image("scratch".to_owned())),
            None => Ok(From::Image(name.text.clone())),
            Some(stage) if stage < own => Ok(From::Stage(stage)),
            Some(stage) => {
                let (from, stage_name) = (self.shown(stage), self.shown(own));
                Err(error(if self.reaches(stage, own) {
                    ErrorKind::Circular(stage_name)
                } else {
                    ErrorKind::OutOfOrder { from, stage: stage_name }
                }))
            }
        }
    }

    /// Returns whether the stage `start` needs the stage `goal`, itself included.
    fn reaches(&self, start: usize, goal: usize) -> bool {
        let mut seen = BTreeSet::new();
        let mut open = vec![start];
        while let Some(at) = open.pop() {
            if at == goal {
                return true;
            }
            if seen.insert(at) {
                open.extend(self.mentioned(at));
            }
        }
        false
    }

    /// Returns the stages that a stage names, whether it may or not.
    fn mentioned(&self, index: usize) -> Vec<usize> {
        let stage = &self.build.stages[index];
        let mut found = Vec::new();
        found.extend(earlier(self.build, &stage.base.text, index));
        for command in &stage.commands {
            let names: Vec<String> = match &command.kind {
                CommandKind::Copy(copy) => copy.from.iter().map(|from| from.text.clone()).collect(),
                CommandKind::Run(run) => {
                    run.mounts.iter().filter_map(|word| mount::from(&word.text)).collect()
                }
                _ => continue,
            };
            for name in names {
                let number = name.parse::<usize>().ok();
                let number = number.filter(|number| *number < self.build.stages.len());
                found.extend(number.or_else(|| self.named(&name)));
            }
        }
        found
    }
}

/// Returns the last stage before `index` called `name`.
pub(super) fn earlier(build: &Build, name: &str, index: usize) -> Option<usize> {
    build.stages[..index]
        .iter()
        .rposition(|stage| stage.name.as_ref().is_some_and(|found| found.text == name))
}

/// Plans a build.
///
/// # Errors
/// Everything that keeps it from being built, [`ErrorKind::MissingImage`] for each base image
/// that [`Facts::images`] does not hold.
pub fn plan(dockerfile: &Dockerfile, build: &Build, facts: &Facts) -> Result<Plan, Vec<Error>> {
    let lexer = Lexer::new(dockerfile.escape);
    let mut context = Context { dockerfile, build, facts, lexer, globals: BTreeMap::new() };
    let target = target(&context).map_err(|error| vec![error])?;
    context.globals = globals(&context, target).map_err(|error| vec![error])?;
    let mut errors = Vec::new();
    let mut bases = Vec::new();
    for (index, stage) in build.stages.iter().enumerate() {
        match base(&context, index, stage) {
            Ok(found) => bases.push(found),
            Err(error) => errors.push(error),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }

    // Stages stand on and copy from earlier ones only, so one pass backwards finds what is needed.
    let mut needs: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); build.stages.len()];
    let mut needed = BTreeSet::from([target]);
    for index in (0..build.stages.len()).rev() {
        if !needed.contains(&index) {
            continue;
        }
        match direct_needs(&context, index, &bases) {
            Ok(found) => {
                needed.extend(found.iter().copied());
                needs[index] = found;
            }
            Err(found) => errors.extend(found),
        }
    }
    if !errors.is_empty() {
        errors.sort_by_key(|error| error.span);
        return Err(errors);
    }

    let mut evaluated: BTreeMap<usize, Evaluated> = BTreeMap::new();
    for &index in &needed {
        let (base, platform) = bases[index].clone();
        match stage::evaluate(&context, index, base, platform, &evaluated) {
            Ok(mut of) => {
                of.stage.needs.extend(needs[index].iter().copied());
                evaluated.insert(index, of);
            }
            Err(found) => {
                errors.push(found);
                // What stands on this stage cannot be evaluated; other stages still name the
                // images that are missing.
                break;
            }
        }
    }
    for &index in &needed {
        let (base, platform) = &bases[index];
        let Base::Image(name) = base else { continue };
        let missing = ErrorKind::MissingImage(name.clone());
        let said = errors.iter().any(|error| error.kind == missing);
        if !facts.images.contains_key(name) && !said && platform.os == "linux" {
            let stage = &build.stages[index];
            errors.push(context.error(stage.instruction, stage.base.span, missing));
        }
    }
    if !errors.is_empty() {
        errors.sort_by_key(|error| error.span);
        return Err(errors);
    }

    let asked: BTreeSet<&str> = build
        .globals
        .iter()
        .chain(build.stages.iter().flat_map(|stage| &stage.commands).flat_map(|command| {
            let arguments: &[Argument] = match &command.kind {
                CommandKind::Arg(arguments) => arguments,
                _ => &[],
            };
            arguments
        }))
        .map(|argument| argument.name.text.as_str())
        .collect();
    let is_proxy = |name: &str| PROXIES.contains(&name.to_lowercase().as_str());
    let unused = facts.build_arguments.keys().filter(|name| {
        !asked.contains(name.as_str()) && !is_proxy(name) && !context.globals.contains_key(*name)
    });
    Ok(Plan {
        target,
        proxies: facts
            .build_arguments
            .iter()
            .filter(|(name, _)| is_proxy(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        unused_build_arguments: unused.cloned().collect(),
        stages: evaluated.into_values().map(|evaluated| evaluated.stage).collect(),
    })
}

fn target(context: &Context<'_>) -> Result<usize, Error> {
    let stages = &context.build.stages;
    let Some(last) = stages.len().checked_sub(1) else {
        return Err(Error { span: Span::default(), line: 1, kind: ErrorKind::NoStages });
    };
    let Some(name) = &context.facts.target else { return Ok(last) };
    context.named(name).ok_or_else(|| {
        let names: Vec<&str> =
            stages.iter().filter_map(|stage| Some(stage.name.as_ref()?.text.as_str())).collect();
        let nearest = loopline_diagnostic::nearest(name, &names).map(str::to_owned);
        let kind = ErrorKind::Target { name: name.clone(), nearest };
        context.error(stages[last].instruction, stages[last].base.span, kind)
    })
}

/// Returns the variables before the first `FROM`: the platform's, then `ARG`s with the values the
/// build was given or their defaults.
fn globals(context: &Context<'_>, target: usize) -> Result<BTreeMap<String, String>, Error> {
    let facts = context.facts;
    let mut globals = BTreeMap::new();
    for (prefix, platform) in [("BUILD", &facts.build_platform), ("TARGET", &facts.platform)] {
        for (name, value) in [
            ("PLATFORM", platform.to_string()),
            ("OS", platform.os.clone()),
            ("OSVERSION", String::new()),
            ("ARCH", platform.architecture.clone()),
            ("VARIANT", platform.variant.clone()),
        ] {
            globals.insert(format!("{prefix}{name}"), value);
        }
    }
    let name = context.build.stages[target].name.as_ref();
    let name = name.map_or_else(|| "default".to_owned(), |name| name.text.clone());
    globals.insert("TARGETSTAGE".to_owned(), name);
    for (name, value) in &mut globals {
        if let Some(given) = facts.build_arguments.get(name) {
            value.clone_from(given);
        }
    }
    for argument in &context.build.globals {
        let name = &argument.name.text;
        let value = match (facts.build_arguments.get(name), &argument.default) {
            (Some(given), _) => given.clone(),
            (None, Some(word)) => {
                let expanded = context.lexer.expand(&word.text, &globals);
                expanded
                    .map_err(|error| context.error(argument.instruction, word.span, error))?
                    .text
            }
            (None, None) => continue,
        };
        globals.insert(name.clone(), value);
    }
    Ok(globals)
}

/// Returns what a stage stands on and what it is for.
fn base(context: &Context<'_>, index: usize, stage: &Stage) -> Result<(Base, Platform), Error> {
    let expand = |word: &Word| {
        let expanded = context.lexer.expand(&word.text, &context.globals);
        expanded
            .map(|expanded| expanded.text)
            .map_err(|error| context.error(stage.instruction, word.span, error))
    };
    let name = expand(&stage.base)?;
    let error = |word: &Word, kind| context.error(stage.instruction, word.span, kind);
    if name.is_empty() {
        return Err(error(&stage.base, ErrorKind::EmptyBase(stage.base.text.clone())));
    }
    let mut platform = context.facts.platform.clone();
    if let Some(word) = &stage.platform {
        let text = expand(word)?;
        if text.is_empty() {
            return Err(error(word, ErrorKind::EmptyPlatform(word.text.clone())));
        }
        platform = Platform::parse(&text, &context.facts.platform)
            .map_err(|kind| error(word, kind.into()))?;
    }
    let base = match earlier(context.build, &name, index) {
        Some(stage) => Base::Stage(stage),
        None if name == "scratch" => Base::Scratch,
        None if crate::dockerfile::reference::is_reference(&name) => Base::Image(name),
        None => return Err(error(&stage.base, ErrorKind::Reference(name))),
    };
    Ok((base, platform))
}

/// Returns the stages that a stage needs itself.
fn direct_needs(
    context: &Context<'_>,
    index: usize,
    bases: &[(Base, Platform)],
) -> Result<BTreeSet<usize>, Vec<Error>> {
    let mut needs = BTreeSet::new();
    let mut errors = Vec::new();
    if let Base::Stage(base) = bases[index].0 {
        needs.insert(base);
        // Triggers of the base copy for this stage.
        for command in &context.build.stages[base].commands {
            if let CommandKind::Onbuild(trigger) = &command.kind {
                collect(
                    context,
                    index,
                    &trigger.command.kind,
                    command.instruction,
                    &mut needs,
                    &mut errors,
                );
            }
        }
    }
    if let Base::Image(name) = &bases[index].0
        && let Some(configuration) = context.facts.images.get(name)
    {
        let from = context.build.stages[index].instruction;
        for expression in &configuration.on_build {
            // One that cannot be read is said when the stage is gone through.
            if let Ok(trigger) = Triggered::read(expression, from) {
                collect(context, index, &trigger.command.kind, from, &mut needs, &mut errors);
            }
        }
    }
    for command in &context.build.stages[index].commands {
        collect(context, index, &command.kind, command.instruction, &mut needs, &mut errors);
    }
    if errors.is_empty() { Ok(needs) } else { Err(errors) }
}

fn collect(
    context: &Context<'_>,
    own: usize,
    kind: &CommandKind,
    instruction: usize,
    needs: &mut BTreeSet<usize>,
    errors: &mut Vec<Error>,
) {
    let names: Vec<Word> = match kind {
        CommandKind::Copy(copy) => copy.from.iter().cloned().collect(),
        CommandKind::Run(run) => run
            .mounts
            .iter()
            .filter_map(|word| {
                // `from` takes no variables, so it can be read before they are known.
                let text = mount::from(&word.text)?;
                Some(Word { text, span: word.span })
            })
            .collect(),
        _ => return,
    };
    for name in names {
        match context.from(own, instruction, &name) {
            Ok(From::Stage(stage)) => drop(needs.insert(stage)),
            Ok(_) => {}
            Err(error) => errors.push(error),
        }
    }
}
