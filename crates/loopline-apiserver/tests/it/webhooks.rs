//! Webhooks, asked over HTTPS, and validators in the same process.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use loopline_apiserver::admission::validator::{Validator, Verdict, VerdictFuture};
use loopline_apiserver::{Options, Server};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::policies::with_engine;
use crate::support::{Served, ask, make, server};

/// A webhook that answers by the path it is asked at, and remembers what it was asked.
struct Hook {
    url: String,
    authority: String,
    asked: Arc<Mutex<Vec<Value>>>,
}

impl Hook {
    async fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let asked = Arc::<Mutex<Vec<Value>>>::default();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let heard = Arc::clone(&asked);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, heard) = (acceptor.clone(), Arc::clone(&heard));
                tokio::spawn(async move {
                    // Clients that do not trust the authority end here.
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = hyper::service::service_fn(move |request| {
                        let heard = Arc::clone(&heard);
                        async move { Ok::<_, Infallible>(answer(&heard, request).await) }
                    });
                    let _closed = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { url, authority: STANDARD.encode(authority), asked }
    }

    /// Returns a webhook about new config maps, asked at a path.
    fn at(&self, path: &str, change: Value) -> Value {
        let mut hook = json!({
            "name": format!("{}.example.com", path.replace('/', "-")),
            "clientConfig": {"url": format!("{}/{path}", self.url), "caBundle": self.authority},
            "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"],
                       "resources": ["configmaps"]}],
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        });
        for (key, value) in change.as_object().unwrap() {
            hook[key] = value.clone();
        }
        hook
    }

    fn asked(&self) -> Vec<Value> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

async fn answer(
    heard: &Mutex<Vec<Value>>,
    request: http::Request<Incoming>,
) -> http::Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let review: Value = serde_json::from_slice(&body).unwrap();
    heard.lock().unwrap().push(review.clone());
    let mut response = json!({"uid": review["request"]["uid"], "allowed": true});
    let patch = |patch: Value| STANDARD.encode(patch.to_string());
    match &*path {
        "/allow" => response["warnings"] = json!(["mind the gap"]),
        "/deny" => {
            response["allowed"] = json!(false);
            response["status"] = json!({"code": 403, "reason": "Forbidden", "message": "not here"});
        }
        "/silent" => response["allowed"] = json!(false),
        "/other" => response["uid"] = json!("other"),
        "/count" => {
            let seen = review["request"]["object"]["data"].as_object().map_or(0, |map| map.len());
            response["patchType"] = json!("JSONPatch");
            response["patch"] = json!(patch(
                json!([{"op": "add", "path": "/data/seen", "value": seen.to_string()}])
            ));
        }
        "/add" => {
            response["patchType"] = json!("JSONPatch");
            response["patch"] =
                json!(patch(json!([{"op": "add", "path": "/data/added", "value": "yes"}])));
        }
        "/sidecar" => {
            response["patchType"] = json!("JSONPatch");
            response["patch"] = json!(patch(json!([{"op": "add", "path": "/spec/containers/-",
                "value": {"name": "side", "image": "s"}}])));
        }
        "/broken" => {
            let mut reply = http::Response::new(Full::new(Bytes::new()));
            *reply.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
            return reply;
        }
        "/slow" => std::future::pending::<()>().await,
        other => panic!("{other}"),
    }
    let answer = json!({
        "apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": response,
    });
    http::Response::new(Full::new(Bytes::from(answer.to_string())))
}

fn configuration(kind: &str, name: &str, hooks: Value) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": format!("{kind}WebhookConfiguration"),
        "metadata": {"name": name},
        "webhooks": hooks,
    })
}

fn map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name},
        "data": {"a": "b"}})
}

async fn drop_configuration(server: &Server, kind: &str, name: &str) {
    let path = format!(
        "/apis/admissionregistration.k8s.io/v1/{}webhookconfigurations/{name}",
        kind.to_lowercase()
    );
    ask(server, "DELETE", &path, Value::Null).await.ok();
}

