//! Processes over WebSocket channels: the first byte of a message says which stream it is of.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::{oneshot, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

use super::node::{Exit, Process, TerminalSize};
use super::process::{CHUNK_BYTES, PIPE_BYTES, Wish, outcome_status, outcome_text, terminal_size};
use super::upgrade::Socket;
use crate::http::reply::json_bytes;
use crate::status::Result;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
const CLOSE: u8 = 255;

/// How often a client is asked whether it is still there.
pub(super) const PING_PERIOD: Duration = Duration::from_secs(30);

/// How long a client may take to answer the end of a session.
pub(super) const CLOSING_WAIT: Duration = Duration::from_secs(5);

/// A version of the channel protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// Ends are told as texts, success as nothing.
    V1,
    /// Ends are told as `Status` objects.
    V4,
    /// A stream can be closed alone.
    V5,
}

impl Protocol {
    /// Chooses the newest protocol of those that a client offers, with its name.
    pub(super) fn choose(offered: &[String]) -> Option<(Self, &'static str)> {
        if offered.is_empty() {
            return Some((Self::V1, ""));
        }
        [
            (Self::V5, "v5.channel.k8s.io"),
            (Self::V4, "v4.channel.k8s.io"),
            (Self::V1, "channel.k8s.io"),
        ]
        .into_iter()
        .find(|(_, name)| offered.iter().any(|one| one == name))
    }
}

/// Carries a process's streams over a connection until it ended or the client went away.
pub(super) async fn serve<R, F>(socket: Socket, protocol: Protocol, wish: &Wish, run: R)
where
    R: FnOnce(Process) -> F,
    F: Future<Output = Result<Exit>>,
{
    let (sink, source) = socket.split();
    let (stdin, stdin_far) = pipe(wish.stdin);
    let (stdout, stdout_far) = pipe(wish.stdout);
    let (stderr, stderr_far) = pipe(wish.stderr);
    let (resize, resize_far) = watch::channel(None);
    let process = Process {
        stdin: stdin_far.map(|pipe| Box::new(pipe) as _),
        stdout: stdout_far.map(|pipe| Box::new(pipe) as _),
        stderr: stderr_far.map(|pipe| Box::new(pipe) as _),
        tty: wish.tty,
        resize: resize_far,
    };
    let (ended, end) = oneshot::channel();
    let working = async {
        // The other end goes away only with this session.
        let _ = ended.send(run(process).await);
    };
    let writing = write(sink, protocol, stdout, stderr, end);
    let both = async { tokio::join!(working, writing) };
    let reading = read(source, protocol, stdin, resize);
    tokio::pin!(reading);
    tokio::select! {
        () = &mut reading => {}
        _ = both => {
            // What the client still sends is read, or the connection's end would overtake ours.
            let _ = timeout(CLOSING_WAIT, reading).await;
        }
    }
}

fn pipe(wanted: bool) -> (Option<DuplexStream>, Option<DuplexStream>) {
    wanted.then(|| tokio::io::duplex(PIPE_BYTES)).unzip()
}

/// Takes the client's messages apart until it closes the connection.
async fn read(
    mut source: SplitStream<Socket>,
    protocol: Protocol,
    mut stdin: Option<DuplexStream>,
    resize: watch::Sender<Option<TerminalSize>>,
) {
    while let Some(Ok(message)) = source.next().await {
        let bytes = match message {
            Message::Binary(bytes) => bytes,
            Message::Text(text) => Bytes::from(text),
            Message::Close(_) => {
                // Going on sends the answer that the protocol asks for.
                let _ = source.next().await;
                return;
            }
            _ => continue,
        };
        let Some((channel, rest)) = bytes.split_first() else { continue };
        match *channel {
            STDIN => {
                // A process that closed its input does not care for the rest.
                if let Some(pipe) = &mut stdin
                    && pipe.write_all(rest).await.is_err()
                {
                    stdin = None;
                }
            }
            RESIZE => {
                if let Some(size) = terminal_size(rest) {
                    resize.send_replace(Some(size));
                }
            }
            CLOSE if protocol == Protocol::V5 && rest == [STDIN] => stdin = None,
            // Clients have nothing to say on the other channels.
            _ => {}
        }
    }
}

/// Writes the output, then how the process ended.
async fn write(
    mut sink: SplitSink<Socket, Message>,
    protocol: Protocol,
    mut stdout: Option<DuplexStream>,
    mut stderr: Option<DuplexStream>,
    mut end: oneshot::Receiver<Result<Exit>>,
) -> std::result::Result<(), SocketError> {
    let mut ticks = interval(PING_PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let mut outcome = None;
    let (mut out, mut err) = (vec![0; CHUNK_BYTES], vec![0; CHUNK_BYTES]);
    while outcome.is_none() || stdout.is_some() || stderr.is_some() {
        tokio::select! {
            read = chunk(&mut stdout, &mut out) => match read {
                0 => stdout = None,
                size => sink.send(message(STDOUT, &out[..size])).await?,
            },
            read = chunk(&mut stderr, &mut err) => match read {
                0 => stderr = None,
                size => sink.send(message(STDERR, &err[..size])).await?,
            },
            result = &mut end, if outcome.is_none() => outcome = result.ok(),
            _ = ticks.tick() => sink.send(Message::Ping(Bytes::new())).await?,
        }
    }
    if let Some(outcome) = outcome {
        let told = match protocol {
            Protocol::V1 => outcome_text(&outcome).map(String::into_bytes),
            Protocol::V4 | Protocol::V5 => Some(json_bytes(&outcome_status(&outcome))),
        };
        if let Some(told) = told {
            sink.send(message(ERROR, told.trim_ascii_end())).await?;
        }
    }
    let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    sink.send(Message::Close(Some(frame))).await
}

/// Reads what is there of a pipe; never ends for one that is not.
async fn chunk(pipe: &mut Option<DuplexStream>, buffer: &mut [u8]) -> usize {
    match pipe {
        // A pipe through memory does not fail; its end is its end.
        Some(pipe) => pipe.read(buffer).await.unwrap_or(0),
        None => std::future::pending().await,
    }
}

/// Returns a message of a channel.
pub(super) fn message(channel: u8, bytes: &[u8]) -> Message {
    let mut message = Vec::with_capacity(bytes.len() + 1);
    message.push(channel);
    message.extend_from_slice(bytes);
    Message::binary(message)
}
