//! `loopline artifacts`: what a run uploaded.

use std::path::Path;

use loopline_clock::Clock;
use loopline_runner::actions::builtin::unpack_artifact;
use loopline_runner::leash::Leash;
use loopline_runner::services::disk::Disk;
use loopline_runner::services::storage::Artifacts as _;
use loopline_store::{Area, DataFolder};
use loopline_units::show_bytes;

use super::{Context, Outcome, open};
use crate::arguments::ArtifactsArguments;
use crate::error::{Class, CommandError, Status};

pub(crate) fn run(context: &Context<'_>, arguments: &ArtifactsArguments) -> Outcome {
    let printer = context.printer;
    let data = open::data_folder()?;
    let (reader, summary) = open::run(&data, &arguments.run)?;
    if let Some(name) = &arguments.get {
        return get(context, &data, reader.number(), name, arguments.into.as_deref());
    }
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

/// Unpacks an artifact.
fn get(
    context: &Context<'_>,
    data: &DataFolder,
    run: u64,
    name: &str,
    into: Option<&Path>,
) -> Outcome {
    let disk = Disk::new(data.area(Area::Artifacts), data.area(Area::Caches), Clock::real());
    let failed = |error: &dyn std::fmt::Display| {
        CommandError::new(Class::Failed, format!("cannot unpack artifact {name}: {error}"))
    };
    let all = disk.list(&run.to_string()).map_err(|error| failed(&error))?;
    let artifact = all.iter().find(|artifact| artifact.name == name).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|artifact| artifact.name.as_str()).collect();
        CommandError::usage(format!("run {run} has no artifact `{name}`"))
            .hint(format!("it has: {}", names.join(", ")))
    })?;
    let folder = std::path::absolute(into.unwrap_or(Path::new(name)))?;
    fs_err::create_dir_all(&folder)?;
    let leash = Leash::free(Clock::real());
    let count = unpack_artifact(&disk.file(artifact), artifact, &folder, &folder, &leash)
        .map_err(|error| failed(&error))?;
    if context.printer.json {
        context.printer.json(&serde_json::json!({
            "schema": "loopline.artifact/v1",
            "run": run,
            "name": name,
            "folder": folder,
            "files": count,
        }));
    } else {
        context.printer.err(&format!("{count} files of {name} in {}", folder.display()));
    }
    Ok(Status::Ok)
}
