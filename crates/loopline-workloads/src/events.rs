//! Events are forgotten after an hour.

use std::time::Duration;

use k8s_openapi::api::core::v1::Event;
use kube::api::{DeleteParams, ListParams, Preconditions};
use kube::{Api, Client, ResourceExt as _};
use loopline_clock::Clock;

/// How long an event is kept after it last happened.
const KEPT: Duration = Duration::from_secs(60 * 60);

/// How often old events are looked for.
const INTERVAL: Duration = Duration::from_secs(60);

/// How many events are read at a time.
const PAGE: u32 = 500;

/// Deletes old events; never ends.
pub(crate) async fn run(client: Client, clock: Clock) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // A failure leaves the rest to the next round.
        let _ = sweep(&client, &clock).await;
    }
}

async fn sweep(client: &Client, clock: &Clock) -> kube::Result<()> {
    let all: Api<Event> = Api::all(client.clone());
    let oldest = clock.now().checked_sub(KEPT).unwrap_or(loopline_clock::Timestamp::MIN);
    let mut parameters = ListParams::default().limit(PAGE);
    loop {
        let page = all.list(&parameters).await?;
        for event in page.items.iter().filter(|event| last(event).is_some_and(|at| at < oldest)) {
            let Some(namespace) = event.namespace() else { continue };
            let events: Api<Event> = Api::namespaced(client.clone(), &namespace);
            let only_this = DeleteParams {
                preconditions: Some(Preconditions {
                    uid: event.uid(),
                    resource_version: event.resource_version(),
                }),
                ..DeleteParams::default()
            };
            // It went, or happened again, in between.
            let _ = events.delete(&event.name_any(), &only_this).await;
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters.continue_token = Some(token),
            None => return Ok(()),
        }
    }
}

/// Returns when an event last happened.
fn last(event: &Event) -> Option<loopline_clock::Timestamp> {
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref());
    series
        .map(|time| time.0)
        .or_else(|| event.last_timestamp.as_ref().map(|time| time.0))
        .or_else(|| event.event_time.as_ref().map(|time| time.0))
        .or_else(|| event.metadata.creation_timestamp.as_ref().map(|time| time.0))
}
