//! Permissions of the job's token.

use loopline_diagnostic::rule_set as rules;

use crate::github::check::findings::{Findings, listed};
use crate::github::check::model::{Permissions, Workflow};

/// The scopes and what each can be set to.
const SCOPES: &[(&str, &[&str])] = &[
    ("actions", ANY),
    ("artifact-metadata", ANY),
    ("attestations", ANY),
    ("checks", ANY),
    ("contents", ANY),
    ("copilot-requests", &["write", "none"]),
    ("deployments", ANY),
    ("discussions", ANY),
    ("id-token", &["write", "none"]),
    ("issues", ANY),
    ("models", &["read", "none"]),
    ("packages", ANY),
    ("pages", ANY),
    ("pull-requests", ANY),
    ("repository-projects", ANY),
    ("security-events", ANY),
    ("statuses", ANY),
];
const ANY: &[&str] = &["read", "write", "none"];

pub(super) fn check(workflow: &Workflow, findings: &mut Findings<'_>) {
    one(workflow.permissions.as_ref(), findings);
    for job in &workflow.jobs {
        one(job.permissions.as_ref(), findings);
    }
}

fn one(permissions: Option<&Permissions>, findings: &mut Findings<'_>) {
    match permissions {
        None => {}
        Some(Permissions::All(all)) => {
            let known = ["read-all", "write-all"];
            if !known.contains(&&*all.value) && !all.is_empty() {
                let message = format!("permissions cannot be `{}`", all.value);
                findings.add_unknown(&rules::PERMISSIONS, all.span, message, &all.value, known);
            }
        }
        Some(Permissions::Scopes(scopes)) => {
            for scope in scopes {
                let (name, value) = (&scope.name, &scope.value);
                let Some((_, levels)) = SCOPES.iter().find(|(known, _)| **known == *name.value)
                else {
                    let message = format!("there is no permission `{}`", name.value);
                    let known = SCOPES.iter().map(|(name, _)| *name);
                    findings.add_unknown(
                        &rules::PERMISSIONS,
                        name.span,
                        message,
                        &name.value,
                        known,
                    );
                    continue;
                };
                if !levels.contains(&&*value.value) && !value.is_empty() {
                    let message = format!(
                        "`{}` can be {}, but is `{}`",
                        name.value,
                        listed(levels),
                        value.value
                    );
                    findings.add(&rules::PERMISSIONS, value.span, message);
                }
            }
        }
    }
}
