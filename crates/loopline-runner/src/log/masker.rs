//! Hides secrets in text.
//!
//! Secrets can be added at any time and from any thread; a [`Snapshot`] is what one stretch of
//! text is searched with. All matches are found, also overlapping ones, and neighbours become
//! one `***`, as GitHub's runner does it. Which lines are text is the pipeline's business.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use aho_corasick::automaton::Automaton;
use aho_corasick::{Anchored, Input, MatchKind, dfa, nfa};

use super::encoders;

/// What stands for a secret.
pub(super) const MASK: &str = "***";
/// How many bytes of patterns one run keeps: shapes included, about a thousand large secrets.
const MAX_PATTERN_BYTES: usize = 64 * 1024 * 1024;
/// Up to this many bytes of patterns are searched with a full table, which is fastest; more
/// with a compact one, which is smallest.
const MAX_TABLE_BYTES: usize = 6 * 1024;

/// A run has more secrets than can be searched for.
#[derive(Debug, thiserror::Error)]
#[error("mask a secret: there are more than {} MiB of them", MAX_PATTERN_BYTES >> 20)]
pub struct TooManySecrets;

/// The secrets of a run; cheap to clone, and all clones are one.
#[derive(Clone, Default)]
pub struct Masker(Arc<Shared>);

#[derive(Default)]
struct Shared {
    version: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    known: HashSet<Box<str>>,
    bytes: usize,
    /// Patterns that no automaton has yet.
    fresh: Vec<Box<str>>,
    /// Each at least twice as large as the next, so that a step which adds secrets without end
    /// costs n log n and not n squared.
    levels: Vec<Level>,
}

#[derive(Clone)]
struct Level {
    patterns: Arc<Vec<Box<str>>>,
    /// The longest pattern, in bytes.
    longest: usize,
    automaton: Arc<Kind>,
}

enum Kind {
    Table(dfa::DFA),
    Compact(nfa::contiguous::NFA),
}

impl Masker {
    /// Returns a masker without secrets.
    pub fn new() -> Self {
        Self::default()
    }

    /// Hides `value`, each of its lines, and the shapes tools print them in. An empty value is
    /// passed over; a short one is hidden wherever it stands, as GitHub does.
    ///
    /// # Errors
    /// [`TooManySecrets`].
    pub fn add(&self, value: &str) -> Result<(), TooManySecrets> {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        let known = state.known.len();
        let result = state.add(value);
        if state.known.len() != known {
            self.0.version.fetch_add(1, Ordering::Release);
        }
        result
    }

    /// Returns `text` with the secrets hidden.
    pub fn mask_text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut out = Vec::new();
        if !self.snapshot().mask(text.as_bytes(), &mut out) {
            return Cow::Borrowed(text);
        }
        Cow::Owned(String::from_utf8_lossy(&out).into_owned())
    }

    /// Returns whether any secret, in any shape, is in `text`.
    pub fn contains_secret(&self, text: &str) -> bool {
        self.snapshot().levels.iter().any(|level| level.automaton.occurs_in(text.as_bytes()))
    }

    /// Returns a number that changes when a secret is added.
    pub(super) fn version(&self) -> u64 {
        self.0.version.load(Ordering::Acquire)
    }

    /// Returns what text is searched with.
    pub(super) fn snapshot(&self) -> Snapshot {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.build();
        let longest = state.levels.iter().map(|level| level.longest).max().unwrap_or(0);
        Snapshot { version: self.version(), levels: state.levels.clone(), longest }
    }
}

impl std::fmt::Debug for Masker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Masker(***)")
    }
}

impl State {
    fn add(&mut self, value: &str) -> Result<(), TooManySecrets> {
        self.add_shapes(value)?;
        if value.contains(['\r', '\n']) {
            for line in value.split(['\r', '\n']).filter(|line| !line.is_empty()) {
                self.add_shapes(line)?;
            }
        }
        Ok(())
    }

