//! Here-documents: finding their markers in the joined text of an instruction.

use loopline_source::Span;

use crate::dockerfile::tree::Heredoc;
use crate::dockerfile::word::{Error, Lexer, NoVariables};

/// The longest number before `<<`, in digits; more are no descriptor.
const MAX_DESCRIPTOR_DIGITS: usize = 9;

/// Returns the here-documents that `line` announces, in order, their bodies not yet known.
pub(super) fn announced(line: &str) -> Result<Vec<Heredoc>, Error> {
    let lexer = Lexer { raw_quotes: true, raw_escapes: true, keep_unset: true, ..Lexer::new('\\') };
    // What cannot be split into words announces nothing; the shell will complain.
    let Ok(expanded) = lexer.expand(line, &NoVariables) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for word in expanded.words {
        found.extend(marker(&word)?);
    }
    Ok(found)
}

/// Returns the here-document that `word` announces, if it is a marker: `<<EOF`, `3<<-'EOF'`.
pub(crate) fn marker(word: &str) -> Result<Option<Heredoc>, Error> {
    let name_start = word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len());
    let (digits, rest) = word.split_at(name_start);
    let Some(rest) = rest.strip_prefix("<<") else { return Ok(None) };
    if rest.contains('<') || digits.len() > MAX_DESCRIPTOR_DIGITS {
        return Ok(None);
    }
    let (chomp, name) = match rest.strip_prefix('-') {
        Some(name) => (true, name),
        None => (false, rest),
    };
    if name.is_empty() {
        return Ok(None);
    }
    let lexer = Lexer { keep_unset: true, ..Lexer::new('\\') };
    let plain = lexer.expand(name, &NoVariables)?.words;
    let [plain] = plain.as_slice() else { return Ok(None) };
    let raw = Lexer { raw_quotes: true, ..lexer }.expand(name, &NoVariables)?.words;
    let [raw] = raw.as_slice() else { return Ok(None) };
    let quotes = |text: &str| text.matches(['\'', '"']).count();
    Ok(Some(Heredoc {
        name: plain.clone(),
        descriptor: digits.parse().unwrap_or(0),
        expand: quotes(plain) == quotes(raw),
        chomp,
        body: Span::default(),
    }))
}
