//! What can be wrong with an expression, in GitHub's own words.

use std::fmt;
use std::sync::Arc;

use super::parse::{MAX_DEPTH, MAX_LENGTH};
use super::value::Kind;

/// What a parser finds wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseErrorKind {
    /// The tree is deeper than [`MAX_DEPTH`].
    ExceededMaxDepth,
    /// The text is longer than [`MAX_LENGTH`].
    ExceededMaxLength,
    /// A function has too few parameters.
    TooFewParameters,
    /// A function has too many parameters.
    TooManyParameters,
    /// `case` has an even number of parameters.
    EvenParameters,
    /// The text ends where something had to follow.
    UnexpectedEndOfExpression,
    /// Something stands where it must not.
    UnexpectedSymbol,
    /// No such function.
    UnrecognizedFunction,
    /// No such context.
    UnrecognizedNamedValue,
}

impl ParseErrorKind {
    fn description(self) -> &'static str {
        match self {
            Self::ExceededMaxDepth => "Exceeded max expression depth",
            Self::ExceededMaxLength => "Exceeded max expression length",
            Self::TooFewParameters => "Too few parameters supplied",
            Self::TooManyParameters => "Too many parameters supplied",
            Self::EvenParameters => {
                "Even number of parameters supplied, requires an odd number of parameters"
            }
            Self::UnexpectedEndOfExpression => "Unexpected end of expression",
            Self::UnexpectedSymbol => "Unexpected symbol",
            Self::UnrecognizedFunction => "Unrecognized function",
            Self::UnrecognizedNamedValue => "Unrecognized named-value",
        }
    }
}

/// Why a text is not an expression; its `Display` is the message GitHub shows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ParseError {
    /// What is wrong.
    pub kind: ParseErrorKind,
    /// The token it is about, as written; empty where the error is about the whole text.
    pub token: Arc<str>,
    /// Where that token begins, in bytes.
    pub offset: usize,
    /// The whole text.
    pub expression: Arc<str>,
    /// The function whose parameters are wrong, and where its name begins, in bytes.
    pub function: Option<(Arc<str>, usize)>,
}

impl ParseError {
    /// Returns the position GitHub shows: UTF-16 units, from one.
    pub fn position(&self) -> usize {
        self.utf16_position(self.offset)
    }

    /// Returns the message of GitHub's language service, which names a function where the runner
    /// names its parenthesis, and shows strings without quotes. The published test cases are
    /// written for both.
    pub fn language_service_text(&self) -> String {
        let (token, offset) = match &self.function {
            Some((name, offset)) => (name.to_string(), *offset),
            None => {
                let quoted = self.token.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
                (
                    quoted.map_or_else(|| self.token.to_string(), |it| it.replace("''", "'")),
                    self.offset,
                )
            }
        };
        let description = self.kind.description();
        let position = self.utf16_position(offset);
        let expression = &self.expression;
        format!(
            "{description}: '{token}'. Located at position {position} within expression: {expression}"
        )
    }

    fn utf16_position(&self, offset: usize) -> usize {
        let before = self.expression.get(..offset).unwrap_or(&self.expression);
        before.chars().map(char::len_utf16).sum::<usize>() + 1
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let description = self.kind.description();
        match self.kind {
            ParseErrorKind::ExceededMaxDepth => write!(f, "{description} {MAX_DEPTH}"),
            ParseErrorKind::ExceededMaxLength => write!(f, "{description} {MAX_LENGTH}"),
            _ => write!(
                f,
                "{description}: '{}'. Located at position {} within expression: {}",
                self.token,
                self.position(),
                self.expression
            ),
        }
    }
}

/// Why an expression has no value.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EvalError {
    /// Evaluation needed more memory than allowed.
    #[error(
        "The maximum allowed memory size was exceeded while evaluating the following expression: {expression}"
    )]
    ExceededMemory {
        /// The expression.
        expression: Arc<str>,
    },
    /// A format string is malformed.
    #[error("The following format string is invalid: {format}")]
    InvalidFormat {
        /// The format string.
        format: Arc<str>,
    },
    /// A format string names an argument that is not there.
    #[error("The following format string references more arguments than were supplied: {format}")]
    FormatArgumentMissing {
        /// The format string.
        format: Arc<str>,
    },
    /// A format string has specifiers, which no value has.
    #[error("The format specifiers '{specifiers}' are not valid for objects of type '{kind}'")]
    InvalidFormatSpecifiers {
        /// The specifiers.
        specifiers: Arc<str>,
        /// The kind of the argument.
        kind: Kind,
    },
    /// A predicate of `case` is not a boolean.
    #[error("case predicate must evaluate to a boolean value")]
    CaseNotBoolean,
    /// `fromJSON` was given something else.
    #[error("Error parsing fromJson: {0}")]
    Json(#[from] super::json::JsonError),
    /// The surroundings do not provide a function.
    #[error("The function '{name}' is not available here")]
    FunctionUnavailable {
        /// The function's name.
        name: Arc<str>,
    },
    /// A function of the surroundings failed.
    #[error("{0}")]
    Function(Arc<dyn std::error::Error + Send + Sync>),
}

impl EvalError {
    /// Wraps the failure of a function that a scope provides.
    pub fn function(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Function(Arc::new(error))
    }
}
