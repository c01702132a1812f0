//! Clients in the same process: a `kube::Client` that reaches the server without a socket.
//!
//! Ordinary requests and watches are calls of a tower service. A request that asks to switch
//! protocols (`exec`, `attach`, `portforward`) needs a connection to take over: it gets one of
//! its own through memory, with hyper at both ends.
//!
//! Every request is answered in a task of its own, as requests of the network are. Whoever asks
//! may then leave its future alone for a while (a `select!` that is busy in another branch): a
//! request that waited half-way in the caller's task would hold what others wait for.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper_util::rt::TokioIo;
use kube::client::Body;
use tokio_util::task::AbortOnDropHandle;
use tower::BoxError;

use crate::Server;
use crate::auth::User;

/// How many bytes a connection through memory holds in each direction before writers wait.
const CONNECTION_BUFFER_BYTES: usize = 64 * 1024;

impl Server {
    /// Returns a client that acts as the administrator; its default namespace is `default`.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn client(&self) -> kube::Client {
        self.client_as(User::administrator())
    }

    /// Returns a client that acts as `user`; its default namespace is `default`.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn client_as(&self, user: User) -> kube::Client {
        kube::Client::new(InProcess { server: self.clone(), user }, "default")
    }
}

/// The body of an answer.
type AnyBody = UnsyncBoxBody<Bytes, BoxError>;

/// The server as a tower service.
#[derive(Clone, Debug)]
struct InProcess {
    server: Server,
    user: User,
}

impl tower::Service<Request<Body>> for InProcess {
    type Response = Response<AnyBody>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Self { server, user } = self.clone();
        Box::pin(async move {
            if switches_protocols(request.headers()) {
                return connect(server, user, request).await;
            }
            // Who no longer waits for the answer has given the request up.
            let answering =
                AbortOnDropHandle::new(tokio::spawn(
                    async move { server.handle(request, user).await },
                ));
            Ok(answering.await?.map(wrap))
        })
    }
}

/// Returns whether a request asks for another protocol on its connection.
fn switches_protocols(headers: &HeaderMap) -> bool {
    let asks = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|option| option.trim().eq_ignore_ascii_case("upgrade"));
    asks && headers.contains_key(UPGRADE)
}

/// Sends a request over a connection of its own, which both ends may take over.
async fn connect(
    server: Server,
    user: User,
    request: Request<Body>,
) -> Result<Response<AnyBody>, BoxError> {
    let (ours, theirs) = tokio::io::duplex(CONNECTION_BUFFER_BYTES);
    let shutdown = server.shutdown().clone();
    let service = hyper::service::service_fn(move |request| {
        let server = server.clone();
        let user = user.clone();
        async move { Ok::<_, Infallible>(server.handle(request, user).await) }
    });
    let serving = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(theirs), service)
        .with_upgrades();
    tokio::spawn(async move {
        tokio::select! {
            // How the connection ends is told to the client by its own end.
            _ = serving => {}
            () = shutdown.cancelled() => {}
        }
    });
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(ours)).await?;
    tokio::spawn(connection.with_upgrades());
    let response = sender.send_request(request).await?;
    Ok(response.map(wrap))
}

/// Returns a body in the type that both ways of answering share.
fn wrap<B>(body: B) -> AnyBody
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    body.map_err(Into::into).boxed_unsync()
}
