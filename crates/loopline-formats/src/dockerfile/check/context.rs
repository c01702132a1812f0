//! What every rule sees: the instructions with their stages, and the commands of every `RUN`.

use std::ops::Range;

use loopline_diagnostic::{Diagnostic, Rule};
use loopline_source::{FileTree, Span};

use super::settings::Settings;
use super::shell::{self, Argument, Command, Script};
use crate::dockerfile::instruction::{Build, CommandKind, CommandLine, Run, Stage};
use crate::dockerfile::mount::{self, Mount};
use crate::dockerfile::parse::heredoc;
use crate::dockerfile::tree::{Arguments, Dockerfile, Instruction};

/// A file under check.
pub(super) struct Checker<'a> {
    pub(super) dockerfile: &'a Dockerfile,
    pub(super) build: &'a Build,
    pub(super) tree: &'a dyn FileTree,
    pub(super) settings: &'a Settings,
    pub(super) runs: Vec<RunView<'a>>,
    pub(super) findings: Vec<Diagnostic>,
}

/// One `RUN`, or one behind `ONBUILD`.
pub(super) struct RunView<'a> {
    /// Its stage, from 0.
    pub(super) stage: usize,
    /// Its place among the instructions of the tree.
    pub(super) index: usize,
    /// The instruction, the inner one of `ONBUILD`.
    pub(super) instruction: &'a Instruction,
    /// Whether it stands behind `ONBUILD`.
    pub(super) onbuild: bool,
    /// Its commands.
    pub(super) script: Script,
    /// Its mounts, as far as they can be read without variables.
    pub(super) mounts: Vec<Mount>,
    /// Where the script's text starts: in the joined text of the instruction, or in the file.
    origin: Origin,
}

enum Origin {
    Logical(usize),
    File(u32),
    /// The exec form: words have no place of their own in the script.
    Whole,
}

/// The most words that one is compared with for a hint.
const MAX_COMPARED: usize = 100;

/// Returns the word that `word` was most likely meant to be, where the choice is not too large.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    if known.len() > MAX_COMPARED {
        return None;
    }
    loopline_diagnostic::nearest(word, known)
}

impl<'a> Checker<'a> {
    pub(super) fn new(
        dockerfile: &'a Dockerfile,
        build: &'a Build,
        tree: &'a dyn FileTree,
        settings: &'a Settings,
    ) -> Self {
        let mut runs = Vec::new();
        for (stage, of) in build.stages.iter().enumerate() {
            for command in &of.commands {
                let instruction = &dockerfile.instructions[command.instruction];
                let view = match &command.kind {
                    CommandKind::Run(run) => {
                        RunView::new(dockerfile, stage, command.instruction, instruction, run)
                    }
                    CommandKind::Onbuild(trigger) => {
                        let CommandKind::Run(run) = &trigger.command.kind else { continue };
                        let Arguments::Nested(inner) = &instruction.arguments else { continue };
                        let index = command.instruction;
                        let view = RunView::new(dockerfile, stage, index, inner, run);
                        RunView { onbuild: true, ..view }
                    }
                    _ => continue,
                };
                runs.push(view);
            }
        }
        Self { dockerfile, build, tree, settings, runs, findings: Vec::new() }
    }

    /// Adds a finding.
    pub(super) fn add(&mut self, rule: &'static Rule, span: Span, message: impl Into<String>) {
        self.add_hint(rule, span, message, None);
    }

    /// Adds a finding with a hint.
    pub(super) fn add_hint(
        &mut self,
        rule: &'static Rule,
        span: Span,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        if self.findings.len() >= super::MAX_FINDINGS {
            return;
        }
        let mut finding = Diagnostic::new(rule, &self.dockerfile.file, span, message);
        finding.hints.extend(hint);
        self.findings.push(finding);
    }

