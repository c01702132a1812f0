//! What expressions see and do while a job runs.
//!
//! The language itself is `loopline_workflow::github::expression`. Here are the contexts, the
//! status functions and `hashFiles`, and the kinds of answers steps need. A mistake in an
//! expression is always an error for the caller; nothing is replaced by an empty text.

use std::sync::Arc;

use loopline_source::SourceFile;
use loopline_workflow::github::expression::{self, EvalError, Object, ParseError, Trace};
use loopline_workflow::github::model::{Action, Step, StepKind};
use loopline_workflow::github::template::{self, EvaluateErrorKind, Kind, Token};
use loopline_workflow::run::Conclusion;

pub(crate) use loopline_workflow::github::expression::Value;

use super::Job;
use super::environment::Variables;
use super::strand::{Outputs, Scope};
use crate::hash_files::hash_files;

/// How long a step's name made from its script may be, in characters.
const MAX_NAME_CHARACTERS: usize = 200;

/// The contexts that do not change while a job runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fixed {
    pub(crate) github: Arc<Object>,
    pub(crate) runner: Value,
    pub(crate) vars: Value,
    pub(crate) secrets: Value,
    pub(crate) needs: Value,
    pub(crate) strategy: Value,
    pub(crate) matrix: Value,
    pub(crate) job: Arc<Object>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EvaluateError {
    /// The text is not an expression.
    #[error("the expression `{text}` is not valid: {source}")]
    Parse {
        /// The expression.
        text: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// It cannot be evaluated.
    #[error("the expression `{text}` cannot be evaluated: {source}")]
    Evaluate {
        /// The expression.
        text: String,
        /// Why not.
        source: EvalError,
    },
    /// The value has the wrong kind.
    #[error("expected {expected}, found {found}")]
    Kind {
        /// What is needed.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// A mapping that cannot be put together.
    #[error(transparent)]
    Mapping(EvaluateErrorKind),
}

impl From<template::EvaluateError> for EvaluateError {
    fn from(error: template::EvaluateError) -> Self {
        error.kind.into()
    }
}

impl From<EvaluateErrorKind> for EvaluateError {
    fn from(kind: EvaluateErrorKind) -> Self {
        match kind {
            EvaluateErrorKind::Parse(source) => {
                Self::Parse { text: source.expression.to_string(), source }
            }
            EvaluateErrorKind::Evaluate { text, error } => {
                Self::Evaluate { text: text.into(), source: error }
            }
            other => Self::Mapping(other),
        }
    }
}

/// What a condition came to.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    pub(crate) holds: bool,
    /// The condition's text.
    pub(crate) condition: String,
    /// Its parts with their values.
    pub(crate) trace: Vec<String>,
}

impl Verdict {
    /// Returns why a step does not run, in one sentence.
    pub(crate) fn reason(&self) -> String {
        if self.condition.trim() == "success()" {
            "an earlier step failed or the job was cancelled".to_owned()
        } else {
            format!("its condition is false: {}", self.condition)
        }
    }
}

/// What the expressions of one step see.
pub(crate) struct Sight<'a> {
    pub(crate) job: &'a Job,
    pub(crate) scope: &'a Scope,
    pub(crate) env: &'a Variables,
    /// `github.action`.
    pub(crate) action: Option<&'a str>,
    pub(crate) cancelled: bool,
}

