//! Which pushes and pull requests a workflow asked for: patterns of branches, tags and paths.
//!
//! Names and changed files in, a decision with its reason out; finding them is done elsewhere.

use std::fmt;

use regex::Regex;

use super::model::Filters;

/// How long a pattern may be, in bytes.
pub const MAX_PATTERN_LENGTH: usize = 4_096;

/// Why a text is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// A `[` without `]`.
    #[error("the bracket at byte {0} is not closed")]
    UnclosedBracket(usize),
    /// `[]`.
    #[error("the brackets at byte {0} are empty")]
    EmptyBrackets(usize),
    /// A range that goes backwards.
    #[error("the range at byte {0} goes backwards")]
    BackwardRange(usize),
    /// A `\` with nothing behind it.
    #[error("nothing follows the backslash at the end")]
    TrailingBackslash,
    /// The pattern is too long.
    #[error("the pattern is longer than {MAX_PATTERN_LENGTH} bytes")]
    TooLong,
}

/// A glob pattern of GitHub's filters.
///
/// `*` is anything but `/`, `**` anything, `?` makes the character before it optional, `+` repeats
/// it, `[]` is one of several, `!` in front turns the pattern around, `\` takes the next character
/// as it is. Matching takes linear time whatever the pattern.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    negated: bool,
    regex: Regex,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// Returns what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.len() > MAX_PATTERN_LENGTH {
            return Err(PatternError::TooLong);
        }
        let (negated, glob, skipped) = match text.strip_prefix('!') {
            Some(rest) => (true, rest, 1),
            None => (false, text, 0),
        };
        let expression = translate(glob, skipped)?;
        // What is left to fail is its size, which the length bounds.
        let regex = Regex::new(&expression).map_err(|_| PatternError::TooLong)?;
        Ok(Self { text: text.to_owned(), negated, regex })
    }

    /// Returns the pattern as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns whether `!` stands in front.
    pub fn is_negated(&self) -> bool {
        self.negated
    }

    /// Returns whether the pattern, without its `!`, stands for the whole of a name.
    pub fn covers(&self, name: &str) -> bool {
        self.regex.is_match(name)
    }
}

/// What one part of a pattern stands for, and how often.
struct Atom {
    expression: String,
    optional: bool,
    repeated: bool,
}

fn translate(glob: &str, skipped: usize) -> Result<String, PatternError> {
    let mut atoms: Vec<Atom> = Vec::new();
    let mut rest = glob.char_indices().peekable();
    let mut after_slash = true;
    while let Some((at, character)) = rest.next() {
        let mut slash = false;
        let expression = match character {
            '?' | '+' if !atoms.is_empty() => {
                if let Some(last) = atoms.last_mut() {
                    last.optional |= character == '?';
                    last.repeated |= character == '+';
                }
                continue;
            }
            '*' => {
                let mut stars = 1;
                while rest.next_if(|(_, next)| *next == '*').is_some() {
                    stars += 1;
                }
                if stars == 1 {
                    "[^/]*".to_owned()
                } else if after_slash && rest.next_if(|(_, next)| *next == '/').is_some() {
                    // Any number of folders, none included.
                    slash = true;
                    "(?:.*/)?".to_owned()
                } else {
                    ".*".to_owned()
                }
            }
            '[' => brackets(&mut rest, at + skipped)?,
            '\\' => match rest.next() {
                Some((_, escaped)) => regex::escape(&escaped.to_string()),
                None => return Err(PatternError::TrailingBackslash),
            },
            other => {
                slash = other == '/';
                regex::escape(&other.to_string())
            }
        };
        after_slash = slash;
        atoms.push(Atom { expression, optional: false, repeated: false });
    }
    let mut expression = String::from(r"(?s)\A");
    for atom in &atoms {
        let quantifier = match (atom.optional, atom.repeated) {
            (false, false) => "",
            (true, false) => "?",
            (false, true) => "+",
            (true, true) => "*",
        };
        if quantifier.is_empty() {
            expression.push_str(&atom.expression);
        } else {
            expression.push_str(&format!("(?:{}){quantifier}", atom.expression));
        }
    }
    expression.push_str(r"\z");
    Ok(expression)
}

