//! What actions reach over HTTP: artifacts (v4) and caches (v2, and v1 for older clients), served
//! on loopback.
//!
//! The protocols are those the npm packages `@actions/artifact` and `@actions/cache` speak:
//! Twirp calls in JSON, and uploads and downloads in the manner of Azure's block blobs. Where
//! things are kept is behind [`storage::Artifacts`] and [`storage::Caches`].

mod artifact_calls;
mod cache_calls;
mod cache_v1;
pub mod disk;
mod http;
mod server;
pub mod storage;
mod uploads;

pub use server::{OnStored, Server, ServerError, Session};

#[cfg(test)]
mod tests;
