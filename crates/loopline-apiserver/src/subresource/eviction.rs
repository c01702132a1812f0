//! `eviction`: deletes a pod where its disruption budget allows it.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::admission::Operation;
use crate::auth::User;
use crate::call::Call;
use crate::http::Asked;
use crate::http::handle::collect;
use crate::object;
use crate::request::{Accept, Query, ResourcePath, body};
use crate::selector::Filter;
use crate::status::{Result, Status, success};
use crate::verbs::create::{Managing, seconds};
use crate::verbs::delete::DeleteOptions;
use crate::verbs::update::Changed;

/// The most pods that a budget remembers as evicted and not yet gone.
const MAX_DISRUPTED_PODS: usize = 2000;

/// When to ask again about a budget that nobody has counted yet.
const RETRY_SECONDS: u32 = 10;

/// Answers a request for `eviction`.
pub(crate) async fn answer<B>(call: &mut Call, asked: &Asked, body: B) -> Result<Value>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let eviction = body::decode(asked.content_type(), &collect(body).await?)?.value;
    let name = call.name()?.to_owned();
    let found = object::name(&eviction);
    if !found.is_empty() && found != name {
        return Err(Status::bad_request("name in URL does not match name in Eviction object"));
    }
    super::admit(call, Operation::Create, &eviction).await?;
    call.path.subresource = None;
    let wish = match &eviction["deleteOptions"] {
        Value::Null => json!({}),
        options => options.clone(),
    };
    let mut options = DeleteOptions::parse(&wish, call)?;
    let pod = call.server.read(&call.entry, call.namespace(), &name).await?;
    let phase = pod.object["status"]["phase"].as_str().unwrap_or("");
    let harmless =
        matches!(phase, "Succeeded" | "Failed" | "Pending") || object::is_deleting(&pod.object);
    if harmless {
        if phase == "Pending" && options.resource_version.is_none() {
            // It may have begun to run in between; then its budget counts.
            options.resource_version = Some(pod.revision.to_string());
        }
    } else if let Some(budget) = budget_of(call, &pod.object).await? {
        if may_skip(&budget, &pod.object) {
            options.resource_version.get_or_insert_with(|| pod.revision.to_string());
        } else {
            spend(call, &budget, &name, options.dry_run).await?;
        }
    }
    call.delete(&options, &wish).await?;
    let mut done = success(Value::Null);
    if let Some(done) = done.as_object_mut() {
        done.shift_remove("details");
    }
    done["code"] = json!(201);
    Ok(done)
}

/// Returns the budget that a pod counts in.
async fn budget_of(call: &Call, pod: &Value) -> Result<Option<Value>> {
    let Some(entry) = call.server.registry().get("policy", "v1", "poddisruptionbudgets") else {
        return Ok(None);
    };
    let all = call.server.list_all(&entry, call.namespace(), &Filter::default()).await?;
    let mut mine = Vec::new();
    for budget in all.objects {
        let selector = &budget["spec"]["selector"];
        if selector.is_object()
            && loopline_schema::label_selector::parse(selector).is_some_and(|selector| {
                loopline_schema::label_selector::matches(&selector, &pod["metadata"]["labels"])
            })
        {
            mine.push(budget);
        }
    }
    if mine.len() > 1 {
        return Err(Status::new(
            500,
            "InternalError",
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does \
             not support.",
        ));
    }
    Ok(mine.pop())
}

/// Returns whether a pod that is not ready may go without counting.
fn may_skip(budget: &Value, pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    let ready = conditions
        .into_iter()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
    if ready {
        return false;
    }
    let number = |field: &str| budget["status"][field].as_i64().unwrap_or(0);
    budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
        || (number("desiredHealthy") > 0 && number("currentHealthy") >= number("desiredHealthy"))
}

/// Takes one disruption from a budget.
async fn spend(call: &Call, budget: &Value, pod: &str, dry_run: bool) -> Result<()> {
    let entry = call
        .server
        .registry()
        .get("policy", "v1", "poddisruptionbudgets")
        .ok_or_else(Status::no_such_path)?;
    let mut update = Call {
        server: call.server.clone(),
        verb: "update",
        entry: Arc::clone(&entry),
        path: ResourcePath {
            group: "policy".to_owned(),
            version: "v1".to_owned(),
            namespace: call.path.namespace.clone(),
            resource: "poddisruptionbudgets".to_owned(),
            name: Some(object::name(budget).to_owned()),
            subresource: Some("status".to_owned()),
            ..ResourcePath::default()
        },
        query: Query::parse(dry_run.then_some("dryRun=All")),
        user: Arc::new(User::system("apiserver")),
        accept: Accept::parse(None),
        user_agent: "loopline".to_owned(),
        warnings: Vec::new(),
    };
    update
        .change(&mut |call, live, now| {
            let mut budget = live.clone();
            let name = object::name(&budget).to_owned();
            let number = |field: &str| live["status"][field].as_i64().unwrap_or(0);
            if number("observedGeneration") < live["metadata"]["generation"].as_i64().unwrap_or(0) {
                return Err(refusal(RETRY_SECONDS).because(
                    "DisruptionBudget",
                    format!("The disruption budget {name} is still being processed by the server."),
                    "",
                ));
            }
            let allowed = number("disruptionsAllowed");
            if allowed < 0 {
                let why = "pdb disruptions allowed is negative";
                return Err(Status::forbidden(&call.entry.resource, &name, why));
            }
            let waiting = live["status"]["disruptedPods"].as_object().map_or(0, |pods| pods.len());
            if waiting > MAX_DISRUPTED_PODS {
                let why = "DisruptedPods map too big - too many evictions not confirmed by PDB \
                           controller";
                return Err(Status::forbidden(&call.entry.resource, &name, why));
            }
            if allowed == 0 {
                return Err(refusal(0).because(
                    "DisruptionBudget",
                    format!(
                        "The disruption budget {name} needs {} healthy pods and has {} currently",
                        number("desiredHealthy"),
                        number("currentHealthy")
                    ),
                    "",
                ));
            }
            budget["status"]["disruptionsAllowed"] = json!(allowed - 1);
            object::map_mut(&mut budget["status"], "disruptedPods")
                .insert(pod.to_owned(), json!(seconds(now)));
            let managing = Managing::Update("loopline".to_owned());
            object::set_meta(&mut budget, "resourceVersion", Value::Null);
            Ok(Changed { object: budget, managing })
        })
        .await?;
    Ok(())
}

fn refusal(retry_seconds: u32) -> Status {
    let message = "Cannot evict pod as it would violate the pod's disruption budget.";
    let mut status = Status::too_many_requests(message, retry_seconds);
    status.details.retry_after_seconds = Some(retry_seconds).filter(|seconds| *seconds > 0);
    status
}
