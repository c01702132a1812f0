//! Which workflows a run is of, and of which event.

use std::collections::BTreeMap;
use std::sync::Arc;

use loopline_clock::Clock;
use loopline_diagnostic::{Diagnostic, rule_set};
use loopline_runner::actions::git::Git;
use loopline_runner::actions::remote::check_address;
use loopline_runner::actions::source::ActionSource;
use loopline_runner::host::Actions as _;
use loopline_source::{FileTree as _, SourceFile, Span};
use loopline_store::{Area, DataFolder, FolderTree};
use loopline_workflow::github::event::{ChooseError, Event, choose};
use loopline_workflow::github::model::Workflow;
use loopline_workflow::github::parse;
use loopline_workflow::github::plan::triggers;

use super::facts::Found;
use super::request::Request;
use crate::environment;
use crate::error::CommandError;

/// A workflow that will run.
pub(crate) struct Selected {
    /// Its path in the repository.
    pub(crate) path: String,
    /// What it says.
    pub(crate) workflow: Arc<Workflow>,
    /// What it is run for.
    pub(crate) event: Event,
    /// Why for that.
    pub(crate) reason: String,
}

/// A workflow file that was read.
pub(crate) struct Read {
    pub(crate) path: String,
    pub(crate) workflow: Workflow,
    pub(crate) errors: Vec<Diagnostic>,
}

/// Returns the paths of the repository's workflows.
pub(crate) fn paths(tree: &FolderTree) -> Result<Vec<String>, CommandError> {
    let files = tree
        .list(".github/workflows")
        .map_err(|error| CommandError::usage(format!("cannot list .github/workflows: {error}")))?;
    Ok(files
        .into_iter()
        .filter(|path| {
            let name = path.trim_start_matches(".github/workflows/");
            !name.contains('/') && (name.ends_with(".yml") || name.ends_with(".yaml"))
        })
        .collect())
}

/// Returns where actions and called workflows of other repositories come from.
pub(crate) fn action_source(
    data: &DataFolder,
    request: &Request,
) -> Result<ActionSource, CommandError> {
    let server = match environment::ACTIONS_URL.get() {
        None => "https://github.com".to_owned(),
        Some(url) => check_address(&url)
            .map_err(|error| CommandError::usage(format!("LOOPLINE_ACTIONS_URL: {error}")))?
            .to_owned(),
    };
    Ok(ActionSource {
        mirror: request.actions.clone(),
        cache: data.area(Area::Actions),
        server,
        offline: request.offline,
        git: Git::new(Arc::new(environment::for_jobs())),
        clock: Clock::real(),
    })
}

/// Reads one workflow and those it calls; those of other repositories come from `source`.
pub(crate) fn read(
    tree: &FolderTree,
    path: &str,
    source: Option<&ActionSource>,
) -> Result<Read, CommandError> {
    let text = tree
        .read(path)
        .map_err(|error| CommandError::usage(format!("cannot read {path}: {error}")))?;
    let file = SourceFile::new(path, text);
    let mut unfetched = Vec::new();
    let mut loader = |uses: &str, caller: &SourceFile| {
        if let Some(path) = uses.strip_prefix("./").or_else(|| uses.strip_prefix("$/")) {
            // A local path in a workflow of another repository is a path there.
            if let (Some(source), Some(elsewhere)) = (source, called(caller.name())) {
                let uses = format!("{}/{path}@{}", elsewhere.repository, elsewhere.reference);
                return load(source, &uses, &mut unfetched);
            }
            return tree.read(path).ok().map(|text| SourceFile::new(path, text));
        }
        load(source?, uses, &mut unfetched)
    };
    let (workflow, errors) = parse::workflow(&file, &parse::Options::default(), &mut loader);
    let errors = errors
        .into_iter()
        .map(|error| {
            let span = error.span.unwrap_or(Span::at(0));
            let message = error.kind.to_string();
            let mut found =
                Diagnostic::new(&rule_set::WORKFLOW_INVALID_VALUE, &error.file, span, message);
            for (file, span) in &error.callers {
                found = found.also(file, *span, "called from here");
            }
            found
        })
        .collect();
    if let Some(error) = unfetched.into_iter().next() {
        return Err(CommandError::usage(error));
    }
    Ok(Read { path: path.to_owned(), workflow, errors })
}

