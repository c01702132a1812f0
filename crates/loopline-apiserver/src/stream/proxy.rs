//! `proxy`: HTTP requests to pods, services and nodes through the server.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, HeaderName, HeaderValue, LOCATION, UPGRADE};
use http::{Request, StatusCode, Uri};
use http_body_util::BodyExt as _;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

use super::connect::{admit, node, unreachable_node};
use super::node::{Connection, Node};
use super::process::spawn;
use crate::Server;
use crate::call::Call;
use crate::http::{Asked, Reply, reply};
use crate::request::Query;
use crate::selector::Filter;
use crate::status::{Result, Status};

/// The port of a node's own API.
const NODE_PORT: u16 = 10250;

/// Headers that concern one connection, not the request.
const OF_A_CONNECTION: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The label that tells whose endpoints a slice has.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Answers a request that is to be passed on.
pub(super) async fn answer<B>(call: Call, mut asked: Asked, body: B) -> Result<Reply>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let place = Place::parse(call.name()?)?;
    // The path goes on as it was written.
    let depth = if call.path.namespace.is_some() { 7 } else { 5 };
    let path = asked.parts.uri.path();
    let rest = path.match_indices('/').nth(depth).map_or("", |(at, _)| &path[at..]);
    let query = asked.parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    if rest.is_empty() && matches!(asked.parts.method.as_str(), "GET" | "HEAD") {
        // Relative links of the answer must find the proxy again.
        let mut moved = reply::raw(301, "text/plain; charset=utf-8", Vec::new());
        let location = format!("{path}/{query}");
        let location = HeaderValue::from_str(&location).map_err(Status::internal)?;
        moved.headers_mut().insert(LOCATION, location);
        return Ok(moved);
    }
    let target = format!("{}{query}", if rest.is_empty() { "/" } else { rest });
    let target: Uri = target.parse().map_err(|error| Status::bad_request(format!("{error}")))?;
    let kind = format!("{}ProxyOptions", call.entry.resource.kind);
    admit(&call, json!({"kind": kind, "apiVersion": "v1", "path": rest})).await?;
    let connection = match &*call.entry.resource.plural {
        "pods" => to_pod(&call, &place).await?,
        "services" => to_service(&call, &place).await?,
        _ => to_node(&call, &place).await?,
    };
    let wanted = asked.parts.extensions.remove::<OnUpgrade>();
    let upgrade = asked.parts.headers.get(UPGRADE).cloned();
    let mut request = Request::builder().method(asked.parts.method.clone()).uri(target);
    for (name, value) in &asked.parts.headers {
        if !OF_A_CONNECTION.contains(&name.as_str()) && name != "authorization" {
            request = request.header(name, value);
        }
    }
    if !asked.parts.headers.contains_key(HOST) {
        request = request.header(HOST, place.name);
    }
    if let Some(upgrade) = &upgrade {
        request = request.header(CONNECTION, "Upgrade").header(UPGRADE, upgrade);
    }
    let request = request.body(body).map_err(Status::internal)?;
    pass_on(&call.server, connection, request, wanted).await
}

/// Sends the request over a connection of its own, and connects both sides where it switches to
/// another protocol.
async fn pass_on<B>(
    server: &Server,
    connection: Connection,
    request: Request<B>,
    wanted: Option<OnUpgrade>,
) -> Result<Reply>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let failed = |error: hyper::Error| {
        Status::unavailable(format!("error trying to reach service: {error}"))
    };
    let (mut sender, driver) =
        hyper::client::conn::http1::handshake(TokioIo::new(connection)).await.map_err(failed)?;
    spawn(server, async move {
        // How the connection ends is told to the body of the reply.
        let _ = driver.with_upgrades().await;
    })?;
    let mut response = sender.send_request(request).await.map_err(failed)?;
    let switched = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if let (true, Some(wanted)) = (switched, wanted) {
        let theirs = hyper::upgrade::on(&mut response);
        spawn(server, async move {
            let (Ok(ours), Ok(theirs)) = tokio::join!(wanted, theirs) else { return };
            let (mut ours, mut theirs) = (TokioIo::new(ours), TokioIo::new(theirs));
            let _ = tokio::io::copy_bidirectional(&mut ours, &mut theirs).await;
        })?;
    }
    let (mut parts, body) = response.into_parts();
    if !switched {
        for name in OF_A_CONNECTION {
            parts.headers.remove(HeaderName::from_static(name));
        }
    }
    Ok(Reply::from_parts(parts, body.map_err(Into::into).boxed_unsync()))
}

