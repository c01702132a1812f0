//! SPDY/3.1, the server's side: as much as Kubernetes' clients speak for `portforward` (within
//! WebSocket messages) and, the older ones, for `exec` and `attach`.
//!
//! Clients open all streams. Frames are read by [`Decoder`], which does no IO; a connection moves
//! bytes between frames and pipes.

mod connection;
mod frame;
mod headers;
mod windows;

pub(super) use connection::{Incoming, Refusal, Stream, Work, serve};

pub use frame::{Decoder, Frame, FrameError};
pub use headers::{Compressor, Headers, HeadersError};
