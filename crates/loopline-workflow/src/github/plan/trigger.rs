//! Whether an event starts a workflow, and which filter decided.

use loopline_source::Span;
use serde::Serialize;

use super::glob;
use crate::github::event::{Event, GitRef, NAMES};
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
    for decide in [by_type, by_ref, by_path, by_workflow] {
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

fn by_ref(filters: &Filters, event: &Event) -> Decision {
    let has_branches = filters.branches.is_some() || filters.branches_ignore.is_some();
    let has_tags = filters.tags.is_some() || filters.tags_ignore.is_some();
    if event.name == "workflow_run" {
        let head =
            event.payload.pointer("/workflow_run/head_branch").and_then(serde_json::Value::as_str);
        return match (has_branches, head) {
            (true, Some(head)) => {
                names("branch", head, &filters.branches, &filters.branches_ignore)
            }
            _ => Decision::Open,
        };
    }
    match event.filtered_ref() {
        GitRef::Branch(name) if has_branches => {
            names("branch", &name, &filters.branches, &filters.branches_ignore)
        }
        GitRef::Tag(name) if has_tags => names("tag", &name, &filters.tags, &filters.tags_ignore),
        GitRef::Branch(name) if has_tags => {
            Decision::Rejects(format!("only tags are listed, and `{name}` is a branch"), None)
        }
        GitRef::Tag(name) if has_branches => {
            Decision::Rejects(format!("only branches are listed, and `{name}` is a tag"), None)
        }
        _ => Decision::Open,
    }
}

fn names(
    what: &str,
    name: &str,
    wanted: &Option<Vec<Text>>,
    ignored: &Option<Vec<Text>>,
) -> Decision {
    let plural = if what == "branch" { "branches" } else { "tags" };
    if let Some(wanted) = wanted {
        return match glob::last_match(wanted, name) {
            Some((pattern, true)) => Decision::Accepts(
                format!("`{plural}` matches `{name}` by `{}`", &*pattern.value),
                pattern.span,
            ),
            Some((pattern, false)) => Decision::Rejects(
                format!("`{plural}` excludes `{name}` by `{}`", &*pattern.value),
                Some(pattern.span),
            ),
            None => Decision::Rejects(
                format!("no pattern of `{plural}` matches `{name}`"),
                wanted.first().map(|it| it.span),
            ),
        };
    }
    let Some(ignored) = ignored else { return Decision::Open };
    match glob::last_match(ignored, name) {
        Some((pattern, true)) => Decision::Rejects(
            format!("`{plural}-ignore` matches `{name}` by `{}`", &*pattern.value),
            Some(pattern.span),
        ),
        _ => Decision::Accepts(
            format!("no pattern of `{plural}-ignore` matches `{name}`"),
            ignored.first().map_or(Span::default(), |it| it.span),
        ),
    }
}

fn by_path(filters: &Filters, event: &Event) -> Decision {
    let Some(patterns) = filters.paths.as_ref().or(filters.paths_ignore.as_ref()) else {
        return Decision::Open;
    };
    let first = patterns.first().map_or(Span::default(), |it| it.span);
    // GitHub does not look at paths when a tag is pushed.
    if matches!(event.filtered_ref(), GitRef::Tag(_)) {
        return Decision::Open;
    }
    let Some(changed) = &event.changed_files else {
        return Decision::Accepts(
            "which files changed is not known, so `paths` is not applied".to_owned(),
            first,
        );
    };
    if filters.paths.is_some() {
        for path in changed {
            if let Some((pattern, true)) = glob::last_match(patterns, path) {
                return Decision::Accepts(
                    format!("`paths` matches `{path}` by `{}`", &*pattern.value),
                    pattern.span,
                );
            }
        }
        return Decision::Rejects(
            format!("none of the {} changed files matches `paths`", changed.len()),
            Some(first),
        );
    }
    for path in changed {
        if !matches!(glob::last_match(patterns, path), Some((_, true))) {
            return Decision::Accepts(format!("`paths-ignore` does not match `{path}`"), first);
        }
    }
    Decision::Rejects(
        format!("`paths-ignore` matches all {} changed files", changed.len()),
        Some(first),
    )
}

fn by_workflow(filters: &Filters, event: &Event) -> Decision {
    let Some(workflows) = &filters.workflows else { return Decision::Open };
    let name = event.payload.pointer("/workflow_run/name").and_then(serde_json::Value::as_str);
    // A run made up for trying the workflow stands for any that it waits for.
    let Some(name) = name else { return Decision::Open };
    match glob::last_match(workflows, name) {
        Some((pattern, true)) => {
            Decision::Accepts(format!("`workflows` has `{name}`"), pattern.span)
        }
        _ => Decision::Rejects(
            format!("`workflows` does not have `{name}`"),
            workflows.first().map(|it| it.span),
        ),
    }
}
