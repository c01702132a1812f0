//! Tree to instructions, one function a kind.

use loopline_source::{SourceFile, Span};
use loopline_units::GoDuration;

use super::flags::Flags;
use super::{
    Argument, Build, Command, CommandKind, CommandLine, Healthcheck, Network, Problem, ProblemKind,
    Run, Security, Source, Stage, Transfer, Trigger,
};
use crate::dockerfile::mount;
use crate::dockerfile::parse::heredoc;
use crate::dockerfile::tree::{Arguments, Dockerfile, Instruction, Keyword, Pair, Word};

/// Reads the instructions of `dockerfile`. A broken one is left out and does not hide the others.
pub fn read(dockerfile: &Dockerfile) -> (Build, Vec<Problem>) {
    let mut build = Build::default();
    let mut problems = Vec::new();
    for (index, instruction) in dockerfile.instructions.iter().enumerate() {
        // What could not be parsed has its problem already.
        if matches!(instruction.arguments, Arguments::Invalid(_)) {
            continue;
        }
        let mut problem = |span: Span, kind: ProblemKind| {
            problems.push(Problem { span, line: instruction.first_line, kind });
        };
        if instruction.kind == Some(Keyword::From) {
            match stage(instruction, index) {
                Ok(stage) => build.stages.push(stage),
                Err((span, kind)) => problem(span, kind),
            }
            continue;
        }
        match command(&dockerfile.file, instruction, index) {
            Err((span, kind)) => problem(span, kind),
            Ok(command) => match (build.stages.last_mut(), command.kind) {
                (Some(stage), kind) => {
                    stage.commands.push(Command { instruction: index, kind });
                }
                (None, CommandKind::Arg(arguments)) => build.globals.extend(arguments),
                (None, _) => problem(instruction.span, ProblemKind::BeforeFrom),
            },
        }
    }
    if build.stages.is_empty() && problems.is_empty() {
        let span = dockerfile.instructions.last().map(|last| last.span).unwrap_or_default();
        let line = dockerfile.instructions.last().map_or(1, |last| last.first_line);
        problems.push(Problem { span, line, kind: ProblemKind::NoStages });
    }
    (build, problems)
}

type Read<T> = Result<T, (Span, ProblemKind)>;

fn stage(instruction: &Instruction, index: usize) -> Read<Stage> {
    let words = words(&instruction.arguments);
    let (base, keyword, name) = match words {
        [base] => (base, None, None),
        [base, keyword, name] if keyword.text.eq_ignore_ascii_case("as") => {
            let lower = name.text.to_lowercase();
            let valid = lower.starts_with(|c: char| c.is_ascii_lowercase())
                && lower.chars().all(|c| {
                    c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.')
                });
            if !valid {
                return Err((name.span, ProblemKind::StageName(name.text.clone())));
            }
            (base, Some(keyword.clone()), Some(Word { text: lower, span: name.span }))
        }
        _ => return Err((instruction.span, ProblemKind::FromArguments)),
    };
    let flags = Flags::read(instruction, Keyword::From)?;
    Ok(Stage {
        instruction: index,
        base: base.clone(),
        name,
        keyword,
        platform: flags.text("platform").cloned(),
        commands: Vec::new(),
    })
}

/// Reads one instruction other than `FROM`; `index` is its place among the tree's.
///
/// # Errors
/// Where it is wrong, and what is.
pub fn command(
    file: &SourceFile,
    instruction: &Instruction,
    index: usize,
) -> Result<Command, (Span, ProblemKind)> {
    let Some(keyword) = instruction.kind else {
        let word = instruction.keyword.text.clone();
        let nearest = loopline_diagnostic::nearest(&word, &Keyword::ALL.map(Keyword::name));
        let kind = ProblemKind::UnknownInstruction { word, nearest };
        return Err((instruction.keyword.span, kind));
    };
    let here = |kind| (instruction.span, kind);
    let flags = Flags::read(instruction, keyword)?;
    let kind = match keyword {
        Keyword::From => return Err(here(ProblemKind::FromArguments)),
        Keyword::Add | Keyword::Copy => {
            let transfer = transfer(instruction, keyword, &flags).map_err(here)?;
            if keyword == Keyword::Add {
                CommandKind::Add(transfer)
            } else {
                CommandKind::Copy(transfer)
            }
        }
        Keyword::Arg => CommandKind::Arg(arguments(instruction, index)?),
        Keyword::Cmd => CommandKind::Cmd(line(&instruction.arguments)),
        Keyword::Entrypoint => CommandKind::Entrypoint(line(&instruction.arguments)),
        Keyword::Env => CommandKind::Env(pairs(instruction, keyword)?),
        Keyword::Label => CommandKind::Label(pairs(instruction, keyword)?),
        Keyword::Expose => CommandKind::Expose(some(instruction, keyword)?),
        Keyword::Healthcheck => {
            CommandKind::Healthcheck(healthcheck(instruction, &flags).map_err(here)?)
        }
        Keyword::Maintainer => CommandKind::Maintainer(one(instruction, keyword)?),
        Keyword::Stopsignal => CommandKind::Stopsignal(one(instruction, keyword)?),
        Keyword::User => CommandKind::User(one(instruction, keyword)?),
        Keyword::Workdir => CommandKind::Workdir(one(instruction, keyword)?),
        Keyword::Onbuild => CommandKind::Onbuild(trigger(file, instruction, index)?),
        Keyword::Run => CommandKind::Run(run(instruction, &flags)?),
        Keyword::Shell => match &instruction.arguments {
            Arguments::Json(words) if !words.is_empty() => CommandKind::Shell(words.clone()),
            Arguments::Text(_) => return Err(here(ProblemKind::ShellForm)),
            _ => return Err(here(ProblemKind::AtLeastOne(keyword))),
        },
        Keyword::Volume => {
            let mut volumes = some(instruction, keyword)?;
            for volume in &mut volumes {
                volume.text = volume.text.trim().to_owned();
                if volume.text.is_empty() {
                    return Err((volume.span, ProblemKind::EmptyVolume));
                }
            }
            CommandKind::Volume(volumes)
        }
    };
    Ok(Command { instruction: index, kind })
}

