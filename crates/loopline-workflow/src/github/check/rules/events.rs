//! Events: their names, activity types, filters and inputs.

use std::collections::HashSet;

use loopline_diagnostic::rule_set as rules;

use super::webhooks::{FILTERS, WEBHOOKS};
use crate::github::check::findings::{Findings, listed};
use crate::github::check::model::{Call, DispatchInput, Event, InputType, Webhook, Workflow};
use crate::github::check::text::Text;

/// The number of inputs that `workflow_dispatch` takes.
const MAX_DISPATCH_INPUTS: usize = 25;

pub(super) fn check(workflow: &Workflow, findings: &mut Findings<'_>) {
    for event in &workflow.events {
        match event {
            Event::Webhook(event) => webhook(event, findings),
            Event::Dispatch { name, inputs } => {
                if inputs.len() > MAX_DISPATCH_INPUTS {
                    let message = format!(
                        "`workflow_dispatch` takes {MAX_DISPATCH_INPUTS} inputs, but has {}",
                        inputs.len()
                    );
                    findings.add(&rules::WORKFLOW_EVENT, name.span, message);
                }
                for input in inputs {
                    dispatch_input(input, findings);
                }
            }
            Event::Call(event) => call(event, findings),
            Event::Schedule(_) | Event::RepositoryDispatch | Event::ImageVersion { .. } => {}
        }
    }
}

fn webhook(event: &Webhook, findings: &mut Findings<'_>) {
    let name = &event.name;
    let rule = &rules::WORKFLOW_EVENT;
    let Some((_, types)) = WEBHOOKS.iter().find(|(known, _)| **known == *name.value) else {
        let known = WEBHOOKS.iter().map(|(name, _)| *name).chain([
            "repository_dispatch",
            "schedule",
            "workflow_call",
            "workflow_dispatch",
        ]);
        let message = format!("there is no event `{}`", name.value);
        findings.add_unknown(rule, name.span, message, &name.value, known);
        return;
    };
    if let Some(given) = &event.types {
        if types.is_empty() {
            let message = format!("`{}` has no activity types", name.value);
            findings.add(rule, name.span, message);
        }
        for kind in given.iter().filter(|kind| !types.is_empty() && !types.contains(&&*kind.value))
        {
            let message = format!("`{}` has no activity type `{}`", name.value, kind.value);
            findings.add_unknown(rule, kind.span, message, &kind.value, types.iter().copied());
        }
    }
    let is_run = &*name.value == "workflow_run";
    match &event.workflows {
        Some(_) if !is_run => {
            let message = format!("`workflows` is for `workflow_run`, not for `{}`", name.value);
            findings.add(rule, name.span, message);
        }
        None if is_run => {
            findings.add(rule, name.span, "`workflow_run` needs `workflows`");
        }
        Some(workflows) if workflows.is_empty() => {
            findings.add(rule, name.span, "`workflow_run` needs `workflows`");
        }
        Some(_) | None => {}
    }
    filters(event, findings);
}

fn filters(event: &Webhook, findings: &mut Findings<'_>) {
    let name = &event.name;
    for filter in &event.filters {
        let key = &*filter.name.value;
        let events = FILTERS.iter().find(|(known, _)| *known == key).map_or(&[][..], |(_, e)| e);
        if !events.contains(&&*name.value) {
            let message = format!("`{key}` is not a filter of `{}`", name.value);
            let hint = format!("only {} can be filtered by it", listed(events));
            findings.add_hint(&rules::WORKFLOW_EVENT, filter.name.span, message, hint);
            continue;
        }
        let twin =
            key.strip_suffix("-ignore").map_or_else(|| format!("{key}-ignore"), str::to_owned);
        let earlier = event.filters.iter().find(|other| {
            *other.name.value == *twin && other.name.span.start < filter.name.span.start
        });
        if earlier.is_some() {
            findings.add_hint(
                &rules::WORKFLOW_EVENT,
                filter.name.span,
                format!("`{key}` and `{twin}` cannot be used together"),
                "use one of them; a pattern that starts with `!` takes matches away again",
            );
        }
    }
}

fn dispatch_input(input: &DispatchInput, findings: &mut Findings<'_>) {
    let rule = &rules::WORKFLOW_EVENT;
    let name = &input.name;
    if input.kind == InputType::Choice {
        if input.options.is_empty() {
            let message = format!("input `{}` is a choice, but has no `options`", name.value);
            findings.add(rule, name.span, message);
            return;
        }
        let mut seen = HashSet::new();
        for option in &input.options {
            if !seen.insert(&*option.value) {
                let message = format!("option `{}` appears twice", option.value);
                findings.add(rule, option.span, message);
            }
        }
        if let Some(default) = &input.default
            && !seen.contains(&*default.value)
        {
            let message = format!("the default `{}` is not one of the options", default.value);
            let known = input.options.iter().map(|option| &*option.value);
            findings.add_unknown(rule, default.span, message, &default.value, known);
        }
        return;
    }
    if !input.options.is_empty() {
        let message = format!("input `{}` has `options`, but is not a choice", name.value);
        findings.add_hint(rule, name.span, message, "write `type: choice`");
    }
    default_fits(input.kind, input.default.as_ref(), findings);
}

fn default_fits(kind: InputType, default: Option<&Text>, findings: &mut Findings<'_>) {
    let Some(default) = default.filter(|default| !default.has_expression()) else { return };
    let rule = &rules::WORKFLOW_EVENT;
    let value = &*default.value;
    match kind {
        InputType::Boolean if !matches!(value, "true" | "false") => {
            let message = format!("the default of a boolean is `true` or `false`, not `{value}`");
            findings.add(rule, default.span, message);
        }
        InputType::Number if value.parse::<f64>().is_err() => {
            let message = format!("the default of a number must be a number, not `{value}`");
            findings.add(rule, default.span, message);
        }
        _ => {}
    }
}

fn call(event: &Call, findings: &mut Findings<'_>) {
    for input in &event.inputs {
        default_fits(input.kind, input.default.as_ref(), findings);
        if let Some(default) = &input.default
            && input.required
        {
            let message =
                format!("input `{}` is required, so its default is never used", input.name.value);
            findings.add(&rules::WORKFLOW_EVENT, default.span, message);
        }
    }
}
