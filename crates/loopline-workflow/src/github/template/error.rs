//! What a reader finds wrong, in GitHub's own words.

use std::fmt;

use loopline_source::{SourceFile, Span, yaml};

/// How many errors a reader reports for one run.
pub const MAX_ERRORS: usize = 10;
/// How long a message may be, in UTF-16 units, before it is cut.
pub const MAX_MESSAGE_LENGTH: usize = 500;

/// One error with its place.
#[derive(Clone, Debug)]
pub struct Error {
    /// The file it is in.
    pub file: SourceFile,
    /// Where, if it has a place; an error without one concerns the whole file.
    pub span: Option<Span>,
    /// What.
    pub kind: ErrorKind,
    /// The calls that led to the file, innermost first, where they are worth naming.
    pub callers: Vec<(SourceFile, Span)>,
}

/// What a reader finds wrong.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ErrorKind {
    /// The YAML itself is wrong.
    #[error("{0}")]
    Yaml(yaml::ErrorKind),
    /// The file holds no document.
    #[error("Expected a scalar value, a sequence, or a mapping")]
    Empty,
    /// The file holds more than one document.
    #[error("Expected stream end parse event")]
    SeveralDocuments,
    /// The file is too large.
    #[error("The maximum file size of {0} characters has been exceeded")]
    FileTooLarge(usize),
    /// The nesting is too deep.
    #[error("Maximum object depth exceeded")]
    TooDeep,
    /// What was read takes too much memory.
    #[error("Maximum object size exceeded")]
    TooLarge,
    /// There are too many values.
    #[error(
        "Maximum events exceeded while evaluating the template. This may indicate an infinite loop or too many nested loops."
    )]
    TooManyEvents,
    /// An anchor where none are allowed.
    #[error("Anchors are not currently supported. Remove the anchor '{0}'")]
    AnchorNotAllowed(String),
    /// A tag only plain scalars may have.
    #[error(
        "The scalar style '{style}' on line {line} and column {column} is not valid with the tag '{tag}'"
    )]
    StyleNotAllowed {
        /// The style's name.
        style: &'static str,
        /// The line.
        line: u32,
        /// The column.
        column: u32,
        /// The tag.
        tag: String,
    },
    /// A value that is not what its tag says.
    #[error(
        "The value '{value}' on line {line} and column {column} is invalid for the type '{tag}'"
    )]
    InvalidForTag {
        /// The value.
        value: String,
        /// The line.
        line: u32,
        /// The column.
        column: u32,
        /// The tag.
        tag: String,
    },
    /// A tag nobody knows.
    #[error("Unexpected tag '{0}'")]
    UnknownTag(String),
    /// A key that is a sequence or a mapping.
    #[error("Expected a scalar value")]
    KeyNotScalar,
    /// A sequence where none may stand.
    #[error("A sequence was not expected")]
    UnexpectedSequence,
    /// A mapping where none may stand.
    #[error("A mapping was not expected")]
    UnexpectedMapping,
    /// A value that may not stand here.
    #[error("Unexpected value '{0}'")]
    UnexpectedValue(String),
    /// A key given twice.
    #[error("'{0}' is already defined")]
    AlreadyDefined(String),
    /// A key that must be there is not.
    #[error("Required property is missing: {0}")]
    MissingProperty(String),
    /// Several shapes are possible and no key decides.
    #[error(
        "There's not enough info to determine what you meant. Add one of these properties: {0}"
    )]
    Ambiguous(String),
    /// An expression where none may stand.
    #[error("A template expression is not allowed in this context")]
    ExpressionNotAllowed,
    /// An expression without an end.
    #[error(
        "The expression is not closed. An unescaped ${{{{ sequence was found, but the closing }}}} sequence was not found."
    )]
    ExpressionNotClosed,
    /// `${{ }}`.
    #[error("An expression was expected")]
    ExpressionExpected,
    /// `insert` with something around it.
    #[error(
        "The directive '{0}' is not allowed in this context. Directives are not supported for expressions that are embedded within a string. Directives are only supported when the entire value is an expression."
    )]
    DirectiveInText(&'static str),
    /// `insert` with something behind it.
    #[error(
        "Exactly {expected} parameter(s) were expected following the directive '{directive}'. Actual parameter count: {actual}"
    )]
    DirectiveParameters {
        /// The directive.
        directive: &'static str,
        /// How many it takes.
        expected: usize,
        /// How many there are.
        actual: usize,
    },
    /// An expression is wrong.
    #[error("{0}")]
    Expression(crate::github::expression::ParseError),
    /// A value of another type than the place needs.
    #[error(
        "Unexpected type '{actual}' encountered while reading '{place}'. The type '{expected}' was expected."
    )]
    WrongType {
        /// The type there is.
        actual: &'static str,
        /// What is being read.
        place: String,
        /// The type needed.
        expected: &'static str,
    },
    /// What is wrong with what the values say.
    #[error("{0}")]
    Model(crate::github::parse::Problem),
}

impl Error {
    /// Returns the message without the place, cut as GitHub cuts it.
    pub fn message(&self) -> String {
        self.kind.to_string()
    }
}

/// Shows the error as GitHub does: `PATH (Line: L, Col: C): MESSAGE`.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;

        let mut text = String::new();
        for (file, span) in self.callers.iter().rev() {
            let at = file.position(span.start);
            write!(
                text,
                "In {} (Line: {}, Col: {}): Error from called workflow ",
                file.name(),
                at.line,
                at.column
            )?;
        }
        let bare = matches!(&self.kind, ErrorKind::Model(problem) if problem.is_bare());
        if bare {
            return f.write_str(&cut(text + &self.message()));
        }
        text.push_str(self.file.name());
        if let Some(span) = self.span {
            let at = self.file.position(span.start);
            write!(text, " (Line: {}, Col: {})", at.line, at.column)?;
        }
        write!(text, ": {}", self.kind)?;
        f.write_str(&cut(text))
    }
}

impl std::error::Error for Error {}

/// Cuts a message that is too long; the length is counted in UTF-16 units.
fn cut(mut text: String) -> String {
    if text.len() <= MAX_MESSAGE_LENGTH {
        return text;
    }
    let mut units = 0;
    for (offset, character) in text.char_indices() {
        units += character.len_utf16();
        if units > MAX_MESSAGE_LENGTH {
            text.truncate(offset);
            text.push_str("[...]");
            break;
        }
    }
    text
}

/// The errors of one run, at most [`MAX_ERRORS`].
#[derive(Debug, Default)]
pub struct Errors {
    list: Vec<Error>,
}

impl Errors {
    /// Adds an error, unless there are enough.
    pub fn add(&mut self, file: &SourceFile, span: Option<Span>, kind: ErrorKind) {
        if self.list.len() < MAX_ERRORS {
            self.list.push(Error { file: file.clone(), span, kind, callers: Vec::new() });
        }
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Names the call at `span` of `file` in every error from `from` on that is in another file.
    pub fn called_from(&mut self, from: usize, file: &SourceFile, span: Span) {
        for error in self.list.iter_mut().skip(from) {
            let outermost = error.callers.last().map_or(&error.file, |(file, _)| file);
            if outermost.name() != file.name() {
                error.callers.push((file.clone(), span));
            }
        }
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Returns the errors.
    pub fn into_vec(self) -> Vec<Error> {
        self.list
    }
}
