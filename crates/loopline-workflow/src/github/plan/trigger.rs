//! Whether an event starts a workflow, and which filter decided.

use loopline_source::Span;
use serde::Serialize;
use serde_json::Value as Json;

use crate::github::event::{Event, GitRef, NAMES};
use crate::github::filter::{Change, EventFilter, PatternList, Reason, Reference};
use crate::github::model::{EventConfig, Filters, Text, Workflow};
use crate::github::schedule::place_of;
use crate::run::Place;

/// Whether an event starts a workflow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Whether it does.
    pub triggers: bool,
    /// Why, naming the pattern that decided: a fragment without a full stop.
    pub reason: String,
    /// Where the pattern (or the event) stands.
    pub place: Option<Place>,
}

/// One entry of `on.schedule`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Schedule {
    /// The cron expression.
    pub cron: String,
    /// The time zone's name; UTC where absent.
    pub timezone: Option<String>,
    /// Where it stands.
    pub place: Place,
}

/// Returns the schedules of a workflow, in the order of the file.
pub fn schedules(workflow: &Workflow) -> Vec<Schedule> {
    let configs = workflow.on.iter().filter_map(|event| match &event.config {
        EventConfig::Schedule(schedules) => Some(schedules),
        _ => None,
    });
    configs
        .flatten()
        .map(|schedule| Schedule {
            cron: schedule.cron.to_string(),
            timezone: schedule.timezone.as_ref().map(|zone| zone.to_string()),
            place: place_of(&workflow.file, schedule.cron.span),
        })
        .collect()
}

/// Decides whether `event` starts `workflow`.
pub fn triggers(workflow: &Workflow, event: &Event) -> Verdict {
    let verdict = |triggers, reason: String, span: Option<Span>| Verdict {
        triggers,
        reason,
        place: span.map(|span| place_of(&workflow.file, span)),
    };
    let Some(found) = workflow.event(&event.name) else {
        return verdict(false, format!("`on` does not have `{}`", event.name), workflow.on_span);
    };
    let EventConfig::Filters(filters) = &found.config else {
        return verdict(true, format!("`on` has `{}`", event.name), Some(found.name.span));
    };
    let mut decided: Vec<(String, Span)> = Vec::new();
    for decide in [by_type, by_change, by_workflow] {
        match decide(filters, event) {
            Decision::Open => {}
            Decision::Accepts(reason, span) => decided.push((reason, span)),
            Decision::Rejects(reason, span) => {
                return verdict(false, reason, Some(span.unwrap_or(found.name.span)));
            }
        }
    }
    match decided.first() {
        None => verdict(
            true,
            format!("`on` has `{}` without filters", event.name),
            Some(found.name.span),
        ),
        Some((_, span)) => {
            let span = *span;
            let reasons: Vec<String> = decided.into_iter().map(|(reason, _)| reason).collect();
            verdict(true, reasons.join("; "), Some(span))
        }
    }
}

enum Decision {
    /// There is no such filter.
    Open,
    Accepts(String, Span),
    Rejects(String, Option<Span>),
}

fn by_type(filters: &Filters, event: &Event) -> Decision {
    let Some(action) = &event.action else { return Decision::Open };
    if let Some(types) = &filters.types {
        return match types.iter().find(|wanted| &*wanted.value == action.as_str()) {
            Some(wanted) => Decision::Accepts(format!("`types` has `{action}`"), wanted.span),
            None => Decision::Rejects(
                format!("`types` does not have `{action}`"),
                types.first().map(|it| it.span),
            ),
        };
    }
    let defaults =
        NAMES.iter().find(|(name, _)| *name == event.name).map_or(&[] as &[&str], |(_, it)| it);
    if defaults.is_empty() || defaults.contains(&action.as_str()) {
        return Decision::Open;
    }
    Decision::Rejects(
        format!("without `types`, `{}` does not start on `{action}`", event.name),
        None,
    )
}

fn by_change(filters: &Filters, event: &Event) -> Decision {
    let filter = match EventFilter::new(filters) {
        Ok(filter) => filter,
        Err(error) => return Decision::Rejects(error.to_string(), None),
    };
    let head = event.payload.pointer("/workflow_run/head_branch").and_then(Json::as_str);
    let git_ref = match head.filter(|_| event.name == "workflow_run") {
        Some(head) => GitRef::Branch(head.to_owned()),
        None => event.filtered_ref(),
    };
    let reference = match &git_ref {
        GitRef::Branch(name) => Reference::Branch(name),
        GitRef::Tag(name) => Reference::Tag(name),
    };
    let paths = event.changed_files.as_deref();
    let decision = filter.decide(Change { reference, paths });
    let mut reasons: Vec<String> = decision.reasons.iter().map(Reason::to_string).collect();
    let is_branch = matches!(git_ref, GitRef::Branch(_));
    let by_path = filters.paths.as_ref().or(filters.paths_ignore.as_ref());
    if let Some(patterns) = by_path
        && decision.runs
        && is_branch
        && paths.is_none()
    {
        reasons.push("which files changed is not known, so paths are not looked at".to_owned());
        if decision.reasons.is_empty() {
            return Decision::Accepts(reasons.join("; "), span_of(patterns, None));
        }
    }
    let deciding = decision.reasons.iter().find(|reason| reason.runs == decision.runs);
    let Some(reason) = deciding else { return Decision::Open };
    let lists = [
        (&filters.branches, "branches"),
        (&filters.branches_ignore, "branches-ignore"),
        (&filters.tags, "tags"),
        (&filters.tags_ignore, "tags-ignore"),
        (&filters.paths, "paths"),
        (&filters.paths_ignore, "paths-ignore"),
    ];
    let span = lists
        .iter()
        .find(|(_, key)| *key == reason.key.name())
        .and_then(|(texts, _)| texts.as_deref())
        .map(|texts| span_of(texts, reason.pattern.as_deref()));
    if decision.runs {
        Decision::Accepts(reasons.join("; "), span.unwrap_or_default())
    } else {
        Decision::Rejects(reason.to_string(), span)
    }
}

/// Returns where the last of `texts` that is `pattern` stands, or the first of all.
fn span_of(texts: &[Text], pattern: Option<&str>) -> Span {
    let found = texts.iter().rev().find(|text| Some(&*text.value) == pattern);
    found.or(texts.first()).map_or(Span::default(), |text| text.span)
}

/// Returns the patterns of all events that cannot be read, and why.
pub(super) fn broken_patterns(workflow: &Workflow) -> Vec<(Span, String)> {
    let mut broken = Vec::new();
    for event in &workflow.on {
        let EventConfig::Filters(filters) = &event.config else { continue };
        if let Err(error) = EventFilter::new(filters) {
            broken.push((event.name.span, error.to_string()));
        }
    }
    broken
}

fn by_workflow(filters: &Filters, event: &Event) -> Decision {
    let Some(workflows) = &filters.workflows else { return Decision::Open };
    let name = event.payload.pointer("/workflow_run/name").and_then(Json::as_str);
    // A run made up for trying the workflow stands for any that it waits for.
    let Some(name) = name else { return Decision::Open };
    let matches = PatternList::parse(workflows.iter().map(|text| &*text.value))
        .is_ok_and(|patterns| patterns.matches(name));
    let span = span_of(workflows, Some(name));
    if matches {
        Decision::Accepts(format!("`workflows` has `{name}`"), span)
    } else {
        Decision::Rejects(format!("`workflows` does not have `{name}`"), Some(span))
    }
}