fn brackets(
    rest: &mut std::iter::Peekable<std::str::CharIndices<'_>>,
    open: usize,
) -> Result<String, PatternError> {
    let mut characters = Vec::new();
    loop {
        match rest.next() {
            None => return Err(PatternError::UnclosedBracket(open)),
            Some((_, ']')) => break,
            Some((_, '\\')) => {
                let (_, escaped) = rest.next().ok_or(PatternError::UnclosedBracket(open))?;
                characters.push((escaped, true));
            }
            Some((_, character)) => characters.push((character, false)),
        }
    }
    if characters.is_empty() {
        return Err(PatternError::EmptyBrackets(open));
    }
    let mut class = String::from("[");
    let mut at = 0;
    while let Some(&(first, _)) = characters.get(at) {
        let literal = |character: char| format!("\\x{{{:x}}}", u32::from(character));
        class.push_str(&literal(first));
        if let (Some(('-', false)), Some(&(last, _))) =
            (characters.get(at + 1), characters.get(at + 2))
        {
            if last < first {
                return Err(PatternError::BackwardRange(open));
            }
            class.push('-');
            class.push_str(&literal(last));
            at += 2;
        }
        at += 1;
    }
    class.push(']');
    Ok(class)
}

/// Patterns in order.
#[derive(Clone, Debug, Default)]
pub struct PatternList(Vec<Pattern>);

impl PatternList {
    /// Reads patterns.
    ///
    /// # Errors
    /// Returns which pattern is wrong, from zero, and what with it.
    pub fn parse<'a>(
        texts: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, (usize, PatternError)> {
        let read = |(index, text)| Pattern::parse(text).map_err(|error| (index, error));
        texts.into_iter().enumerate().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Returns the pattern that decides on a name: the last one that covers it.
    pub fn deciding(&self, name: &str) -> Option<&Pattern> {
        self.0.iter().rev().find(|pattern| pattern.covers(name))
    }

    /// Returns whether the list as a whole matches a name.
    pub fn matches(&self, name: &str) -> bool {
        self.deciding(name).is_some_and(|pattern| !pattern.is_negated())
    }
}

/// One of the keys that filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterKey {
    /// `branches`
    Branches,
    /// `branches-ignore`
    BranchesIgnore,
    /// `tags`
    Tags,
    /// `tags-ignore`
    TagsIgnore,
    /// `paths`
    Paths,
    /// `paths-ignore`
    PathsIgnore,
}

impl FilterKey {
    /// Returns the key as written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Branches => "branches",
            Self::BranchesIgnore => "branches-ignore",
            Self::Tags => "tags",
            Self::TagsIgnore => "tags-ignore",
            Self::Paths => "paths",
            Self::PathsIgnore => "paths-ignore",
        }
    }
}

/// A pattern that cannot be read, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("pattern {index} of '{}' is not valid: {error}", key.name())]
pub struct FilterError {
    /// The key.
    pub key: FilterKey,
    /// Which pattern, from zero.
    pub index: usize,
    /// What is wrong with it.
    #[source]
    pub error: PatternError,
}

/// What happened: the branch or tag, and the files that changed.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// The branch (of a pull request: the one to merge into) or tag.
    pub reference: Reference<'a>,
    /// The files; `None` where they are not known, which lets every path filter pass.
    pub paths: Option<&'a [String]>,
}

/// A branch or a tag, by its short name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference<'a> {
    /// A branch.
    Branch(&'a str),
    /// A tag.
    Tag(&'a str),
}

/// Whether a workflow runs, and what decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it runs.
    pub runs: bool,
    /// What decided, in the order it was asked; the last one against it where it does not run.
    pub reasons: Vec<Reason>,
}

/// What one filter says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The filter.
    pub key: FilterKey,
    /// What it was asked about.
    pub subject: Subject,
    /// The pattern that decided, as written; `None` where none covers the subject.
    pub pattern: Option<String>,
    /// Whether it lets the workflow run.
    pub runs: bool,
}

/// What a filter was asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A branch.
    Branch(String),
    /// A tag.
    Tag(String),
    /// A file that decided.
    Path(String),
    /// All changed files, of which there are so many.
    Paths(usize),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Branch(name) => write!(f, "branch `{name}`"),
            Self::Tag(name) => write!(f, "tag `{name}`"),
            Self::Path(name) => write!(f, "file `{name}`"),
            Self::Paths(0) => f.write_str("no changed file"),
            Self::Paths(1) => f.write_str("the one changed file"),
            Self::Paths(count) => write!(f, "each of the {count} changed files"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, subject, pattern, .. } = self;
        let key = key.name();
        match (pattern, subject) {
            (Some(pattern), _) => write!(f, "{subject} matches `{pattern}` of `{key}`"),
            (None, Subject::Branch(_)) if key.starts_with("tags") => {
                write!(f, "{subject} is no tag, and there is only `{key}`")
            }
            (None, Subject::Tag(_)) if key.starts_with("branches") => {
                write!(f, "{subject} is no branch, and there is only `{key}`")
            }
            (None, Subject::Paths(_)) if self.key == FilterKey::PathsIgnore => {
                write!(f, "{subject} is ignored by `{key}`")
            }
            (None, Subject::Paths(0)) => write!(f, "{subject} matches `{key}`"),
            (None, Subject::Paths(_)) => write!(f, "{subject} is outside of `{key}`"),
            (None, _) => write!(f, "{subject} matches none of `{key}`"),
        }
    }
}