impl Sight<'_> {
    /// Returns a token's value with every expression in it evaluated.
    pub(crate) fn value(&self, token: &Token) -> Result<Value, EvaluateError> {
        Ok(template::evaluate(token, self)?)
    }

    /// Returns a token's value as text; arrays and objects have none.
    pub(crate) fn string(&self, token: &Token) -> Result<String, EvaluateError> {
        if let Some(text) = token.as_str() {
            return Ok(text.to_owned());
        }
        as_text(&self.value(token)?)
    }

    /// Returns a token's value as a boolean; nothing else counts as one.
    pub(crate) fn boolean(&self, token: &Token) -> Result<bool, EvaluateError> {
        match self.value(token)? {
            Value::Bool(value) => Ok(value),
            other => Err(wrong("a boolean", &other)),
        }
    }

    /// Returns a token's value as a number; nothing else counts as one.
    pub(crate) fn number(&self, token: &Token) -> Result<f64, EvaluateError> {
        match self.value(token)? {
            Value::Number(value) => Ok(value),
            Value::String(text) => {
                let number = Value::String(Arc::clone(&text)).to_number();
                if number.is_nan() || text.trim().is_empty() {
                    return Err(wrong("a number", &Value::String(text)));
                }
                Ok(number)
            }
            other => Err(wrong("a number", &other)),
        }
    }

    /// Returns a token's value as names and texts, as `env` and `with` need it.
    pub(crate) fn mapping(&self, token: &Token) -> Result<Outputs, EvaluateError> {
        match self.value(token)? {
            Value::Null => Ok(Outputs::new()),
            Value::Object(object) => {
                object.iter().map(|(name, value)| Ok((name.to_string(), as_text(value)?))).collect()
            }
            other => Err(wrong("a mapping", &other)),
        }
    }

    /// Returns what a condition comes to.
    pub(crate) fn condition(&self, token: &Token) -> Result<Verdict, EvaluateError> {
        match &token.kind {
            Kind::Expression(expression) => self.condition_text(&expression.text),
            _ => {
                let value = self.value(token)?;
                Ok(Verdict {
                    holds: value.truthy(),
                    condition: value.to_text().into_owned(),
                    trace: Vec::new(),
                })
            }
        }
    }

    /// Returns what a condition given as text comes to.
    pub(crate) fn condition_text(&self, text: &str) -> Result<Verdict, EvaluateError> {
        let (holds, trace) = template::condition(text, self)?;
        // Only what does not run needs an explanation.
        let trace = if holds { Vec::new() } else { self.explain(&trace) };
        Ok(Verdict { holds, condition: text.to_owned(), trace })
    }

    fn explain(&self, trace: &Trace) -> Vec<String> {
        let known = trace.steps.iter().filter_map(|step| {
            step.value.as_ref().map(|value| format!("{} = {value}", step.expression))
        });
        known.map(|line| self.job.mask(&line)).collect()
    }

    /// Returns the name a step is shown with; a mistake in it shows the text as written, because
    /// the name decides nothing.
    pub(crate) fn step_name(&self, step: &Step) -> String {
        if let Some(token) = &step.name
            && let Ok(name) = self.string(token)
            && !name.trim().is_empty()
        {
            return self.job.mask(name.trim());
        }
        let name = match &step.kind {
            StepKind::Run { run, .. } => {
                let text = self.string(run).unwrap_or_else(|_| match &run.kind {
                    Kind::Expression(expression) => expression.text.to_string(),
                    _ => String::new(),
                });
                let first = text.trim().lines().next().unwrap_or_default();
                format!("Run {}", first.chars().take(MAX_NAME_CHARACTERS).collect::<String>())
            }
            StepKind::Uses { uses, .. } => format!("Run {}", uses.value),
            StepKind::Wait(_) => "Wait".to_owned(),
            StepKind::WaitAll => "Wait for all".to_owned(),
            StepKind::Cancel(_) => "Cancel".to_owned(),
            StepKind::Parallel(_) => "Parallel".to_owned(),
        };
        self.job.mask(&name)
    }

    fn status(&self) -> Conclusion {
        if self.cancelled { Conclusion::Cancelled } else { self.scope.status }
    }

    /// Returns the context `name`, or `None` where there is none of that name.
    fn named(&self, name: &str) -> Option<Value> {
        let fixed = &self.job.contexts;
        Some(match name.to_ascii_lowercase().as_str() {
            "github" => self.github(),
            "env" => {
                let mut env = Object::case_sensitive();
                env.extend(self.env.iter().map(|(name, value)| (name.as_str(), value.as_str())));
                Value::from(env)
            }
            "vars" => fixed.vars.clone(),
            "secrets" => fixed.secrets.clone(),
            "needs" => fixed.needs.clone(),
            "strategy" => fixed.strategy.clone(),
            "matrix" => fixed.matrix.clone(),
            "runner" => fixed.runner.clone(),
            "inputs" => self.scope.inputs.clone(),
            "job" => {
                let mut job = (*fixed.job).clone();
                job.insert("status", self.status().as_str());
                Value::from(job)
            }
            "steps" => Value::object(self.scope.steps.iter().map(|(id, record)| {
                let outputs = object(
                    record.outputs.iter().map(|(name, value)| (name.as_str(), value.as_str())),
                );
                let record = Value::object([
                    ("outputs", outputs),
                    ("outcome", record.outcome.as_str().into()),
                    ("conclusion", record.conclusion.as_str().into()),
                ]);
                (id.as_str(), record)
            })),
            _ => return None,
        })
    }

    fn github(&self) -> Value {
        let mut github = (*self.job.contexts.github).clone();
        if let Some(action) = self.action {
            github.insert("action", action);
        }
        if let Some(identity) = &self.scope.action {
            github.insert("action_path", identity.path.as_str());
            github.insert("action_ref", identity.reference.as_str());
            github.insert("action_repository", identity.repository.as_str());
            github.insert("action_status", self.scope.status.as_str());
        }
        Value::from(github)
    }
}

impl expression::Scope for Sight<'_> {
    fn context(&self, name: &str) -> Option<Value> {
        self.named(name)
    }

    fn function(&self, name: &str, arguments: &[Value]) -> Option<Result<Value, EvalError>> {
        let status = self.status();
        Some(Ok(Value::Bool(match name.to_ascii_lowercase().as_str() {
            "always" => true,
            "success" => status == Conclusion::Success,
            "failure" => status == Conclusion::Failure,
            "cancelled" => status == Conclusion::Cancelled,
            "hashfiles" => {
                let patterns: Vec<_> = arguments.iter().map(Value::to_text).collect();
                let folders = &self.job.folders;
                let digest =
                    hash_files(&patterns, &folders.workspace, &folders.home, &self.job.host.clock);
                return Some(
                    digest.map(Value::from).map_err(|error| EvalError::Function(Arc::new(error))),
                );
            }
            _ => return None,
        })))
    }
}

fn as_text(value: &Value) -> Result<String, EvaluateError> {
    match value {
        Value::Array(_) | Value::Object(_) => Err(wrong("a text", value)),
        value => Ok(value.to_text().into_owned()),
    }
}

fn wrong(expected: &'static str, found: &Value) -> EvaluateError {
    let found = match found {
        Value::String(text) => format!("'{text}'"),
        other => other.kind().name().to_lowercase(),
    };
    EvaluateError::Kind { expected, found }
}

/// Returns an object of texts.
pub(crate) fn object<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Value {
    Value::object(pairs.into_iter().map(|(name, value)| (name, Value::from(value))))
}

/// Reads an action's metadata; a mistake anywhere in it makes it no action.
pub(crate) fn parse_action(file: &SourceFile) -> Result<Action, String> {
    let (action, errors) =
        loopline_workflow::github::parse::action(file, &template::Limits::default());
    match errors.first() {
        None => Ok(action),
        Some(error) => Err(match error.span {
            Some(span) => format!("line {}: {}", file.position(span.start), error.kind),
            None => error.kind.to_string(),
        }),
    }
}
