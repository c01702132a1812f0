//! Calls of workflows: the form of the reference, and the inputs and secrets given.

use loopline_diagnostic::rule_set as rules;
use loopline_source::yaml::{self, Limits};
use loopline_source::{FileTree, SourceFile};

use crate::github::check::findings::Findings;
use crate::github::check::model::{Call, InputType, JobCall, Named, Workflow};
use crate::github::check::read::called;
use crate::github::check::text::{Tag, Text, tag};

/// Where workflows are.
const FOLDER: &str = ".github/workflows";

pub(super) fn check(workflow: &Workflow, tree: &dyn FileTree, findings: &mut Findings<'_>) {
    for job in &workflow.jobs {
        if let Some(call) = &job.call
            && !call.uses.is_empty()
            && !call.uses.has_expression()
        {
            one(call, tree, findings);
        }
    }
}

fn one(call: &JobCall, tree: &dyn FileTree, findings: &mut Findings<'_>) {
    let uses = &call.uses;
    let rule = &rules::REUSABLE_WORKFLOW;
    if !well_formed(&uses.value) {
        findings.add_hint(
            rule,
            uses.span,
            format!("`{}` does not name a workflow", uses.value),
            "write `owner/repository/.github/workflows/file.yml@ref`, or \
             `./.github/workflows/file.yml` for one in this repository",
        );
        return;
    }
    if !uses.value.starts_with("./") {
        return;
    }
    let Some(found) = local(&uses.value, tree) else {
        // A file that is checked alone has no repository to look into.
        if tree.list(FOLDER).is_ok_and(|files| !files.is_empty()) {
            let message = format!("there is no workflow at `{}`", uses.value);
            findings.add(rule, uses.span, message);
        }
        return;
    };
    let Some(interface) = found else {
        findings.add_hint(
            rule,
            uses.span,
            format!("`{}` cannot be called", uses.value),
            "it needs the event `workflow_call`",
        );
        return;
    };
    inputs(call, &interface, findings);
    secrets(call, &interface, findings);
}

fn well_formed(uses: &str) -> bool {
    if let Some(path) = uses.strip_prefix("./") {
        return !path.is_empty() && !path.contains('@');
    }
    let Some((path, reference)) = uses.rsplit_once('@') else { return false };
    let parts: Vec<&str> = path.splitn(3, '/').collect();
    parts.len() == 3 && parts.iter().all(|part| !part.is_empty()) && !reference.is_empty()
}

/// Returns what the workflow at `uses` takes and gives: nothing if it is not there, and an inner
/// nothing if it cannot be called.
pub(super) fn local(uses: &str, tree: &dyn FileTree) -> Option<Option<Call>> {
    let path = uses.strip_prefix("./")?;
    let file = SourceFile::new(path, tree.read(path).ok()?);
    let parsed = yaml::parse(&file, &Limits::default());
    let root = &parsed.documents.first()?.root;
    Some(called(root, &mut Findings::new(&file)))
}

fn inputs(call: &JobCall, interface: &Call, findings: &mut Findings<'_>) {
    let rule = &rules::REUSABLE_WORKFLOW;
    let given = |name: &Text| call.inputs.iter().any(|given| given.name.lower() == name.lower());
    for input in &interface.inputs {
        if input.required && input.default.is_none() && !given(&input.name) {
            let message =
                format!("`{}` requires the input `{}`", call.uses.value, input.name.value);
            findings.add(rule, call.uses.span, message);
        }
    }
    for Named { name, value } in &call.inputs {
        let Some(input) = interface.inputs.iter().find(|i| i.name.lower() == name.lower()) else {
            let message = format!("`{}` has no input `{}`", call.uses.value, name.value);
            let known = interface.inputs.iter().map(|input| &*input.name.value);
            findings.add_unknown(rule, name.span, message, &name.value, known);
            continue;
        };
        // What an expression gives is checked with the other expressions.
        if !value.has_expression() && !literal_fits(value, input.kind) {
            let message = format!("the input `{}` takes another type of value", name.value);
            findings.add_hint(
                &rules::EXPRESSION_TYPE,
                value.span,
                message,
                format!("`{}` is declared as {}", name.value, kind_name(input.kind)),
            );
        }
    }
}

fn kind_name(kind: InputType) -> &'static str {
    match kind {
        InputType::Number => "a number",
        InputType::Boolean => "a boolean",
        InputType::Unknown | InputType::String | InputType::Choice | InputType::Environment => {
            "a string"
        }
    }
}

fn literal_fits(value: &Text, kind: InputType) -> bool {
    let tag = tag(&value.node);
    match kind {
        InputType::Unknown => true,
        InputType::Number => matches!(tag, Tag::Integer | Tag::Float),
        InputType::Boolean => tag == Tag::Bool,
        InputType::String | InputType::Choice | InputType::Environment => {
            matches!(tag, Tag::String | Tag::Integer | Tag::Float)
        }
    }
}

fn secrets(call: &JobCall, interface: &Call, findings: &mut Findings<'_>) {
    if call.inherits_secrets {
        return;
    }
    let rule = &rules::REUSABLE_WORKFLOW;
    let declared = interface.secrets.as_deref().unwrap_or(&[]);
    for secret in declared {
        let given = call.secrets.iter().any(|given| given.name.lower() == secret.name.lower());
        if secret.required && !given {
            let message =
                format!("`{}` requires the secret `{}`", call.uses.value, secret.name.value);
            findings.add(rule, call.uses.span, message);
        }
    }
    for Named { name, .. } in &call.secrets {
        if !declared.iter().any(|secret| secret.name.lower() == name.lower()) {
            let message = format!("`{}` has no secret `{}`", call.uses.value, name.value);
            let known = declared.iter().map(|secret| &*secret.name.value);
            findings.add_unknown(rule, name.span, message, &name.value, known);
        }
    }
}
