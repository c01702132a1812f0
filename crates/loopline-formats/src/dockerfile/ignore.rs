//! `.dockerignore`: what of the build context is left out.
//!
//! Patterns are Go's `filepath.Match` with `**`; a later line overrides an earlier one, `!` takes
//! a path back in, and a pattern that matches a folder matches what is in it.

use std::fmt::Write as _;

use regex::Regex;

/// The most patterns one file may hold.
pub const MAX_PATTERNS: usize = 10_000;
/// The longest pattern, in bytes.
pub const MAX_PATTERN_BYTES: usize = 4_096;

/// The patterns of one file.
#[derive(Clone, Debug, Default)]
pub struct Patterns {
    list: Vec<Pattern>,
}

#[derive(Clone, Debug)]
struct Pattern {
    exclusion: bool,
    matcher: Matcher,
}

#[derive(Clone, Debug)]
enum Matcher {
    Exact(String),
    /// `a/**`: everything that starts with this.
    Prefix(String),
    /// `**/a`: everything that ends with this.
    Suffix(String),
    Regex(Regex),
}

/// A line that is no pattern.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("line {line}: {kind}")]
pub struct Error {
    /// The line, from 1.
    pub line: u32,
    /// What is wrong.
    pub kind: ErrorKind,
}

/// What is wrong with a pattern. The wording is the builder's.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ErrorKind {
    /// `!` stands alone.
    #[error("illegal exclusion pattern: \"!\"")]
    Exclamation,
    /// A bracket is not closed, or nothing follows a backslash.
    #[error("syntax error in pattern")]
    Syntax,
    /// There are more than [`MAX_PATTERNS`].
    #[error("more than {MAX_PATTERNS} patterns")]
    TooMany,
    /// The pattern is longer than [`MAX_PATTERN_BYTES`].
    #[error("pattern longer than {MAX_PATTERN_BYTES} bytes")]
    TooLong,
}

impl Patterns {
    /// Reads the text of a `.dockerignore`.
    ///
    /// # Errors
    /// [`Error`], with the line.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut list = Vec::new();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (index, written) in text.lines().enumerate() {
            let line = u32::try_from(index + 1).unwrap_or(u32::MAX);
            if written.starts_with('#') {
                continue;
            }
            let trimmed = written.trim();
            if trimmed.is_empty() {
                continue;
            }
            let (exclusion, pattern) = match trimmed.strip_prefix('!') {
                Some(rest) => (true, rest.trim()),
                None => (false, trimmed),
            };
            let error = |kind| Error { line, kind };
            // `!` alone stays a pattern of the file's reader, and is refused by the matcher.
            if exclusion && pattern.is_empty() {
                return Err(error(ErrorKind::Exclamation));
            }
            if pattern.len() > MAX_PATTERN_BYTES {
                return Err(error(ErrorKind::TooLong));
            }
            if list.len() >= MAX_PATTERNS {
                return Err(error(ErrorKind::TooMany));
            }
            let cleaned = clean(pattern);
            // The root cannot be named from outside: `/a` and `a` are the same.
            let cleaned =
                if cleaned.len() > 1 { cleaned.trim_start_matches('/') } else { &cleaned };
            let matcher = compile(cleaned).map_err(error)?;
            list.push(Pattern { exclusion, matcher });
        }
        Ok(Self { list })
    }

    /// Returns the matcher of single patterns, as `--exclude` has them.
    ///
    /// # Errors
    /// [`Error`]; its line is the number of the pattern, from 1.
    pub fn of<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, Error> {
        Self::parse(&patterns.into_iter().map(|pattern| format!("{pattern}\n")).collect::<String>())
    }

    /// Returns whether there are no patterns.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Returns whether a pattern takes paths back in, so that a folder left out may hold files
    /// that are not.
    pub fn has_exclusions(&self) -> bool {
        self.list.iter().any(|pattern| pattern.exclusion)
    }

    /// Returns whether `path` (relative, with `/`) is left out, by itself or with its folder.
    pub fn matches(&self, path: &str) -> bool {
        let path = clean(path);
        let path = path.trim_start_matches('/');
        let mut left_out = false;
        for pattern in &self.list {
            if pattern.exclusion == left_out
                && (pattern.matcher.matches(path)
                    || parents(path).any(|parent| pattern.matcher.matches(parent)))
            {
                left_out = !pattern.exclusion;
            }
        }
        left_out
    }
}

