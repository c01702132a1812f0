//! Thirty mistakes that imitations of the Kubernetes API make, each as a test of what the real
//! one does, over a connection of HTTP.
//!
//! The numbers are those of the list that the API was written against; a test that goes without
//! its number fails [`every_mistake_has_its_test`].

mod apply;
mod deletion;
mod lists;
mod patches;
mod revisions;
mod wire;

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::support::Served;

/// How long a test waits for an answer or an event.
const PATIENCE: Duration = Duration::from_secs(30);

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PODS: &str = "/api/v1/namespaces/default/pods";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const PATCH: &str = "application/json-patch+json";
const APPLY: &str = "application/apply-patch+yaml";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

/// A server that is asked over the network.
struct Api {
    served: Served,
}

/// A whole answer.
struct Answer {
    code: u16,
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    /// Returns the body of a success.
    #[track_caller]
    fn ok(self) -> Value {
        assert!(self.code < 300, "{} {}", self.code, self.body);
        self.body
    }

    /// Returns the code, the reason and the message of a refusal, which is a `Status`.
    #[track_caller]
    fn refused(&self) -> (u16, &str, &str) {
        assert!(self.code >= 400, "{} {}", self.code, self.body);
        assert_eq!(self.body["kind"], "Status", "{}", self.body);
        assert_eq!(self.body["status"], "Failure", "{}", self.body);
        assert_eq!(self.body["code"], self.code, "{}", self.body);
        let text = |field: &str| self.body[field].as_str().unwrap_or("");
        (self.code, text("reason"), text("message"))
    }
}

impl Api {
    async fn new() -> Self {
        Self { served: Served::new().await }
    }

    /// Sends a request and returns its answer once the headers are there.
    async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> http::Response<Incoming> {
        let address = self.served.url().replace("http://", "");
        let stream = TcpStream::connect(&address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut request = http::Request::builder().method(method).uri(path).header("host", address);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        tokio::time::timeout(PATIENCE, sender.send_request(request)).await.unwrap().unwrap()
    }

    async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let (parts, body) = self.send(method, path, headers, body).await.into_parts();
        let bytes = tokio::time::timeout(PATIENCE, body.collect()).await.unwrap().unwrap();
        let body = serde_json::from_slice(&bytes.to_bytes()).unwrap_or_default();
        Answer { code: parts.status.as_u16(), headers: parts.headers, body }
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "").await
    }

    async fn post(&self, path: &str, object: &Value) -> Answer {
        self.ask("POST", path, &[("content-type", JSON)], object.to_string()).await
    }

    async fn put(&self, path: &str, object: &Value) -> Answer {
        self.ask("PUT", path, &[("content-type", JSON)], object.to_string()).await
    }

    async fn patch(&self, path: &str, kind: &str, patch: &Value) -> Answer {
        self.ask("PATCH", path, &[("content-type", kind)], patch.to_string()).await
    }

    async fn delete(&self, path: &str, options: &Value) -> Answer {
        let body = if options.is_null() { String::new() } else { options.to_string() };
        self.ask("DELETE", path, &[("content-type", JSON)], body).await
    }

    /// Applies a configuration in the name of a manager.
    async fn apply(&self, path: &str, manager: &str, config: &Value) -> Answer {
        self.patch(&format!("{path}?fieldManager={manager}"), APPLY, config).await
    }

    /// Starts a watch.
    async fn watch(&self, path: &str) -> Events {
        let reply = self.send("GET", path, &[], "").await;
        assert_eq!(reply.status(), 200, "{path}");
        Events { body: reply.into_body(), read: Vec::new() }
    }

    /// Makes the definition of a custom resource and waits until it is served; returns where its
    /// objects are.
    async fn define(&self, properties: Value) -> &'static str {
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "toys.example.com"},
            "spec": {
                "group": "example.com",
                "scope": "Namespaced",
                "names": {"plural": "toys", "singular": "toy", "kind": "Toy", "listKind": "ToyList"},
                "versions": [{
                    "name": "v1", "served": true, "storage": true,
                    "schema": {"openAPIV3Schema": {"type": "object", "properties": properties}},
                }],
            },
        });
        self.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &definition)
            .await
            .ok();
        "/apis/example.com/v1/namespaces/default/toys"
    }
}

/// The events of a watch.
struct Events {
    body: Incoming,
    read: Vec<u8>,
}

impl Events {
    /// Returns the next event; nothing where the stream ended as it should.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await.unwrap();
            match frame {
                Some(frame) => self.read.extend_from_slice(frame.unwrap().data_ref().unwrap()),
                None => {
                    assert!(self.read.is_empty(), "half an event");
                    return None;
                }
            }
        }
    }

    /// Returns the type, the name and the revision of the next event.
    async fn seen(&mut self) -> (String, String, String) {
        let event = self.next().await.unwrap();
        let metadata = &event["object"]["metadata"];
        let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
        (text(&event["type"]), text(&metadata["name"]), text(&metadata["resourceVersion"]))
    }
}

fn map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [{"name": "web", "image": "nginx:1"}]},
    })
}

fn deployment(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [
                    {"name": "web", "image": "nginx:1"}, {"name": "log", "image": "fluent:1"},
                ]},
            },
        },
    })
}

fn revision(object: &Value) -> &str {
    object["metadata"]["resourceVersion"].as_str().unwrap()
}

#[test]
fn every_mistake_has_its_test() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/mistakes");
    let mut found = BTreeSet::new();
    for file in fs_err::read_dir(folder).unwrap() {
        let text = fs_err::read_to_string(file.unwrap().path()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for window in lines.windows(3) {
            let number =
                window[0].strip_prefix("/// Mistake ").and_then(|rest| rest.split_once(':'));
            if let Some((number, _)) = number {
                let rest = lines.iter().skip_while(|line| **line != window[0]);
                let test = rest.take_while(|line| !line.is_empty());
                assert!(test.into_iter().any(|line| line.starts_with("#[tokio::test")), "{number}");
                assert!(found.insert(number.parse::<u32>().unwrap()), "{number} twice");
            }
        }
    }
    assert_eq!(found, (1..=30).collect());
}
