//! Which objects a command line means: documents, kinds and names.

use serde_json::Value;

use super::report::documents;
use crate::arguments::FileArguments;
use crate::cluster::{Answer, Ask, Cluster, Failure, JSON, Kind, Target};
use crate::error::CommandError;

/// How many objects are asked for at a time, as kubectl does.
const CHUNK: usize = 500;

/// What is meant.
pub(super) struct Wanted<'a> {
    pub(super) files: &'a FileArguments,
    pub(super) objects: &'a [String],
    pub(super) selector: &'a str,
    pub(super) field_selector: &'a str,
    pub(super) all_namespaces: bool,
}

impl<'a> Wanted<'a> {
    /// Returns what three of the commands are told.
    pub(super) fn new(
        files: &'a FileArguments,
        objects: &'a [String],
        selector: &'a str,
        all_namespaces: bool,
    ) -> Self {
        Self { files, objects, selector, field_selector: "", all_namespaces }
    }
}

/// What was found.
pub(super) enum Selection {
    /// Objects by their names, each with where it was named.
    Named(Vec<(Target, String)>),
    /// All objects of kinds.
    Listed(Vec<Kind>),
}

/// Finds out what is meant; nothing but kinds is asked for.
pub(super) async fn resolve(
    cluster: &Cluster,
    wanted: &Wanted<'_>,
) -> Result<Selection, CommandError> {
    if !wanted.files.filename.is_empty() {
        if !wanted.objects.is_empty() {
            return Err(CommandError::usage(
                "when paths, URLs, or stdin is provided as input, you may not specify resource \
                 arguments as well",
            ));
        }
        let mut found = Vec::new();
        for document in documents(wanted.files, wanted.selector)? {
            let target = cluster.target(&document).await.map_err(|failure| {
                let mut error = CommandError::from(failure);
                error.message = format!("{}: {}", document.place, error.message);
                error
            })?;
            found.push((target, document.place));
        }
        return Ok(Selection::Named(found));
    }
    let Some(first) = wanted.objects.first() else {
        return Err(CommandError::usage("you must say which objects: -f FILE, KIND or KIND/NAME")
            .hint("`loopline get namespaces` lists those of one kind"));
    };
    let mut found = Vec::new();
    if first.contains('/') {
        for object in wanted.objects {
            let Some((kind, name)) = object.split_once('/') else {
                return Err(CommandError::usage(format!(
                    "there is no need to specify a resource type as a separate argument when \
                     passing arguments in resource/name form (e.g. 'get {first}' instead of 'get \
                     {object}')"
                )));
            };
            for kind in cluster.kinds(kind).await? {
                found.push((target(cluster, kind, name, wanted)?, String::new()));
            }
        }
    } else {
        let kinds = cluster.kinds(first).await?;
        let names = &wanted.objects[1..];
        if names.is_empty() {
            return Ok(Selection::Listed(kinds));
        }
        for kind in kinds {
            for name in names {
                if name.contains('/') {
                    return Err(CommandError::usage(format!(
                        "arguments in resource/name form may not have more than one slash or \
                         stand beside others: {name:?}"
                    )));
                }
                found.push((target(cluster, kind.clone(), name, wanted)?, String::new()));
            }
        }
    }
    if !wanted.selector.is_empty() {
        return Err(CommandError::usage("name cannot be provided when a selector is specified"));
    }
    Ok(Selection::Named(found))
}

fn target(
    cluster: &Cluster,
    kind: Kind,
    name: &str,
    wanted: &Wanted<'_>,
) -> Result<Target, CommandError> {
    if name.is_empty() {
        return Err(CommandError::usage(
            "arguments in resource/name form must have a single resource and name",
        ));
    }
    if wanted.all_namespaces && kind.namespaced {
        return Err(CommandError::usage(
            "a resource cannot be retrieved by name across all namespaces",
        ));
    }
    let namespace = kind.namespaced.then(|| cluster.namespace().to_owned());
    Ok(Target { kind, namespace, name: name.to_owned() })
}

/// Lists the objects of a kind; returns the pages of what was answered.
pub(super) async fn pages(
    cluster: &Cluster,
    kind: &Kind,
    wanted: &Wanted<'_>,
    accept: Option<&str>,
) -> Result<Vec<Value>, Failure> {
    let namespace =
        (kind.namespaced && !wanted.all_namespaces).then(|| cluster.namespace().to_owned());
    let path = kind.collection(namespace.as_deref());
    let mut pages: Vec<Value> = Vec::new();
    let mut next = String::new();
    loop {
        let ask = Ask::new("GET", path.clone())
            .option("labelSelector", wanted.selector)
            .option("fieldSelector", wanted.field_selector)
            .option("limit", CHUNK.to_string())
            .option("continue", next)
            .accept(accept.unwrap_or(JSON));
        let Answer { body, .. } = cluster.ask(ask).await?;
        next = body["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
        pages.push(body);
        if next.is_empty() {
            return Ok(pages);
        }
    }
}

/// Returns the objects of lists, each with its kind, which items of a list do not say.
pub(super) fn items(kind: &Kind, pages: Vec<Value>) -> Vec<Value> {
    let mut found = Vec::new();
    for mut page in pages {
        let Some(Value::Array(items)) = page.get_mut("items").map(Value::take) else { continue };
        for mut item in items {
            item["apiVersion"] = kind.api_version().into();
            item["kind"] = kind.kind.clone().into();
            found.push(item);
        }
    }
    found
}

/// Returns the objects that are meant by their names; of kinds they are listed.
pub(super) async fn targets(
    cluster: &Cluster,
    wanted: &Wanted<'_>,
) -> Result<Vec<(Target, String)>, CommandError> {
    let kinds = match resolve(cluster, wanted).await? {
        Selection::Named(named) => return Ok(named),
        Selection::Listed(kinds) => kinds,
    };
    let mut found = Vec::new();
    for kind in kinds {
        let pages = pages(cluster, &kind, wanted, None).await?;
        for item in items(&kind, pages) {
            let text = |key: &str| item["metadata"][key].as_str().map(str::to_owned);
            let Some(name) = text("name") else { continue };
            let target = Target { kind: kind.clone(), namespace: text("namespace"), name };
            found.push((target, String::new()));
        }
    }
    Ok(found)
}
