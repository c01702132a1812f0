//! Rules, diagnostics and their rendering as text, JSON and SARIF.
//!
//! A finding always belongs to a [`Rule`]; a rule has a stable code and a page of its own that
//! `loopline explain CODE` shows. What is found is the engines' business.

use loopline_source::{SourceFile, Span};

mod nearest;
pub mod render;
mod rules;

pub mod rule_set {
    //! The rules by name.
    pub use crate::rules::*;
}
pub use nearest::nearest;
pub use rules::{RULES, Rule, find_rule};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing; the file works.
    Note,
    /// Works, but probably not as meant.
    Warning,
    /// Does not work.
    Error,
}

/// A place in a file, with a few words on it.
#[derive(Clone, Debug)]
pub struct Label {
    /// The file.
    pub file: SourceFile,
    /// Where in it.
    pub span: Span,
    /// What to say there; may be empty.
    pub text: String,
}

/// A replacement that would settle a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// What is replaced, in the finding's own file.
    pub span: Span,
    /// What it is replaced with.
    pub replacement: String,
}

/// One finding.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// The rule it belongs to.
    pub rule: &'static Rule,
    /// How much it matters here.
    pub severity: Severity,
    /// What is wrong: one sentence, lowercase, without a full stop.
    pub message: String,
    /// Where it is wrong.
    pub primary: Label,
    /// Other places that explain it.
    pub secondary: Vec<Label>,
    /// What to do about it, one a line.
    pub hints: Vec<String>,
    /// The change that would settle it, where one is certain.
    pub fix: Option<Fix>,
}

impl Diagnostic {
    /// Returns a finding of `rule`, with the rule's own severity and nothing but a message.
    pub fn new(
        rule: &'static Rule,
        file: &SourceFile,
        span: Span,
        message: impl Into<String>,
    ) -> Self {
        Self {
            rule,
            severity: rule.severity,
            message: message.into(),
            primary: Label { file: file.clone(), span, text: String::new() },
            secondary: Vec::new(),
            hints: Vec::new(),
            fix: None,
        }
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds another place.
    #[must_use]
    pub fn also(mut self, file: &SourceFile, span: Span, text: impl Into<String>) -> Self {
        self.secondary.push(Label { file: file.clone(), span, text: text.into() });
        self
    }
}
