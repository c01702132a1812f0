//! `RUN`: the program, its here-documents and its mounts.

use super::super::{Error, ErrorKind, From, Inline, PlannedMount, Run};
use super::{Evaluator, Origin, join};
use crate::dockerfile::instruction::{self, CommandLine};
use crate::dockerfile::mount::{self, Kind};
use crate::dockerfile::parse::heredoc;
use crate::dockerfile::tree::Word;

/// Where the script of a here-document is while it runs.
const SCRIPT_FOLDER: &str = "/dev/pipes";

impl Evaluator<'_> {
    pub(super) fn run(&self, run: &instruction::Run, origin: Origin<'_>) -> Result<Run, Error> {
        if let Some(device) = run.devices.first() {
            return Err(self.context.error(origin.index, device.span, ErrorKind::Device));
        }
        let (arguments, script) = self.program(&run.line, origin);
        let mounts =
            run.mounts.iter().map(|word| self.mount(word, origin)).collect::<Result<_, _>>()?;
        Ok(Run { arguments, script, mounts, network: run.network, security: run.security })
    }

    /// Returns the program, and its script where a here-document names its own interpreter.
    fn program(&self, line: &CommandLine, origin: Origin<'_>) -> (Vec<String>, Option<Inline>) {
        let heredocs = &origin.instruction.heredocs;
        let (CommandLine::Shell(text), Some(first)) = (line, heredocs.first()) else {
            return (self.arguments(line), None);
        };
        let mut arguments = self.shell();
        // A here-document alone is the script.
        if matches!(heredoc::marker(&text.text), Ok(Some(_))) {
            let content = first.content(origin.file);
            if content.starts_with("#!") {
                arguments.push(format!("{SCRIPT_FOLDER}/{}", first.name));
                return (arguments, Some(Inline { name: first.name.clone(), content }));
            }
            arguments.push(content);
            return (arguments, None);
        }
        // Any other is the shell's business.
        let mut script = text.text.clone();
        for heredoc in heredocs {
            script.push('\n');
            script.push_str(origin.file.slice(heredoc.body));
            script.push_str(&heredoc.name);
        }
        arguments.push(script);
        (arguments, None)
    }

    fn mount(&self, word: &Word, origin: Origin<'_>) -> Result<PlannedMount, Error> {
        let error = |kind| self.context.error(origin.index, word.span, kind);
        let lexer = self.context.lexer;
        let mut expand = |value: &str| {
            lexer.expand(value, &self.state.environment).map(|expanded| expanded.text)
        };
        let mut mount = mount::parse(&word.text, &mut expand).map_err(|kind| error(kind.into()))?;
        let from = match &mount.from {
            Some(name) if !name.is_empty() => {
                let name = Word { text: name.clone(), span: word.span };
                Some(self.context.from(self.index, origin.index, &name)?)
            }
            _ => (mount.kind == Kind::Bind).then_some(From::Context),
        };
        let working_directory = self.working_directory();
        let base = |path: &str| path.rsplit('/').next().unwrap_or("").to_owned();
        match mount.kind {
            Kind::Secret => {
                // The id is the source, or what the target is called.
                let id = mount.id.take().filter(|id| !id.is_empty()).or(mount.source.take());
                let id = id.or_else(|| mount.target.as_deref().map(base));
                let id = id.or_else(|| mount.env.clone()).unwrap_or_default();
                if mount.target.is_none() && mount.env.is_none() {
                    mount.target = Some(format!("/run/secrets/{}", base(&id)));
                }
                mount.id = Some(id);
            }
            Kind::Ssh => {
                mount.id = Some(mount.id.take().unwrap_or_else(|| "default".to_owned()));
            }
            Kind::Bind | Kind::Cache | Kind::Tmpfs => {
                if mount.target.as_deref().is_none_or(str::is_empty) {
                    return Err(error(ErrorKind::MountTarget(String::new())));
                }
            }
        }
        if let Some(target) = &mut mount.target {
            *target = join(&working_directory, target);
            if target.len() > 1 {
                target.truncate(target.trim_end_matches('/').len());
            }
            if target == "/" {
                return Err(error(ErrorKind::MountTarget(target.clone())));
            }
        }
        if mount.kind == Kind::Cache && mount.id.as_deref().is_none_or(str::is_empty) {
            mount.id = mount.target.clone();
        }
        Ok(PlannedMount { mount, from })
    }
}
