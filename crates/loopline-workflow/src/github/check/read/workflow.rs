//! The top of a workflow, and the parts that it shares with jobs.

use loopline_diagnostic::rule_set as rules;
use loopline_source::Span;
use loopline_source::yaml::Node;

use super::reader::{CHOSEN, FIXED, Reader, Shape};
use super::{events, job};
use crate::github::check::findings::Findings;
use crate::github::check::model::{
    Call, Concurrency, Defaults, Event, Named, Permissions, Value, Workflow,
};
use crate::github::check::text::Text;

const KEYS: &[&str] = &[
    "concurrency",
    "defaults",
    "description",
    "env",
    "jobs",
    "name",
    "on",
    "permissions",
    "run-name",
];

/// Reads a workflow from its root.
pub(crate) fn workflow(root: &Node, findings: &mut Findings<'_>) -> Workflow {
    let mut reader = Reader { findings };
    let start = Span::at(0);
    if root.is_null() {
        let what = "the workflow is empty: it needs `on` and `jobs`";
        reader.findings.add(&rules::WORKFLOW_MISSING_KEY, start, what);
        return Workflow::default();
    }
    let mut workflow = Workflow::default();
    let (mut has_on, mut has_jobs) = (false, false);
    for entry in reader.mapping(root, "the workflow", FIXED) {
        match &*entry.id {
            "name" => workflow.name = Some(reader.string(entry.value, "`name`")),
            "description" => {
                reader.string(entry.value, "`description`");
            }
            "run-name" => workflow.run_name = Some(reader.filled(entry.value, "`run-name`")),
            "on" => {
                has_on = true;
                workflow.events = events::events(&mut reader, entry.value);
            }
            "permissions" => workflow.permissions = permissions(&mut reader, entry.value),
            "env" => workflow.env = reader.environment(entry.value),
            "defaults" => workflow.defaults = Some(defaults(&mut reader, entry.value)),
            "concurrency" => {
                workflow.concurrency = Some(concurrency(&mut reader, &entry.key, entry.value));
            }
            "jobs" => {
                has_jobs = true;
                for entry in reader.mapping(entry.value, "`jobs`", CHOSEN) {
                    workflow.jobs.push(job::job(&mut reader, entry));
                }
            }
            _ => reader.unknown_key(&entry.key, "the workflow", KEYS),
        }
    }
    if !has_on {
        reader.missing(start, "on", "the workflow");
    }
    if !has_jobs {
        reader.missing(start, "jobs", "the workflow");
    }
    workflow
}

/// Reads `permissions:`.
pub(super) fn permissions(reader: &mut Reader<'_, '_>, node: &Node) -> Option<Permissions> {
    if node.as_scalar().is_some() {
        return Some(Permissions::All(reader.filled(node, "`permissions`")));
    }
    let shape = Shape { may_be_empty: true, case_sensitive: true };
    let scopes = reader.mapping(node, "`permissions`", shape);
    let scopes = scopes
        .into_iter()
        .map(|entry| {
            let value = reader.filled(entry.value, &format!("`{}`", entry.key.value));
            Named { name: entry.key, value }
        })
        .collect();
    Some(Permissions::Scopes(scopes))
}

/// Reads `defaults:`.
pub(super) fn defaults(reader: &mut Reader<'_, '_>, node: &Node) -> Defaults {
    let mut defaults = Defaults::default();
    let mut has_run = false;
    for entry in reader.mapping(node, "`defaults`", FIXED) {
        if entry.id != "run" {
            reader.unknown_key(&entry.key, "`defaults`", &["run"]);
            continue;
        }
        has_run = true;
        for entry in reader.mapping(entry.value, "`run`", FIXED) {
            match &*entry.id {
                "shell" => defaults.shell = Some(reader.filled(entry.value, "`shell`")),
                "working-directory" => {
                    defaults.working_directory =
                        Some(reader.filled(entry.value, "`working-directory`"));
                }
                _ => reader.unknown_key(&entry.key, "`run`", &["shell", "working-directory"]),
            }
        }
    }
    if !has_run && node.as_mapping().is_some_and(|entries| !entries.is_empty()) {
        reader.missing(reader.place(node), "run", "`defaults`");
    }
    defaults
}

/// Reads `concurrency:`.
pub(super) fn concurrency(reader: &mut Reader<'_, '_>, key: &Text, node: &Node) -> Concurrency {
    const KEYS: &[&str] = &["cancel-in-progress", "group", "queue"];
    let mut concurrency = Concurrency::default();
    if node.as_scalar().is_some() {
        concurrency.group = Some(reader.filled(node, "`concurrency`"));
        return concurrency;
    }
    let mut has_group = false;
    for entry in reader.mapping(node, "`concurrency`", FIXED) {
        match &*entry.id {
            "group" => {
                has_group = true;
                concurrency.group = Some(reader.filled(entry.value, "`group`"));
            }
            "cancel-in-progress" => {
                concurrency.cancel_in_progress =
                    reader.boolean(entry.value, "`cancel-in-progress`");
            }
            "queue" => {
                let text = reader.filled(entry.value, "`queue`");
                reader.choice(&text, "`queue`", &["single", "max"]);
                concurrency.queue = Some(text);
            }
            _ => reader.unknown_key(&entry.key, "`concurrency`", KEYS),
        }
    }
    if !has_group {
        reader.missing(key.span, "group", "`concurrency`");
    }
    if let Some(queue) = concurrency.queue.as_ref().filter(|queue| &*queue.value == "max")
        && matches!(concurrency.cancel_in_progress, Some(Value::Literal(true)))
    {
        reader.findings.add_hint(
            &rules::WORKFLOW_INVALID_VALUE,
            queue.span,
            "`queue: max` cannot stand beside `cancel-in-progress: true`",
            "runs either wait in a queue or end the one before them: remove one of the two keys",
        );
    }
    concurrency
}

/// Returns what a workflow takes and gives when it is called; `None` if it cannot be called.
pub(crate) fn called(root: &Node, findings: &mut Findings<'_>) -> Option<Call> {
    let mut reader = Reader { findings };
    let on = root.get("on")?;
    let events = events::events(&mut reader, on);
    events.into_iter().find_map(|event| match event {
        Event::Call(call) => Some(call),
        Event::Webhook(_)
        | Event::Schedule(_)
        | Event::Dispatch { .. }
        | Event::RepositoryDispatch
        | Event::ImageVersion { .. } => None,
    })
}