/// The filters of an event, ready to be asked.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    branches: Option<PatternList>,
    branches_ignore: Option<PatternList>,
    tags: Option<PatternList>,
    tags_ignore: Option<PatternList>,
    paths: Option<PatternList>,
    paths_ignore: Option<PatternList>,
}

impl EventFilter {
    /// Reads the patterns of an event's filters.
    ///
    /// # Errors
    /// Returns the first pattern that cannot be read.
    pub fn new(filters: &Filters) -> Result<Self, FilterError> {
        let list = |key, texts: &Option<Vec<super::model::Text>>| {
            texts
                .as_ref()
                .map(|texts| PatternList::parse(texts.iter().map(|text| &*text.value)))
                .transpose()
                .map_err(|(index, error)| FilterError { key, index, error })
        };
        Ok(Self {
            branches: list(FilterKey::Branches, &filters.branches)?,
            branches_ignore: list(FilterKey::BranchesIgnore, &filters.branches_ignore)?,
            tags: list(FilterKey::Tags, &filters.tags)?,
            tags_ignore: list(FilterKey::TagsIgnore, &filters.tags_ignore)?,
            paths: list(FilterKey::Paths, &filters.paths)?,
            paths_ignore: list(FilterKey::PathsIgnore, &filters.paths_ignore)?,
        })
    }

    /// Decides whether a change lets the workflow run.
    ///
    /// Filters of branches alone leave out tags, and the other way round; path filters are not
    /// asked about tags; all filters that are asked must agree.
    pub fn decide(&self, change: Change<'_>) -> Decision {
        let mut reasons = Vec::new();
        reasons.extend(self.reference(change.reference));
        if reasons.iter().all(|reason| reason.runs)
            && let (Reference::Branch(_), Some(paths)) = (change.reference, change.paths)
        {
            reasons.extend(self.paths.as_ref().map(|list| included(list, paths)));
            reasons.extend(self.paths_ignore.as_ref().map(|list| ignored(list, paths)));
        }
        Decision { runs: reasons.iter().all(|reason| reason.runs), reasons }
    }

    fn reference(&self, reference: Reference<'_>) -> Vec<Reason> {
        let branches =
            (FilterKey::Branches, &self.branches, FilterKey::BranchesIgnore, &self.branches_ignore);
        let tags = (FilterKey::Tags, &self.tags, FilterKey::TagsIgnore, &self.tags_ignore);
        let (name, subject, own, other) = match reference {
            Reference::Branch(name) => (name, Subject::Branch(name.to_owned()), branches, tags),
            Reference::Tag(name) => (name, Subject::Tag(name.to_owned()), tags, branches),
        };
        let reason = |key, pattern: Option<&Pattern>, runs| Reason {
            key,
            subject: subject.clone(),
            pattern: pattern.map(|it| it.text().to_owned()),
            runs,
        };
        let mut reasons = Vec::new();
        if let Some(list) = own.1 {
            reasons.push(reason(own.0, list.deciding(name), list.matches(name)));
        }
        if let Some(list) = own.3 {
            reasons.push(reason(own.2, list.deciding(name), !list.matches(name)));
        }
        if reasons.is_empty() {
            // Only the other kind of reference is asked for.
            let present = [(other.0, other.1), (other.2, other.3)];
            let key = present.into_iter().find(|(_, list)| list.is_some()).map(|(key, _)| key);
            reasons.extend(key.map(|key| reason(key, None, false)));
        }
        reasons
    }
}

/// Asks `paths`: one file that it matches is enough.
fn included(list: &PatternList, paths: &[String]) -> Reason {
    let key = FilterKey::Paths;
    match paths.iter().find(|path| list.matches(path)) {
        Some(path) => {
            let pattern = list.deciding(path).map(|it| it.text().to_owned());
            Reason { key, subject: Subject::Path(path.clone()), pattern, runs: true }
        }
        None => Reason { key, subject: Subject::Paths(paths.len()), pattern: None, runs: false },
    }
}

/// Asks `paths-ignore`: one file that it does not match is enough.
fn ignored(list: &PatternList, paths: &[String]) -> Reason {
    let key = FilterKey::PathsIgnore;
    match paths.iter().find(|path| !list.matches(path)) {
        Some(path) => {
            let pattern = list.deciding(path).map(|it| it.text().to_owned());
            Reason { key, subject: Subject::Path(path.clone()), pattern, runs: true }
        }
        None => Reason { key, subject: Subject::Paths(paths.len()), pattern: None, runs: false },
    }
}
