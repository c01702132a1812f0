//! Reads an archive as it comes: headers, their extensions, and the data between them.

use std::collections::BTreeMap;
use std::io::{self, Read};

use super::entry::{Entry, Kind, Time};
use super::{BLOCK, XATTR_PREFIX, number, pax, sparse};

/// How much an archive may hold.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The most entries.
    pub entries: u64,
    /// The most bytes of files, holes included.
    pub bytes: u64,
}

impl Default for Bounds {
    /// More than any image in use has, and less than what fills a disk's table of files.
    fn default() -> Self {
        Self { entries: 4_000_000, bytes: 256 << 30 }
    }
}

/// The largest header of names and attributes.
const MAX_EXTENSION: u64 = 1 << 20;
/// The most global attributes kept for the rest of an archive.
const MAX_GLOBALS: usize = 1024;
/// The longest path and the longest target of a link: the kernel takes no longer ones.
const MAX_PATH: usize = 4096;

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// It ends too early.
    #[error("the archive ends in the middle of an entry, after {offset} bytes")]
    Truncated {
        /// How much there was.
        offset: u64,
    },
    /// What should be a header is none.
    #[error("there is no tar header at byte {offset}: {why}")]
    Header {
        /// Where.
        offset: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// An entry says what cannot be.
    #[error("entry `{path}`: {why}")]
    Entry {
        /// The entry.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// It has more entries than allowed.
    #[error("the archive has more than {0} entries")]
    TooManyEntries(u64),
    /// Its files are larger than allowed.
    #[error("the files of the archive hold more than {0} bytes")]
    TooLarge(u64),
    /// The bytes could not be had.
    #[error("read the archive")]
    Io(#[from] io::Error),
}

/// An archive that is read.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    offset: u64,
    /// The data of the current entry that was not read, and the padding after it.
    left: u64,
    padding: u64,
    globals: BTreeMap<Vec<u8>, Vec<u8>>,
    bounds: Bounds,
    entries: u64,
    bytes: u64,
}

/// What headers before the entry's own said of it.
#[derive(Default)]
struct Extensions {
    long_path: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    records: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The pairs of PAX sparse format 0.0, whose keys repeat.
    pairs: Vec<u8>,
}

impl<R: Read> Reader<R> {
    /// Reads the archive in `input`.
    pub fn new(input: R, bounds: Bounds) -> Self {
        Self {
            input,
            offset: 0,
            left: 0,
            padding: 0,
            globals: BTreeMap::new(),
            bounds,
            entries: 0,
            bytes: 0,
        }
    }

    /// Returns how many bytes of files the entries so far hold.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns how many entries there were so far.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Returns what is read from, after the archive's last entry.
    pub fn into_inner(self) -> R {
        self.input
    }

    /// Returns the next entry; what was not read of the one before is skipped.
    ///
    /// # Errors
    /// [`TarError`], each variant as it says.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, TarError> {
        let mut extensions = Extensions::default();
        loop {
            self.skip_rest()?;
            let begin = self.offset;
            let Some(block) = self.header()? else { return Ok(None) };
            let raw = Raw { block: &block, begin };
            let size = raw.size()?;
            match block[156] {
                flag @ (b'L' | b'K' | b'x' | b'g') => {
                    if size > MAX_EXTENSION {
                        return Err(raw.bad("its extension is larger than 1 MiB"));
                    }
                    self.expect(size);
                    let mut text = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
                    self.read_exact(&mut text)?;
                    let broken = || raw.bad("its PAX records are broken");
                    match flag {
                        b'L' => extensions.long_path = Some(until_zero(&text).to_vec()),
                        b'K' => extensions.long_link = Some(until_zero(&text).to_vec()),
                        b'x' => extensions.add(pax::records(&text).ok_or_else(broken)?),
                        _ => {
                            for (key, value) in pax::records(&text).ok_or_else(broken)? {
                                self.globals.insert(key.to_vec(), value.to_vec());
                            }
                            if self.globals.len() > MAX_GLOBALS {
                                return Err(raw.bad("there are too many global records"));
                            }
                        }
                    }
                }
                // A label of the whole archive.
                b'V' => self.expect(size),
                _ => return self.finish(&raw, extensions).map(Some),
            }
        }
    }

    /// Makes an entry of its header and of what came before it.
    fn finish(&mut self, raw: &Raw<'_>, mut extensions: Extensions) -> Result<Entry, TarError> {
        for (key, value) in &self.globals {
            if !extensions.records.contains_key(key) {
                extensions.records.insert(key.clone(), value.clone());
            }
        }
        let mut entry = raw.entry()?;
        if let Some(path) = extensions.long_path.take() {
            entry.path = path;
        }
        if let Some(link) = extensions.long_link.take() {
            entry.link = link;
        }
        let mut stored = raw.size()?;
        let bad = |path: &[u8], why| TarError::Entry {
            path: String::from_utf8_lossy(path).into_owned(),
            why,
        };
        let mut real = None;
        let mut map = None;
        let mut in_data = false;
        for (key, value) in &extensions.records {
            let number = || pax::number(value);
            // An empty value takes back what a global header said.
            if value.is_empty() {
                continue;
            }
            let unfit = |_: Option<()>| bad(&entry.path, "a PAX record holds no number");
            match key.as_slice() {
                b"path" => entry.path = value.clone(),
                b"linkpath" => entry.link = value.clone(),
                b"size" => stored = number().ok_or_else(|| unfit(None))?,
                b"uid" => entry.uid = pax::number(value).ok_or_else(|| unfit(None))?,
                b"gid" => entry.gid = pax::number(value).ok_or_else(|| unfit(None))?,
                b"mtime" => entry.mtime = pax::time(value).ok_or_else(|| unfit(None))?,
                b"GNU.sparse.size" | b"GNU.sparse.realsize" => {
                    real = Some(number().ok_or_else(|| unfit(None))?);
                }
                b"GNU.sparse.map" => {
                    map = Some(sparse::list(value).ok_or_else(|| unfit(None))?);
                }
                b"GNU.sparse.major" => in_data = value == b"1",
                key if key.starts_with(XATTR_PREFIX) => {
                    entry.xattrs.insert(key[XATTR_PREFIX.len()..].to_vec(), value.clone());
                }
                _ => {}
            }
        }
        if let Some(name) = extensions.records.get(b"GNU.sparse.name".as_slice()) {
            entry.path = name.clone();
        }
        if !extensions.pairs.is_empty() {
            map = sparse::list(&extensions.pairs);
        }
        let too_long = |part: &[u8]| part.len() > MAX_PATH || part.contains(&0);
        if too_long(&entry.path) || too_long(&entry.link) {
            let path = &entry.path[..entry.path.len().min(64)];
            return Err(bad(path, "its path is longer than 4096 bytes, or holds a zero byte"));
        }
        if raw.block[156] == b'S' {
            let mut segments = Vec::new();
            let broken = || bad(&entry.path, "its map of holes is broken");
            let mut more = sparse::old(raw.block, true, &mut segments).ok_or_else(broken)?;
            while more {
                let mut block = [0; BLOCK];
                self.fill(&mut block)?;
                more = sparse::old(&block, false, &mut segments).ok_or_else(broken)?;
            }
            real = raw.number(483..495).ok().and_then(|size| u64::try_from(size).ok());
            map = Some(segments);
        }
        // Only files have data; what other kinds say of a size is about something else.
        if entry.kind != Kind::File {
            stored = 0;
        }
        self.expect(stored);
        if in_data && real.is_some() {
            let before = self.left;
            let begin = self.offset;
            let path = entry.path.clone();
            let segments = sparse::lines(
                || self.line(&path),
                || bad(&path, "its map of holes has too many pieces"),
            )?;
            // The map is padded to whole blocks.
            let used = self.offset - begin;
            let pad = (BLOCK as u64 - used % BLOCK as u64) % BLOCK as u64;
            if used + pad > before {
                return Err(bad(&entry.path, "its map of holes is longer than its data"));
            }
            self.skip(pad)?;
            stored = before - used - pad;
            map = Some(segments);
        }
        entry.size = stored;
        if let Some(segments) = map {
            entry.size = real.ok_or_else(|| bad(&entry.path, "a file with holes has no size"))?;
            if !sparse::is_sound(&segments, entry.size, stored) {
                return Err(bad(&entry.path, "its map of holes does not fit its size"));
            }
            entry.sparse = Some(segments);
        }
        self.entries += 1;
        if self.entries > self.bounds.entries {
            return Err(TarError::TooManyEntries(self.bounds.entries));
        }
        self.bytes = self.bytes.saturating_add(entry.size);
        if self.bytes > self.bounds.bytes {
            return Err(TarError::TooLarge(self.bounds.bytes));
        }
        Ok(entry)
    }

    /// Reads data of the current entry; returns 0 at its end.
    ///
    /// # Errors
    /// [`TarError::Truncated`], [`TarError::Io`].
    pub fn read_data(&mut self, buffer: &mut [u8]) -> Result<usize, TarError> {
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        let read = self.input.read(&mut buffer[..wanted])?;
        if read == 0 {
            return Err(TarError::Truncated { offset: self.offset });
        }
        self.offset += read as u64;
        self.left -= read as u64;
        Ok(read)
    }

    /// Returns the current entry's data as a reader.
    pub fn data(&mut self) -> Data<'_, R> {
        Data(self)
    }

    fn read_exact(&mut self, buffer: &mut [u8]) -> Result<(), TarError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read_data(&mut buffer[filled..])? {
                0 => return Err(TarError::Truncated { offset: self.offset }),
                read => filled += read,
            }
        }
        Ok(())
    }

    /// Reads a decimal number that ends with its line.
    fn line(&mut self, path: &[u8]) -> Result<u64, TarError> {
        /// More digits than any number has.
        const MAX_DIGITS: usize = 20;
        let mut digits = Vec::new();
        loop {
            let mut byte = [0];
            self.read_exact(&mut byte)?;
            match byte[0] {
                b'\n' => break,
                byte if digits.len() < MAX_DIGITS => digits.push(byte),
                _ => break,
            }
        }
        pax::number(&digits).ok_or_else(|| TarError::Entry {
            path: String::from_utf8_lossy(path).into_owned(),
            why: "its map of holes is broken",
        })
    }

    /// Says how much data comes next.
    fn expect(&mut self, size: u64) {
        self.left = size;
        self.padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
    }

    fn skip_rest(&mut self) -> Result<(), TarError> {
        let rest = std::mem::take(&mut self.left);
        // The sum cannot overflow in an archive that exists; a size that large is truncated.
        let rest = rest.saturating_add(std::mem::take(&mut self.padding));
        self.skip_bytes(rest)
    }

    fn skip(&mut self, count: u64) -> Result<(), TarError> {
        self.left -= count;
        self.skip_bytes(count)
    }

    fn skip_bytes(&mut self, count: u64) -> Result<(), TarError> {
        let skipped = io::copy(&mut (&mut self.input).take(count), &mut io::sink())?;
        self.offset += skipped;
        if skipped < count {
            return Err(TarError::Truncated { offset: self.offset });
        }
        Ok(())
    }

    fn fill(&mut self, block: &mut [u8; BLOCK]) -> Result<(), TarError> {
        self.left = BLOCK as u64;
        self.read_exact(block)
    }

    /// Reads a header; nothing at the archive's end.
    fn header(&mut self) -> Result<Option<[u8; BLOCK]>, TarError> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.input.read(&mut block[filled..]) {
                // An archive may end without its two empty blocks.
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(TarError::Truncated { offset: self.offset + filled as u64 }),
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        let begin = self.offset;
        self.offset += BLOCK as u64;
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let raw = Raw { block: &block, begin };
        let sum = raw.number(148..156)?;
        let kept = |index: usize| (148..156).contains(&index);
        let plain: i64 = (0..BLOCK)
            .map(|at| if kept(at) { i64::from(b' ') } else { i64::from(block[at]) })
            .sum();
        // Some old programs added signed bytes.
        let signed: i64 = (0..BLOCK)
            .map(|at| if kept(at) { i64::from(b' ') } else { i64::from(block[at].cast_signed()) })
            .sum();
        if sum != plain && sum != signed {
            return Err(raw.bad("its check sum is wrong"));
        }
        Ok(Some(block))
    }
}

