//! Requests that no client should send: each is refused with its reason, and the server goes on.

use std::panic::AssertUnwindSafe;

use bolero::check;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use loopline_apiserver::Server;
use loopline_apiserver::auth::User;
use loopline_apiserver::http::MAX_BODY_BYTES;
use serde_json::{Value, json};

use crate::support::{ask, server};

/// How many inputs a fuzz target makes up, and how long they are.
const ITERATIONS: usize = 400;
const MAX_LENGTH: usize = 120;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

async fn send(
    server: &Server,
    method: &str,
    path: &str,
    kind: &str,
    body: impl Into<Bytes>,
) -> (u16, Value) {
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", kind)
        .body(Full::new(body.into()))
        .unwrap();
    let reply = server.handle(request, User::administrator()).await;
    let code = reply.status().as_u16();
    let bytes = reply.into_body().collect().await.unwrap().to_bytes();
    (code, serde_json::from_slice(&bytes).unwrap_or_default())
}

fn map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_refused_with_their_reason() {
    let server = server();
    let deep_json = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_object = format!("{}1{}", r#"{"a":"#.repeat(5000), "}".repeat(5000));
    let deep_yaml = format!("a: {}{}", "[".repeat(5000), "]".repeat(5000));
    let bomb: String = (0..40)
        .map(|level| match level {
            0 => "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned(),
            _ => format!(
                "a{level}: &a{level} [{}]\n",
                vec![format!("*a{}", level - 1); 9].join(", ")
            ),
        })
        .collect();
    let large = format!(r#"{{"data": "{}"}}"#, "x".repeat(MAX_BODY_BYTES));
    let json = "application/json";
    let yaml = "application/yaml";
    let protobuf = "application/vnd.kubernetes.protobuf";
    let cases: Vec<(&str, Vec<u8>, u16, &str)> = vec![
        (json, large.into_bytes(), 413, "Request entity too large: limit is 3145728"),
        (json, deep_json.into_bytes(), 400, ""),
        (json, deep_object.into_bytes(), 400, ""),
        (yaml, deep_yaml.into_bytes(), 400, ""),
        (yaml, bomb.into_bytes(), 400, ""),
        (json, Vec::new(), 400, "the body of the request is empty"),
        (json, br#"{"kind": "ConfigMap""#.to_vec(), 400, "the body cannot be read as JSON"),
        (json, b"\xff\xfe{}".to_vec(), 400, "the body cannot be read as JSON"),
        (json, b"[]".to_vec(), 400, ""),
        (json, b"null".to_vec(), 400, ""),
        (yaml, b"a: [\n".to_vec(), 400, "the body cannot be read as YAML"),
        (yaml, b"a: 1\n---\nb: 2\n".to_vec(), 400, "2 documents instead of one"),
        (yaml, b"\x80".to_vec(), 400, "the body cannot be read as YAML"),
        (protobuf, b"k8s\0".to_vec(), 400, ""),
        (protobuf, b"k8s\0\x0a\xff\xff\xff\xff\x0f".to_vec(), 400, "decode protobuf"),
        (protobuf, b"nothing".to_vec(), 400, "decode protobuf"),
        ("text/plain", b"{}".to_vec(), 415, ""),
    ];
    for (kind, body, code, message) in cases {
        let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        let (found, status) = send(&server, "POST", MAPS, kind, body).await;
        assert_eq!(found, code, "{kind} {shown}: {status}");
        assert_eq!(status["kind"], "Status", "{shown}");
        let text = status["message"].as_str().unwrap();
        assert!(text.contains(message) && text.len() < 2000, "{shown}: {text}");
    }
    for kind in [
        "application/merge-patch+json",
        "application/json-patch+json",
        "application/strategic-merge-patch+json",
        "application/apply-patch+yaml",
    ] {
        ask(&server, "POST", MAPS, map(&kind.replace(['/', '+'], "."))).await.ok();
        let path = format!("{MAPS}/{}", kind.replace(['/', '+'], "."));
        let (code, _) = send(&server, "PATCH", &path, kind, vec![b' '; MAX_BODY_BYTES + 1]).await;
        assert_eq!(code, 413, "{kind}");
        for broken in [&b"{"[..], b"\xff", b"", b"[[[[", b"{\"metadata\": 1}"] {
            let query = format!("{path}?fieldManager=m");
            let (code, status) = send(&server, "PATCH", &query, kind, broken).await;
            assert!((400..500).contains(&code), "{kind} {broken:?}: {code} {status}");
        }
    }
}

#[tokio::test]
async fn revisions_that_are_stale_or_yet_to_come_are_refused() {
    let server = server();
    let made = ask(&server, "POST", MAPS, map("m")).await.ok();
    let path = format!("{MAPS}/m");
    let mut newer = made.clone();
    newer["data"] = json!({"k": "v"});
    ask(&server, "PUT", &path, newer.clone()).await.ok();
    newer["data"] = json!({"k": "w"});
    let stale = ask(&server, "PUT", &path, newer).await;
    assert_eq!(
        stale.refused(),
        (
            409,
            "Operation cannot be fulfilled on configmaps \"m\": the object has been modified; \
             please apply your changes to the latest version and try again"
        )
    );
    let uid = json!({"preconditions": {"uid": "another"}});
    assert_eq!(ask(&server, "DELETE", &path, uid).await.code, 409);
    let latest = server.store().revision();
    for (query, code) in [
        (format!("resourceVersion={}", latest + 1000), 504),
        ("resourceVersion=x".to_owned(), 400),
        ("resourceVersion=-1".to_owned(), 400),
        ("resourceVersion=99999999999999999999999".to_owned(), 400),
        ("resourceVersionMatch=Exact".to_owned(), 422),
        ("resourceVersion=1&resourceVersionMatch=Nearly".to_owned(), 422),
        ("limit=-1".to_owned(), 400),
        ("limit=x".to_owned(), 400),
        ("continue=%00".to_owned(), 400),
        ("continue=eyJ2IjoibG9vcGxpbmUuZGV2L3YxIn0".to_owned(), 400),
        ("watch=perhaps".to_owned(), 400),
        ("labelSelector=a%20b".to_owned(), 400),
        ("labelSelector=a+in+(".to_owned(), 400),
        ("fieldSelector=spec.nothing=1".to_owned(), 400),
    ] {
        let answer = ask(&server, "GET", &format!("{MAPS}?{query}"), Value::Null).await;
        assert_eq!(answer.code, code, "{query}: {}", answer.body);
    }
    server.store().compact(latest).await.unwrap();
    let old = ask(
        &server,
        "GET",
        &format!("{MAPS}?resourceVersion=1&resourceVersionMatch=Exact"),
        Value::Null,
    )
    .await;
    assert_eq!(old.code, 410, "{}", old.body);
    assert_eq!(old.body["reason"], "Expired");
}

/// A server, and what runs it; a panic of a fuzz target ends the test, whatever it leaves behind.
type Served = AssertUnwindSafe<(tokio::runtime::Runtime, Server)>;

fn served() -> Served {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    AssertUnwindSafe((runtime, server()))
}

/// Returns bytes as part of a URL that always parses.
fn encoded(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("%{byte:02x}")).collect()
}

/// A piece that makes sense, or a random one.
fn piece(seeds: &[&str], bytes: &[u8]) -> String {
    match bytes {
        [choice, rest @ ..] if usize::from(*choice) < seeds.len() * 16 => {
            seeds[usize::from(*choice) % seeds.len()].to_owned() + &String::from_utf8_lossy(rest)
        }
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

#[test]
fn no_option_of_a_request_is_the_servers_fault() {
    const SELECTORS: [&str; 8] =
        ["a", "a=b", "a in (b,c)", "a notin (", "!a", "a,b!=c", "metadata.name=m", "a==b,"];
    const TOKENS: [&str; 3] =
        ["eyJ2IjoibG9vcGxpbmUuZGV2L3YxIiwicnYiOjEsInN0YXJ0IjoiIn0", "e30", "="];
    const NAMES: [&str; 7] = [
        "labelSelector",
        "fieldSelector",
        "continue",
        "resourceVersion",
        "limit",
        "resourceVersionMatch",
        "timeoutSeconds",
    ];
    let served = served();
    served.0.0.block_on(async { ask(&served.0.1, "POST", MAPS, map("m")).await.ok() });
    check!()
        .with_iterations(ITERATIONS)
        .with_max_len(MAX_LENGTH)
        .with_type::<(u8, Vec<u8>)>()
        .for_each(|(choice, bytes)| {
            let (runtime, server) = &*served;
            let name = NAMES[usize::from(*choice) % NAMES.len()];
            let seeds = if name == "continue" { &TOKENS[..] } else { &SELECTORS[..] };
            let value = encoded(piece(seeds, bytes).as_bytes());
            let path = format!("{MAPS}?{name}={value}");
            let (code, status) = runtime.block_on(send(server, "GET", &path, "", ""));
            // 504 is how a revision that is yet to come is refused.
            assert!(code < 500 || code == 504, "{path}: {code} {status}");
        });
}

#[test]
fn no_path_and_no_accept_header_is_the_servers_fault() {
    const PATHS: [&str; 8] = [
        "/api/v1/",
        "/apis/",
        "/apis/apps/v1/",
        "/openapi/v3/",
        "/api/v1/namespaces/default/",
        "/api/v1/namespaces/default/pods/m/",
        "/api/v1/watch/",
        "/",
    ];
    const ACCEPTS: [&str; 6] = [
        "application/json",
        "application/json;as=Table;v=v1;g=meta.k8s.io",
        "application/yaml,",
        "*/*;q=",
        "application/json;as=",
        "application/vnd.kubernetes.protobuf,",
    ];
    let served = served();
    check!()
        .with_iterations(ITERATIONS)
        .with_max_len(MAX_LENGTH)
        .with_type::<(Vec<u8>, Vec<u8>)>()
        .for_each(|(path, accept)| {
            let (runtime, server) = &*served;
            let path: String = piece(&PATHS, path)
                .split('/')
                .map(|part| encoded(part.as_bytes()))
                .collect::<Vec<_>>()
                .join("/");
            let path = format!("/{}", path.trim_start_matches('/'));
            let Ok(accept) = http::HeaderValue::from_str(&piece(&ACCEPTS, accept)) else { return };
            let request = http::Request::get(&path)
                .header("accept", accept.clone())
                .body(Full::new(Bytes::new()))
                .unwrap();
            let reply = runtime.block_on(server.handle(request, User::administrator()));
            assert!(reply.status().as_u16() < 500, "{path} {accept:?}: {}", reply.status());
        });
}

#[test]
fn no_body_is_the_servers_fault() {
    const SEEDS: [(&str, &str, &str); 4] = [
        (
            MAPS,
            "application/json",
            r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"generateName":"m","labels":{"a":"b"}},"data":{"k":"v"}}"#,
        ),
        (
            MAPS,
            "application/yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  generateName: m\ndata: {k: &a v, l: *a}\n",
        ),
        (
            "/api/v1/namespaces/default/pods",
            "application/json",
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"generateName":"p"},"spec":{"containers":[{"name":"c","image":"i","ports":[{"containerPort":80}]}]}}"#,
        ),
        (
            "/apis/apps/v1/namespaces/default/deployments",
            "application/yaml",
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {generateName: d}\nspec:\n  selector: {matchLabels: {a: b}}\n  template:\n    metadata: {labels: {a: b}}\n    spec: {containers: [{name: c, image: i}]}\n",
        ),
    ];
    let served = served();
    check!()
        .with_iterations(ITERATIONS)
        .with_max_len(MAX_LENGTH)
        .with_type::<(u8, Vec<(u16, u8, bool)>)>()
        .for_each(|(choice, edits)| {
            let (runtime, server) = &*served;
            let (path, kind, text) = SEEDS[usize::from(*choice) % SEEDS.len()];
            let mut body = text.as_bytes().to_vec();
            for (at, byte, insert) in edits.iter().take(6) {
                let at = usize::from(*at) % body.len();
                if *insert {
                    body.insert(at, *byte);
                } else {
                    body[at] = *byte;
                }
            }
            let (code, status) = runtime.block_on(send(server, "POST", path, kind, body.clone()));
            assert!(code < 500, "{}: {code} {status}", String::from_utf8_lossy(&body));
        });
}
