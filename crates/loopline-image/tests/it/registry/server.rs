//! A registry for a test, and requests to it by hand.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use loopline_image::registry::client::{Client, DockerConfig, Options as ClientOptions, Pushed};
use loopline_image::registry::server::{Listener, Options, Registry, Users, serve};
use loopline_image::store::{Lease, Store};
use loopline_tls::{Trust, client_config};
use tokio::runtime::Runtime;

/// A registry that serves until it is dropped.
pub(crate) struct Served {
    pub(crate) runtime: Runtime,
    pub(crate) registry: Registry,
    pub(crate) address: SocketAddr,
}

/// What came of a request.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Served {
    pub(crate) fn new(folder: &Path) -> Self {
        Self::with(folder, |_| {})
    }

    pub(crate) fn with(folder: &Path, change: impl FnOnce(&mut Options)) -> Self {
        let store = Store::open(folder.join("registry"), loopline_clock::Clock::real()).unwrap();
        let mut options = Options { store, users: None, anonymous_pull: false, upstream: None };
        change(&mut options);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let registry = Registry::new(options).unwrap();
        let local = "127.0.0.1:0".parse().unwrap();
        let listener = runtime.block_on(Listener::bind(local, None)).unwrap();
        let address = listener.address();
        runtime.spawn(serve(registry.clone(), listener));
        Self { runtime, registry, address }
    }

    /// Returns a repository's name with the registry's address.
    pub(crate) fn name(&self, repository: &str) -> String {
        format!("{}/{repository}", self.address)
    }

    /// Sends a request; the path may be a whole address.
    pub(crate) fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answered {
        self.runtime.block_on(ask(self.address, method, path, headers, body.into()))
    }

    pub(crate) fn get(&self, path: &str) -> Answered {
        self.ask(Method::GET, path, &[], "")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.registry.shutdown().cancel();
    }
}

impl Answered {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Checks the status and the code of an error.
    #[track_caller]
    pub(crate) fn is_error(&self, status: u16, code: &str) {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(self.json()["errors"][0]["code"], code, "{self:?}");
    }

    #[track_caller]
    pub(crate) fn is(&self, status: u16) -> &Self {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self
    }
}

async fn ask(
    address: SocketAddr,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> Answered {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request =
        Request::builder().method(method).uri(path).header("host", address.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = sender.send_request(request.body(Full::new(body)).unwrap()).await.unwrap();
    let (head, body) = answer.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answered { status: head.status, headers: head.headers, body }
}

/// Returns a client that nobody knows anywhere, and what it tells.
pub(crate) fn client() -> (Client, Arc<Mutex<Vec<String>>>) {
    client_with(|_| {})
}

pub(crate) fn client_with(
    change: impl FnOnce(&mut ClientOptions),
) -> (Client, Arc<Mutex<Vec<String>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let mut options = ClientOptions {
        tls: Arc::new(client_config(Trust::Machine).unwrap()),
        credentials: Arc::new(DockerConfig::none()),
        mirrors: Vec::new(),
        insecure: Vec::new(),
        progress: Arc::new(move |event| tell.lock().unwrap().push(format!("{event:?}"))),
    };
    change(&mut options);
    (Client::new(options), told)
}

/// Returns users: ada, whose password is `secret`.
pub(crate) fn users(folder: &Path) -> Users {
    let path = folder.join("users");
    Users::add(&path, "ada", "secret", std::num::NonZeroU32::MIN, &loopline_clock::Clock::real())
        .unwrap();
    Users::read(&path).unwrap()
}

/// Pushes an image that has to arrive.
pub(crate) fn push(
    runtime: &Runtime,
    client: &Client,
    lease: &Lease,
    local: &str,
    remote: &str,
) -> Pushed {
    let (local, remote) = (local.parse().unwrap(), remote.parse().unwrap());
    runtime.block_on(client.push(lease.store(), &local, &remote, lease)).unwrap()
}
