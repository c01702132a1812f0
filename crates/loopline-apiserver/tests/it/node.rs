//! A node that runs the commands of all containers as plain processes of this machine, keeps logs
//! in memory, and takes the ports of pods for ports of the loopback.

use std::collections::HashMap;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::StreamExt as _;
use loopline_apiserver::Status;
use loopline_apiserver::stream::{
    Connection, Container, Exit, LogLine, LogLines, LogOptions, Node, NodeFuture, Process,
};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::broadcast;

/// How many lines a follower may be behind.
const MAX_BEHIND: usize = 1024;

/// The log of a container and who follows it.
pub(crate) struct Log {
    lines: Mutex<Vec<LogLine>>,
    news: broadcast::Sender<LogLine>,
}

/// The node.
#[derive(Default)]
pub(crate) struct Local {
    /// By container, `-previous` added for the run before.
    logs: Mutex<HashMap<String, Arc<Log>>>,
}

impl Local {
    pub(crate) fn log(&self, container: &str) -> Arc<Log> {
        let mut logs = self.logs.lock().unwrap();
        Arc::clone(logs.entry(container.to_owned()).or_insert_with(|| {
            Arc::new(Log { lines: Mutex::default(), news: broadcast::channel(MAX_BEHIND).0 })
        }))
    }

    pub(crate) fn write(&self, container: &str, time: &str, text: &str) {
        let line = LogLine { time: time.parse().unwrap(), text: Bytes::from(format!("{text}\n")) };
        let log = self.log(container);
        let mut lines = log.lines.lock().unwrap();
        lines.push(line.clone());
        // Nobody may be following.
        let _ = log.news.send(line);
    }

    /// Ends a log, and with it whatever follows it.
    pub(crate) fn end(&self, container: &str) {
        self.logs.lock().unwrap().remove(container);
    }

    pub(crate) fn followers(&self, container: &str) -> usize {
        self.log(container).news.receiver_count()
    }
}

impl Node for Local {
    fn exec<'a>(
        &'a self,
        container: &'a Container,
        command: &'a [String],
        process: Process,
    ) -> NodeFuture<'a, Exit> {
        Box::pin(async move {
            if command == ["sizes"] {
                return sizes(process).await;
            }
            let mut child = tokio::process::Command::new(&command[0])
                .args(&command[1..])
                .env("CONTAINER", &container.name)
                .stdin(if process.stdin.is_some() { Stdio::piped() } else { Stdio::null() })
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
                .map_err(Status::internal)?;
            let (stdin, mut stdout, mut stderr) =
                (child.stdin.take(), child.stdout.take().unwrap(), child.stderr.take().unwrap());
            let input = tokio::spawn(async move {
                if let (Some(mut from), Some(mut to)) = (process.stdin, stdin) {
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                }
            });
            let (mut out, mut err) = (process.stdout, process.stderr);
            let output = async {
                match &mut out {
                    Some(to) => tokio::io::copy(&mut stdout, to).await,
                    None => tokio::io::copy(&mut stdout, &mut tokio::io::sink()).await,
                }
            };
            let errors = async {
                match &mut err {
                    Some(to) => tokio::io::copy(&mut stderr, to).await,
                    None => tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await,
                }
            };
            let (status, _, _) = tokio::join!(child.wait(), output, errors);
            input.abort();
            Ok(Exit { code: status.map_err(Status::internal)?.code().unwrap_or(137) })
        })
    }

    fn attach<'a>(&'a self, container: &'a Container, process: Process) -> NodeFuture<'a, Exit> {
        let command = ["sh", "-c", "echo attached to $CONTAINER; cat"].map(ToOwned::to_owned);
        Box::pin(async move { self.exec(container, &command, process).await })
    }

    fn logs<'a>(
        &'a self,
        container: &'a Container,
        options: &'a LogOptions,
    ) -> NodeFuture<'a, LogLines> {
        let name = if options.previous {
            format!("{}-previous", container.name)
        } else {
            container.name.clone()
        };
        Box::pin(async move {
            if !self.logs.lock().unwrap().contains_key(&name) {
                return Err(Status::bad_request(format!(
                    "previous terminated container {:?} in pod {:?} not found",
                    container.name,
                    container.pod["metadata"]["name"].as_str().unwrap()
                )));
            }
            let log = self.log(&name);
            let lines = log.lines.lock().unwrap();
            let mut shown: Vec<LogLine> = lines
                .iter()
                .filter(|line| options.since.is_none_or(|since| line.time >= since))
                .cloned()
                .collect();
            if let Some(tail) = options.tail_lines {
                let skip = shown.len().saturating_sub(usize::try_from(tail).unwrap());
                shown.drain(..skip);
            }
            let news = log.news.subscribe();
            drop(lines);
            let old = futures_util::stream::iter(shown);
            let follow = options.follow;
            let new = futures_util::stream::unfold(news, move |mut news| async move {
                if !follow {
                    return None;
                }
                news.recv().await.ok().map(|line| (line, news))
            });
            Ok(Box::pin(old.chain(new).map(Ok)) as LogLines)
        })
    }

    fn connect_pod<'a>(&'a self, _: &'a Value, port: u16) -> NodeFuture<'a, Connection> {
        Box::pin(async move {
            let stream = TcpStream::connect(("127.0.0.1", port)).await.map_err(Status::internal)?;
            Ok(Box::pin(stream) as Pin<Box<_>>)
        })
    }

    fn connect_node<'a>(&'a self, node: &'a Value, port: u16) -> NodeFuture<'a, Connection> {
        self.connect_pod(node, port)
    }
}

/// Writes the sizes of the client's terminal until its input ends.
async fn sizes(mut process: Process) -> Result<Exit, Status> {
    let mut stdout = process.stdout.take().unwrap();
    loop {
        let size = *process.resize.borrow_and_update();
        if let Some(size) = size {
            let text = format!("size {}x{}\r\n", size.width, size.height);
            stdout.write_all(text.as_bytes()).await.map_err(Status::internal)?;
            if size.height == 33 {
                return Ok(Exit { code: 0 });
            }
        }
        process.resize.changed().await.map_err(Status::internal)?;
    }
}
