//! What a container printed, in the lines of Docker's `json-file` driver: `{"log": TEXT, "stream":
//! "stdout", "time": RFC 3339}`, so that what reads Docker's logs reads these.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use fs_err as fs;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The size at which a log is put by, in bytes.
const FILE_BYTES: u64 = 16 * 1024 * 1024;
/// How many that were put by are kept.
const KEPT: u32 = 2;
/// A line longer than this is logged in parts, as Docker does, in bytes.
const LINE_BYTES: usize = 16 * 1024;

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// The text, with its newline where it has one.
    pub log: String,
    /// `stdout` or `stderr`.
    pub stream: String,
    /// When it was printed.
    pub time: Timestamp,
}

/// Writes a container's log.
pub(super) struct Log {
    path: PathBuf,
    file: fs::File,
    written: u64,
    /// What was printed without a newline yet, of both streams.
    partial: [Vec<u8>; 2],
}

impl Log {
    pub(super) fn open(folder: &Path) -> std::io::Result<Self> {
        let path = path(folder);
        let file = fs::OpenOptions::new().create(true).append(true).open(&path)?;
        let written = file.metadata()?.len();
        Ok(Self { path, file, written, partial: [Vec::new(), Vec::new()] })
    }

    /// Adds what was printed.
    pub(super) fn add(
        &mut self,
        is_error: bool,
        text: &[u8],
        now: Timestamp,
    ) -> std::io::Result<()> {
        let mut partial = std::mem::take(&mut self.partial[usize::from(is_error)]);
        partial.extend_from_slice(text);
        let mut lines = Vec::new();
        let mut rest = partial.as_slice();
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = rest.split_at(end + 1);
            render(&mut lines, is_error, line, now);
            rest = after;
        }
        while rest.len() >= LINE_BYTES {
            let (part, after) = rest.split_at(LINE_BYTES);
            render(&mut lines, is_error, part, now);
            rest = after;
        }
        self.partial[usize::from(is_error)] = rest.to_vec();
        self.write(&lines)
    }

    /// Adds what is left without a newline, at the end of the container.
    pub(super) fn finish(&mut self, now: Timestamp) -> std::io::Result<()> {
        for is_error in [false, true] {
            let rest = std::mem::take(&mut self.partial[usize::from(is_error)]);
            if !rest.is_empty() {
                let mut line = Vec::new();
                render(&mut line, is_error, &rest, now);
                self.write(&line)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, lines: &[u8]) -> std::io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        if self.written >= FILE_BYTES {
            for number in (1..=KEPT).rev() {
                let from =
                    if number == 1 { self.path.clone() } else { put_by(&self.path, number - 1) };
                if from.exists() {
                    fs::rename(from, put_by(&self.path, number))?;
                }
            }
            self.file = fs::OpenOptions::new().create(true).append(true).open(&self.path)?;
            self.written = 0;
        }
        self.file.write_all(lines)?;
        self.written += lines.len() as u64;
        Ok(())
    }
}

fn render(lines: &mut Vec<u8>, is_error: bool, text: &[u8], now: Timestamp) {
    let line = LogLine {
        log: String::from_utf8_lossy(text).into_owned(),
        stream: if is_error { "stderr" } else { "stdout" }.to_owned(),
        time: now,
    };
    // A structure of text only is always writable as JSON.
    if let Ok(json) = serde_json::to_vec(&line) {
        lines.extend(json);
        lines.push(b'\n');
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join("log.ndjson")
}

fn put_by(path: &Path, number: u32) -> PathBuf {
    path.with_extension(format!("ndjson.{number}"))
}

/// Returns the files of a container's log, the oldest first.
#[must_use]
pub fn log_files(folder: &Path) -> Vec<PathBuf> {
    let newest = path(folder);
    let mut files: Vec<_> = (1..=KEPT).rev().map(|number| put_by(&newest, number)).collect();
    files.push(newest);
    files.retain(|file| file.exists());
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_long_ones_come_in_parts_and_files_are_put_by() {
        let scratch = tempfile::tempdir().unwrap();
        let mut log = Log::open(scratch.path()).unwrap();
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        log.add(false, b"one\ntw", now).unwrap();
        log.add(true, b"\xff\n", now).unwrap();
        log.add(false, b"o\n", now).unwrap();
        log.add(false, &vec![b'x'; LINE_BYTES + 3], now).unwrap();
        log.finish(now).unwrap();
        let text = fs::read_to_string(path(scratch.path())).unwrap();
        let lines: Vec<LogLine> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let texts: Vec<_> = lines.iter().map(|it| (it.stream.as_str(), it.log.as_str())).collect();
        assert_eq!(
            texts[..3],
            [("stdout", "one\n"), ("stderr", "\u{fffd}\n"), ("stdout", "two\n")]
        );
        assert_eq!((texts[3].1.len(), texts[4].1), (LINE_BYTES, "xxx"));

        let mut big = vec![b'y'; 60_000];
        big.push(b'\n');
        for _ in 0..1200 {
            log.add(false, &big, now).unwrap();
        }
        let files = log_files(scratch.path());
        assert_eq!(files.len(), 3);
        let sizes = files.iter().map(|it| fs::metadata(it).unwrap().len());
        assert!(sizes.max().unwrap() < FILE_BYTES + 100_000);
    }
}