fn words(arguments: &Arguments) -> &[Word] {
    match arguments {
        Arguments::Words(words) | Arguments::Json(words) => words,
        _ => &[],
    }
}

fn some(instruction: &Instruction, keyword: Keyword) -> Read<Vec<Word>> {
    let words = words(&instruction.arguments);
    if words.is_empty() {
        return Err((instruction.span, ProblemKind::AtLeastOne(keyword)));
    }
    Ok(words.to_vec())
}

fn one(instruction: &Instruction, keyword: Keyword) -> Read<Word> {
    match &instruction.arguments {
        Arguments::Text(word) => Ok(word.clone()),
        _ => Err((instruction.span, ProblemKind::ExactlyOne(keyword))),
    }
}

fn pairs(instruction: &Instruction, keyword: Keyword) -> Read<Vec<Pair>> {
    let Arguments::Pairs(pairs) = &instruction.arguments else {
        return Err((instruction.span, ProblemKind::AtLeastOne(keyword)));
    };
    match pairs.iter().find(|pair| pair.key.text.is_empty()) {
        Some(pair) => Err((pair.value.span, ProblemKind::BlankName(keyword))),
        None => Ok(pairs.clone()),
    }
}

fn arguments(instruction: &Instruction, index: usize) -> Read<Vec<Argument>> {
    let argument = |word: &Word| {
        let (name, default) = match word.text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word.text.as_str(), None),
        };
        if name.is_empty() {
            return Err((word.span, ProblemKind::BlankName(Keyword::Arg)));
        }
        // The whole word is the place of both, unless it is written on one line.
        let length = u32::try_from(word.text.len()).unwrap_or(u32::MAX);
        let cut = u32::try_from(name.len()).unwrap_or(u32::MAX);
        let whole = word.span.end - word.span.start == length;
        let place = |from, to| if whole { word.span.slice(from, to) } else { word.span };
        Ok(Argument {
            instruction: index,
            name: Word { text: name.to_owned(), span: place(0, cut) },
            default: default
                .map(|value| Word { text: value.to_owned(), span: place(cut + 1, length) }),
        })
    };
    some(instruction, Keyword::Arg)?.iter().map(argument).collect()
}

fn line(arguments: &Arguments) -> CommandLine {
    match arguments {
        Arguments::Text(word) => CommandLine::Shell(word.clone()),
        Arguments::Json(words) => CommandLine::Exec(words.clone()),
        // Nothing at all is an empty command.
        _ => CommandLine::Exec(Vec::new()),
    }
}

fn transfer(
    instruction: &Instruction,
    keyword: Keyword,
    flags: &Flags,
) -> Result<Transfer, ProblemKind> {
    let words = words(&instruction.arguments);
    let [paths @ .., destination] = words else { return Err(ProblemKind::NoDestination(keyword)) };
    if paths.is_empty() {
        return Err(ProblemKind::NoDestination(keyword));
    }
    let marker = |word: &Word| heredoc::marker(&word.text).ok().flatten();
    if marker(destination).is_some() {
        return Err(ProblemKind::HeredocDestination(keyword));
    }
    let sources = paths.iter().map(|path| {
        let name = marker(path).map(|marker| marker.name);
        let of_name = |name| instruction.heredocs.iter().position(|found| found.name == name);
        name.and_then(of_name).map_or_else(|| Source::Path(path.clone()), Source::Heredoc)
    });
    Ok(Transfer {
        sources: sources.collect(),
        destination: destination.clone(),
        from: flags.text("from").cloned(),
        chown: flags.text("chown").cloned(),
        chmod: flags.text("chmod").cloned(),
        link: flags.boolean("link").unwrap_or(false),
        parents: flags.boolean("parents").unwrap_or(false),
        exclude: flags.texts("exclude"),
        checksum: flags.text("checksum").cloned(),
        keep_git_dir: flags.boolean("keep-git-dir").unwrap_or(false),
        unpack: flags.boolean("unpack"),
    })
}

