//! The inputs of a dispatched workflow: typed, filled in from defaults, refused where wrong.

use std::collections::BTreeMap;

use loopline_diagnostic::{Diagnostic, rule_set};
use loopline_source::Span;

use crate::github::expression::{Object, Value};
use crate::github::model::{EventConfig, Input, InputKind, Workflow};
use crate::github::schedule::{Contexts, Scenario, value};

/// What is wrong with an input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// The workflow does not declare it.
    #[error("the workflow has no input `{name}`; it has {known}")]
    Unknown {
        /// The name.
        name: String,
        /// The names there are.
        known: String,
    },
    /// It must be given.
    #[error("the input `{0}` is required")]
    Missing(String),
    /// It has another type.
    #[error("the input `{name}` must be a {kind}, and is `{given}`")]
    Type {
        /// The name.
        name: String,
        /// The type.
        kind: &'static str,
        /// What was given.
        given: String,
    },
    /// It is none of the options.
    #[error("the input `{name}` must be one of {options}, and is `{given}`")]
    Choice {
        /// The name.
        name: String,
        /// The options.
        options: String,
        /// What was given.
        given: String,
    },
}

/// Returns the `inputs` context of a run that somebody dispatches (or that calls the workflow by
/// hand) with `given`; what is wrong goes to `findings`.
pub fn dispatch_inputs(
    workflow: &Workflow,
    event: &str,
    given: &BTreeMap<String, String>,
    findings: &mut Vec<Diagnostic>,
) -> Value {
    let (inputs, span): (&[Input], Span) = match workflow.event(event) {
        Some(event) => match &event.config {
            EventConfig::Dispatch(inputs) | EventConfig::Call { inputs, .. } => {
                (inputs, event.name.span)
            }
            _ => (&[], event.name.span),
        },
        None => (&[], workflow.on_span.unwrap_or_default()),
    };
    let mut refuse = |span: Span, error: InputError| {
        let finding =
            Diagnostic::new(&rule_set::WORKFLOW_INPUT, &workflow.file, span, error.to_string());
        findings.push(finding.hint("give it as `--input NAME=VALUE`"));
    };
    for name in given.keys() {
        if !inputs.iter().any(|input| input.name.eq_ignore_ascii_case(name)) {
            let known = list(inputs.iter().map(|input| &*input.name.value));
            refuse(span, InputError::Unknown { name: name.clone(), known });
        }
    }
    let mut context = Object::new();
    for input in inputs {
        let found = given
            .iter()
            .find(|(name, _)| input.name.eq_ignore_ascii_case(name))
            .map(|(_, text)| text.clone());
        match typed(input, found) {
            Ok(value) => {
                context.insert(&*input.name.value, value);
            }
            Err(error) => refuse(input.name.span, error),
        }
    }
    context.into()
}

fn typed(input: &Input, given: Option<String>) -> Result<Value, InputError> {
    let name = || input.name.to_string();
    let text = match given {
        Some(text) => text,
        None => match &input.default {
            Some(default) => match value(default, &Contexts::default(), Scenario::SUCCESS) {
                Ok(default) => default.to_text().into_owned(),
                Err(_) => return Err(InputError::Missing(name())),
            },
            None if input.required => return Err(InputError::Missing(name())),
            // GitHub preselects the first of the options.
            None if input.kind == InputKind::Choice => {
                input.options.first().map(|option| option.to_string()).unwrap_or_default()
            }
            None => String::new(),
        },
    };
    if input.required && text.is_empty() {
        return Err(InputError::Missing(name()));
    }
    let wrong = || InputError::Type { name: name(), kind: input.kind.name(), given: text.clone() };
    match input.kind {
        InputKind::String | InputKind::Environment => Ok(Value::from(text)),
        InputKind::Boolean => match text.as_str() {
            "true" => Ok(Value::Bool(true)),
            "false" | "" => Ok(Value::Bool(false)),
            _ => Err(wrong()),
        },
        InputKind::Number => {
            let number = Value::from(text.as_str()).to_number();
            if number.is_finite() { Ok(Value::Number(number)) } else { Err(wrong()) }
        }
        InputKind::Choice => {
            if input.options.iter().any(|option| *option.value == text) {
                return Ok(Value::from(text));
            }
            Err(InputError::Choice {
                name: name(),
                options: list(input.options.iter().map(|option| &*option.value)),
                given: text,
            })
        }
    }
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
