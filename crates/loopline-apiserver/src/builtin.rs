//! The steps of admission that every server has, in their order, which is Kubernetes' own.

use crate::Server;
use crate::admission::validator::Validators;
use crate::admission::{
    Admission, AdmissionFuture, Attributes, account, certificates, limits, namespace, owner,
    policy, runtime, scheduling, security, storage, webhook,
};
use crate::auth::Escalation;

type Run = for<'a> fn(&'a Server, &'a mut Attributes) -> AdmissionFuture<'a>;

/// A built-in step.
struct Step {
    name: &'static str,
    mutate: Option<Run>,
    validate: Option<Run>,
}

impl Admission for Step {
    fn name(&self) -> &'static str {
        self.name
    }

    fn mutate<'a>(
        &'a self,
        server: &'a Server,
        attributes: &'a mut Attributes,
    ) -> AdmissionFuture<'a> {
        run(self.mutate, server, attributes)
    }

    fn validate<'a>(
        &'a self,
        server: &'a Server,
        attributes: &'a mut Attributes,
    ) -> AdmissionFuture<'a> {
        run(self.validate, server, attributes)
    }
}

fn run<'a>(
    step: Option<Run>,
    server: &'a Server,
    attributes: &'a mut Attributes,
) -> AdmissionFuture<'a> {
    match step {
        Some(step) => step(server, attributes),
        None => Box::pin(std::future::ready(Ok(()))),
    }
}

/// Returns the built-in steps.
pub(crate) fn admission() -> Vec<Box<dyn Admission>> {
    let steps = [
        Step {
            name: "NamespaceLifecycle",
            mutate: Some(|server, attributes| Box::pin(namespace::check(server, attributes))),
            validate: None,
        },
        Step {
            name: "LimitRanger",
            mutate: Some(|server, attributes| Box::pin(limits::complete(server, attributes))),
            validate: Some(|server, attributes| Box::pin(limits::check(server, attributes))),
        },
        Step {
            name: "ServiceAccount",
            mutate: Some(|server, attributes| Box::pin(account::complete(server, attributes))),
            validate: Some(|server, attributes| Box::pin(account::check(server, attributes))),
        },
        Step {
            name: "PodSecurity",
            mutate: None,
            validate: Some(|server, attributes| Box::pin(security::check(server, attributes))),
        },
        Step {
            name: "Priority",
            mutate: Some(|server, attributes| Box::pin(scheduling::prioritize(server, attributes))),
            validate: Some(|server, attributes| Box::pin(scheduling::check(server, attributes))),
        },
        Step {
            name: "DefaultTolerationSeconds",
            mutate: Some(|_, attributes| Box::pin(scheduling::tolerate(attributes))),
            validate: None,
        },
        Step {
            name: "OwnerReferencesPermissionEnforcement",
            mutate: None,
            validate: Some(|server, attributes| Box::pin(owner::check(server, attributes))),
        },
        Step {
            name: "RuntimeClass",
            mutate: Some(|server, attributes| Box::pin(runtime::complete(server, attributes))),
            validate: Some(|server, attributes| Box::pin(runtime::check(server, attributes))),
        },
        Step {
            name: "CertificateApproval",
            mutate: None,
            validate: Some(|server, attributes| Box::pin(certificates::check(server, attributes))),
        },
        Step {
            name: "DefaultIngressClass",
            mutate: Some(|server, attributes| Box::pin(storage::ingress(server, attributes))),
            validate: None,
        },
        Step {
            name: "DefaultStorageClass",
            mutate: Some(|server, attributes| Box::pin(storage::claim(server, attributes))),
            validate: None,
        },
    ];
    let mut all: Vec<Box<dyn Admission>> =
        steps.into_iter().map(|step| Box::new(step) as Box<dyn Admission>).collect();
    all.push(Box::new(Escalation));
    all.push(Box::new(policy::Mutating));
    all.push(Box::new(webhook::Mutating));
    all.push(Box::new(policy::Validating));
    all.push(Box::new(webhook::Validating));
    all.push(Box::new(Validators));
    all
}