/// A workflow of another repository.
struct Elsewhere<'a> {
    repository: &'a str,
    path: &'a str,
    reference: &'a str,
}

/// Splits `owner/name/path@reference`.
fn called(uses: &str) -> Option<Elsewhere<'_>> {
    let (place, reference) = uses.rsplit_once('@')?;
    let slash = place.match_indices('/').nth(1)?.0;
    Some(Elsewhere { repository: &place[..slash], path: &place[slash + 1..], reference })
}

/// Fetches a called workflow; why it cannot be had goes to `errors`.
fn load(source: &ActionSource, uses: &str, errors: &mut Vec<String>) -> Option<SourceFile> {
    let elsewhere = called(uses)?;
    let (owner, name) = elsewhere.repository.split_once('/')?;
    let fetched = match source.fetch(owner, name, elsewhere.reference) {
        Ok(fetched) => fetched,
        Err(error) => {
            errors.push(format!("cannot get the called workflow `{uses}`: {error}"));
            return None;
        }
    };
    let text = FolderTree::new(&fetched.root)
        .map_err(loopline_source::TreeError::Io)
        .and_then(|tree| tree.read(elsewhere.path));
    match text {
        Ok(text) => Some(SourceFile::new(uses, text)),
        // The caller's line says that it is not there.
        Err(loopline_source::TreeError::NotFound) => None,
        Err(error) => {
            errors.push(format!("cannot read the called workflow `{uses}`: {error}"));
            None
        }
    }
}

/// Returns the workflows that `request` means, with their events.
pub(crate) fn workflows(found: &Found, request: &Request) -> Result<Vec<Selected>, CommandError> {
    let tree = FolderTree::new(&found.root)?;
    let paths = paths(&tree)?;
    if paths.is_empty() {
        return Err(CommandError::usage(format!(
            "there are no workflows in {}",
            found.root.join(".github/workflows").display()
        ))
        .hint("`loopline` shows what this repository holds"));
    }
    let source = action_source(&crate::commands::open::data_folder()?, request)?;
    let Some(wanted) = &request.workflow else {
        return triggered(found, request, &tree, &paths, &source);
    };
    let read = named(&tree, &paths, wanted, &source)?;
    let read = refuse_errors(&tree, read)?;
    Ok(vec![one(found, request, read, true)?])
}

/// Finds the workflow `wanted`: a path, a file's name with or without its extension, a `name:`.
fn named(
    tree: &FolderTree,
    paths: &[String],
    wanted: &str,
    source: &ActionSource,
) -> Result<Read, CommandError> {
    let trimmed = wanted.trim_start_matches("./");
    let by_file = paths.iter().find(|path| {
        let name = path.rsplit('/').next().unwrap_or(path);
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        path.as_str() == trimmed || name == trimmed || stem == trimmed
    });
    if let Some(path) = by_file {
        return read(tree, path, Some(source));
    }
    let mut names = Vec::new();
    for path in paths {
        let read = read(tree, path, Some(source))?;
        if let Some(name) = &read.workflow.name {
            if name.value.eq_ignore_ascii_case(wanted) {
                return Ok(read);
            }
            names.push(format!("{path} ({})", name.value));
        } else {
            names.push(path.clone());
        }
    }
    Err(CommandError::usage(format!("there is no workflow `{wanted}`"))
        .hint(format!("there are: {}", names.join(", "))))
}

