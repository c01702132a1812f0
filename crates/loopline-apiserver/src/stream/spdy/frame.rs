//! Frames: bytes in, frames out, and back.

use bytes::{Buf as _, Bytes, BytesMut};

use super::headers::{Decompressor, Headers, HeadersError};

/// The longest control frame. Data is passed on as it comes and needs no such bound.
const MAX_CONTROL_BYTES: usize = 64 * 1024;

/// The length of every frame's head.
const HEAD_BYTES: usize = 8;

/// The version that control frames name.
const VERSION: u16 = 3;

/// The identifier of the setting that is the window of new streams.
const SETTING_WINDOW: u32 = 7;

/// The end of a stream's direction.
const FLAG_FIN: u8 = 1;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const SETTINGS: u16 = 4;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const HEADERS: u16 = 8;
const WINDOW_UPDATE: u16 = 9;

/// What a peer sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A stream begins.
    Open {
        /// The stream.
        stream: u32,
        /// What it is.
        headers: Headers,
        /// The peer sends nothing on it.
        fin: bool,
    },
    /// Bytes of a stream; a long frame comes in pieces.
    Data {
        /// The stream.
        stream: u32,
        /// The bytes.
        bytes: Bytes,
        /// They are the last ones.
        fin: bool,
    },
    /// A stream broke off.
    Reset {
        /// The stream.
        stream: u32,
    },
    /// How much of every new stream may be on its way.
    InitialWindow(u32),
    /// More of a stream (or, for 0, of all together) may be on its way.
    Window {
        /// The stream.
        stream: u32,
        /// How many bytes more.
        delta: u32,
    },
    /// A question that is answered with itself.
    Ping(u32),
    /// The peer opens no more streams.
    GoAway,
    /// A stream that the peer opened before has more headers, or only ends.
    More {
        /// The stream.
        stream: u32,
        /// It ends.
        fin: bool,
    },
}

/// What is wrong with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// It is of another version of the protocol.
    #[error("the frame is of SPDY version {0}")]
    Version(u16),
    /// It is too long.
    #[error("the control frame is {0} bytes long; at most {MAX_CONTROL_BYTES} are read")]
    TooLong(usize),
    /// It is too short for what it is.
    #[error("the control frame of type {0} has a wrong length")]
    Length(u16),
    /// Its headers cannot be read.
    #[error(transparent)]
    Headers(#[from] HeadersError),
}

/// Reads frames from bytes, which may come in any pieces.
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    decompressor: Decompressor,
    /// The data frame whose bytes are coming in.
    data: Option<Data>,
}

#[derive(Debug)]
struct Data {
    stream: u32,
    left: usize,
    fin: bool,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { buffer: BytesMut::new(), decompressor: Decompressor::new(), data: None }
    }
}

impl Decoder {
    /// Takes bytes that came in. They stay here until [`Decoder::next_frame`] takes them.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns how many bytes wait to become frames.
    pub fn waiting(&self) -> usize {
        self.buffer.len()
    }

