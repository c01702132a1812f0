//! Reads the files a step writes to: `GITHUB_ENV`, `GITHUB_OUTPUT`, `GITHUB_STATE`,
//! `GITHUB_PATH` and `GITHUB_STEP_SUMMARY`.
//!
//! Rules and messages follow GitHub's runner. Creating, reading and removing the files is the
//! caller's business; an error fails the step.

use std::borrow::Cow;

use super::masker::Masker;

/// How large one of the files may be, in bytes; the summary has a smaller limit of its own.
pub const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;
/// How large a step's summary may be, in bytes (GitHub's limit).
pub const MAX_SUMMARY_BYTES: u64 = 1024 * 1024;
/// Environment variables a step must not hand to later ones, because they take over programs.
pub const BLOCKED_VARIABLES: [&str; 1] = ["NODE_OPTIONS"];

/// Why a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileCommandError {
    /// A line is neither `NAME=VALUE` nor `NAME<<DELIMITER`.
    #[error("Invalid format '{0}'")]
    Format(String),
    /// `=VALUE`.
    #[error("Invalid format '{0}'. Name must not be empty")]
    NoName(String),
    /// `<<DELIMITER` or `NAME<<`.
    #[error("Invalid format '{0}'. Name must not be empty and delimiter must not be empty")]
    NoNameOrDelimiter(String),
    /// A value has no end.
    #[error("Invalid value. Matching delimiter not found '{0}'")]
    NoDelimiter(String),
    /// A value's last line has no end.
    #[error("Invalid value. EOF marker missing new line.")]
    NoLineEnd,
    /// The file is too large.
    #[error("the file has {size_bytes} bytes, more than the {limit_bytes} it may have")]
    TooLarge {
        /// How large it is.
        size_bytes: u64,
        /// How large it may be.
        limit_bytes: u64,
    },
    /// The summary is too large.
    #[error(
        "$GITHUB_STEP_SUMMARY upload aborted, supports content up to a size of 1024k, got {0}k"
    )]
    SummaryTooLarge(u64),
}

/// Reads `NAME=VALUE` lines and `NAME<<DELIMITER` blocks, in order; a name may come twice, and
/// the last value is its value.
///
/// # Errors
/// [`FileCommandError`]; GitHub's runner takes none of the file's values then.
pub fn pairs(content: &[u8]) -> Result<Vec<(String, String)>, FileCommandError> {
    check_size(content.len(), MAX_FILE_BYTES)?;
    let text = decode(content);
    let mut lines = Lines { text: &text, at: 0 };
    let mut pairs = Vec::new();
    while let Some((line, _)) = lines.next_line() {
        if line.is_empty() {
            continue;
        }
        let shown = || shorten(line);
        match (line.find('='), line.find("<<")) {
            (Some(equals), heredoc) if heredoc.is_none_or(|heredoc| equals < heredoc) => {
                if equals == 0 {
                    return Err(FileCommandError::NoName(shown()));
                }
                pairs.push((line[..equals].to_owned(), line[equals + 1..].to_owned()));
            }
            (_, Some(heredoc)) => {
                let (name, delimiter) = (&line[..heredoc], &line[heredoc + 2..]);
                if name.is_empty() || delimiter.is_empty() {
                    return Err(FileCommandError::NoNameOrDelimiter(shown()));
                }
                pairs.push((name.to_owned(), lines.value(delimiter)?.to_owned()));
            }
            _ => return Err(FileCommandError::Format(shown())),
        }
    }
    Ok(pairs)
}

/// Reads the folders to put before `PATH`, in the order in which they were written.
///
/// # Errors
/// [`FileCommandError::TooLarge`].
pub fn paths(content: &[u8]) -> Result<Vec<String>, FileCommandError> {
    check_size(content.len(), MAX_FILE_BYTES)?;
    let text = decode(content);
    Ok(text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// Reads a step's summary, with secrets hidden line by line; nothing if it is empty.
///
/// # Errors
/// [`FileCommandError::SummaryTooLarge`]; GitHub's runner reports it and the step goes on.
pub fn summary(content: &[u8], masker: &Masker) -> Result<Option<String>, FileCommandError> {
    let size_bytes = u64::try_from(content.len()).unwrap_or(u64::MAX);
    if size_bytes > MAX_SUMMARY_BYTES {
        return Err(FileCommandError::SummaryTooLarge(size_bytes / 1024));
    }
    if content.is_empty() {
        return Ok(None);
    }
    let text = decode(content);
    let mut masked = String::with_capacity(text.len() + 1);
    for line in text.lines() {
        masked.push_str(&masker.mask_text(line));
        masked.push('\n');
    }
    Ok(Some(masked))
}

fn check_size(size: usize, limit_bytes: u64) -> Result<(), FileCommandError> {
    let size_bytes = u64::try_from(size).unwrap_or(u64::MAX);
    if size_bytes > limit_bytes {
        return Err(FileCommandError::TooLarge { size_bytes, limit_bytes });
    }
    Ok(())
}

/// Keeps an error readable when a line is huge.
fn shorten(line: &str) -> String {
    const SHOWN_CHARS: usize = 200;
    match line.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.to_owned(),
    }
}

/// Reads text as .NET does: a byte order mark decides, UTF-8 otherwise. PowerShell 5 writes
/// UTF-16 by default.
fn decode(content: &[u8]) -> Cow<'_, str> {
    let wide = |rest: &[u8], read: fn([u8; 2]) -> u16| {
        let units: Vec<u16> =
            rest.chunks(2).map(|pair| read([pair[0], pair.get(1).copied().unwrap_or(0)])).collect();
        Cow::Owned(String::from_utf16_lossy(&units))
    };
    if let Some(rest) = content.strip_prefix(b"\xef\xbb\xbf") {
        String::from_utf8_lossy(rest)
    } else if let Some(rest) = content.strip_prefix(b"\xff\xfe") {
        wide(rest, u16::from_le_bytes)
    } else if let Some(rest) = content.strip_prefix(b"\xfe\xff") {
        wide(rest, u16::from_be_bytes)
    } else {
        String::from_utf8_lossy(content)
    }
}

