//! `portforward`: connections to ports of a pod, over SPDY streams (kubectl) or WebSocket
//! channels (kube-rs and other clients that know no SPDY).

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::join_all;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::channels::{CLOSING_WAIT, PING_PERIOD, message};
use super::node::Node;
use super::process::{CHUNK_BYTES, PIPE_BYTES};
use super::spdy::{self, Incoming, Refusal, Stream, Work};
use super::upgrade::Socket;
use crate::object;
use crate::request::Query;
use crate::status::{Result, Status};

/// The most ports of one connection with channels: two channels each, numbered by a byte.
const MAX_PORTS: usize = 100;

/// How many messages wait to be sent.
const MAX_QUEUED_MESSAGES: usize = 8;

/// The pod whose ports are forwarded.
#[derive(Clone)]
pub(super) struct Forward {
    pub(super) node: Arc<dyn Node>,
    pub(super) pod: Arc<Value>,
}

impl Forward {
    /// Connects a stream to a port until both sides are at their end.
    async fn run<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        port: u16,
        stream: &mut S,
    ) -> std::result::Result<(), String> {
        let failed = |cause: &dyn std::fmt::Display| {
            format!(
                "error forwarding port {port} to pod {}, uid {}: {cause}",
                object::name(&self.pod),
                object::uid(&self.pod)
            )
        };
        let mut connection =
            self.node.connect_pod(&self.pod, port).await.map_err(|status| failed(&status))?;
        let copied = tokio::io::copy_bidirectional(stream, &mut connection).await;
        copied.map(drop).map_err(|error| failed(&error))
    }

    /// Forwards over SPDY streams: every connection is a pair of them.
    pub(super) async fn serve_streams<I>(self, io: I)
    where
        I: AsyncRead + AsyncWrite + Send + 'static,
    {
        let mut halves = HashMap::new();
        spdy::serve(io, move |incoming| self.pair(&mut halves, incoming)).await;
    }

    /// Waits for both streams of a connection, then forwards.
    fn pair(
        &self,
        halves: &mut HashMap<String, Half>,
        incoming: Incoming,
    ) -> std::result::Result<Option<Work>, Refusal> {
        let port: u16 =
            incoming.header("port").and_then(|port| port.parse().ok()).ok_or(Refusal)?;
        let is_data = match incoming.header("streamtype") {
            Some("data") => true,
            Some("error") => false,
            _ => return Err(Refusal),
        };
        // The oldest clients do not say which streams belong together: the error stream comes
        // first, the data stream next.
        let key = incoming.header("requestid").map_or_else(
            || format!("#{}", if is_data { incoming.id.saturating_sub(2) } else { incoming.id }),
            ToOwned::to_owned,
        );
        let (data, error) = match (halves.remove(&key), incoming.stream) {
            (Some(Half { is_data: false, stream: error, .. }), data) if is_data => (data, error),
            (Some(Half { is_data: true, stream: data, .. }), error) if !is_data => (data, error),
            (Some(_), _) => return Err(Refusal),
            (None, stream) => {
                // Halves whose other half never came are forgotten with their client's interest.
                if halves.len() >= MAX_PORTS {
                    return Err(Refusal);
                }
                halves.insert(key, Half { is_data, stream });
                return Ok(None);
            }
        };
        let this = self.clone();
        Ok(Some(Box::pin(async move {
            let (mut data, mut error) = (data, error);
            if let Err(why) = this.run(port, &mut data).await {
                // A client that is gone needs no reason.
                let _ = error.write_all(why.as_bytes()).await;
            }
            let _ = error.shutdown().await;
        })))
    }

    /// Forwards over SPDY within WebSocket messages.
    pub(super) async fn serve_tunnel(self, socket: Socket) {
        let (mut sink, mut source) = socket.split();
        let (near, far) = tokio::io::duplex(PIPE_BYTES);
        let (mut from_far, mut to_far) = tokio::io::split(near);
        let reading = async {
            while let Some(Ok(message)) = source.next().await {
                match message {
                    Message::Binary(bytes) => {
                        let Ok(()) = to_far.write_all(&bytes).await else { return };
                    }
                    Message::Close(_) => {
                        let _ = source.next().await;
                        return;
                    }
                    _ => {}
                }
            }
        };
        let writing = async {
            let mut ticks = interval(PING_PERIOD);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut buffer = vec![0; CHUNK_BYTES];
            loop {
                let message = tokio::select! {
                    read = from_far.read(&mut buffer) => match read.unwrap_or(0) {
                        0 => break,
                        size => Message::binary(buffer[..size].to_vec()),
                    },
                    _ = ticks.tick() => Message::Ping(bytes::Bytes::new()),
                };
                if sink.send(message).await.is_err() {
                    return;
                }
            }
            let _ = sink.send(Message::Close(None)).await;
        };
        tokio::pin!(reading);
        let serving = async { tokio::join!(self.serve_streams(far), writing) };
        tokio::select! {
            () = &mut reading => {}
            _ = serving => {
                let _ = timeout(CLOSING_WAIT, reading).await;
            }
        }
    }

    /// Forwards over channels: port `i` has channel `2i` for bytes and `2i + 1` for an error.
    pub(super) async fn serve_channels(self, socket: Socket, ports: Vec<u16>) {
        let (mut sink, mut source) = socket.split();
        let (messages, mut queue) = mpsc::channel::<Message>(MAX_QUEUED_MESSAGES);
        let mut inputs = Vec::new();
        let mut work = Vec::new();
        for (index, port) in ports.into_iter().enumerate() {
            let channel = u8::try_from(index * 2).unwrap_or(u8::MAX - 1);
            let (input, theirs_in) = tokio::io::duplex(PIPE_BYTES);
            let (output, theirs_out) = tokio::io::duplex(PIPE_BYTES);
            inputs.push(Some(input));
            let stream = tokio::io::join(theirs_in, theirs_out);
            work.push(self.channel(channel, port, stream, output, messages.clone()));
        }
        drop(messages);
        let reading = async {
            while let Some(Ok(message)) = source.next().await {
                let bytes = match message {
                    Message::Binary(bytes) => bytes,
                    Message::Close(_) => {
                        let _ = source.next().await;
                        return;
                    }
                    _ => continue,
                };
                let Some((channel, rest)) = bytes.split_first() else { continue };
                if channel % 2 == 0
                    && let Some(slot) = inputs.get_mut(usize::from(channel / 2))
                    && let Some(input) = slot
                    && input.write_all(rest).await.is_err()
                {
                    *slot = None;
                }
            }
        };
        let writing = async {
            let mut ticks = interval(PING_PERIOD);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                let message = tokio::select! {
                    message = queue.recv() => message,
                    _ = ticks.tick() => Some(Message::Ping(bytes::Bytes::new())),
                };
                let Some(message) = message else { break };
                if sink.send(message).await.is_err() {
                    return;
                }
            }
            let _ = sink.send(Message::Close(None)).await;
        };
        tokio::pin!(reading);
        let serving = async { tokio::join!(join_all(work), writing) };
        tokio::select! {
            () = &mut reading => {}
            _ = serving => {
                let _ = timeout(CLOSING_WAIT, reading).await;
            }
        }
    }

    /// Forwards one port over its two channels.
    async fn channel(
        &self,
        channel: u8,
        port: u16,
        mut stream: Stream,
        mut output: tokio::io::DuplexStream,
        messages: mpsc::Sender<Message>,
    ) {
        for channel in [channel, channel + 1] {
            if messages.send(message(channel, &port.to_le_bytes())).await.is_err() {
                return;
            }
        }
        let sending = async {
            let mut buffer = vec![0; CHUNK_BYTES];
            while let size @ 1.. = output.read(&mut buffer).await.unwrap_or(0) {
                if messages.send(message(channel, &buffer[..size])).await.is_err() {
                    return;
                }
            }
        };
        let running = async {
            let result = self.run(port, &mut stream).await;
            drop(stream);
            result
        };
        if let (Err(why), ()) = tokio::join!(running, sending) {
            let _ = messages.send(message(channel + 1, why.as_bytes())).await;
        }
    }
}

/// A stream that waits for its other half.
struct Half {
    is_data: bool,
    stream: Stream,
}

/// Reads the ports that a client without SPDY names in the query.
///
/// # Errors
/// 400 for what are no ports, for none, and for too many.
pub(super) fn ports(query: &Query) -> Result<Vec<u16>> {
    let mut ports = Vec::new();
    for text in query.all("ports").flat_map(|list| list.split(',')) {
        let port: u16 = text
            .trim()
            .parse()
            .map_err(|_| Status::bad_request(format!("unable to parse {text:?} as a port")))?;
        if port == 0 {
            return Err(Status::bad_request(format!("port {text:?} must be > 0")));
        }
        ports.push(port);
    }
    if ports.is_empty() {
        return Err(Status::bad_request("query parameter \"ports\" is required"));
    }
    if ports.len() > MAX_PORTS {
        return Err(Status::bad_request(format!("at most {MAX_PORTS} ports are forwarded")));
    }
    Ok(ports)
}
