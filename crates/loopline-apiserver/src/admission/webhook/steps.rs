//! The two steps that ask webhooks: those that change what is written, one after the other; then
//! those that may only refuse it, all at once.

use futures_util::future::join_all;
use loopline_merge::json_patch;
use loopline_schema::{Cause, FieldError};
use serde_json::{Value, json};

use super::client::{CallError, Target};
use super::response::Response;
use crate::Server;
use crate::admission::expression::all_hold;
use crate::admission::matching::{in_version, is_exempt, matched, selected};
use crate::admission::{Admission, AdmissionFuture, Attributes, Operation, review};
use crate::status::{Result, Status};

/// What the conditions of webhooks can see.
const CONDITION_VARIABLES: &[&str] = &["object", "oldObject", "request", "authorizer"];

/// The versions of reviews that are spoken, the preferred one first.
const VERSIONS: &[&str] = &["v1", "v1beta1"];

/// `MutatingAdmissionWebhook`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mutating;

/// `ValidatingAdmissionWebhook`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Validating;

impl Admission for Mutating {
    fn name(&self) -> &'static str {
        "MutatingAdmissionWebhook"
    }

    fn reinvokes(&self) -> bool {
        true
    }

    fn mutate<'a>(
        &'a self,
        server: &'a Server,
        attributes: &'a mut Attributes,
    ) -> AdmissionFuture<'a> {
        Box::pin(mutate(server, attributes))
    }

    fn validate<'a>(
        &'a self,
        server: &'a Server,
        attributes: &'a mut Attributes,
    ) -> AdmissionFuture<'a> {
        Box::pin(std::future::ready(check_conditions(server, attributes)))
    }
}

impl Admission for Validating {
    fn name(&self) -> &'static str {
        "ValidatingAdmissionWebhook"
    }

    fn validate<'a>(
        &'a self,
        server: &'a Server,
        attributes: &'a mut Attributes,
    ) -> AdmissionFuture<'a> {
        Box::pin(validate(server, attributes))
    }
}

/// Refuses configurations with conditions that cannot be evaluated.
fn check_conditions(server: &Server, attributes: &Attributes) -> Result<()> {
    let group = "admissionregistration.k8s.io";
    let configuration = attributes.is_kind(group, "MutatingWebhookConfiguration")
        || attributes.is_kind(group, "ValidatingWebhookConfiguration");
    if !configuration || attributes.operation == Operation::Delete {
        return Ok(());
    }
    let mut errors = Vec::new();
    let hooks = attributes.object["webhooks"].as_array().into_iter().flatten();
    for (index, hook) in hooks.enumerate() {
        let conditions = hook["matchConditions"].as_array().into_iter().flatten();
        for (number, condition) in conditions.enumerate() {
            let text = condition["expression"].as_str().unwrap_or("");
            if let Err(error) = server.expression(text, CONDITION_VARIABLES) {
                errors.push(FieldError::new(
                    Cause::Invalid,
                    format!("webhooks[{index}].matchConditions[{number}].expression"),
                    json!(text),
                    format!("compilation failed: {error}"),
                ));
            }
        }
    }
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid(&attributes.entry.resource, &attributes.name, &errors))
}

/// Returns whether all conditions of a webhook hold. One that does not makes the others' errors
/// not matter.
async fn conditions(
    server: &Server,
    hook: &Value,
    attributes: &Attributes,
    request: &Value,
) -> std::result::Result<bool, String> {
    let listed = hook["matchConditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    if listed.is_empty() {
        return Ok(true);
    }
    let mut values = serde_json::Map::new();
    let mut request = request.clone();
    if let Some(request) = request.as_object_mut() {
        for field in ["object", "oldObject"] {
            let value = request.shift_remove(field).unwrap_or(Value::Null);
            values.insert(field.to_owned(), value);
        }
    }
    values.insert("request".to_owned(), request);
    all_hold(server, attributes, &values, CONDITION_VARIABLES, listed).await
}

/// Returns the webhooks of all configurations, in their order.
async fn hooks(server: &Server, plural: &'static str) -> Result<Vec<Value>> {
    let configurations = server.configured("v1", plural).await?;
    Ok(configurations
        .iter()
        .flat_map(|one| one["webhooks"].as_array().into_iter().flatten())
        .cloned()
        .collect())
}

