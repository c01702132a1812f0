//! `serviceaccounts/token`: tokens for service accounts, for a while and for an audience.

use std::sync::Arc;

use bytes::Bytes;
use loopline_clock::Timestamp;
use loopline_schema::{Cause, FieldError, Resource};
use serde_json::{Value, json};

use crate::auth::keys::ISSUER;
use crate::call::Call;
use crate::http::Asked;
use crate::http::handle::collect;
use crate::object;
use crate::request::body;
use crate::status::{Result, Status};
use crate::verbs::create::seconds;

/// The kind of the body.
const API_VERSION: &str = "authentication.k8s.io/v1";

/// How long a token lasts where nothing is asked for, in seconds.
const DEFAULT_SECONDS: i64 = 3600;

/// The shortest and the longest a token may last, in seconds.
const MIN_SECONDS: i64 = 600;
const MAX_SECONDS: i64 = 1 << 32;

/// Answers a request for a token.
pub(crate) async fn answer<B>(call: &mut Call, asked: &Asked, body: B) -> Result<Value>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut request = body::decode(asked.content_type(), &collect(body).await?)?.value;
    call.expect_type(&mut request, API_VERSION, "TokenRequest")?;
    let of = loopline_schema::builtin("authentication.k8s.io", "v1", "TokenRequest");
    if let Some(of) = of
        && let Some(error) = loopline_schema::check_types(of, &request).first()
    {
        return Err(Status::bad_request(format!(
            "TokenRequest in version \"v1\" cannot be handled as a TokenRequest: {error}"
        )));
    }
    let keys =
        Arc::clone(call.server.authentication().keys().ok_or_else(|| {
            Status::method_not_allowed("this server has no key to sign tokens with")
        })?);
    let namespace = call.namespace().to_owned();
    let name = call.name()?.to_owned();
    let account = call.server.read(&call.entry, &namespace, &name).await?.object;
    let lasts = request["spec"]["expirationSeconds"].as_i64().unwrap_or(DEFAULT_SECONDS);
    check_seconds(lasts)?;
    if request["spec"]["audiences"].as_array().is_none_or(Vec::is_empty) {
        request["spec"]["audiences"] = json!([ISSUER]);
    }
    request["spec"]["expirationSeconds"] = json!(lasts);
    let mut bound = json!({
        "namespace": namespace,
        "serviceaccount": {"name": name, "uid": object::uid(&account)},
    });
    bind(call, &request["spec"]["boundObjectRef"], &namespace, &name, &mut bound).await?;
    let now = call.server.clock().now().as_second();
    let claims = json!({
        "aud": request["spec"]["audiences"],
        "exp": now + lasts,
        "iat": now,
        "iss": ISSUER,
        "jti": call.server.clock().uuid(),
        "kubernetes.io": bound,
        "nbf": now,
        "sub": format!("system:serviceaccount:{namespace}:{name}"),
    });
    let until = Timestamp::from_second(now + lasts).unwrap_or(Timestamp::MAX);
    request["status"] = json!({
        "token": keys.sign(&claims)?,
        "expirationTimestamp": seconds(until),
    });
    object::set_meta(&mut request, "name", json!(name));
    object::set_meta(&mut request, "namespace", json!(namespace));
    object::set_meta(&mut request, "creationTimestamp", json!(seconds(call.server.clock().now())));
    Ok(request)
}

fn check_seconds(lasts: i64) -> Result<()> {
    let why = if lasts < MIN_SECONDS {
        "may not specify a duration less than 10 minutes"
    } else if lasts > MAX_SECONDS {
        "may not specify a duration larger than 2^32 seconds"
    } else {
        return Ok(());
    };
    let resource = Resource {
        group: "authentication.k8s.io".into(),
        version: "v1".into(),
        kind: "TokenRequest".into(),
        ..Resource::default()
    };
    let error = FieldError::new(Cause::Invalid, "spec.expirationSeconds", json!(lasts), why);
    Err(Status::invalid(&resource, "", &[error]))
}

/// Adds the object that the token is to end with to its claims.
async fn bind(
    call: &Call,
    reference: &Value,
    namespace: &str,
    account: &str,
    bound: &mut Value,
) -> Result<()> {
    if reference.is_null() {
        return Ok(());
    }
    let kind = reference["kind"].as_str().unwrap_or("");
    let version = reference["apiVersion"].as_str().unwrap_or("");
    let (key, plural, of) = match (version, kind) {
        ("v1", "Pod") => ("pod", "pods", namespace),
        ("v1", "Secret") => ("secret", "secrets", namespace),
        ("v1", "Node") => ("node", "nodes", ""),
        _ => {
            return Err(Status::bad_request(format!(
                "cannot bind token to object of type {version}, Kind={kind}"
            )));
        }
    };
    let name = reference["name"].as_str().unwrap_or("");
    let entry = call.server.registry().get("", "v1", plural).ok_or_else(Status::no_such_path)?;
    let object = call.server.read(&entry, of, name).await?.object;
    if kind == "Pod"
        && object["spec"]["serviceAccountName"].as_str().unwrap_or("default") != account
    {
        return Err(Status::bad_request(format!(
            "cannot bind token for serviceaccount {account:?} to pod running with different \
             serviceaccount name."
        )));
    }
    let uid = object::uid(&object);
    let wanted = reference["uid"].as_str().unwrap_or("");
    if !wanted.is_empty() && wanted != uid {
        return Err(Status::conflict(
            &entry.resource,
            name,
            format_args!(
                "the UID in the bound object reference ({wanted}) does not match the UID in \
                 record. The object might have been deleted and then recreated"
            ),
        ));
    }
    bound[key] = json!({"name": name, "uid": uid});
    Ok(())
}
