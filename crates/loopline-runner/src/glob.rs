//! File patterns as `hashFiles`, `actions/cache` and `actions/upload-artifact` understand them.
//!
//! The rules are those of `@actions/glob`: patterns apply in order, `!` takes away, `**` spans
//! folders, a pattern that names a folder means everything below it, and names that start with
//! a dot are nothing special. Walking never leaves the search roots; symbolic links are followed
//! only on request. What is done with the files is the caller's business.

use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::leash::Ended;

/// The deepest folder that is entered; symbolic links can nest without end.
const MAX_DEPTH: usize = 200;

/// Why patterns cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GlobError {
    /// A `.` or `..` stands where only names may.
    #[error("invalid pattern `{0}`: relative pathing `.` and `..` is not allowed")]
    Relative(String),
    /// Folders nest too deep, as links in a circle make them.
    #[error("folders are nested deeper than {MAX_DEPTH} levels below {0}")]
    TooDeep(PathBuf),
    /// The search had to end before it was done.
    #[error(transparent)]
    Ended(Ended),
    /// A folder could not be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// An ordered list of patterns.
#[derive(Debug, Default)]
pub struct Globs(Vec<Pattern>);

#[derive(Debug)]
struct Pattern {
    negate: bool,
    /// Ended by `/`, so it means folders only.
    folders_only: bool,
    /// Made from a pattern by adding `**`: matches what is below, not the folder itself.
    implicit: bool,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug)]
enum Segment {
    Anything,
    Literal(String),
    Wild(Vec<Piece>),
}

#[derive(Clone, Debug)]
enum Piece {
    Star,
    One,
    Exactly(char),
    Set { negate: bool, ranges: Vec<(char, char)> },
}

/// What a path is to a list of patterns.
#[derive(Clone, Copy, Debug, Default)]
struct Match {
    folder: bool,
    file: bool,
}

impl Globs {
    /// Reads patterns, one a line; blank lines and `#` comments are passed over. Relative ones
    /// are relative to `base`, a leading `~` is `home`.
    ///
    /// # Errors
    /// [`GlobError::Relative`].
    pub fn parse(text: &str, base: &Path, home: &Path) -> Result<Self, GlobError> {
        let mut patterns = Vec::new();
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let bare = line.trim_start_matches('!');
            let negate = (line.len() - bare.len()) % 2 == 1;
            let bare = bare.trim();
            if bare.is_empty() {
                continue;
            }
            let mut segments = rooted(bare, base, home, line)?;
            let folders_only = bare.len() > 1 && bare.ends_with('/');
            let spans = matches!(segments.last(), Some(Segment::Anything));
            patterns.push(Pattern {
                negate,
                folders_only,
                implicit: false,
                segments: segments.clone(),
            });
            if folders_only || !spans {
                segments.push(Segment::Anything);
                patterns.push(Pattern { negate, folders_only: false, implicit: true, segments });
            }
        }
        Ok(Self(patterns))
    }

    /// Returns whether there is no pattern that adds anything.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|pattern| pattern.negate)
    }

    /// Returns the folders or files where matches can be, none inside another.
    pub fn search_roots(&self) -> Vec<PathBuf> {
        let mut roots: Vec<PathBuf> = Vec::new();
        for pattern in self.0.iter().filter(|pattern| !pattern.negate) {
            let mut root = PathBuf::from("/");
            for segment in &pattern.segments {
                let Segment::Literal(name) = segment else { break };
                root.push(name);
            }
            if roots.iter().any(|known| root.starts_with(known)) {
                continue;
            }
            roots.retain(|known| !known.starts_with(&root));
            roots.push(root);
        }
        roots
    }

    /// Calls `found` with every match in the order of the search roots, folders before what is
    /// in them, names sorted by byte; the flag tells folders. It stops when `found` fails.
    ///
    /// # Errors
    /// Where a folder cannot be read, or `found` fails.
    pub fn walk<E: From<GlobError>>(
        &self,
        follow_links: bool,
        mut found: impl FnMut(&Path, bool) -> Result<(), E>,
    ) -> Result<(), E> {
        for root in self.search_roots() {
            let mut stack = vec![(root, 0)];
            while let Some((path, depth)) = stack.pop() {
                let names: Vec<&str> = names_of(&path);
                let matched = self.matches(&names);
                let partial = matched.folder || matched.file || self.may_match_below(&names);
                if !partial {
                    continue;
                }
                let about = if follow_links || depth == 0 {
                    fs::metadata(&path)
                } else {
                    fs::symlink_metadata(&path)
                };
                let about = match about {
                    Ok(about) => about,
                    // Nothing there, a dangling link, or gone since the folder was listed.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) if error.kind() == io::ErrorKind::NotADirectory => continue,
                    Err(error) => return Err(E::from(error.into())),
                };
                if !about.is_dir() {
                    if matched.file {
                        found(&path, false)?;
                    }
                    continue;
                }
                if depth >= MAX_DEPTH {
                    return Err(E::from(GlobError::TooDeep(path)));
                }
                if matched.folder {
                    found(&path, true)?;
                }
                let mut children = Vec::new();
                for entry in fs::read_dir(&path).map_err(GlobError::from)? {
                    children.push(entry.map_err(GlobError::from)?.path());
                }
                children.sort_unstable_by(|one, two| two.as_os_str().cmp(one.as_os_str()));
                stack.extend(children.into_iter().map(|child| (child, depth + 1)));
            }
        }
        Ok(())
    }

    fn matches(&self, names: &[&str]) -> Match {
        let mut result = Match::default();
        for pattern in &self.0 {
            if pattern.matches(names) {
                result.folder = !pattern.negate;
                if !pattern.folders_only {
                    result.file = !pattern.negate;
                }
            }
        }
        result
    }

    fn may_match_below(&self, names: &[&str]) -> bool {
        self.0.iter().filter(|pattern| !pattern.negate).any(|pattern| {
            for (index, name) in names.iter().enumerate() {
                match pattern.segments.get(index) {
                    Some(Segment::Anything) => return true,
                    Some(segment) if segment.matches(name) => {}
                    _ => return false,
                }
            }
            true
        })
    }
}

