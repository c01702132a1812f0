//! `loopline diff`: what applying documents would change. It ends with 0 where nothing would, with
//! 1 where something would, and with more where it cannot be said.

use serde_json::{Value, json};

use super::output::without_managed_fields;
use super::report::{block_on, connect, documents};
use crate::arguments::DiffArguments;
use crate::cluster::{Applying, Cluster, DryRun, Failure, Operation, Target, Validation};
use crate::commands::{Context, Outcome};
use crate::error::{Class, CommandError, Status};
use crate::manifests::Document;
use crate::printer::Tone;
use crate::show::{unified, yaml};

pub(crate) fn run(context: &Context<'_>, arguments: &DiffArguments) -> Outcome {
    // A status of 1 says that something differs, so no failure may end with it.
    block_on(diff(context, arguments)).map_err(|mut error| {
        if error.class == Class::Failed {
            error.class = Class::Usage;
        }
        error
    })
}

async fn diff(context: &Context<'_>, arguments: &DiffArguments) -> Outcome {
    let documents = documents(&arguments.merge.files, &arguments.merge.selector)?;
    let how = Applying {
        server_side: arguments.merge.server_side,
        force_conflicts: arguments.merge.force_conflicts,
        field_manager: arguments.merge.field_manager.clone(),
        dry_run: DryRun::Server,
        validation: Validation::Ignore,
        unannotated: true,
    };
    let cluster = connect(&arguments.merge.cluster).await?;
    let mut found = Vec::new();
    for document in &documents {
        let (target, before, after) = one(&cluster, document, &how).await.map_err(|failure| {
            let mut error = CommandError::from(failure);
            error.message = format!("{}: {}", document.place, error.message);
            error
        })?;
        let hunks = unified::hunks(&before, &after);
        if !hunks.is_empty() {
            let namespace = target.namespace.as_deref().unwrap_or_default();
            let version = target.kind.api_version().replace('/', ".");
            let name = format!("{version}.{}.{namespace}.{}", target.kind.kind, target.name);
            found.push((name, target, hunks));
        }
    }
    // As kubectl's, which compares two folders.
    found.sort_by(|one, other| one.0.cmp(&other.0));
    for (name, target, hunks) in &found {
        show(context, name, target, hunks);
    }
    Ok(if found.is_empty() { Status::Ok } else { Status::Failed })
}

fn show(context: &Context<'_>, name: &str, target: &Target, hunks: &[String]) {
    let printer = context.printer;
    if printer.json {
        let mut row = json!({"schema": "loopline.diff/v1", "hunks": hunks});
        for (name, value) in target.fields() {
            row[name] = value;
        }
        printer.json(&row);
        return;
    }
    printer.out(&format!("diff -u -N LIVE/{name} MERGED/{name}"));
    printer.out(&format!("--- LIVE/{name}"));
    printer.out(&format!("+++ MERGED/{name}"));
    for line in hunks {
        let tone = match line.as_bytes().first() {
            Some(b'-') => Some(Tone::Bad),
            Some(b'+') => Some(Tone::Good),
            Some(b'@') => Some(Tone::Quiet),
            _ => None,
        };
        let line = tone.map_or(line.clone(), |tone| printer.tone_out(tone, line));
        printer.out(&line);
    }
}

/// Returns an object before and after, as text.
async fn one(
    cluster: &Cluster,
    document: &Document,
    how: &Applying,
) -> Result<(Target, String, String), Failure> {
    let target = cluster.target(document).await?;
    let live = cluster.live(&target).await?;
    let applied = cluster.apply(&target, &document.object, how).await?;
    let before =
        if applied.operation == Operation::ServerSideApplied { live } else { applied.before };
    let (mut before, mut after) = (before, applied.object);
    if target.kind.group.is_empty() && target.kind.kind == "Secret" {
        mask(before.as_mut(), &mut after);
    }
    let text = |object: &mut Value| {
        without_managed_fields(object);
        yaml::yaml(object)
    };
    let before = before.as_mut().map(text).unwrap_or_default();
    Ok((target, before, text(&mut after)))
}

/// Hides the values of a secret, and says only which of them change.
fn mask(before: Option<&mut Value>, after: &mut Value) {
    let old = before.as_ref().map(|object| object["data"].clone()).unwrap_or_default();
    let new = after["data"].clone();
    let shown = |data: &mut Value, other: &Value, word: &str| {
        for (name, value) in data.as_object_mut().into_iter().flatten() {
            let same = other.get(name).is_none_or(|other| other == value);
            *value = if same { json!("***") } else { json!(format!("*** ({word})")) };
        }
    };
    shown(&mut after["data"], &old, "after");
    hide_applied(after);
    if let Some(before) = before {
        shown(&mut before["data"], &new, "before");
        hide_applied(before);
    }
}

/// The annotation of what was applied last repeats the values.
fn hide_applied(object: &mut Value) {
    if crate::cluster::last_applied(object).is_some()
        && let Some(annotations) =
            object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut)
    {
        annotations.shift_remove(crate::cluster::LAST_APPLIED);
    }
}
