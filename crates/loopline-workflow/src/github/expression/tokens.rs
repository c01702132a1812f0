//! Tokens: the smallest parts of an expression, each checked against the one before it.

use std::ops::Range;

use super::number::parse_number;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// `(` around an expression.
    StartGroup,
    /// `[`.
    StartIndex,
    /// `(` behind a function's name.
    StartParameters,
    /// `)` around an expression.
    EndGroup,
    /// `]`.
    EndIndex,
    /// `)` behind parameters.
    EndParameters,
    /// `,`.
    Separator,
    /// `.`.
    Dereference,
    /// `*`.
    Wildcard,
    /// An operator.
    Operator(Operator),
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A number.
    Number(f64),
    /// A string with its quotes.
    String,
    /// A name behind a dot.
    PropertyName,
    /// A function's name.
    Function,
    /// A context's name.
    NamedValue,
}

/// A logical operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Not,
    NotEqual,
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    And,
    Or,
}

/// One token.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) span: Range<usize>,
}

/// Reads tokens one after the other.
pub(crate) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    last: Option<Kind>,
    before_last: Option<Kind>,
    unclosed: Vec<Kind>,
    /// Whether tokens may stand anywhere.
    lenient: bool,
}

/// A token that must not stand where it stands.
pub(crate) struct Unexpected(pub(crate) Range<usize>);

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0, last: None, before_last: None, unclosed: Vec::new(), lenient: false }
    }

    /// Reads tokens wherever they stand: for finding those that cannot be read at all.
    pub(crate) fn lenient(text: &'a str) -> Self {
        Self { lenient: true, ..Self::new(text) }
    }

    /// Returns whether a bracket or parenthesis is still open.
    pub(crate) fn has_unclosed(&self) -> bool {
        !self.unclosed.is_empty()
    }

    /// Returns the next token, or nothing at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Token>, Unexpected> {
        self.at = self.skip_space(self.at);
        let start = self.at;
        let Some(&first) = self.text.as_bytes().get(start) else { return Ok(None) };
        let kind = match first {
            b'(' if self.last == Some(Kind::Function) => self.single(Kind::StartParameters),
            b'(' => self.single(Kind::StartGroup),
            b'[' => self.single(Kind::StartIndex),
            b')' if self.unclosed.last() == Some(&Kind::StartParameters) => {
                self.single(Kind::EndParameters)
            }
            b')' => self.single(Kind::EndGroup),
            b']' => self.single(Kind::EndIndex),
            b',' => self.single(Kind::Separator),
            b'*' => self.single(Kind::Wildcard),
            b'\'' => self.string(),
            b'!' | b'>' | b'<' | b'=' | b'&' | b'|' => self.operator(first),
            b'.' if !self.number_may_follow() => self.single(Kind::Dereference),
            b'.' | b'-' | b'+' | b'0'..=b'9' => self.number(),
            _ => self.keyword(),
        };
        let span = start..self.at;
        match kind {
            Some(kind) if self.lenient || (self.is_legal(kind) && self.track(kind)) => {
                self.before_last = self.last.replace(kind);
                Ok(Some(Token { kind, span }))
            }
            _ => Err(Unexpected(span)),
        }
    }

    fn single(&mut self, kind: Kind) -> Option<Kind> {
        self.at += 1;
        Some(kind)
    }

    fn skip_space(&self, from: usize) -> usize {
        let rest = &self.text[from..];
        self.text.len() - rest.trim_start().len()
    }

    /// Moves over the first character and up to the next boundary.
    fn skip_word(&mut self, over_dots: bool) {
        let rest = &self.text[self.at..];
        let length = rest
            .char_indices()
            .skip(1)
            .find(|&(_, it)| is_boundary(it) && !(over_dots && it == '.'))
            .map_or(rest.len(), |(index, _)| index);
        self.at += length;
    }

    fn number_may_follow(&self) -> bool {
        matches!(
            self.last,
            None | Some(
                Kind::Separator
                    | Kind::StartGroup
                    | Kind::StartIndex
                    | Kind::StartParameters
                    | Kind::Operator(_)
            )
        )
    }

    fn number(&mut self) -> Option<Kind> {
        let start = self.at;
        self.skip_word(true);
        let number = parse_number(&self.text[start..self.at]);
        (!number.is_nan()).then_some(Kind::Number(number))
    }

    fn keyword(&mut self) -> Option<Kind> {
        let start = self.at;
        self.skip_word(false);
        let word = &self.text[start..self.at];
        if !is_name(word) {
            return None;
        }
        if self.last == Some(Kind::Dereference) {
            return Some(Kind::PropertyName);
        }
        Some(match word {
            "null" => Kind::Null,
            "true" => Kind::Boolean(true),
            "false" => Kind::Boolean(false),
            "NaN" => Kind::Number(f64::NAN),
            "Infinity" => Kind::Number(f64::INFINITY),
            _ => {
                let next = self.skip_space(self.at);
                if self.text.as_bytes().get(next) == Some(&b'(') {
                    Kind::Function
                } else {
                    Kind::NamedValue
                }
            }
        })
    }

    fn string(&mut self) -> Option<Kind> {
        let bytes = self.text.as_bytes();
        self.at += 1;
        while let Some(length) = self.text[self.at..].find('\'') {
            self.at += length + 1;
            if bytes.get(self.at) != Some(&b'\'') {
                return Some(Kind::String);
            }
            self.at += 1;
        }
        self.at = self.text.len();
        None
    }

    fn operator(&mut self, first: u8) -> Option<Kind> {
        let second = self.text.as_bytes().get(self.at + 1).copied();
        let double = match (first, second) {
            (b'!', Some(b'=')) => Some(Operator::NotEqual),
            (b'>', Some(b'=')) => Some(Operator::GreaterOrEqual),
            (b'<', Some(b'=')) => Some(Operator::LessOrEqual),
            (b'=', Some(b'=')) => Some(Operator::Equal),
            (b'&', Some(b'&')) => Some(Operator::And),
            (b'|', Some(b'|')) => Some(Operator::Or),
            _ => None,
        };
        if let Some(operator) = double {
            self.at += 2;
            return Some(Kind::Operator(operator));
        }
        let operator = match first {
            b'!' => Operator::Not,
            b'>' => Operator::Greater,
            b'<' => Operator::Less,
            _ => {
                self.skip_word(false);
                return None;
            }
        };
        self.single(Kind::Operator(operator))
    }

    /// Returns whether a token of this kind may follow the last one.
    fn is_legal(&self, kind: Kind) -> bool {
        // `[*` is complete but for its bracket.
        if self.last == Some(Kind::Wildcard) && self.before_last == Some(Kind::StartIndex) {
            return kind == Kind::EndIndex;
        }
        let begins = self.number_may_follow();
        let closes_access = matches!(
            self.last,
            Some(
                Kind::EndGroup
                    | Kind::EndParameters
                    | Kind::EndIndex
                    | Kind::Wildcard
                    | Kind::PropertyName
                    | Kind::NamedValue
            )
        );
        let closes = closes_access
            || matches!(
                self.last,
                Some(Kind::Null | Kind::Boolean(_) | Kind::Number(_) | Kind::String)
            );
        match kind {
            Kind::StartGroup
            | Kind::Operator(Operator::Not)
            | Kind::Null
            | Kind::Boolean(_)
            | Kind::Number(_)
            | Kind::String
            | Kind::Function
            | Kind::NamedValue => begins,
            Kind::StartIndex | Kind::Dereference => closes_access,
            Kind::StartParameters => self.last == Some(Kind::Function),
            Kind::EndGroup | Kind::EndIndex | Kind::Separator | Kind::Operator(_) => closes,
            Kind::EndParameters => closes || self.last == Some(Kind::StartParameters),
            Kind::Wildcard => {
                matches!(self.last, Some(Kind::StartIndex | Kind::Dereference))
            }
            Kind::PropertyName => self.last == Some(Kind::Dereference),
        }
    }

    /// Follows what is open; returns false where a token closes or parts something else.
    fn track(&mut self, kind: Kind) -> bool {
        let opened_by = match kind {
            Kind::StartGroup | Kind::StartIndex | Kind::StartParameters => {
                self.unclosed.push(kind);
                return true;
            }
            Kind::EndGroup => Kind::StartGroup,
            Kind::EndIndex => Kind::StartIndex,
            Kind::EndParameters | Kind::Separator => Kind::StartParameters,
            _ => return true,
        };
        let inside = self.unclosed.last() == Some(&opened_by);
        if inside && kind != Kind::Separator {
            self.unclosed.pop();
        }
        inside
    }
}

fn is_boundary(character: char) -> bool {
    matches!(character, '(' | '[' | ')' | ']' | ',' | '.' | '!' | '>' | '<' | '=' | '&' | '|')
        || character.is_whitespace()
}

/// Returns whether a text can be a name without quotes.
pub(crate) fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}
