//! `loopline why`: which expression or filter skipped a job or step, with its values.

use loopline_workflow::run::Skip;
use serde_json::json;

use super::{Context, Outcome, open};
use crate::arguments::WhyArguments;
use crate::error::Status;
use crate::printer::{Printer, Tone};

pub(crate) fn run(context: &Context<'_>, arguments: &WhyArguments) -> Outcome {
    let printer = context.printer;
    let data = open::data_folder()?;
    let (reader, summary) = open::run(&data, &arguments.run)?;
    let wanted = arguments.job.as_deref().map(|name| open::job(&summary, name)).transpose()?;
    let mut shown = 0;
    for job in &summary.jobs {
        if wanted.is_some_and(|wanted| wanted.key != job.key) {
            continue;
        }
        if let Some(skip) = &job.skip {
            show(printer, reader.number(), &job.key.0, None, &format!("job {}", job.name), skip);
            shown += 1;
        }
        for step in &job.steps {
            if let Some(skip) = &step.skip {
                let what = format!("step {} {} of {}", step.number, step.name, job.name);
                show(printer, reader.number(), &job.key.0, Some(step.number), &what, skip);
                shown += 1;
            }
        }
    }
    if shown == 0 && !printer.json {
        let what = wanted.map_or(format!("run {}", reader.number()), |job| job.name.clone());
        printer.err(&format!("nothing in {what} was skipped"));
    }
    Ok(Status::Ok)
}

fn show(printer: &Printer, run: u64, job: &str, step: Option<u32>, what: &str, skip: &Skip) {
    if printer.json {
        printer.json(&json!({
            "schema": "loopline.why/v1",
            "run": run,
            "job": job,
            "step": step,
            "skip": skip,
        }));
        return;
    }
    printer.out(&format!("{}: {}", printer.tone_out(Tone::Strong, what), skip.reason));
    if let Some(condition) = &skip.condition {
        let place = skip
            .place
            .as_ref()
            .map_or(String::new(), |place| format!("  ({}:{})", place.file, place.line));
        printer.out(&format!("  if: {condition}{place}"));
    }
    for line in &skip.trace {
        printer.out(&format!("    {line}"));
    }
}
