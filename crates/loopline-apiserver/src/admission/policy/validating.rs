//! `ValidatingAdmissionPolicy`: writes are refused, warned about, or noted in the audit log, where
//! expressions are false.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::bound::{Bound, bound};
use super::check;
use super::evaluation::Evaluation;
use crate::Server;
use crate::admission::matching::is_exempt;
use crate::admission::{Admission, AdmissionFuture, Attributes};
use crate::auth::audit;
use crate::object;
use crate::status::{Result, Status};

/// The step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Validating;

impl Admission for Validating {
    fn name(&self) -> &'static str {
        "ValidatingAdmissionPolicy"
    }

    fn validate<'a>(
        &'a self,
        server: &'a Server,
        attributes: &'a mut Attributes,
    ) -> AdmissionFuture<'a> {
        Box::pin(validate(server, attributes))
    }
}

/// Under which key audit events tell of writes that a policy found wrong.
const FAILURES: &str = "validation.policy.admission.k8s.io/validation_failure";

/// The longest value that a policy adds to an audit event, in bytes.
const MAX_ANNOTATION_BYTES: usize = 10 * 1024;

/// What a policy found wrong.
struct Failure {
    message: String,
    reason: String,
    /// Which of its validations.
    index: usize,
}

async fn validate(server: &Server, attributes: &mut Attributes) -> Result<()> {
    check::policy(server, attributes)?;
    if is_exempt(attributes) {
        return Ok(());
    }
    let policies = bound(
        server,
        attributes,
        "v1",
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
    )
    .await?;
    let (mut warnings, mut noted, mut denial) = (Vec::new(), Vec::new(), None);
    for bound in &policies {
        let (policy, binding) = (object::name(&bound.policy), object::name(&bound.binding));
        for failure in failures(server, attributes, bound).await? {
            let actions = &bound.binding["spec"]["validationActions"];
            let acts = |action: &str| {
                actions.as_array().into_iter().flatten().any(|one| one.as_str() == Some(action))
            };
            if acts("Deny") && denial.is_none() {
                denial = Some(denied(attributes, policy, binding, &failure));
            }
            if acts("Audit") {
                noted.push(json!({
                    "message": failure.message, "policy": policy, "binding": binding,
                    "expressionIndex": failure.index, "validationActions": actions,
                }));
            }
            if acts("Warn") {
                warnings.push(format!(
                    "Validation failed for ValidatingAdmissionPolicy '{policy}' with binding \
                     '{binding}': {}",
                    failure.message
                ));
            }
        }
    }
    if !noted.is_empty() {
        audit::annotate(FAILURES, &Value::Array(noted).to_string());
    }
    attributes.warnings.append(&mut warnings);
    denial.map_or(Ok(()), Err)
}

fn denied(attributes: &Attributes, policy: &str, binding: &str, failure: &Failure) -> Status {
    let message = format!(
        "ValidatingAdmissionPolicy '{policy}' with binding '{binding}' denied request: {}",
        failure.message
    );
    let mut status = attributes.forbidden(&message).because("", message, "");
    status.code = match &*failure.reason {
        "Unauthorized" => 401,
        "Forbidden" => 403,
        "RequestEntityTooLarge" => 413,
        _ => 422,
    };
    status.reason = Cow::Owned(failure.reason.clone());
    status
}

/// Returns what a policy finds wrong with a write.
async fn failures(server: &Server, attributes: &Attributes, bound: &Bound) -> Result<Vec<Failure>> {
    let spec = &bound.policy["spec"];
    let ignores = spec["failurePolicy"] == "Ignore";
    let error = |message: String| Failure { message, reason: "Invalid".to_owned(), index: 0 };
    let params = match &bound.params {
        Ok(params) => params,
        Err(_) if ignores => return Ok(Vec::new()),
        Err(why) => return Ok(vec![error(why.clone())]),
    };
    let mut found = Vec::new();
    for params in params {
        let mut evaluation = Evaluation::new(server, attributes, bound, params).await?;
        evaluation.define(&bound.policy).await;
        match evaluation.conditions(&spec["matchConditions"]).await {
            Ok(true) => {}
            Ok(false) => continue,
            Err(_) if ignores => continue,
            Err(why) => {
                found.push(error(why));
                continue;
            }
        }
        for (index, validation) in spec["validations"].as_array().into_iter().flatten().enumerate()
        {
            let text = validation["expression"].as_str().unwrap_or("");
            match evaluation.holds(text).await {
                Ok(true) => {}
                Ok(false) => found.push(Failure {
                    message: message(&evaluation, validation, text).await,
                    reason: validation["reason"].as_str().unwrap_or("Invalid").to_owned(),
                    index,
                }),
                Err(_) if ignores => {}
                Err(why) => found.push(Failure { index, ..error(why) }),
            }
        }
        if let Err(why) = annotate(&evaluation, &bound.policy).await
            && !ignores
        {
            found.push(error(why));
        }
    }
    Ok(found)
}

/// Adds to the audit event what a policy says of the write.
async fn annotate(evaluation: &Evaluation<'_>, policy: &Value) -> std::result::Result<(), String> {
    for annotation in policy["spec"]["auditAnnotations"].as_array().into_iter().flatten() {
        let text = annotation["valueExpression"].as_str().unwrap_or("");
        let value = match evaluation.value(text).await {
            Ok(Value::Null) => continue,
            Ok(Value::String(value)) => value,
            Ok(_) => {
                return Err(format!("expression '{text}' resulted in a value that is no string"));
            }
            Err(error) => return Err(format!("expression '{text}' resulted in error: {error}")),
        };
        let mut value = value.trim();
        if value.len() > MAX_ANNOTATION_BYTES {
            value = &value[..value.floor_char_boundary(MAX_ANNOTATION_BYTES)];
        }
        if !value.is_empty() {
            let key = annotation["key"].as_str().unwrap_or("");
            audit::annotate(&format!("{}/{key}", object::name(policy)), value);
        }
    }
    Ok(())
}

/// Returns what is said of a validation that failed: its message expression where that gives a
/// line of text, else its message, else the expression.
async fn message(evaluation: &Evaluation<'_>, validation: &Value, text: &str) -> String {
    if let Some(expression) = validation["messageExpression"].as_str()
        && let Ok(Value::String(message)) = evaluation.value(expression).await
    {
        let message = message.trim();
        if !message.is_empty() && !message.contains('\n') {
            return message.to_owned();
        }
    }
    match validation["message"].as_str().map(str::trim) {
        Some(message) if !message.is_empty() => message.to_owned(),
        _ => format!("failed expression: {}", text.trim()),
    }
}
