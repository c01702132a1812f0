//! Clients that do one thing over and over, and how often they could.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use loopline_apiserver::Server;
use loopline_apiserver::auth::User;
use loopline_store::object::{ObjectStore as _, Precondition, SqliteStore};
use tokio::task::JoinSet;

use super::wire::Wire;

/// How many objects reads are measured on.
pub(super) const READ_OBJECTS: usize = 500;
/// How many bytes every value carries.
pub(super) const PAYLOAD: usize = 1024;
/// How many clients fill a server.
const FILLERS: usize = 32;
/// Where objects are made.
const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// How often something was done.
#[derive(Clone, Copy)]
pub(super) struct Rate {
    pub(super) count: f64,
    pub(super) per_second: f64,
    /// The server's processor time for each, in microseconds.
    pub(super) cpu_micros: Option<f64>,
}

impl Rate {
    #[expect(clippy::cast_precision_loss, reason = "counts of a few seconds")]
    fn new(count: u64, taken: Duration) -> Self {
        let count = count as f64;
        Self { count, per_second: count / taken.as_secs_f64(), cpu_micros: None }
    }

    /// Returns the one in the middle.
    pub(super) fn median(rates: &mut [Self]) -> Option<Self> {
        rates.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
        rates.get(rates.len() / 2).copied()
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0}", self.per_second)?;
        match self.cpu_micros {
            Some(micros) => write!(f, " ({micros:.0} us cpu)"),
            None => Ok(()),
        }
    }
}

/// Our server, and how it is reached.
#[derive(Clone)]
pub(super) enum Ours {
    /// By calls in this process.
    InProcess(Server),
    /// By HTTP/1.1 over loopback.
    Http(SocketAddr),
}

/// One client of ours.
pub(super) enum Client {
    InProcess(Server),
    Http(Box<Wire>),
}

impl Ours {
    pub(super) async fn client(&self) -> anyhow::Result<Client> {
        Ok(match self {
            Self::InProcess(server) => Client::InProcess(server.clone()),
            Self::Http(address) => Client::Http(Box::new(Wire::connect(*address).await?)),
        })
    }

    /// Makes `count` objects.
    pub(super) async fn fill(&self, count: usize) -> anyhow::Result<()> {
        let mut tasks = JoinSet::new();
        for filler in 0..FILLERS {
            let mut client = self.client().await?;
            tasks.spawn(async move {
                for number in (filler..count).step_by(FILLERS) {
                    client.create(&format!("fill-{number}"), number % 100).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        Ok(())
    }
}

impl Client {
    /// Makes an object.
    pub(super) async fn create(&mut self, name: &str, hundredth: usize) -> anyhow::Result<()> {
        let payload = "x".repeat(PAYLOAD);
        let body = format!(
            r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{name}","labels":{{"hundredth":"{hundredth}"}}}},"data":{{"payload":"{payload}"}}}}"#
        );
        let (code, answer) = self.call("POST", MAPS, body.into_bytes()).await?;
        if code != 201 {
            bail!("create {name}: {code} {}", String::from_utf8_lossy(&answer));
        }
        Ok(())
    }

    pub(super) async fn call(
        &mut self,
        method: &str,
        path: &str,
        body: Vec<u8>,
    ) -> anyhow::Result<(u16, Bytes)> {
        match self {
            Self::Http(wire) => {
                let (code, answer) = wire.call(method, path, &body).await?;
                Ok((code, answer.into()))
            }
            Self::InProcess(server) => {
                let request = http::Request::builder()
                    .method(method)
                    .uri(path)
                    .header("accept", "application/json")
                    .header("content-type", "application/json")
                    .body(Full::new(Bytes::from(body)))?;
                let reply = server.handle(request, User::administrator()).await;
                let code = reply.status().as_u16();
                Ok((
                    code,
                    reply
                        .into_body()
                        .collect()
                        .await
                        .map_err(anyhow::Error::from_boxed)?
                        .to_bytes(),
                ))
            }
        }
    }
}

/// Fills a server that listens.
pub(super) async fn fill(address: SocketAddr, count: usize) -> anyhow::Result<()> {
    Ours::Http(address).fill(count).await
}

/// Makes objects with so many clients.
pub(super) async fn creates(
    ours: &Ours,
    writers: usize,
    stretch: Duration,
) -> anyhow::Result<Rate> {
    let mut tasks = JoinSet::new();
    let started = Instant::now();
    for writer in 0..writers {
        let mut client = ours.client().await?;
        tasks.spawn(async move {
            let mut done = 0;
            while started.elapsed() < stretch {
                client.create(&format!("w-{writer}-{done}"), 0).await?;
                done += 1;
            }
            anyhow::Ok(done)
        });
    }
    sum(tasks, started).await
}

/// Asks for a path with so many clients.
pub(super) async fn gets(
    ours: &Ours,
    path: &'static str,
    clients: usize,
    stretch: Duration,
) -> anyhow::Result<Rate> {
    let mut tasks = JoinSet::new();
    let started = Instant::now();
    for _ in 0..clients {
        let mut client = ours.client().await?;
        tasks.spawn(async move {
            let mut done = 0;
            while started.elapsed() < stretch {
                let (code, _) = client.call("GET", path, Vec::new()).await?;
                if code != 200 {
                    bail!("GET {path}: {code}");
                }
                done += 1;
            }
            anyhow::Ok(done)
        });
    }
    sum(tasks, started).await
}

/// Writes values of the same size into the bare store.
pub(super) async fn puts(
    store: &Arc<SqliteStore>,
    writers: usize,
    stretch: Duration,
) -> anyhow::Result<Rate> {
    let mut tasks = JoinSet::new();
    let started = Instant::now();
    for writer in 0..writers {
        let store = Arc::clone(store);
        tasks.spawn(async move {
            let value = Bytes::from(vec![b'x'; PAYLOAD]);
            let mut done = 0;
            while started.elapsed() < stretch {
                let key = format!("bench/{writer}/{done}");
                store.put(&key, value.clone(), Precondition::Absent).await?;
                done += 1;
            }
            anyhow::Ok(done)
        });
    }
    sum(tasks, started).await
}

/// Waits for clients and sums what they did.
pub(super) async fn sum(
    mut tasks: JoinSet<anyhow::Result<u64>>,
    started: Instant,
) -> anyhow::Result<Rate> {
    let mut count = 0;
    while let Some(done) = tasks.join_next().await {
        count += done??;
    }
    Ok(Rate::new(count, started.elapsed()))
}