#[tokio::test]
async fn webhooks_refuse_and_warn() {
    let (server, hook) = (server(), Hook::new().await);
    for (path, change, expected) in [
        (
            "deny",
            json!({}),
            Some((403, "admission webhook \"deny.example.com\" denied the request: not here")),
        ),
        (
            "silent",
            json!({}),
            Some((
                400,
                "admission webhook \"silent.example.com\" denied the request without explanation",
            )),
        ),
        ("allow", json!({}), None),
        // None of these is about config maps that are made in this namespace.
        ("deny", json!({"namespaceSelector": {"matchLabels": {"a": "b"}}}), None),
        (
            "deny",
            json!({"objectSelector": {"matchExpressions":
            [{"key": "x", "operator": "Exists"}]}}),
            None,
        ),
        (
            "deny",
            json!({"rules": [{"operations": ["UPDATE"], "apiGroups": ["*"],
            "apiVersions": ["*"], "resources": ["*"]}]}),
            None,
        ),
        (
            "deny",
            json!({"rules": [{"operations": ["*"], "apiGroups": ["*"],
            "apiVersions": ["*"], "resources": ["*/*"], "scope": "Cluster"}]}),
            None,
        ),
        (
            "deny",
            json!({"rules": [{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"],
                "resources": ["*/*"], "scope": "Namespaced"}],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}}}),
            Some((403, "admission webhook \"deny.example.com\" denied the request: not here")),
        ),
    ] {
        let hooks = json!([hook.at(path, change.clone())]);
        make(&server, configuration("Validating", "c", hooks)).await.ok();
        let answer = make(&server, map("m")).await;
        match expected {
            Some(expected) => assert_eq!(answer.refused(), expected, "{path} {change}"),
            None => {
                let warnings: &[&str] =
                    if path == "allow" { &["299 - \"mind the gap\""] } else { &[] };
                assert_eq!(answer.warnings, warnings, "{path} {change}");
                answer.ok();
                let path = "/api/v1/namespaces/default/configmaps/m";
                ask(&server, "DELETE", path, Value::Null).await.ok();
            }
        }
        drop_configuration(&server, "Validating", "c").await;
    }
    // What was sent is a review.
    let request = hook.asked().remove(0)["request"].clone();
    assert_eq!(request["kind"], json!({"group": "", "version": "v1", "kind": "ConfigMap"}));
    assert_eq!(request["resource"]["resource"], "configmaps");
    assert_eq!(request["operation"], "CREATE");
    assert_eq!(request["namespace"], "default");
    assert_eq!(request["object"]["data"], json!({"a": "b"}));
    assert!(request["oldObject"].is_null());
    assert_eq!(request["userInfo"]["username"], "loopline:admin");
}

#[tokio::test]
async fn webhooks_that_fail_refuse_unless_they_may_be_ignored() {
    let (server, hook) = (server(), Hook::new().await);
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("https://{}/x", listener.local_addr().unwrap())
    };
    let stranger = Hook::new().await;
    for (path, change, expected) in [
        ("broken", json!({}), "the server answered 500 Internal Server Error"),
        ("slow", json!({"timeoutSeconds": 1}), "?timeout=1s\": context deadline exceeded"),
        ("other", json!({}), "expected response.uid="),
        ("allow", json!({"clientConfig": {"url": nobody}}), "Connection refused"),
        (
            "allow",
            json!({"clientConfig": {"url": format!("{}/allow", hook.url),
                "caBundle": stranger.authority}}),
            "invalid peer certificate",
        ),
        (
            "allow",
            json!({"clientConfig": {"service": {"namespace": "n", "name": "s"}}}),
            "service n/s is not reached from here",
        ),
        ("count", json!({}), "webhook response patch is not allowed here"),
    ] {
        for policy in ["Fail", "Ignore"] {
            let mut one = hook.at(path, change.clone());
            one["failurePolicy"] = json!(policy);
            make(&server, configuration("Validating", "c", json!([one]))).await.ok();
            let answer = make(&server, map("m")).await;
            if policy == "Ignore" {
                answer.ok();
                let path = "/api/v1/namespaces/default/configmaps/m";
                ask(&server, "DELETE", path, Value::Null).await.ok();
            } else {
                let (code, message) = answer.refused();
                assert_eq!(code, 500);
                let name = format!("failed calling webhook \"{path}.example.com\": ");
                assert!(message.contains(&name) && message.contains(expected), "{message}");
            }
            drop_configuration(&server, "Validating", "c").await;
        }
    }
}