/// Refuses a workflow with mistakes; the linter's words stand beside the reader's where it has
/// any for another place.
fn refuse_errors(tree: &FolderTree, read: Read) -> Result<Read, CommandError> {
    if read.errors.is_empty() {
        return Ok(read);
    }
    let mut findings: Vec<Diagnostic> = crate::commands::check::check_file(tree, &read.path)
        .into_iter()
        .filter(|finding| finding.severity == loopline_diagnostic::Severity::Error)
        .collect();
    let place = |found: &Diagnostic| {
        let file = &found.primary.file;
        (file.name().to_owned(), file.position(found.primary.span.start).line)
    };
    for error in read.errors {
        if findings.iter().all(|finding| place(finding) != place(&error)) {
            findings.push(error);
        }
    }
    Err(CommandError::usage(format!("{} cannot run: it has mistakes", read.path)).with(findings))
}

fn one(
    found: &Found,
    request: &Request,
    read: Read,
    named: bool,
) -> Result<Selected, CommandError> {
    let Read { path, workflow, .. } = read;
    let choice = choose(&workflow, &found.facts, request.event.as_deref())
        .map_err(|error| choice_error(&path, &error))?;
    let event = match &request.event_file {
        Some(file) => {
            let text = fs_err::read_to_string(file)?;
            Event::from_text(&choice.name, &text, &found.facts)
        }
        None => Event::synthesize(&choice.name, &found.facts, &BTreeMap::new(), None),
    };
    let event = event.map_err(|error| CommandError::usage(error.to_string()))?;
    let verdict = triggers(&workflow, &event);
    // A workflow that was named runs whatever its filters say, unless its event was named too.
    if !verdict.triggers && (!named || request.event.is_some()) {
        let place = verdict
            .place
            .as_ref()
            .map_or(path.clone(), |place| format!("{}:{}", place.file, place.line));
        return Err(CommandError::usage(format!(
            "`{}` does not start {path}: {} ({place})",
            choice.name, verdict.reason
        ))
        .hint(format!("`loopline run {path}` runs it whatever its filters say")));
    }
    let reason = if verdict.triggers { choice.reason } else { verdict.reason };
    Ok(Selected { path, workflow: Arc::new(workflow), event, reason })
}

fn choice_error(path: &str, error: &ChooseError) -> CommandError {
    CommandError::usage(format!("{path}: {error}"))
        .hint("`loopline run --list` shows what each workflow runs on")
}

/// Returns the workflows that the event starts.
fn triggered(
    found: &Found,
    request: &Request,
    tree: &FolderTree,
    paths: &[String],
    source: &ActionSource,
) -> Result<Vec<Selected>, CommandError> {
    let wanted = request.event.as_deref().unwrap_or("push");
    let mut selected = Vec::new();
    let mut refused = Vec::new();
    let mut others = Vec::new();
    for path in paths {
        let read = refuse_errors(tree, read(tree, path, Some(source))?)?;
        if read.workflow.event(wanted).is_none() {
            others.push(read);
            continue;
        }
        let request = Request { event: Some(wanted.to_owned()), ..request.clone() };
        match one(found, &request, read, false) {
            Ok(one) => selected.push(one),
            Err(error) => refused.push(error.message),
        }
    }
    if selected.is_empty() && refused.is_empty() && request.event.is_none() && others.len() == 1 {
        // The only workflow listens to something else: that is what was meant.
        let read = others.remove(0);
        return Ok(vec![one(found, request, read, true)?]);
    }
    if !selected.is_empty() {
        return Ok(selected);
    }
    let mut error = CommandError::usage(if refused.is_empty() {
        format!("no workflow runs on `{wanted}`")
    } else {
        refused.join("; ")
    });
    for read in &others {
        let events: Vec<&str> = read.workflow.on.iter().map(|event| &**event.name).collect();
        error = error.hint(format!("{} runs on {}", read.path, events.join(", ")));
    }
    let first = paths.first().map_or("WORKFLOW", String::as_str);
    Err(error.hint(format!("`loopline run {first}` runs a workflow whatever its filters say")))
}
