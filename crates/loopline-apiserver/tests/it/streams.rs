//! Commands, logs and forwarded ports: kubectl over HTTP, kube-rs in the same process and over
//! HTTP.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{AttachParams, AttachedProcess, LogParams, TerminalSize};
use loopline_apiserver::http::{Listener, serve};
use loopline_apiserver::{Options, Server};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

use crate::node::Local;
use crate::support::{Served, ask, make};

/// A server whose pods this machine runs.
fn served() -> (Server, Arc<Local>) {
    let node = Arc::new(Local::default());
    let mut options = Options::ephemeral().unwrap();
    options.node = Some(Arc::clone(&node) as _);
    (Server::new(options), node)
}

/// Makes a pod that runs.
async fn pod(server: &Server, name: &str, containers: &[&str], port: u16) {
    let containers: Vec<Value> = containers
        .iter()
        .map(|name| json!({"name": name, "image": "i", "ports": [{"containerPort": port}]}))
        .collect();
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": containers, "nodeName": "here"},
    });
    make(server, pod).await.ok();
    let path = format!("/api/v1/namespaces/default/pods/{name}/status");
    let names: Vec<Value> = ask(server, "GET", &path, Value::Null).await.ok()["spec"]["containers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|container| {
            json!({
                "name": container["name"], "image": "i", "imageID": "i", "ready": true,
                "restartCount": 0, "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
            })
        })
        .collect();
    let status = json!({"status": {
        "phase": "Running", "containerStatuses": names,
        "conditions": [{"type": "Ready", "status": "True"}],
    }});
    ask(server, "PATCH", &path, status).await.ok();
}

/// Runs kubectl and asserts that it went well.
macro_rules! run {
    ($served:expr, $($argument:expr),+) => {{
        let Some((ok, text)) = $served.kubectl(&[$($argument),+]).await else { return };
        assert!(ok, "{text}");
        text
    }};
}

async fn over_http(server: &Server) -> kube::Client {
    let listener = Listener::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let url = format!("http://{}", listener.address());
    tokio::spawn(serve(server.clone(), listener));
    let mut config = kube::Config::new(url.parse().unwrap());
    config.default_namespace = "default".to_owned();
    kube::Client::try_from(config).unwrap()
}

async fn output(mut process: AttachedProcess) -> (String, String, Value) {
    let (mut out, mut err) = (String::new(), String::new());
    let status = process.take_status().unwrap();
    let mut stdout = process.stdout().unwrap();
    stdout.read_to_string(&mut out).await.unwrap();
    if let Some(mut stderr) = process.stderr() {
        stderr.read_to_string(&mut err).await.unwrap();
    }
    (out, err, serde_json::to_value(status.await.unwrap()).unwrap())
}

