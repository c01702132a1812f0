//! `if`: its text becomes an expression that calls a status function.

use loopline_source::Span;

use super::convert::Converter;
use crate::github::template::{Allowed, Kind, Token};

/// What an absent or empty `if` means.
pub(super) const DEFAULT: &str = "success()";

/// Returns the token of an absent `if`.
pub(super) fn default(span: Span) -> Token {
    Token::expression(span, DEFAULT)
}

/// Reads `if`, and puts `success() && (...)` around it where it calls no status function.
pub(super) fn convert(converter: &mut Converter<'_>, token: &Token, allowed: &Allowed) -> Token {
    let text = match &token.kind {
        Kind::Expression(expression) => &*expression.text,
        Kind::String(text) => text.trim(),
        _ => return default(token.span),
    };
    if text.is_empty() {
        return default(token.span);
    }
    match allowed.check(text) {
        Ok(found) if found.calls_status_function => Token::expression(token.span, text),
        Ok(_) => Token::expression(token.span, format!("success() && ({text})")),
        Err(kind) => {
            converter.error(token.span, kind);
            default(token.span)
        }
    }
}
