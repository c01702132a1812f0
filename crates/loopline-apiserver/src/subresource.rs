//! Subresources: parts of objects that are written on their own, and what is done with objects.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use crate::admission::{Attributes, Operation};
use crate::call::Call;
use crate::http::Asked;
use crate::http::Reply;
use crate::http::resource::{object_verb, one};
use crate::status::{Result, Status};

pub(crate) mod binding;
mod eviction;
pub(crate) mod parts;
pub mod scale;
pub mod token;

/// Subresources whose body is the object itself.
const PARTS: &[&str] = &["status", "finalize", "approval", "ephemeralcontainers", "resize"];

/// Subresources that are streams of bytes.
const STREAMS: &[&str] = &["attach", "exec", "log", "portforward", "proxy"];

/// Answers a request for a subresource.
pub(crate) async fn answer<B>(mut call: Call, verb: &str, asked: Asked, body: B) -> Result<Reply>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let name = call.subresource().to_owned();
    let Some(subresource) = call.entry.subresource(&name) else {
        return Err(Status::no_such_path());
    };
    if !subresource.verbs.iter().any(|known| known == verb) {
        return Err(Status::method_not_allowed(
            "the server does not allow this method on the requested resource",
        ));
    }
    if PARTS.contains(&&*name) {
        return object_verb(call, verb, &asked, body).await;
    }
    if STREAMS.contains(&&*name) {
        return crate::stream::answer(call, verb, asked, body).await;
    }
    let form = asked.accept.choose()?;
    let object: Value = match &*name {
        "scale" => scale::answer(&mut call, verb, &asked, body).await?,
        "token" => {
            let object = token::answer(&mut call, &asked, body).await?;
            return Ok(one(&call, 201, object, form));
        }
        "eviction" => {
            let done = eviction::answer(&mut call, &asked, body).await?;
            return Ok(one(&call, 201, done, form));
        }
        "binding" => {
            let done = binding::answer(&mut call, &asked, body).await?;
            return Ok(one(&call, 201, done, form));
        }
        _ => return Err(Status::no_such_path()),
    };
    Ok(one(&call, 200, object, form))
}

/// Lets admission see what is done to an object beside writing it.
pub(crate) async fn admit(call: &Call, operation: Operation, object: &Value) -> Result<()> {
    let mut attributes = Attributes {
        entry: Arc::clone(&call.entry),
        subresource: call.subresource().to_owned(),
        namespace: call.namespace().to_owned(),
        name: call.name()?.to_owned(),
        operation,
        object: object.clone(),
        old: Value::Null,
        options: Value::Null,
        user: Arc::clone(&call.user),
        dry_run: call.dry_run()?,
        warnings: Vec::new(),
    };
    call.server.admit_mutating(&mut attributes).await?;
    call.server.admit_validating(&mut attributes).await
}
