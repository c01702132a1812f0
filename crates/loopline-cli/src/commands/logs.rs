//! `loopline logs`: what steps wrote.

use std::io::{BufRead as _, BufReader};

use loopline_workflow::run::Conclusion;
use loopline_workflow::run::summary::{Job, State};

use super::{Context, Outcome, open};
use crate::arguments::LogsArguments;
use crate::error::Status;
use crate::markers;
use crate::printer::Tone;

pub(crate) fn run(context: &Context<'_>, arguments: &LogsArguments) -> Outcome {
    let printer = context.printer;
    let data = open::data_folder()?;
    let (reader, summary) = open::run(&data, &arguments.run)?;
    let jobs: Vec<&Job> = match &arguments.job {
        Some(name) => vec![open::job(&summary, name)?],
        None => summary.jobs.iter().collect(),
    };
    for job in jobs {
        let logs = reader.logs(&job.key)?;
        if !printer.json && !arguments.failed {
            let title = format!("== {} ({})", job.name, open::job_state(job.state));
            printer.out(&printer.tone_out(Tone::Strong, &title));
        }
        for step in &job.steps {
            let failed = step.outcome == Some(Conclusion::Failure);
            let other = arguments.step.is_some_and(|number| number != step.number);
            if other || arguments.failed && !failed {
                continue;
            }
            if !printer.json {
                printer.out(&format!(
                    "-- {} {} ({})",
                    step.number,
                    step.name,
                    open::job_state(step.state)
                ));
            }
            if let Some(log) = logs.iter().find(|log| log.step == step.number) {
                let mut lines = BufReader::new(fs_err::File::open(&log.path)?);
                let mut line = Vec::new();
                while lines.read_until(b'\n', &mut line)? > 0 {
                    if printer.json {
                        printer.json(&serde_json::json!({
                            "schema": "loopline.log/v1",
                            "run": reader.number(),
                            "job": job.key,
                            "step": step.number,
                            "line": String::from_utf8_lossy(&line).trim_end_matches('\n'),
                        }));
                    } else {
                        let shown =
                            markers::shown(&line, |tone, word| printer.tone_out(tone, word));
                        if let Some(line) = shown {
                            printer.out_raw(&line);
                        }
                    }
                    line.clear();
                }
            }
        }
        if let (Some(skip), State::Ended(Conclusion::Skipped), false) =
            (&job.skip, job.state, printer.json)
        {
            printer.out(&format!("skipped: {}", skip.reason));
        }
    }
    Ok(Status::Ok)
}
