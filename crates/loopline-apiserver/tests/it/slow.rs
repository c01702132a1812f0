//! Clients that take their time, and handlers that panic: each costs only itself.
//!
//! The clock of these tests jumps to the next alarm when nothing else is to be done, so a client
//! that is waited for a minute costs no time.

use std::time::Duration;

use loopline_apiserver::admission::validator::{Validator, Verdict, VerdictFuture};
use loopline_apiserver::{Options, Server};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::support::{Served, make};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// How long the server waits for a client's first request, for each further one, and for a body.
const FIRST: Duration = Duration::from_secs(30);
const NEXT: Duration = Duration::from_secs(90);
const BODY: Duration = Duration::from_secs(60);

/// Serves a server whose store is no longer waited for, with the clock at rest.
async fn served(server: Server) -> Served {
    server.prepare().await.unwrap();
    let served = Served::of(server).await;
    tokio::time::pause();
    served
}

async fn connect(served: &Served) -> TcpStream {
    TcpStream::connect(served.url().replace("http://", "")).await.unwrap()
}

/// Reads until the server ends the connection; returns what it said, and after how long.
async fn rest(mut stream: TcpStream) -> (String, Duration) {
    let begun = Instant::now();
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    (said, begun.elapsed())
}

/// Sends a whole request and returns the head and the body of the answer.
async fn ask(served: &Served, request: &str) -> String {
    let mut stream = connect(served).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    rest(stream).await.0
}

#[track_caller]
fn about(found: Duration, expected: Duration) {
    let slack = Duration::from_secs(2);
    assert!(found + slack >= expected && found <= expected + slack, "{found:?}, not {expected:?}");
}

#[tokio::test]
async fn who_never_ends_the_head_of_a_request_is_cut_off() {
    let served = served(Server::new(Options::ephemeral().unwrap())).await;
    for begin in ["", "GET /version HTTP/1.1\r\nhost: a\r\n", "GET /version HTTP/1.1\r\nx-a: "] {
        let mut slow = connect(&served).await;
        slow.write_all(begin.as_bytes()).await.unwrap();
        let (said, after) = rest(slow).await;
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 408"), "{said}");
        about(after, FIRST);
    }
    // A connection that has had an answer is waited for longer, and then as little for ever.
    let mut slow = connect(&served).await;
    slow.write_all(b"GET /version HTTP/1.1\r\nhost: a\r\n\r\nGET /vers").await.unwrap();
    let (said, after) = rest(slow).await;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    about(after, NEXT);
    let answer =
        ask(&served, "GET /version HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn who_never_ends_a_body_is_told_and_cut_off() {
    let served = served(Server::new(Options::ephemeral().unwrap())).await;
    let begun = Instant::now();
    let mut slow = Vec::new();
    for _ in 0..50 {
        let mut stream = connect(&served).await;
        let head = format!(
            "POST {MAPS} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
             connection: close\r\ncontent-length: 500\r\n\r\n{{\"metadata\": "
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    for stream in slow {
        let (said, _) = rest(stream).await;
        assert!(said.starts_with("HTTP/1.1 504"), "{said}");
        assert!(said.contains("request did not complete within the allotted timeout"), "{said}");
        assert!(said.contains("\"reason\":\"Timeout\""), "{said}");
    }
    about(begun.elapsed(), BODY);
}

/// A validator with a mistake.
struct Broken;

impl Validator for Broken {
    fn name(&self) -> &str {
        "broken"
    }

    fn review<'a>(&'a self, request: &'a Value) -> VerdictFuture<'a> {
        let name = request["name"].as_str().unwrap_or("").to_owned();
        Box::pin(async move {
            assert_ne!(name, "panic", "a mistake in a policy");
            Ok(Verdict::default())
        })
    }
}

#[tokio::test]
async fn a_handler_that_panics_costs_its_request_alone() {
    let mut options = Options::ephemeral().unwrap();
    options.validators.push(Box::new(Broken));
    let served = Served::of(Server::new(options)).await;
    let post = |name: &str, more: &str| {
        let body = json!({"metadata": {"name": name}}).to_string();
        format!(
            "POST {MAPS} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n{more}\
             content-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    // The same connection goes on.
    let both = [post("panic", ""), post("a", "connection: close\r\n")].concat();
    let said = ask(&served, &both).await;
    assert!(said.starts_with("HTTP/1.1 500"), "{said}");
    assert!(said.contains("Internal error occurred: the request's handler panicked"), "{said}");
    assert!(said.contains("HTTP/1.1 201"), "{said}");
    // So does everybody else: what the request held is free again.
    for name in ["panic", "b", "panic", "c"] {
        let said = ask(&served, &post(name, "connection: close\r\n")).await;
        let expected = if name == "panic" { "HTTP/1.1 500" } else { "HTTP/1.1 201" };
        assert!(said.starts_with(expected), "{said}");
    }
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "d"}});
    make(&served.server, map).await.ok();
}
