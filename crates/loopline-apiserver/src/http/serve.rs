//! Connections: HTTP/1.1 and HTTP/2 on listeners.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::handle::Asked;
use super::reply::{self, Reply};
use crate::Server;
use crate::auth::{Connection, User};
use crate::status::Result;

/// The most connections that are served at a time; more wait to be accepted.
const MAX_CONNECTIONS: usize = 16 * 1024;

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
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Listens on an address; port 0 takes a free one.
    ///
    /// # Errors
    /// [`ServeError::Listen`].
    pub async fn bind(address: SocketAddr) -> std::result::Result<Self, ServeError> {
        let listen = |source| ServeError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        Ok(Self { listener, address })
    }

    /// Returns the address, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Serves a listener until the server's shutdown.
pub async fn serve(server: Server, listener: Listener) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let shutdown = server.shutdown().clone();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.listener.accept() => accepted,
            () = shutdown.cancelled() => return,
        };
        // An error is about one connection (or too many open files); the next may do.
        let Ok((stream, address)) = accepted else {
            tokio::task::yield_now().await;
            continue;
        };
        let server = server.clone();
        let shutdown = shutdown.clone();
        tokio::spawn(async move {
            let _place = place;
            let _ = stream.set_nodelay(true);
            let known = Arc::new(Connection { certified: None, address: address.ip().to_string() });
            let service = hyper::service::service_fn(move |request| {
                let server = server.clone();
                let known = Arc::clone(&known);
                async move { Ok::<_, Infallible>(server.authenticate_and_handle(request, &known).await) }
            });
            let builder = auto::Builder::new(TokioExecutor::new());
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
        });
    }
}

impl Server {
    /// Answers a request of the network.
    pub(crate) async fn authenticate_and_handle(
        &self,
        request: http::Request<hyper::body::Incoming>,
        connection: &Connection,
    ) -> Reply {
        match self.user_of_request(&request, connection).await {
            Ok(user) => self.handle(request, user).await,
            Err(status) => reply::error(&status),
        }
    }

    /// Returns as whom a request acts.
    async fn user_of_request<B>(
        &self,
        request: &http::Request<B>,
        connection: &Connection,
    ) -> Result<User> {
        let user = self.authenticate(request.headers(), connection).await?;
        Ok(self.impersonated(request.headers(), &user).await?.unwrap_or(user))
    }
}

/// `/healthz` and its like: whether the store answers.
pub(super) async fn health(server: &Server, asked: &Asked) -> Result<Reply> {
    let answer = server.store().get("healthz").await;
    let verbose =
        asked.query.get("verbose").is_some() || asked.query.all("verbose").next().is_some();
    let (code, text) = match answer {
        Ok(_) if verbose => (200, "[+]ping ok\n[+]store ok\nhealthz check passed\n".to_owned()),
        Ok(_) => (200, "ok".to_owned()),
        Err(error) => {
            (500, format!("[+]ping ok\n[-]store failed: {error}\nhealthz check failed\n"))
        }
    };
    Ok(reply::raw(code, "text/plain; charset=utf-8", text.into_bytes()))
}
