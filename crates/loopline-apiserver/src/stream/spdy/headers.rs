//! Header blocks: names and values, compressed with a dictionary that both sides know. All blocks
//! of a direction are one compressed stream.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// The largest header block, decompressed.
const MAX_BLOCK_BYTES: usize = 64 * 1024;

/// The most headers of a block.
const MAX_HEADERS: usize = 64;

/// How many bytes a block grows by while it is decompressed.
const STEP_BYTES: usize = 4 * 1024;

/// The words at the beginning of the dictionary, each with its length before it.
const WORDS: &[&str] = &[
    "options",
    "head",
    "post",
    "put",
    "delete",
    "trace",
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "age",
    "allow",
    "authorization",
    "cache-control",
    "connection",
    "content-base",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-md5",
    "content-range",
    "content-type",
    "date",
    "etag",
    "expect",
    "expires",
    "from",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "location",
    "max-forwards",
    "pragma",
    "proxy-authenticate",
    "proxy-authorization",
    "range",
    "referer",
    "retry-after",
    "server",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "vary",
    "via",
    "warning",
    "www-authenticate",
    "method",
    "get",
    "status",
    "200 OK",
    "version",
    "HTTP/1.1",
    "url",
    "public",
    "set-cookie",
    "keep-alive",
    "origin",
];

/// The rest of the dictionary.
const REST: &str = "100101201202205206300302303304305306307402405406407408409410411412413414415416\
    417502504505203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad \
    Request401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not \
    Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 \
    Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,\
    application/xml,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,\
    deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

/// Names and values, in their order.
pub type Headers = Vec<(String, String)>;

/// What is wrong with a header block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadersError {
    /// The compressed bytes are damaged.
    #[error("the header block cannot be decompressed")]
    Compression,
    /// The block is too large, or has too many headers.
    #[error("the header block is over {MAX_BLOCK_BYTES} bytes or {MAX_HEADERS} headers")]
    TooLarge,
    /// The block does not hold what it says.
    #[error("the header block is malformed")]
    Malformed,
}

/// Returns the dictionary.
fn dictionary() -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in WORDS {
        put_text(&mut bytes, word);
    }
    bytes.extend_from_slice(REST.as_bytes());
    bytes
}

/// Writes header blocks.
#[derive(Debug)]
pub struct Compressor(Compress);

impl Compressor {
    /// Returns a compressor at the beginning of a connection.
    ///
    /// # Errors
    /// [`HeadersError::Compression`] where the dictionary is not taken.
    pub fn new() -> Result<Self, HeadersError> {
        let mut compress = Compress::new(Compression::default(), true);
        compress.set_dictionary(&dictionary()).map_err(|_| HeadersError::Compression)?;
        Ok(Self(compress))
    }

    /// Returns a block.
    ///
    /// # Errors
    /// [`HeadersError::Compression`], never for blocks of a usual size.
    pub fn block(&mut self, headers: &Headers) -> Result<Vec<u8>, HeadersError> {
        let mut plain = Vec::new();
        put_number(&mut plain, headers.len());
        for (name, value) in headers {
            put_text(&mut plain, name);
            put_text(&mut plain, value);
        }
        let mut block = Vec::new();
        let begun = self.0.total_in();
        loop {
            block.reserve(STEP_BYTES);
            let done = usize::try_from(self.0.total_in() - begun).unwrap_or(usize::MAX);
            let rest = plain.get(done..).unwrap_or_default();
            self.0
                .compress_vec(rest, &mut block, FlushCompress::Sync)
                .map_err(|_| HeadersError::Compression)?;
            if block.len() < block.capacity() {
                return Ok(block);
            }
        }
    }
}

/// Reads header blocks.
#[derive(Debug)]
pub(super) struct Decompressor(Decompress);

impl Decompressor {
    pub(super) fn new() -> Self {
        Self(Decompress::new(true))
    }

    /// Reads a block.
    pub(super) fn headers(&mut self, block: &[u8]) -> Result<Headers, HeadersError> {
        parse(&self.plain(block)?)
    }

