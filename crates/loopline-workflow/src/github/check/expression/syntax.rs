//! A parser that keeps the place of every part and says where it stopped understanding.

use std::ops::Range;

/// How deep an expression may nest.
const MAX_DEPTH: usize = 64;

/// One expression, with its place in bytes from the start of the text given to [`parse`].
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
    String(String),
    Variable(String),
    Property(Box<Expression>, String),
    Filter(Box<Expression>),
    Index(Box<Expression>, Box<Expression>),
    Call(String, Vec<Expression>),
    Not(Box<Expression>),
    Compare(&'static str, Box<Expression>, Box<Expression>),
    And(Box<Expression>, Box<Expression>),
    Or(Box<Expression>, Box<Expression>),
}

/// Why a text is no expression, and at which byte.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Error {
    pub(crate) at: usize,
    pub(crate) message: String,
    pub(crate) hint: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Number(f64),
    String(String),
    Symbol(&'static str),
    End,
}

struct Lexed {
    token: Token,
    range: Range<usize>,
}

/// Parses the expression at the start of `text` up to `}}` or, where `bare`, to the end.
///
/// Returns the expression and the number of bytes up to and with `}}`.
pub(crate) fn parse(text: &str, bare: bool) -> Result<(Expression, usize), Error> {
    let (tokens, length) = lex(text, bare)?;
    let mut parser = Parser { tokens, at: 0, depth: 0 };
    let expression = parser.or()?;
    let next = parser.peek();
    if next.token != Token::End {
        return Err(error(next.range.start, "the expression is complete before this", None));
    }
    Ok((expression, length))
}

fn error(at: usize, message: impl Into<String>, hint: Option<&'static str>) -> Error {
    Error { at, message: message.into(), hint }
}

fn lex(text: &str, bare: bool) -> Result<(Vec<Lexed>, usize), Error> {
    const SYMBOLS: [&str; 17] =
        ["==", "!=", "<=", ">=", "&&", "||", "(", ")", "[", "]", ".", "!", "<", ">", "*", ",", "}"];
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    loop {
        while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
            at += 1;
        }
        let start = at;
        let Some(byte) = bytes.get(at).copied() else {
            if bare {
                tokens.push(Lexed { token: Token::End, range: at..at });
                return Ok((tokens, at));
            }
            return Err(error(at, "the expression is not closed with `}}`", None));
        };
        if text[at..].starts_with("}}") {
            tokens.push(Lexed { token: Token::End, range: at..at + 2 });
            return Ok((tokens, at + 2));
        }
        let token = if byte.is_ascii_alphabetic() || byte == b'_' {
            at += 1;
            while bytes.get(at).is_some_and(|b| b.is_ascii_alphanumeric() || b"_-".contains(b)) {
                at += 1;
            }
            Token::Word(text[start..at].to_owned())
        } else if byte.is_ascii_digit() || byte == b'-' {
            Token::Number(number(text, &mut at)?)
        } else if byte == b'\'' {
            Token::String(string(text, &mut at)?)
        } else if let Some(symbol) = SYMBOLS.iter().find(|s| text[at..].starts_with(**s)) {
            if *symbol == "}" {
                let what = "a single `}`: an expression is closed with `}}`";
                return Err(error(at + 1, what, None));
            }
            at += symbol.len();
            Token::Symbol(symbol)
        } else if b"=&|".contains(&byte) {
            let what = format!("expected a second `{}` here", byte as char);
            let hint = "operators are `==`, `!=`, `<`, `<=`, `>`, `>=`, `&&`, `||` and `!`";
            return Err(error(at + 1, what, Some(hint)));
        } else {
            let character = text[at..].chars().next().unwrap_or_default();
            let hint = match character {
                '"' => Some("text is written in single quotes: `'like this'`"),
                '+' | '/' | '%' => Some("expressions have no arithmetic"),
                _ => None,
            };
            let what = format!("`{character}` means nothing in an expression");
            return Err(error(at, what, hint));
        };
        tokens.push(Lexed { token, range: start..at });
    }
}

fn number(text: &str, at: &mut usize) -> Result<f64, Error> {
    let bytes = text.as_bytes();
    let start = *at;
    let digits = |at: &mut usize, hexadecimal: bool| -> Result<(), Error> {
        let first = *at;
        while bytes
            .get(*at)
            .is_some_and(|b| if hexadecimal { b.is_ascii_hexdigit() } else { b.is_ascii_digit() })
        {
            *at += 1;
        }
        if first == *at { Err(error(*at, "expected a digit here", None)) } else { Ok(()) }
    };
    if bytes[*at] == b'-' {
        *at += 1;
    }
    let value = if text[*at..].starts_with("0x") {
        *at += 2;
        let first = *at;
        digits(at, true)?;
        i64::from_str_radix(&text[first..*at], 16).map_or(f64::NAN, |value| value as f64)
    } else {
        if bytes.get(*at) == Some(&b'0') {
            *at += 1;
        } else {
            digits(at, false)?;
        }
        if bytes.get(*at) == Some(&b'.') {
            *at += 1;
            digits(at, false)?;
        }
        if matches!(bytes.get(*at), Some(b'e' | b'E')) {
            *at += 1;
            if matches!(bytes.get(*at), Some(b'-' | b'+')) {
                *at += 1;
            }
            digits(at, false)?;
        }
        text[start..*at].parse().unwrap_or(f64::NAN)
    };
    if bytes.get(*at).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_') {
        return Err(error(*at, "this cannot follow a number", None));
    }
    Ok(value)
}

