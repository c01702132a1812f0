//! `loopline cancel`: ends a run that is in progress, through its owner.

use loopline_store::{ControlError, Request};
use serde_json::json;

use super::{Context, Outcome, open};
use crate::arguments::CancelArguments;
use crate::error::{CommandError, Status};

pub(crate) fn run(context: &Context<'_>, arguments: &CancelArguments) -> Outcome {
    let data = open::data_folder()?;
    let (reader, summary) = open::run(&data, &arguments.run)?;
    let job = arguments.job.as_deref().map(|name| open::job(&summary, name)).transpose()?;
    let request = Request::Cancel {
        job: job.map(|job| job.key.clone()),
        reason: "cancelled by `loopline cancel`".to_owned(),
        force: arguments.force,
    };
    match request.send(reader.folder()) {
        Ok(()) => {}
        Err(ControlError::NoOwner) => {
            let state = open::run_state(&reader, &summary)?;
            return Err(CommandError::usage(format!(
                "run {} is not in progress: {state}",
                reader.number()
            )));
        }
        Err(error) => {
            return Err(CommandError::usage(format!(
                "failed to cancel run {}: {error}",
                reader.number()
            )));
        }
    }
    if context.printer.json {
        context.printer.json(&json!({
            "schema": "loopline.cancel/v1",
            "run": reader.number(),
            "job": job.map(|job| &job.key),
        }));
    } else {
        context.printer.err(&format!("run {} is being cancelled", reader.number()));
        context
            .printer
            .err(&format!("hint: `loopline logs {}` shows how it ends", reader.number()));
    }
    Ok(Status::Ok)
}