async fn mutate(server: &Server, attributes: &mut Attributes) -> Result<()> {
    if is_exempt(attributes) {
        return Ok(());
    }
    let hooks = hooks(server, "mutatingwebhookconfigurations").await?;
    // Which webhooks were asked, and which change came last.
    let mut asked = vec![false; hooks.len()];
    let mut last_change = None;
    for (index, hook) in hooks.iter().enumerate() {
        let before = attributes.object.clone();
        asked[index] = mutate_by(server, hook, attributes).await?;
        if attributes.object != before {
            last_change = Some(index);
        }
    }
    // Once more for those that want to see what later ones changed.
    let Some(last_change) = last_change else { return Ok(()) };
    for (index, hook) in hooks.iter().enumerate().take(last_change) {
        if asked[index] && hook["reinvocationPolicy"] == "IfNeeded" {
            mutate_by(server, hook, attributes).await?;
        }
    }
    Ok(())
}

/// Asks one webhook, and changes the object as it says; returns whether it was asked.
async fn mutate_by(server: &Server, hook: &Value, attributes: &mut Attributes) -> Result<bool> {
    let Some(response) = ask(server, hook, attributes, true).await? else { return Ok(false) };
    let (entry, response) = response;
    attributes.warnings.extend(response.warnings);
    if let Some(denied) = response.denied {
        return Err(denied);
    }
    let Some(patch) = response.patch else { return Ok(true) };
    if attributes.object.is_null() {
        return Err(Status::internal(format_args!(
            "admission webhook {:?} attempted to modify the object, which is not supported for \
             this operation",
            name(hook)
        )));
    }
    let object = in_version(&attributes.object, &entry)?;
    let patched = json_patch::apply(&object, &patch)
        .map_err(|error| Status::internal(format_args!("webhook {:?}: {error}", name(hook))))?;
    let mut patched = in_version(&patched, &attributes.entry)?;
    loopline_schema::prune_unknown(attributes.entry.type_of(), &mut patched);
    attributes.entry.apply_defaults(&mut patched);
    attributes.object = patched;
    Ok(true)
}

async fn validate(server: &Server, attributes: &mut Attributes) -> Result<()> {
    if is_exempt(attributes) {
        return Ok(());
    }
    let hooks = hooks(server, "validatingwebhookconfigurations").await?;
    let answers = join_all(hooks.iter().map(|hook| ask(server, hook, attributes, false))).await;
    let mut refusal = None;
    for answer in answers {
        match answer {
            Ok(None) => {}
            Ok(Some((_, response))) => {
                attributes.warnings.extend(response.warnings);
                refusal = refusal.or(response.denied);
            }
            Err(status) => refusal = refusal.or(Some(status)),
        }
    }
    refusal.map_or(Ok(()), Err)
}

fn name(hook: &Value) -> &str {
    hook["name"].as_str().unwrap_or("")
}

type Answered = (std::sync::Arc<crate::registry::Entry>, Response);

/// Asks a webhook; nothing where it is not about the write, or failed and may be ignored.
async fn ask(
    server: &Server,
    hook: &Value,
    attributes: &Attributes,
    mutating: bool,
) -> Result<Option<Answered>> {
    let Some(entry) = matched(server, hook, attributes) else { return Ok(None) };
    if !selected(server, hook, attributes).await? {
        return Ok(None);
    }
    let harmless = matches!(hook["sideEffects"].as_str(), Some("None" | "NoneOnDryRun"));
    if attributes.dry_run && !harmless {
        return Err(Status::bad_request(format!(
            "admission webhook {:?} does not support dry run",
            name(hook)
        )));
    }
    let spoken = hook["admissionReviewVersions"].as_array().into_iter().flatten();
    let version = spoken.filter_map(Value::as_str).find(|version| VERSIONS.contains(version));
    let version = version.unwrap_or(VERSIONS[0]);
    let uid = server.clock().uuid();
    let request = json!({
        "kind": "AdmissionReview",
        "apiVersion": format!("admission.k8s.io/{version}"),
        "request": review::request(attributes, &entry, &uid)?,
    });
    let answer = match conditions(server, hook, attributes, &request["request"]).await {
        Ok(true) => call(hook, &request).await,
        Ok(false) => return Ok(None),
        Err(why) => Err(why),
    };
    let response = match answer {
        Ok(answer) => Response::read(name(hook), version, &uid, mutating, &answer),
        Err(why) => Err(why),
    };
    match response {
        Ok(response) => Ok(Some((entry, response))),
        Err(_) if hook["failurePolicy"] == "Ignore" => Ok(None),
        Err(why) => {
            Err(Status::internal(format_args!("failed calling webhook {:?}: {why}", name(hook))))
        }
    }
}

async fn call(hook: &Value, request: &Value) -> std::result::Result<Value, String> {
    let said = |place: &str, error: &CallError| format!("failed to call webhook: {place}{error}");
    let target = Target::of(hook).map_err(|error| said("", &error))?;
    target.call(request).await.map_err(|error| said(&format!("{}: ", target.shown()), &error))
}
