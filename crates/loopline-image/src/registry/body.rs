//! Bodies of requests and answers, from memory or from files.

use std::io::{self, Read as _};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use fs_err as fs;
use hyper::body::{Body, Frame, SizeHint};

/// How much of a file is in memory at once, in bytes.
const PIECE_BYTES: usize = 512 * 1024;

/// A body on its way.
#[derive(Debug)]
pub(super) enum Content {
    /// These bytes.
    Memory(Bytes),
    /// The next so many bytes of a file.
    File { file: fs::File, left: u64 },
}

impl Body for Content {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.get_mut() {
            Self::Memory(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Memory(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::File { left: 0, .. } => Poll::Ready(None),
            Self::File { file, left } => {
                // Layers on their way are most often in the page cache, where a thread would cost
                // more than the read.
                let wanted = usize::try_from(*left).unwrap_or(usize::MAX).min(PIECE_BYTES);
                let mut piece = Vec::with_capacity(wanted);
                Poll::Ready(Some(match file.take(wanted as u64).read_to_end(&mut piece) {
                    Ok(read) if read == wanted => {
                        *left -= wanted as u64;
                        Ok(Frame::data(piece.into()))
                    }
                    Ok(_) => Err(io::ErrorKind::UnexpectedEof.into()),
                    Err(error) => Err(error),
                }))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Memory(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { left, .. } => *left,
        })
    }
}
