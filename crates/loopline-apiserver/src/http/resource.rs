//! Requests for resources: the verb, its body, and the form of the answer.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::{Value, json};

use super::handle::{Asked, collect};
use super::reply::{self, Body, Reply};
use super::table::Printer;
use crate::Server;
use crate::auth::Action;
use crate::call::Call;
use crate::registry::Entry;
use crate::request::body::Decoded;
use crate::request::media::Encoding;
use crate::request::{Representation, ResourcePath, body};
use crate::status::{Result, Status};
use crate::verbs::delete::DeleteOptions;
use crate::verbs::get;
use crate::verbs::watch::Watch;

/// Answers a request for a resource.
pub(super) async fn answer<B>(
    server: &Server,
    asked: Asked,
    path: ResourcePath,
    body: B,
) -> Result<Reply>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    server.prepare().await?;
    let method = asked.parts.method.as_str().to_owned();
    let watching = path.watch || asked.query.flag("watch")?;
    let verb = verb(&method, &path, watching)?;
    let action = Action {
        verb: verb.to_owned(),
        group: path.group.clone(),
        version: path.version.clone(),
        resource: path.resource.clone(),
        subresource: path.subresource.clone().unwrap_or_default(),
        namespace: namespace_of(&path),
        name: path.name.clone().unwrap_or_default(),
        path: String::new(),
    };
    let entry = server.registry().get(&path.group, &path.version, &path.resource);
    if let Err(why) = server.authorize(&asked.user, &action).await {
        let resource = entry.as_ref().map(|entry| entry.resource.clone()).unwrap_or_else(|| {
            loopline_schema::Resource {
                group: path.group.clone().into(),
                plural: path.resource.clone().into(),
                ..loopline_schema::Resource::default()
            }
        });
        return Err(Status::forbidden(&resource, &action.name, why));
    }
    let entry = entry.ok_or_else(Status::no_such_path)?;
    check_scope(&entry, &path, verb)?;
    let deprecated = entry.custom().and_then(|custom| custom.deprecation.clone());
    let call = Call {
        server: server.clone(),
        verb,
        entry,
        query: asked.query.clone(),
        user: Arc::clone(&asked.user),
        accept: asked.accept.clone(),
        user_agent: asked.user_agent().to_owned(),
        warnings: deprecated.into_iter().collect(),
        path,
    };
    if call.path.subresource.is_some() {
        return crate::subresource::answer(call, verb, asked, body).await;
    }
    if !call.entry.serves(verb) {
        return Err(Status::method_not_allowed(
            "the server does not allow this method on the requested resource",
        ));
    }
    object_verb(call, verb, &asked, body).await
}

/// Serves a verb on an object or a collection.
pub(crate) async fn object_verb<B>(
    mut call: Call,
    verb: &str,
    asked: &Asked,
    body: B,
) -> Result<Reply>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match verb {
        "get" | "list" if call.entry.resource.group == crate::metrics::GROUP => {
            let encoding = asked.accept.encoding()?;
            let object = crate::metrics::answer(&call, verb).await?;
            Ok(reply::object(200, &object, encoding))
        }
        "get" => {
            let form = asked.accept.choose()?;
            let object = call.get().await?;
            Ok(one(&call, 200, object, form))
        }
        "list" => {
            let form = asked.accept.choose()?;
            let list = call.list().await?;
            Ok(many(&call, list, form))
        }
        "watch" => watch_reply(call).await,
        "create" => {
            let form = asked.accept.choose()?;
            let Decoded { value, duplicates } =
                call.decode(asked.content_type(), &collect(body).await?)?;
            if !call.entry.resource.is_stored() {
                let object = crate::review::answer(&mut call, value).await?;
                return Ok(one(&call, 201, object, form));
            }
            let object = call.create(value, &duplicates).await?;
            Ok(one(&call, 201, object, form))
        }
        "update" => {
            let form = asked.accept.choose()?;
            let Decoded { value, duplicates } =
                call.decode(asked.content_type(), &collect(body).await?)?;
            let (object, created) = call.replace(value, &duplicates).await?;
            Ok(one(&call, if created { 201 } else { 200 }, object, form))
        }
        "patch" => {
            let form = asked.accept.choose()?;
            let bytes = collect(body).await?;
            let (object, created) = call.patch(asked.content_type(), &bytes).await?;
            Ok(one(&call, if created { 201 } else { 200 }, object, form))
        }
        "delete" | "deletecollection" => {
            let bytes = collect(body).await?;
            let value = if bytes.is_empty() {
                json!({})
            } else {
                body::decode(asked.content_type(), &bytes)?.value
            };
            let options = DeleteOptions::parse(&value, &call)?;
            let object = if verb == "delete" {
                call.delete(&options, &value).await?
            } else {
                call.delete_collection(&options, &value).await?
            };
            let mut reply = reply::object(200, &object, asked.accept.encoding()?);
            reply::warn(&mut reply, &call.warnings);
            Ok(reply)
        }
        other => Err(Status::method_not_allowed(format!("the verb {other} is not served"))),
    }
}

/// Returns the namespace that decides who may: a namespace lies in itself.
fn namespace_of(path: &ResourcePath) -> String {
    let own = path.group.is_empty() && path.resource == "namespaces";
    let name = if own { &path.name } else { &path.namespace };
    name.clone().unwrap_or_default()
}

