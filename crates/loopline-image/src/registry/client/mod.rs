//! A client of registries: pulls into the store and pushes out of it.
//!
//! What comes is verified before it is kept; what broke off is gone on with; what is here or there
//! already is not sent again. Credentials are Docker's. Connections are encrypted unless the
//! registry is on this machine or the user says otherwise.

mod auth;
mod connection;
mod docker_config;
mod endpoint;
mod error;
mod pull;
mod push;

pub use docker_config::{ConfigError, Credentials, DockerConfig, RunHelper};
pub use error::{Cause, RegistryError};
pub use pull::{Platforms, Pulled};
pub use push::Pushed;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use rustls::ClientConfig;

use self::connection::Connections;
use crate::digest::Digest;

/// How registries are reached.
#[derive(Clone)]
pub struct Options {
    /// How connections are encrypted.
    pub tls: Arc<ClientConfig>,
    /// Who the user is where.
    pub credentials: Arc<DockerConfig>,
    /// Registries that are asked before the one that a reference names: its name, and a URL.
    pub mirrors: Vec<(String, String)>,
    /// Registries (`HOST` or `HOST:PORT`) that may be reached without encryption.
    pub insecure: Vec<String>,
    /// Is told what happens, for people to see.
    pub progress: Progress,
}

/// Somebody who is told what happens.
pub type Progress = Arc<dyn Fn(Event<'_>) + Send + Sync>;

/// Something that happens during a pull or a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A blob is being sent.
    Begun {
        /// The blob.
        digest: &'a Digest,
        /// Its size in bytes.
        size: u64,
        /// How much of it an earlier attempt has sent already.
        resumed: u64,
    },
    /// A blob was sent.
    Done {
        /// The blob.
        digest: &'a Digest,
        /// Its size in bytes.
        size: u64,
    },
    /// A blob is there already.
    Known {
        /// The blob.
        digest: &'a Digest,
    },
    /// A registry did not answer as it should, and another or the same is asked (again).
    Retried {
        /// What happened.
        why: String,
    },
}

/// A client; cheap to clone.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    options: Options,
    connections: Connections,
    /// What to send as `Authorization`, by base address and scope.
    tokens: Mutex<HashMap<(String, String), String>>,
    /// Which registries of this machine speak plain HTTP.
    plain: Mutex<HashMap<String, bool>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    /// Returns a client that has not connected to anything yet.
    pub fn new(options: Options) -> Self {
        let connections = Connections::new(Arc::clone(&options.tls));
        Self(Arc::new(Inner {
            options,
            connections,
            tokens: Mutex::default(),
            plain: Mutex::default(),
        }))
    }

    fn tell(&self, event: Event<'_>) {
        (self.0.options.progress)(event);
    }
}
