//! A Kubernetes-compatible API server: requests in, objects in the store, events out.
//!
//! A [`Server`] answers requests (see [`http`]) of any transport: [`Server::client`] gives a
//! `kube::Client` that reaches it without a socket, [`serve`] listens on addresses. It keeps its
//! objects in an `ObjectStore`; what changes or refuses writes are steps of [`admission`].
//!
//! Any kube-rs project can test against it in the same process, with `Options::ephemeral`:
//! `examples/controller` of the repository is a controller of ten lines with its test.

pub mod admission;
pub mod allocate;
pub mod auth;
mod bootstrap;
mod builtin;
pub mod call;
pub mod cel;
mod changes;
mod client;
pub mod crd;
mod documents;
mod entry;
pub mod http;
mod managing;
pub mod metrics;
pub mod object;
pub mod registry;
pub mod request;
mod review;
pub mod selector;
mod server;
pub mod status;
pub mod storage;
mod strategy;
pub mod stream;
pub mod subresource;
pub mod verbs;

pub use server::{Options, Server};
pub use status::Status;
