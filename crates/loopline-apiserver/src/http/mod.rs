//! The server as an HTTP service: from a request to a reply.

mod discovery;
pub(crate) mod handle;
pub(crate) mod reply;
pub(crate) mod resource;
mod serve;
mod table;
mod text;

pub use handle::{Asked, MAX_BODY_BYTES};
pub use reply::{Body, Reply};
pub use serve::{Listener, ServeError, serve};
