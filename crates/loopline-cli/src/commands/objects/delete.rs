//! `loopline delete`: deletes objects, and waits until they are gone.

use std::time::Duration;

use kube::api::{Api, DynamicObject};
use kube::runtime::wait::{await_condition, conditions};
use serde_json::{Value, json};

use super::report::{Report, block_on, connect};
use super::select::{Selection, Wanted, resolve, targets};
use super::wait::{api, duration};
use crate::arguments::{Cascade, DeleteArguments};
use crate::cluster::{Ask, Cluster, DryRun, Failure, JSON, Target};
use crate::commands::{Context, Outcome};
use crate::error::{Class, CommandError};

/// How long is waited where nothing else is said: as long as kubectl does.
const A_WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

pub(crate) fn run(context: &Context<'_>, arguments: &DeleteArguments) -> Outcome {
    block_on(delete(context, arguments))
}

async fn delete(context: &Context<'_>, arguments: &DeleteArguments) -> Outcome {
    let by_name = match arguments.output.as_deref() {
        None => false,
        Some("name") => true,
        Some(other) => {
            let message = format!("unexpected -o output mode: {other:?}");
            return Err(CommandError::usage(message).hint("-o takes name"));
        }
    };
    let timeout = match duration(&arguments.timeout)? {
        Some(limit) if !limit.is_zero() => limit,
        _ => A_WEEK,
    };
    let cluster = connect(&arguments.target.cluster).await?;
    let wanted = Wanted::new(
        &arguments.target.files,
        &arguments.target.objects,
        &arguments.target.selector,
        arguments.target.all_namespaces,
    );
    let listed = means_kinds(&cluster, &wanted, arguments).await?;
    let found = targets(&cluster, &wanted).await?;
    let mut report = Report::new(context, "loopline.delete/v1");
    let mut gone = Vec::new();
    for (target, place) in &found {
        match one(&cluster, target, arguments).await {
            Ok(uid) => {
                let line = if by_name {
                    target.shown()
                } else {
                    let kind = target.kind.singular_name();
                    format!("{kind} {:?} deleted{}", target.name, arguments.dry_run.suffix())
                };
                report.done(target, "deleted", &line);
                gone.push((target, uid));
            }
            Err(failure)
                if failure.is_not_found()
                    && (arguments.ignore_not_found || arguments.target.all) => {}
            Err(failure) => report.failed(place, failure),
        }
    }
    if found.is_empty() && listed && !context.printer.json {
        context.printer.out("No resources found");
    }
    if arguments.wait && arguments.dry_run == DryRun::None {
        let waiting = async {
            for (target, uid) in gone {
                if let Err(error) = until_gone(&cluster, target, uid).await {
                    report.failed(&target.shown(), error);
                }
            }
        };
        if tokio::time::timeout(timeout, waiting).await.is_err() {
            let message = "timed out waiting for the objects to be gone";
            return Err(CommandError::new(Class::Failed, message)
                .hint("a finalizer may keep one: `loopline get KIND/NAME -o yaml` shows it"));
        }
    }
    Ok(report.end())
}

/// Refuses to delete a whole kind that nobody asked for; returns whether a kind is meant.
async fn means_kinds(
    cluster: &Cluster,
    wanted: &Wanted<'_>,
    arguments: &DeleteArguments,
) -> Result<bool, CommandError> {
    if !wanted.files.filename.is_empty() {
        return Ok(false);
    }
    match resolve(cluster, wanted).await? {
        Selection::Named(_) => Ok(false),
        Selection::Listed(_) if arguments.target.all || !arguments.target.selector.is_empty() => {
            Ok(true)
        }
        Selection::Listed(_) => {
            let message = "resource(s) were provided, but no name was specified";
            Err(CommandError::usage(message)
                .hint("`--all` deletes all of them, `-l SELECTOR` those with a label"))
        }
    }
}

/// Deletes one object and returns its UID.
async fn one(
    cluster: &Cluster,
    target: &Target,
    arguments: &DeleteArguments,
) -> Result<Option<String>, Failure> {
    if arguments.dry_run == DryRun::Client {
        return cluster.ask(Ask::new("GET", target.path())).await.map(|_| None);
    }
    let policy = match arguments.cascade {
        Cascade::Background => "Background",
        Cascade::Foreground => "Foreground",
        Cascade::Orphan => "Orphan",
    };
    let mut options =
        json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": policy});
    if let Some(seconds) = arguments.grace_period {
        options["gracePeriodSeconds"] = seconds.into();
    }
    if arguments.dry_run == DryRun::Server {
        options["dryRun"] = json!(["All"]);
    }
    let answer = cluster.ask(Ask::new("DELETE", target.path()).body(JSON, &options)).await?;
    let uid = |value: &Value| value["uid"].as_str().map(str::to_owned);
    Ok(uid(&answer.body["metadata"]).or_else(|| uid(&answer.body["details"])))
}

async fn until_gone(
    cluster: &Cluster,
    target: &Target,
    uid: Option<String>,
) -> Result<(), CommandError> {
    let Some(uid) = uid else { return Ok(()) };
    let api: Api<DynamicObject> = api(cluster, target);
    await_condition(api, &target.name, conditions::is_deleted(&uid))
        .await
        .map(|_| ())
        .map_err(|error| CommandError::new(Class::Failed, error.to_string()))
}
