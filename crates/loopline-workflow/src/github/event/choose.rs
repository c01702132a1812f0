//! Which event a run is of when the user names none.

use super::facts::Facts;
use super::payload::{Event, EventError};
use crate::github::model::{EventConfig, Workflow};
use crate::github::plan::{Verdict, triggers};

/// What was chosen, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The event's name.
    pub name: String,
    /// Why this one: a sentence without a full stop.
    pub reason: String,
}

/// Why no event could be chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChooseError {
    /// The workflow does not listen to the event the user named.
    #[error("the workflow does not run on `{wanted}`; it runs on {}", list(.declared))]
    NotDeclared {
        /// The event.
        wanted: String,
        /// Those it listens to.
        declared: Vec<String>,
    },
    /// `on` is empty.
    #[error("the workflow does not say what it runs on")]
    Nothing,
    /// The event cannot be made.
    #[error(transparent)]
    Event(#[from] EventError),
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The order in which events are tried.
const PREFERENCE: [&str; 3] = ["push", "pull_request", "workflow_dispatch"];

/// Chooses the event: the one the user wants; else the first of `push`, `pull_request` and
/// `workflow_dispatch` whose filters accept what is checked out; else the first declared.
///
/// # Errors
/// [`ChooseError`], each variant as it says.
pub fn choose(
    workflow: &Workflow,
    facts: &Facts,
    wanted: Option<&str>,
) -> Result<Choice, ChooseError> {
    let declared = || workflow.on.iter().map(|event| event.name.to_string()).collect::<Vec<_>>();
    if let Some(wanted) = wanted {
        if workflow.event(wanted).is_none() {
            return Err(ChooseError::NotDeclared {
                wanted: wanted.to_owned(),
                declared: declared(),
            });
        }
        return Ok(Choice { name: wanted.to_owned(), reason: "it was asked for".to_owned() });
    }
    let mut refused = None;
    for name in PREFERENCE {
        let Some(event) = workflow.event(name) else { continue };
        if let EventConfig::Dispatch(inputs) = &event.config
            && inputs.iter().any(|input| input.required && input.default.is_none())
            && refused.is_none()
            && workflow.on.len() > 1
        {
            continue;
        }
        let made = Event::synthesize(name, facts, &Default::default(), None)?;
        match triggers(workflow, &made) {
            Verdict { triggers: true, reason, .. } => {
                return Ok(Choice { name: name.to_owned(), reason });
            }
            verdict => {
                refused.get_or_insert((name, verdict.reason));
            }
        }
    }
    if let Some(event) = workflow.on.iter().find(|event| !PREFERENCE.contains(&&**event.name)) {
        return Ok(Choice {
            name: event.name.to_string(),
            reason: match refused {
                Some((name, reason)) => format!("`{name}` would not start it ({reason})"),
                None => "it is what the workflow runs on".to_owned(),
            },
        });
    }
    match refused {
        Some((name, reason)) => Ok(Choice {
            name: name.to_owned(),
            reason: format!("nothing else can start it, although its filters would not ({reason})"),
        }),
        None => match workflow.on.first() {
            Some(event) => Ok(Choice {
                name: event.name.to_string(),
                reason: "it is what the workflow runs on".to_owned(),
            }),
            None => Err(ChooseError::Nothing),
        },
    }
}
