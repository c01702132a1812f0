//! Refusals in the API's own words: which request gets which code, reason and message.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use loopline_apiserver::Server;
use loopline_apiserver::auth::User;
use serde_json::{Value, json};

use crate::support::{ask, ask_as, grant, make, server, with_roles};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const MAP: &str = "/api/v1/namespaces/default/configmaps/m";

const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

async fn send(
    server: &Server,
    method: &str,
    path: &str,
    kind: &str,
    body: &str,
) -> (u16, Vec<String>, Value) {
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", kind)
        .body(Full::new(Bytes::from(body.to_owned())))
        .unwrap();
    let reply = server.handle(request, User::administrator()).await;
    let code = reply.status().as_u16();
    let warnings = reply.headers().get_all("warning").iter();
    let warnings = warnings.map(|value| value.to_str().unwrap().to_owned()).collect();
    let bytes = reply.into_body().collect().await.unwrap().to_bytes();
    (code, warnings, serde_json::from_slice(&bytes).unwrap_or_default())
}

fn map() -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}})
}

#[tokio::test]
async fn methods_that_a_path_does_not_have_are_refused() {
    let server = server();
    for (method, path, kind) in [
        ("PUT", MAPS, JSON),
        ("PATCH", MAPS, MERGE),
        ("POST", MAP, JSON),
        ("OPTIONS", MAPS, JSON),
        ("DELETE", "/api/v1/namespaces", JSON),
        ("PUT", "/version", JSON),
    ] {
        let (code, _, status) = send(&server, method, path, kind, "{}").await;
        assert_eq!((code, &status["reason"]), (405, &json!("MethodNotAllowed")), "{method} {path}");
        let message = "the server does not allow this method on the requested resource";
        assert_eq!(status["message"], message, "{method} {path}");
    }
}

