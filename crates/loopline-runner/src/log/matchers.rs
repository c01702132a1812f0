//! Problem matchers: definitions, and the state machines that run over lines.
//!
//! Definitions live as long as the job (an action adds them, later steps use them); each step
//! has states of its own. Reading definition files and checking that a matched file exists is
//! the caller's business.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use regex::bytes::{Captures, Regex};
use serde::Deserialize;

use super::pattern::{self, PatternError};

/// How large a file of matchers may be, in bytes.
pub(super) const MAX_FILE_BYTES: usize = 1024 * 1024;
/// How many matchers are active at once.
const MAX_MATCHERS: usize = 200;
/// How many patterns one matcher has at most.
const MAX_PATTERNS: usize = 50;

/// Why a matcher cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MatcherError {
    /// The file is not JSON, or not of the right shape.
    #[error("the file is not a problem matcher: {0}")]
    Json(#[from] serde_json::Error),
    /// The file is larger than any real one.
    #[error("the file is larger than {} KiB", MAX_FILE_BYTES / 1024)]
    TooLarge,
    /// The file, or the job, has too many matchers.
    #[error("there are more than {MAX_MATCHERS} matchers")]
    TooMany,
    /// No owner.
    #[error("an owner must not be empty")]
    NoOwner,
    /// Two matchers of one file have one owner.
    #[error("duplicate owner name '{0}'")]
    DuplicateOwner(String),
    /// The severity is none of the three.
    #[error("matcher '{owner}' contains unexpected default severity '{severity}'")]
    Severity {
        /// Whose.
        owner: String,
        /// Which.
        severity: String,
    },
    /// No pattern, or too many.
    #[error("matcher '{0}' does not contain between 1 and {MAX_PATTERNS} patterns")]
    Patterns(String),
    /// `loop` where it has no meaning.
    #[error("matcher '{0}': only the last pattern in a multiline matcher may set 'loop'")]
    Loop(String),
    /// `loop` without a message.
    #[error("matcher '{0}': the loop pattern must set 'message'")]
    LoopMessage(String),
    /// No pattern says what the message is.
    #[error("matcher '{0}': at least one pattern must set 'message'")]
    NoMessage(String),
    /// Two patterns give one property.
    #[error("matcher '{owner}': the property '{property}' is set twice")]
    Twice {
        /// Whose.
        owner: String,
        /// Which.
        property: &'static str,
    },
    /// A property names a group that is not there.
    #[error(
        "matcher '{owner}': the property '{property}' is set to {group}, which is out of range"
    )]
    OutOfRange {
        /// Whose.
        owner: String,
        /// Which.
        property: &'static str,
        /// The group.
        group: i64,
    },
    /// The expression cannot be used.
    #[error("matcher '{owner}': the expression `{regexp}` {source}")]
    Pattern {
        /// Whose.
        owner: String,
        /// The expression.
        regexp: String,
        /// Why.
        source: PatternError,
    },
}

#[derive(Deserialize)]
struct File {
    #[serde(default, rename = "problemMatcher")]
    matchers: Vec<Definition>,
}

#[derive(Deserialize)]
struct Definition {
    #[serde(default)]
    owner: String,
    #[serde(default)]
    severity: Option<String>,
    #[serde(default, rename = "fromPath")]
    from_path: Option<String>,
    #[serde(default, rename = "pattern")]
    patterns: Vec<PatternDefinition>,
}

#[derive(Deserialize)]
struct PatternDefinition {
    #[serde(default)]
    regexp: String,
    file: Option<i64>,
    line: Option<i64>,
    column: Option<i64>,
    severity: Option<i64>,
    code: Option<i64>,
    message: Option<i64>,
    #[serde(rename = "fromPath")]
    from_path: Option<i64>,
    #[serde(default, rename = "loop")]
    repeats: bool,
}

/// What a group of an expression stands for, in the order of [`PROPERTIES`].
type Groups = [Option<usize>; 7];

const PROPERTIES: [&str; 7] = ["file", "line", "column", "severity", "code", "message", "fromPath"];

/// One checked matcher.
#[derive(Debug)]
pub(super) struct Matcher {
    owner: String,
    severity: String,
    from_path: Option<String>,
    patterns: Vec<Pattern>,
}

#[derive(Debug)]
struct Pattern {
    regex: Regex,
    translated: String,
    groups: Groups,
    repeats: bool,
}

/// What one or several lines said; a property that took part in no match is `None`, one that
/// matched nothing is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Match([Option<String>; 7]);

impl Match {
    pub(super) fn get(&self, property: &str) -> Option<&str> {
        let index = PROPERTIES.iter().position(|known| *known == property)?;
        self.0[index].as_deref().filter(|value| !value.trim().is_empty())
    }
}

