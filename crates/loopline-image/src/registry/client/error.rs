//! What goes wrong with registries.

use std::io;
use std::time::Duration;

use http::StatusCode;

use super::docker_config::ConfigError;
use crate::digest::{BadDigest, Digest};
use crate::store::StoreError;

/// A pull or push that failed.
#[derive(Debug, thiserror::Error)]
#[error("{doing} {reference} {way} {registry}")]
pub struct RegistryError {
    /// `pull` or `push`.
    pub doing: &'static str,
    pub(super) way: &'static str,
    /// What was asked for.
    pub reference: String,
    /// The registry that was asked last.
    pub registry: String,
    /// Why.
    #[source]
    pub cause: Box<Cause>,
}

/// Why a registry could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// It cannot be reached.
    #[error("connect to {host}")]
    Connect {
        /// The machine and port.
        host: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The connection broke.
    #[error("the connection to {host} broke: {why}")]
    Broken {
        /// The machine and port.
        host: String,
        /// What is known.
        why: String,
    },
    /// It says nothing any more.
    #[error("{host} sent nothing for {} s", limit.as_secs())]
    Stalled {
        /// The machine and port.
        host: String,
        /// How long was waited.
        limit: Duration,
    },
    /// It says no.
    #[error("the registry answered {status}{}", shown(message))]
    Status {
        /// What it answered.
        status: StatusCode,
        /// What it said about it.
        message: String,
    },
    /// It wants to know who asks, and nobody said or it does not believe it.
    #[error("the registry wants a login{}: {why}", shown(message))]
    Unauthorized {
        /// What is known here.
        why: String,
        /// What it said.
        message: String,
    },
    /// What came is not what was asked for.
    #[error("{what} is {found}, and {expected} was asked for")]
    Mismatch {
        /// What came.
        what: &'static str,
        /// What was asked for.
        expected: Digest,
        /// What came instead.
        found: Digest,
    },
    /// A blob has another size than said.
    #[error("blob {digest} has {found} bytes, and {expected} are said")]
    Size {
        /// The blob.
        digest: Digest,
        /// What is said.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// It does not keep to the protocol.
    #[error("the registry's answer makes no sense: {0}")]
    Protocol(String),
    /// It sends the client somewhere it must not go.
    #[error("the registry leads to {to}, which is refused: {why}")]
    Redirect {
        /// Where.
        to: String,
        /// Why not.
        why: &'static str,
    },
    /// The address cannot be used.
    #[error("{address} is no registry's address: {why}")]
    Address {
        /// The address.
        address: String,
        /// What is wrong with it.
        why: String,
    },
    /// Docker's configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<BadDigest> for Cause {
    fn from(error: BadDigest) -> Self {
        Self::Protocol(error.to_string())
    }
}

impl From<io::Error> for Cause {
    fn from(error: io::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Cause {
    /// Says whether the same may go well the next time.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Broken { .. } | Self::Stalled { .. } => true,
            Self::Status { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            _ => false,
        }
    }
}

fn shown(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(" ({message})") }
}
