//! Getting in: tokens, certificates and impersonation, with the clients people use.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::config::{KubeConfigOptions, Kubeconfig};
use loopline_apiserver::auth::folder::{KEYS, SECRETS_KEY};
use loopline_apiserver::auth::vault::{Sealed, VaultError};
use loopline_apiserver::auth::{Access, AuditLog, Rbac};
use loopline_apiserver::http::{Listener, serve};
use loopline_apiserver::{Options, Server};
use loopline_clock::Clock;
use loopline_store::object::{Durability, SqliteOptions, SqliteStore};
use loopline_tls::{Authority, server_config};
use serde_json::{Value, json};

use crate::support::{ask, make};

/// A server with everything that `loopline api` gives one.
struct Guarded {
    server: Server,
    folder: tempfile::TempDir,
    kubeconfig: PathBuf,
    authority: Authority,
    url: String,
    serving: tokio::task::JoinHandle<()>,
}

impl Guarded {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = Options::ephemeral().unwrap();
        let access = Access::open(folder.path(), &options.clock).unwrap();
        options.authentication = access.authentication.clone();
        options.authorizer = Arc::new(Rbac::new(Arc::clone(&options.store)));
        options.audit = Some(AuditLog::open(&folder.path().join("audit.log")).unwrap());
        let server = Server::new(options);
        server.prepare().await.unwrap();
        let listener = Listener::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let authority = Authority::open(&folder.path().join(KEYS), server.clock()).unwrap();
        let identity = authority.issue_server("api", &["127.0.0.1".to_owned()]).unwrap();
        let listener = listener.with_tls(server_config(&authority, &identity).unwrap(), true);
        let url = format!("https://{}", listener.address());
        let pem = Some(authority.certificate_pem());
        let kubeconfig = access.write_kubeconfig(&url, pem).unwrap();
        let serving = tokio::spawn(serve(server.clone(), listener));
        Self { server, folder, kubeconfig, authority, url, serving }
    }

    /// Runs a program; returns whether it succeeded, and what it said.
    async fn run(&self, program: &str, arguments: &[&str]) -> (bool, String) {
        #[expect(clippy::disallowed_methods, reason = "a real client, outside of any sandbox")]
        let mut command = std::process::Command::new(program);
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.folder.path())
            .args(arguments);
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap().trim().to_owned())
    }

    /// Runs kubectl as the administrator.
    async fn kubectl(&self, arguments: &[&str]) -> (bool, String) {
        let mut all = vec!["--kubeconfig", self.kubeconfig.to_str().unwrap()];
        all.extend(arguments);
        self.run("kubectl", &all).await
    }

    /// Runs kubectl with a token and nothing else.
    async fn kubectl_with(&self, token: &str, arguments: &[&str]) -> (bool, String) {
        let mut all = vec!["--kubeconfig", "/dev/null", "--server", &self.url, "--token", token];
        let authority = self.folder.path().join("keys/ca.crt");
        all.extend(["--certificate-authority", authority.to_str().unwrap()]);
        all.extend(arguments);
        self.run("kubectl", &all).await
    }

    /// Ends the server and returns the events of its audit log.
    async fn events(self) -> Vec<Value> {
        self.server.shutdown().cancel();
        self.serving.await.unwrap();
        let path = self.folder.path().join("audit.log");
        let mut text = String::new();
        // The log is written in the background; the last event is the last thing it does.
        for _ in 0..1000 {
            text = fs_err::read_to_string(&path).unwrap();
            if text.contains("/version?last") {
                break;
            }
            tokio::task::yield_now().await;
            std::thread::yield_now();
        }
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn has_kubectl() -> bool {
    let found =
        Path::new("/usr/bin/kubectl").exists() || Path::new("/usr/local/bin/kubectl").exists();
    if !found {
        #[expect(clippy::print_stderr, reason = "a test that did not run says so")]
        {
            eprintln!("skipped: kubectl is not installed");
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_gets_in_with_and_without_encryption() {
    if !has_kubectl() {
        return;
    }
    let guarded = Guarded::new().await;
    let (ok, text) = guarded.kubectl(&["get", "namespaces", "-o", "name"]).await;
    assert!(ok && text.contains("namespace/kube-system"), "{text}");
    let (ok, text) = guarded.kubectl(&["auth", "whoami", "-o", "json"]).await;
    assert!(ok, "{text}");
    let review: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(review["status"]["userInfo"]["username"], "loopline:admin");
    // Nobody in particular gets nothing, a wrong token less.
    let pods = format!("{}/api/v1/pods", guarded.url);
    let (_, text) = guarded.run("curl", &["-sk", &pods]).await;
    let status: Value = serde_json::from_str(&text).unwrap();
    assert!(
        status["message"].as_str().unwrap().contains(
            "pods is forbidden: User \"system:anonymous\" cannot list resource \"pods\" in \
                 API group \"\" at the cluster scope"
        ),
        "{text}"
    );
    let (ok, text) = guarded.kubectl_with("wrong", &["get", "--raw", "/version"]).await;
    assert!(!ok && text.contains("You must be logged in to the server"), "{text}");
    // kubectl sends no token unencrypted; others may, and need one.
    let plain = guarded.url.replace("https://", "http://");
    let token = fs_err::read_to_string(guarded.folder.path().join("keys/admin-token")).unwrap();
    let bearer = format!("Authorization: Bearer {token}");
    for (header, path, code) in [
        (&*bearer, "/api/v1/pods", "200"),
        ("Authorization: Bearer wrong", "/api/v1/pods", "401"),
        ("Authorization: Basic YTpi", "/api/v1/pods", "401"),
        ("X-Nothing: x", "/api/v1/pods", "403"),
        ("X-Nothing: x", "/livez", "200"),
        ("X-Nothing: x", "/readyz", "200"),
    ] {
        let url = format!("{plain}{path}");
        let arguments = ["-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", header, &url];
        let (_, found) = guarded.run("curl", &arguments).await;
        assert_eq!(found, code, "{header} {path}");
    }
    let mode =
        std::os::unix::fs::MetadataExt::mode(&fs_err::metadata(&guarded.kubeconfig).unwrap());
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test(flavor = "multi_thread")]
async fn service_accounts_get_tokens_that_end_with_them() {
    if !has_kubectl() {
        return;
    }
    let guarded = Guarded::new().await;
    for arguments in [
        &["create", "serviceaccount", "robot"][..],
        &["create", "role", "reader", "--verb=get,list", "--resource=configmaps"],
        &["create", "rolebinding", "robot", "--role=reader", "--serviceaccount=default:robot"],
    ] {
        let (ok, text) = guarded.kubectl(arguments).await;
        assert!(ok, "{text}");
    }
    let (ok, token) = guarded.kubectl(&["create", "token", "robot", "--duration=20m"]).await;
    assert!(ok, "{token}");
    let (ok, text) = guarded.kubectl_with(&token, &["auth", "whoami", "-o", "json"]).await;
    assert!(ok, "{text}");
    let user = serde_json::from_str::<Value>(&text).unwrap()["status"]["userInfo"].clone();
    assert_eq!(user["username"], "system:serviceaccount:default:robot");
    assert_eq!(
        user["groups"],
        json!(["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"])
    );
    for (arguments, answer) in [
        (&["auth", "can-i", "list", "configmaps"][..], "yes"),
        (&["auth", "can-i", "delete", "configmaps"], "no"),
        (&["auth", "can-i", "get", "/version"], "yes"),
        (&["auth", "can-i", "get", "/logs"], "no"),
    ] {
        let (_, text) = guarded.kubectl_with(&token, arguments).await;
        assert_eq!(text.lines().last(), Some(answer), "{arguments:?}: {text}");
    }
    let (ok, text) = guarded.kubectl_with(&token, &["auth", "can-i", "--list"]).await;
    assert!(ok, "{text}");
    let configmaps = text.lines().find(|line| line.starts_with("configmaps")).unwrap();
    assert!(configmaps.ends_with("[get list]"), "{text}");
    let (ok, text) = guarded.kubectl_with(&token, &["get", "configmaps"]).await;
    assert!(ok, "{text}");
    let (ok, text) = guarded.kubectl(&["create", "token", "robot", "--duration=1m"]).await;
    assert!(!ok && text.contains("may not specify a duration less than 10 minutes"), "{text}");
    // For another audience, the token does not open this API.
    let (_, other) = guarded.kubectl(&["create", "token", "robot", "--audience=vault"]).await;
    let (ok, text) = guarded.kubectl_with(&other, &["get", "configmaps"]).await;
    assert!(!ok && text.contains("You must be logged in"), "{text}");
    let review =
        |token: &str, audience: &str| json!({"spec": {"token": token, "audiences": [audience]}});
    let path = "/apis/authentication.k8s.io/v1/tokenreviews";
    let answer = ask(&guarded.server, "POST", path, review(&other, "vault")).await.ok();
    assert_eq!(answer["status"]["authenticated"], true);
    assert_eq!(answer["status"]["audiences"], json!(["vault"]));
    let answer = ask(&guarded.server, "POST", path, review(&other, "else")).await.ok();
    assert_eq!(answer["status"]["authenticated"], false);
    // The keys that others check tokens with.
    let (ok, text) = guarded.kubectl_with(&token, &["get", "--raw", "/openid/v1/jwks"]).await;
    assert!(ok && text.contains("\"crv\":\"P-256\""), "{text}");
    // Without its account the token opens nothing, nor does it for a new one of the same name.
    for arguments in
        [&["delete", "serviceaccount", "robot"][..], &["create", "serviceaccount", "robot"]]
    {
        let (ok, text) = guarded.kubectl(arguments).await;
        assert!(ok, "{text}");
        let (ok, text) = guarded.kubectl_with(&token, &["get", "configmaps"]).await;
        assert!(!ok && text.contains("You must be logged in"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn acting_as_somebody_else_has_to_be_allowed() {
    if !has_kubectl() {
        return;
    }
    let guarded = Guarded::new().await;
    let (ok, text) = guarded.kubectl(&["get", "pods", "--as", "ann", "--as-group", "dev"]).await;
    assert!(!ok);
    assert!(
        text.contains(
            "pods is forbidden: User \"ann\" cannot list resource \"pods\" in API group \"\" in \
             the namespace \"default\""
        ),
        "{text}"
    );
    let (ok, text) = guarded
        .kubectl(&["create", "rolebinding", "dev", "--clusterrole=view", "--group=dev"])
        .await;
    assert!(ok, "{text}");
    let (ok, text) = guarded.kubectl(&["get", "pods", "--as", "ann", "--as-group", "dev"]).await;
    assert!(ok, "{text}");
    // Who acts as ann, may not act as others.
    let (ok, text) = guarded.kubectl(&["create", "serviceaccount", "robot"]).await;
    assert!(ok, "{text}");
    let (_, token) = guarded.kubectl(&["create", "token", "robot"]).await;
    let (ok, text) = guarded.kubectl_with(&token, &["get", "pods", "--as", "ann"]).await;
    assert!(!ok);
    assert!(
        text.contains(
            "users \"ann\" is forbidden: User \"system:serviceaccount:default:robot\" cannot \
             impersonate resource \"users\" in API group \"\" at the cluster scope"
        ),
        "{text}"
    );
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
        "stringData": {"password": "hunter2-hunter2"},
    });
    let manifest = guarded.folder.path().join("secret.json");
    fs_err::write(&manifest, secret.to_string()).unwrap();
    let (ok, text) = guarded.kubectl(&["apply", "-f", manifest.to_str().unwrap()]).await;
    assert!(ok, "{text}");
    let (ok, text) = guarded.kubectl(&["get", "--raw", "/version?last"]).await;
    assert!(ok, "{text}");
    let events = guarded.events().await;
    let whole = json!(events).to_string();
    assert!(!whole.contains(&token) && !whole.contains("hunter2"), "a secret was written down");
    let as_ann = events
        .iter()
        .find(|event| event["impersonatedUser"]["username"] == "ann")
        .expect("an event of acting as ann");
    assert_eq!(as_ann["user"]["username"], "loopline:admin");
    let refused = events
        .iter()
        .find(|event| {
            event["objectRef"]["resource"] == "pods" && event["responseStatus"]["code"] == 403
        })
        .expect("an event of a refusal");
    assert_eq!(refused["verb"], "list");
    assert_eq!(refused["level"], "Metadata");
    assert_eq!(refused["stage"], "ResponseComplete");
    assert_eq!(refused["responseStatus"]["reason"], "Forbidden");
    let made = events
        .iter()
        .find(|event| event["objectRef"]["name"] == "s" && event["verb"] == "get")
        .expect("an event of the secret");
    assert_eq!(made["objectRef"]["namespace"], "default");
}

#[tokio::test(flavor = "multi_thread")]
async fn kube_speaks_tls_with_tokens_and_certificates() {
    let guarded = Guarded::new().await;
    let authority = &guarded.authority;
    let text = fs_err::read_to_string(&guarded.kubeconfig).unwrap();
    let admin = client(&text).await;
    let maps: Api<ConfigMap> = Api::namespaced(admin, "default");
    let map = ConfigMap {
        metadata: kube::core::ObjectMeta { name: Some("m".to_owned()), ..Default::default() },
        ..ConfigMap::default()
    };
    maps.create(&kube::api::PostParams::default(), &map).await.unwrap();
    make(
        &guarded.server,
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "dev"},
            "subjects": [{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "dev"}],
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view",
            },
        }),
    )
    .await
    .ok();
    let certified = |authority: &Authority, group: &str| {
        let client = authority.issue_client("ann", Some(group)).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| !line.contains("token:")).collect();
        lines.join("\n").replace(
            "  user:\n",
            &format!(
                "  user:\n    client-certificate-data: {}\n    client-key-data: {}\n",
                base64(&client.certificate_pem),
                base64(&client.key_pem)
            ),
        )
    };
    let maps: Api<ConfigMap> =
        Api::namespaced(client(&certified(authority, "dev")).await, "default");
    assert!(maps.get("m").await.is_ok());
    let error = maps.create(&kube::api::PostParams::default(), &map).await.unwrap_err();
    assert!(error.to_string().contains("User \"ann\" cannot create"), "{error}");
    let maps: Api<ConfigMap> =
        Api::namespaced(client(&certified(authority, "ops")).await, "default");
    let error = maps.get("m").await.unwrap_err();
    assert!(error.to_string().contains("User \"ann\" cannot get"), "{error}");
    // Another authority's certificate is worth nothing.
    let folder = tempfile::tempdir().unwrap();
    let other = Authority::open(folder.path(), &Clock::real()).unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(client(&certified(&other, "dev")).await, "default");
    assert!(!matches!(maps.get("m").await.unwrap_err(), kube::Error::Api(_)));
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

async fn client(kubeconfig: &str) -> kube::Client {
    let config = Kubeconfig::from_yaml(kubeconfig).unwrap();
    let config =
        kube::Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await.unwrap();
    kube::Client::try_from(config).unwrap()
}

#[tokio::test]
async fn secrets_are_sealed_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join(KEYS).join(SECRETS_KEY);
    let open = || {
        SqliteStore::open(&SqliteOptions {
            folder: folder.path().to_owned(),
            durability: Durability::Full,
            owner: "a test".to_owned(),
        })
        .unwrap()
    };
    let clock = Clock::real();
    {
        let mut options = Options::ephemeral().unwrap();
        options.store = Arc::new(open());
        options.vault = Box::new(Sealed::open(&key, &*options.store, &clock).await.unwrap());
        let server = Server::new(options);
        for kind in ["Secret", "ConfigMap"] {
            let field = if kind == "Secret" { "stringData" } else { "data" };
            make(
                &server,
                json!({
                    "apiVersion": "v1", "kind": kind, "metadata": {"name": "one"},
                    field: {"k": format!("plain-value-of-{kind}")},
                }),
            )
            .await
            .ok();
        }
        let path = "/api/v1/namespaces/default/secrets/one";
        let read = ask(&server, "GET", path, Value::Null).await.ok();
        assert_eq!(read["data"]["k"], base64("plain-value-of-Secret"));
    }
    let has = |what: &str| {
        fs_err::read_dir(folder.path()).unwrap().any(|entry| {
            let path = entry.unwrap().path();
            path.is_file() && {
                let bytes = fs_err::read(path).unwrap();
                bytes.windows(what.len()).any(|window| window == what.as_bytes())
            }
        })
    };
    assert!(has("plain-value-of-ConfigMap"), "the test looks at the wrong files");
    assert!(!has("plain-value-of-Secret") && !has(&base64("plain-value-of-Secret")));
    let kept = fs_err::read(&key).unwrap();
    fs_err::remove_file(&key).unwrap();
    let error = Sealed::open(&key, &open(), &clock).await.unwrap_err();
    assert!(matches!(error, VaultError::Missing(_)), "{error}");
    assert!(error.to_string().contains("next: put it back"), "{error}");
    loopline_tls::write_private(&key, &[7; 32]).unwrap();
    let error = Sealed::open(&key, &open(), &clock).await.unwrap_err();
    assert!(matches!(error, VaultError::Wrong { .. }), "{error}");
    loopline_tls::write_private(&key, &kept).unwrap();
    Sealed::open(&key, &open(), &clock).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_and_levels_of_security_add_to_audit_events() {
    if !has_kubectl() {
        return;
    }
    let guarded = Guarded::new().await;
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "notes"},
        "spec": {
            "matchConstraints": {"resourceRules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
                "resources": ["configmaps"],
            }]},
            "validations": [{"expression": "true"}, {"expression": "has(object.data)"}],
            "auditAnnotations": [
                {"key": "named", "valueExpression": "'name: ' + object.metadata.name"},
                {"key": "never", "valueExpression": "null"},
            ],
        },
    });
    make(&guarded.server, policy).await.ok();
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "everywhere"},
        "spec": {"policyName": "notes", "validationActions": ["Audit"]},
    });
    let bound = make(&guarded.server, binding).await;
    assert_eq!(bound.warnings, Vec::<String>::new());
    let space = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": "watched", "labels": {"pod-security.kubernetes.io/audit": "baseline"},
        },
    });
    make(&guarded.server, space).await.ok();
    let host = r#"{"spec": {"hostNetwork": true}}"#;
    for command in [
        &["create", "configmap", "empty"][..],
        &["create", "configmap", "full", "--from-literal=a=b"],
        &["-n", "watched", "run", "p", "--image=i", "--overrides", host],
        &["get", "--raw", "/version?last"],
    ] {
        let (done, said) = guarded.kubectl(command).await;
        assert!(done, "{said}");
    }
    let events = guarded.events().await;
    let of = |resource: &str, namespace: &str| -> Vec<Value> {
        let all = events.iter().filter(|event| {
            event["verb"] == "create"
                && event["objectRef"]["resource"] == resource
                && event["objectRef"]["namespace"] == namespace
        });
        all.map(|event| event["annotations"].clone()).collect()
    };
    let maps = of("configmaps", "default");
    assert_eq!(maps.len(), 2, "{maps:?}");
    assert_eq!(maps[0]["notes/named"], "name: empty");
    assert!(maps[0].get("notes/never").is_none());
    let failed = maps[0]["validation.policy.admission.k8s.io/validation_failure"].as_str().unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(failed).unwrap(),
        json!([{
            "message": "failed expression: has(object.data)", "policy": "notes",
            "binding": "everywhere", "expressionIndex": 1, "validationActions": ["Audit"],
        }])
    );
    assert_eq!(maps[1], json!({"notes/named": "name: full"}));
    let pods = of("pods", "watched");
    let violated = pods[0]["pod-security.kubernetes.io/audit-violations"].as_str().unwrap();
    let begins = "would violate PodSecurity \"baseline:latest\": host namespaces";
    assert!(violated.starts_with(begins), "{violated}");
    assert_eq!(pods[0]["pod-security.kubernetes.io/enforce-policy"], "privileged:latest");
}
