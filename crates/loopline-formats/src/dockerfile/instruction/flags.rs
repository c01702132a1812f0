//! Flags by name.

use loopline_source::Span;

use super::ProblemKind;
use crate::dockerfile::tree::{Instruction, Keyword, Word};

/// What a flag takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Boolean,
    Text,
    Texts,
}

/// The flags of one instruction.
#[derive(Default)]
pub(super) struct Flags {
    values: Vec<(&'static str, Word)>,
}

impl Flags {
    /// Reads the flags of `instruction`; the error comes with its place.
    pub(super) fn read(
        instruction: &Instruction,
        keyword: Keyword,
    ) -> Result<Self, (Span, ProblemKind)> {
        let known = known(keyword);
        let mut flags = Self::default();
        for word in &instruction.flags {
            flags.add(word, known).map_err(|kind| (word.span, kind))?;
        }
        Ok(flags)
    }

    fn add(&mut self, word: &Word, known: &[(&'static str, Takes)]) -> Result<(), ProblemKind> {
        let body = word.text.strip_prefix("--").unwrap_or(&word.text);
        let (flag, value) = match body.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (body, None),
        };
        let Some((name, takes)) = known.iter().find(|(name, _)| *name == flag).copied() else {
            let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            let nearest = loopline_diagnostic::nearest(flag, &names);
            return Err(ProblemKind::UnknownFlag { flag: flag.to_owned(), nearest });
        };
        if takes != Takes::Texts && self.text(name).is_some() {
            return Err(ProblemKind::DuplicateFlag(flag.to_owned()));
        }
        let text = match (takes, value) {
            (Takes::Boolean, None) => "true".to_owned(),
            (_, None) | (Takes::Boolean, Some("")) => {
                return Err(ProblemKind::FlagValue(flag.to_owned()));
            }
            (Takes::Boolean, Some(value)) => {
                let lower = value.to_lowercase();
                if lower != "true" && lower != "false" {
                    let (flag, value) = (flag.to_owned(), value.to_owned());
                    return Err(ProblemKind::FlagBoolean { flag, value });
                }
                lower
            }
            (_, Some(value)) => value.to_owned(),
        };
        self.values.push((name, Word { text, span: word.span }));
        Ok(())
    }

    pub(super) fn text(&self, name: &str) -> Option<&Word> {
        self.values.iter().find(|(found, _)| *found == name).map(|(_, word)| word)
    }

    pub(super) fn texts(&self, name: &str) -> Vec<Word> {
        let of_name = self.values.iter().filter(|(found, _)| *found == name);
        of_name.map(|(_, word)| word.clone()).collect()
    }

    pub(super) fn boolean(&self, name: &str) -> Option<bool> {
        self.text(name).map(|word| word.text == "true")
    }
}

const fn known(keyword: Keyword) -> &'static [(&'static str, Takes)] {
    match keyword {
        Keyword::From => &[("platform", Takes::Text)],
        Keyword::Add => &[
            ("chown", Takes::Text),
            ("chmod", Takes::Text),
            ("link", Takes::Boolean),
            ("keep-git-dir", Takes::Boolean),
            ("checksum", Takes::Text),
            ("unpack", Takes::Boolean),
            ("exclude", Takes::Texts),
        ],
        Keyword::Copy => &[
            ("from", Takes::Text),
            ("chown", Takes::Text),
            ("chmod", Takes::Text),
            ("link", Takes::Boolean),
            ("parents", Takes::Boolean),
            ("exclude", Takes::Texts),
        ],
        Keyword::Run => &[
            ("mount", Takes::Texts),
            ("network", Takes::Text),
            ("security", Takes::Text),
            ("device", Takes::Texts),
        ],
        Keyword::Healthcheck => &[
            ("interval", Takes::Text),
            ("timeout", Takes::Text),
            ("start-period", Takes::Text),
            ("start-interval", Takes::Text),
            ("retries", Takes::Text),
        ],
        _ => &[],
    }
}
