//! Expressions as the checks want them, and where understanding stopped.
//!
//! The grammar is that of `github::expression`; what is added here is the tree without its
//! parentheses, and the very character an error is about.

use std::ops::Range;
use std::sync::Arc;

use crate::github::expression::tokens::{Kind as TokenKind, Lexer, Token};
use crate::github::expression::{
    self, Comparison, Connective, Expr, NodeId, NodeKind, ParseErrorKind, ParseOptions, Value,
};
use crate::github::template::text;

/// One expression, with its place in bytes from the start of what is given to [`parse`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Expression {
    pub(crate) range: Range<usize>,
    pub(crate) kind: Kind,
}

/// What an expression is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Null,
    Boolean(bool),
    Number(f64),
    String(Arc<str>),
    Variable(Arc<str>),
    Property(Box<Expression>, Arc<str>),
    Filter(Box<Expression>),
    Index(Box<Expression>, Box<Expression>),
    Call(Arc<str>, Vec<Expression>),
    Not(Box<Expression>),
    Compare(Comparison, Box<Expression>, Box<Expression>),
    /// Two or more joined by `&&`.
    And(Vec<Expression>),
    /// Two or more joined by `||`.
    Or(Vec<Expression>),
}

/// Why a text is no expression, and at which byte.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Error {
    pub(crate) at: usize,
    pub(crate) message: String,
    pub(crate) hint: Option<&'static str>,
}

/// Parses the expression at the start of `source` up to `}}` or, where `bare`, to the end.
///
/// Returns the expression and the number of bytes up to and with `}}`.
pub(crate) fn parse(source: &str, bare: bool) -> Result<(Expression, usize), Error> {
    let close = if bare { None } else { text::end(source) };
    let inner = &source[..close.unwrap_or(source.len())];
    let tokens = lex(inner)?;
    if !bare && close.is_none() {
        return Err(error(source.len(), "the expression is not closed with `}}`", None));
    }
    let tree = expression::parse(inner, &ParseOptions::structure_only())
        .map_err(|found| stopped(inner, &tokens, found.kind, found.offset))?;
    if tree.is_empty() {
        return Err(stopped(inner, &tokens, ParseErrorKind::UnexpectedEndOfExpression, 0));
    }
    let length = close.map_or(source.len(), |close| close + text::CLOSE.len());
    Ok((view(&tree, tree.root()), length))
}

fn error(at: usize, message: impl Into<String>, hint: Option<&'static str>) -> Error {
    Error { at, message: message.into(), hint }
}

/// Takes a node with all below it out of its tree; the parser bounds how deep that goes.
fn view(tree: &Expr, id: NodeId) -> Expression {
    let node = tree.node(id);
    let view = |id: &NodeId| view(tree, *id);
    // A part without its parentheses decides where the whole begins.
    let from = |first: &Expression| first.range.start..node.span.end;
    let several = |operands: &[NodeId]| operands.iter().map(view).collect::<Vec<_>>();
    let (range, kind) = match &node.kind {
        NodeKind::Group(inner) => return view(inner),
        NodeKind::Literal(value) => {
            let kind = match value {
                Value::Bool(value) => Kind::Boolean(*value),
                Value::Number(value) => Kind::Number(*value),
                Value::String(value) => Kind::String(Arc::clone(value)),
                // There are no others that are written out.
                Value::Null | Value::Array(_) | Value::Object(_) => Kind::Null,
            };
            (node.span.clone(), kind)
        }
        NodeKind::Context(name) => (node.span.clone(), Kind::Variable(Arc::clone(name))),
        NodeKind::Property { target, name, .. } => {
            let target = view(target);
            (from(&target), Kind::Property(Box::new(target), Arc::clone(name)))
        }
        NodeKind::Wildcard { target } => {
            let target = view(target);
            (from(&target), Kind::Filter(Box::new(target)))
        }
        NodeKind::Index { target, index } => {
            let target = view(target);
            (from(&target), Kind::Index(Box::new(target), Box::new(view(index))))
        }
        NodeKind::Call { name, arguments, .. } => {
            (node.span.clone(), Kind::Call(Arc::clone(name), several(arguments)))
        }
        NodeKind::Not(operand) => (node.span.clone(), Kind::Not(Box::new(view(operand)))),
        NodeKind::Compare { operator, left, right } => {
            let left = view(left);
            (from(&left), Kind::Compare(*operator, Box::new(left), Box::new(view(right))))
        }
        NodeKind::Logical { connective, operands } => {
            let operands = several(operands);
            let range = operands.first().map_or_else(|| node.span.clone(), from);
            let kind = match connective {
                Connective::And => Kind::And(operands),
                Connective::Or => Kind::Or(operands),
            };
            (range, kind)
        }
    };
    Expression { range, kind }
}

