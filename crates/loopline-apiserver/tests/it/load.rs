//! Many watchers, watchers that do not read, a disk that is full.
//!
//! Tests that look at the memory of their process, or that need a disk of their own, run alone in
//! a child: this test's own program, started anew.
#![expect(clippy::disallowed_methods, reason = "children, and their environment")]

use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use loopline_apiserver::auth::User;
use loopline_apiserver::http::{Body, Listener, serve};
use loopline_apiserver::{Options, Server};
use loopline_store::object::{Durability, SqliteOptions, SqliteStore};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::support::{ask, server};

/// Set in a child: the test that it runs.
const ALONE: &str = "LOOPLINE_TEST_ALONE";
/// Where maps are made.
const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// Runs a test in a process of its own, started by `command` with the program and its arguments;
/// returns whether this is that process.
fn is_alone(name: &str, command: &mut Command) -> bool {
    if std::env::var_os(ALONE).is_some_and(|alone| alone == name) {
        return true;
    }
    command.args(["--exact", name, "--nocapture"]).env(ALONE, name);
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{text}");
    assert!(text.contains("1 passed"), "{text}");
    false
}

fn program() -> Command {
    Command::new(std::env::current_exe().unwrap())
}

/// Returns the memory of this process that is not files, in KiB.
fn memory_kib() -> u64 {
    let text = fs_err::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

async fn watch(server: &Server, path: &str) -> Body {
    let request = http::Request::get(path).body(Full::new(Bytes::new())).unwrap();
    let reply = server.handle(request, User::administrator()).await;
    assert_eq!(reply.status(), 200);
    reply.into_body()
}

async fn next(body: &mut Body) -> Value {
    let frame = body.frame().await.unwrap().unwrap();
    serde_json::from_slice(frame.data_ref().unwrap()).unwrap()
}

fn map(name: &str, payload: usize) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name},
        "data": {"k": "x".repeat(payload)},
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_watchers_have_every_event() {
    const WATCHERS: usize = 10_000;
    const EVENTS: usize = 3;
    /// The most memory that a waiting watcher may take, in bytes.
    const EACH: u64 = 16 * 1024;
    if !is_alone("load::ten_thousand_watchers_have_every_event", &mut program()) {
        return;
    }
    let server = server();
    server.prepare().await.unwrap();
    let from = ask(&server, "GET", MAPS, Value::Null).await.ok();
    let from = from["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let path = format!("{MAPS}?watch=true&resourceVersion={from}");
    let before = memory_kib();
    let mut watches = Vec::new();
    for _ in 0..WATCHERS {
        watches.push(watch(&server, &path).await);
    }
    let each = (memory_kib() - before) * 1024 / WATCHERS as u64;
    println!("{each} bytes for each watcher");
    assert!(each < EACH, "{each} bytes for each watcher");
    let reading = tokio::spawn(async move {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for body in &mut watches {
            for _ in 0..EVENTS {
                let event = next(body).await;
                assert_eq!(event["type"], "ADDED");
                let name = event["object"]["metadata"]["name"].as_str().unwrap();
                *seen.entry(name.to_owned()).or_default() += 1;
            }
        }
        seen
    });
    for number in 0..EVENTS {
        ask(&server, "POST", MAPS, map(&format!("m{number}"), 10)).await.ok();
    }
    let seen = reading.await.unwrap();
    assert_eq!(seen.into_values().collect::<Vec<_>>(), [WATCHERS; EVENTS]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_that_does_not_read_holds_nobody_up_and_misses_nothing() {
    const WRITES: u64 = 400;
    const PAYLOAD: usize = 200_000;
    /// How much memory may grow by while twice as much is unread: the store keeps the latest
    /// changes, and the watcher the few that it took last.
    const MAX_MORE_KIB: u64 = 40 * 1024;
    let name = "load::a_watcher_that_does_not_read_holds_nobody_up_and_misses_nothing";
    if !is_alone(name, &mut program()) {
        return;
    }
    let server = server();
    server.prepare().await.unwrap();
    let listener = Listener::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let mut connection = TcpStream::connect(listener.address()).await.unwrap();
    tokio::spawn(serve(server.clone(), listener));
    let made = ask(&server, "POST", MAPS, map("m", PAYLOAD)).await.ok();
    let mut revision = made["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let request =
        format!("GET {MAPS}?watch=true&resourceVersion={revision} HTTP/1.1\r\nHost: x\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut lines = BufReader::new(connection).lines();
    assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("HTTP/1.1 200 OK"));
    let path = format!("{MAPS}/m");
    let mut revisions = Vec::new();
    let before = memory_kib();
    for number in 0..WRITES {
        let mut next = map("m", PAYLOAD);
        next["data"]["number"] = json!(number.to_string());
        next["metadata"]["resourceVersion"] = json!(revision);
        let written = ask(&server, "PUT", &path, next).await.ok();
        written["metadata"]["resourceVersion"].as_str().unwrap().clone_into(&mut revision);
        revisions.push(revision.clone());
    }
    let more = memory_kib().saturating_sub(before);
    println!("{more} KiB more");
    assert!(more < MAX_MORE_KIB, "{more} KiB more while nobody read");
    // It begins to read, and has missed nothing.
    for expected in revisions {
        let event = loop {
            let line = lines.next_line().await.unwrap().unwrap();
            if line.starts_with('{') {
                break serde_json::from_str::<Value>(&line).unwrap();
            }
        };
        assert_eq!(event["object"]["metadata"]["resourceVersion"], *expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_writes_and_loses_nothing() {
    const PAYLOAD: usize = 20_000;
    let name = "load::a_full_disk_refuses_writes_and_loses_nothing";
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "--propagation", "private"]);
    if !command.arg("true").status().is_ok_and(|status| status.success()) {
        println!("skipped: no mount namespaces of one's own here (unshare --user --mount)");
        return;
    }
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "--propagation", "private", "sh", "-c"]);
    command.arg(r#"mount -t tmpfs -o size=12m tmpfs "$1" && cd "$1" && shift && exec "$@""#);
    command.arg("sh").arg(folder.path()).arg(std::env::current_exe().unwrap());
    if !is_alone(name, &mut command) {
        return;
    }
    // The working folder is the small disk.
    let ballast = "ballast";
    fs_err::write(ballast, vec![0; 4 << 20]).unwrap();
    let open = || {
        SqliteStore::open(&SqliteOptions {
            folder: "store".into(),
            durability: Durability::Full,
            owner: "a test".to_owned(),
        })
    };
    let server = || {
        let mut options = Options::ephemeral().unwrap();
        options.store = Arc::new(open().unwrap());
        Server::new(options)
    };
    let running = server();
    running.prepare().await.unwrap();
    let mut acknowledged = Vec::new();
    let refused = loop {
        let name = format!("m{}", acknowledged.len());
        let answer = ask(&running, "POST", MAPS, map(&name, PAYLOAD)).await;
        if answer.code != 201 {
            break answer;
        }
        acknowledged.push(name);
    };
    let (code, message) = refused.refused();
    assert_eq!(code, 503);
    assert!(message.starts_with("the object store refuses writes: write to store/"), "{message}");
    assert!(message.ends_with("database or disk is full"), "{message}");
    assert!(acknowledged.len() > 50, "{}", acknowledged.len());
    let names = |list: Value| -> Vec<String> {
        let items = list["items"].as_array().unwrap().clone();
        let names = items.iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned());
        let mut names: Vec<_> = names.filter(|name| name.starts_with('m')).collect();
        names.sort_by_key(|name| name[1..].parse::<u32>().unwrap());
        names
    };
    // Reads go on; so do refusals that need no disk.
    assert_eq!(names(ask(&running, "GET", MAPS, Value::Null).await.ok()), acknowledged);
    assert_eq!(ask(&running, "GET", "/readyz", Value::Null).await.code, 200);
    assert_eq!(ask(&running, "POST", MAPS, map("m0", 1)).await.code, 409);
    // Space comes back, and so do writes.
    fs_err::remove_file(ballast).unwrap();
    for _ in 0..5 {
        let name = format!("m{}", acknowledged.len());
        ask(&running, "POST", MAPS, map(&name, PAYLOAD)).await.ok();
        acknowledged.push(name);
    }
    drop(running);
    let again = server();
    assert_eq!(names(ask(&again, "GET", MAPS, Value::Null).await.ok()), acknowledged);
}
