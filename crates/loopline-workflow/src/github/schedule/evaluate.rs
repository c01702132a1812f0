//! Tokens and conditions to values, with the status functions of a job.

use loopline_source::{SourceFile, Span};

use super::context::Contexts;
use crate::github::expression::{self, EvalError, ParseOptions, Scope, Value, named_values, parse};
use crate::github::template::{self, EvaluateError, EvaluateErrorKind, Kind, Token};
use crate::run::Place;

/// What the status functions answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// Whether everything the job depends on succeeded.
    pub success: bool,
    /// Whether anything the job depends on failed.
    pub failure: bool,
    /// Whether the run was cancelled.
    pub cancelled: bool,
}

impl Scenario {
    /// Nothing went wrong.
    pub const SUCCESS: Self = Self { success: true, failure: false, cancelled: false };
    /// Something failed.
    pub const FAILURE: Self = Self { success: false, failure: true, cancelled: false };
    /// Something was skipped.
    pub const SKIPPED: Self = Self { success: false, failure: false, cancelled: false };
}

/// Why a token has no value.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{kind}")]
pub struct EvaluationError {
    /// Where the token stands in its workflow's file.
    pub span: Span,
    /// What is wrong.
    pub kind: Box<EvaluationErrorKind>,
}

/// What is wrong with a token.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EvaluationErrorKind {
    /// It, or an expression in it, has no value.
    #[error(transparent)]
    NoValue(#[from] EvaluateErrorKind),
    /// It has a value, which cannot be used here.
    #[error("{reason}")]
    Unusable {
        /// Why.
        reason: String,
    },
}

impl EvaluationError {
    pub(crate) fn invalid(token: &Token, reason: impl Into<String>) -> Self {
        Self::at(token.span, reason)
    }

    pub(crate) fn at(span: Span, reason: impl Into<String>) -> Self {
        Self { span, kind: Box::new(EvaluationErrorKind::Unusable { reason: reason.into() }) }
    }

    /// Returns the place in `file`.
    pub fn place(&self, file: &SourceFile) -> Option<Place> {
        Some(place_of(file, self.span))
    }
}

impl From<EvaluateError> for EvaluationError {
    fn from(error: EvaluateError) -> Self {
        Self { span: error.span, kind: Box::new(error.kind.into()) }
    }
}

/// Returns where `span` begins in `file`.
pub(crate) fn place_of(file: &SourceFile, span: Span) -> Place {
    let position = file.position(span.start);
    Place { file: file.name().to_owned(), line: position.line, column: position.column }
}

/// A condition's verdict.
#[derive(Clone, Debug)]
pub struct Condition {
    /// Whether it holds.
    pub holds: bool,
    /// The condition as evaluated.
    pub text: String,
    /// Its parts with their values, outermost first; empty where it holds.
    pub trace: Vec<String>,
}

struct JobScope<'a> {
    contexts: &'a Contexts,
    extra: &'a [(&'a str, &'a Value)],
    scenario: Scenario,
}

impl Scope for JobScope<'_> {
    fn context(&self, name: &str) -> Option<Value> {
        let named = self.contexts.named();
        self.extra
            .iter()
            .chain(&named)
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| (*value).clone())
    }

    fn function(&self, name: &str, _: &[Value]) -> Option<Result<Value, EvalError>> {
        let answer = match name.to_ascii_lowercase().as_str() {
            "success" => self.scenario.success,
            "failure" => self.scenario.failure,
            "cancelled" => self.scenario.cancelled,
            "always" => true,
            _ => return None,
        };
        Some(Ok(answer.into()))
    }
}

/// Evaluates a token and all it holds.
///
/// # Errors
/// [`EvaluationError`]; nothing of the token is used then.
pub fn value(
    token: &Token,
    contexts: &Contexts,
    scenario: Scenario,
) -> Result<Value, EvaluationError> {
    value_with(token, contexts, scenario, &[])
}

/// Evaluates a token with more contexts beside those of a job.
pub(crate) fn value_with(
    token: &Token,
    contexts: &Contexts,
    scenario: Scenario,
    extra: &[(&str, &Value)],
) -> Result<Value, EvaluationError> {
    Ok(template::evaluate(token, &JobScope { contexts, extra, scenario })?)
}

/// Evaluates the condition of a job.
///
/// # Errors
/// [`EvaluationError`]; the job has failed then, it is not skipped.
pub fn condition(
    token: &Token,
    contexts: &Contexts,
    scenario: Scenario,
) -> Result<Condition, EvaluationError> {
    let scope = JobScope { contexts, extra: &[], scenario };
    let text = match &token.kind {
        Kind::Expression(expression) => expression.text.to_string(),
        Kind::String(text) => text.to_string(),
        _ => {
            let holds = template::evaluate(token, &scope)?.truthy();
            return Ok(Condition { holds, text: holds.to_string(), trace: Vec::new() });
        }
    };
    let (holds, trace) = template::condition(&text, &scope)
        .map_err(|kind| EvaluateError { span: token.span, kind })?;
    let trace = if holds {
        Vec::new()
    } else {
        trace
            .steps
            .iter()
            .map(|step| {
                let value = step.value.as_deref().unwrap_or("not evaluated");
                format!("{}{} => {value}", "  ".repeat(step.depth), step.expression)
                    + &step
                        .facts
                        .iter()
                        .map(|(name, value)| format!("; {name} = {value}"))
                        .collect::<String>()
            })
            .collect()
    };
    Ok(Condition { holds, text, trace })
}

/// Calls `found` with every context that a token reads, in any of its expressions; what cannot
/// be parsed reads nothing.
pub fn referenced(token: &Token, found: &mut dyn FnMut(&expression::NamedValue)) {
    match &token.kind {
        Kind::Expression(expression) => {
            if let Ok(tree) = parse(&expression.text, &ParseOptions::default()) {
                named_values(&tree).for_each(|value| found(&value));
            }
        }
        Kind::Sequence(items) => items.iter().for_each(|item| referenced(item, found)),
        Kind::Mapping(pairs) => {
            for pair in pairs.iter() {
                referenced(&pair.key, found);
                referenced(&pair.value, found);
            }
        }
        Kind::Null | Kind::Boolean(_) | Kind::Number(_) | Kind::String(_) | Kind::Insert => {}
    }
}
