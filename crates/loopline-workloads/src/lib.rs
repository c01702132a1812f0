//! Controllers that every Kubernetes API needs: garbage collection, namespaces, service accounts,
//! old events, aggregated roles, certificates.
//!
//! They see a `kube::Client` and nothing of where it leads. [`run`] runs all of them until it is
//! told to stop.

mod accounts;
mod certificates;
mod events;
pub mod garbage;
mod namespaces;
mod resources;
mod roles;

use std::sync::Arc;

use kube::Client;
use loopline_clock::Clock;
use loopline_tls::Authority;
use tokio_util::sync::CancellationToken;

/// What the controllers need.
#[derive(Clone)]
pub struct Options {
    /// The API.
    pub client: Client,
    /// Time and randomness.
    pub clock: Clock,
    /// The API's authority: every namespace gets its certificate, and it signs requests.
    pub authority: Arc<Authority>,
}

/// Runs the controllers until `shutdown`.
pub async fn run(options: Options, shutdown: CancellationToken) {
    let Options { client, clock, authority } = options;
    let all = async {
        tokio::join!(
            garbage::run(client.clone()),
            namespaces::run(client.clone(), clock.clone()),
            accounts::run(client.clone(), authority.certificate_pem().to_owned()),
            certificates::run(client.clone(), authority),
            events::run(client.clone(), clock),
            roles::run(client),
        )
    };
    tokio::select! {
        _ = all => {}
        () = shutdown.cancelled() => {}
    }
}
