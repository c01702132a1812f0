//! Steps in the background, and the steps that wait for them.

use std::collections::HashSet;

use loopline_diagnostic::rule_set as rules;

use crate::github::check::findings::Findings;
use crate::github::check::model::{Action, Step, Value, Workflow};
use crate::github::check::text::Text;

pub(super) fn check(workflow: &Workflow, findings: &mut Findings<'_>) {
    for job in &workflow.jobs {
        steps(&job.steps, findings);
    }
}

pub(super) fn steps(steps: &[Step], findings: &mut Findings<'_>) {
    let mut background = HashSet::new();
    for step in steps {
        match &step.action {
            Action::Wait { steps, .. } => {
                for name in steps {
                    reference(name, &background, findings);
                }
            }
            Action::Cancel { step, .. } => reference(step, &background, findings),
            Action::Parallel { steps, .. } => group(steps, findings),
            Action::Unknown | Action::Run { .. } | Action::Uses { .. } | Action::WaitAll { .. } => {
            }
        }
        let started =
            matches!(step.background, Some((_, Value::Literal(true) | Value::Expression(_))));
        if let Some(id) = &step.id
            && started
        {
            background.insert(id.lower());
        }
    }
}

fn reference(name: &Text, background: &HashSet<String>, findings: &mut Findings<'_>) {
    if name.is_empty() || name.has_expression() || background.contains(&name.lower()) {
        return;
    }
    let known: Vec<&str> = background.iter().map(String::as_str).collect();
    let message = format!("no earlier step with `background: true` has the id `{}`", name.value);
    findings.add_unknown(&rules::PARALLEL_STEPS, name.span, message, &name.value, known);
}

fn group(steps: &[Step], findings: &mut Findings<'_>) {
    for step in steps {
        let (at, what) = match &step.action {
            Action::Wait { at, .. } | Action::WaitAll { at } => (*at, "`wait`"),
            Action::Cancel { at, .. } => (*at, "`cancel`"),
            Action::Parallel { at, .. } => (*at, "another `parallel`"),
            Action::Unknown | Action::Run { .. } | Action::Uses { .. } => {
                if let Some((at, _)) = step.background {
                    findings.add(
                        &rules::PARALLEL_STEPS,
                        at,
                        "steps in `parallel` run in the background already",
                    );
                }
                continue;
            }
        };
        findings.add(&rules::PARALLEL_STEPS, at, format!("{what} cannot stand in `parallel`"));
    }
}
