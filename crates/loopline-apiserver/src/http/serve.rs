//! Connections: HTTP/1.1 and HTTP/2 on listeners, encrypted or not.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use loopline_tls::Subject;
use loopline_tls::rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::handle::Asked;
use super::reply::{self, Reply};
use crate::Server;
use crate::auth::{AUTHENTICATED, Connection, User, audit};
use crate::request::Target;
use crate::status::{Result, Status};

/// The most connections that are served at a time; more wait to be accepted.
const MAX_CONNECTIONS: usize = 16 * 1024;

/// How long a client may take until its first request has come: the encryption's beginning and
/// the request's head.
const FIRST_REQUEST: Duration = Duration::from_secs(30);

/// How long a client may take for the head of each further request.
const NEXT_HEAD: Duration = Duration::from_secs(90);

/// The most requests at a time on one HTTP/2 connection.
const MAX_STREAMS: u32 = 250;

/// The largest head of a request, in bytes.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// How often a silent HTTP/2 connection is asked whether the client is still there, and how long
/// it has for the answer.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_ANSWER: Duration = Duration::from_secs(15);

/// How long requests that are under way get to end after the server's shutdown.
const LAST_REQUESTS: Duration = Duration::from_secs(10);

/// Why a server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be had.
    #[error("listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// An address that is listened on.
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    /// Connections that are not encrypted are served too.
    plain: bool,
}

/// What the first byte of an encrypted connection is: a handshake record.
const TLS_HANDSHAKE: u8 = 0x16;

impl Listener {
    /// Listens on an address; port 0 takes a free one.
    ///
    /// # Errors
    /// [`ServeError::Listen`].
    pub async fn bind(address: SocketAddr) -> std::result::Result<Self, ServeError> {
        let listen = |source| ServeError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        Ok(Self { listener, address, tls: None, plain: true })
    }

    /// Encrypts the connections. With `plain`, those that begin without are served as well, on
    /// the same port: clients send no credentials unencrypted of their own accord.
    #[must_use]
    pub fn with_tls(mut self, config: Arc<ServerConfig>, plain: bool) -> Self {
        self.tls = Some(TlsAcceptor::from(config));
        self.plain = plain;
        self
    }

    /// Returns the address, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Listener({})", self.address)
    }
}

/// Serves a listener until the server's shutdown, and then until the requests that are under way
/// were answered.
pub async fn serve(server: Server, listener: Listener) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let shutdown = server.shutdown().clone();
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place,
            () = shutdown.cancelled() => break,
        };
        let Ok(place) = place else { break };
        let accepted = tokio::select! {
            accepted = listener.listener.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        // An error is about one connection (or too many open files); the next may do.
        let Ok((stream, address)) = accepted else {
            tokio::task::yield_now().await;
            continue;
        };
        let server = server.clone();
        let tls = listener.tls.clone();
        let plain = listener.plain;
        connections.spawn(async move {
            let _place = place;
            let begun = Arc::new(AtomicBool::new(false));
            let serving = serve_stream(server, stream, address, (tls, plain), Arc::clone(&begun));
            tokio::pin!(serving);
            tokio::select! {
                () = serving.as_mut() => {}
                () = tokio::time::sleep(FIRST_REQUEST) => {
                    if begun.load(Ordering::Acquire) {
                        serving.await;
                    }
                }
            }
        });
    }
    drop(listener);
    let last = async { while connections.join_next().await.is_some() {} };
    // Whoever takes longer is cut off.
    let _ = tokio::time::timeout(LAST_REQUESTS, last).await;
}

/// Serves one connection; `begun` is set with its first request.
async fn serve_stream(
    server: Server,
    stream: TcpStream,
    address: SocketAddr,
    (tls, plain): (Option<TlsAcceptor>, bool),
    begun: Arc<AtomicBool>,
) {
    let _ = stream.set_nodelay(true);
    let mut known = Connection { certified: None, address: address.ip().to_string() };
    let mut first = [0];
    let encrypted = tls.is_some()
        && (!plain || matches!(stream.peek(&mut first).await, Ok(1) if first[0] == TLS_HANDSHAKE));
    let Some(tls) = tls.filter(|_| encrypted) else {
        return serve_connection(server, stream, known, begun).await;
    };
    // Who cannot speak TLS, or shows a certificate of another authority, is no client.
    let Ok(stream) = tls.accept(stream).await else { return };
    let (_, session) = stream.get_ref();
    known.certified = session
        .peer_certificates()
        .and_then(<[_]>::first)
        .and_then(|certificate| Subject::of_certificate(certificate))
        .map(|subject| {
            let mut groups = subject.organizations;
            if !groups.iter().any(|group| group == AUTHENTICATED) {
                groups.push(AUTHENTICATED.to_owned());
            }
            User { name: subject.common_name, groups, ..User::default() }
        });
    serve_connection(server, stream, known, begun).await;
}

