//! One stage: its instructions in order, with the environment each one sees.

mod files;
mod history;
mod ports;
mod run;

use std::collections::BTreeMap;

use loopline_source::{SourceFile, Span};

use super::graph::Context;
use super::{Base, Configuration, Error, ErrorKind, Facts, Healthcheck, Stage, Step, StepKind};
use crate::dockerfile::ignore::clean;
use crate::dockerfile::instruction::{self, Argument, Command, CommandKind, CommandLine};
use crate::dockerfile::parse::parse;
use crate::dockerfile::platform::Platform;
use crate::dockerfile::tree::{Instruction, Pair, Word};
use crate::dockerfile::word::{Lexer, Variables};

/// The folders of programs where the image says nothing.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The shell of Linux images.
const DEFAULT_SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// A stage that was gone through, and what stages on it start from.
pub(super) struct Evaluated {
    pub(super) stage: Stage,
    state: State,
}

/// Variables in the order they were first set.
#[derive(Clone, Debug, Default)]
struct Environment {
    pairs: Vec<(String, String)>,
    /// Where in `pairs` a name stands.
    places: BTreeMap<String, usize>,
}

impl Environment {
    fn new(pairs: Vec<(String, String)>) -> Self {
        let mut environment = Self::default();
        for (name, value) in &pairs {
            environment.set(name, value);
        }
        environment
    }

    fn set(&mut self, name: &str, value: &str) {
        if let Some(place) = self.places.get(name) {
            value.clone_into(&mut self.pairs[*place].1);
        } else {
            self.places.insert(name.to_owned(), self.pairs.len());
            self.pairs.push((name.to_owned(), value.to_owned()));
        }
    }
}

impl Variables for Environment {
    fn get(&self, name: &str) -> Option<&str> {
        self.places.get(name).map(|place| self.pairs[*place].1.as_str())
    }
}

/// What an instruction may change.
#[derive(Clone)]
struct State {
    configuration: Configuration,
    /// `ENV` and `ARG`.
    environment: Environment,
    /// The arguments in the order they were declared.
    arguments: Vec<(String, Option<String>)>,
    /// Whether this stage has set `CMD`: `ENTRYPOINT` keeps it then.
    command_set: bool,
    /// `ONBUILD`s of this file, for stages on this one.
    triggers: Vec<Command>,
}

struct Evaluator<'a> {
    context: &'a Context<'a>,
    facts: &'a Facts,
    index: usize,
    state: State,
    steps: Vec<Step>,
}

/// Where an instruction comes from.
#[derive(Clone, Copy)]
struct Origin<'a> {
    /// Its place among the tree's instructions, or that of the `FROM` for an image's trigger.
    index: usize,
    /// The instruction whose here-documents it has.
    instruction: &'a Instruction,
    /// The file it stands in.
    file: &'a SourceFile,
    trigger: bool,
}