fn string(text: &str, at: &mut usize) -> Result<String, Error> {
    let mut value = String::new();
    *at += 1;
    loop {
        let rest = &text[*at..];
        let Some(end) = rest.find('\'') else {
            return Err(error(text.len(), "the text in quotes is not closed", None));
        };
        value.push_str(&rest[..end]);
        *at += end + 1;
        if text[*at..].starts_with('\'') {
            value.push('\'');
            *at += 1;
        } else {
            return Ok(value);
        }
    }
}

struct Parser {
    tokens: Vec<Lexed>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> &Lexed {
        // The list ends with `End`, which is never passed.
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn take(&mut self, symbol: &str) -> bool {
        let found = matches!(&self.peek().token, Token::Symbol(s) if *s == symbol);
        if found {
            self.at += 1;
        }
        found
    }

    fn expected(&self, what: &str) -> Error {
        let next = self.peek();
        let message = match &next.token {
            Token::End => format!("the expression ends where {what} is expected"),
            Token::Word(_) | Token::Number(_) | Token::String(_) | Token::Symbol(_) => {
                format!("expected {what} here")
            }
        };
        error(next.range.start, message, None)
    }

    fn end(&self) -> usize {
        self.at.checked_sub(1).and_then(|at| self.tokens.get(at)).map_or(0, |t| t.range.end)
    }

    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        if self.depth >= MAX_DEPTH {
            return Err(error(self.peek().range.start, "nested too deep", None));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn or(&mut self) -> Result<Expression, Error> {
        self.nested(|parser| {
            let mut left = parser.and()?;
            while parser.take("||") {
                let right = parser.and()?;
                let range = left.range.start..right.range.end;
                left = Expression { range, kind: Kind::Or(Box::new(left), Box::new(right)) };
            }
            Ok(left)
        })
    }

    fn and(&mut self) -> Result<Expression, Error> {
        let mut left = self.comparison()?;
        while self.take("&&") {
            let right = self.comparison()?;
            let range = left.range.start..right.range.end;
            left = Expression { range, kind: Kind::And(Box::new(left), Box::new(right)) };
        }
        Ok(left)
    }

    fn comparison(&mut self) -> Result<Expression, Error> {
        let mut left = self.unary()?;
        while let Some(operator) =
            ["==", "!=", "<=", ">=", "<", ">"].into_iter().find(|symbol| self.take(symbol))
        {
            let right = self.unary()?;
            let range = left.range.start..right.range.end;
            let kind = Kind::Compare(operator, Box::new(left), Box::new(right));
            left = Expression { range, kind };
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expression, Error> {
        let start = self.peek().range.start;
        if self.take("!") {
            let inner = self.nested(Self::unary)?;
            let range = start..inner.range.end;
            return Ok(Expression { range, kind: Kind::Not(Box::new(inner)) });
        }
        self.postfix()
    }

    fn postfix(&mut self) -> Result<Expression, Error> {
        let mut value = self.primary()?;
        loop {
            let start = value.range.start;
            let kind = if self.take(".") {
                if self.take("*") {
                    Kind::Filter(Box::new(value))
                } else if let Token::Word(name) = &self.peek().token {
                    let name = name.clone();
                    self.at += 1;
                    Kind::Property(Box::new(value), name)
                } else {
                    return Err(self.expected("the name of a property, or `*`,"));
                }
            } else if self.take("[") {
                if self.take("*") {
                    if !self.take("]") {
                        return Err(self.expected("`]`"));
                    }
                    Kind::Filter(Box::new(value))
                } else {
                    let index = self.or()?;
                    if !self.take("]") {
                        return Err(self.expected("`]`"));
                    }
                    Kind::Index(Box::new(value), Box::new(index))
                }
            } else {
                return Ok(value);
            };
            value = Expression { range: start..self.end(), kind };
        }
    }

    fn primary(&mut self) -> Result<Expression, Error> {
        let next = self.peek();
        let start = next.range.start;
        let kind = match next.token.clone() {
            Token::Number(value) => {
                self.at += 1;
                Kind::Number(value)
            }
            Token::String(value) => {
                self.at += 1;
                Kind::String(value)
            }
            Token::Word(word) => {
                self.at += 1;
                if self.take("(") {
                    Kind::Call(word, self.arguments()?)
                } else {
                    match &*word {
                        "null" => Kind::Null,
                        "true" => Kind::Boolean(true),
                        "false" => Kind::Boolean(false),
                        "NaN" => Kind::Number(f64::NAN),
                        "Infinity" => Kind::Number(f64::INFINITY),
                        _ => Kind::Variable(word),
                    }
                }
            }
            Token::Symbol("(") => {
                self.at += 1;
                let inner = self.or()?;
                if !self.take(")") {
                    return Err(self.expected("`)`"));
                }
                return Ok(inner);
            }
            Token::Symbol(_) | Token::End => return Err(self.expected("a value")),
        };
        Ok(Expression { range: start..self.end(), kind })
    }

    fn arguments(&mut self) -> Result<Vec<Expression>, Error> {
        let mut arguments = Vec::new();
        if self.take(")") {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.or()?);
            if self.take(")") {
                return Ok(arguments);
            }
            if !self.take(",") {
                return Err(self.expected("`,` or `)`"));
            }
        }
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
            (" toJson(f('x') }}", 15),
            (" github.event. }}", 15),
            (" }}", 1),
            (" 'aa }}", 7),
            (" a b }}", 3),
            (" 0x }}", 3),
            (" -a }}", 2),
            (" a = b }}", 4),
            (" 01 }}", 2),
            (" a.1 }}", 3),
            (" } }}", 2),
            (" github.event", 13),
        ] {
            assert_eq!(parse(text, false).map_err(|e| e.at).err(), Some(at), "{text}");
        }
    }

    #[test]
    fn hostile_nesting_is_refused() {
        assert!(parse(&"(".repeat(100_000), true).is_err());
        assert!(parse(&"!".repeat(100_000), true).is_err());
    }
}