async fn serve_connection<S>(server: Server, stream: S, known: Connection, begun: Arc<AtomicBool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let shutdown = server.shutdown().clone();
    let known = Arc::new(known);
    let service = hyper::service::service_fn(move |request| {
        begun.store(true, Ordering::Release);
        let server = server.clone();
        let known = Arc::clone(&known);
        async move { Ok::<_, Infallible>(server.authenticate_and_handle(request, &known).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(NEXT_HEAD)
        .max_buf_size(MAX_HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX))
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_ANSWER);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        // How a connection ends is the client's business.
        _ = connection.as_mut() => {}
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

impl Server {
    /// Answers a request of the network. A panic is answered as an internal error; the process's
    /// panic hook has told where it was.
    pub(crate) async fn authenticate_and_handle(
        &self,
        request: http::Request<hyper::body::Incoming>,
        connection: &Connection,
    ) -> Reply {
        let mut record = audit::Record::begin(self, &request, connection);
        let answering = AssertUnwindSafe(self.answer_network(request, connection, &mut record));
        let (reply, annotations) = audit::annotated(answering.catch_unwind()).await;
        let reply = reply
            .unwrap_or_else(|_| reply::error(&Status::internal("the request's handler panicked")));
        if let Some(record) = record {
            let reason = reply.extensions().get::<audit::Reason>().cloned();
            record.finish(self, reply.status().as_u16(), reason, annotations).await;
        }
        reply
    }

    async fn answer_network(
        &self,
        request: http::Request<hyper::body::Incoming>,
        connection: &Connection,
        record: &mut Option<audit::Record>,
    ) -> Reply {
        let user = match self.authenticate(request.headers(), connection).await {
            Ok(user) => user,
            Err(status) => return reply::error(&status),
        };
        if let Some(record) = record {
            record.user(&user);
        }
        match self.impersonated(request.headers(), &user).await {
            Ok(None) => self.handle(request, user).await,
            Ok(Some(other)) => {
                if let Some(record) = record {
                    record.impersonated(&other);
                }
                self.handle(request, other).await
            }
            Err(status) => reply::error(&status),
        }
    }
}

/// `/healthz` and its like: whether the store answers, and for `/readyz` whether the server has
/// made what every cluster has.
pub(super) async fn health(server: &Server, asked: &Asked) -> Result<Reply> {
    let path = asked.parts.uri.path().trim_matches('/');
    let name = path.split('/').next().unwrap_or("healthz").to_owned();
    let mut checks = vec![("ping", Ok(()))];
    let store = server.store().get("healthz").await;
    checks.push(("store", store.map(drop).map_err(|error| error.to_string())));
    if let Some(audit) = server.audit() {
        checks.push(("audit-log", audit.health()));
    }
    if name == "readyz" {
        let prepared = server.prepared().initialized();
        let why = "the server is not prepared yet".to_owned();
        checks.push(("start-up", if prepared { Ok(()) } else { Err(why) }));
        let ending = server.shutdown().is_cancelled();
        let why = "the server is shutting down".to_owned();
        checks.push(("shutdown", if ending { Err(why) } else { Ok(()) }));
    }
    let well = checks.iter().all(|(_, check)| check.is_ok());
    let verbose =
        asked.query.get("verbose").is_some() || asked.query.all("verbose").next().is_some();
    let text = if well && !verbose {
        "ok".to_owned()
    } else {
        let mut text = String::new();
        for (check, found) in &checks {
            match found {
                Ok(()) => text.push_str(&format!("[+]{check} ok\n")),
                Err(why) => text.push_str(&format!("[-]{check} failed: {why}\n")),
            }
        }
        text.push_str(&format!("{name} check {}\n", if well { "passed" } else { "failed" }));
        text
    };
    let code = if well { 200 } else { 500 };
    Ok(reply::raw(code, "text/plain; charset=utf-8", text.into_bytes()))
}

/// `/openid/v1/jwks` and `/.well-known/openid-configuration`: how others check tokens of service
/// accounts.
pub(super) fn openid(server: &Server, target: &Target) -> Result<Reply> {
    let keys = server.authentication().keys().ok_or_else(Status::no_such_path)?;
    if *target == Target::KeySet {
        let bytes = reply::json_bytes(&keys.public_set());
        return Ok(reply::raw(200, "application/jwk-set+json", bytes));
    }
    let bytes = reply::json_bytes(&crate::auth::keys::configuration());
    Ok(reply::raw(200, "application/json", bytes))
}
