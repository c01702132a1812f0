//! From a request for a stream to the stream: the pod, the container, admission, the protocol.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;

use super::channels::{self, Protocol};
use super::forward::{self, Forward};
use super::node::{Container, Node, Process, TerminalSize};
use super::process::{Wish, outcome_status, outcome_text, spawn, terminal_size};
use super::spdy::{self, Incoming, Refusal, Stream, Work};
use super::upgrade::{self, Wanted};
use super::{log, proxy};
use crate::Server;
use crate::admission::Operation;
use crate::call::Call;
use crate::http::reply::json_bytes;
use crate::http::{Asked, Reply};
use crate::object;
use crate::status::{Result, Status};

/// The protocol of kubectl's `port-forward`: SPDY within WebSocket messages.
const TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";

/// The protocol of `port-forward` over SPDY.
const FORWARD: &str = "portforward.k8s.io";

/// The protocol of `port-forward` over channels.
const CHANNELS: &str = "v4.channel.k8s.io";

/// The longest message about a terminal's size.
const MAX_RESIZE_BYTES: usize = 1024;

/// Answers a request for a stream, where the subresource is one.
pub(crate) async fn answer<B>(call: Call, verb: &str, asked: Asked, body: B) -> Result<Reply>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match call.subresource() {
        "log" => log::answer(call, &asked).await,
        "exec" | "attach" => process(call, asked).await,
        "portforward" => port_forward(call, asked).await,
        "proxy" => proxy::answer(call, asked, body).await,
        _ => Err(Status::method_not_allowed(format!("the verb {verb} is not served"))),
    }
}

/// Answers `exec` and `attach`.
async fn process(call: Call, mut asked: Asked) -> Result<Reply> {
    let wish = Wish::parse(&asked, call.subresource())?;
    let pod = pod(&call).await?;
    let name = container(&pod, asked.query.get("container"), &call)?;
    admit(&call, wish.object(&name)).await?;
    let node = node(&call.server, &pod).await?;
    let container = Container { pod, name };
    let wanted = upgrade::wanted(&asked.parts.headers)?;
    let offered = upgrade::offered(&asked.parts.headers, wanted);
    match wanted {
        Wanted::WebSocket => {
            let (protocol, name) =
                Protocol::choose(&offered).ok_or_else(|| no_protocol(&offered))?;
            let (reply, switch) = upgrade::accept(&mut asked.parts, wanted, name)?;
            spawn(&call.server, async move {
                // A client that goes away during the handshake gets no session.
                let Ok(socket) = switch.socket().await else { return };
                let run = |process| wish.run(&*node, &container, process);
                channels::serve(socket, protocol, &wish, run).await;
            })?;
            Ok(reply)
        }
        Wanted::Spdy => {
            let name = ["v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io"]
                .into_iter()
                .find(|name| offered.iter().any(|one| one == name))
                .ok_or_else(|| no_protocol(&offered))?;
            let (reply, switch) = upgrade::accept(&mut asked.parts, wanted, name)?;
            let session = SpdySession {
                node,
                container: Arc::new(container),
                wish: Arc::new(wish),
                statuses: name == "v4.channel.k8s.io",
                resizes: name != "v2.channel.k8s.io",
                streams: Streams::default(),
            };
            spawn(&call.server, async move {
                let Ok(io) = switch.raw().await else { return };
                session.serve(io).await;
            })?;
            Ok(reply)
        }
    }
}