#[tokio::test]
async fn kube_runs_commands_in_process_and_over_http() {
    let (server, _) = served();
    pod(&server, "web", &["main"], 80).await;
    for client in [server.client(), over_http(&server).await] {
        let pods: Api<Pod> = Api::default_namespaced(client);
        let both = AttachParams::default().stdout(true).stderr(true);
        let script = ["sh", "-c", "echo out; echo err >&2; exit 3"];
        let (out, err, status) = output(pods.exec("web", script, &both).await.unwrap()).await;
        assert_eq!((out.as_str(), err.as_str()), ("out\n", "err\n"));
        assert_eq!(status["reason"], "NonZeroExitCode");
        assert_eq!(status["details"]["causes"][0]["message"], "3");

        let with_input = AttachParams::default().stdin(true).stdout(true).stderr(false);
        let mut process = pods.exec("web", ["sha256sum"], &with_input).await.unwrap();
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        let mut stdin = process.stdin().unwrap();
        stdin.write_all(&bytes).await.unwrap();
        stdin.shutdown().await.unwrap();
        drop(stdin);
        let (out, _, status) = output(process).await;
        assert_eq!(out, format!("{}  -\n", hex(&Sha256::digest(&bytes))));
        assert_eq!(status["status"], "Success");

        let mut process = pods.attach("web", &with_input).await.unwrap();
        // Dropping this pipe does not end it.
        process.stdin().unwrap().shutdown().await.unwrap();
        let (out, _, _) = output(process).await;
        assert_eq!(out, "attached to main\n");

        let tty = AttachParams::interactive_tty().stderr(false);
        let mut process = pods.exec("web", ["sizes"], &tty).await.unwrap();
        let mut sizes = process.terminal_size().unwrap();
        futures_util::SinkExt::send(&mut sizes, TerminalSize { width: 99, height: 33 })
            .await
            .unwrap();
        assert_eq!(output(process).await.0, "size 99x33\r\n");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Echoes what comes in, and closes after its end.
async fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    port
}

#[tokio::test]
async fn kube_forwards_ports_in_process_and_over_http() {
    let (server, _) = served();
    let port = echo().await;
    pod(&server, "web", &["main"], port).await;
    for client in [server.client(), over_http(&server).await] {
        let pods: Api<Pod> = Api::default_namespaced(client);
        let mut forwarder = pods.portforward("web", &[port, 1]).await.unwrap();
        let refused = forwarder.take_error(1).unwrap().await.unwrap();
        assert!(refused.contains("error forwarding port 1 to pod web"), "{refused}");
        let mut stream = forwarder.take_stream(port).unwrap();
        stream.write_all(b"hello").await.unwrap();
        let mut bytes = [0; 5];
        stream.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"hello");
        forwarder.abort();
    }
}

#[tokio::test]
async fn logs_are_shown_as_asked() {
    let (server, node) = served();
    pod(&server, "web", &["main"], 80).await;
    pod(&server, "two", &["a", "b"], 80).await;
    for second in 0..5 {
        node.write("main", &format!("2026-01-01T00:00:0{second}Z"), &format!("line {second}"));
    }
    node.write("main-previous", "2025-01-01T00:00:00Z", "before");
    let pods: Api<Pod> = Api::default_namespaced(server.client());
    let logs = async |change: fn(&mut LogParams)| {
        let mut parameters = LogParams::default();
        change(&mut parameters);
        pods.logs("web", &parameters).await.unwrap()
    };
    assert_eq!(logs(|log| log.tail_lines = Some(2)).await, "line 3\nline 4\n");
    assert_eq!(logs(|log| log.previous = true).await, "before\n");
    assert_eq!(logs(|log| log.limit_bytes = Some(9)).await, "line 0\nli");
    let since = logs(|log| log.since_time = Some("2026-01-01T00:00:04Z".parse().unwrap())).await;
    assert_eq!(since, "line 4\n");
    let stamped = logs(|log| {
        log.timestamps = true;
        log.tail_lines = Some(1);
    });
    assert_eq!(stamped.await, "2026-01-01T00:00:04.000000000Z line 4\n");
    for (path, code, message) in [
        ("two/log", 400, "a container name must be specified for pod two, choose one of: [a b]"),
        ("two/log?container=c", 400, "container c is not valid for pod two"),
        (
            "two/log?container=a&previous=true",
            400,
            "previous terminated container \"a\" in pod \"two\" not found",
        ),
        ("none/log", 404, "pods \"none\" not found"),
        (
            "web/log?tailLines=-1",
            422,
            "PodLogOptions \"web\" is invalid: tailLines: Invalid value: -1: must be greater than \
             or equal to 0",
        ),
    ] {
        let path = format!("/api/v1/namespaces/default/pods/{path}");
        let answer = ask(&server, "GET", &path, Value::Null).await;
        assert_eq!(answer.refused(), (code, message), "{path}");
    }
}

