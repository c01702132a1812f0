//! How long after a write those who watch have it.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use loopline_apiserver::auth::User;
use loopline_apiserver::http::Body;
use tokio::task::JoinSet;

use super::load::{Client, Ours};
use super::wire::Wire;

/// How many writes every watcher is to see.
const EVENTS: usize = 200;
/// How long the writer rests between two writes: delivery is measured, not throughput.
const REST: Duration = Duration::from_millis(20);

/// The middle and the tail of many durations, in milliseconds.
pub(super) struct Spread {
    p50: f64,
    p99: f64,
}

impl Spread {
    fn of(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or(f64::NAN);
        Self { p50: at(50), p99: at(99) }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} / {:.2} ms", self.p50, self.p99)
    }
}

/// What delivery took.
pub(super) struct Delivery {
    /// From the answer to the writer; 0 where the watcher had the event before.
    pub(super) after_answer: Spread,
    /// From the writer's request, the flush to the disk included.
    pub(super) after_request: Spread,
}

/// A stream of events.
enum Events {
    InProcess(Body),
    Http(Box<Wire>),
}

impl Events {
    async fn open(ours: &Ours) -> anyhow::Result<Self> {
        const PATH: &str = "/api/v1/namespaces/default/configmaps?watch=true&resourceVersion=0";
        match ours.client().await? {
            Client::InProcess(server) => {
                let request = http::Request::get(PATH)
                    .header("accept", "application/json")
                    .body(Full::new(Bytes::new()))?;
                Ok(Self::InProcess(server.handle(request, User::administrator()).await.into_body()))
            }
            Client::Http(mut wire) => {
                wire.send("GET", PATH, b"").await?;
                let (code, _) = wire.head().await?;
                if code != 200 {
                    bail!("watch: {code}");
                }
                Ok(Self::Http(wire))
            }
        }
    }

    async fn next(&mut self) -> anyhow::Result<Bytes> {
        match self {
            Self::InProcess(body) => {
                let frame = body.frame().await.context("the watch ended")?;
                let frame = frame.map_err(anyhow::Error::from_boxed)?;
                frame.into_data().ok().context("a frame of data")
            }
            Self::Http(wire) => Ok(wire.chunk().await?.context("the watch ended")?.into()),
        }
    }
}

/// Has so many watchers see [`EVENTS`] writes, one after the other.
pub(super) async fn measure(ours: &Ours, watchers: usize) -> anyhow::Result<Delivery> {
    let mut tasks = JoinSet::new();
    for _ in 0..watchers {
        let mut events = Events::open(ours).await?;
        tasks.spawn(async move {
            let mut seen = Vec::with_capacity(EVENTS);
            while seen.len() < EVENTS {
                let data = events.next().await?;
                let now = Instant::now();
                let added = data.split(|byte| *byte == b'\n').filter(|line| is_marked(line));
                seen.extend(added.map(|_| now));
            }
            anyhow::Ok(seen)
        });
    }
    let mut client = ours.client().await?;
    let mut written = Vec::with_capacity(EVENTS);
    for number in 0..EVENTS {
        tokio::time::sleep(REST).await;
        let asked = Instant::now();
        client.create(&format!("marked-{number}"), 0).await?;
        written.push((asked, Instant::now()));
    }
    let (mut after_answer, mut after_request) = (Vec::new(), Vec::new());
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    while let Some(seen) = tasks.join_next().await {
        for (at, (asked, answered)) in seen??.into_iter().zip(&written) {
            after_request.push(milliseconds(at.duration_since(*asked)));
            after_answer.push(milliseconds(at.saturating_duration_since(*answered)));
        }
    }
    Ok(Delivery {
        after_answer: Spread::of(after_answer),
        after_request: Spread::of(after_request),
    })
}

/// Returns whether a line is the event of one of the writes.
fn is_marked(line: &[u8]) -> bool {
    const MARK: &[u8] = b"\"marked-";
    line.windows(MARK.len()).any(|window| window == MARK)
}
