//! Bytes on their way between threads: one reads, one hashes, one decompresses.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// The size of a piece.
const PIECE_BYTES: usize = 256 * 1024;
/// How many pieces wait for a slow reader.
const PIECES: usize = 8;

type Piece = Arc<Vec<u8>>;

/// The end of a pipe that is written to; several readers get everything.
pub(super) struct Sender {
    readers: Vec<SyncSender<io::Result<Piece>>>,
    piece: Vec<u8>,
}

/// The end of a pipe that is read from.
pub(super) struct Reading {
    pieces: Receiver<io::Result<Piece>>,
    current: Piece,
    read: usize,
    ended: bool,
}

/// Returns a pipe with `N` readers.
pub(super) fn pipe<const N: usize>() -> (Sender, [Reading; N]) {
    let mut readers = Vec::new();
    let ends = std::array::from_fn(|_| {
        let (sender, pieces) = sync_channel(PIECES);
        readers.push(sender);
        Reading { pieces, current: Arc::default(), read: 0, ended: false }
    });
    (Sender { readers, piece: Vec::with_capacity(PIECE_BYTES) }, ends)
}

impl Sender {
    fn send(&mut self, piece: Vec<u8>) -> io::Result<()> {
        let piece = Arc::new(piece);
        for reader in &self.readers {
            let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "the reader has ended");
            reader.send(Ok(Arc::clone(&piece))).map_err(gone)?;
        }
        Ok(())
    }

    /// Sends everything that `input` has, and its error if it ends with one.
    pub(super) fn send_all(mut self, mut input: impl Read) {
        loop {
            let mut piece = vec![0; PIECE_BYTES];
            let mut filled = 0;
            while filled < piece.len() {
                match input.read(&mut piece[filled..]) {
                    Ok(0) => break,
                    Ok(read) => filled += read,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return self.fail(&error),
                }
            }
            piece.truncate(filled);
            let ended = filled < PIECE_BYTES;
            // Readers that have ended have seen an error of their own.
            if (filled > 0 && self.send(piece).is_err()) || ended {
                return;
            }
        }
    }

    /// Sends what was written and is not yet on its way.
    pub(super) fn finish(mut self) -> io::Result<()> {
        let piece = std::mem::take(&mut self.piece);
        if piece.is_empty() { Ok(()) } else { self.send(piece) }
    }

    /// Tells the readers that there will be no more, because of an error.
    pub(super) fn fail(self, error: &io::Error) {
        for reader in &self.readers {
            let copy = io::Error::new(error.kind(), error.to_string());
            // A reader that is gone needs no error.
            let _gone = reader.send(Err(copy));
        }
    }
}

impl Write for Sender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE_BYTES - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        if self.piece.len() == PIECE_BYTES {
            let full = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES));
            self.send(full)?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Reading {
    /// Returns the next piece, whole; nothing at the end.
    pub(super) fn next_piece(&mut self) -> io::Result<Option<Piece>> {
        match self.pieces.recv() {
            Ok(piece) => piece.map(Some),
            Err(_) => Ok(None),
        }
    }
}

impl Read for Reading {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read == self.current.len() && !self.ended {
            match self.next_piece()? {
                Some(piece) => (self.current, self.read) = (piece, 0),
                None => self.ended = true,
            }
        }
        let rest = &self.current[self.read..];
        let taken = rest.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&rest[..taken]);
        self.read += taken;
        Ok(taken)
    }
}