/// Goes through the stage at `index`; `earlier` holds the stages it needs.
pub(super) fn evaluate(
    context: &Context<'_>,
    index: usize,
    base: Base,
    platform: Platform,
    earlier: &BTreeMap<usize, Evaluated>,
) -> Result<Evaluated, Error> {
    let source = &context.build.stages[index];
    let error = |kind| context.error(source.instruction, source.base.span, kind);
    if platform.os != "linux" {
        return Err(error(ErrorKind::NotLinux(platform)));
    }
    let mut platform = platform;
    let (mut state, own_triggers) = match &base {
        Base::Stage(number) => {
            let below = earlier.get(number).expect("a stage's base comes before it");
            platform.clone_from(&below.stage.platform);
            (below.state.clone(), below.state.triggers.clone())
        }
        Base::Scratch => (start(Configuration::default()), Vec::new()),
        Base::Image(name) => match context.facts.images.get(name) {
            Some(configuration) => (start(configuration.clone()), Vec::new()),
            None => return Err(error(ErrorKind::MissingImage(name.clone()))),
        },
    };
    state.command_set = false;
    state.triggers.clear();
    // Triggers do not carry over to what stands on this stage.
    let inherited = match &base {
        Base::Stage(_) => Vec::new(),
        _ => std::mem::take(&mut state.configuration.on_build),
    };
    state.configuration.on_build.clear();
    if state.environment.get("PATH").is_none() {
        state.environment.set("PATH", DEFAULT_PATH);
        state.configuration.environment.push(("PATH".to_owned(), DEFAULT_PATH.to_owned()));
    }
    let mut evaluator =
        Evaluator { context, facts: context.facts, index, state, steps: Vec::new() };
    for expression in inherited {
        evaluator.image_trigger(&expression)?;
    }
    let triggers = own_triggers.iter().map(|command| (command, true));
    for (command, trigger) in triggers.chain(source.commands.iter().map(|own| (own, false))) {
        let index = command.instruction;
        let instruction = &context.dockerfile.instructions[index];
        let file = &context.dockerfile.file;
        evaluator.command(command, Origin { index, instruction, file, trigger })?;
    }
    let Evaluator { state, steps, .. } = evaluator;
    let stage = Stage {
        index,
        name: source.name.as_ref().map(|name| name.text.clone()),
        base,
        platform,
        steps,
        configuration: state.configuration.clone(),
        needs: std::collections::BTreeSet::new(),
    };
    Ok(Evaluated { stage, state })
}

fn start(configuration: Configuration) -> State {
    State {
        environment: Environment::new(configuration.environment.clone()),
        configuration,
        arguments: Vec::new(),
        command_set: false,
        triggers: Vec::new(),
    }
}

