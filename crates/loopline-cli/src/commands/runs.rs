//! `loopline runs`: the runs there were.

use std::time::Duration;

use loopline_store::RunReader;
use loopline_units::show_duration;

use super::{Context, Outcome, open};
use crate::arguments::RunsArguments;
use crate::error::Status;
use crate::printer::Tone;

pub(crate) fn run(context: &Context<'_>, arguments: &RunsArguments) -> Outcome {
    let printer = context.printer;
    let data = open::data_folder()?;
    let here = std::env::current_dir()?;
    let mut shown = 0;
    for number in data.runs()? {
        if shown == arguments.limit {
            break;
        }
        let Ok(reader) = RunReader::open(&data, &number.to_string()) else { continue };
        let summary = match reader.summary() {
            Ok(summary) => summary,
            Err(error) => {
                printer.err(&format!("run {number} cannot be read: {error}"));
                continue;
            }
        };
        let Some(started) = &summary.started else { continue };
        if !arguments.all && !here.starts_with(&started.root) {
            continue;
        }
        shown += 1;
        let state = open::run_state(&reader, &summary)?;
        if printer.json {
            printer.json(&serde_json::json!({
                "schema": "loopline.runs/v1",
                "run": number,
                "state": state,
                "workflow": started.workflow,
                "name": started.name,
                "title": started.title,
                "event": started.trigger,
                "ref": started.git_ref,
                "sha": started.sha,
                "root": started.root,
                "started_at": started.at,
                "duration_ms": summary.duration_ms,
                "rerun_of": started.rerun_of,
                "warnings": summary.warnings,
                "jobs": summary.jobs,
            }));
            continue;
        }
        let took = summary
            .duration_ms
            .map_or(String::new(), |ms| show_duration(Duration::from_millis(ms)));
        printer.out(&format!(
            "{:>5}  {} {}  {}  {}  {}",
            number,
            open::state_word(printer, state),
            printer.tone_out(Tone::Strong, &started.name),
            started.title,
            printer.tone_out(Tone::Quiet, &format!("{} on {}", started.trigger, started.git_ref)),
            printer.tone_out(Tone::Quiet, &format!("{} {took}", started.at)),
        ));
    }
    if shown == 0 && !printer.json {
        printer.err("no runs yet");
        printer.err(
            "hint: `loopline run` starts one; `loopline runs --all` lists those of other folders",
        );
    }
    Ok(Status::Ok)
}
