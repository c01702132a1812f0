//! Names of environment variables.

use loopline_diagnostic::rule_set as rules;

use crate::github::check::findings::Findings;
use crate::github::check::model::{Action, Environment, Services, Step, Workflow};

pub(super) fn check(workflow: &Workflow, findings: &mut Findings<'_>) {
    names(workflow.env.as_ref(), findings);
    for job in &workflow.jobs {
        names(job.env.as_ref(), findings);
        names(job.container.as_ref().and_then(|container| container.env.as_ref()), findings);
        if let Some(Services::List(services)) = &job.services {
            for service in services {
                names(service.value.env.as_ref(), findings);
            }
        }
        steps(&job.steps, findings);
    }
}

pub(super) fn steps(steps: &[Step], findings: &mut Findings<'_>) {
    for step in steps {
        names(step.env.as_ref(), findings);
        if let Action::Parallel { steps: inner, .. } = &step.action {
            self::steps(inner, findings);
        }
    }
}

fn names(environment: Option<&Environment>, findings: &mut Findings<'_>) {
    let Some(Environment::Variables(variables)) = environment else { return };
    for variable in variables {
        let name = &variable.name;
        if !name.has_expression() && name.value.contains(['&', '=', ' ']) {
            findings.add(
                &rules::ENVIRONMENT_NAME,
                name.span,
                format!("`{}` cannot name a variable: no `&`, `=` or blanks", name.value),
            );
        }
    }
}
