//! Conditions that are the same in every run.

use loopline_diagnostic::rule_set as rules;

use crate::github::check::expression::{is_constant, parse};
use crate::github::check::findings::Findings;
use crate::github::check::model::{Action, Step, Workflow};
use crate::github::check::text::Text;

pub(super) fn check(workflow: &Workflow, findings: &mut Findings<'_>) {
    for job in &workflow.jobs {
        condition(job.condition.as_ref(), findings);
        let snapshot = job.snapshot.as_ref().and_then(|snapshot| snapshot.condition.as_ref());
        condition(snapshot, findings);
        steps(&job.steps, findings);
    }
}

pub(super) fn steps(steps: &[Step], findings: &mut Findings<'_>) {
    for step in steps {
        condition(step.condition.as_ref(), findings);
        if let Action::Parallel { steps: inner, .. } = &step.action {
            self::steps(inner, findings);
        }
    }
}

fn condition(text: Option<&Text>, findings: &mut Findings<'_>) {
    let Some(text) = text else { return };
    let value = &*text.value;
    if text.has_expression() {
        let whole =
            value.starts_with("${{") && value.ends_with("}}") && value.matches("${{").count() == 1;
        if !whole {
            findings.add_hint(
                &rules::CONSTANT_CONDITION,
                text.span,
                "this condition is always true: text around `${{ }}` makes all of it a text",
                "write the whole condition without `${{ }}`",
            );
            return;
        }
    }
    let inner = value.strip_prefix("${{").unwrap_or(value);
    let bare = inner.len() == value.len();
    if let Ok((expression, _)) = parse(inner, bare)
        && is_constant(&expression)
    {
        findings.add_hint(
            &rules::CONSTANT_CONDITION,
            text.span,
            "this condition is the same in every run",
            "remove the `if`, or the part it decides about",
        );
    }
}