#[tokio::test]
async fn without_a_node_the_errors_are_those_of_kubernetes() {
    let server = Server::new(Options::ephemeral().unwrap());
    pod(&server, "lost", &["main"], 80).await;
    let unplaced = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "new"},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    });
    make(&server, unplaced).await.ok();
    let exec = "exec?command=a&stdout=true";
    for (path, code, message) in [
        (format!("new/{exec}"), 400, "pod new does not have a host assigned"),
        (format!("lost/{exec}"), 404, "nodes \"here\" not found"),
        ("lost/log".to_owned(), 404, "nodes \"here\" not found"),
        (
            "lost/exec?command=a".to_owned(),
            400,
            "you must specify at least 1 of stdin, stdout, stderr",
        ),
        ("lost/portforward".to_owned(), 400, "Upgrade request required"),
    ] {
        let path = format!("/api/v1/namespaces/default/pods/{path}");
        let answer = ask(&server, "GET", &path, Value::Null).await;
        assert_eq!(answer.refused(), (code, message), "{path}");
    }
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "here"}});
    make(&server, node).await.ok();
    let path = format!("/api/v1/namespaces/default/pods/lost/{exec}");
    let answer = ask(&server, "GET", &path, Value::Null).await;
    assert!(answer.refused().1.starts_with("error dialing backend: "), "{answer:?}");
    let log = ask(&server, "GET", "/api/v1/namespaces/default/pods/new/log", Value::Null).await;
    assert_eq!(log.code, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_runs_commands_and_copies_files() {
    let (server, _) = served();
    let served = Served::of(server).await;
    pod(&served.server, "web", &["main"], 80).await;
    assert_eq!(run!(served, "exec", "web", "--", "echo", "hello"), "hello\n");
    let Some((ok, text)) = served.kubectl(&["exec", "web", "--", "sh", "-c", "exit 7"]).await
    else {
        return;
    };
    assert!(!ok && text.contains("exit code 7"), "{text}");
    let (code, text) = served.shell("echo from stdin | kubectl exec -i web -- cat").await;
    assert_eq!((code, text.as_str()), (0, "from stdin\n"));
    let (code, _) = served.shell("kubectl exec web -- sh -c 'exit 7'").await;
    assert_eq!(code, 7);
    let (code, text) = served.shell("echo more | kubectl attach -i web").await;
    assert!(code == 0 && text.contains("attached to main\nmore\n"), "{text}");
    let (code, text) = served
        .shell(
            "script -qec 'stty rows 33 cols 101; kubectl exec -it web -- sizes' /dev/null \
             </dev/null",
        )
        .await;
    assert!(code == 0 && text.contains("size 101x33"), "{code} {text}");
    let (code, text) = served
        .shell(
            "mkdir there && head -c 5000000 /dev/urandom > a && kubectl cp a web:$PWD/there/b && \
             kubectl cp web:$PWD/there/b c && cmp a there/b && cmp a c && echo same",
        )
        .await;
    assert!(code == 0 && text.ends_with("same\n"), "{code} {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_shows_and_follows_logs() {
    let (server, node) = served();
    let served = Served::of(server).await;
    pod(&served.server, "web", &["main"], 80).await;
    for second in 0..5 {
        node.write("main", &format!("2026-01-01T00:00:0{second}Z"), &format!("line {second}"));
    }
    node.write("main-previous", "2025-01-01T00:00:00Z", "before");
    assert_eq!(run!(served, "logs", "web", "--tail", "1"), "line 4\n");
    assert_eq!(run!(served, "logs", "web", "--previous"), "before\n");
    assert_eq!(
        run!(served, "logs", "-l", "app=web", "--tail", "1", "--prefix"),
        "[pod/web/main] line 4\n"
    );
    let mut following = served.spawn("exec kubectl logs -f web --tail 1");
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    assert_eq!(lines.next_line().await.unwrap().unwrap(), "line 4");
    assert_eq!(node.followers("main"), 1);
    node.write("main", "2026-01-01T00:00:09Z", "later");
    assert_eq!(lines.next_line().await.unwrap().unwrap(), "later");
    node.end("main");
    assert_eq!(lines.next_line().await.unwrap(), None);
    assert!(following.wait().await.unwrap().success());
}

/// How much is sent through a forwarded port.
const TRANSFER_BYTES: usize = 100 * 1024 * 1024;

/// Answers one HTTP request a connection: with many bytes, or with the sum of what was sent.
async fn web() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let service = hyper::service::service_fn(answer);
                let io = hyper_util::rt::TokioIo::new(stream);
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
            });
        }
    });
    port
}

