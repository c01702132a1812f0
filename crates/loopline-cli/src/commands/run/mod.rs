//! `loopline run`: the repository's workflows, on this machine.

mod approvals;
mod execute;
mod facts;
mod groups;
mod list;
mod machines;
mod request;
mod select;
mod signals;

use std::collections::BTreeMap;
use std::path::Path;

use loopline_workflow::github::event::{Event, RunFacts, github_context};
use loopline_workflow::github::expression::Value;

use super::{Context, Outcome};
use crate::arguments::{RerunArguments, RunArguments};
use crate::error::CommandError;
pub(crate) use machines::{in_sandbox, sandbox_support};
pub(crate) use request::Request;

pub(crate) fn run(context: &Context<'_>, arguments: &RunArguments) -> Outcome {
    let (request, secrets) = Request::read(arguments)?;
    let found = facts::find(&std::env::current_dir()?)?;
    if arguments.list {
        return list::run(context, &found);
    }
    let selected = select::workflows(&found, &request)?;
    if arguments.plan {
        return execute::show_plans(context, &found, &selected, &request, &secrets);
    }
    execute::all(context, &found, &selected, &request, &secrets, None)
}

/// `loopline rerun`: a run again, or only what did not succeed in it.
pub(crate) fn rerun(context: &Context<'_>, arguments: &RerunArguments) -> Outcome {
    let data = super::open::data_folder()?;
    let (reader, summary) = super::open::run(&data, &arguments.run)?;
    let Some(started) = &summary.started else {
        return Err(CommandError::usage(format!(
            "run {} ended before it said what it is of",
            reader.number()
        )));
    };
    if reader.state(&summary)? == loopline_store::State::Running {
        return Err(CommandError::usage(format!("run {} is still running", reader.number()))
            .hint(format!("`loopline cancel {}` ends it", reader.number())));
    }
    let mut request: Request =
        serde_json::from_value(started.request.clone()).map_err(|error| {
            CommandError::usage(format!("run {} cannot be repeated: {error}", reader.number()))
        })?;
    let secrets = request::read_secrets(&arguments.secret, arguments.secret_file.as_deref())?;
    let missing: Vec<&str> = request
        .secret_names
        .iter()
        .filter(|name| !secrets.0.contains_key(*name))
        .map(String::as_str)
        .collect();
    if !missing.is_empty() {
        return Err(CommandError::usage(format!(
            "run {} was given secrets, which runs do not keep: {}",
            reader.number(),
            missing.join(", ")
        ))
        .hint("give them again: `--secret NAME` takes one from the environment"));
    }
    request.workflow = Some(started.workflow.clone());
    request.event = Some(started.trigger.clone());
    let found = facts::find(Path::new(&started.root))?;
    let selected = select::workflows(&found, &request)?;
    let earlier = execute::Earlier {
        run: reader.number(),
        attempt: started.attempt,
        number: started.number,
        summary,
        only_failed: arguments.failed,
    };
    execute::all(context, &found, &selected, &request, &secrets, Some(&earlier))
}

/// Returns the contexts that a push of what is checked out in `root` would have.
pub(crate) fn contexts_here(root: &Path) -> Result<BTreeMap<String, Value>, CommandError> {
    let Ok(found) = facts::find(root) else { return Ok(BTreeMap::new()) };
    let event = Event::synthesize("push", &found.facts, &BTreeMap::new(), None)
        .map_err(|error| CommandError::usage(error.to_string()))?;
    let github = github_context(&event, &found.facts, &RunFacts::default(), None);
    Ok(BTreeMap::from([("github".to_owned(), Value::from_json(&github))]))
}
