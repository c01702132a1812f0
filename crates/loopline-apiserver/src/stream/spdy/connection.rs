//! A connection: frames to and from pipes, one pair of them for every stream.
//!
//! Every stream has a task that sends what its handler writes; one task writes frames. What comes
//! in for a stream whose handler does not read stops the reading of the connection: nothing
//! grows. (The clients of Kubernetes neither keep to windows nor give any, so windows cannot be
//! what bounds memory. They are still given, and kept to once a peer speaks of them.)

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use super::frame::{self, Decoder, Frame, FrameError};
use super::headers::{Compressor, Headers};
use super::windows::Windows;
use crate::stream::process::{CHUNK_BYTES, PIPE_BYTES};

/// The most streams of a connection.
const MAX_STREAMS: usize = 1024;

/// How many frames wait to be written.
const MAX_QUEUED_FRAMES: usize = 16;

/// How many bytes of a stream are taken before the peer is told that it may send as many more.
const WINDOW_STEP_BYTES: u32 = 16 * 1024;

/// How long a connection lives on which nothing happens.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4 * 60 * 60);

/// How long the last frames may take to be written.
const CLOSING_WAIT: Duration = Duration::from_secs(5);

const PROTOCOL_ERROR: u32 = 1;
const REFUSED_STREAM: u32 = 3;

/// A stream that a client opened.
pub(in crate::stream) struct Incoming {
    /// What it is.
    pub(in crate::stream) headers: Headers,
    /// Its number.
    pub(in crate::stream) id: u32,
    /// Its bytes.
    pub(in crate::stream) stream: Stream,
}

impl Incoming {
    /// Returns a header.
    pub(in crate::stream) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| &**value)
    }
}

/// The bytes of a stream: what comes in, and where output goes.
pub(in crate::stream) type Stream = tokio::io::Join<DuplexStream, DuplexStream>;

/// What is done with streams while the connection lives.
pub(in crate::stream) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A stream is not wanted.
#[derive(Debug)]
pub(in crate::stream) struct Refusal;

/// Serves a connection until its client closes it. `accept` is given every stream; what it
/// returns is run.
pub(in crate::stream) async fn serve<I, A>(io: I, mut accept: A)
where
    I: AsyncRead + AsyncWrite + Send + 'static,
    A: FnMut(Incoming) -> Result<Option<Work>, Refusal> + Send,
{
    let (mut reader, writer) = tokio::io::split(io);
    let (frames, queue) = mpsc::channel(MAX_QUEUED_FRAMES);
    let mut connection = Connection {
        frames,
        windows: Arc::new(Windows::default()),
        streams: HashMap::new(),
        tasks: JoinSet::new(),
        last: 0,
        gone: false,
    };
    let mut writing = tokio::spawn(write(writer, queue));
    let mut decoder = Decoder::default();
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let read = tokio::select! {
            read = timeout(IDLE_TIMEOUT, reader.read(&mut buffer)) => read,
            Some(done) = connection.tasks.join_next() => {
                if let Ok(Some(stream)) = done {
                    connection.sent(stream);
                }
                continue;
            }
            _ = &mut writing => return,
        };
        let Ok(Ok(size @ 1..)) = read else { break };
        decoder.push(&buffer[..size]);
        if connection.take(&mut decoder, &mut accept).await.is_err() {
            let _ = connection.frames.send(Out::GoAway(connection.last, PROTOCOL_ERROR)).await;
            break;
        }
    }
    drop(connection);
    if timeout(CLOSING_WAIT, &mut writing).await.is_err() {
        writing.abort();
    }
}

struct Connection {
    frames: mpsc::Sender<Out>,
    windows: Arc<Windows>,
    streams: HashMap<u32, Open>,
    /// Returns the number of a stream whose output was sent as a whole.
    tasks: JoinSet<Option<u32>>,
    last: u32,
    gone: bool,
}

/// A stream that is open in one direction at least.
struct Open {
    /// What comes in goes here, until the client ends it.
    input: Option<DuplexStream>,
    /// The output is not at its end.
    output: Option<AbortHandle>,
    /// What came in since the client was given its last permission.
    taken: u32,
}

/// What is to be written.
enum Out {
    Reply(u32),
    Data(u32, Vec<u8>),
    Fin(u32),
    Reset(u32, u32),
    Window(u32, u32),
    Ping(u32),
    GoAway(u32, u32),
}

/// The connection is at its end.
struct Broken;

impl From<FrameError> for Broken {
    fn from(_: FrameError) -> Self {
        Self
    }
}

impl Connection {
    /// Does what the frames say that are there.
    async fn take(
        &mut self,
        decoder: &mut Decoder,
        accept: &mut (impl FnMut(Incoming) -> Result<Option<Work>, Refusal> + Send),
    ) -> Result<(), Broken> {
        while let Some(frame) = decoder.next_frame()? {
            match frame {
                Frame::Open { stream, headers, fin } => {
                    self.open(stream, headers, fin, accept).await?;
                }
                Frame::Data { stream, bytes, fin } => self.data(stream, &bytes, fin).await?,
                Frame::More { stream, fin } if fin => self.received(stream),
                Frame::More { .. } => {}
                Frame::Reset { stream } => self.forget(stream),
                Frame::InitialWindow(size) => self.windows.set_initial(size),
                Frame::Window { stream, delta } => self.windows.add(stream, delta),
                // The server asks nothing, so that every question is the client's.
                Frame::Ping(id) => self.send(Out::Ping(id)).await?,
                Frame::GoAway => self.gone = true,
            }
        }
        Ok(())
    }