/// The data of an entry.
#[derive(Debug)]
pub struct Data<'a, R>(&'a mut Reader<R>);

impl<R: Read> Read for Data<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_data(buffer).map_err(|error| match error {
            TarError::Io(error) => error,
            other => io::Error::new(io::ErrorKind::InvalidData, other),
        })
    }
}

impl Extensions {
    fn add(&mut self, records: Vec<(&[u8], &[u8])>) {
        for (key, value) in records {
            if matches!(key, b"GNU.sparse.offset" | b"GNU.sparse.numbytes") {
                if !self.pairs.is_empty() {
                    self.pairs.push(b',');
                }
                self.pairs.extend_from_slice(value);
            } else {
                self.records.insert(key.to_vec(), value.to_vec());
            }
        }
    }
}

/// A header as it stands in the archive.
struct Raw<'a> {
    block: &'a [u8; BLOCK],
    begin: u64,
}

impl Raw<'_> {
    fn bad(&self, why: &'static str) -> TarError {
        TarError::Header { offset: self.begin, why }
    }

    fn number(&self, range: std::ops::Range<usize>) -> Result<i64, TarError> {
        number::read(&self.block[range]).ok_or_else(|| self.bad("a number in it is none"))
    }

    fn size(&self) -> Result<u64, TarError> {
        let size = self.number(124..136)?;
        size.try_into().map_err(|_| self.bad("its size is negative"))
    }

    fn entry(&self) -> Result<Entry, TarError> {
        let block = self.block;
        let mut path = until_zero(&block[..100]).to_vec();
        // GNU keeps times where the standard has the beginning of a long path.
        if &block[257..263] == b"ustar\0" {
            let prefix = until_zero(&block[345..500]);
            if !prefix.is_empty() {
                path = [prefix, b"/", &path].concat();
            }
        }
        let kind = match block[156] {
            // The oldest archives have no flag for folders.
            0 | b'0' | b'7' if path.ends_with(b"/") => Kind::Directory,
            0 | b'0' | b'7' | b'S' => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' => Kind::CharDevice,
            b'4' => Kind::BlockDevice,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            _ => return Err(self.bad("it is of an unknown kind")),
        };
        let id = |range| -> Result<u32, TarError> {
            self.number(range)?.try_into().map_err(|_| self.bad("an owner's number is too large"))
        };
        let device = |range| -> Result<u32, TarError> {
            self.number(range)?.try_into().map_err(|_| self.bad("a device's number is too large"))
        };
        Ok(Entry {
            kind,
            mode: u32::try_from(self.number(100..108)? & 0o7777).unwrap_or_default(),
            uid: id(108..116)?,
            gid: id(116..124)?,
            size: 0,
            mtime: Time { seconds: self.number(136..148)?, nanoseconds: 0 },
            link: until_zero(&block[157..257]).to_vec(),
            device: match kind {
                Kind::CharDevice | Kind::BlockDevice => (device(329..337)?, device(337..345)?),
                _ => (0, 0),
            },
            xattrs: BTreeMap::new(),
            sparse: None,
            path,
        })
    }
}

fn until_zero(field: &[u8]) -> &[u8] {
    field.iter().position(|byte| *byte == 0).map_or(field, |end| &field[..end])
}
