//! The registry and its client, beside those of others.

mod api;
mod client;
mod others;
mod server;