    async fn send(&self, out: Out) -> Result<(), Broken> {
        self.frames.send(out).await.map_err(|_| Broken)
    }

    async fn open(
        &mut self,
        id: u32,
        headers: Headers,
        fin: bool,
        accept: &mut (impl FnMut(Incoming) -> Result<Option<Work>, Refusal> + Send),
    ) -> Result<(), Broken> {
        // Clients number their streams upwards, with odd numbers.
        if id.is_multiple_of(2) || id <= self.last {
            return Err(Broken);
        }
        self.last = id;
        if self.gone || self.streams.len() >= MAX_STREAMS {
            return self.send(Out::Reset(id, REFUSED_STREAM)).await;
        }
        let (input, theirs_in) = tokio::io::duplex(PIPE_BYTES);
        let (output, theirs_out) = tokio::io::duplex(PIPE_BYTES);
        let stream = tokio::io::join(theirs_in, theirs_out);
        let Ok(work) = accept(Incoming { headers, id, stream }) else {
            return self.send(Out::Reset(id, REFUSED_STREAM)).await;
        };
        // The reply comes before all data.
        self.send(Out::Reply(id)).await?;
        self.windows.open(id);
        let pump = pump(id, output, Arc::clone(&self.windows), self.frames.clone());
        let output = self.tasks.spawn(async move {
            pump.await;
            Some(id)
        });
        let input = (!fin).then_some(input);
        self.streams.insert(id, Open { input, output: Some(output), taken: 0 });
        if let Some(work) = work {
            self.tasks.spawn(async move {
                work.await;
                None
            });
        }
        Ok(())
    }

    async fn data(&mut self, id: u32, bytes: &[u8], fin: bool) -> Result<(), Broken> {
        let Some(open) = self.streams.get_mut(&id) else {
            // What was on its way when the stream was forgotten.
            return if id <= self.last { Ok(()) } else { Err(Broken) };
        };
        if let Some(input) = &mut open.input
            && input.write_all(bytes).await.is_err()
        {
            // The handler reads no more; the rest is dropped, and the window kept open for it.
            open.input = None;
        }
        open.taken += u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let taken = open.taken;
        if taken >= WINDOW_STEP_BYTES {
            open.taken = 0;
            self.send(Out::Window(id, taken)).await?;
            self.send(Out::Window(0, taken)).await?;
        }
        if fin {
            self.received(id);
        }
        Ok(())
    }

    /// Notes that a client ended a stream's input.
    fn received(&mut self, id: u32) {
        if let Some(open) = self.streams.get_mut(&id) {
            open.input = None;
            if open.output.is_none() {
                self.forget(id);
            }
        }
    }

    /// Notes that a stream's output was sent.
    fn sent(&mut self, id: u32) {
        if let Some(open) = self.streams.get_mut(&id) {
            open.output = None;
            if open.input.is_none() {
                self.forget(id);
            }
        }
    }

    fn forget(&mut self, id: u32) {
        if let Some(Open { output: Some(output), .. }) = self.streams.remove(&id) {
            output.abort();
        }
        self.windows.close(id);
    }
}

/// Sends what a handler writes to a stream.
async fn pump(id: u32, mut output: DuplexStream, windows: Arc<Windows>, frames: mpsc::Sender<Out>) {
    let mut buffer = vec![0; CHUNK_BYTES];
    // A pipe through memory does not fail; its end is its end.
    while let size @ 1.. = output.read(&mut buffer).await.unwrap_or(0) {
        let mut rest = &buffer[..size];
        while !rest.is_empty() {
            let taken = windows.take(id, rest.len()).await;
            let (bytes, after) = rest.split_at(taken.size);
            if frames.send(Out::Data(id, bytes.to_vec())).await.is_err() {
                return;
            }
            taken.sent();
            rest = after;
        }
    }
    let _ = frames.send(Out::Fin(id)).await;
}

/// Writes frames until there are no more to come.
async fn write<W: AsyncWrite + Unpin>(
    mut writer: W,
    mut queue: mpsc::Receiver<Out>,
) -> io::Result<()> {
    let mut compressor = Compressor::new().map_err(io::Error::other)?;
    while let Some(out) = queue.recv().await {
        let bytes = match out {
            Out::Reply(stream) => {
                let block = compressor.block(&Headers::new()).map_err(io::Error::other)?;
                frame::reply(stream, &block)
            }
            Out::Data(stream, bytes) => frame::data(stream, &bytes, false),
            Out::Fin(stream) => frame::data(stream, &[], true),
            Out::Reset(stream, status) => frame::reset(stream, status),
            Out::Window(stream, delta) => frame::window(stream, delta),
            Out::Ping(id) => frame::ping(id),
            Out::GoAway(last, status) => frame::go_away(last, status),
        };
        writer.write_all(&bytes).await?;
        writer.flush().await?;
    }
    writer.shutdown().await
}