#[tokio::test]
async fn options_are_refused_in_the_words_of_the_api() {
    let server = server();
    make(&server, map()).await.ok();
    for (kind, request, message) in [
        (
            "ListOptions",
            ("GET", MAPS, "sendInitialEvents=true", JSON, ""),
            "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list",
        ),
        (
            "ListOptions",
            ("GET", MAPS, "resourceVersion=1&resourceVersionMatch=Nearly", JSON, ""),
            "resourceVersionMatch: Unsupported value: \"Nearly\": supported values: \"Exact\", \
             \"NotOlderThan\", \"\"",
        ),
        (
            "PatchOptions",
            ("PATCH", MAP, "force=true", MERGE, "{}"),
            "force: Forbidden: may not be specified for non-apply patch",
        ),
        (
            "PatchOptions",
            ("PATCH", MAP, "", APPLY, "{}"),
            "fieldManager: Required value: is required for apply patch",
        ),
        (
            "UpdateOptions",
            ("PUT", MAP, "fieldValidation=Some", JSON, r#"{"metadata": {"name": "m"}}"#),
            "fieldValidation: Unsupported value: \"Some\": supported values: \"Ignore\", \
             \"Strict\", \"Warn\"",
        ),
        (
            "DeleteOptions",
            ("DELETE", MAP, "", JSON, r#"{"propagationPolicy": "Some"}"#),
            "propagationPolicy: Unsupported value: \"Some\": supported values: \"Foreground\", \
             \"Background\", \"Orphan\", \"nil\"",
        ),
        (
            "DeleteOptions",
            ("DELETE", MAP, "", JSON, r#"{"dryRun": ["Some"]}"#),
            "dryRun: Unsupported value: []string{\"Some\"}: supported values: \"All\"",
        ),
    ] {
        let (method, path, query, media, body) = request;
        let (code, _, status) =
            send(&server, method, &format!("{path}?{query}"), media, body).await;
        assert_eq!((code, &status["reason"]), (422, &json!("Invalid")), "{status}");
        assert_eq!(status["message"], format!("{kind}.meta.k8s.io \"\" is invalid: {message}"));
        let details = &status["details"];
        assert_eq!((&details["group"], &details["kind"]), (&json!("meta.k8s.io"), &json!(kind)));
    }
    let (code, _, status) =
        send(&server, "GET", &format!("{MAPS}?labelSelector=a%3Db%3Dc"), JSON, "").await;
    let message = "unable to parse requirement: found '=', expected: ',' or 'end of string'";
    assert_eq!((code, &status["message"]), (400, &json!(message)));
    ask(&server, "GET", MAP, Value::Null).await.ok();
}

#[tokio::test]
async fn a_patch_of_the_wrong_type_is_invalid_and_a_body_of_one_cannot_be_handled() {
    let server = server();
    make(&server, map()).await.ok();
    for kind in [MERGE, STRATEGIC] {
        let (code, _, status) = send(&server, "PATCH", MAP, kind, r#"{"data": 5}"#).await;
        assert_eq!((code, &status["reason"]), (422, &json!("Invalid")), "{status}");
        assert_eq!(status["details"]["causes"][0]["field"], "patch");
    }
    let mut wrong = map();
    wrong["data"] = json!(5);
    let refused = ask(&server, "PUT", MAP, wrong).await;
    assert_eq!((refused.code, &refused.body["reason"]), (400, &json!("BadRequest")));
    // What is told twice is refused to who is strict, and a warning to who is not.
    let config = "apiVersion: v1\nkind: ConfigMap\ndata: {a: '1', a: '2'}\n";
    let path = format!("{MAP}?fieldManager=a");
    let strict = format!("{path}&fieldValidation=Strict");
    let (code, _, status) = send(&server, "PATCH", &strict, APPLY, config).await;
    let message = "error strict decoding YAML: duplicate field \"data.a\"";
    assert_eq!((code, &status["message"]), (400, &json!(message)));
    let (code, warnings, _) = send(&server, "PATCH", &path, APPLY, config).await;
    assert_eq!((code, &*warnings[0]), (200, r#"299 - "duplicate field \"data.a\"""#));
}

#[tokio::test]
async fn a_deletion_is_not_obeyed_with_a_body_that_means_something_else() {
    let server = server();
    make(&server, map()).await.ok();
    for body in [
        map(),
        json!([]),
        json!("now"),
        json!({"preconditions": 5}),
        json!({"preconditions": {"uid": 5}}),
        json!({"gracePeriodSeconds": "5"}),
        json!({"gracePeriodSeconds": 5.5}),
        json!({"orphanDependents": "yes"}),
        json!({"dryRun": "All"}),
        json!({"dryRun": [1]}),
    ] {
        let refused = ask(&server, "DELETE", MAP, body.clone()).await;
        assert_eq!((refused.code, &refused.body["reason"]), (400, &json!("BadRequest")), "{body}");
    }
    let options = json!({"kind": "DeleteOptions", "apiVersion": "v1"});
    let done = ask(&server, "DELETE", MAP, options).await.ok();
    let mut fields: Vec<&String> = done["details"].as_object().unwrap().keys().collect();
    fields.sort();
    assert_eq!(fields, ["kind", "name", "uid"]);
    // Some kinds are answered with what was there.
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a"}});
    let made = make(&server, account).await.ok();
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    let gone = ask(&server, "DELETE", &format!("{accounts}/a"), Value::Null).await;
    assert_eq!(gone.ok(), made);
}

#[tokio::test]
async fn who_deletes_a_job_is_told_of_its_pods() {
    let server = server();
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"},
        "spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}],
        }}},
    });
    let path = "/apis/batch/v1/namespaces/default/jobs/j";
    make(&server, job).await.ok();
    let held = ask(&server, "DELETE", path, Value::Null).await;
    assert!(held.warnings[0].contains("child pods are preserved by default when jobs are deleted"));
    assert_eq!(held.ok()["metadata"]["finalizers"], json!(["orphan"]));
    let background = json!({"propagationPolicy": "Background"});
    assert_eq!(ask(&server, "DELETE", path, background).await.warnings, Vec::<String>::new());
}

#[tokio::test]
async fn who_may_only_change_makes_nothing() {
    let server = with_roles();
    for (verbs, name) in [(json!(["get", "patch", "update"]), "changer"), (json!(["*"]), "maker")] {
        let leases = json!({
            "apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": verbs,
        });
        grant(&server, name, json!([leases])).await;
    }
    let user = |name: &str| User { name: name.to_owned(), ..User::default() };
    let lease = "/apis/coordination.k8s.io/v1/namespaces/default/leases/l";
    let body = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "l"}, "spec": {"holderIdentity": "me"},
    });
    let why = "leases.coordination.k8s.io \"l\" is forbidden: User \"changer\" cannot create \
               resource \"leases\" in API group \"coordination.k8s.io\" in the namespace \
               \"default\"";
    let refused = ask_as(&server, user("changer"), "PUT", lease, body.clone()).await;
    assert_eq!(refused.refused(), (403, why));
    let apply = async |name: &str| {
        let request = http::Request::builder()
            .method("PATCH")
            .uri(format!("{lease}?fieldManager={name}&force=true"))
            .header("content-type", APPLY)
            .body(Full::new(Bytes::from(body.to_string())))
            .unwrap();
        server.handle(request, user(name)).await.status().as_u16()
    };
    assert_eq!(apply("changer").await, 403);
    assert_eq!(apply("maker").await, 201);
    assert_eq!(apply("changer").await, 200);
    ask(&server, "DELETE", lease, Value::Null).await.ok();
    assert_eq!(ask_as(&server, user("maker"), "PUT", lease, body).await.code, 201);
}

