//! What a step asked for through its files and commands, put into the job.
//!
//! Reading the files' syntax is [`crate::log`]'s business; what a variable, an output or a path
//! then does to the job is decided here.

use loopline_workflow::run::{Annotation, Level};

use super::environment::{Layers, is_blocked};
use super::files::{Files, Kind};
use super::strand::Outputs;
use crate::log::{Masker, file_commands};

/// One thing a step asked for that outlives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// A variable for the steps that follow.
    Variable(String, String),
    /// A folder before `PATH`.
    Path(String),
}

/// What one process asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Effects {
    /// What outlives the step.
    pub(crate) lasting: Vec<Effect>,
    /// `steps.<id>.outputs`.
    pub(crate) outputs: Outputs,
    /// What `post` gets back as `STATE_*`.
    pub(crate) state: Outputs,
    /// The step's summary, Markdown.
    pub(crate) summary: Option<String>,
    /// What was refused, in words for the log.
    pub(crate) refused: Vec<Annotation>,
    /// Why the step must fail, where it must.
    pub(crate) error: Option<String>,
}

impl Effects {
    /// Reads what a step wrote to its files; returns whether it wrote to none. A file that
    /// cannot be understood fails the step, but the others still count.
    pub(crate) fn read(&mut self, files: &Files, masker: &Masker) -> bool {
        let mut untouched = true;
        for kind in super::files::KINDS {
            let result = match files.read(kind) {
                Ok(None) => continue,
                Ok(Some(content)) => self.read_one(kind, &content, masker),
                Err(error) => Err(error.to_string()),
            };
            untouched = false;
            if let Err(error) = result {
                self.error.get_or_insert_with(|| {
                    format!(
                        "unable to process file command '{}' successfully: {error}",
                        kind.variable()
                    )
                });
            }
        }
        untouched
    }

    fn read_one(&mut self, kind: Kind, content: &[u8], masker: &Masker) -> Result<(), String> {
        let text = |error: file_commands::FileCommandError| error.to_string();
        match kind {
            Kind::Environment => self.set_variables(file_commands::pairs(content).map_err(text)?),
            Kind::Output => self.outputs.extend(file_commands::pairs(content).map_err(text)?),
            Kind::State => self.state.extend(file_commands::pairs(content).map_err(text)?),
            Kind::Path => self
                .lasting
                .extend(file_commands::paths(content).map_err(text)?.into_iter().map(Effect::Path)),
            Kind::Summary => match file_commands::summary(content, masker) {
                Ok(summary) => self.summary = summary,
                // The step goes on without its summary, as on GitHub.
                Err(error) => self.refuse(error.to_string()),
            },
        }
        Ok(())
    }

    /// Points out what is not done, without failing the step.
    fn refuse(&mut self, message: String) {
        self.refused.push(Annotation {
            level: Level::Error,
            message,
            title: None,
            place: None,
            end_line: None,
            end_column: None,
        });
    }

    /// Adds variables, passing over blocked ones aloud.
    pub(crate) fn set_variables(&mut self, pairs: impl IntoIterator<Item = (String, String)>) {
        for (name, value) in pairs {
            if is_blocked(&name) {
                self.refuse(format!("cannot store {name} with GITHUB_ENV: it is blocked"));
            } else {
                self.lasting.push(Effect::Variable(name, value));
            }
        }
    }
}

/// Puts effects into the variables of a job.
pub(crate) fn apply(layers: &mut Layers, effects: &[Effect]) {
    for effect in effects {
        match effect {
            Effect::Variable(name, value) => {
                layers.shared.insert(name.clone(), value.clone());
            }
            Effect::Path(folder) => layers.prepend_path(folder),
        }
    }
}
