//! Strings with `${{ }}` in them: taken apart, turned into one expression, evaluated.

use std::ops::Range;

use super::error::{EvalError, ParseError};
use super::evaluate::{Scope, evaluate};
use super::parse::{ParseOptions, parse};
use super::tree::Expr;
use super::value::Value;

const OPEN: &str = "${{";
/// What closes an expression.
pub(crate) const CLOSE: &str = "}}";

/// A part of a string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Text that stands for itself.
    Text {
        /// Where it stands, in bytes.
        span: Range<usize>,
    },
    /// `${{ }}`.
    Expression {
        /// Where it stands with its braces, in bytes.
        span: Range<usize>,
        /// Where the expression itself stands, without white space around it, in bytes.
        expression: Range<usize>,
    },
}

/// What can be wrong with such a string, in GitHub's own words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A `${{` without its `}}`.
    #[error(
        "The expression is not closed. An unescaped ${{{{ sequence was found, but the closing }}}} sequence was not found."
    )]
    NotClosed {
        /// Where it begins, in bytes.
        offset: usize,
    },
    /// Nothing inside `${{ }}`.
    #[error("An expression was expected")]
    Empty {
        /// Where it begins, in bytes.
        offset: usize,
    },
    /// What is inside is no expression.
    #[error("{error}")]
    Parse {
        /// Where the expression begins in the string, in bytes.
        offset: usize,
        /// What is wrong with it.
        error: ParseError,
    },
}

/// Takes a string apart without parsing what is inside `${{ }}`.
///
/// # Errors
/// Returns the first that is not closed, or is empty.
pub fn split(text: &str) -> Result<Vec<Segment>, TemplateError> {
    let mut segments = Vec::new();
    let mut at = 0;
    while let Some(found) = text[at..].find(OPEN) {
        let start = at + found;
        if found > 0 {
            segments.push(Segment::Text { span: at..start });
        }
        let inside = start + OPEN.len();
        let close = close(&text[inside..]).ok_or(TemplateError::NotClosed { offset: start })?;
        let inner = &text[inside..inside + close];
        let trimmed = inner.trim();
        if trimmed.is_empty() {
            return Err(TemplateError::Empty { offset: start });
        }
        let from = inside + (inner.len() - inner.trim_start().len());
        at = inside + close + CLOSE.len();
        segments
            .push(Segment::Expression { span: start..at, expression: from..from + trimmed.len() });
    }
    if at < text.len() {
        segments.push(Segment::Text { span: at..text.len() });
    }
    Ok(segments)
}

/// Returns where the closing braces begin; those inside of quotes do not count.
pub(crate) fn close(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut quoted = false;
    (0..bytes.len()).find(|&index| {
        quoted ^= bytes[index] == b'\'';
        !quoted && bytes[index..].starts_with(CLOSE.as_bytes())
    })
}

/// Turns a string into the text of one expression, as GitHub's reader does: alone, an expression
/// stands for itself; with text around it, it becomes a parameter of `format`. Returns `None` for
/// a string without `${{`.
///
/// # Errors
/// Returns the first expression that is not closed, or is empty.
pub fn to_expression(text: &str) -> Result<Option<String>, TemplateError> {
    let segments = split(text)?;
    if let [Segment::Expression { expression, .. }] = segments.as_slice() {
        return Ok(Some(text[expression.clone()].to_owned()));
    }
    let mut format = String::new();
    let mut arguments = String::new();
    let mut count = 0;
    for segment in segments {
        match segment {
            Segment::Text { span } => {
                for character in text[span].chars() {
                    format.push(character);
                    if matches!(character, '\'' | '{' | '}') {
                        format.push(character);
                    }
                }
            }
            Segment::Expression { expression, .. } => {
                format.push_str(&format!("{{{count}}}"));
                arguments.push_str(", ");
                arguments.push_str(&text[expression]);
                count += 1;
            }
        }
    }
    Ok((count > 0).then(|| format!("format('{format}'{arguments})")))
}

/// A string whose expressions are parsed.
#[derive(Clone, Debug)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Expression(Expr),
}

impl Template {
    /// Parses a string and the expressions in it.
    ///
    /// # Errors
    /// Returns the first thing wrong with it.
    pub fn parse(text: &str, options: &ParseOptions) -> Result<Self, TemplateError> {
        let part = |segment| match segment {
            Segment::Text { span } => Ok(Part::Text(text[span].to_owned())),
            Segment::Expression { expression, .. } => {
                let offset = expression.start;
                parse(&text[expression], options)
                    .map(Part::Expression)
                    .map_err(|error| TemplateError::Parse { offset, error })
            }
        };
        let parts = split(text)?.into_iter().map(part).collect::<Result<_, _>>()?;
        Ok(Self { parts })
    }

    /// Returns the string's value: that of its one expression, or the text of all its parts.
    ///
    /// # Errors
    /// Returns why an expression has no value.
    pub fn value(&self, scope: &dyn Scope) -> Result<Value, EvalError> {
        match self.parts.as_slice() {
            [Part::Expression(expression)] => evaluate(expression, scope),
            _ => self.text(scope).map(Value::from),
        }
    }

    /// Returns the text of all parts.
    ///
    /// # Errors
    /// Returns why an expression has no value.
    pub fn text(&self, scope: &dyn Scope) -> Result<String, EvalError> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Expression(expression) => {
                    text.push_str(&evaluate(expression, scope)?.to_text());
                }
            }
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_become_one_expression() {
        for (text, expression) in [
            ("plain }} text", None),
            ("${{ a }}", Some("a")),
            ("${{a.b}}", Some("a.b")),
            ("x ${{ a }}", Some("format('x {0}', a)")),
            ("it's {0} ${{ a }}${{ 'b}}' }}.", Some("format('it''s {{0}} {0}{1}.', a, 'b}}')")),
            ("${{ 'it''s }}' }}", Some("'it''s }}'")),
        ] {
            assert_eq!(to_expression(text).unwrap().as_deref(), expression, "{text}");
        }
    }

    #[test]
    fn what_is_not_closed_or_empty_is_an_error() {
        let text = |source| to_expression(source).unwrap_err().to_string();
        let not_closed = "The expression is not closed. An unescaped ${{ sequence was found, but the closing }} sequence was not found.";
        assert_eq!(text("a ${{ b"), not_closed);
        assert_eq!(text("${{ 'b }}"), not_closed);
        assert_eq!(text("${{ }}"), "An expression was expected");
        assert_eq!(split("ab${{ }}").unwrap_err(), TemplateError::Empty { offset: 2 });
    }
}