/// Returns the folders above `path`, from the outermost.
fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

impl Matcher {
    fn matches(&self, path: &str) -> bool {
        match self {
            Self::Exact(text) => path == text,
            Self::Prefix(text) => path.starts_with(text.as_str()),
            Self::Suffix(text) => {
                path.ends_with(text.as_str()) || text.strip_prefix('/') == Some(path)
            }
            Self::Regex(regex) => regex.is_match(path),
        }
    }
}

/// Returns the shortest path that names the same, as Go's `filepath.Clean`.
pub(crate) fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

fn compile(pattern: &str) -> Result<Matcher, ErrorKind> {
    check(pattern)?;
    let mut regex = String::from("^");
    let mut special = false;
    let mut kind = None;
    let mut characters = pattern.chars().peekable();
    let mut first = true;
    while let Some(c) = characters.next() {
        match c {
            '*' if characters.next_if_eq(&'*').is_some() => {
                characters.next_if_eq(&'/');
                let last = characters.peek().is_none();
                if last && !special && kind.is_none() {
                    kind = Some(Matcher::Prefix(String::new()));
                } else if last {
                    regex.push_str(".*");
                    special = true;
                    kind = None;
                } else {
                    regex.push_str("(.*/)?");
                    special = true;
                    kind = None;
                }
                if first {
                    special = false;
                    kind = Some(Matcher::Suffix(String::new()));
                }
            }
            '*' => {
                regex.push_str("[^/]*");
                special = true;
            }
            '?' => {
                regex.push_str("[^/]");
                special = true;
            }
            '\\' => {
                if let Some(next) = characters.next() {
                    push_literal(&mut regex, next);
                }
                special = true;
            }
            '[' => {
                class(&mut regex, &mut characters);
                special = true;
            }
            _ => push_literal(&mut regex, c),
        }
        first = false;
    }
    if special {
        regex.push('$');
        let regex = regex::RegexBuilder::new(&regex).dot_matches_new_line(false).build();
        return regex.map(Matcher::Regex).map_err(|_| ErrorKind::Syntax);
    }
    Ok(match kind {
        Some(Matcher::Prefix(_)) => {
            let prefix = pattern.trim_end_matches('/').strip_suffix("**").unwrap_or(pattern);
            Matcher::Prefix(prefix.to_owned())
        }
        Some(_) => Matcher::Suffix(pattern.get(2..).unwrap_or("").to_owned()),
        None => Matcher::Exact(pattern.to_owned()),
    })
}

/// Writes a bracket expression; [`check`] has seen that it is whole.
fn class(regex: &mut String, characters: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    regex.push('[');
    if characters.next_if_eq(&'^').is_some() {
        regex.push('^');
    }
    while let Some(c) = characters.next() {
        match c {
            ']' => break,
            '-' => regex.push('-'),
            '\\' => {
                if let Some(next) = characters.next() {
                    push_literal(regex, next);
                }
            }
            _ => push_literal(regex, c),
        }
    }
    regex.push(']');
}

fn push_literal(regex: &mut String, c: char) {
    let _infallible = write!(regex, "{}", regex::escape(c.encode_utf8(&mut [0; 4])));
}

