//! `loopline apply`: makes objects what documents say.

use super::output::{Form, without_managed_fields};
use super::report::{Report, block_on, connect, documents, list};
use crate::arguments::ApplyArguments;
use crate::cluster::{Applied, Applying, Cluster, Failure, Target};
use crate::commands::{Context, Outcome};
use crate::error::CommandError;
use crate::manifests::Document;

pub(crate) fn run(context: &Context<'_>, arguments: &ApplyArguments) -> Outcome {
    block_on(apply(context, arguments))
}

async fn apply(context: &Context<'_>, arguments: &ApplyArguments) -> Outcome {
    if arguments.prune {
        return Err(CommandError::usage("`--prune` is not among what Loopline's `apply` does")
            .hint("`loopline delete -f FILE` deletes the objects of old documents"));
    }
    let form = Form::parse(arguments.output.as_deref())?;
    if matches!(form, Form::Wide) {
        return Err(CommandError::usage("`-o wide` is a form of `loopline get`"));
    }
    let documents = documents(&arguments.merge.files, &arguments.merge.selector)?;
    if documents.is_empty() {
        return Err(CommandError::usage("no objects passed to apply"));
    }
    let how = Applying {
        server_side: arguments.merge.server_side,
        force_conflicts: arguments.merge.force_conflicts,
        field_manager: arguments.merge.field_manager.clone(),
        dry_run: arguments.dry_run,
        validation: arguments.validate,
        unannotated: false,
    };
    let cluster = connect(&arguments.merge.cluster).await?;
    let mut report = Report::new(context, "loopline.apply/v1");
    let mut whole = Vec::new();
    for document in &documents {
        match one(&cluster, document, &how).await {
            Ok((target, mut applied)) => {
                report.warn(&applied.warnings);
                let operation = applied.operation.word();
                if form.is_whole() {
                    without_managed_fields(&mut applied.object);
                    whole.push(applied.object);
                } else if matches!(form, Form::Name) {
                    report.done(&target, operation, &target.shown());
                } else {
                    let suffix = how.dry_run.suffix();
                    let line = format!("{} {operation}{suffix}", target.shown());
                    report.done(&target, operation, &line);
                }
            }
            Err(failure) => report.failed(&document.place, explained(failure)),
        }
    }
    if form.is_whole() {
        let object = if documents.len() == 1 { whole.pop() } else { Some(list(whole)) };
        if let Some(text) = object.and_then(|object| form.whole(&object)) {
            context.printer.out_raw(text.as_bytes());
        }
    }
    Ok(report.end())
}

async fn one(
    cluster: &Cluster,
    document: &Document,
    how: &Applying,
) -> Result<(Target, Applied), Failure> {
    let target = cluster.target(document).await?;
    let applied = cluster.apply(&target, &document.object, how).await?;
    Ok((target, applied))
}

/// Says what to do about fields that others own.
fn explained(failure: Failure) -> CommandError {
    let owned = matches!(&failure, Failure::Refused(refusal)
        if refusal.code == 409 && refusal.message.starts_with("Apply failed with"));
    let error = CommandError::from(failure);
    if owned {
        error.hint("leave those fields out, or take them over with `--force-conflicts`")
    } else {
        error
    }
}
