//! Concurrency groups in which a run waits for itself.

use loopline_diagnostic::rule_set as rules;
use loopline_source::yaml::{self, Limits, Node};
use loopline_source::{FileTree, SourceFile};

use crate::github::check::expression::Availability;
use crate::github::check::findings::Findings;
use crate::github::check::model::{Concurrency, Workflow};
use crate::github::check::text::Text;

pub(super) fn check(workflow: &Workflow, tree: &dyn FileTree, findings: &mut Findings<'_>) {
    let group = |concurrency: Option<&Concurrency>| {
        concurrency.and_then(|concurrency| concurrency.group.clone()).filter(|g| !g.is_empty())
    };
    let whole = group(workflow.concurrency.as_ref());
    for job in &workflow.jobs {
        let own = group(job.concurrency.as_ref());
        if let Some((own, whole)) = own.as_ref().zip(whole.as_ref())
            && same(&own.value, &whole.value)
            && reads_only(&whole.value, Availability::RUN_NAME.contexts)
        {
            report(own, Some(whole), "the whole run has a place in this group already", findings);
        }
        let Some(call) = &job.call else { continue };
        let Some(inner) = called_group(&call.uses.value, tree) else { continue };
        for held in own.iter().chain(whole.as_ref()) {
            // Other contexts than `github` may differ between the caller and what it calls.
            if same(&held.value, &inner) && reads_only(&inner, &["github"]) {
                let message = "the called workflow waits for the same group";
                report(&call.uses, Some(held), message, findings);
                break;
            }
        }
    }
}

fn report(at: &Text, other: Option<&Text>, message: &str, findings: &mut Findings<'_>) {
    let file = findings.file.clone();
    let message = format!("{message}, so the run waits for itself and GitHub cancels it");
    if let Some(found) = findings.add(&rules::CONCURRENCY, at.span, message) {
        found.hints.push("give one of the two another name of a group".to_owned());
        if let Some(other) = other {
            *found = found.clone().also(&file, other.span, "the same group");
        }
    }
}

/// Returns whether two groups are one: GitHub compares their names without case.
fn same(a: &str, b: &str) -> bool {
    let written = |text: &str| text.replace("${{ ", "${{").replace(" }}", "}}").to_lowercase();
    written(a) == written(b)
}

/// Returns whether every expression in `group` reads these contexts and no others. What is not
/// available there has no value, and is reported as such.
fn reads_only(group: &str, contexts: &[&str]) -> bool {
    const ALL: [&str; 11] = [
        "env", "github", "inputs", "job", "matrix", "needs", "runner", "secrets", "steps",
        "strategy", "vars",
    ];
    group.split("${{").skip(1).all(|part| {
        let inner = part.split("}}").next().unwrap_or_default().to_lowercase();
        let mut words = inner.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.'));
        words.all(|word| {
            let context = word.split('.').next().unwrap_or_default();
            !ALL.contains(&context) || contexts.contains(&context)
        })
    })
}

/// Returns the group of the workflow that a local `uses` calls.
fn called_group(uses: &str, tree: &dyn FileTree) -> Option<String> {
    let path = uses.strip_prefix("./")?;
    let file = SourceFile::new(path, tree.read(path).ok()?);
    let parsed = yaml::parse(&file, &Limits::default());
    let concurrency = parsed.documents.first()?.root.get("concurrency")?;
    let group = concurrency.get("group").unwrap_or(concurrency);
    Node::as_str(group).map(str::to_owned)
}