/// Returns the verb of a method on a path.
fn verb(method: &str, path: &ResourcePath, watching: bool) -> Result<&'static str> {
    let named = path.name.is_some();
    Ok(match method {
        "GET" | "HEAD" if watching && path.subresource.is_none() => "watch",
        "GET" | "HEAD" if named => "get",
        "GET" | "HEAD" => "list",
        // What is made is posted to a collection or a subresource, what is changed has a name.
        "POST" if !named || path.subresource.is_some() => "create",
        "PUT" if named => "update",
        "PATCH" if named => "patch",
        "DELETE" if named => "delete",
        "DELETE" => "deletecollection",
        _ => {
            return Err(Status::method_not_allowed(
                "the server does not allow this method on the requested resource",
            ));
        }
    })
}

/// Refuses paths with a namespace for what has none, and the reverse.
fn check_scope(entry: &Entry, path: &ResourcePath, verb: &str) -> Result<()> {
    let namespaced = entry.resource.namespaced;
    if !namespaced && path.namespace.is_some() {
        return Err(Status::no_such_path());
    }
    let across = matches!(verb, "list" | "watch") && path.name.is_none();
    if namespaced && path.namespace.is_none() && !across && entry.resource.is_stored() {
        return Err(Status::no_such_path());
    }
    Ok(())
}

/// Returns a reply with one object in the form that was chosen.
pub(crate) fn one(
    call: &Call,
    code: u16,
    object: Value,
    form: (Representation, Encoding),
) -> Reply {
    let (representation, encoding) = form;
    let object = match representation {
        Representation::Object => object,
        // An answer of another kind (a `Status`, a `Scale`) is not a row of the resource.
        _ if object["kind"] != *call.entry.resource.kind => object,
        Representation::Table(version) => {
            let printer = Printer::new(&call.entry, &call.query, call.server.clock());
            let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
            printer.table(version, metadata, &[object], true)
        }
        Representation::Metadata(version) => partial(object, version),
    };
    let mut reply = reply::object(code, &object, encoding);
    reply::warn(&mut reply, &call.warnings);
    reply
}

/// Returns a reply with a list in the form that was chosen.
fn many(call: &Call, list: get::List, form: (Representation, Encoding)) -> Reply {
    let (representation, encoding) = form;
    let value = match representation {
        Representation::Object => get::list_object(&call.entry, list),
        Representation::Table(version) => {
            let printer = Printer::new(&call.entry, &call.query, call.server.clock());
            let metadata = list.metadata();
            printer.table(version, metadata, &list.objects, true)
        }
        Representation::Metadata(version) => {
            let metadata = list.metadata();
            let items: Vec<Value> =
                list.objects.into_iter().map(|object| partial(object, version)).collect();
            json!({
                "kind": "PartialObjectMetadataList",
                "apiVersion": format!("meta.k8s.io/{version}"),
                "metadata": metadata,
                "items": items,
            })
        }
    };
    let mut reply = reply::object(200, &value, encoding);
    reply::warn(&mut reply, &call.warnings);
    reply
}

/// Returns only the metadata of an object.
pub(crate) fn partial(object: Value, version: &str) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": object["metadata"],
    })
}

/// Starts a watch and returns its events as a stream of lines.
async fn watch_reply(call: Call) -> Result<Reply> {
    let (representation, encoding) = call.accept.choose()?;
    if encoding != Encoding::Json {
        return Err(Status::not_acceptable("application/json"));
    }
    let printer = Printer::new(&call.entry, &call.query, call.server.clock());
    let watch = match call.watch().await {
        Ok(watch) => watch,
        // Clients look for this in the stream, and then list anew.
        Err(status) if status.code == 410 => {
            let line = crate::changes::line("ERROR", &status.to_value());
            return Ok(reply::raw(200, "application/json", line));
        }
        Err(status) => return Err(status),
    };
    let state = (watch, printer, false);
    let events =
        futures_util::stream::unfold(state, move |(mut watch, printer, mut begun)| async move {
            let event = next_event(&mut watch, &printer, representation, &mut begun).await?;
            Some((event, (watch, printer, begun)))
        });
    let frames = events.map(|line| Ok(Frame::data(line)));
    let body: Body = BodyExt::boxed_unsync(StreamBody::new(frames));
    let mut reply = reply::raw(200, "application/json", Vec::new());
    *reply.body_mut() = body;
    Ok(reply)
}

async fn next_event(
    watch: &mut Watch,
    printer: &Printer,
    representation: Representation,
    begun: &mut bool,
) -> Option<Bytes> {
    let event = watch.next().await?;
    let object = match representation {
        _ if event.kind == "ERROR" => return Some(event.line()),
        Representation::Object => return Some(event.line()),
        Representation::Table(version) => {
            let object = event.object();
            let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
            let first = !std::mem::replace(begun, true);
            let rows =
                if event.kind == "BOOKMARK" { &[][..] } else { std::slice::from_ref(object) };
            printer.table(version, metadata, rows, first)
        }
        Representation::Metadata(version) => partial(event.object().clone(), version),
    };
    Some(Bytes::from(crate::changes::line(event.kind, &object)))
}
