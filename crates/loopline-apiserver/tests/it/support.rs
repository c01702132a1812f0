//! A server with an empty store, and two ways to ask it: in the same process, and with kubectl.

use std::net::SocketAddr;
use std::process::Output;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use loopline_apiserver::auth::{Rbac, User};
use loopline_apiserver::http::{Listener, serve};
use loopline_apiserver::{Options, Server};
use serde_json::{Value, json};

/// How long is waited for what would never come if it did not work.
pub(crate) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// Returns a server that forgets everything with the test.
pub(crate) fn server() -> Server {
    Server::new(Options::ephemeral().unwrap())
}

/// What a request was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) body: Value,
    pub(crate) warnings: Vec<String>,
}

impl Answer {
    /// Returns the body of a success.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert!(self.code < 300, "{} {}", self.code, self.body);
        self.body
    }

    /// Returns the code and the message of a refusal.
    #[track_caller]
    pub(crate) fn refused(&self) -> (u16, &str) {
        assert!(self.code >= 400, "{} {}", self.code, self.body);
        (self.code, self.body["message"].as_str().unwrap())
    }
}

/// Asks a server as its administrator.
pub(crate) async fn ask(server: &Server, method: &str, path: &str, body: Value) -> Answer {
    ask_as(server, User::administrator(), method, path, body).await
}

/// Asks a server as somebody.
pub(crate) async fn ask_as(
    server: &Server,
    user: User,
    method: &str,
    path: &str,
    body: Value,
) -> Answer {
    let kind = match method {
        "PATCH" => "application/merge-patch+json",
        _ => "application/json",
    };
    let bytes = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", kind)
        .body(Full::new(bytes))
        .unwrap();
    let reply = server.handle(request, user).await;
    let code = reply.status().as_u16();
    let warnings = reply
        .headers()
        .get_all("warning")
        .iter()
        .map(|value| value.to_str().unwrap().to_owned())
        .collect();
    let bytes = reply.into_body().collect().await.unwrap().to_bytes();
    Answer { code, body: serde_json::from_slice(&bytes).unwrap_or_default(), warnings }
}

/// Makes an object in the namespace `default`, or wherever it says.
pub(crate) async fn make(server: &Server, object: Value) -> Answer {
    let (path, object) = collection(object);
    ask(server, "POST", &path, object).await
}

/// Allows the user of a name, and the service account of that name in `default`, what rules say.
pub(crate) async fn grant(server: &Server, name: &str, rules: Value) {
    let group = "rbac.authorization.k8s.io";
    let role = json!({
        "apiVersion": format!("{group}/v1"), "kind": "ClusterRole",
        "metadata": {"name": name}, "rules": rules,
    });
    make(server, role).await.ok();
    let binding = json!({
        "apiVersion": format!("{group}/v1"), "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
        "subjects": [
            {"apiGroup": group, "kind": "User", "name": name},
            {"kind": "ServiceAccount", "namespace": "default", "name": name},
        ],
    });
    make(server, binding).await.ok();
}

/// Returns a server that decides by roles.
pub(crate) fn with_roles() -> Server {
    let mut options = Options::ephemeral().unwrap();
    options.authorizer = Arc::new(Rbac::new(Arc::clone(&options.store)));
    Server::new(options)
}

fn collection(object: Value) -> (String, Value) {
    let version = object["apiVersion"].as_str().unwrap();
    let root = if version.contains('/') { "/apis" } else { "/api" };
    let kind = object["kind"].as_str().unwrap();
    let (group, version_only) = version.rsplit_once('/').unwrap_or(("", version));
    let resource = loopline_schema::resources()
        .iter()
        .find(|one| one.group == group && one.version == version_only && one.kind == kind)
        .unwrap();
    let place = if resource.namespaced {
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or("default");
        format!("namespaces/{namespace}/")
    } else {
        String::new()
    };
    (format!("{root}/{version}/{place}{}", resource.plural), object)
}

/// A server that listens on a free port.
pub(crate) struct Served {
    pub(crate) server: Server,
    address: SocketAddr,
    home: tempfile::TempDir,
}

impl Served {
    /// Starts to serve.
    pub(crate) async fn new() -> Self {
        Self::of(server()).await
    }

    /// Starts to serve a server.
    pub(crate) async fn of(server: Server) -> Self {
        let listener = Listener::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = listener.address();
        tokio::spawn(serve(server.clone(), listener));
        Self { server, address, home: tempfile::tempdir().unwrap() }
    }

    /// Returns where it is reached.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Runs kubectl; returns nothing where there is none, which it says.
    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> Option<(bool, String)> {
        #[expect(clippy::disallowed_methods, reason = "a real client, outside of any sandbox")]
        let mut command = std::process::Command::new("kubectl");
        command
            .env_clear()
            .env("PATH", path())
            .env("HOME", self.home.path())
            .arg("--server")
            .arg(self.url())
            .args(arguments);
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
        let Ok(Output { status, stdout, stderr }) = output else {
            skipped("kubectl is not installed");
            return None;
        };
        let text = [stdout, stderr].concat();
        Some((status.success(), String::from_utf8(text).unwrap()))
    }

    /// Starts a script in the home folder, in which `kubectl` asks this server.
    pub(crate) fn spawn(&self, script: &str) -> tokio::process::Child {
        let config = self.home.path().join("kubeconfig");
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters: [{{name: a, cluster: \
             {{server: \"http://{}\"}}}}]\ncontexts: [{{name: a, context: {{cluster: a, user: \
             a}}}}]\nusers: [{{name: a, user: {{}}}}]\n",
            self.address
        );
        fs_err::write(&config, text).unwrap();
        tokio::process::Command::new("sh")
            .args(["-c", script])
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.home.path())
            .env("KUBECONFIG", config)
            .current_dir(self.home.path())
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    /// Runs a script; returns its exit status and what it printed.
    pub(crate) async fn shell(&self, script: &str) -> (i32, String) {
        let output = self.spawn(script).wait_with_output().await.unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    }
}

/// Returns where programs are.
pub(crate) fn path() -> std::ffi::OsString {
    #[expect(clippy::disallowed_methods, reason = "the tools of whoever runs the tests")]
    std::env::var_os("PATH").unwrap_or_default()
}

#[expect(clippy::print_stderr, reason = "a test that did not run says so")]
fn skipped(why: &str) {
    eprintln!("skipped: {why}");
}

impl Drop for Served {
    fn drop(&mut self) {
        self.server.shutdown().cancel();
    }
}