    /// Returns the next frame, or nothing while it is not there as a whole. After an error the
    /// connection is of no more use.
    ///
    /// # Errors
    /// See [`FrameError`].
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        loop {
            if let Some(data) = &mut self.data {
                if self.buffer.is_empty() && data.left > 0 {
                    return Ok(None);
                }
                let bytes = self.buffer.split_to(data.left.min(self.buffer.len())).freeze();
                data.left -= bytes.len();
                let last = data.left == 0;
                let frame = Frame::Data { stream: data.stream, bytes, fin: last && data.fin };
                if last {
                    self.data = None;
                }
                return Ok(Some(frame));
            }
            let Some(head) = self.buffer.first_chunk::<HEAD_BYTES>().copied() else {
                return Ok(None);
            };
            let length =
                usize::from(head[5]) << 16 | usize::from(head[6]) << 8 | usize::from(head[7]);
            let fin = head[4] & FLAG_FIN != 0;
            if head[0] & 0x80 == 0 {
                self.buffer.advance(HEAD_BYTES);
                let stream = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
                self.data = Some(Data { stream, left: length, fin });
                continue;
            }
            let version = u16::from_be_bytes([head[0] & 0x7f, head[1]]);
            if version != VERSION {
                return Err(FrameError::Version(version));
            }
            if length > MAX_CONTROL_BYTES {
                return Err(FrameError::TooLong(length));
            }
            if self.buffer.len() < HEAD_BYTES + length {
                return Ok(None);
            }
            self.buffer.advance(HEAD_BYTES);
            let body = self.buffer.split_to(length).freeze();
            let kind = u16::from_be_bytes([head[2], head[3]]);
            if let Some(frame) = self.control(kind, fin, &body)? {
                return Ok(Some(frame));
            }
        }
    }

    /// Reads a control frame; nothing is returned for those that say nothing to a server.
    fn control(&mut self, kind: u16, fin: bool, body: &Bytes) -> Result<Option<Frame>, FrameError> {
        let number = |at: usize| {
            let bytes = body.get(at..at + 4).and_then(|bytes| bytes.first_chunk::<4>());
            bytes.map(|bytes| u32::from_be_bytes(*bytes)).ok_or(FrameError::Length(kind))
        };
        let id = |at| number(at).map(|number| number & 0x7fff_ffff);
        let block = |from: usize| body.get(from..).ok_or(FrameError::Length(kind));
        Ok(Some(match kind {
            SYN_STREAM => {
                let headers = self.decompressor.headers(block(10)?)?;
                Frame::Open { stream: id(0)?, headers, fin }
            }
            SYN_REPLY | HEADERS => {
                // The headers say nothing here, but the next block builds on them.
                self.decompressor.headers(block(4)?)?;
                Frame::More { stream: id(0)?, fin }
            }
            RST_STREAM => Frame::Reset { stream: id(0)? },
            SETTINGS => {
                let count = usize::try_from(number(0)?).unwrap_or(usize::MAX);
                if count.checked_mul(8).and_then(|size| size.checked_add(4)) != Some(body.len()) {
                    return Err(FrameError::Length(kind));
                }
                for at in (0..count).map(|index| 4 + index * 8) {
                    if number(at)? & 0x00ff_ffff == SETTING_WINDOW {
                        return Ok(Some(Frame::InitialWindow(number(at + 4)?)));
                    }
                }
                return Ok(None);
            }
            PING => Frame::Ping(number(0)?),
            GOAWAY => Frame::GoAway,
            WINDOW_UPDATE => Frame::Window { stream: id(0)?, delta: id(4)? },
            // The protocol has unknown frames ignored.
            _ => return Ok(None),
        }))
    }
}

/// Returns a frame with bytes of a stream.
pub(super) fn data(stream: u32, bytes: &[u8], fin: bool) -> Vec<u8> {
    let mut frame = Vec::with_capacity(HEAD_BYTES + bytes.len());
    frame.extend_from_slice(&(stream & 0x7fff_ffff).to_be_bytes());
    put_length(&mut frame, u8::from(fin) * FLAG_FIN, bytes.len());
    frame.extend_from_slice(bytes);
    frame
}

/// Returns the answer to a stream that is accepted.
pub(super) fn reply(stream: u32, block: &[u8]) -> Vec<u8> {
    let mut body = stream.to_be_bytes().to_vec();
    body.extend_from_slice(block);
    control(SYN_REPLY, &body)
}

/// Returns the end of a stream that breaks off.
pub(super) fn reset(stream: u32, status: u32) -> Vec<u8> {
    control(RST_STREAM, &two(stream, status))
}

/// Returns the permission to send more.
pub(super) fn window(stream: u32, delta: u32) -> Vec<u8> {
    control(WINDOW_UPDATE, &two(stream, delta))
}

/// Returns the answer to a question.
pub(super) fn ping(id: u32) -> Vec<u8> {
    control(PING, &id.to_be_bytes())
}

/// Returns the end of a connection.
pub(super) fn go_away(last_stream: u32, status: u32) -> Vec<u8> {
    control(GOAWAY, &two(last_stream, status))
}