impl Evaluator<'_> {
    /// Does a trigger that the base image brings: one instruction in a text of its own.
    fn image_trigger(&mut self, expression: &str) -> Result<(), Error> {
        let source = &self.context.build.stages[self.index];
        let bad = |message: String| {
            let trigger = expression.lines().next().unwrap_or("").to_owned();
            let kind = ErrorKind::Trigger { trigger, message };
            self.context.error(source.instruction, source.base.span, kind)
        };
        let read = Triggered::read(expression, source.instruction).map_err(bad)?;
        let (file, instruction) = (&read.file, &read.instruction);
        let origin = Origin { index: source.instruction, instruction, file, trigger: true };
        // Places in a trigger's text mean nothing in this file.
        self.command(&read.command, origin)
            .map_err(|error| Error { span: source.base.span, ..error })
    }

    fn command(&mut self, command: &Command, origin: Origin<'_>) -> Result<(), Error> {
        let environment = self.state.environment.pairs.clone();
        let working_directory = self.working_directory();
        let user = self.state.configuration.user.clone();
        let mut layer = false;
        let mut kind = StepKind::Configure;
        let created_by = match &command.kind {
            CommandKind::Env(pairs) => self.env(pairs, origin)?,
            CommandKind::Label(pairs) => {
                let pairs = self.pairs(pairs, origin)?;
                for (name, value) in &pairs {
                    self.state.configuration.labels.insert(name.clone(), value.clone());
                }
                history::pairs("LABEL", &pairs)
            }
            CommandKind::Arg(arguments) => self.arg(arguments, origin)?,
            CommandKind::Workdir(path) => {
                let path = self.expand(path, origin)?;
                let folder = join(&working_directory, &path);
                let folder = clean(&folder);
                self.state.configuration.working_directory.clone_from(&folder);
                layer = folder != "/";
                if layer {
                    kind = StepKind::Folder(folder.clone());
                }
                format!("WORKDIR {folder}")
            }
            CommandKind::User(name) => {
                let name = self.expand(name, origin)?;
                self.state.configuration.user.clone_from(&name);
                format!("USER {name}")
            }
            CommandKind::Shell(words) => {
                let shell = texts(words);
                let line = format!("SHELL [{}]", shell.join(" "));
                self.state.configuration.shell = Some(shell);
                line
            }
            CommandKind::Cmd(line) => {
                let arguments = self.arguments(line);
                let text = format!("CMD {}", history::quoted(&arguments));
                self.state.configuration.command = Some(arguments);
                self.state.command_set = true;
                text
            }
            CommandKind::Entrypoint(line) => {
                let arguments = self.arguments(line);
                let text = format!("ENTRYPOINT {}", history::quoted(&arguments));
                self.state.configuration.entrypoint = Some(arguments);
                if !self.state.command_set {
                    self.state.configuration.command = None;
                }
                text
            }
            CommandKind::Expose(words) => {
                let mut ports = Vec::new();
                for word in words {
                    let expanded = self.words(word, origin)?;
                    for text in expanded {
                        let found = ports::read(&text)
                            .map_err(|kind| self.context.error(origin.index, word.span, kind))?;
                        ports.extend(found);
                    }
                }
                let text = format!("EXPOSE [{}]", ports.join(" "));
                self.state.configuration.exposed_ports.extend(ports);
                text
            }
            CommandKind::Volume(words) => {
                let mut volumes = Vec::new();
                for word in words {
                    volumes.push(self.expand(word, origin)?);
                }
                let text = format!("VOLUME [{}]", volumes.join(" "));
                self.state.configuration.volumes.extend(volumes);
                text
            }
            CommandKind::Stopsignal(word) => {
                let signal = self.expand(word, origin)?;
                let text = format!("STOPSIGNAL {signal}");
                self.state.configuration.stop_signal = Some(signal);
                text
            }
            CommandKind::Healthcheck(check) => {
                let check = healthcheck(check);
                let text = history::healthcheck(&check);
                self.state.configuration.healthcheck = Some(check);
                text
            }
            CommandKind::Maintainer(word) => {
                self.state.configuration.author = Some(word.text.clone());
                format!("MAINTAINER {}", word.text)
            }
            CommandKind::Onbuild(trigger) => {
                self.state.configuration.on_build.push(trigger.expression.clone());
                self.state.triggers.push((*trigger.command).clone());
                format!("ONBUILD {}", trigger.expression)
            }
            CommandKind::Run(run) => {
                layer = true;
                let run = self.run(run, origin)?;
                let text = history::run(&run.arguments, &self.state.arguments, &environment);
                kind = StepKind::Run(run);
                text
            }
            CommandKind::Copy(transfer) | CommandKind::Add(transfer) => {
                layer = true;
                let add = matches!(command.kind, CommandKind::Add(_));
                let copy = self.copy(transfer, add, origin)?;
                let text = history::copy(&copy);
                kind = StepKind::Copy(copy);
                text
            }
        };
        let line = self.context.dockerfile.instructions[origin.index].first_line;
        self.steps.push(Step {
            instruction: origin.index,
            line,
            trigger: origin.trigger,
            kind,
            environment,
            working_directory,
            user,
            created_by,
            layer,
        });
        Ok(())
    }

    fn working_directory(&self) -> String {
        join("/", &self.state.configuration.working_directory)
    }

    fn shell(&self) -> Vec<String> {
        let configured = self.state.configuration.shell.clone();
        configured.unwrap_or_else(|| DEFAULT_SHELL.map(str::to_owned).to_vec())
    }

    /// Returns a command line as it is run: the shell form with its shell.
    fn arguments(&self, line: &CommandLine) -> Vec<String> {
        match line {
            CommandLine::Exec(words) => texts(words),
            CommandLine::Shell(line) => {
                let mut arguments = self.shell();
                arguments.push(line.text.clone());
                arguments
            }
        }
    }

    fn expand(&self, word: &Word, origin: Origin<'_>) -> Result<String, Error> {
        self.expand_text(&word.text, word.span, origin, self.context.lexer)
    }

    fn expand_text(
        &self,
        text: &str,
        span: Span,
        origin: Origin<'_>,
        lexer: Lexer,
    ) -> Result<String, Error> {
        let expanded = lexer.expand(text, &self.state.environment);
        expanded
            .map(|expanded| expanded.text)
            .map_err(|error| self.context.error(origin.index, span, error))
    }

    fn words(&self, word: &Word, origin: Origin<'_>) -> Result<Vec<String>, Error> {
        let expanded = self.context.lexer.expand(&word.text, &self.state.environment);
        expanded
            .map(|expanded| expanded.words)
            .map_err(|error| self.context.error(origin.index, word.span, error))
    }

    /// Expands names and values, all of them with what was set before the instruction.
    fn pairs(&self, pairs: &[Pair], origin: Origin<'_>) -> Result<Vec<(String, String)>, Error> {
        pairs
            .iter()
            .map(|pair| Ok((self.expand(&pair.key, origin)?, self.expand(&pair.value, origin)?)))
            .collect()
    }

    fn env(&mut self, pairs: &[Pair], origin: Origin<'_>) -> Result<String, Error> {
        let pairs = self.pairs(pairs, origin)?;
        let mut kept = Environment::new(std::mem::take(&mut self.state.configuration.environment));
        for (name, value) in &pairs {
            self.state.environment.set(name, value);
            kept.set(name, value);
        }
        self.state.configuration.environment = kept.pairs;
        Ok(history::pairs("ENV", &pairs))
    }

    /// `ARG`: what the build was given, else the default, else the value before `FROM`.
    fn arg(&mut self, arguments: &[Argument], origin: Origin<'_>) -> Result<String, Error> {
        let mut shown = Vec::new();
        for argument in arguments {
            let name = argument.name.text.as_str();
            let value = match (self.facts.build_arguments.get(name), &argument.default) {
                (Some(given), _) => Some(given.clone()),
                (None, Some(default)) => Some(self.expand(default, origin)?),
                (None, None) => self.context.globals.get(name).cloned(),
            };
            if let Some(value) = &value {
                self.state.environment.set(name, value);
            }
            shown.push(match &value {
                Some(value) => format!("{name}={value}"),
                None => name.to_owned(),
            });
            self.state.arguments.push((name.to_owned(), value));
        }
        Ok(format!("ARG {}", shown.join(" ")))
    }
}