    /// Returns the instruction at `index`.
    pub(super) fn instruction(&self, index: usize) -> &'a Instruction {
        &self.dockerfile.instructions[index]
    }

    /// Returns where the keyword of the instruction at `index` stands.
    pub(super) fn keyword(&self, index: usize) -> Span {
        self.dockerfile.instructions[index].keyword.span
    }

    /// Returns the stage that `name` means in the stage at `before`: the last earlier one.
    pub(super) fn stage_named(&self, name: &str, before: usize) -> Option<(usize, &'a Stage)> {
        let stages = &self.build.stages[..before.min(self.build.stages.len())];
        stages
            .iter()
            .enumerate()
            .rfind(|(_, stage)| stage.name.as_ref().is_some_and(|found| found.text == name))
    }

    /// Runs `rule` over every `RUN` and adds what it says.
    pub(super) fn each_run(
        &mut self,
        rule: &'static Rule,
        mut check: impl FnMut(&RunView<'a>) -> Option<(Span, String)>,
    ) {
        let found: Vec<_> = self.runs.iter().filter_map(&mut check).collect();
        for (span, message) in found {
            self.add(rule, span, message);
        }
    }
}

/// Returns whether a line is one shell that reads a here-document as its script.
fn feeds_a_shell(line: &str) -> bool {
    const SHELLS: [&str; 6] = ["sh", "bash", "ash", "dash", "ksh", "zsh"];
    let script = shell::parse(line);
    let [command] = script.commands.as_slice() else { return false };
    let name = command.name().rsplit('/').next().unwrap_or("");
    line.contains("<<") && SHELLS.contains(&name) && command.plain().next().is_none()
}

impl<'a> RunView<'a> {
    fn new(
        dockerfile: &Dockerfile,
        stage: usize,
        index: usize,
        instruction: &'a Instruction,
        run: &Run,
    ) -> Self {
        let (script, origin) = match &run.line {
            CommandLine::Exec(words) => {
                (shell::parse_exec(words.iter().map(|word| word.text.as_str())), Origin::Whole)
            }
            CommandLine::Shell(line) => {
                let bodies = &dockerfile.instructions[index].heredocs;
                // A here-document alone is the script.
                match (heredoc::marker(&line.text), bodies.first()) {
                    (Ok(Some(_)), Some(heredoc)) => {
                        let body = dockerfile.file.slice(heredoc.body);
                        (shell::parse(body), Origin::File(heredoc.body.start))
                    }
                    // `RUN <<EOF bash`: the body is what the shell reads.
                    (_, Some(heredoc)) if feeds_a_shell(&line.text) => {
                        let body = dockerfile.file.slice(heredoc.body);
                        (shell::parse(body), Origin::File(heredoc.body.start))
                    }
                    _ => {
                        let whole = instruction.logical.text.trim_end().len();
                        let start = whole.saturating_sub(line.text.len());
                        (shell::parse(&line.text), Origin::Logical(start))
                    }
                }
            }
        };
        let read = |word: &crate::dockerfile::tree::Word| {
            mount::parse(&word.text, &mut |value| Ok(value.to_owned())).ok()
        };
        let mounts = run.mounts.iter().filter_map(read).collect();
        Self { stage, index, instruction, onbuild: false, script, mounts, origin }
    }

    /// Returns where a part of the script stands in the file.
    pub(super) fn place(&self, range: &Range<usize>) -> Span {
        match self.origin {
            Origin::Logical(start) => {
                self.instruction.logical.span(start + range.start, start + range.end)
            }
            Origin::File(start) => {
                let at = |offset: usize| start + u32::try_from(offset).unwrap_or(0);
                Span::new(at(range.start), at(range.end))
            }
            Origin::Whole => self.instruction.span,
        }
    }

    /// Returns where a word stands.
    pub(super) fn word(&self, word: &Argument) -> Span {
        self.place(&word.range)
    }

    /// Returns the commands called `name`.
    pub(super) fn called<'s>(&'s self, names: &'s [&str]) -> impl Iterator<Item = &'s Command> {
        self.script.commands.iter().filter(|command| names.contains(&command.name()))
    }

    /// Returns whether a cache or a file system in memory is mounted over `path` or above it.
    pub(super) fn mounted_over(&self, path: &str) -> bool {
        self.mounts.iter().any(|mount| {
            matches!(mount.kind, mount::Kind::Cache | mount::Kind::Tmpfs)
                && mount.target.as_deref().is_some_and(|target| {
                    let target = target.trim_end_matches('/');
                    path.strip_prefix(target)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                })
        })
    }
}