/// The matchers of a job; cheap to clone, and all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Matchers(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    version: AtomicU64,
    /// Last added first, because it is tried first.
    active: Mutex<Vec<Arc<Matcher>>>,
}

impl Matchers {
    /// Returns a job's set, empty.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the matchers of a definition file. One that has the owner of another replaces it.
    ///
    /// # Errors
    /// [`MatcherError`]; then none of the file is added.
    pub fn add(&self, json: &[u8]) -> Result<(), MatcherError> {
        let added = read(json)?;
        let mut active = self.0.active.lock().unwrap_or_else(PoisonError::into_inner);
        for matcher in added {
            active.retain(|other| !other.owner.eq_ignore_ascii_case(&matcher.owner));
            if active.len() >= MAX_MATCHERS {
                return Err(MatcherError::TooMany);
            }
            active.insert(0, Arc::new(matcher));
        }
        self.0.version.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// Removes the matcher of `owner`, if there is one.
    pub fn remove(&self, owner: &str) {
        let mut active = self.0.active.lock().unwrap_or_else(PoisonError::into_inner);
        active.retain(|matcher| !matcher.owner.eq_ignore_ascii_case(owner));
        self.0.version.fetch_add(1, Ordering::Release);
    }

    /// Removes the matchers that a definition file defines.
    ///
    /// # Errors
    /// [`MatcherError`], where the file cannot be read.
    pub fn remove_file(&self, json: &[u8]) -> Result<(), MatcherError> {
        if json.len() > MAX_FILE_BYTES {
            return Err(MatcherError::TooLarge);
        }
        let file: File = serde_json::from_slice(strip_mark(json))?;
        for definition in file.matchers {
            self.remove(&definition.owner);
        }
        Ok(())
    }

    pub(super) fn version(&self) -> u64 {
        self.0.version.load(Ordering::Acquire)
    }

    /// Brings a step's states up to date; matchers that stay keep theirs.
    pub(super) fn refresh(&self, running: &mut Running) {
        let active = self.0.active.lock().unwrap_or_else(PoisonError::into_inner);
        running.version = self.version();
        let mut old = std::mem::take(&mut running.matchers);
        for matcher in active.iter() {
            let kept = old.iter().position(|(known, _)| Arc::ptr_eq(known, matcher));
            running.matchers.push(match kept {
                Some(index) => old.swap_remove(index),
                None => (Arc::clone(matcher), vec![None; matcher.patterns.len() - 1]),
            });
        }
        drop(active);
        let first: Vec<String> = running
            .matchers
            .iter()
            .filter_map(|(matcher, _)| matcher.patterns.first())
            .map(|pattern| pattern.translated.clone())
            .collect();
        running.candidates = pattern::any(&first);
    }
}

/// The matchers of one step, in the middle of what they read.
#[derive(Debug, Default)]
pub(super) struct Running {
    pub(super) version: u64,
    matchers: Vec<(Arc<Matcher>, Vec<Option<Match>>)>,
    /// Finds lines where any first pattern matches.
    candidates: Option<Regex>,
}

impl Running {
    pub(super) fn is_empty(&self) -> bool {
        self.matchers.is_empty()
    }

    /// Returns whether some matcher waits for the next line, whatever it is.
    pub(super) fn is_midway(&self) -> bool {
        self.matchers.iter().any(|(_, state)| state.iter().any(Option::is_some))
    }

    /// Returns a place at or after `from`, on the next line where a matcher can begin.
    pub(super) fn next_candidate(&self, text: &[u8], from: usize) -> Option<usize> {
        match &self.candidates {
            Some(candidates) => candidates.find_at(text, from).map(|found| found.start()),
            None => Some(from),
        }
    }

    /// Shows `line` to the matchers; `accept` turns a match into an annotation if it is one.
    pub(super) fn line<T>(
        &mut self,
        line: &[u8],
        mut accept: impl FnMut(&Match) -> Option<T>,
    ) -> Option<T> {
        let midway = self.is_midway();
        if !midway && self.candidates.as_ref().is_some_and(|any| !any.is_match(line)) {
            return None;
        }
        for index in 0..self.matchers.len() {
            let (matcher, state) = &mut self.matchers[index];
            let Some(found) = matcher.step(state, line) else { continue };
            for (other, (_, state)) in self.matchers.iter_mut().enumerate() {
                if other != index {
                    state.fill(None);
                }
            }
            if let Some(accepted) = accept(&found) {
                return Some(accepted);
            }
        }
        None
    }
}

impl Matcher {
    /// Moves the state machine by one line; the patterns are tried from the last, so that a
    /// line moves every match by one pattern at most.
    fn step(&self, state: &mut [Option<Match>], line: &[u8]) -> Option<Match> {
        let last = self.patterns.len() - 1;
        for index in (0..self.patterns.len()).rev() {
            let before = match index.checked_sub(1) {
                Some(previous) => match &state[previous] {
                    Some(found) => Some(found.clone()),
                    None => continue,
                },
                None => None,
            };
            let pattern = &self.patterns[index];
            let found = pattern
                .regex
                .captures(line)
                .map(|captures| pattern.gather(before.as_ref(), &captures));
            if index < last {
                state[index] = found;
                continue;
            }
            let Some(mut found) = found else {
                if let Some(previous) = index.checked_sub(1) {
                    state[previous] = None;
                }
                continue;
            };
            state.fill(None);
            if pattern.repeats
                && let Some(previous) = index.checked_sub(1)
            {
                state[previous] = before;
            }
            self.fill_defaults(&mut found);
            return Some(found);
        }
        None
    }

