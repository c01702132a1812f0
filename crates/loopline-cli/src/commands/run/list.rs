//! `loopline run --list`: the workflows, what starts them, and when they are due next.

use jiff::tz::TimeZone;
use loopline_clock::Clock;
use loopline_store::FolderTree;
use loopline_units::cron;
use loopline_workflow::github::plan::schedules;
use serde_json::json;

use super::facts::Found;
use super::select;
use crate::commands::{Context, Outcome};
use crate::error::Status;
use crate::printer::Tone;

pub(crate) fn run(context: &Context<'_>, found: &Found) -> Outcome {
    let printer = context.printer;
    let tree = FolderTree::new(&found.root)?;
    let now = Clock::real().now();
    for path in select::paths(&tree)? {
        let read = select::read(&tree, &path, None)?;
        let workflow = &read.workflow;
        let events: Vec<&str> = workflow.on.iter().map(|event| &**event.name).collect();
        let due: Vec<(String, Option<String>, Option<String>)> = schedules(workflow)
            .into_iter()
            .map(|schedule| {
                let zone = schedule
                    .timezone
                    .as_deref()
                    .and_then(|zone| TimeZone::get(zone).ok())
                    .unwrap_or(TimeZone::UTC);
                let next = cron::Schedule::parse(&schedule.cron)
                    .ok()
                    .and_then(|cron| cron.next(now, &zone))
                    .map(|next| next.to_string());
                (schedule.cron, schedule.timezone, next)
            })
            .collect();
        let name = workflow.name.as_ref().map_or(path.as_str(), |name| &name.value);
        if printer.json {
            printer.json(&json!({
                "schema": "loopline.workflows/v1",
                "path": path,
                "name": name,
                "events": events,
                "jobs": workflow.jobs.iter().map(|job| &*job.id.value).collect::<Vec<_>>(),
                "errors": read.errors.len(),
                "schedules": due.iter().map(|(cron, zone, next)| {
                    json!({ "cron": cron, "timezone": zone, "next": next })
                }).collect::<Vec<_>>(),
            }));
            continue;
        }
        printer.out(&format!(
            "{}  {}  on {}",
            printer.tone_out(Tone::Strong, name),
            printer.tone_out(Tone::Quiet, &path),
            events.join(", "),
        ));
        for (cron, zone, next) in due {
            let zone = zone.map_or(String::new(), |zone| format!(" {zone}"));
            let next = next.unwrap_or_else(|| "never".to_owned());
            printer.out(&format!("    schedule `{cron}`{zone}: next {next}"));
        }
        if !read.errors.is_empty() {
            let count = read.errors.len();
            printer.out(&format!("    {count} mistakes: `loopline check {path}` shows them"));
        }
    }
    Ok(Status::Ok)
}
