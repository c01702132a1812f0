//! What of a job this machine cannot do: found while planning, so that the run stops before its
//! first step.

use loopline_diagnostic::{Diagnostic, Severity, rule_set};
use loopline_source::{SourceFile, Span};

use super::settings::Settings;
use crate::github::model::{OrdinaryJob, Step, StepKind, Text, UsesRef};
use crate::github::schedule::{EvaluationError, RunsOn};
use crate::github::template::Token;

/// How many steps a group of parallel steps may be nested; the reader allows one level.
const MAX_STEP_DEPTH: usize = 4;

/// Returns the finding for an expression that fails whatever happens before it.
pub(super) fn broken(file: &SourceFile, error: &EvaluationError, what: &str) -> Diagnostic {
    let message = format!("{what} cannot be evaluated: {error}");
    Diagnostic::new(&rule_set::PLAN_EXPRESSION, file, error.span, message)
}

/// Reports what a job needs that is not there, and what it has that cannot be honoured.
pub(super) fn job(
    file: &SourceFile,
    id: &Text,
    job: &OrdinaryJob,
    settings: &Settings,
    findings: &mut Vec<Diagnostic>,
) {
    if job.steps.is_empty() {
        let message =
            format!("job `{}` has no steps: it would be green without doing anything", &*id.value);
        findings.push(Diagnostic::new(&rule_set::WORKFLOW_MISSING_KEY, file, id.span, message));
    }
    if !settings.has_image_engine {
        let container = job.container.as_ref().filter(|token| !token.is_null());
        if let Some(token) = container {
            findings.push(engine(file, token.span, "`container` runs the job in an image"));
        }
        let services = job.services.as_ref().and_then(Token::as_mapping).unwrap_or_default();
        for service in services {
            let name = service.key.as_str().unwrap_or("?");
            let what = format!("the service `{name}` is a container");
            findings.push(engine(file, service.key.span, &what));
        }
        if services.is_empty()
            && let Some(token) = job.services.as_ref().filter(|token| token.is_expression())
        {
            findings.push(engine(file, token.span, "`services` are containers"));
        }
        steps(file, &job.steps, 0, findings);
    }
    if let Some(token) = &job.snapshot {
        let mut finding = Diagnostic::new(
            &rule_set::UNSUPPORTED_KEY,
            file,
            token.span,
            "`snapshot` makes an image of the runner, which this machine cannot",
        );
        if !settings.strict {
            finding.severity = Severity::Warning;
        }
        findings.push(finding);
    }
}

fn steps(file: &SourceFile, all: &[Step], depth: usize, findings: &mut Vec<Diagnostic>) {
    for step in all {
        match &step.kind {
            StepKind::Uses { uses, .. } => {
                if let Some(UsesRef::Docker(image)) = UsesRef::parse(uses) {
                    let what = format!("the step runs the image `{image}`");
                    findings.push(engine(file, uses.span, &what));
                }
            }
            StepKind::Parallel(inner) if depth < MAX_STEP_DEPTH => {
                steps(file, inner, depth + 1, findings)
            }
            _ => {}
        }
    }
}

fn engine(file: &SourceFile, span: Span, what: &str) -> Diagnostic {
    let message = format!("{what}, and there is no image engine yet");
    Diagnostic::new(&rule_set::IMAGE_ENGINE, file, span, message)
        .hint("run the jobs that need no container: `loopline run -j JOB`")
}

/// Reports a runner this machine is not; returns whether it reported one.
pub(super) fn runner(
    file: &SourceFile,
    span: Span,
    id: &str,
    runs_on: &RunsOn,
    settings: &Settings,
    findings: &mut Vec<Diagnostic>,
) -> bool {
    let Some(reason) = settings.labels.unsupported(runs_on) else { return false };
    let rule = &rule_set::RUNNER_UNAVAILABLE;
    let mut finding = Diagnostic::new(rule, file, span, format!("job `{id}`: {reason}"));
    if settings.skip_unsupported {
        finding.severity = Severity::Warning;
        finding.message.push_str("; it is skipped");
    } else {
        finding = finding
            .hint("`--skip-unsupported` passes over such jobs")
            .hint("`--label NAME` says that this machine has a label");
    }
    findings.push(finding);
    true
}
