//! Takes a layer in as it is, or compressed where it is not: one pass, and both digests known.

use std::io::{self, Read, Write};

use super::compression::{Compression, Decoder, Encoder};
use super::pipe;
use crate::digest::{Digest, Hasher, Hashing};
use crate::tar::{Bounds, Reader, TarError};

/// A layer that was taken in.
#[derive(Clone, Debug)]
pub struct Recompressed {
    /// The digest of what was written.
    pub digest: Digest,
    /// How it is compressed.
    pub compression: Compression,
    /// The digest of the archive.
    pub diff_id: Digest,
}

/// Returns a reader of what `input` holds, compressed or not.
///
/// # Errors
/// Where the beginning cannot be read.
pub fn decompress<R: Read>(input: R) -> io::Result<impl Read + use<R>> {
    Decoder::new(input)
}

/// Writes the archive in `input` to `output`: as it is where it is compressed, compressed with
/// `compression` where it is not. What is no tar archive is refused.
///
/// # Errors
/// [`TarError`].
pub fn recompress(
    input: impl Read + Send,
    compression: Compression,
    output: impl Write + Send,
) -> Result<Recompressed, TarError> {
    let mut input = input;
    let mut start = Vec::new();
    (&mut input).take(4).read_to_end(&mut start)?;
    let found = Compression::of(&start);
    let input = io::Cursor::new(start).chain(input);
    let (sender, [plain, to_write]) = pipe::pipe();
    std::thread::scope(|scope| {
        scope.spawn(move || sender.send_all(input));
        let kept = if found == Compression::None { compression } else { Compression::None };
        let writing = scope.spawn(move || -> io::Result<Digest> {
            let mut to_write = to_write;
            let mut encoder = Encoder::new(kept, Hashing::new(output))?;
            io::copy(&mut to_write, &mut encoder)?;
            let mut output = encoder.finish()?;
            output.flush()?;
            Ok(output.hasher.finish())
        });
        let read = (|| -> Result<Digest, TarError> {
            let hashing = Hashing { inner: Decoder::new(plain)?, hasher: Hasher::default() };
            let mut reader = Reader::new(hashing, Bounds::default());
            while reader.next_entry()?.is_some() {}
            let mut hashing = reader.into_inner();
            io::copy(&mut hashing, &mut io::sink())?;
            Ok(hashing.hasher.finish())
        })();
        let written = writing.join().map_err(|_| io::Error::other("a thread panicked"))?;
        let diff_id = read?;
        let compression = if found == Compression::None { compression } else { found };
        Ok(Recompressed { digest: written?, compression, diff_id })
    })
}
