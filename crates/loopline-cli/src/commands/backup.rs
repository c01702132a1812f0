//! `loopline backup` and `loopline restore`: snapshots of the API's objects.

use std::path::Path;

use loopline_apiserver::auth::folder::KEYS;
use loopline_store::object::{self, StoreError};
use loopline_units::show_bytes;
use serde_json::json;

use super::{Context, Outcome, open};
use crate::arguments::{BackupArguments, RestoreArguments};
use crate::error::{Class, CommandError, Status};

pub(crate) fn run(context: &Context<'_>, arguments: &BackupArguments) -> Outcome {
    let folder = open::api_folder(arguments.data.as_deref())?;
    let file = &arguments.file;
    if !arguments.force && file.symlink_metadata().is_ok() {
        let message = format!("{} is there already", file.display());
        return Err(CommandError::usage(message).hint("`--force` replaces it"));
    }
    if file.starts_with(&folder) && file.parent() == Some(&folder) {
        let message = format!("{} is among the files of the server itself", file.display());
        return Err(CommandError::usage(message).hint("name a file outside that folder"));
    }
    let snapshot = object::backup(&folder, file).map_err(|error| match error {
        StoreError::NotFound(path) => CommandError::usage(format!("there are no objects: {path}"))
            .hint("`loopline api` makes them; `--data DIR` names the folder it was given"),
        StoreError::Corrupt { .. } => CommandError::new(Class::Failed, error.to_string())
            .hint("a snapshot would be as damaged; `loopline api` says how to go back to one"),
        other => failed(other),
    })?;
    let keys = folder.join(KEYS);
    if context.printer.json {
        context.printer.json(&json!({
            "schema": "loopline.backup/v1",
            "file": file,
            "revision": snapshot.revision,
            "objects": snapshot.keys,
            "bytes": snapshot.bytes,
            "owner": snapshot.owner,
            "keys": keys,
        }));
        return Ok(Status::Ok);
    }
    context.printer.out(&format!(
        "{}: {} objects at revision {}, {}",
        file.display(),
        snapshot.keys,
        snapshot.revision,
        show_bytes(snapshot.bytes),
    ));
    context.printer.err(&format!(
        "note: secrets in it are sealed with a key in {}, which is not part of it",
        keys.display()
    ));
    Ok(Status::Ok)
}

pub(crate) fn restore(context: &Context<'_>, arguments: &RestoreArguments) -> Outcome {
    let folder = open::api_folder(arguments.data.as_deref())?;
    let file = &arguments.file;
    let kept = object::restore(&folder, file).map_err(|error| match error {
        StoreError::NotFound(path) => CommandError::usage(format!("there is no snapshot {path}")),
        StoreError::InUse { .. } => CommandError::new(Class::Failed, error.to_string())
            .hint("end that process first; its objects were left as they are"),
        StoreError::Corrupt { .. } => {
            let said = CommandError::new(Class::Failed, error.to_string());
            said.hint("the objects were left as they are; take another snapshot")
        }
        other => failed(other),
    })?;
    if context.printer.json {
        context.printer.json(&json!({
            "schema": "loopline.restore/v1",
            "file": file,
            "folder": folder,
            "replaced": kept,
        }));
        return Ok(Status::Ok);
    }
    context.printer.out(&format!("restored {}", file.display()));
    let replaced = kept.as_deref().map(Path::display);
    if let Some(replaced) = replaced {
        context.printer.err(&format!("what was there before is kept as {replaced}"));
    }
    context.printer.err("next: loopline api");
    Ok(Status::Ok)
}

fn failed(error: StoreError) -> CommandError {
    let class = match error {
        StoreError::Newer { .. } => Class::Usage,
        _ => Class::Failed,
    };
    CommandError::new(class, error.to_string())
}
