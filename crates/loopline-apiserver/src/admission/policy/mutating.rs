//! `MutatingAdmissionPolicy`: writes are changed by what expressions give: configurations that are
//! merged, or JSON patches.

use loopline_merge::{json_patch, structured};
use serde_json::Value;

use super::bound::{Bound, bound};
use super::evaluation::Evaluation;
use crate::Server;
use crate::admission::matching::{in_version, is_exempt};
use crate::admission::{Admission, AdmissionFuture, Attributes, Operation};
use crate::object;
use crate::status::{Result, Status};

/// The step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mutating;

impl Admission for Mutating {
    fn name(&self) -> &'static str {
        "MutatingAdmissionPolicy"
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
}

async fn mutate(server: &Server, attributes: &mut Attributes) -> Result<()> {
    let changes = matches!(attributes.operation, Operation::Create | Operation::Update);
    if !changes || is_exempt(attributes) {
        return Ok(());
    }
    let policies = bound(
        server,
        attributes,
        "v1alpha1",
        "mutatingadmissionpolicies",
        "mutatingadmissionpolicybindings",
    )
    .await?;
    let mut last_change = None;
    for (index, bound) in policies.iter().enumerate() {
        let before = attributes.object.clone();
        apply(server, attributes, bound).await?;
        if attributes.object != before {
            last_change = Some(index);
        }
    }
    // Once more for those that want to see what later ones changed.
    for bound in policies.iter().take(last_change.unwrap_or(0)) {
        if bound.policy["spec"]["reinvocationPolicy"] == "IfNeeded" {
            apply(server, attributes, bound).await?;
        }
    }
    Ok(())
}

/// Changes the object as a policy says.
async fn apply(server: &Server, attributes: &mut Attributes, bound: &Bound) -> Result<()> {
    let spec = &bound.policy["spec"];
    let ignores = spec["failurePolicy"] == "Ignore";
    match changed(server, attributes, bound).await? {
        Ok(Some(object)) => {
            let mut object = in_version(&object, &attributes.entry)?;
            loopline_schema::prune_unknown(attributes.entry.type_of(), &mut object);
            attributes.entry.apply_defaults(&mut object);
            attributes.object = object;
            Ok(())
        }
        Ok(None) => Ok(()),
        Err(_) if ignores => Ok(()),
        Err(why) => Err(attributes.forbidden(format_args!(
            "policy '{}' with binding '{}' denied request: {why}",
            object::name(&bound.policy),
            object::name(&bound.binding)
        ))),
    }
}

type Changed = std::result::Result<Option<Value>, String>;

async fn changed(server: &Server, attributes: &Attributes, bound: &Bound) -> Result<Changed> {
    let params = match &bound.params {
        Ok(params) => params,
        Err(why) => return Ok(Err(why.clone())),
    };
    let mut object = in_version(&attributes.object, &bound.entry)?;
    let before = object.clone();
    for params in params {
        let mut evaluation = Evaluation::new(server, attributes, bound, params).await?;
        evaluation.set_object(&object, bound)?;
        evaluation.define(&bound.policy).await;
        match evaluation.conditions(&bound.policy["spec"]["matchConditions"]).await {
            Ok(true) => {}
            Ok(false) => continue,
            Err(why) => return Ok(Err(why)),
        }
        for mutation in bound.policy["spec"]["mutations"].as_array().into_iter().flatten() {
            object = match one(&evaluation, mutation, &object, bound).await? {
                Ok(object) => object,
                Err(why) => return Ok(Err(why)),
            };
            evaluation.set_object(&object, bound)?;
        }
    }
    Ok(Ok((object != before).then_some(object)))
}

async fn one(
    evaluation: &Evaluation<'_>,
    mutation: &Value,
    object: &Value,
    bound: &Bound,
) -> Result<std::result::Result<Value, String>> {
    let kind = mutation["patchType"].as_str().unwrap_or("");
    let place = if kind == "JSONPatch" { "jsonPatch" } else { "applyConfiguration" };
    let text = mutation[place]["expression"].as_str().unwrap_or("");
    let value = match evaluation.value(text).await {
        Ok(value) => value,
        Err(error) => return Ok(Err(format!("expression '{text}' resulted in error: {error}"))),
    };
    if kind == "JSONPatch" {
        return Ok(json_patch::apply(object, &value)
            .map_err(|error| format!("error applying the JSON patch: {error}")));
    }
    let mut config = value;
    if !config.is_object() {
        return Ok(Err(format!("expression '{text}' gives no object")));
    }
    for field in ["name", "namespace", "uid", "managedFields"] {
        let given = &config["metadata"][field];
        if !given.is_null() && *given != object["metadata"][field] {
            return Ok(Err(format!("metadata.{field} may not be changed by a policy")));
        }
    }
    object::set_type(&mut config, &bound.entry.api_version(), &bound.entry.resource.kind);
    let merged = structured::merge(object, &config, bound.entry.type_of());
    Ok(match merged {
        Ok(merged) => Ok(merged),
        Err(error) => Err(Status::internal(error).message),
    })
}
