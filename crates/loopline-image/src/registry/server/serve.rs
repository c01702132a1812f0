//! Connections of a registry, encrypted or not.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::Registry;

/// The most connections that are served at a time; more wait to be accepted.
const MAX_CONNECTIONS: usize = 4096;
/// How long a client may take for the head of a request, and for the beginning of encryption.
const HEAD: Duration = Duration::from_secs(60);
/// The largest head of a request, and how much of a body is taken in at a time, in bytes.
const BUFFER_BYTES: usize = 512 * 1024;
/// How long requests that are under way get to end after the shutdown.
const LAST_REQUESTS: Duration = Duration::from_secs(10);

/// Why a registry cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("listen on {address}")]
pub struct ServeError {
    address: SocketAddr,
    #[source]
    source: io::Error,
}

/// An address that is listened on.
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
}

impl Listener {
    /// Listens on an address; port 0 takes a free one.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn bind(
        address: SocketAddr,
        tls: Option<Arc<ServerConfig>>,
    ) -> Result<Self, ServeError> {
        let refused = |source| ServeError { address, source };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Self { listener, address, tls: tls.map(TlsAcceptor::from) })
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

/// Serves a listener until the registry's shutdown, and then until the requests that are under
/// way were answered.
pub async fn serve(registry: Registry, listener: Listener) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let shutdown = registry.shutdown().clone();
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            next = next => next,
            () = shutdown.cancelled() => break,
        };
        // An error is about one connection (or too many open files); the next may do.
        let (Ok(place), Ok((stream, _))) = (place, accepted) else {
            tokio::task::yield_now().await;
            continue;
        };
        let registry = registry.clone();
        let tls = listener.tls.clone();
        connections.spawn(async move {
            let _place = place;
            encrypted(registry, stream, tls).await;
        });
    }
    drop(listener);
    let last = async { while connections.join_next().await.is_some() {} };
    // Whoever takes longer is cut off.
    let _ = tokio::time::timeout(LAST_REQUESTS, last).await;
}

async fn encrypted(registry: Registry, stream: TcpStream, tls: Option<TlsAcceptor>) {
    let _ = stream.set_nodelay(true);
    match tls {
        None => connection(registry, stream).await,
        // Who cannot speak TLS is no client.
        Some(tls) => {
            if let Ok(Ok(stream)) = tokio::time::timeout(HEAD, tls.accept(stream)).await {
                connection(registry, stream).await;
            }
        }
    }
}

async fn connection<S>(registry: Registry, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let shutdown = registry.shutdown().clone();
    let service = hyper::service::service_fn(move |request| {
        let registry = registry.clone();
        async move { Ok::<_, Infallible>(registry.answer(request).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(BUFFER_BYTES);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(HEAD);
    let serving = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    tokio::select! {
        // How a connection ends is the client's business.
        _ = serving.as_mut() => {}
        () = shutdown.cancelled() => {
            serving.as_mut().graceful_shutdown();
            let _ = serving.await;
        }
    }
}