    fn add_shapes(&mut self, value: &str) -> Result<(), TooManySecrets> {
        if value.is_empty() || self.known.contains(value) {
            return Ok(());
        }
        for shape in std::iter::once(value.to_owned()).chain(encoders::shapes(value)) {
            let shape = shape.into_boxed_str();
            if self.known.contains(&shape) {
                continue;
            }
            self.bytes += shape.len();
            if self.bytes > MAX_PATTERN_BYTES {
                return Err(TooManySecrets);
            }
            // Text is searched line by line in effect, because a match must not swallow a line
            // end; the lines of a secret are patterns of their own.
            if !shape.contains(['\r', '\n']) {
                self.fresh.push(shape.clone());
            }
            self.known.insert(shape);
        }
        Ok(())
    }

    fn build(&mut self) {
        if self.fresh.is_empty() {
            return;
        }
        let mut patterns = std::mem::take(&mut self.fresh);
        while let Some(last) = self.levels.pop_if(|last| last.patterns.len() <= 2 * patterns.len())
        {
            patterns.extend(last.patterns.iter().cloned());
        }
        // Building cannot fail within MAX_PATTERN_BYTES; were it to, nothing may be printed.
        let automaton = Kind::build(&patterns).unwrap_or_else(Kind::everything);
        let longest = patterns.iter().map(|pattern| pattern.len()).max().unwrap_or(0);
        self.levels.push(Level {
            patterns: Arc::new(patterns),
            longest,
            automaton: Arc::new(automaton),
        });
    }
}

impl Kind {
    fn build(patterns: &[Box<str>]) -> Option<Self> {
        let bytes: usize = patterns.iter().map(|pattern| pattern.len()).sum();
        let patterns = patterns.iter().map(|pattern| pattern.as_bytes());
        let noncontiguous = nfa::noncontiguous::Builder::new()
            .match_kind(MatchKind::Standard)
            .build(patterns)
            .ok()?;
        if bytes <= MAX_TABLE_BYTES {
            let built = dfa::Builder::new()
                .start_kind(aho_corasick::StartKind::Unanchored)
                .build_from_noncontiguous(&noncontiguous);
            if let Ok(table) = built {
                return Some(Self::Table(table));
            }
        }
        nfa::contiguous::Builder::new()
            .build_from_noncontiguous(&noncontiguous)
            .ok()
            .map(Self::Compact)
    }

    /// Matches every byte.
    fn everything() -> Self {
        let bytes: Vec<[u8; 1]> = (0..=255).filter(|byte| *byte != b'\n').map(|b| [b]).collect();
        #[expect(clippy::expect_used, reason = "255 patterns of one byte always build")]
        Self::Compact(nfa::contiguous::NFA::new(bytes).expect("an automaton of 255 bytes"))
    }

    fn occurs_in(&self, text: &[u8]) -> bool {
        let input = Input::new(text).earliest(true);
        let found = match self {
            Self::Table(table) => table.try_find(&input),
            Self::Compact(compact) => compact.try_find(&input),
        };
        // A search can only fail for modes that are not used; then hide rather than show.
        found.map_or(true, |found| found.is_some())
    }

    fn ranges(&self, text: &[u8], out: &mut Vec<(usize, usize)>) {
        match self {
            Self::Table(table) => ranges(table, text, out),
            Self::Compact(compact) => ranges(compact, text, out),
        }
    }
}

/// Adds, for every place where patterns end, the longest of them. Together these cover all
/// matches, and there is at most one for each byte however many patterns overlap.
fn ranges<A: Automaton>(automaton: &A, text: &[u8], out: &mut Vec<(usize, usize)>) {
    let Ok(mut state) = automaton.start_state(Anchored::No) else {
        out.push((0, text.len()));
        return;
    };
    for (index, byte) in text.iter().enumerate() {
        state = automaton.next_state(Anchored::No, state, *byte);
        if automaton.is_special(state) && automaton.is_match(state) {
            // A state lists its own pattern before those that are its suffixes.
            let longest = automaton.pattern_len(automaton.match_pattern(state, 0));
            out.push(((index + 1).saturating_sub(longest), index + 1));
        }
    }
}