/// Checks what Go's `filepath.Match` checks: brackets are closed and hold ranges, and something
/// follows a backslash.
fn check(pattern: &str) -> Result<(), ErrorKind> {
    let mut characters = pattern.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\\' => drop(characters.next().ok_or(ErrorKind::Syntax)?),
            '[' => {
                characters.next_if_eq(&'^');
                let mut ranges = 0;
                loop {
                    if ranges > 0 && characters.next_if_eq(&']').is_some() {
                        break;
                    }
                    let mut member = || match characters.next() {
                        None | Some('-' | ']') => Err(ErrorKind::Syntax),
                        Some('\\') => characters.next().ok_or(ErrorKind::Syntax),
                        Some(c) => Ok(c),
                    };
                    let low = member()?;
                    if characters.next_if_eq(&'-').is_some() {
                        let mut member = || match characters.next() {
                            None | Some('-' | ']') => Err(ErrorKind::Syntax),
                            Some('\\') => characters.next().ok_or(ErrorKind::Syntax),
                            Some(c) => Ok(c),
                        };
                        // An empty range matches nothing in Go; regular expressions refuse it.
                        if member()? < low {
                            return Err(ErrorKind::Syntax);
                        }
                    }
                    ranges += 1;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_match_as_the_builder_matches_them() {
        let cases: &[(&str, &[&str], &[&str])] = &[
            ("a", &["a", "a/b", "a/b/c"], &["b", "b/a", "ab"]),
            ("/a", &["a", "a/b"], &["b"]),
            ("*.md\n!README.md", &["x.md"], &["README.md", "x/y.md", "x.txt"]),
            ("**/*.go", &["a.go", "x/a.go", "x/y/a.go"], &["a.gox"]),
            (
                "**/node_modules",
                &["node_modules", "a/node_modules/b", "xnode_modules_no/node_modules"],
                &["node_module"],
            ),
            ("a/**", &["a/b", "a/b/c"], &["a", "ab"]),
            ("a/**/b", &["a/b", "a/x/b", "a/x/y/b"], &["a/xb", "b"]),
            ("**", &["a", "a/b"], &[]),
            (
                "dir\n!dir/keep\ndir/keep/not",
                &["dir/a", "dir/keep/not"],
                &["dir/keep", "dir/keep/b"],
            ),
            ("!a\na", &["a"], &[]),
            ("a?c", &["abc"], &["a/c", "ac"]),
            ("[a-c]x", &["bx"], &["dx"]),
            ("[^a]x", &["bx"], &["ax"]),
            ("a\\*b", &["a*b"], &["axb"]),
            ("# comment\n  a  \n\n", &["a"], &["# comment"]),
            ("a/../b/./c/", &["b/c"], &["a"]),
            ("*", &["a", "a/b"], &[]),
            ("*/b", &["a/b", "a/b/c"], &["b", "a/x/b"]),
            ("a.b+c", &["a.b+c"], &["axbbc"]),
        ];
        for (text, left_out, kept) in cases {
            let patterns = Patterns::parse(text).expect(text);
            for path in *left_out {
                assert!(patterns.matches(path), "{text:?} leaves out {path}");
            }
            for path in *kept {
                assert!(!patterns.matches(path), "{text:?} keeps {path}");
            }
        }
    }

    #[test]
    fn bad_patterns_are_refused_with_their_line() {
        let error = |text| Patterns::parse(text).expect_err(text).to_string();
        assert_eq!(error("a\n!"), "line 2: illegal exclusion pattern: \"!\"");
        assert_eq!(error("[a"), "line 1: syntax error in pattern");
        assert_eq!(error("[]a]"), "line 1: syntax error in pattern");
        assert_eq!(error("[-a]"), "line 1: syntax error in pattern");
        assert_eq!(error("a\\"), "line 1: syntax error in pattern");
    }

    #[test]
    fn paths_are_cleaned() {
        for (path, expected) in
            [("", "."), ("a//b/../c/.", "a/c"), ("/../a", "/a"), ("../../a", "../../a"), ("/", "/")]
        {
            assert_eq!(clean(path), expected, "{path}");
        }
    }
}