/// Answers `portforward`.
async fn port_forward(call: Call, mut asked: Asked) -> Result<Reply> {
    let pod = pod(&call).await?;
    let wanted = upgrade::wanted(&asked.parts.headers)?;
    let offered = upgrade::offered(&asked.parts.headers, wanted);
    let offers = |name: &str| offered.iter().any(|one| one == name);
    let (name, ports) = match wanted {
        Wanted::WebSocket if offers(TUNNEL) => (TUNNEL, None),
        Wanted::WebSocket if offers(CHANNELS) => (CHANNELS, Some(forward::ports(&asked.query)?)),
        Wanted::Spdy if offers(FORWARD) => (FORWARD, None),
        _ => return Err(no_protocol(&offered)),
    };
    let options = json!({
        "kind": "PodPortForwardOptions", "apiVersion": "v1", "ports": ports.clone().unwrap_or_default(),
    });
    admit(&call, options).await?;
    let node = node(&call.server, &pod).await?;
    let forward = Forward { node, pod: Arc::new(pod) };
    let (reply, switch) = upgrade::accept(&mut asked.parts, wanted, name)?;
    spawn(&call.server, async move {
        if wanted == Wanted::Spdy {
            let Ok(io) = switch.raw().await else { return };
            return forward.serve_streams(io).await;
        }
        let Ok(socket) = switch.socket().await else { return };
        match ports {
            Some(ports) => forward.serve_channels(socket, ports).await,
            None => forward.serve_tunnel(socket).await,
        }
    })?;
    Ok(reply)
}

fn no_protocol(offered: &[String]) -> Status {
    if offered.is_empty() {
        return Status::bad_request("unable to upgrade: X-Stream-Protocol-Version is required");
    }
    Status::new(
        403,
        "Forbidden",
        format!(
            "unable to upgrade: unable to negotiate protocol: none of [{}] is served here",
            offered.join(" ")
        ),
    )
}

/// Returns the pod of the path.
pub(super) async fn pod(call: &Call) -> Result<Value> {
    Ok(call.server.read(&call.entry, call.namespace(), call.name()?).await?.object)
}

/// Returns the container that is meant.
pub(super) fn container(pod: &Value, asked: Option<&str>, call: &Call) -> Result<String> {
    let pod_name = call.name()?;
    let names = |list: &str| -> Vec<&str> {
        let containers = pod["spec"][list].as_array().into_iter().flatten();
        containers.filter_map(|container| container["name"].as_str()).collect()
    };
    if let Some(asked) = asked {
        let known = ["containers", "initContainers", "ephemeralContainers"]
            .into_iter()
            .any(|list| names(list).contains(&asked));
        return if known {
            Ok(asked.to_owned())
        } else {
            Err(Status::bad_request(format!("container {asked} is not valid for pod {pod_name}")))
        };
    }
    match names("containers").as_slice() {
        [] => Err(Status::bad_request(format!(
            "a container name must be specified for pod {pod_name}"
        ))),
        [one] => Ok((*one).to_owned()),
        many => {
            let mut message = format!(
                "a container name must be specified for pod {pod_name}, choose one of: [{}]",
                many.join(" ")
            );
            let first = names("initContainers");
            if !first.is_empty() {
                message.push_str(&format!(" or one of the init containers: [{}]", first.join(" ")));
            }
            Err(Status::bad_request(message))
        }
    }
}

/// Returns who runs the pod.
///
/// # Errors
/// As Kubernetes has them: 400 for a pod without a node, 404 for a node that is not known, 500
/// for one that cannot be reached.
pub(super) async fn node(server: &Server, pod: &Value) -> Result<Arc<dyn Node>> {
    let host = pod["spec"]["nodeName"].as_str().unwrap_or("");
    if host.is_empty() {
        let name = object::name(pod);
        return Err(Status::bad_request(format!("pod {name} does not have a host assigned")));
    }
    if let Some(node) = server.node() {
        return Ok(node);
    }
    if let Some(entry) = server.registry().get("", "v1", "nodes") {
        server.read(&entry, "", host).await?;
    }
    Err(unreachable_node(host))
}

/// Returns the error of a node that cannot be reached.
pub(super) fn unreachable_node(host: &str) -> Status {
    Status::new(
        500,
        "",
        format!(
            "error dialing backend: this server runs no pods, so nothing answers for node {host}"
        ),
    )
}

