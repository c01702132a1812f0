//! Passwords that stand in the workflow.

use loopline_diagnostic::rule_set as rules;

use crate::github::check::findings::Findings;
use crate::github::check::model::{Container, Credentials, Services, Workflow};

pub(super) fn check(workflow: &Workflow, findings: &mut Findings<'_>) {
    for job in &workflow.jobs {
        if let Some(container) = &job.container {
            password(container, "the container", findings);
        }
        if let Some(Services::List(services)) = &job.services {
            for service in services {
                let what = format!("service `{}`", service.name.value);
                password(&service.value, &what, findings);
            }
        }
    }
}

fn password(container: &Container, what: &str, findings: &mut Findings<'_>) {
    if let Some(Credentials::Pair { password: Some(password), .. }) = &container.credentials
        && !password.is_expression()
    {
        findings.add_hint(
            &rules::CREDENTIALS,
            password.span,
            format!("the password of {what} is written into the workflow"),
            "keep it in a secret: `${{ secrets.REGISTRY_PASSWORD }}`",
        );
    }
}