struct Lines<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lines<'t> {
    /// Returns the next line without its end, and whether it has one.
    fn next_line(&mut self) -> Option<(&'t str, bool)> {
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        match rest.split_once('\n') {
            Some((line, _)) => {
                self.at += line.len() + 1;
                Some((line, true))
            }
            None => {
                self.at = self.text.len();
                Some((rest, false))
            }
        }
    }

    /// Returns the lines up to `delimiter`, without the last one's end.
    fn value(&mut self, delimiter: &str) -> Result<&'t str, FileCommandError> {
        let start = self.at;
        let mut end = start;
        loop {
            match self.next_line() {
                Some((line, _)) if line == delimiter => return Ok(&self.text[start..end]),
                Some((_, true)) => end = self.at - 1,
                Some((_, false)) => return Err(FileCommandError::NoLineEnd),
                None => return Err(FileCommandError::NoDelimiter(shorten(delimiter))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(content: &str) -> String {
        match pairs(content.as_bytes()) {
            Ok(pairs) => format!("{pairs:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn reads_pairs() {
        for (content, expected) in [
            ("", "[]"),
            ("\n\n", "[]"),
            ("A=b", r#"[("A", "b")]"#),
            ("A=b\n\nC=\nD==x=y", r#"[("A", "b"), ("C", ""), ("D", "=x=y")]"#),
            ("A= b ", r#"[("A", " b ")]"#),
            ("A=<<x", r#"[("A", "<<x")]"#),
            ("A<<EOF\nEOF", r#"[("A", "")]"#),
            ("A<<EOF\n\nEOF", r#"[("A", "")]"#),
            ("A<<EOF\none\ntwo\nEOF\nB=1\n", r#"[("A", "one\ntwo"), ("B", "1")]"#),
            ("A<<EOF\n\n\none\n\nEOF", r#"[("A", "\n\none\n")]"#),
            ("A<<=EOF\nx\n=EOF", r#"[("A", "x")]"#),
            ("A<<<EOF\nx\n<EOF", r#"[("A", "x")]"#),
            ("A << EOF\nx\n EOF", r#"[("A ", "x")]"#),
            ("A<<EOF\r\nx\r\nEOF\r\n", r#"[("A", "x\r")]"#),
            ("=b", "Invalid format '=b'. Name must not be empty"),
            ("A", "Invalid format 'A'"),
            (
                "<<EOF\nEOF",
                "Invalid format '<<EOF'. Name must not be empty and delimiter must not be empty",
            ),
            (
                "A<<\nx",
                "Invalid format 'A<<'. Name must not be empty and delimiter must not be empty",
            ),
            ("A<<EOF\nx\n", "Invalid value. Matching delimiter not found 'EOF'"),
            ("A<<EOF", "Invalid value. Matching delimiter not found 'EOF'"),
            ("A<<EOF\nx EOF", "Invalid value. EOF marker missing new line."),
        ] {
            assert_eq!(show(content), expected, "{content:?}");
        }
    }

    #[test]
    fn reads_what_powershell_writes() {
        let mut wide = vec![0xff, 0xfe];
        wide.extend("A=ä\r\n".encode_utf16().flat_map(u16::to_le_bytes));
        assert_eq!(pairs(&wide).unwrap(), [("A".to_owned(), "ä\r".to_owned())]);
        assert_eq!(paths(b"\xef\xbb\xbf/a\r\n\n/b").unwrap(), ["/a", "/b"]);
    }

    #[test]
    fn masks_summaries() {
        let masker = Masker::new();
        masker.add("hush").unwrap();
        assert_eq!(summary(b"# a\nhush", &masker).unwrap().unwrap(), "# a\n***\n");
        assert_eq!(summary(b"", &masker), Ok(None));
        let large = vec![b'x'; 1024 * 1024 + 1];
        assert_eq!(summary(&large, &masker), Err(FileCommandError::SummaryTooLarge(1024)));
    }
}
