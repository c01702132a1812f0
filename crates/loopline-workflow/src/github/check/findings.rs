//! Where findings are gathered: one place that sorts and removes duplicates.

use std::collections::HashSet;

pub(crate) use loopline_diagnostic::nearest;
use loopline_diagnostic::{Diagnostic, Fix, Rule};
use loopline_source::{SourceFile, Span};

/// The largest number of findings kept for one file; what comes after is more of the same.
pub(crate) const MAX_FINDINGS: usize = 10_000;

/// The findings in one file.
pub(crate) struct Findings<'a> {
    pub(crate) file: &'a SourceFile,
    list: Vec<Diagnostic>,
    seen: HashSet<(u32, String)>,
}

impl<'a> Findings<'a> {
    pub(crate) fn new(file: &'a SourceFile) -> Self {
        Self { file, list: Vec::new(), seen: HashSet::new() }
    }

    /// Adds a finding, unless the same was said of the same place (an aliased node is read as
    /// often as it is used). Returns it for hints.
    pub(crate) fn add(
        &mut self,
        rule: &'static Rule,
        span: Span,
        message: impl Into<String>,
    ) -> Option<&mut Diagnostic> {
        let message = message.into();
        if self.list.len() >= MAX_FINDINGS || !self.seen.insert((span.start, message.clone())) {
            return None;
        }
        self.list.push(Diagnostic::new(rule, self.file, span, message));
        self.list.last_mut()
    }

    /// Adds a finding that may be about another file.
    pub(crate) fn push(&mut self, finding: Diagnostic) {
        if self.list.len() < MAX_FINDINGS {
            self.list.push(finding);
        }
    }

    /// Adds a finding with one hint.
    pub(crate) fn add_hint(
        &mut self,
        rule: &'static Rule,
        span: Span,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        if let Some(found) = self.add(rule, span, message) {
            found.hints.push(hint.into());
        }
    }

    /// Adds a finding about a word that should be one of `known`, with the nearest as a hint.
    pub(crate) fn add_unknown<'k>(
        &mut self,
        rule: &'static Rule,
        span: Span,
        message: impl Into<String>,
        word: &str,
        known: impl IntoIterator<Item = &'k str>,
    ) {
        let known: Vec<&str> = known.into_iter().collect();
        let near = nearest(word, &known).map(str::to_owned);
        let file = self.file;
        let Some(found) = self.add(rule, span, message) else { return };
        if let Some(near) = near {
            found.hints.push(format!("did you mean `{near}`?"));
            // A digit changed is another version, not a slip of the finger.
            if digits(word).eq(digits(&near)) {
                found.fix =
                    written(file, span, word).map(|span| Fix { span, replacement: near.clone() });
            }
        }
        if known.is_empty() || known.len() > MAX_LISTED {
            return;
        }
        found.primary.text = format!("expected one of {}", listed(&known));
    }

    /// Adds a hint to the last finding, if it is this one.
    pub(crate) fn hint_last(&mut self, rule: &'static Rule, span: Span, hint: String) {
        if let Some(last) = self.list.last_mut()
            && last.rule.code == rule.code
            && last.primary.span == span
        {
            last.hints.push(hint);
        }
    }

    /// Returns the findings in the order of the file.
    pub(crate) fn finish(mut self) -> Vec<Diagnostic> {
        self.list.sort_by(|a, b| {
            (a.primary.span.start, a.rule.code, &a.message).cmp(&(
                b.primary.span.start,
                b.rule.code,
                &b.message,
            ))
        });
        self.list
    }
}

/// Returns where in `span` the unknown `word` is written: a path ends with it, a call starts with
/// it.
fn written(file: &SourceFile, span: Span, word: &str) -> Option<Span> {
    let text = file.slice(span).trim_end_matches(['\'', '"']);
    let same = |part: Option<&str>| part.is_some_and(|part| part.eq_ignore_ascii_case(word));
    let at = if word.is_empty() {
        None
    } else if same(text.len().checked_sub(word.len()).and_then(|at| text.get(at..))) {
        let at = text.len() - word.len();
        let before = text[..at].chars().next_back();
        let inside = before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '-');
        (!inside).then_some(at)
    } else {
        (same(text.get(..word.len())) && text[word.len()..].starts_with('(')).then_some(0)
    }?;
    let start = span.start + u32::try_from(at).ok()?;
    Some(Span::new(start, start + u32::try_from(word.len()).ok()?))
}

fn digits(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars().filter(char::is_ascii_digit)
}

/// The longest list of choices shown in full.
const MAX_LISTED: usize = 24;

/// Returns `words` in backquotes, separated by commas.
pub(crate) fn listed<W: AsRef<str>>(words: &[W]) -> String {
    words.iter().map(|word| format!("`{}`", word.as_ref())).collect::<Vec<_>>().join(", ")
}