impl Pattern {
    fn matches(&self, names: &[&str]) -> bool {
        if self.implicit {
            // The folder itself is the business of the pattern this one was made from.
            let fixed = &self.segments[..self.segments.len() - 1];
            return (0..names.len()).any(|end| matches(fixed, &names[..end]));
        }
        matches(&self.segments, names)
    }
}

impl Segment {
    fn parse(text: &str) -> Self {
        if text == "**" {
            return Self::Anything;
        }
        let mut pieces = Vec::new();
        let mut rest = text.chars().peekable();
        while let Some(character) = rest.next() {
            match character {
                '*' => {
                    if !matches!(pieces.last(), Some(Piece::Star)) {
                        pieces.push(Piece::Star);
                    }
                }
                '?' => pieces.push(Piece::One),
                '\\' => pieces.push(Piece::Exactly(rest.next().unwrap_or('\\'))),
                '[' => match set(&rest.clone().collect::<String>()) {
                    Some((piece, used)) => {
                        pieces.push(piece);
                        for _ in 0..used {
                            rest.next();
                        }
                    }
                    None => pieces.push(Piece::Exactly('[')),
                },
                other => pieces.push(Piece::Exactly(other)),
            }
        }
        let literal: Option<String> = pieces
            .iter()
            .map(|piece| match piece {
                Piece::Exactly(character) => Some(*character),
                _ => None,
            })
            .collect();
        literal.map_or(Self::Wild(pieces), Self::Literal)
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Anything => true,
            Self::Literal(literal) => literal == name,
            Self::Wild(pieces) => wild(pieces, name),
        }
    }
}

/// Matches whole names; `**` is any number of them. Linear in the usual case, and never worse
/// than the product of both lengths because only the last `**` is gone back to.
fn matches(segments: &[Segment], names: &[&str]) -> bool {
    let (mut segment, mut name) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while name < names.len() {
        match segments.get(segment) {
            Some(Segment::Anything) => {
                retry = Some((segment, name));
                segment += 1;
            }
            Some(current) if current.matches(names[name]) => {
                segment += 1;
                name += 1;
            }
            _ => match retry {
                Some((star, from)) => {
                    retry = Some((star, from + 1));
                    segment = star + 1;
                    name = from + 1;
                }
                None => return false,
            },
        }
    }
    segments[segment..].iter().all(|rest| matches!(rest, Segment::Anything))
}

fn wild(pieces: &[Piece], name: &str) -> bool {
    let characters: Vec<char> = name.chars().collect();
    let (mut piece, mut at) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while at < characters.len() {
        let fits = match pieces.get(piece) {
            Some(Piece::Star) => {
                retry = Some((piece, at));
                piece += 1;
                continue;
            }
            Some(Piece::One) => true,
            Some(Piece::Exactly(exactly)) => *exactly == characters[at],
            Some(Piece::Set { negate, ranges }) => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&characters[at])) != *negate
            }
            None => false,
        };
        if fits {
            piece += 1;
            at += 1;
        } else if let Some((star, from)) = retry {
            retry = Some((star, from + 1));
            piece = star + 1;
            at = from + 1;
        } else {
            return false;
        }
    }
    pieces[piece..].iter().all(|rest| matches!(rest, Piece::Star))
}