#[tokio::test]
async fn a_namespace_named_for_what_is_in_none_means_nothing() {
    let server = server();
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "r", "namespace": "default"}, "rules": [],
    });
    let made = make(&server, role.clone()).await.ok();
    assert!(made["metadata"].get("namespace").is_none(), "{made}");
    let path = "/apis/rbac.authorization.k8s.io/v1/clusterroles/r";
    let replaced = ask(&server, "PUT", path, role).await.ok();
    assert_eq!(replaced["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"]);
}

#[tokio::test]
async fn who_decides_about_certificates_must_be_allowed_to_for_their_signer() {
    let server = with_roles();
    let requests = json!({
        "apiGroups": ["certificates.k8s.io"], "verbs": ["*"],
        "resources": [
            "certificatesigningrequests", "certificatesigningrequests/approval",
            "certificatesigningrequests/status",
        ],
    });
    let signers = |verb: &str, name: &str| {
        json!({
            "apiGroups": ["certificates.k8s.io"], "resources": ["signers"], "verbs": [verb],
            "resourceNames": [name],
        })
    };
    for (name, rules) in [
        ("writer", json!([requests])),
        ("approver", json!([requests, signers("approve", "kubernetes.io/*")])),
        ("signer", json!([requests, signers("sign", "kubernetes.io/kube-apiserver-client")])),
    ] {
        grant(&server, name, rules).await;
    }
    let asked = |group: &str| {
        use base64::Engine as _;
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::OrganizationName, group);
        params.distinguished_name.push(rcgen::DnType::CommonName, "ann");
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = params.serialize_request(&key).unwrap().pem().unwrap();
        json!({
            "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
            "metadata": {"name": "r"},
            "spec": {
                "signerName": "kubernetes.io/kube-apiserver-client", "usages": ["client auth"],
                "request": base64::engine::general_purpose::STANDARD.encode(pem),
            },
        })
    };
    let path = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    let user = |name: &str| User { name: name.to_owned(), ..User::default() };
    let refused = ask_as(&server, user("writer"), "POST", path, asked("system:masters")).await;
    let about = "certificatesigningrequests.certificates.k8s.io \"r\" is forbidden: ";
    assert_eq!(
        refused.refused(),
        (
            403,
            &*format!(
                "{about}use of kubernetes.io/kube-apiserver-client signer with system:masters \
                 group is not allowed"
            )
        )
    );
    ask_as(&server, user("writer"), "POST", path, asked("dev")).await.ok();
    let approval = json!({"status": {"conditions": [
        {"type": "Approved", "status": "True", "reason": "Test"},
    ]}});
    let certificate = json!({"status": {"certificate": "eA=="}});
    let signer = "requests with signerName \"kubernetes.io/kube-apiserver-client\"";
    for (part, verb, body, may) in
        [("approval", "approve", approval, "approver"), ("status", "sign", certificate, "signer")]
    {
        let path = format!("{path}/r/{part}");
        for name in ["writer", "approver", "signer"].into_iter().filter(|name| *name != may) {
            let refused = ask_as(&server, user(name), "PATCH", &path, body.clone()).await;
            let why = format!("{about}user not permitted to {verb} {signer}");
            assert_eq!(refused.refused(), (403, &*why), "{name}");
        }
        // Whether what is signed is a certificate is another question.
        let done = ask_as(&server, user(may), "PATCH", &path, body).await;
        assert_ne!(done.code, 403, "{}", done.body);
    }
}
