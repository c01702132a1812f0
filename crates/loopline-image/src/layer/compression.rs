//! How layers are compressed.

use std::io::{self, BufReader, Chain, Cursor, Read, Write};

use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

/// A way of compressing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// None: a plain archive.
    None,
    /// gzip, which everything reads.
    Gzip,
    /// zstd, which is faster and smaller.
    Zstd,
}

/// The level of zstd's own program.
const ZSTD_LEVEL: i32 = 3;
/// The most threads that compress one layer.
const MAX_THREADS: u32 = 4;
/// How much is read from a compressed file at a time.
const READ_BYTES: usize = 256 * 1024;

type Sniffed<R> = Chain<Cursor<Vec<u8>>, R>;

impl Compression {
    /// Returns the media type of a layer.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::None => "application/vnd.oci.image.layer.v1.tar",
            Self::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Self::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }

    /// Returns how something is compressed that begins with `start`.
    pub fn of(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            // A frame, or a frame to skip, as `zstd -T` and eStargz-like formats put first.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// A reader of what something compressed holds.
pub(crate) enum Decoder<R: Read> {
    None(Sniffed<R>),
    Gzip(Box<MultiGzDecoder<BufReader<Sniffed<R>>>>),
    Zstd(Box<zstd::Decoder<'static, BufReader<Sniffed<R>>>>),
}

impl<R: Read> Decoder<R> {
    /// Looks at how `input` begins, and decompresses it.
    pub(crate) fn new(mut input: R) -> io::Result<Self> {
        let mut start = vec![0; 4];
        let mut filled = 0;
        while filled < start.len() {
            match input.read(&mut start[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        start.truncate(filled);
        let compression = Compression::of(&start);
        let whole = Cursor::new(start).chain(input);
        let buffered = |whole| BufReader::with_capacity(READ_BYTES, whole);
        Ok(match compression {
            Compression::None => Self::None(whole),
            Compression::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(buffered(whole)))),
            Compression::Zstd => Self::Zstd(Box::new(zstd::Decoder::with_buffer(buffered(whole))?)),
        })
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::None(input) => input.read(buffer),
            Self::Gzip(input) => input.read(buffer),
            Self::Zstd(input) => input.read(buffer),
        }
    }
}

/// A writer that compresses.
pub(crate) enum Encoder<W: Write> {
    None(W),
    Gzip(GzEncoder<W>),
    Zstd(zstd::Encoder<'static, W>),
}

impl<W: Write> Encoder<W> {
    pub(crate) fn new(compression: Compression, output: W) -> io::Result<Self> {
        Ok(match compression {
            Compression::None => Self::None(output),
            // The header holds no time and no name, so that the same layer has one digest.
            Compression::Gzip => Self::Gzip(GzEncoder::new(output, flate2::Compression::new(6))),
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(output, ZSTD_LEVEL)?;
                encoder.include_checksum(true)?;
                // The result does not depend on how many threads there are, but it does on
                // whether there are any.
                let processors = std::thread::available_parallelism();
                let threads = processors.map_or(1, |it| u32::try_from(it.get()).unwrap_or(1));
                encoder.multithread(threads.clamp(1, MAX_THREADS))?;
                Self::Zstd(encoder)
            }
        })
    }

    pub(crate) fn finish(self) -> io::Result<W> {
        match self {
            Self::None(output) => Ok(output),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::None(output) => output.write(bytes),
            Self::Gzip(output) => output.write(bytes),
            Self::Zstd(output) => output.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::None(output) => output.flush(),
            Self::Gzip(output) => output.flush(),
            Self::Zstd(output) => output.flush(),
        }
    }
}

impl<R: Read> Decoder<R> {
    /// Returns what is decompressed.
    pub(crate) fn inner(&self) -> &R {
        match self {
            Self::None(input) => input.get_ref().1,
            Self::Gzip(input) => input.get_ref().get_ref().get_ref().1,
            Self::Zstd(input) => input.get_ref().get_ref().get_ref().1,
        }
    }
}
