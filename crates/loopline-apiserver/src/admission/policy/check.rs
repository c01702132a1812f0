//! Whether the expressions of a policy, or of the conditions of webhooks, can be evaluated: told
//! to the one who writes them.

use loopline_schema::{Cause, FieldError};
use serde_json::{Value, json};

use super::GROUP;
use super::evaluation::VARIABLES;
use crate::Server;
use crate::admission::{Attributes, Operation};
use crate::status::{Result, Status};

/// Refuses policies with expressions that do not compile.
pub(super) fn policy(server: &Server, attributes: &Attributes) -> Result<()> {
    let kinds = ["MutatingAdmissionPolicy", "ValidatingAdmissionPolicy"];
    let writes = matches!(attributes.operation, Operation::Create | Operation::Update);
    let policy = kinds.iter().any(|kind| attributes.is_kind(GROUP, kind));
    if !writes || !policy || !attributes.subresource.is_empty() {
        return Ok(());
    }
    if server.expressions().is_none() {
        return Err(attributes.forbidden(
            "expressions of admission policies are not evaluated by this server, so the policy \
             would do nothing",
        ));
    }
    let mut errors = Vec::new();
    let mut check = |place: String, text: &Value| {
        let Some(text) = text.as_str().filter(|text| !text.is_empty()) else { return };
        if let Err(error) = server.expression(text, VARIABLES) {
            let why = format!("compilation failed: {error}");
            errors.push(FieldError::new(Cause::Invalid, place, json!(text), why));
        }
    };
    let spec = &attributes.object["spec"];
    for (list, fields) in [
        ("matchConditions", &["expression"][..]),
        ("variables", &["expression"]),
        ("validations", &["expression", "messageExpression"]),
        ("auditAnnotations", &["valueExpression"]),
    ] {
        for (index, item) in spec[list].as_array().into_iter().flatten().enumerate() {
            for field in fields {
                check(format!("spec.{list}[{index}].{field}"), &item[*field]);
            }
        }
    }
    for (index, mutation) in spec["mutations"].as_array().into_iter().flatten().enumerate() {
        for kind in ["applyConfiguration", "jsonPatch"] {
            let place = format!("spec.mutations[{index}].{kind}.expression");
            check(place, &mutation[kind]["expression"]);
        }
    }
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid(&attributes.entry.resource, &attributes.name, &errors))
}
