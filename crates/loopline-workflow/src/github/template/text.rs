//! Expressions inside strings: `${{ }}`, the text around it, and directives.

use std::sync::Arc;

use super::allowed::Allowed;
use super::error::ErrorKind;
use super::token::{Expression, Kind};

/// What closes an expression.
pub(crate) const CLOSE: &str = "}}";
/// What opens an expression.
pub(super) const OPEN: &str = "${{";
/// The directive that puts a mapping's pairs into another.
const INSERT: &str = "insert";
/// How a message shows that directive.
pub(super) const INSERT_TEXT: &str = "${{ insert }}";

enum Segment<'a> {
    Text(&'a str),
    Expression(&'a str),
    Insert,
}

/// Reads a string that holds [`OPEN`] as an expression, a directive or a literal.
///
/// # Errors
/// Returns the first thing wrong with it.
pub(super) fn parse(source: &str, allowed: &Allowed) -> Result<Kind, ErrorKind> {
    let segments = split(source, allowed)?;
    match segments.as_slice() {
        [Segment::Insert] => return Ok(Kind::Insert),
        [Segment::Expression(text)] => {
            // An escaped literal: `${{ 'text' }}`.
            return Ok(match string_literal(text) {
                Some(literal) => Kind::String(literal.into()),
                None => expression(*text),
            });
        }
        _ => {}
    }
    let mut format = String::from("format('");
    let mut arguments = String::new();
    let mut count = 0;
    for segment in &segments {
        match segment {
            Segment::Text(text) => {
                for character in text.chars() {
                    match character {
                        '\'' => format.push_str("''"),
                        '{' => format.push_str("{{"),
                        '}' => format.push_str("}}"),
                        other => format.push(other),
                    }
                }
            }
            Segment::Expression(text) => {
                format.push_str(&format!("{{{count}}}"));
                arguments.push_str(", ");
                arguments.push_str(text);
                count += 1;
            }
            Segment::Insert => return Err(ErrorKind::DirectiveInText(INSERT)),
        }
    }
    format.push('\'');
    format.push_str(&arguments);
    format.push(')');
    allowed.check(&format)?;
    Ok(expression(format))
}

fn expression(text: impl Into<Arc<str>>) -> Kind {
    Kind::Expression(Arc::new(Expression { text: text.into() }))
}

fn split<'a>(source: &'a str, allowed: &Allowed) -> Result<Vec<Segment<'a>>, ErrorKind> {
    let mut segments = Vec::new();
    let mut rest = source;
    while let Some(start) = rest.find(OPEN) {
        if start > 0 {
            segments.push(Segment::Text(&rest[..start]));
        }
        let inner = &rest[start + OPEN.len()..];
        let length = end(inner).ok_or(ErrorKind::ExpressionNotClosed)?;
        let segment = segment(inner[..length].trim(), allowed)?;
        rest = &inner[length + CLOSE.len()..];
        if matches!(segment, Segment::Insert)
            && (start > 0 || !segments.is_empty() || !rest.is_empty())
        {
            return Err(ErrorKind::DirectiveInText(INSERT));
        }
        segments.push(segment);
    }
    if !rest.is_empty() {
        segments.push(Segment::Text(rest));
    }
    Ok(segments)
}

/// Returns where the `}}` that closes an expression begins; strings in it may hold braces.
pub(crate) fn end(inner: &str) -> Option<usize> {
    let bytes = inner.as_bytes();
    let mut in_string = false;
    let mut previous = b'{';
    for (index, byte) in bytes.iter().enumerate() {
        match byte {
            b'\'' => in_string = !in_string,
            b'}' if !in_string && previous == b'}' => return Some(index - 1),
            _ => {}
        }
        previous = *byte;
    }
    None
}

fn segment<'a>(text: &'a str, allowed: &Allowed) -> Result<Segment<'a>, ErrorKind> {
    if text.is_empty() {
        return Err(ErrorKind::ExpressionExpected);
    }
    if let Some(rest) = text.strip_prefix(INSERT)
        && (rest.is_empty() || rest.starts_with(char::is_whitespace))
    {
        return match parameters(rest) {
            0 => Ok(Segment::Insert),
            actual => {
                Err(ErrorKind::DirectiveParameters { directive: INSERT, expected: 0, actual })
            }
        };
    }
    allowed.check(text)?;
    Ok(Segment::Expression(text))
}

/// Counts the parameters behind a directive: words, where parentheses and strings hold together.
fn parameters(rest: &str) -> usize {
    let (mut count, mut in_word, mut in_string, mut parentheses) = (0, false, false, 0_i64);
    for character in rest.chars() {
        if character.is_whitespace() && !in_string && parentheses == 0 {
            in_word = false;
            continue;
        }
        if !in_word {
            in_word = true;
            count += 1;
        }
        match character {
            '\'' => in_string = !in_string,
            '(' if !in_string => parentheses += 1,
            ')' if !in_string => parentheses -= 1,
            _ => {}
        }
    }
    count
}

/// Returns the text of an expression that is nothing but one string.
fn string_literal(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut in_string = false;
    for (index, character) in text.char_indices() {
        if character == '\'' {
            in_string = !in_string;
            if in_string && index != 0 {
                out.push('\'');
            }
        } else if in_string {
            out.push(character);
        } else {
            return None;
        }
    }
    Some(out)
}