    fn fill_defaults(&self, found: &mut Match) {
        if found.0[3].as_deref().is_none_or(str::is_empty) && !self.severity.is_empty() {
            found.0[3] = Some(self.severity.clone());
        }
        if found.0[6].as_deref().is_none_or(str::is_empty) && self.from_path.is_some() {
            found.0[6].clone_from(&self.from_path);
        }
    }
}

impl Pattern {
    fn gather(&self, before: Option<&Match>, captures: &Captures<'_>) -> Match {
        let mut found = Match::default();
        for (index, value) in found.0.iter_mut().enumerate() {
            *value = before.and_then(|before| before.0[index].clone()).or_else(|| {
                let group = self.groups[index]?;
                let bytes = captures.get(group).map_or(&b""[..], |group| group.as_bytes());
                Some(String::from_utf8_lossy(bytes).into_owned())
            });
        }
        found
    }
}

fn strip_mark(json: &[u8]) -> &[u8] {
    json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json)
}

fn read(json: &[u8]) -> Result<Vec<Matcher>, MatcherError> {
    if json.len() > MAX_FILE_BYTES {
        return Err(MatcherError::TooLarge);
    }
    let file: File = serde_json::from_slice(strip_mark(json))?;
    if file.matchers.len() > MAX_MATCHERS {
        return Err(MatcherError::TooMany);
    }
    let mut owners = HashSet::new();
    let mut matchers = Vec::new();
    for definition in file.matchers {
        let owner = definition.owner.clone();
        matchers.push(check(definition)?);
        if !owners.insert(owner.to_ascii_lowercase()) {
            return Err(MatcherError::DuplicateOwner(owner));
        }
    }
    Ok(matchers)
}

