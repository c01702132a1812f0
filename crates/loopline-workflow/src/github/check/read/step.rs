//! One step, of a job or of a composite action.

use loopline_diagnostic::rule_set as rules;
use loopline_source::yaml::Node;

use super::reader::{CHOSEN, Entry, FIXED, Reader, Shape};
use crate::github::check::model::{Action, Named, Step};
use crate::github::check::text::Text;

/// How deep `parallel` groups are read; one level is all that GitHub accepts.
const MAX_PARALLEL_DEPTH: usize = 4;

const KEYS: &[&str] = &[
    "background",
    "cancel",
    "continue-on-error",
    "env",
    "id",
    "if",
    "name",
    "parallel",
    "run",
    "shell",
    "timeout-minutes",
    "uses",
    "wait",
    "wait-all",
    "with",
    "working-directory",
];

/// Reads `steps:`.
pub(crate) fn steps(reader: &mut Reader<'_, '_>, node: &Node) -> Vec<Step> {
    group(reader, node, "`steps`", 0)
}

fn group(reader: &mut Reader<'_, '_>, node: &Node, what: &str, depth: usize) -> Vec<Step> {
    if depth > MAX_PARALLEL_DEPTH {
        return Vec::new();
    }
    let items = reader.list(node, what, false).unwrap_or(&[]);
    items.iter().map(|item| step(reader, item, depth)).collect()
}