/// A trigger that an image brings, read from its own text.
pub(super) struct Triggered {
    file: SourceFile,
    instruction: Instruction,
    pub(super) command: Command,
}

impl Triggered {
    /// Reads one instruction; `index` is the `FROM` it is counted to.
    pub(super) fn read(expression: &str, index: usize) -> Result<Self, String> {
        let file = SourceFile::new("ONBUILD", expression);
        let parsed = parse(&file);
        if let Some(problem) = parsed.problems.first() {
            return Err(problem.to_string());
        }
        let mut instructions = parsed.dockerfile.instructions.into_iter();
        let (Some(instruction), None) = (instructions.next(), instructions.next()) else {
            return Err("onbuild trigger should be a single expression".to_owned());
        };
        let command = instruction::command(&file, &instruction, index)
            .map_err(|(_, kind)| kind.to_string())?;
        Ok(Self { file, instruction, command })
    }
}

fn texts(words: &[Word]) -> Vec<String> {
    words.iter().map(|word| word.text.clone()).collect()
}

/// Returns `path` seen from `folder`; a `/` at its end stays.
fn join(folder: &str, path: &str) -> String {
    let full = if path.starts_with('/') { path.to_owned() } else { format!("{folder}/{path}") };
    let is_folder = full.ends_with('/') || full.ends_with("/.");
    let cleaned = clean(&full);
    if is_folder && cleaned != "/" && !path.is_empty() { format!("{cleaned}/") } else { cleaned }
}

fn healthcheck(check: &instruction::Healthcheck) -> Healthcheck {
    match check {
        instruction::Healthcheck::None => {
            Healthcheck { test: vec!["NONE".to_owned()], ..Healthcheck::default() }
        }
        instruction::Healthcheck::Command {
            line,
            interval,
            timeout,
            start_period,
            start_interval,
            retries,
        } => {
            let test = match line {
                CommandLine::Exec(words) => [vec!["CMD".to_owned()], texts(words)].concat(),
                CommandLine::Shell(line) => vec!["CMD-SHELL".to_owned(), line.text.clone()],
            };
            Healthcheck {
                test,
                interval_ns: interval.0,
                timeout_ns: timeout.0,
                start_period_ns: start_period.0,
                start_interval_ns: start_interval.0,
                retries: *retries,
            }
        }
    }
}
