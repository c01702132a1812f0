//! Whatever comes in over the network: nothing panics, and nothing grows.
//!
//! `cargo test` makes up some inputs; `cargo bolero test` goes on.

use loopline_apiserver::stream::spdy::{Compressor, Decoder, Frame};

/// How many inputs are tried in a test run.
const ITERATIONS: usize = 5_000;
/// How long an input is at most, in bytes.
const MAX_LENGTH: usize = 600;
/// What a decoder keeps at most: a control frame that is not there as a whole, and its head.
const MAX_WAITING: usize = 64 * 1024 + 8;

/// Returns the frames that the pieces hold, and what stopped the reading.
fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Frame>, Option<String>) {
    let mut decoder = Decoder::default();
    let mut frames: Vec<Frame> = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error.to_string())),
            }
        }
        assert!(decoder.waiting() <= MAX_WAITING);
    }
    (frames, None)
}

/// Puts the pieces of data frames together, which come as they came in.
fn joined(frames: Vec<Frame>) -> Vec<Frame> {
    let mut joined: Vec<Frame> = Vec::new();
    for frame in frames {
        if let (
            Some(Frame::Data { stream: last, bytes: before, fin: ended @ false }),
            Frame::Data { stream, bytes, fin },
        ) = (joined.last_mut(), &frame)
            && last == stream
        {
            *before = [&before[..], &bytes[..]].concat().into();
            *ended = *fin;
        } else {
            joined.push(frame);
        }
    }
    joined
}

#[test]
fn spdy_frames() {
    // A beginning of a connection as clients have it, so that more than heads are reached.
    let headers = vec![("streamtype".to_owned(), "error".to_owned())];
    let block = Compressor::new().unwrap().block(&headers).unwrap();
    let mut open = vec![0x80, 3, 0, 1, 0, 0, 0, u8::try_from(block.len() + 10).unwrap()];
    open.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    open.extend(block);
    bolero::check!().with_iterations(ITERATIONS).with_max_len(MAX_LENGTH).for_each(
        |bytes: &[u8]| {
            let (kind, rest) = bytes.split_first().unwrap_or((&0, &[]));
            let mut input = if kind % 2 == 0 { open.clone() } else { Vec::new() };
            if kind % 3 == 0 {
                // A control frame of some type with the rest as its body.
                input.extend([0x80, 3, 0, kind / 16, 0, 0]);
                input.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
            }
            input.extend_from_slice(rest);
            let (whole, stopped) = read(std::iter::once(&*input));
            let (pieces, stopped_pieces) = read(input.chunks(usize::from(kind % 7) + 1));
            assert_eq!(stopped, stopped_pieces);
            assert_eq!(joined(whole), joined(pieces));
        },
    );
}