/// The secrets known at one moment.
#[derive(Clone, Default)]
pub(super) struct Snapshot {
    pub(super) version: u64,
    levels: Vec<Level>,
    /// The longest pattern, in bytes.
    pub(super) longest: usize,
}

impl Snapshot {
    /// Appends `text` with the secrets hidden to `out`; leaves `out` alone and returns false if
    /// there is none.
    pub(super) fn mask(&self, text: &[u8], out: &mut Vec<u8>) -> bool {
        let mut hidden = Vec::new();
        self.hidden(text, &mut hidden);
        if hidden.is_empty() {
            return false;
        }
        let mut shown = 0;
        for (start, end) in hidden {
            out.extend_from_slice(&text[shown..start]);
            out.extend_from_slice(MASK.as_bytes());
            shown = end;
        }
        out.extend_from_slice(&text[shown..]);
        true
    }

    /// Sets `hidden` to the stretches of `text` that are secret, in order, none touching.
    pub(super) fn hidden(&self, text: &[u8], hidden: &mut Vec<(usize, usize)>) {
        hidden.clear();
        for level in &self.levels {
            if level.automaton.occurs_in(text) {
                level.automaton.ranges(text, hidden);
            }
        }
        join(hidden);
    }
}

/// Sorts stretches and makes one of those that touch.
pub(super) fn join(stretches: &mut Vec<(usize, usize)>) {
    stretches.sort_unstable();
    stretches.dedup_by(|next, kept| {
        let touches = next.0 <= kept.1;
        if touches {
            kept.1 = kept.1.max(next.1);
        }
        touches
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(secrets: &[&str], text: &str) -> String {
        let masker = Masker::new();
        for secret in secrets {
            masker.add(secret).unwrap();
        }
        assert_eq!(masker.contains_secret(text), masker.mask_text(text) != text);
        masker.mask_text(text).into_owned()
    }

    #[test]
    fn hides() {
        for (secrets, text, masked) in [
            (&["abc"][..], "xabcx", "x***x"),
            (&["abc"], "nothing", "nothing"),
            (&[""], "nothing", "nothing"),
            (&["abcd", "cdef"], "-abcdef-", "-***-"),
            (&["abc", "def"], "abcdef abc-def", "*** ***-***"),
            (&["a", "abc"], "abc", "***"),
            (&["line one\nline two\r\n}"], "line two / line one }", "*** / *** ***"),
            (&["line one\nline two"], "line one\nline two", "***\n***"),
            (&["hunter2hunter2"], "aHVudGVyMmh1bnRlcjI=", "***"),
            (&["hunter2hunter2"], "aHVudGVyMmh1bnRlcjIK", "***IK"),
            (&["hunter2hunter2"], "eGh1bnRlcjJodW50ZXIy", "eG***"),
            (&["pass word"], "https://x?p=pass%20word", "https://x?p=***"),
            (&["a\"b"], r#"{"k":"a\"b"}"#, r#"{"k":"***"}"#),
            (&["ä"], "xäx", "x***x"),
        ] {
            assert_eq!(mask(secrets, text), masked, "{secrets:?} in {text:?}");
        }
    }

    #[test]
    fn many_secrets_are_added_one_by_one() {
        let masker = Masker::new();
        for index in 0..300 {
            masker.add(&format!("secret-number-{index}")).unwrap();
            let text = format!("it is secret-number-{index}!");
            assert_eq!(masker.mask_text(&text), "it is ***!");
        }
        assert_eq!(masker.mask_text("secret-number-7"), "***");
        assert!(masker.snapshot().levels.len() < 12);
    }
}