fn run(instruction: &Instruction, flags: &Flags) -> Read<Run> {
    let network = match flags.text("network").map(|word| (word, word.text.as_str())) {
        None | Some((_, "default")) => Network::Default,
        Some((_, "none")) => Network::None,
        Some((_, "host")) => Network::Host,
        Some((word, other)) => {
            return Err((word.span, ProblemKind::NetworkValue(other.to_owned())));
        }
    };
    let security = match flags.text("security").map(|word| (word, word.text.as_str())) {
        None | Some((_, "sandbox")) => Security::Sandbox,
        Some((_, "insecure")) => Security::Insecure,
        Some((word, other)) => {
            return Err((word.span, ProblemKind::SecurityValue(other.to_owned())));
        }
    };
    let mounts = flags.texts("mount");
    for word in &mounts {
        mount::check(&word.text).map_err(|error| (word.span, error.into()))?;
    }
    let line = line(&instruction.arguments);
    if !instruction.heredocs.is_empty() && matches!(line, CommandLine::Exec(_)) {
        return Err((instruction.span, ProblemKind::HeredocExec));
    }
    Ok(Run { line, mounts, network, security, devices: flags.texts("device") })
}

fn healthcheck(instruction: &Instruction, flags: &Flags) -> Result<Healthcheck, ProblemKind> {
    let Arguments::Health(kind, command) = &instruction.arguments else {
        return Err(ProblemKind::AtLeastOne(Keyword::Healthcheck));
    };
    let kind = kind.text.to_uppercase();
    let line = line(command);
    let empty = matches!(&line, CommandLine::Exec(words) if words.is_empty());
    match kind.as_str() {
        "NONE" if empty => return Ok(Healthcheck::None),
        "NONE" => return Err(ProblemKind::HealthNone),
        "CMD" if empty => return Err(ProblemKind::HealthCommand),
        "CMD" => {}
        _ => return Err(ProblemKind::HealthType(kind)),
    }
    let duration = |flag: &'static str| {
        let text = flags.text(flag).map_or("", |word| word.text.as_str());
        if text.is_empty() {
            return Ok(GoDuration::default());
        }
        let duration = GoDuration::parse(text)?;
        if duration != GoDuration::default() && duration < GoDuration::MILLISECOND {
            return Err(ProblemKind::Interval(flag));
        }
        Ok(duration)
    };
    let retries = match flags.text("retries").map(|word| word.text.as_str()) {
        None | Some("") => 0,
        Some(text) => {
            let number: i64 = text.parse().map_err(|_| ProblemKind::Retries(text.to_owned()))?;
            u32::try_from(number).map_err(|_| ProblemKind::NegativeRetries(number))?
        }
    };
    Ok(Healthcheck::Command {
        line,
        interval: duration("interval")?,
        timeout: duration("timeout")?,
        start_period: duration("start-period")?,
        start_interval: duration("start-interval")?,
        retries,
    })
}

fn trigger(file: &SourceFile, instruction: &Instruction, index: usize) -> Read<Trigger> {
    let Arguments::Nested(nested) = &instruction.arguments else {
        return Err((instruction.span, ProblemKind::AtLeastOne(Keyword::Onbuild)));
    };
    match nested.kind {
        Some(Keyword::Onbuild) => return Err((nested.span, ProblemKind::OnbuildOnbuild)),
        Some(keyword @ (Keyword::From | Keyword::Maintainer)) => {
            return Err((nested.span, ProblemKind::OnbuildTrigger(keyword)));
        }
        _ => {}
    }
    // The bodies belong to the instruction that the trigger runs.
    let mut inner = (**nested).clone();
    inner.heredocs.clone_from(&instruction.heredocs);
    let command = command(file, &inner, index)?;
    let mut expression = nested.logical.text.trim_start().to_owned();
    for heredoc in &instruction.heredocs {
        expression.push('\n');
        expression.push_str(file.slice(heredoc.body));
        expression.push_str(&heredoc.name);
    }
    Ok(Trigger { expression, command: Box::new(command) })
}