/// Which keys a kind of step takes, and what the kind is called.
fn kind(entries: &[Entry<'_>]) -> Option<(&'static str, &'static str, &'static [&'static str])> {
    let has = |key: &str| entries.iter().any(|entry| entry.id == key);
    if has("uses") {
        let keys = &[
            "background",
            "continue-on-error",
            "env",
            "id",
            "if",
            "name",
            "timeout-minutes",
            "uses",
            "with",
        ];
        Some(("uses", "a step that runs an action", keys))
    } else if has("run") {
        let keys = &[
            "background",
            "continue-on-error",
            "env",
            "id",
            "if",
            "name",
            "run",
            "shell",
            "timeout-minutes",
            "working-directory",
        ];
        Some(("run", "a step that runs a script", keys))
    } else if has("wait") || has("wait-all") {
        let keys = &["continue-on-error", "id", "name", "wait", "wait-all"];
        Some(("wait", "a step that waits", keys))
    } else if has("cancel") {
        Some(("cancel", "a step that cancels", &["cancel", "id", "name"]))
    } else if has("parallel") {
        Some(("parallel", "a group of parallel steps", &["parallel"]))
    } else {
        None
    }
}

fn step(reader: &mut Reader<'_, '_>, node: &Node, depth: usize) -> Step {
    let span = reader.place(node);
    let mut step = Step {
        id: None,
        name: None,
        condition: None,
        env: None,
        continue_on_error: None,
        timeout_minutes: None,
        background: None,
        action: Action::Unknown,
    };
    let entries = reader.mapping(node, "a step", FIXED);
    let Some((kind, what, known)) = kind(&entries) else {
        let nothing = entries.is_empty();
        let read = entries.iter().all(|entry| KEYS.contains(&&*entry.id));
        if !read {
            for entry in entries.iter().filter(|entry| !KEYS.contains(&&*entry.id)) {
                reader.unknown_key(&entry.key, "a step", KEYS);
            }
        }
        if !nothing || node.is_null() || node.as_mapping().is_none() {
            reader.missing(span, "run` or `uses", "a step");
        }
        for entry in &entries {
            common(reader, &mut step, entry);
        }
        return step;
    };
    let mut shell = None;
    let mut working_directory = None;
    let mut action = Action::Unknown;
    let mut with: Option<&Node> = None;
    for entry in &entries {
        if !known.contains(&&*entry.id) {
            reader.unknown_key(&entry.key, what, known);
        }
        match &*entry.id {
            "shell" => shell = Some(reader.filled(entry.value, "`shell`")),
            "working-directory" => {
                working_directory = Some(reader.filled(entry.value, "`working-directory`"));
            }
            "with" if kind == "uses" => with = Some(entry.value),
            "run" if kind == "run" => {
                let script = reader.filled(entry.value, "`run`");
                action = Action::Run { script, shell: None, working_directory: None };
            }
            "uses" if kind == "uses" => {
                let uses = reader.filled(entry.value, "`uses`");
                action = Action::Uses {
                    uses,
                    inputs: Vec::new(),
                    expression: None,
                    entrypoint: None,
                    args: None,
                };
            }
            "wait" if kind == "wait" => {
                let steps = reader.one_or_many(entry.value, "`wait`");
                action = Action::Wait { at: entry.key.span, steps };
            }
            "wait-all" if kind == "wait" => {
                let on = entry.value.is_null() || reader.literal_boolean(entry.value, "`wait-all`");
                if !on && entry.value.as_scalar().is_some() {
                    let what = "`wait-all` is `true` or nothing: leave the step out instead";
                    let span = reader.place(entry.value);
                    reader.findings.add(&rules::WORKFLOW_INVALID_VALUE, span, what);
                }
                action = Action::WaitAll { at: entry.key.span };
            }
            "cancel" if kind == "cancel" => {
                let step = reader.filled(entry.value, "`cancel`");
                action = Action::Cancel { at: entry.key.span, step };
            }
            "parallel" if kind == "parallel" => {
                let steps = group(reader, entry.value, "`parallel`", depth + 1);
                action = Action::Parallel { at: entry.key.span, steps };
            }
            _ => common(reader, &mut step, entry),
        }
    }
    match &mut action {
        Action::Run { shell: run_shell, working_directory: run_directory, .. } => {
            *run_shell = shell;
            *run_directory = working_directory;
        }
        Action::Uses { inputs, expression, entrypoint, args, .. } => {
            if let Some(with) = with {
                match reader.expression(with) {
                    Some(whole) => *expression = Some(whole),
                    None => *inputs = self::inputs(reader, with, entrypoint, args),
                }
            }
        }
        Action::Unknown
        | Action::Wait { .. }
        | Action::WaitAll { .. }
        | Action::Cancel { .. }
        | Action::Parallel { .. } => {}
    }
    step.action = action;
    step
}

/// Reads `with:`, the two inputs apart that a container's action always has.
fn inputs(
    reader: &mut Reader<'_, '_>,
    node: &Node,
    entrypoint: &mut Option<Text>,
    args: &mut Option<Text>,
) -> Vec<Named<Text>> {
    let mut inputs = Vec::new();
    for entry in reader.mapping(node, "`with`", Shape { ..CHOSEN }) {
        let value = reader.string(entry.value, &format!("`{}`", entry.key.value));
        match &*entry.id {
            "entrypoint" => *entrypoint = Some(value.clone()),
            "args" => *args = Some(value.clone()),
            _ => {}
        }
        inputs.push(Named { name: entry.key, value });
    }
    inputs
}

/// Reads the keys that most kinds of steps share.
fn common(reader: &mut Reader<'_, '_>, step: &mut Step, entry: &Entry<'_>) {
    let value = entry.value;
    match &*entry.id {
        "id" => step.id = Some(reader.filled(value, "`id`")),
        "name" => step.name = Some(reader.string(value, "`name`")),
        "if" => step.condition = Some(reader.filled(value, "`if`")),
        "env" => step.env = reader.environment(value),
        "continue-on-error" => {
            step.continue_on_error = reader.boolean(value, "`continue-on-error`");
        }
        "timeout-minutes" => {
            step.timeout_minutes = reader.positive(value, "`timeout-minutes`", false);
        }
        "background" => {
            let span = reader.place(value);
            step.background = reader.boolean(value, "`background`").map(|value| (span, value));
        }
        _ => {}
    }
}