/// What a path names: `NAME`, `NAME:PORT` or `SCHEME:NAME:PORT`.
struct Place<'a> {
    name: &'a str,
    port: &'a str,
}

impl<'a> Place<'a> {
    fn parse(text: &'a str) -> Result<Self> {
        let parts: Vec<&str> = text.split(':').collect();
        match parts.as_slice() {
            [name] => Ok(Self { name, port: "" }),
            [name, port] => Ok(Self { name, port }),
            ["" | "http", name, port] => Ok(Self { name, port }),
            ["https", ..] => Err(Status::bad_request(format!(
                "invalid proxy request {text:?}: this server reaches pods, services and nodes by \
                 http only"
            ))),
            _ => Err(Status::bad_request(format!("invalid proxy request {text:?}"))),
        }
    }

    fn number(&self) -> Result<u16> {
        self.port.parse().map_err(|_| Status::bad_request(format!("invalid port {:?}", self.port)))
    }
}

async fn to_pod(call: &Call, place: &Place<'_>) -> Result<Connection> {
    let pod = call.server.read(&call.entry, call.namespace(), place.name).await?.object;
    let port = if place.port.is_empty() {
        let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
        let first = containers
            .flat_map(|container| container["ports"].as_array().into_iter().flatten())
            .find_map(|port| port["containerPort"].as_u64());
        first.and_then(|port| u16::try_from(port).ok()).unwrap_or(80)
    } else {
        place.number()?
    };
    let node = node(&call.server, &pod).await?;
    connect_pod(&*node, &pod, port).await
}

async fn connect_pod(node: &dyn Node, pod: &Value, port: u16) -> Result<Connection> {
    node.connect_pod(pod, port).await.map_err(|status| {
        Status::unavailable(format!("error trying to reach service: {}", status.message))
    })
}

/// Connects to one of the pods behind a service.
async fn to_service(call: &Call, place: &Place<'_>) -> Result<Connection> {
    let server = &call.server;
    let service = server.read(&call.entry, call.namespace(), place.name).await?.object;
    let none =
        || Status::unavailable(format!("no endpoints available for service {:?}", place.name));
    let ports = service["spec"]["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
    let port = match (place.port, ports) {
        ("", [one]) => one,
        (asked, ports) => ports
            .iter()
            .find(|port| {
                port["name"].as_str().unwrap_or("") == asked
                    || asked.parse().is_ok_and(|number: u64| port["port"] == number)
            })
            .ok_or_else(|| {
                Status::unavailable(format!(
                    "no service port {asked:?} found for service {:?}",
                    place.name
                ))
            })?,
    };
    let port_name = port["name"].as_str().unwrap_or("");
    let registry = server.registry();
    let slices = registry.get("discovery.k8s.io", "v1", "endpointslices").ok_or_else(none)?;
    let pods = registry.get("", "v1", "pods").ok_or_else(none)?;
    let query = format!("labelSelector={SERVICE_NAME}%3D{}", place.name);
    let filter = Filter::parse(&Query::parse(Some(&query)), &slices.resource)?;
    for slice in server.list_all(&slices, call.namespace(), &filter).await?.objects {
        let number = slice["ports"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|port| port["name"].as_str().unwrap_or("") == port_name)
            .and_then(|port| u16::try_from(port["port"].as_u64()?).ok());
        let Some(number) = number else { continue };
        for endpoint in slice["endpoints"].as_array().into_iter().flatten() {
            let target = &endpoint["targetRef"];
            if endpoint["conditions"]["ready"] == json!(false) || target["kind"] != "Pod" {
                continue;
            }
            let name = target["name"].as_str().unwrap_or("");
            let Some(pod) = server.find(&pods, call.namespace(), name).await? else { continue };
            let node = node(server, &pod.object).await?;
            return connect_pod(&*node, &pod.object, number).await;
        }
    }
    Err(none())
}

async fn to_node(call: &Call, place: &Place<'_>) -> Result<Connection> {
    let object = call.server.read(&call.entry, "", place.name).await?.object;
    let port = if place.port.is_empty() { NODE_PORT } else { place.number()? };
    let node: Arc<dyn Node> = call.server.node().ok_or_else(|| unreachable_node(place.name))?;
    node.connect_node(&object, port).await
}
