//! The server of one job: who may ask, and which call is whose.
//!
//! It listens on a given listener (on loopback, or inside the job's sandbox), in a thread of
//! its own, and ends when it is dropped.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::{TokioIo, TokioTimer};
use loopline_clock::Clock;
use serde_json::json;
use tokio::sync::{Semaphore, oneshot};

use super::http::{self, Answer};
use super::storage::{Artifact, Artifacts, CacheScope, Caches};
use super::uploads::Uploads;
use super::{artifact_calls, cache_calls, cache_v1};

/// How many connections are open at once.
const MAX_CONNECTIONS: usize = 256;
/// How large one request's body may be, in bytes.
pub(super) const MAX_BODY_BYTES: u64 = 10 * 1024 * 1024 * 1024;
/// How long a token is said to be valid, in seconds; it ends with the server in any case.
const TOKEN_SECONDS: i64 = 35 * 24 * 3600;

/// Why a server cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The listener or the runtime could not be set up.
    #[error("start the artifact and cache server")]
    Io(#[from] io::Error),
}

/// Tells somebody of an artifact that was stored.
pub type OnStored = Arc<dyn Fn(&Artifact) + Send + Sync>;

/// On whose behalf a server answers.
pub struct Session {
    /// The run, which artifacts belong to.
    pub run: String,
    /// The job, as one word.
    pub job: String,
    /// Which caches it may see and store.
    pub scope: CacheScope,
    /// Where artifacts are.
    pub artifacts: Arc<dyn Artifacts>,
    /// Where caches are.
    pub caches: Arc<dyn Caches>,
    /// Where time and secrets come from.
    pub clock: Clock,
    /// Who is told of artifacts.
    pub on_stored: OnStored,
}

