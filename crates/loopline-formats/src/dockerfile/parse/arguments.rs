//! The words of one instruction: flags, then what its kind takes.

use std::ops::Range;

use super::ProblemKind;
use super::json;
use crate::dockerfile::tree::{Arguments, Keyword, Logical, Pair, Word};

/// Returns whether `c` separates the words of most instructions. Other kinds of space do not.
pub(super) const fn is_blank(c: char) -> bool {
    matches!(c, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ')
}

/// Returns the flags after `start`, and where the rest lies, space around it removed.
pub(super) fn flags(logical: &Logical, start: usize) -> (Vec<Word>, Range<usize>) {
    let text = logical.text.as_str();
    let mut flags = Vec::new();
    let mut at = start;
    loop {
        at += text[at..].len() - text[at..].trim_start().len();
        if !text[at..].starts_with("--") {
            break;
        }
        let from = at;
        let (word, quoted, end) = flag(text, at);
        at = end;
        // `--` alone ends the flags.
        if word == "--" {
            break;
        }
        if quoted || !word.is_empty() {
            flags.push(Word { text: word, span: logical.span(from, end) });
        }
    }
    let rest = text[at..].trim();
    let from = at + (text[at..].len() - text[at..].trim_start().len());
    (flags, from..from + rest.len())
}

/// Reads one flag; returns it without quotes, whether it had any, and where it ends.
fn flag(text: &str, start: usize) -> (String, bool, usize) {
    let mut word = String::new();
    let mut quote = None;
    let mut quoted = false;
    let mut characters = text[start..].char_indices();
    while let Some((index, c)) = characters.next() {
        match c {
            '\\' => word.extend(characters.next().map(|(_, next)| next)),
            _ if quote == Some(c) => quote = None,
            '\'' | '"' if quote.is_none() => {
                quote = Some(c);
                quoted = true;
            }
            _ if quote.is_none() && c.is_whitespace() => return (word, quoted, start + index),
            _ => word.push(c),
        }
    }
    (word, quoted, text.len())
}

/// Reads what `kind` takes from `rest` of the joined text.
pub(super) fn read(
    kind: Option<Keyword>,
    logical: &Logical,
    rest: Range<usize>,
    escape: char,
) -> Result<Arguments, ProblemKind> {
    let Some(kind) = kind else { return Ok(text(logical, rest)) };
    match kind {
        Keyword::Add | Keyword::Copy | Keyword::Volume => {
            Ok(json_array(logical, rest.clone())?.unwrap_or_else(|| words(logical, rest)))
        }
        Keyword::Cmd | Keyword::Entrypoint | Keyword::Run | Keyword::Shell => {
            maybe_json(logical, rest)
        }
        Keyword::Arg => {
            let words = quoted_words(logical, rest, escape);
            Ok(if words.is_empty() { Arguments::None } else { Arguments::Words(words) })
        }
        Keyword::Env | Keyword::Label => pairs(kind, logical, rest, escape),
        Keyword::Expose | Keyword::From => Ok(words(logical, rest)),
        Keyword::Healthcheck => health(logical, rest),
        Keyword::Maintainer
        | Keyword::Onbuild
        | Keyword::Stopsignal
        | Keyword::User
        | Keyword::Workdir => Ok(text(logical, rest)),
    }
}

fn text(logical: &Logical, rest: Range<usize>) -> Arguments {
    if rest.is_empty() {
        return Arguments::None;
    }
    Arguments::Text(logical.word(rest.start, rest.end))
}

/// Reads words between blanks; the text has none at its ends.
fn words(logical: &Logical, rest: Range<usize>) -> Arguments {
    if rest.is_empty() {
        return Arguments::None;
    }
    let mut words = Vec::new();
    let mut start = rest.start;
    while start <= rest.end {
        let text = &logical.text[start..rest.end];
        let length = text.find(is_blank).unwrap_or(text.len());
        words.push(logical.word(start, start + length));
        let after = &text[length..];
        let blanks = after.len() - after.trim_start_matches(is_blank).len();
        if blanks == 0 {
            break;
        }
        start += length + blanks;
    }
    Arguments::Words(words)
}

fn json_array(logical: &Logical, rest: Range<usize>) -> Result<Option<Arguments>, ProblemKind> {
    match json::array(&logical.text[rest.clone()]) {
        json::Read::Not => Ok(None),
        json::Read::Others => Err(ProblemKind::JsonNotStrings),
        json::Read::Strings(strings) => {
            let word = |(text, range): (String, Range<usize>)| Word {
                text,
                span: logical.span(rest.start + range.start, rest.start + range.end),
            };
            Ok(Some(Arguments::Json(strings.into_iter().map(word).collect())))
        }
    }
}

fn maybe_json(logical: &Logical, rest: Range<usize>) -> Result<Arguments, ProblemKind> {
    Ok(json_array(logical, rest.clone())?.unwrap_or_else(|| text(logical, rest)))
}

fn health(logical: &Logical, rest: Range<usize>) -> Result<Arguments, ProblemKind> {
    let text = &logical.text[rest.clone()];
    let length = text.find(char::is_whitespace).unwrap_or(text.len());
    if length == 0 {
        return Ok(Arguments::None);
    }
    let kind = logical.word(rest.start, rest.start + length);
    let after = rest.end - text[length..].trim_start().len();
    let command = maybe_json(logical, after..rest.end)?;
    Ok(Arguments::Health(kind, Box::new(command)))
}

fn pairs(
    keyword: Keyword,
    logical: &Logical,
    rest: Range<usize>,
    escape: char,
) -> Result<Arguments, ProblemKind> {
    let words = quoted_words(logical, rest.clone(), escape);
    let Some(first) = words.first() else { return Ok(Arguments::None) };
    if !first.text.contains('=') {
        let text = &logical.text[rest.clone()];
        let length = text.find(is_blank).ok_or(ProblemKind::TwoArguments(keyword))?;
        let value = rest.end - text[length..].trim_start_matches(is_blank).len();
        return Ok(Arguments::Pairs(vec![Pair {
            key: logical.word(rest.start, rest.start + length),
            value: logical.word(value, rest.end),
            legacy: true,
        }]));
    }
    let pair = |word: Word| {
        let Some((key, value)) = word.text.split_once('=') else {
            return Err(ProblemKind::NoEquals(word.text));
        };
        // A word that goes on over a line break has no single place for its parts.
        let whole = word.span.end - word.span.start == super::length(&word.text);
        let place = |from: usize, to: usize| {
            let cut = |at| u32::try_from(at).unwrap_or(u32::MAX);
            if whole { word.span.slice(cut(from), cut(to)) } else { word.span }
        };
        Ok(Pair {
            key: Word { text: key.to_owned(), span: place(0, key.len()) },
            value: Word { text: value.to_owned(), span: place(key.len() + 1, word.text.len()) },
            legacy: false,
        })
    };
    Ok(Arguments::Pairs(words.into_iter().map(pair).collect::<Result<_, _>>()?))
}

/// Reads words between space, where quotes and escapes hold a word together and are kept.
fn quoted_words(logical: &Logical, rest: Range<usize>, escape: char) -> Vec<Word> {
    let text = &logical.text[rest.clone()];
    let mut words = Vec::new();
    let mut word = String::new();
    let mut start = None;
    let mut quote = None;
    let mut blank_counts = false;
    let mut characters = text.char_indices().peekable();
    while let Some((index, c)) = characters.next() {
        if quote.is_none() && c.is_whitespace() {
            if let Some(from) = start.take()
                && (blank_counts || !word.is_empty())
            {
                let span = logical.span(rest.start + from, rest.start + index);
                words.push(Word { text: std::mem::take(&mut word), span });
            }
            blank_counts = false;
            continue;
        }
        start.get_or_insert(index);
        if quote == Some(c) {
            quote = None;
        } else if quote.is_none() && matches!(c, '\'' | '"') {
            quote = Some(c);
            blank_counts = true;
        } else if c == escape && quote != Some('\'') {
            // An escape at the end is dropped; any other keeps its character from meaning more.
            if let Some((_, next)) = characters.next() {
                word.extend([c, next]);
            }
            continue;
        }
        word.push(c);
    }
    if let Some(from) = start
        && (blank_counts || !word.is_empty())
    {
        words.push(Word { text: word, span: logical.span(rest.start + from, rest.end) });
    }
    words
}
