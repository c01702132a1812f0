//! `loopline wait`: until objects are there, gone, or in a condition.

use std::time::Duration;

use kube::api::{Api, DynamicObject};
use kube::runtime::wait::{Condition, await_condition, conditions};
use loopline_apiserver::crd::jsonpath::JsonPath;
use serde_json::Value;

use super::report::{Report, block_on, connect};
use super::select::{Wanted, targets};
use crate::arguments::WaitArguments;
use crate::cluster::{Cluster, Target};
use crate::commands::{Context, Outcome};
use crate::error::{Class, CommandError};
use crate::show::template::shown;

/// How long a negative limit waits.
const A_WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// What is waited for.
#[derive(Clone, Debug)]
enum For {
    Create,
    Delete,
    Condition { name: String, value: String },
    Path { path: JsonPath, value: Option<String> },
}

impl For {
    fn parse(text: &str) -> Result<Self, CommandError> {
        let wrong = |why: &str| {
            CommandError::usage(format!("--for={text}: {why}")).hint(
                "--for takes create, delete, condition=NAME[=VALUE] and \
                 jsonpath='{PATH}'[=VALUE]",
            )
        };
        let (what, rest) = text.split_once('=').unwrap_or((text, ""));
        match what {
            "create" if rest.is_empty() => Ok(Self::Create),
            "delete" if rest.is_empty() => Ok(Self::Delete),
            "condition" if !rest.is_empty() => {
                let (name, value) = rest.split_once('=').unwrap_or((rest, "true"));
                Ok(Self::Condition { name: name.to_owned(), value: value.to_owned() })
            }
            "jsonpath" if !rest.is_empty() => {
                let (path, value) = match rest.strip_prefix('{') {
                    Some(inner) => {
                        let end = closing(inner).ok_or_else(|| wrong("the brace is not closed"))?;
                        (&inner[..end], &inner[end + 1..])
                    }
                    None => rest.split_at(rest.find('=').unwrap_or(rest.len())),
                };
                let value = match value {
                    "" => None,
                    value => match value.strip_prefix('=') {
                        Some(value) if !value.is_empty() => {
                            Some(value.trim_matches('"').to_owned())
                        }
                        _ => return Err(wrong("a value stands behind one `=`")),
                    },
                };
                let path = JsonPath::parse(path.trim()).map_err(|why| wrong(&why))?;
                Ok(Self::Path { path, value })
            }
            _ => Err(wrong("there is no such thing to wait for")),
        }
    }