#[tokio::test]
async fn webhooks_change_what_is_written() {
    let (server, hook) = (server(), Hook::new().await);
    // The first counts what it sees, and wants to see what the second added.
    for (policy, seen) in [("Never", "1"), ("IfNeeded", "3")] {
        let hooks = json!([
            hook.at("count", json!({"reinvocationPolicy": policy})),
            hook.at("add", json!({})),
        ]);
        make(&server, configuration("Mutating", "c", hooks)).await.ok();
        let made = make(&server, map(&policy.to_lowercase())).await.ok();
        assert_eq!(made["data"], json!({"a": "b", "seen": seen, "added": "yes"}));
        drop_configuration(&server, "Mutating", "c").await;
    }
    // What a webhook adds to a pod gets what all of a pod gets.
    let pods = json!({"rules": [{"operations": ["CREATE"], "apiGroups": [""],
        "apiVersions": ["v1"], "resources": ["pods"]}]});
    let hooks = json!([hook.at("sidecar", pods)]);
    make(&server, configuration("Mutating", "c", hooks)).await.ok();
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "x"}]}});
    let made = make(&server, pod).await.ok();
    let side = &made["spec"]["containers"][1];
    assert_eq!(side["name"], "side");
    assert_eq!(side["volumeMounts"].as_array().unwrap().len(), 1);
    assert_eq!(made["spec"]["volumes"].as_array().unwrap().len(), 1);
    assert_eq!(side["terminationMessagePath"], "/dev/termination-log");
}

#[tokio::test]
async fn equivalent_versions_are_converted() {
    let (server, hook) = (server(), Hook::new().await);
    let rules = json!([{"operations": ["CREATE"], "apiGroups": ["autoscaling"],
        "apiVersions": ["v1"], "resources": ["horizontalpodautoscalers"]}]);
    let scaler = |name: &str| {
        json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": name},
            "spec": {"maxReplicas": 3, "scaleTargetRef":
                {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}}})
    };
    for (policy, expected) in [("Equivalent", Some("autoscaling/v1")), ("Exact", None)] {
        let one = hook.at("allow", json!({"rules": rules, "matchPolicy": policy}));
        make(&server, configuration("Validating", "c", json!([one]))).await.ok();
        make(&server, scaler(&policy.to_lowercase())).await.ok();
        let asked = hook.asked();
        let versions: Vec<&str> = asked
            .iter()
            .map(|review| review["request"]["object"]["apiVersion"].as_str().unwrap())
            .collect();
        assert_eq!(versions, expected.into_iter().collect::<Vec<_>>());
        if let Some(review) = asked.first() {
            assert_eq!(review["request"]["requestKind"]["version"], "v2");
        }
        drop_configuration(&server, "Validating", "c").await;
    }
}

#[tokio::test]
async fn dry_runs_and_conditions_are_not_taken_lightly() {
    let (server, hook) = (server(), Hook::new().await);
    let all = json!([{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"],
        "resources": ["*"]}]);
    let hooks = json!([hook.at("deny", json!({"rules": all}))]);
    make(&server, configuration("Validating", "c", hooks)).await.ok();
    let path = "/api/v1/namespaces/default/configmaps?dryRun=All";
    assert_eq!(ask(&server, "POST", path, map("m")).await.code, 403);
    assert_eq!(hook.asked()[0]["request"]["dryRun"], true);
    let path = "/api/v1/namespaces/default/serviceaccounts/default";
    let answer = ask(&server, "DELETE", path, Value::Null).await;
    assert_eq!(answer.code, 403);
    let request = hook.asked().remove(0)["request"].clone();
    assert_eq!(request["operation"], "DELETE");
    assert_eq!(request["oldObject"]["metadata"]["name"], "default");
    assert!(request["object"].is_null());
    // Its own configuration can still be taken away.
    drop_configuration(&server, "Validating", "c").await;
    let condition = json!({"matchConditions": [{"name": "n", "expression": "thing"}]});
    let hooks = json!([hook.at("deny", condition)]);
    let answer = make(&server, configuration("Mutating", "d", hooks)).await;
    let expected = "webhooks[0].matchConditions[0].expression: Invalid value: \"thing\": \
                    compilation failed: undeclared reference to 'thing'";
    assert!(answer.refused().1.contains(expected), "{answer:?}");
}