async fn answer(
    request: http::Request<hyper::body::Incoming>,
) -> Result<http::Response<http_body_util::Full<bytes::Bytes>>, hyper::Error> {
    use http_body_util::BodyExt as _;
    let path = request.uri().to_string();
    let body = match path.as_str() {
        "/sum" => {
            let mut sum = Sha256::new();
            let mut body = request.into_body();
            while let Some(frame) = body.frame().await {
                if let Ok(bytes) = frame?.into_data() {
                    sum.update(&bytes);
                }
            }
            hex(&sum.finalize()).into_bytes()
        }
        "/much" => (0..TRANSFER_BYTES).map(|n| (n % 253) as u8).collect(),
        other => format!("path {other}").into_bytes(),
    };
    Ok(http::Response::new(http_body_util::Full::new(body.into())))
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_forwards_ports_and_much_goes_through_both_ways() {
    let (server, _) = served();
    let served = Served::of(server).await;
    let port = web().await;
    pod(&served.server, "web", &["main"], port).await;
    let mut forwarding =
        served.spawn(&format!("exec kubectl port-forward --address 127.0.0.1 web :{port}"));
    let mut lines = BufReader::new(forwarding.stdout.take().unwrap()).lines();
    let Some(line) = lines.next_line().await.unwrap() else { return };
    let local = line.rsplit_once(" -> ").unwrap().0.rsplit_once(':').unwrap().1.to_owned();
    let url = format!("http://127.0.0.1:{local}");
    let (code, text) = served
        .shell(&format!(
            "set -e; for i in 1 2 3; do curl -sf {url}/$i; done; curl -sf {url}/much -o much; \
             wc -c < much; curl -sf -T much {url}/sum; echo; sha256sum < much | cut -d' ' -f1"
        ))
        .await;
    assert_eq!(code, 0, "{text}");
    let lines: Vec<&str> = text.lines().collect();
    let expected: Vec<u8> = (0..TRANSFER_BYTES).map(|n| (n % 253) as u8).collect();
    let sum = hex(&Sha256::digest(&expected));
    assert_eq!(lines, [&format!("path /1path /2path /3{TRANSFER_BYTES}"), &*sum, &*sum]);
    forwarding.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_passed_on_to_pods_and_services() {
    let (server, _) = served();
    let served = Served::of(server).await;
    let port = web().await;
    pod(&served.server, "web", &["main"], port).await;
    make(
        &served.server,
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
            "spec": {"ports": [{"name": "http", "port": 80}]},
        }),
    )
    .await
    .ok();
    let raw = "/api/v1/namespaces/default";
    let none = served.kubectl(&["get", "--raw", &format!("{raw}/services/web/proxy/")]).await;
    let Some((false, text)) = none else { return };
    assert!(text.contains("no endpoints available for service \"web\""), "{text}");
    make(
        &served.server,
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": "IPv4", "ports": [{"name": "http", "port": port}],
            "endpoints": [{
                "addresses": ["10.0.0.1"], "conditions": {"ready": true},
                "targetRef": {"kind": "Pod", "namespace": "default", "name": "web"},
            }],
        }),
    )
    .await
    .ok();
    for (place, expected) in [
        ("pods/web/proxy/a%20b/?c=d", "path /a%20b/?c=d"),
        (&*format!("pods/web:{port}/proxy/x"), "path /x"),
        ("services/web:http/proxy/y", "path /y"),
        ("services/web/proxy/", "path /"),
    ] {
        assert_eq!(run!(served, "get", "--raw", &format!("{raw}/{place}")), expected, "{place}");
    }
}