    fn holds(&self, object: &Value) -> bool {
        match self {
            Self::Create | Self::Delete => false,
            Self::Condition { name, value } => {
                let conditions = object["status"]["conditions"].as_array();
                let found = conditions.into_iter().flatten().find(|one| {
                    one["type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case(name))
                });
                let Some(found) = found else { return false };
                let number = |value: &Value| value.as_i64();
                let observed = number(&found["observedGeneration"])
                    .or_else(|| number(&object["status"]["observedGeneration"]));
                let stale = observed
                    .zip(number(&object["metadata"]["generation"]))
                    .is_some_and(|(observed, now)| observed < now);
                let status = found["status"].as_str().unwrap_or_default();
                !stale && status.eq_ignore_ascii_case(value)
            }
            Self::Path { path, value } => {
                let found = path.find(object);
                match value {
                    None => !found.is_empty(),
                    Some(value) => found.iter().any(|one| shown(one) == *value),
                }
            }
        }
    }
}

/// Returns where a brace closes; those in quotes and in filters do not count.
fn closing(text: &str) -> Option<usize> {
    let mut quote: Option<char> = None;
    for (index, char) in text.char_indices() {
        match quote {
            Some(open) if char == open => quote = None,
            Some(_) => {}
            None if matches!(char, '"' | '\'') => quote = Some(char),
            None if char == '}' => return Some(index),
            None => {}
        }
    }
    None
}

impl Condition<DynamicObject> for For {
    fn matches_object(&self, object: Option<&DynamicObject>) -> bool {
        match (self, object) {
            (Self::Create, object) => object.is_some(),
            (Self::Delete, object) => object.is_none(),
            (_, None) => false,
            (_, Some(object)) => {
                serde_json::to_value(object).is_ok_and(|object| self.holds(&object))
            }
        }
    }
}

pub(crate) fn run(context: &Context<'_>, arguments: &WaitArguments) -> Outcome {
    block_on(wait(context, arguments))
}

async fn wait(context: &Context<'_>, arguments: &WaitArguments) -> Outcome {
    let what = For::parse(&arguments.wanted)?;
    let limit = duration(&arguments.timeout)?.unwrap_or(A_WEEK);
    let cluster = connect(&arguments.target.cluster).await?;
    let wanted = Wanted::new(
        &arguments.target.files,
        &arguments.target.objects,
        &arguments.target.selector,
        arguments.target.all_namespaces,
    );
    let by_kind = arguments.target.files.filename.is_empty()
        && arguments.target.objects.len() == 1
        && !arguments.target.objects[0].contains('/');
    if by_kind && !arguments.target.all && arguments.target.selector.is_empty() {
        return Err(CommandError::usage("resource(s) were provided, but no name was specified")
            .hint("`--all` waits for all of them, `-l SELECTOR` for those with a label"));
    }
    let found = targets(&cluster, &wanted).await?;
    if found.is_empty() && !matches!(what, For::Delete) {
        return Err(CommandError::new(Class::Failed, "no matching resources found"));
    }
    let mut report = Report::new(context, "loopline.wait/v1");
    // The limit is for all objects together.
    let end = tokio::time::Instant::now() + limit;
    for (target, place) in &found {
        let live = match cluster.live(target).await {
            Ok(live) => live,
            Err(failure) => {
                report.failed(place, failure);
                continue;
            }
        };
        let message = format!("{} condition met", target.shown());
        let now = match (&what, &live) {
            (For::Delete, None) => continue,
            (For::Create, Some(_)) => true,
            (For::Create | For::Delete, _) => false,
            (_, None) => {
                let message = format!("{} {:?} not found", target.kind.plural_name(), target.name);
                report.failed(place, CommandError::new(Class::Failed, message));
                continue;
            }
            (what, Some(object)) => what.holds(object),
        };
        if now {
            report.done(target, "met", &message);
            continue;
        }
        let api = api(&cluster, target);
        let uid = live.as_ref().and_then(|object| object["metadata"]["uid"].as_str());
        let waiting = async {
            match (&what, uid) {
                // Another object of the same name is not the one that was to go.
                (For::Delete, Some(uid)) => {
                    await_condition(api, &target.name, conditions::is_deleted(uid)).await
                }
                _ => await_condition(api, &target.name, what.clone()).await,
            }
        };
        match tokio::time::timeout_at(end, waiting).await {
            Ok(Ok(_)) => report.done(target, "met", &message),
            Ok(Err(error)) => {
                report.failed(place, CommandError::new(Class::Failed, error.to_string()));
            }
            Err(_) => {
                let name = format!("{}/{}", target.kind.plural, target.name);
                let message = format!("timed out waiting for the condition on {name}");
                report.failed(place, CommandError::new(Class::Failed, message));
            }
        }
    }
    Ok(report.end())
}

/// Returns the API of an object's kind and namespace as kube-rs has it.
pub(super) fn api(cluster: &Cluster, target: &Target) -> Api<DynamicObject> {
    let resource = target.kind.api_resource();
    match &target.namespace {
        Some(namespace) => Api::namespaced_with(cluster.client(), namespace, &resource),
        None => Api::all_with(cluster.client(), &resource),
    }
}

/// Reads a duration as Go writes it (`1h30m`, `500ms`); a negative one is nothing.
pub(super) fn duration(text: &str) -> Result<Option<Duration>, CommandError> {
    let wrong = || {
        CommandError::usage(format!("{text:?} is no duration")).hint("write `30s`, `5m` or `1h30m`")
    };
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if rest == "0" {
        return Ok(Some(Duration::ZERO));
    }
    let mut seconds = 0.0;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let end =
            rest.find(|char: char| !(char.is_ascii_digit() || char == '.')).ok_or_else(wrong)?;
        let number: f64 = rest[..end].parse().map_err(|_| wrong())?;
        rest = &rest[end..];
        let end =
            rest.find(|char: char| char.is_ascii_digit() || char == '.').unwrap_or(rest.len());
        let factor = match &rest[..end] {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(wrong()),
        };
        seconds += number * factor;
        rest = &rest[end..];
    }
    if negative {
        return Ok(None);
    }
    Duration::try_from_secs_f64(seconds).map(Some).map_err(|_| wrong())
}