/// Reads a set after its `[`; returns it and how many characters it took.
fn set(text: &str) -> Option<(Piece, usize)> {
    let characters: Vec<char> = text.chars().collect();
    let mut at = 0;
    let negate = matches!(characters.first(), Some('!' | '^'));
    at += usize::from(negate);
    let start = at;
    let mut ranges = Vec::new();
    loop {
        let mut low = *characters.get(at)?;
        if low == ']' && at > start {
            return Some((Piece::Set { negate, ranges }, at + 1));
        }
        if low == '\\' {
            at += 1;
            low = *characters.get(at)?;
        }
        at += 1;
        let high = match (characters.get(at), characters.get(at + 1)) {
            (Some('-'), Some(&high)) if high != ']' => {
                at += 2;
                high
            }
            _ => low,
        };
        ranges.push((low, high));
    }
}

fn rooted(bare: &str, base: &Path, home: &Path, line: &str) -> Result<Vec<Segment>, GlobError> {
    let literal = |path: &Path| -> Vec<Segment> {
        names_of(path).into_iter().map(|name| Segment::Literal(name.to_owned())).collect()
    };
    let (mut segments, rest) = if let Some(rest) = bare.strip_prefix('/') {
        (Vec::new(), rest)
    } else if bare == "~" || bare.starts_with("~/") {
        (literal(home), &bare[1..])
    } else if bare == ".." || bare.starts_with("../") {
        (literal(base.parent().unwrap_or(base)), &bare[2..])
    } else if bare == "." || bare.starts_with("./") {
        (literal(base), &bare[1..])
    } else {
        (literal(base), bare)
    };
    for name in rest.split('/').filter(|name| !name.is_empty()) {
        if matches!(name, "." | "..") {
            return Err(GlobError::Relative(line.to_owned()));
        }
        segments.push(Segment::parse(name));
    }
    Ok(segments)
}

fn names_of(path: &Path) -> Vec<&str> {
    path.components()
        .filter_map(|part| match part {
            // A name that is not UTF-8 can match wildcards only through its readable part; it
            // is treated as a name no literal equals.
            std::path::Component::Normal(name) => Some(name.to_str().unwrap_or("\u{fffd}")),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(patterns: &str, expected: &[&str]) {
        let folder = tempfile::tempdir().unwrap();
        for file in ["a.txt", ".hidden", "src/main.rs", "src/deep/lib.rs", "src/deep/x.txt", "[b]"]
        {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        let globs = Globs::parse(patterns, folder.path(), Path::new("/home/nobody")).unwrap();
        let mut found = Vec::new();
        globs
            .walk(false, |path, is_folder| {
                if !is_folder {
                    let path = path.strip_prefix(folder.path()).unwrap_or(path);
                    found.push(path.to_str().unwrap().to_owned());
                }
                Ok::<(), GlobError>(())
            })
            .unwrap();
        assert_eq!(found, expected, "{patterns}");
    }

    #[test]
    fn patterns_in_order() {
        check(
            "**",
            &[".hidden", "[b]", "a.txt", "src/deep/lib.rs", "src/deep/x.txt", "src/main.rs"],
        );
        check(
            "*",
            &[".hidden", "[b]", "a.txt", "src/deep/lib.rs", "src/deep/x.txt", "src/main.rs"],
        );
        check("*.txt", &["a.txt"]);
        check("**/*.txt", &["a.txt", "src/deep/x.txt"]);
        check("src", &["src/deep/lib.rs", "src/deep/x.txt", "src/main.rs"]);
        check("src/", &["src/deep/lib.rs", "src/deep/x.txt", "src/main.rs"]);
        check("a.txt/", &[]);
        check("src/**/lib.rs", &["src/deep/lib.rs"]);
        check("**/main.rs\n**/lib.rs", &["src/deep/lib.rs", "src/main.rs"]);
        check("src\n!**/*.txt\n# nothing\n", &["src/deep/lib.rs", "src/main.rs"]);
        check("src\n!src/deep", &["src/main.rs"]);
        check("!src\nsrc/main.rs", &["src/main.rs"]);
        check("./src/[lm]ain.r?", &["src/main.rs"]);
        check("src/[!m]*", &["src/deep/lib.rs", "src/deep/x.txt"]);
        check("\\[b\\]", &["[b]"]);
        check("missing/**", &[]);
        check("a.txt/b", &[]);
        check("", &[]);
    }

    #[test]
    fn a_pattern_may_not_wander() {
        let parse = |text| Globs::parse(text, Path::new("/w"), Path::new("/h"));
        assert!(parse("src/../..").is_err());
        assert_eq!(parse("../x").unwrap().search_roots(), [Path::new("/x")]);
        assert_eq!(parse("~/x/*.c\n/h/x").unwrap().search_roots(), [Path::new("/h/x")]);
    }
}
