//! `loopline artifacts`: what a run uploaded.

use loopline_units::show_bytes;

use super::{Context, Outcome, open};
use crate::arguments::ArtifactsArguments;
use crate::error::Status;

pub(crate) fn run(context: &Context<'_>, arguments: &ArtifactsArguments) -> Outcome {
    let printer = context.printer;
    let data = open::data_folder()?;
    let (reader, summary) = open::run(&data, &arguments.run)?;
    let mut found = false;
    for job in &summary.jobs {
        for (name, bytes, digest) in &job.artifacts {
            found = true;
            if printer.json {
                printer.json(&serde_json::json!({
                    "schema": "loopline.artifacts/v1",
                    "run": reader.number(),
                    "job": job.key,
                    "name": name,
                    "size_bytes": bytes,
                    "digest": digest,
                }));
            } else {
                printer.out(&format!(
                    "{name}  {}  from {}  {digest}",
                    show_bytes(*bytes),
                    job.name
                ));
            }
        }
    }
    if !found && !printer.json {
        printer.err(&format!("run {} stored no artifacts", reader.number()));
    }
    Ok(Status::Ok)
}
