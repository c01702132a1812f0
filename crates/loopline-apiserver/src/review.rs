//! Resources that are answered and never stored: reviews of who somebody is and what they may.

use serde_json::{Map, Value, json};

use crate::auth::{Action, Decision, Rule, User, rules};
use crate::call::Call;
use crate::object;
use crate::status::{Result, Status};

/// Answers the creation of such an object.
pub(crate) async fn answer(call: &mut Call, mut body: Value) -> Result<Value> {
    let entry = std::sync::Arc::clone(&call.entry);
    let kind = entry.resource.kind.to_string();
    call.expect_type(&mut body, &entry.api_version(), &kind)?;
    let validation = call.field_validation()?;
    let complaints = call.check_fields(&mut body, &[], validation)?;
    crate::verbs::create::refuse_strict(&complaints)?;
    if kind == "Binding" {
        return crate::subresource::binding::create(call, &body).await;
    }
    object::set_meta(&mut body, "creationTimestamp", Value::Null);
    let user = User::clone(&call.user);
    match (&*entry.resource.group, &*kind) {
        ("authorization.k8s.io", "SelfSubjectAccessReview") => access(call, body, Some(user)).await,
        ("authorization.k8s.io", "SubjectAccessReview" | "LocalSubjectAccessReview") => {
            access(call, body, None).await
        }
        ("authorization.k8s.io", "SelfSubjectRulesReview") => own_rules(call, body, &user).await,
        ("authentication.k8s.io", "SelfSubjectReview") => {
            body["status"] = json!({"userInfo": user.to_value()});
            Ok(body)
        }
        ("authentication.k8s.io", "TokenReview") => token(call, body).await,
        _ => Err(Status::no_such_path()),
    }
}

/// Answers whether somebody may do something; `own` is who asks, where they ask about themselves.
async fn access(call: &Call, mut body: Value, own: Option<User>) -> Result<Value> {
    let spec = &body["spec"];
    let resource = spec["resourceAttributes"].as_object();
    let path = spec["nonResourceAttributes"].as_object();
    let mut problems = Vec::new();
    let invalid = |field: &str, why: &str| {
        loopline_schema::FieldError::new(
            loopline_schema::Cause::Invalid,
            field,
            Value::Null,
            why.to_owned(),
        )
    };
    if resource.is_some() == path.is_some() {
        problems.push(invalid(
            "spec.resourceAttributes",
            if path.is_some() {
                "cannot be specified in combination with nonResourceAttributes"
            } else {
                "exactly one of nonResourceAttributes or resourceAttributes must be specified"
            },
        ));
    }
    let user = own.unwrap_or_else(|| User::parse(spec, "user"));
    if user.name.is_empty() && user.groups.is_empty() {
        problems.push(invalid("spec.user", "at least one of user or group must be specified"));
    }
    let within = call.namespace();
    if call.entry.resource.kind == "LocalSubjectAccessReview" {
        if path.is_some() {
            problems
                .push(invalid("spec.nonResourceAttributes", "disallowed on this kind of request"));
        } else if spec["resourceAttributes"]["namespace"].as_str().unwrap_or("") != within {
            problems.push(invalid(
                "spec.resourceAttributes.namespace",
                "must match metadata.namespace",
            ));
        }
    }
    if !problems.is_empty() {
        return Err(Status::invalid(&call.entry.resource, "", &problems));
    }
    let action = match (resource, path) {
        (Some(attributes), _) => resource_action(attributes),
        (None, Some(attributes)) => Action {
            verb: text(attributes, "verb"),
            path: text(attributes, "path"),
            ..Action::default()
        },
        (None, None) => Action::default(),
    };
    body["status"] = match call.server.authorizer().authorize(&user, &action).await {
        Ok(Decision::Allow(why)) => status(true, &why),
        Ok(Decision::Deny(why)) => status(false, &why),
        Err(error) => json!({"allowed": false, "evaluationError": error.to_string()}),
    };
    Ok(body)
}

fn status(allowed: bool, why: &str) -> Value {
    let mut status = json!({"allowed": allowed});
    if !why.is_empty() {
        status["reason"] = json!(why);
    }
    status
}

fn resource_action(attributes: &Map<String, Value>) -> Action {
    Action {
        verb: text(attributes, "verb"),
        group: text(attributes, "group"),
        version: text(attributes, "version"),
        resource: text(attributes, "resource"),
        subresource: text(attributes, "subresource"),
        namespace: text(attributes, "namespace"),
        name: text(attributes, "name"),
        path: String::new(),
    }
}

fn text(map: &Map<String, Value>, key: &str) -> String {
    map.get(key).and_then(Value::as_str).unwrap_or("").to_owned()
}

/// Answers what the one who asks may do in a namespace.
async fn own_rules(call: &Call, mut body: Value, user: &User) -> Result<Value> {
    let namespace = body["spec"]["namespace"].as_str().unwrap_or("").to_owned();
    if namespace.is_empty() {
        return Err(Status::bad_request("no namespace on request"));
    }
    let found = call.server.authorizer().rules(user, &namespace).await?;
    let (paths, resources): (Vec<Rule>, Vec<Rule>) =
        found.rules.into_iter().partition(|rule| !rule.non_resource_urls.is_empty());
    let values = |rules: Vec<Rule>| rules.iter().map(Rule::to_value).collect::<Vec<_>>();
    let mut status = json!({
        "resourceRules": values(rules::compact(resources)),
        "nonResourceRules": values(paths),
        "incomplete": !found.errors.is_empty(),
    });
    if !found.errors.is_empty() {
        status["evaluationError"] = json!(found.errors.join(", "));
    }
    body["status"] = status;
    Ok(body)
}

/// Answers whose a token is.
async fn token(call: &Call, mut body: Value) -> Result<Value> {
    let token = body["spec"]["token"].as_str().unwrap_or("").to_owned();
    if token.is_empty() {
        return Err(Status::bad_request("token is required for TokenReview in authentication"));
    }
    let audiences: Vec<String> = body["spec"]["audiences"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    body["status"] = match call.server.user_of_token(&token, &audiences).await {
        Ok((user, audiences)) => {
            let mut status = json!({"authenticated": true, "user": user.to_value()});
            if !audiences.is_empty() {
                status["audiences"] = json!(audiences);
            }
            status
        }
        Err(why) => json!({"authenticated": false, "user": {}, "error": why.to_string()}),
    };
    Ok(body)
}