#[tokio::test]
async fn webhooks_are_asked_under_conditions() {
    let (server, hook) = (with_engine(), Hook::new().await);
    for (expressions, policy, expected) in [
        (json!(["object.data.a == \"b\""]), "Fail", 403),
        (json!(["object.data.a == \"c\"", "object.none"]), "Fail", 201),
        (json!(["object.none"]), "Fail", 500),
        (json!(["object.none"]), "Ignore", 201),
    ] {
        let conditions: Vec<Value> = expressions
            .as_array()
            .unwrap()
            .iter()
            .enumerate()
            .map(|(index, text)| json!({"name": format!("c{index}"), "expression": text}))
            .collect();
        let change = json!({"matchConditions": conditions, "failurePolicy": policy});
        let hooks = json!([hook.at("deny", change)]);
        make(&server, configuration("Validating", "c", hooks)).await.ok();
        let answer = make(&server, map("m")).await;
        assert_eq!(answer.code, expected, "{expressions} {}", answer.body);
        drop_configuration(&server, "Validating", "c").await;
        if expected == 201 {
            let path = "/api/v1/namespaces/default/configmaps/m";
            ask(&server, "DELETE", path, Value::Null).await.ok();
        }
    }
}

/// Refuses config maps without an owner, and warns of long ones.
struct Owned;

impl Validator for Owned {
    fn name(&self) -> &str {
        "owned"
    }

    fn review<'a>(&'a self, request: &'a Value) -> VerdictFuture<'a> {
        let mut verdict = Verdict::default();
        if request["kind"]["kind"] == "ConfigMap" && request["operation"] == "CREATE" {
            if request["object"]["metadata"]["labels"]["owner"].is_null() {
                verdict.denials = vec!["who owns it?".to_owned(), "and why?".to_owned()];
            }
            verdict.warnings.push("config maps are not secret".to_owned());
        }
        Box::pin(std::future::ready(Ok(verdict)))
    }
}

#[tokio::test]
async fn validators_in_the_process_decide_too() {
    let mut options = Options::ephemeral().unwrap();
    options.validators.push(Box::new(Owned));
    let server = Server::new(options);
    assert_eq!(
        make(&server, map("m")).await.refused(),
        (403, "configmaps \"m\" is forbidden: owned denied the request: who owns it?; and why?")
    );
    let mut owned = map("m");
    owned["metadata"]["labels"] = json!({"owner": "me"});
    let answer = make(&server, owned).await;
    assert_eq!(answer.warnings, ["299 - \"config maps are not secret\""]);
    answer.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_shows_what_webhooks_say() {
    let (served, hook) = (Served::new().await, Hook::new().await);
    let hooks = json!([hook.at("deny", json!({}))]);
    make(&served.server, configuration("Validating", "c", hooks)).await.ok();
    let create = ["create", "configmap", "m", "--from-literal=a=b"];
    let Some((_, text)) = served.kubectl(&create).await else { return };
    assert_eq!(
        text,
        "error: failed to create configmap: admission webhook \"deny.example.com\" denied the \
         request: not here\n"
    );
    drop_configuration(&served.server, "Validating", "c").await;
    let hooks = json!([hook.at("allow", json!({}))]);
    make(&served.server, configuration("Validating", "c", hooks)).await.ok();
    let (_, text) = served.kubectl(&create).await.unwrap();
    assert_eq!(text, "configmap/m created\nWarning: mind the gap\n");
}
