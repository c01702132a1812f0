//! Writes archives: the standard's header, and PAX records only for what does not fit in it, so
//! that the same entries always give the same bytes.

use std::io::{self, Read, Write};

use super::entry::{Entry, Kind, Time};
use super::{BLOCK, XATTR_PREFIX, number, pax};

/// An archive that is written.
#[derive(Debug)]
pub struct Writer<W> {
    output: W,
}

impl<W: Write> Writer<W> {
    /// Writes an archive to `output`.
    pub fn new(output: W) -> Self {
        Self { output }
    }

    /// Writes an entry and its data, of which there must be as much as the entry says.
    ///
    /// # Errors
    /// Where `data` ends early or the output refuses.
    pub fn append(&mut self, entry: &Entry, data: impl Read) -> io::Result<()> {
        self.header(entry)?;
        if entry.kind != Kind::File {
            return Ok(());
        }
        let copied = io::copy(&mut data.take(entry.size), &mut self.output)?;
        if copied < entry.size {
            let why = format!("`{}` became shorter while it was packed", entry.shown());
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
        }
        let padding = (BLOCK as u64 - copied % BLOCK as u64) % BLOCK as u64;
        self.output.write_all(&[0; BLOCK][..usize::try_from(padding).unwrap_or_default()])
    }

    /// Ends the archive and returns what was written to.
    ///
    /// # Errors
    /// Where the output refuses.
    pub fn finish(mut self) -> io::Result<W> {
        self.output.write_all(&[0; 2 * BLOCK])?;
        Ok(self.output)
    }

    fn header(&mut self, entry: &Entry) -> io::Result<()> {
        let mut block = [0; BLOCK];
        let mut records = Vec::new();
        if !place_path(&mut block, &entry.path) {
            pax::push(&mut records, b"path", &entry.path);
            // Readers without PAX see the end of the path, which tells most.
            let tail = &entry.path[entry.path.len().saturating_sub(99)..];
            block[..tail.len()].copy_from_slice(tail);
        }
        if entry.link.len() <= 100 {
            block[157..157 + entry.link.len()].copy_from_slice(&entry.link);
        } else {
            pax::push(&mut records, b"linkpath", &entry.link);
            block[157..257].copy_from_slice(&entry.link[..100]);
        }
        number::write(&mut block[100..108], i64::from(entry.mode & 0o7777));
        for (range, key, id) in [(108..116, &b"uid"[..], entry.uid), (116..124, b"gid", entry.gid)]
        {
            if !number::write(&mut block[range.clone()], i64::from(id)) {
                pax::push(&mut records, key, id.to_string().as_bytes());
                number::write(&mut block[range], 0);
            }
        }
        let size = if entry.kind == Kind::File { entry.size } else { 0 };
        if !number::write(&mut block[124..136], i64::try_from(size).unwrap_or(-1)) {
            pax::push(&mut records, b"size", size.to_string().as_bytes());
            number::write(&mut block[124..136], 0);
        }
        let Time { seconds, nanoseconds } = entry.mtime;
        let fits = number::write(&mut block[136..148], seconds);
        if !fits {
            number::write(&mut block[136..148], 0);
        }
        if !fits || nanoseconds != 0 {
            pax::push(&mut records, b"mtime", pax::show_time(entry.mtime).as_bytes());
        }
        for (name, value) in &entry.xattrs {
            pax::push(&mut records, &[XATTR_PREFIX, name].concat(), value);
        }
        block[156] = entry.kind.flag();
        if matches!(entry.kind, Kind::CharDevice | Kind::BlockDevice) {
            let (major, minor) = entry.device;
            if !number::write(&mut block[329..337], i64::from(major))
                || !number::write(&mut block[337..345], i64::from(minor))
            {
                let why = format!("the device number of `{}` does not fit", entry.shown());
                return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
            }
        }
        if !records.is_empty() {
            self.extension(&records)?;
        }
        seal(&mut block);
        self.output.write_all(&block)
    }

    fn extension(&mut self, records: &[u8]) -> io::Result<()> {
        let mut block = [0; BLOCK];
        let name = b"PaxHeaders.0/entry";
        block[..name.len()].copy_from_slice(name);
        number::write(&mut block[100..108], 0o644);
        number::write(&mut block[108..116], 0);
        number::write(&mut block[116..124], 0);
        number::write(&mut block[124..136], i64::try_from(records.len()).unwrap_or(i64::MAX));
        number::write(&mut block[136..148], 0);
        block[156] = b'x';
        seal(&mut block);
        self.output.write_all(&block)?;
        self.output.write_all(records)?;
        let padding = (BLOCK - records.len() % BLOCK) % BLOCK;
        self.output.write_all(&[0; BLOCK][..padding])
    }
}

/// Puts a path into a header, split where it is long; says whether it fits.
fn place_path(block: &mut [u8; BLOCK], path: &[u8]) -> bool {
    if path.len() <= 100 {
        block[..path.len()].copy_from_slice(path);
        return true;
    }
    // The slash between the two parts is not written.
    let split = (path.len() - 101..path.len().min(156))
        .find(|&at| path[at] == b'/' && at > 0 && at + 1 < path.len());
    let Some(split) = split else { return false };
    block[345..345 + split].copy_from_slice(&path[..split]);
    block[..path.len() - split - 1].copy_from_slice(&path[split + 1..]);
    true
}

/// Writes what marks a header as one, and its check sum.
fn seal(block: &mut [u8; BLOCK]) {
    block[257..263].copy_from_slice(b"ustar\0");
    block[263..265].copy_from_slice(b"00");
    block[148..156].fill(b' ');
    let sum: i64 = block.iter().map(|byte| i64::from(*byte)).sum();
    number::write(&mut block[148..155], sum);
}