fn check(definition: Definition) -> Result<Matcher, MatcherError> {
    let Definition { owner, severity, from_path, patterns } = definition;
    if owner.is_empty() {
        return Err(MatcherError::NoOwner);
    }
    let severity = severity.unwrap_or_default();
    if !["", "error", "warning", "notice"].contains(&severity.to_ascii_lowercase().as_str()) {
        return Err(MatcherError::Severity { owner, severity });
    }
    if patterns.is_empty() || patterns.len() > MAX_PATTERNS {
        return Err(MatcherError::Patterns(owner));
    }
    let count = patterns.len();
    let mut seen = [false; 7];
    let mut checked = Vec::with_capacity(count);
    for (index, pattern) in patterns.into_iter().enumerate() {
        if pattern.repeats && (index == 0 || index + 1 != count) {
            return Err(MatcherError::Loop(owner));
        }
        if pattern.repeats && pattern.message.is_none() {
            return Err(MatcherError::LoopMessage(owner));
        }
        let refused = |source| MatcherError::Pattern {
            owner: owner.clone(),
            regexp: pattern.regexp.clone(),
            source,
        };
        let translated = pattern::translate(&pattern.regexp).map_err(refused)?;
        let regex = pattern::compile(&pattern.regexp).map_err(refused)?;
        let wanted = [
            pattern.file,
            pattern.line,
            pattern.column,
            pattern.severity,
            pattern.code,
            pattern.message,
            pattern.from_path,
        ];
        let mut groups: Groups = [None; 7];
        for (place, group) in wanted.into_iter().enumerate() {
            let Some(group) = group else { continue };
            let property = PROPERTIES[place];
            if seen[place] {
                return Err(MatcherError::Twice { owner, property });
            }
            seen[place] = true;
            let in_range =
                usize::try_from(group).ok().filter(|group| *group < regex.captures_len());
            let Some(group) = in_range else {
                return Err(MatcherError::OutOfRange { owner, property, group });
            };
            groups[place] = Some(group);
        }
        checked.push(Pattern { regex, translated, groups, repeats: pattern.repeats });
    }
    if !seen[5] {
        return Err(MatcherError::NoMessage(owner));
    }
    Ok(Matcher { owner, severity, from_path, patterns: checked })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STYLISH: &str = r#"{"problemMatcher":[{"owner":"eslint-stylish","pattern":[
        {"regexp":"^([^\\s].*)$","file":1},
        {"regexp":"^\\s+(\\d+):(\\d+)\\s+(error|warning|info)\\s+(.*)\\s\\s+(.*)$",
         "line":1,"column":2,"severity":3,"message":4,"code":5,"loop":true}]}]}"#;

    fn run(definition: &str, lines: &[&str]) -> Vec<String> {
        let matchers = Matchers::new();
        matchers.add(definition.as_bytes()).unwrap();
        let mut running = Running::default();
        matchers.refresh(&mut running);
        let mut found = Vec::new();
        for line in lines {
            found.extend(running.line(line.as_bytes(), |found| {
                let parts: Vec<&str> =
                    PROPERTIES.iter().map(|name| found.get(name).unwrap_or("-")).collect();
                Some(parts.join("|"))
            }));
        }
        found
    }

    #[test]
    fn loops() {
        let lines = [
            "test.js",
            "  1:0   error  Missing \"use strict\" statement                 strict",
            "  5:10  warning  'addOne' is defined but never used            no-unused-vars",
            "",
            "foo.js",
            "  36:10  error  Expected parentheses around arrow function argument  arrow-parens",
            "unrelated",
            "nothing",
            "  1:2  error  stale  x",
        ];
        assert_eq!(
            run(STYLISH, &lines),
            [
                "test.js|1|0|error|strict|Missing \"use strict\" statement               |-",
                "test.js|5|10|warning|no-unused-vars|'addOne' is defined but never used          |-",
                "foo.js|36|10|error|arrow-parens|Expected parentheses around arrow function argument|-",
                "nothing|1|2|error|x|stale|-",
            ]
            .map(|line| line.to_owned())
        );
    }

    #[test]
    fn three_patterns_in_a_row() {
        let definition = r#"{"problemMatcher":[{"owner":"m","severity":"warning","pattern":[
            {"regexp":"^file:(.+)$","file":1},
            {"regexp":"^line:(\\d+)$","line":1},
            {"regexp":"^(?:code:(\\w+) )?message:(.+)$","message":2,"code":1}]}]}"#;
        let lines = [
            "file:a",
            "line:1",
            "message:x",
            "file:b",
            "file:c",
            "line:2",
            "message:y",
            "message:z",
            "line:3",
            "message:w",
        ];
        assert_eq!(run(definition, &lines), ["a|1|-|warning|-|x|-", "c|2|-|warning|-|y|-"]);
    }

    #[test]
    fn refuses() {
        for (pattern, reason) in [
            (r#"{"regexp":"a"}"#, "matcher 'x': at least one pattern must set 'message'"),
            (
                r#"{"regexp":"a","message":1}"#,
                "matcher 'x': the property 'message' is set to 1, which is out of range",
            ),
            (
                r#"{"regexp":"a","message":0,"loop":true}"#,
                "matcher 'x': only the last pattern in a multiline matcher may set 'loop'",
            ),
            (
                r#"{"regexp":"(?=a)","message":0}"#,
                "matcher 'x': the expression `(?=a)` uses look-ahead, which needs unbounded time and is not supported",
            ),
            (
                r#"{"regexp":"a","message":0},{"regexp":"b","message":0}"#,
                "matcher 'x': the property 'message' is set twice",
            ),
        ] {
            let json = format!(r#"{{"problemMatcher":[{{"owner":"x","pattern":[{pattern}]}}]}}"#);
            assert_eq!(Matchers::new().add(json.as_bytes()).unwrap_err().to_string(), reason);
        }
    }

    #[test]
    fn the_last_added_wins_and_owners_replace() {
        let matchers = Matchers::new();
        let json = |owner: &str, severity: &str| {
            format!(
                r#"{{"problemMatcher":[{{"owner":"{owner}","severity":"{severity}","pattern":[{{"regexp":"^.*$","message":0}}]}}]}}"#
            )
        };
        matchers.add(json("a", "error").as_bytes()).unwrap();
        matchers.add(json("b", "notice").as_bytes()).unwrap();
        matchers.add(json("A", "warning").as_bytes()).unwrap();
        let mut running = Running::default();
        matchers.refresh(&mut running);
        let severity = |running: &mut Running| {
            running.line(b"x", |found| found.get("severity").map(str::to_owned))
        };
        assert_eq!(severity(&mut running).as_deref(), Some("warning"));
        matchers.remove("a");
        matchers.refresh(&mut running);
        assert_eq!(severity(&mut running).as_deref(), Some("notice"));
    }
}