/// A running server.
pub struct Server {
    address: String,
    token: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What handlers share.
pub(super) struct Shared {
    pub(super) session: Session,
    pub(super) address: String,
    token: String,
    /// Signs addresses of downloads.
    pub(super) secret: String,
    pub(super) uploads: Mutex<Uploads>,
}

impl Server {
    /// Starts to answer on `listener`.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn start(listener: TcpListener, session: Session) -> Result<Self, ServerError> {
        listener.set_nonblocking(true)?;
        let address = format!("http://{}", listener.local_addr()?);
        let token = token(&session);
        let shared = Arc::new(Shared {
            secret: session.clock.random_hex(32),
            session,
            address: address.clone(),
            token: token.clone(),
            uploads: Mutex::default(),
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let thread =
            std::thread::Builder::new().name("job-services".to_owned()).spawn(move || {
                runtime.block_on(async move {
                    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
                    tokio::select! {
                        () = serve(&listener, &shared) => {}
                        _ = stopped => {}
                    }
                });
            })?;
        Ok(Self { address, token, stop: Some(stop), thread: Some(thread) })
    }

    /// Returns the variables that lead actions here.
    pub fn variables(&self) -> Vec<(String, String)> {
        let address = format!("{}/", self.address);
        [
            ("ACTIONS_RESULTS_URL", address.as_str()),
            ("ACTIONS_RUNTIME_URL", &address),
            ("ACTIONS_CACHE_URL", &address),
            ("ACTIONS_RUNTIME_TOKEN", &self.token),
            ("ACTIONS_CACHE_SERVICE_V2", "True"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    /// Returns the token, which is a secret.
    pub fn token(&self) -> &str {
        &self.token
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // A server that ended by itself no longer listens.
            let _gone = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

/// Makes a token of the shape the clients take apart: they read the run and the job from the
/// `scp` claim, and the cache's scope from `ac`. Nobody but this server checks it.
fn token(session: &Session) -> String {
    let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let now = session.clock.now().as_second();
    let scopes = json!([{ "Scope": session.scope.write, "Permission": 3 }]);
    let claims = json!({
        "nameid": "loopline",
        "scp": format!("Actions.Results:{}:{}", session.run, session.job),
        "ac": scopes.to_string(),
        "iat": now,
        "exp": now + TOKEN_SECONDS,
        "iss": "loopline",
    });
    let mut signature = [0; 32];
    session.clock.fill_random(&mut signature);
    format!(
        "{}.{}.{}",
        part(json!({ "typ": "JWT", "alg": "HS256" })),
        part(claims),
        URL_SAFE_NO_PAD.encode(signature)
    )
}

async fn serve(listener: &tokio::net::TcpListener, shared: &Arc<Shared>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, most likely; give others time to close theirs.
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            continue;
        };
        let shared = Arc::clone(shared);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let shared = Arc::clone(&shared);
                async move { Ok::<_, Infallible>(answer(&shared, request).await) }
            });
            // A connection that breaks is the client's to notice.
            let _broken = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
            drop(place);
        });
    }
}

async fn answer(shared: &Shared, request: Request<Incoming>) -> Answer {
    let path = request.uri().path().to_owned();
    if let Some(rest) = path.strip_prefix("/blob/") {
        return blob(shared, rest, request).await;
    }
    let call = path.strip_prefix("/twirp/github.actions.results.api.v1.");
    let older = path.strip_prefix("/_apis/artifactcache/");
    if call.is_none() && older.is_none() {
        return http::twirp(StatusCode::NOT_FOUND, "bad_route", "Loopline serves no such address");
    }
    let expected = format!("Bearer {}", shared.token);
    let given = request.headers().get(header::AUTHORIZATION).map(header::HeaderValue::as_bytes);
    if !given.is_some_and(|given| equal(given, expected.as_bytes())) {
        return http::twirp(StatusCode::UNAUTHORIZED, "unauthenticated", "wrong token");
    }
    if let Some(rest) = older {
        return cache_v1::answer(shared, rest, request).await;
    }
    if request.method() != Method::POST {
        return http::twirp(StatusCode::METHOD_NOT_ALLOWED, "bad_route", "calls are POST");
    }
    let Some((service, method)) = call.unwrap_or_default().split_once('/') else {
        return http::twirp(StatusCode::NOT_FOUND, "bad_route", "no method");
    };
    let (service, method) = (service.to_owned(), method.to_owned());
    let Some(body) = http::read_json(request.into_body()).await else {
        return http::twirp(StatusCode::BAD_REQUEST, "malformed", "the body is no JSON object");
    };
    match service.as_str() {
        "ArtifactService" => artifact_calls::call(shared, &method, &body),
        "CacheService" => cache_calls::call(shared, &method, &body),
        _ => http::twirp(StatusCode::NOT_FOUND, "bad_route", "no such service"),
    }
}

/// Answers uploads and downloads, whose addresses are secrets themselves.
async fn blob(shared: &Shared, rest: &str, request: Request<Incoming>) -> Answer {
    let not_found = || http::twirp(StatusCode::NOT_FOUND, "not_found", "no such blob");
    let mut parts = rest.split('/');
    let (Some(kind), Some(id)) = (parts.next(), parts.next()) else { return not_found() };
    let query = request.uri().query().unwrap_or_default().to_owned();
    let parameter = |name: &str| {
        query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).map(decode)
    };
    let head = request.method() == Method::HEAD;
    match (kind, request.method()) {
        ("upload", &Method::PUT) => {
            let upload = lock(&shared.uploads).get(id).cloned();
            let Some(upload) = upload else { return not_found() };
            let saved = match parameter("comp").as_deref() {
                Some("block") => {
                    let Some(block) = parameter("blockid") else { return not_found() };
                    http::save(request.into_body(), &upload.block(&block), MAX_BODY_BYTES).await
                }
                Some("blocklist") => match http::read_small(request.into_body()).await {
                    Some(list) => upload.commit(&String::from_utf8_lossy(&list)).map(|()| true),
                    None => Ok(false),
                },
                None => http::save(request.into_body(), &upload.file(), MAX_BODY_BYTES).await,
                Some(_) => Ok(false),
            };
            match saved {
                Ok(true) => http::stored(shared.session.clock.now()),
                Ok(false) => {
                    http::twirp(StatusCode::BAD_REQUEST, "malformed", "an incomplete upload")
                }
                Err(error) => internal(&error),
            }
        }
        ("artifact" | "cache", &Method::GET | &Method::HEAD) => {
            let signature = parameter("sig").unwrap_or_default();
            if !equal(signature.as_bytes(), shared.signature(kind, id).as_bytes()) {
                return not_found();
            }
            let range = request
                .headers()
                .get(header::RANGE)
                .or_else(|| request.headers().get("x-ms-range"))
                .and_then(|range| range.to_str().ok());
            match kind {
                "artifact" => artifact_calls::download(shared, id, range, head),
                _ => cache_calls::download(shared, id, range, head),
            }
        }
        _ => not_found(),
    }
}

impl Shared {
    fn signature(&self, kind: &str, id: &str) -> String {
        use sha2::{Digest as _, Sha256};
        let mut hash = Sha256::new();
        for part in [self.secret.as_str(), kind, id] {
            hash.update(part.len().to_le_bytes());
            hash.update(part.as_bytes());
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Returns the address of a download.
    pub(super) fn download_address(&self, kind: &str, id: &str) -> String {
        format!("{}/blob/{kind}/{id}?sig={}", self.address, self.signature(kind, id))
    }
}

/// Returns what an error that is not the caller's looks like.
pub(super) fn internal(error: &dyn std::error::Error) -> Answer {
    http::twirp(StatusCode::INTERNAL_SERVER_ERROR, "internal", &error.to_string())
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Compares secrets in a time that does not tell where they differ.
fn equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

/// Undoes percent encoding.
pub(super) fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let digits = bytes.as_slice_two();
        match (byte, digits) {
            (b'%', Some(value)) => {
                out.push(value);
                bytes.next();
                bytes.next();
            }
            _ => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Looking at the two hexadecimal digits that come next.
trait Digits {
    fn as_slice_two(&self) -> Option<u8>;
}

impl Digits for std::str::Bytes<'_> {
    fn as_slice_two(&self) -> Option<u8> {
        let mut ahead = self.clone();
        let high = char::from(ahead.next()?).to_digit(16)?;
        let low = char::from(ahead.next()?).to_digit(16)?;
        u8::try_from(high * 16 + low).ok()
    }
}
