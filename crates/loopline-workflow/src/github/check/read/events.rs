//! `on:`: what starts the workflow, with its filters and inputs.

use loopline_diagnostic::rule_set as rules;
use loopline_source::yaml::Node;

use super::reader::{CHOSEN, Entry, FIXED, Reader, Shape};
use crate::github::check::model::{
    Call, CallInput, CallOutput, CallSecret, DispatchInput, Event, InputType, Named, Schedule,
    Webhook,
};
use crate::github::check::text::Text;

const FILTERS: &[&str] =
    &["branches", "branches-ignore", "paths", "paths-ignore", "tags", "tags-ignore"];
const OPTIONAL: Shape = Shape { may_be_empty: true, case_sensitive: true };

pub(super) fn events(reader: &mut Reader<'_, '_>, node: &Node) -> Vec<Event> {
    if node.as_scalar().is_some() {
        let name = reader.filled(node, "`on`");
        return by_name(reader, name).into_iter().collect();
    }
    if let Some(items) = node.as_sequence() {
        if items.is_empty() {
            reader.empty(reader.place(node), "`on`");
        }
        return items
            .iter()
            .filter_map(|item| {
                let name = reader.filled(item, "an event");
                by_name(reader, name)
            })
            .collect();
    }
    let entries = reader.mapping(node, "`on`", FIXED);
    entries.into_iter().filter_map(|entry| event(reader, entry)).collect()
}

/// Returns the event that is given by nothing but its name.
fn by_name(reader: &mut Reader<'_, '_>, name: Text) -> Option<Event> {
    Some(match &*name.value {
        "" => return None,
        "schedule" => {
            let what = "`schedule` needs a list of `cron` entries";
            reader.findings.add(&rules::WORKFLOW_MISSING_KEY, name.span, what);
            return None;
        }
        "workflow_dispatch" => Event::Dispatch { name, inputs: Vec::new() },
        "repository_dispatch" => Event::RepositoryDispatch,
        "workflow_call" => Event::Call(Call::default()),
        _ => Event::Webhook(Webhook { name, types: None, workflows: None, filters: Vec::new() }),
    })
}

fn event(reader: &mut Reader<'_, '_>, entry: Entry<'_>) -> Option<Event> {
    Some(match &*entry.id {
        "schedule" => schedule(reader, entry.value),
        "workflow_dispatch" => dispatch(reader, entry),
        "repository_dispatch" => {
            for entry in reader.mapping(entry.value, "`repository_dispatch`", OPTIONAL) {
                if entry.id == "types" {
                    reader.one_or_many(entry.value, "`types`");
                } else {
                    reader.unknown_key(&entry.key, "`repository_dispatch`", &["types"]);
                }
            }
            Event::RepositoryDispatch
        }
        "workflow_call" => Event::Call(call(reader, entry.value)),
        "image_version" => image_version(reader, entry.value),
        _ => webhook(reader, entry),
    })
}

fn webhook(reader: &mut Reader<'_, '_>, entry: Entry<'_>) -> Event {
    let what = format!("`{}`", entry.key.value);
    let mut webhook =
        Webhook { name: entry.key, types: None, workflows: None, filters: Vec::new() };
    for entry in reader.mapping(entry.value, &what, OPTIONAL) {
        let name = format!("`{}`", entry.key.value);
        match &*entry.id {
            "types" => webhook.types = Some(reader.one_or_many(entry.value, &name)),
            "workflows" => webhook.workflows = Some(reader.one_or_many(entry.value, &name)),
            filter if FILTERS.contains(&filter) => {
                let value = reader.one_or_many(entry.value, &name);
                webhook.filters.push(Named { name: entry.key, value });
            }
            _ => {
                let known: Vec<_> = FILTERS.iter().copied().chain(["types", "workflows"]).collect();
                reader.unknown_key(&entry.key, &what, &known);
            }
        }
    }
    Event::Webhook(webhook)
}

fn image_version(reader: &mut Reader<'_, '_>, node: &Node) -> Event {
    let (mut names, mut versions) = (Vec::new(), Vec::new());
    for entry in reader.mapping(node, "`image_version`", OPTIONAL) {
        match &*entry.id {
            "names" => names = reader.one_or_many(entry.value, "`names`"),
            "versions" => versions = reader.one_or_many(entry.value, "`versions`"),
            _ => reader.unknown_key(&entry.key, "`image_version`", &["names", "versions"]),
        }
    }
    Event::ImageVersion { names, versions }
}

fn schedule(reader: &mut Reader<'_, '_>, node: &Node) -> Event {
    let items = reader.list(node, "`schedule`", false).unwrap_or(&[]);
    let schedules = items
        .iter()
        .map(|item| {
            let mut schedule = Schedule { cron: None, timezone: None };
            let mut has_cron = false;
            let entries = reader.mapping(item, "an entry of `schedule`", FIXED);
            let filled = !entries.is_empty();
            for entry in entries {
                match &*entry.id {
                    "cron" => {
                        has_cron = true;
                        schedule.cron = Some(reader.filled(entry.value, "`cron`"));
                    }
                    "timezone" => {
                        schedule.timezone = Some(reader.filled(entry.value, "`timezone`"));
                    }
                    _ => reader.unknown_key(
                        &entry.key,
                        "an entry of `schedule`",
                        &["cron", "timezone"],
                    ),
                }
            }
            if filled && !has_cron {
                reader.missing(reader.place(item), "cron", "an entry of `schedule`");
            }
            schedule
        })
        .collect();
    Event::Schedule(schedules)
}