fn two(first: u32, second: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&first.to_be_bytes());
    bytes[4..].copy_from_slice(&second.to_be_bytes());
    bytes
}

fn control(kind: u16, body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(HEAD_BYTES + body.len());
    frame.extend_from_slice(&(0x8000 | VERSION).to_be_bytes());
    frame.extend_from_slice(&kind.to_be_bytes());
    put_length(&mut frame, 0, body.len());
    frame.extend_from_slice(body);
    frame
}

/// Writes flags and a length of 24 bits, which no frame here comes near.
fn put_length(frame: &mut Vec<u8>, flags: u8, length: usize) {
    let length = u32::try_from(length).unwrap_or(u32::MAX) & 0x00ff_ffff;
    frame.extend_from_slice(&(u32::from(flags) << 24 | length).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::spdy::Compressor;

    fn all(decoder: &mut Decoder) -> Vec<Frame> {
        std::iter::from_fn(|| decoder.next_frame().unwrap()).collect()
    }

    #[test]
    fn frames_read_the_same_in_whatever_pieces_they_come() {
        let headers: Headers = vec![("streamtype".to_owned(), "data".to_owned())];
        let block = Compressor::new().unwrap().block(&headers).unwrap();
        let mut open = two(1, 0).to_vec();
        open.extend([0, 0]);
        open.extend_from_slice(&block);
        let mut bytes = control(SYN_STREAM, &open);
        bytes.extend(data(1, b"hello", true));
        bytes.extend(data(3, b"", true));
        bytes.extend(window(0, 7));
        bytes.extend(ping(5));
        bytes.extend(control(SETTINGS, &[0, 0, 0, 1, 0, 0, 0, 7, 0, 0, 1, 0]));
        bytes.extend(control(77, b"unknown"));
        bytes.extend(reset(1, 5));
        bytes.extend(go_away(1, 0));
        let mut whole = Decoder::default();
        whole.push(&bytes);
        let expected = vec![
            Frame::Open { stream: 1, headers, fin: false },
            Frame::Data { stream: 1, bytes: Bytes::from_static(b"hello"), fin: true },
            Frame::Data { stream: 3, bytes: Bytes::new(), fin: true },
            Frame::Window { stream: 0, delta: 7 },
            Frame::Ping(5),
            Frame::InitialWindow(256),
            Frame::Reset { stream: 1 },
            Frame::GoAway,
        ];
        assert_eq!(all(&mut whole), expected);
        let mut single = Decoder::default();
        let mut frames: Vec<Frame> = Vec::new();
        for byte in bytes {
            single.push(&[byte]);
            for frame in all(&mut single) {
                match (frames.last_mut(), frame) {
                    (
                        Some(Frame::Data { stream: 1, bytes: before, fin: ended @ false }),
                        Frame::Data { stream: 1, bytes, fin },
                    ) => {
                        *before = [&before[..], &bytes[..]].concat().into();
                        *ended = fin;
                    }
                    (_, frame) => frames.push(frame),
                }
            }
        }
        assert_eq!(frames, expected);
    }

    #[test]
    fn frames_that_cannot_be_are_refused() {
        let refuse = |bytes: &[u8]| {
            let mut decoder = Decoder::default();
            decoder.push(bytes);
            decoder.next_frame().unwrap_err()
        };
        assert_eq!(refuse(&[0x80, 2, 0, 1, 0, 0, 0, 0]), FrameError::Version(2));
        assert_eq!(refuse(&[0x80, 3, 0, 1, 0, 2, 0, 0]), FrameError::TooLong(131_072));
        assert_eq!(refuse(&control(PING, &[1, 2])), FrameError::Length(PING));
        assert_eq!(refuse(&control(SETTINGS, &[0xff; 4])), FrameError::Length(SETTINGS));
        let damaged = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 2, 3];
        assert_eq!(
            refuse(&control(SYN_STREAM, &damaged)),
            FrameError::Headers(HeadersError::Compression)
        );
    }
}