/// Lets admission see that an object is connected to.
pub(super) async fn admit(call: &Call, options: Value) -> Result<()> {
    crate::subresource::admit(call, Operation::Connect, &options).await
}

/// A process over SPDY streams.
struct SpdySession {
    node: Arc<dyn Node>,
    container: Arc<Container>,
    wish: Arc<Wish>,
    /// The end is told as a `Status`.
    statuses: bool,
    /// Terminals tell their size.
    resizes: bool,
    streams: Streams,
}

/// The streams that have come.
#[derive(Default)]
struct Streams {
    stdin: Option<Stream>,
    stdout: Option<Stream>,
    stderr: Option<Stream>,
    error: Option<Stream>,
    resize: Option<Stream>,
}

impl SpdySession {
    async fn serve<I>(mut self, io: I)
    where
        I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + 'static,
    {
        spdy::serve(io, move |incoming| self.take(incoming)).await;
    }

    /// Takes a stream; with the last one of those that were asked for, the process begins.
    fn take(&mut self, incoming: Incoming) -> std::result::Result<Option<Work>, Refusal> {
        let wish = Arc::clone(&self.wish);
        let resizes = self.resizes && wish.tty;
        let streams = &mut self.streams;
        let (slot, wanted) = match incoming.header("streamtype") {
            Some("stdin") => (&mut streams.stdin, wish.stdin),
            Some("stdout") => (&mut streams.stdout, wish.stdout),
            Some("stderr") => (&mut streams.stderr, wish.stderr),
            Some("error") => (&mut streams.error, true),
            Some("resize") => (&mut streams.resize, resizes),
            _ => return Err(Refusal),
        };
        if !wanted || slot.is_some() {
            return Err(Refusal);
        }
        *slot = Some(incoming.stream);
        let complete = streams.error.is_some()
            && streams.stdin.is_some() == wish.stdin
            && streams.stdout.is_some() == wish.stdout
            && streams.stderr.is_some() == wish.stderr
            && streams.resize.is_some() == resizes;
        if !complete {
            return Ok(None);
        }
        let streams = std::mem::take(streams);
        let node = Arc::clone(&self.node);
        let container = Arc::clone(&self.container);
        let statuses = self.statuses;
        Ok(Some(Box::pin(async move {
            let (resize, resize_far) = watch::channel(None);
            let process = Process {
                stdin: streams.stdin.map(|stream| Box::new(stream) as _),
                stdout: streams.stdout.map(|stream| Box::new(stream) as _),
                stderr: streams.stderr.map(|stream| Box::new(stream) as _),
                tty: wish.tty,
                resize: resize_far,
            };
            let sizes = async {
                if let Some(stream) = streams.resize {
                    follow_sizes(stream, resize).await;
                }
                std::future::pending().await
            };
            let outcome = tokio::select! {
                outcome = wish.run(&*node, &container, process) => outcome,
                () = sizes => return,
            };
            let told = if statuses {
                Some(json_bytes(&outcome_status(&outcome)))
            } else {
                outcome_text(&outcome).map(String::into_bytes)
            };
            if let (Some(mut error), Some(told)) = (streams.error, told) {
                // A client that is gone needs no status.
                let _ = error.write_all(told.trim_ascii_end()).await;
                let _ = error.shutdown().await;
            }
        })))
    }
}

/// Reads the sizes of a terminal, one JSON object a line.
async fn follow_sizes(mut stream: Stream, sizes: watch::Sender<Option<TerminalSize>>) {
    let mut line = Vec::new();
    while let Ok(byte) = stream.read_u8().await {
        line.push(byte);
        // An object ends with its brace; a line break after it is skipped with the next one.
        if byte == b'}' {
            if let Some(size) = terminal_size(&line) {
                sizes.send_replace(Some(size));
            }
            line.clear();
        }
        if line.len() > MAX_RESIZE_BYTES {
            return;
        }
    }
}
