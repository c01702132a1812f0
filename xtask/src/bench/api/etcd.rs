//! etcd, the peer for the storage part, driven by its own protocol (gRPC over HTTP/2).
//!
//! Its JSON gateway would charge it for a second protocol, and `etcdctl check perf` limits its
//! own rate; a `Put` is a message of two fields, so it is spoken directly, over as many
//! connections as there are clients.
#![expect(clippy::disallowed_methods, reason = "a benchmark starts processes and reads the clock")]

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::{BufMut as _, Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::load::{PAYLOAD, Rate, sum};
use super::process::Process;

/// Returns whether etcd is there.
pub(super) fn installed() -> bool {
    let mut command = Command::new("etcd");
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Starts etcd on free ports, with its own defaults.
pub(super) async fn start(data: &Path) -> anyhow::Result<Process> {
    let free = || anyhow::Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?);
    let (client, peer) = (free()?, free()?);
    let mut command = Command::new("etcd");
    command
        .arg("--data-dir")
        .arg(data)
        .args(["--listen-client-urls", &format!("http://{client}")])
        .args(["--advertise-client-urls", &format!("http://{client}")])
        .args(["--listen-peer-urls", &format!("http://{peer}")])
        .args(["--initial-advertise-peer-urls", &format!("http://{peer}")])
        .args(["--initial-cluster", &format!("default=http://{peer}")])
        .args(["--log-level", "error"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let started = Instant::now();
    let child = command.spawn().context("etcd")?;
    Process::when_ready(child, client, "/health", started).await
}

/// Puts values with so many clients, each on a connection of its own.
pub(super) async fn puts(
    address: SocketAddr,
    writers: usize,
    stretch: Duration,
) -> anyhow::Result<Rate> {
    let mut clients = Vec::new();
    for _ in 0..writers {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await?;
        tokio::spawn(connection);
        clients.push(sender);
    }
    let mut tasks = JoinSet::new();
    let started = Instant::now();
    for (writer, mut sender) in clients.into_iter().enumerate() {
        tasks.spawn(async move {
            let value = [b'x'; PAYLOAD];
            let mut done = 0;
            while started.elapsed() < stretch {
                let message = put(format!("bench/{writer}/{done}").as_bytes(), &value);
                let request = http::Request::post(format!("http://{address}/etcdserverpb.KV/Put"))
                    .header("content-type", "application/grpc")
                    .header("te", "trailers")
                    .body(Full::new(message))?;
                let answer = sender.send_request(request).await?.into_body().collect().await?;
                let trailers = answer.trailers().context("etcd's answer has no status")?;
                if trailers.get("grpc-status").is_none_or(|status| status != "0") {
                    bail!("etcd refused a put: {trailers:?}");
                }
                done += 1;
            }
            anyhow::Ok(done)
        });
    }
    sum(tasks, started).await
}

/// Returns a framed `PutRequest`: the key is field 1, the value field 2.
fn put(key: &[u8], value: &[u8]) -> Bytes {
    let mut message = BytesMut::new();
    for (tag, bytes) in [(0x0a, key), (0x12, value)] {
        message.put_u8(tag);
        let mut length = bytes.len();
        while length >= 0x80 {
            message.put_u8(u8::try_from(length & 0x7f).unwrap_or_default() | 0x80);
            length >>= 7;
        }
        message.put_u8(u8::try_from(length).unwrap_or_default());
        message.extend_from_slice(bytes);
    }
    let mut framed = BytesMut::with_capacity(message.len() + 5);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or_default());
    framed.extend_from_slice(&message);
    framed.freeze()
}