/// Reads all tokens wherever they stand, so that an unreadable one is told before a misplaced one.
fn lex(text: &str) -> Result<Vec<Token>, Error> {
    let mut lexer = Lexer::lenient(text);
    let mut tokens = Vec::new();
    while let Some(token) = lexer.next().map_err(|found| unreadable(text, found.0))? {
        if matches!(token.kind, TokenKind::Number(number) if number.is_finite()) {
            number(text, token.span.clone())?;
        }
        tokens.push(token);
    }
    Ok(tokens)
}

/// Returns what is wrong with a token, from the first character that does not belong.
fn unreadable(text: &str, span: Range<usize>) -> Error {
    let word = &text[span.clone()];
    let first = word.as_bytes().first().copied().unwrap_or_default();
    if first == b'\'' {
        return error(text.len(), "the text in quotes is not closed", None);
    }
    let mut at = span.start;
    if first.is_ascii_digit() || first == b'-' {
        at = match number(text, span.clone()) {
            Ok(end) if end < span.end => end,
            Ok(_) => return error(span.start, "this number is out of range", None),
            Err(error) => return error,
        };
    } else if first.is_ascii_alphabetic() || first == b'_' {
        let bad = word.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-');
        at += bad.unwrap_or(0);
    }
    let character = text[at..].chars().next().unwrap_or_default();
    let hint = match character {
        '=' | '&' | '|' => {
            let hint = "operators are `==`, `!=`, `<`, `<=`, `>`, `>=`, `&&`, `||` and `!`";
            return error(at + 1, format!("expected a second `{character}` here"), Some(hint));
        }
        '}' => {
            return error(at + 1, "a single `}`: an expression is closed with `}}`", None);
        }
        '"' => Some("text is written in single quotes: `'like this'`"),
        '+' | '/' | '%' => Some("expressions have no arithmetic"),
        _ => None,
    };
    error(at, format!("`{character}` means nothing in an expression"), hint)
}

/// Reads a number as far as it goes, and returns where it ends. It must not be one that reads
/// differently elsewhere: with zeros in front, or with letters behind.
fn number(text: &str, span: Range<usize>) -> Result<usize, Error> {
    let bytes = text.as_bytes();
    let digits = |from: usize, is_digit: fn(&u8) -> bool| {
        let length = bytes[from..].iter().take_while(|byte| is_digit(byte)).count();
        if length == 0 {
            Err(error(from, "expected a digit here", None))
        } else {
            Ok(from + length)
        }
    };
    let mut at = span.start;
    if matches!(bytes.get(at), Some(b'-' | b'+')) {
        at += 1;
    }
    if text[at..].starts_with("0x") {
        at = digits(at + 2, u8::is_ascii_hexdigit)?;
    } else if text[at..].starts_with("0o") {
        at = digits(at + 2, |byte| matches!(byte, b'0'..=b'7'))?;
    } else {
        if bytes.get(at) == Some(&b'0') {
            at += 1;
        } else if bytes.get(at) != Some(&b'.') {
            at = digits(at, u8::is_ascii_digit)?;
        }
        if bytes.get(at) == Some(&b'.') {
            at = digits(at + 1, u8::is_ascii_digit)?;
        }
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            at += 1;
            if matches!(bytes.get(at), Some(b'-' | b'+')) {
                at += 1;
            }
            at = digits(at, u8::is_ascii_digit)?;
        }
    }
    if bytes.get(at).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_') {
        return Err(error(at, "this cannot follow a number", None));
    }
    Ok(at)
}

