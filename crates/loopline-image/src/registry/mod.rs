//! Registries: a client that pulls and pushes, and a server of what the store has.

mod body;
pub mod client;
pub(crate) mod repository;
pub mod server;
mod text;
