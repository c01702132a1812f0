//! Subresources that are streams: `exec`, `attach`, `log`, `portforward`, `proxy`.
//!
//! The server finds the pod, checks what is asked, speaks the client's protocol (WebSocket
//! channels, SPDY/3.1 alone or within WebSocket messages) and hands plain byte streams to the
//! [`Node`] that runs the pod. It knows nothing of processes and networks.
//!
//! Every pipe has a bound; a peer that stops reading or a process that stops reading makes the
//! other side wait, and nothing grows.

mod channels;
mod connect;
mod forward;
mod log;
mod node;
mod process;
mod proxy;
pub mod spdy;
mod upgrade;

pub(crate) use connect::answer;
pub(crate) use process::Places;

pub use node::{
    Connection, Container, Exit, Input, LogLine, LogLines, LogOptions, Node, NodeFuture, Output,
    Process, TerminalSize,
};