/// Says what was expected where the parser stopped.
fn stopped(text: &str, tokens: &[Token], kind: ParseErrorKind, offset: usize) -> Error {
    let at_end = match kind {
        ParseErrorKind::ExceededMaxDepth => return error(offset, "nested too deep", None),
        ParseErrorKind::ExceededMaxLength => return error(offset, "too long", None),
        ParseErrorKind::UnexpectedEndOfExpression => true,
        // The others are not told where names and counts of parameters are left alone.
        _ => false,
    };
    let before = tokens.iter().take_while(|token| at_end || token.span.start < offset);
    let mut open = Vec::new();
    let mut last = None;
    for token in before {
        match token.kind {
            TokenKind::StartGroup | TokenKind::StartIndex | TokenKind::StartParameters => {
                open.push(token.kind);
            }
            TokenKind::EndGroup | TokenKind::EndIndex | TokenKind::EndParameters => {
                open.pop();
            }
            _ => {}
        }
        last = Some(token.kind);
    }
    let what = match (last, open.last()) {
        (Some(TokenKind::Dereference), _) => "the name of a property, or `*`,",
        (
            None
            | Some(
                TokenKind::StartGroup
                | TokenKind::StartIndex
                | TokenKind::StartParameters
                | TokenKind::Separator
                | TokenKind::Operator(_),
            ),
            _,
        ) => "a value",
        (_, Some(TokenKind::StartGroup)) => "`)`",
        (_, Some(TokenKind::StartIndex)) => "`]`",
        (_, Some(_)) => "`,` or `)`",
        (_, None) => return error(offset, "the expression is complete before this", None),
    };
    if at_end {
        error(text.len(), format!("the expression ends where {what} is expected"), None)
    } else {
        error(offset, format!("expected {what} here"), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_stand_where_understanding_stopped() {
        for (text, at) in [
            (" \"a\" }}", 1),
            (" 1 + 1 }}", 3),
            (" 1+1 }}", 2),
            (" toJSON(f('x') }}", 15),
            (" github.event. }}", 15),
            (" }}", 1),
            (" 'aa }}", 7),
            (" a b }}", 3),
            (" a$b }}", 2),
            (" a%b }}", 2),
            (" 0x }}", 3),
            (" 0o8 }}", 3),
            (" -a }}", 2),
            (" a = b }}", 4),
            (" 01 }}", 2),
            (" 1a }}", 2),
            (" a.1 }}", 3),
            (" } }}", 2),
            (" a) }}", 2),
            (" f(a, }}", 6),
            (" a[1 }}", 5),
            (" github.event", 13),
        ] {
            assert_eq!(parse(text, false).map_err(|e| e.at).err(), Some(at), "{text}");
        }
    }

    #[test]
    fn errors_say_what_was_expected() {
        for (text, message) in [
            ("a. }}", "the expression ends where the name of a property, or `*`, is expected"),
            ("(a ]}}", "expected `)` here"),
            ("a[1)}}", "expected `]` here"),
            ("f(1 }}", "the expression ends where `,` or `)` is expected"),
            ("a == }}", "the expression ends where a value is expected"),
            ("a == ) }}", "expected a value here"),
            ("a b }}", "the expression is complete before this"),
            ("a == b", "the expression is not closed with `}}`"),
        ] {
            assert_eq!(parse(text, false).map_err(|e| e.message).err().as_deref(), Some(message));
        }
    }

    #[test]
    fn what_github_reads_is_read() {
        for text in ["+1", ".5", "-.5", "1E+1", "0o17", "0xFF", "contains(1)", "f()", "a['}}']"] {
            let closed = format!("{text} }}}}");
            assert_eq!(parse(&closed, false).map(|found| found.1), Ok(closed.len()), "{text}");
        }
    }

    #[test]
    fn operators_bind_as_they_do_at_run_time() {
        let Ok((found, _)) = parse("a == (b) < c || d && e && f", true) else { unreachable!() };
        let Kind::Or(operands) = found.kind else { unreachable!() };
        assert!(matches!(&operands[0].kind, Kind::Compare(Comparison::Equal, _, right)
            if matches!(right.kind, Kind::Compare(Comparison::Less, ..)) && right.range == (6..12)));
        assert!(matches!(&operands[1].kind, Kind::And(operands) if operands.len() == 3));
    }

    #[test]
    fn hostile_nesting_is_refused() {
        assert!(parse(&"(".repeat(100_000), true).is_err());
        assert!(parse(&"!".repeat(100_000), true).is_err());
    }
}
