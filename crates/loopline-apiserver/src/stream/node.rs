//! What the server needs of whoever runs pods.

use std::future::Future;
use std::io;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;
use loopline_clock::Timestamp;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use crate::status::Result;

/// A future of a node. The server drops it when the client goes away.
pub type NodeFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// Runs pods, or reaches what does.
pub trait Node: Send + Sync + 'static {
    /// Runs a command in a container and returns when it ended and all its output was written.
    fn exec<'a>(
        &'a self,
        container: &'a Container,
        command: &'a [String],
        process: Process,
    ) -> NodeFuture<'a, Exit>;

    /// Connects to the main process of a container and returns when it ended.
    fn attach<'a>(&'a self, container: &'a Container, process: Process) -> NodeFuture<'a, Exit>;

    /// Returns the lines that a container wrote.
    fn logs<'a>(
        &'a self,
        container: &'a Container,
        options: &'a LogOptions,
    ) -> NodeFuture<'a, LogLines>;

    /// Connects to a port within a pod's network.
    fn connect_pod<'a>(&'a self, pod: &'a Value, port: u16) -> NodeFuture<'a, Connection>;

    /// Connects to a port of a node itself.
    fn connect_node<'a>(&'a self, node: &'a Value, port: u16) -> NodeFuture<'a, Connection>;
}

/// A container of a pod.
#[derive(Clone, Debug)]
pub struct Container {
    /// The pod, as it is stored.
    pub pod: Value,
    /// The container's name.
    pub name: String,
}

/// Bytes that come from the client.
pub type Input = Box<dyn AsyncRead + Send + Unpin>;

/// Bytes that go to the client.
pub type Output = Box<dyn AsyncWrite + Send + Unpin>;

/// The client's side of a process: the streams that it asked for.
pub struct Process {
    /// The standard input; its end is the client's end.
    pub stdin: Option<Input>,
    /// The standard output. It is dropped after the last byte.
    pub stdout: Option<Output>,
    /// The standard error. It is dropped after the last byte.
    pub stderr: Option<Output>,
    /// The process gets a terminal.
    pub tty: bool,
    /// The size of the client's terminal; only the latest counts.
    pub resize: watch::Receiver<Option<TerminalSize>>,
}

/// The size of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalSize {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Its exit status.
    pub code: i32,
}

/// What is asked of a container's log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Go on with what is written from now on.
    pub follow: bool,
    /// The run of the container before this one is meant.
    pub previous: bool,
    /// Only lines from this time on.
    pub since: Option<Timestamp>,
    /// Only so many lines of the end of what is there.
    pub tail_lines: Option<u64>,
}

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When it was written.
    pub time: Timestamp,
    /// The line, its line break included where it has one.
    pub text: Bytes,
}

/// The lines of a log, as they come.
pub type LogLines = Pin<Box<dyn Stream<Item = io::Result<LogLine>> + Send>>;

/// A connection to a port.
pub type Connection = Pin<Box<dyn ReadWrite>>;

/// What can be read and written.
pub trait ReadWrite: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> ReadWrite for T {}