fn dispatch(reader: &mut Reader<'_, '_>, event: Entry<'_>) -> Event {
    let mut inputs = Vec::new();
    for entry in reader.mapping(event.value, "`workflow_dispatch`", OPTIONAL) {
        if entry.id != "inputs" {
            reader.unknown_key(&entry.key, "`workflow_dispatch`", &["inputs"]);
            continue;
        }
        let shape = Shape { may_be_empty: true, ..CHOSEN };
        for entry in reader.mapping(entry.value, "`inputs`", shape) {
            inputs.push(dispatch_input(reader, entry));
        }
    }
    Event::Dispatch { name: event.key, inputs }
}

fn dispatch_input(reader: &mut Reader<'_, '_>, entry: Entry<'_>) -> DispatchInput {
    const KEYS: &[&str] = &["default", "description", "options", "required", "type"];
    const TYPES: &[&str] = &["string", "number", "boolean", "choice", "environment"];
    let mut input = DispatchInput {
        name: entry.key,
        default: None,
        kind: InputType::Unknown,
        options: Vec::new(),
    };
    for entry in reader.mapping(entry.value, "an input", OPTIONAL) {
        match &*entry.id {
            "description" => {
                reader.string(entry.value, "`description`");
            }
            "required" => {
                reader.literal_boolean(entry.value, "`required`");
            }
            "default" => input.default = Some(reader.string(entry.value, "`default`")),
            "type" => {
                let text = reader.filled(entry.value, "`type`");
                input.kind = input_type(&text);
                if !text.is_empty() {
                    reader.choice(&text, "the type of an input", TYPES);
                }
            }
            "options" => {
                let items = reader.list(entry.value, "`options`", false).unwrap_or(&[]);
                input.options = items.iter().map(|item| reader.string(item, "an option")).collect();
            }
            _ => reader.unknown_key(&entry.key, "an input of `workflow_dispatch`", KEYS),
        }
    }
    input
}

fn input_type(text: &Text) -> InputType {
    match &*text.value {
        "string" => InputType::String,
        "number" => InputType::Number,
        "boolean" => InputType::Boolean,
        "choice" => InputType::Choice,
        "environment" => InputType::Environment,
        _ => InputType::Unknown,
    }
}

/// Reads `on.workflow_call`, here or in a called workflow.
pub(crate) fn call(reader: &mut Reader<'_, '_>, node: &Node) -> Call {
    let mut call = Call::default();
    let shape = Shape { may_be_empty: true, ..CHOSEN };
    for entry in reader.mapping(node, "`workflow_call`", OPTIONAL) {
        match &*entry.id {
            "inputs" => {
                for entry in reader.mapping(entry.value, "`inputs`", shape) {
                    call.inputs.push(call_input(reader, entry));
                }
            }
            "secrets" => {
                let mut secrets = Vec::new();
                for entry in reader.mapping(entry.value, "`secrets`", shape) {
                    secrets.push(call_secret(reader, entry));
                }
                call.secrets = Some(secrets);
            }
            "outputs" => {
                for entry in reader.mapping(entry.value, "`outputs`", shape) {
                    call.outputs.push(call_output(reader, entry));
                }
            }
            _ => {
                reader.unknown_key(&entry.key, "`workflow_call`", &["inputs", "outputs", "secrets"])
            }
        }
    }
    call
}

fn call_input(reader: &mut Reader<'_, '_>, entry: Entry<'_>) -> CallInput {
    const KEYS: &[&str] = &["default", "description", "required", "type"];
    const TYPES: &[&str] = &["boolean", "number", "string"];
    let mut input =
        CallInput { name: entry.key, kind: InputType::Unknown, required: false, default: None };
    let mut has_type = false;
    for entry in reader.mapping(entry.value, "an input", OPTIONAL) {
        match &*entry.id {
            "description" => {
                reader.string(entry.value, "`description`");
            }
            "required" => {
                input.required = reader.literal_boolean(entry.value, "`required`");
            }
            "default" => input.default = Some(reader.string(entry.value, "`default`")),
            "type" => {
                has_type = true;
                let text = reader.string(entry.value, "`type`");
                reader.choice(&text, "the type of an input", TYPES);
                if TYPES.contains(&&*text.value) {
                    input.kind = input_type(&text);
                }
            }
            _ => reader.unknown_key(&entry.key, "an input of `workflow_call`", KEYS),
        }
    }
    if !has_type {
        let of = format!("input `{}` of `workflow_call`", input.name.value);
        reader.missing(input.name.span, "type", &of);
    }
    input
}

fn call_secret(reader: &mut Reader<'_, '_>, entry: Entry<'_>) -> CallSecret {
    let mut secret = CallSecret { name: entry.key, required: false };
    for entry in reader.mapping(entry.value, "a secret", OPTIONAL) {
        match &*entry.id {
            "description" => {
                reader.string(entry.value, "`description`");
            }
            "required" => {
                secret.required = reader.literal_boolean(entry.value, "`required`");
            }
            _ => reader.unknown_key(&entry.key, "a secret", &["description", "required"]),
        }
    }
    secret
}

fn call_output(reader: &mut Reader<'_, '_>, entry: Entry<'_>) -> CallOutput {
    let mut output = CallOutput { name: entry.key, value: None };
    for entry in reader.mapping(entry.value, "an output", OPTIONAL) {
        match &*entry.id {
            "description" => {
                reader.string(entry.value, "`description`");
            }
            "value" => output.value = Some(reader.filled(entry.value, "`value`")),
            _ => reader.unknown_key(
                &entry.key,
                "an output of `workflow_call`",
                &["description", "value"],
            ),
        }
    }
    if output.value.is_none() {
        let of = format!("output `{}` of `workflow_call`", output.name.value);
        reader.missing(output.name.span, "value", &of);
    }
    output
}