    fn plain(&mut self, block: &[u8]) -> Result<Vec<u8>, HeadersError> {
        let mut plain = Vec::new();
        let begun = self.0.total_in();
        loop {
            plain.reserve(STEP_BYTES);
            let done = usize::try_from(self.0.total_in() - begun).unwrap_or(usize::MAX);
            let rest = block.get(done..).unwrap_or_default();
            let before = (self.0.total_in(), plain.len());
            match self.0.decompress_vec(rest, &mut plain, FlushDecompress::Sync) {
                Ok(Status::StreamEnd) => return Err(HeadersError::Compression),
                Ok(Status::Ok | Status::BufError) => {}
                Err(error) if error.needs_dictionary().is_some() => {
                    self.0.set_dictionary(&dictionary()).map_err(|_| HeadersError::Compression)?;
                    continue;
                }
                Err(_) => return Err(HeadersError::Compression),
            }
            if plain.len() > MAX_BLOCK_BYTES {
                return Err(HeadersError::TooLarge);
            }
            let all_read = self.0.total_in() - begun == block.len() as u64;
            if all_read && plain.len() < plain.capacity() {
                return Ok(plain);
            }
            if before == (self.0.total_in(), plain.len()) {
                return Err(HeadersError::Compression);
            }
        }
    }
}

/// Takes a decompressed block apart.
fn parse(plain: &[u8]) -> Result<Headers, HeadersError> {
    let mut rest = plain;
    let count = take_number(&mut rest)?;
    if count > MAX_HEADERS {
        return Err(HeadersError::TooLarge);
    }
    let mut headers = Headers::with_capacity(count);
    for _ in 0..count {
        let name = take_text(&mut rest)?;
        let value = take_text(&mut rest)?;
        let known = headers.iter().any(|(other, _)| *other == name);
        if name.is_empty() || known || name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(HeadersError::Malformed);
        }
        headers.push((name, value));
    }
    if rest.is_empty() { Ok(headers) } else { Err(HeadersError::Malformed) }
}

fn take_number(rest: &mut &[u8]) -> Result<usize, HeadersError> {
    let (number, after) = rest.split_first_chunk::<4>().ok_or(HeadersError::Malformed)?;
    *rest = after;
    usize::try_from(u32::from_be_bytes(*number)).map_err(|_| HeadersError::TooLarge)
}

fn take_text(rest: &mut &[u8]) -> Result<String, HeadersError> {
    let length = take_number(rest)?;
    let (text, after) = rest.split_at_checked(length).ok_or(HeadersError::Malformed)?;
    *rest = after;
    String::from_utf8(text.to_vec()).map_err(|_| HeadersError::Malformed)
}

fn put_number(bytes: &mut Vec<u8>, number: usize) {
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&number.to_be_bytes());
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put_number(bytes, text.len());
    bytes.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dictionary_is_the_one_that_clients_have() {
        assert_eq!(dictionary().len(), 1423);
        let id = Compress::new(Compression::default(), true).set_dictionary(&dictionary());
        assert_eq!(id.unwrap(), 0xe3c6_a7c2);
    }

    #[test]
    fn blocks_of_one_stream_read_back_in_their_order() {
        let mut writer = Compressor::new().unwrap();
        let mut reader = Decompressor::new();
        for length in [0, 1, 5, 60] {
            let headers: Headers =
                (0..length).map(|n| (format!("name-{n}"), "value".repeat(n * n % 200))).collect();
            let block = writer.block(&headers).unwrap();
            assert_eq!(reader.headers(&block), Ok(headers), "{length}");
        }
    }

    #[test]
    fn blocks_that_grow_too_large_are_refused() {
        let mut writer = Compressor::new().unwrap();
        let block = writer.block(&vec![("a".to_owned(), "b".repeat(MAX_BLOCK_BYTES))]).unwrap();
        assert!(block.len() < 1024);
        assert_eq!(Decompressor::new().headers(&block), Err(HeadersError::TooLarge));
        let many = (0..=MAX_HEADERS).map(|n| (format!("n{n}"), String::new())).collect();
        let block = Compressor::new().unwrap().block(&many).unwrap();
        assert_eq!(Decompressor::new().headers(&block), Err(HeadersError::TooLarge));
    }
}
