//! Parser directives: the comments before everything else that say how to read the file.

use super::{ProblemKind, word_at};
use crate::dockerfile::tree::{Directive, DirectiveKind};

/// Reads directives line by line until a line is none.
#[derive(Default)]
pub(super) struct Reader {
    done: bool,
    seen: Vec<DirectiveKind>,
}

impl Reader {
    /// Returns the directive in `text`, which stands at `start` on `line`.
    pub(super) fn read(
        &mut self,
        text: &str,
        start: usize,
        line: u32,
    ) -> Result<Option<Directive>, ProblemKind> {
        if self.done {
            return Ok(None);
        }
        let Some((kind, value_start, value)) = split(text) else {
            self.done = true;
            return Ok(None);
        };
        if self.seen.contains(&kind) {
            self.done = true;
            return Err(ProblemKind::DirectiveTwice(name(kind)));
        }
        self.seen.push(kind);
        if kind == DirectiveKind::Escape && !matches!(value, "\\" | "`") {
            self.done = true;
            return Err(ProblemKind::InvalidEscape(value.to_owned()));
        }
        Ok(Some(Directive { kind, value: word_at(start + value_start, value), line }))
    }
}

const fn name(kind: DirectiveKind) -> &'static str {
    match kind {
        DirectiveKind::Syntax => "syntax",
        DirectiveKind::Escape => "escape",
        DirectiveKind::Check => "check",
    }
}

/// Returns the directive that `text` sets, and where in it the value starts.
fn split(text: &str) -> Option<(DirectiveKind, usize, &str)> {
    let body = text.strip_prefix('#')?.trim_start();
    let (key, value) = body.split_once('=')?;
    let kind = match key.trim_end().to_ascii_lowercase().as_str() {
        "syntax" => DirectiveKind::Syntax,
        "escape" => DirectiveKind::Escape,
        "check" => DirectiveKind::Check,
        _ => return None,
    };
    let value = value.trim_start();
    let start = text.len() - value.len();
    let value = value.trim_end();
    (!value.is_empty()).then_some((kind, start, value))
}
