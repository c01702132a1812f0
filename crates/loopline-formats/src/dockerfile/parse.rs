//! Text to tree: lines, directives, here-documents. Words of one instruction are in the files
//! below.
//!
//! The rules are those of BuildKit's parser. It stops at the first mistake; this one keeps going,
//! so that a broken line does not hide the rest.

mod arguments;
mod directive;
pub(super) mod heredoc;
mod json;

use loopline_source::{SourceFile, Span};

use super::tree::{
    Arguments, Dockerfile, Instruction, Keyword, Logical, Piece, PieceKind, Word, length,
};

/// The longest line, in bytes without its line break.
pub const MAX_LINE_BYTES: usize = 65_535;
/// The largest file, in bytes.
pub const MAX_FILE_BYTES: usize = 16 * 1024 * 1024;
/// The most instructions of one file.
pub const MAX_INSTRUCTIONS: usize = 4_000;
/// The most problems kept; what comes after is more of the same.
pub const MAX_PROBLEMS: usize = 1_000;
/// How deep `ONBUILD` may stand in `ONBUILD` before reading stops. Even two are refused later.
pub const MAX_ONBUILD_DEPTH: usize = 8;

/// Something that is not a Dockerfile.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{kind}")]
pub struct Problem {
    /// Where.
    pub span: Span,
    /// The line of the instruction, from 1.
    pub line: u32,
    /// What.
    pub kind: ProblemKind,
}

/// What is wrong with a text. The wording is BuildKit's where it has one.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ProblemKind {
    /// There is no instruction at all.
    #[error("file with no instructions")]
    NoInstructions,
    /// A line is longer than [`MAX_LINE_BYTES`].
    #[error("dockerfile line greater than max allowed size of {MAX_LINE_BYTES}")]
    LineTooLong,
    /// The file is larger than [`MAX_FILE_BYTES`].
    #[error("dockerfile greater than max allowed size of {MAX_FILE_BYTES}")]
    FileTooLarge,
    /// There are more instructions than [`MAX_INSTRUCTIONS`].
    #[error("more than {MAX_INSTRUCTIONS} instructions")]
    TooManyInstructions,
    /// A directive stands twice.
    #[error("only one {0} parser directive can be used")]
    DirectiveTwice(&'static str),
    /// `# escape=` names another character.
    #[error("invalid escape token '{0}' does not match ` or \\")]
    InvalidEscape(String),
    /// A here-document's end is missing.
    #[error("unterminated heredoc")]
    UnterminatedHeredoc(String),
    /// A here-document's name cannot be read.
    #[error("{0}")]
    HeredocName(super::word::Error),
    /// A JSON array holds something else than strings.
    #[error("when using JSON array syntax, arrays must be comprised of strings only")]
    JsonNotStrings,
    /// `ENV` or `LABEL` has a name and nothing else.
    #[error("{0} must have two arguments")]
    TwoArguments(Keyword),
    /// A word of `ENV` or `LABEL` has no `=`.
    #[error("Syntax error - can't find = in {0:?}. Must be of the form: name=value")]
    NoEquals(String),
    /// `ONBUILD` is nested deeper than [`MAX_ONBUILD_DEPTH`].
    #[error("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")]
    OnbuildTooDeep,
}

/// The tree, and what in it is wrong.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The tree; it holds the whole text even where there are problems.
    pub dockerfile: Dockerfile,
    /// What is wrong, in the order of the file. BuildKit refuses a file with any of these.
    pub problems: Vec<Problem>,
}

/// Reads `file`.
pub fn parse(file: &SourceFile) -> Parsed {
    let mut parser = Parser {
        file,
        text: file.text(),
        at: 0,
        line: 0,
        directives: directive::Reader::default(),
        comments: Vec::new(),
        out: Dockerfile {
            file: file.clone(),
            directives: Vec::new(),
            instructions: Vec::new(),
            pieces: Vec::new(),
            escape: '\\',
        },
        problems: Vec::new(),
    };
    parser.file();
    Parsed { dockerfile: parser.out, problems: parser.problems }
}

struct Parser<'a> {
    file: &'a SourceFile,
    text: &'a str,
    /// How far the text was read.
    at: usize,
    /// How many lines were read.
    line: u32,
    directives: directive::Reader,
    /// The comments since the last instruction or empty line.
    comments: Vec<Word>,
    out: Dockerfile,
    problems: Vec<Problem>,
}

/// One line of the file.
struct Line<'a> {
    /// Where it starts.
    start: usize,
    /// Its text without the line break.
    text: &'a str,
    /// Where it ends, the line break included.
    end: usize,
}

impl<'a> Parser<'a> {
    fn file(&mut self) {
        if self.text.len() > MAX_FILE_BYTES {
            self.problem(Span::at(0), 1, ProblemKind::FileTooLarge);
            self.piece(PieceKind::Unread, 0, self.text.len());
            return;
        }
        if self.text.starts_with('\u{feff}') {
            self.at = '\u{feff}'.len_utf8();
            self.piece(PieceKind::Mark, 0, self.at);
        }
        while let Some(line) = self.next_line() {
            if self.out.instructions.len() >= MAX_INSTRUCTIONS {
                let span = Span::new(offset(line.start), offset(line.end));
                self.problem(span, self.line, ProblemKind::TooManyInstructions);
                self.piece(PieceKind::Unread, line.start, self.text.len());
                break;
            }
            self.first_line(&line);
        }
        if self.out.instructions.is_empty() && self.problems.is_empty() {
            self.problem(Span::at(0), self.line.max(1), ProblemKind::NoInstructions);
        }
    }

    /// Reads a line outside of instructions, and the instruction that starts there.
    fn first_line(&mut self, line: &Line<'a>) {
        let stripped = line.text.trim_start();
        let indent = line.text.len() - stripped.len();
        let directive = self.directive(stripped, line.start + indent);
        if let Some(body) = stripped.strip_prefix('#') {
            let kind = if directive { PieceKind::Directive } else { PieceKind::Comment };
            self.piece(kind, line.start, line.end);
            if directive {
                return;
            }
            let comment = self.word(line.start + indent + 1, body.trim());
            if comment.text.is_empty() {
                self.comments.clear();
            } else {
                self.comments.push(comment);
            }
            return;
        }
        if stripped.is_empty() {
            self.piece(PieceKind::Blank, line.start, line.end);
            self.comments.clear();
            return;
        }
        self.instruction(line, indent);
    }

    fn instruction(&mut self, line: &Line<'a>, indent: usize) {
        let first_line = self.line;
        let start = line.start + indent;
        let problems = self.problems.len();
        let mut logical = Logical::default();
        let mut empty_continuation = None;
        let mut open = self.code(line, indent, &mut logical);
        let mut end = line.start + line.text.trim_end().len();
        while open {
            let Some(line) = self.next_line() else { break };
            self.directive(line.text, line.start);
            let stripped = line.text.trim_start();
            if stripped.starts_with('#') {
                self.piece(PieceKind::Comment, line.start, line.end);
            } else if stripped.is_empty() {
                self.piece(PieceKind::Blank, line.start, line.end);
                empty_continuation.get_or_insert(Span::at(offset(line.start)));
            } else {
                open = self.code(&line, 0, &mut logical);
                end = line.start + line.text.trim_end().len();
            }
        }
        let mut instruction = self.read(logical, first_line, 0);
        instruction.comments = std::mem::take(&mut self.comments);
        instruction.empty_continuation = empty_continuation;
        if self.problems.len() == problems && takes_heredocs(&instruction) {
            end = self.heredocs(&mut instruction).unwrap_or(end);
        }
        instruction.span = Span::new(offset(start), offset(end));
        instruction.last_line = self.line;
        self.out.instructions.push(instruction);
    }

    /// Takes the text of an instruction from a line; returns whether it goes on in the next.
    fn code(&mut self, line: &Line<'a>, indent: usize, logical: &mut Logical) -> bool {
        let text = &line.text[indent..];
        let length = continued(text, self.out.escape);
        let code = &text[..length.unwrap_or(text.len())];
        logical.push(code, offset(line.start + indent));
        let split = line.start + indent + code.len();
        if length.is_some() {
            self.piece(PieceKind::Code, line.start, split);
            self.piece(PieceKind::Continuation, split, line.end);
        } else {
            self.piece(PieceKind::Code, line.start, line.end);
        }
        length.is_some()
    }

    /// Reads the joined text of one instruction.
    fn read(&mut self, logical: Logical, line: u32, depth: usize) -> Instruction {
        let text = logical.text.as_str();
        let start = text.len() - text.trim_start().len();
        let keyword_end = start
            + text[start..]
                .find(arguments::is_blank)
                .unwrap_or(text.trim_end().len().saturating_sub(start));
        let keyword = logical.word(start, keyword_end.max(start));
        let kind = Keyword::find(&keyword.text);
        let (flags, rest) = arguments::flags(&logical, keyword_end.max(start));
        let mut instruction = Instruction {
            keyword,
            kind,
            flags,
            arguments: Arguments::None,
            heredocs: Vec::new(),
            span: logical.span(0, logical.text.len()),
            first_line: line,
            last_line: line,
            comments: Vec::new(),
            empty_continuation: None,
            logical,
        };
        let logical = &instruction.logical;
        let read = if kind == Some(Keyword::Onbuild) && !rest.is_empty() {
            if depth >= MAX_ONBUILD_DEPTH {
                Err(ProblemKind::OnbuildTooDeep)
            } else {
                let nested = self.read(logical.tail(rest.start), line, depth + 1);
                Ok(Arguments::Nested(Box::new(nested)))
            }
        } else {
            arguments::read(kind, logical, rest.clone(), self.out.escape)
        };
        instruction.arguments = read.unwrap_or_else(|problem| {
            let word = logical.word(rest.start, rest.end);
            self.problem(word.span, line, problem);
            Arguments::Invalid(word)
        });
        instruction
    }

    /// Takes the here-documents that `instruction` announces; returns where the last one ends.
    fn heredocs(&mut self, instruction: &mut Instruction) -> Option<usize> {
        let line = instruction.first_line;
        let found = match heredoc::announced(&instruction.logical.text) {
            Ok(found) => found,
            Err(error) => {
                self.problem(instruction.span, line, ProblemKind::HeredocName(error));
                return None;
            }
        };
        let mut end = None;
        for mut heredoc in found {
            let start = self.at;
            let terminator = loop {
                let Some(line) = self.next_line() else { break None };
                let text = line.text.trim_start_matches(|c| heredoc.chomp && c == '\t');
                if text == heredoc.name {
                    break Some(line);
                }
            };
            let body_end = terminator.as_ref().map_or(self.at, |line| line.start);
            self.piece(PieceKind::Heredoc, start, body_end);
            heredoc.body = Span::new(offset(start), offset(body_end));
            match terminator {
                Some(line) => {
                    self.piece(PieceKind::Terminator, line.start, line.end);
                    end = Some(line.start + line.text.len());
                }
                None => {
                    end = Some(body_end);
                    let kind = ProblemKind::UnterminatedHeredoc(heredoc.name.clone());
                    self.problem(instruction.span, line, kind);
                }
            }
            instruction.heredocs.push(heredoc);
        }
        end
    }

    /// Reads `text`, which stands at `start`, as a directive if it can be one here.
    fn directive(&mut self, text: &str, start: usize) -> bool {
        match self.directives.read(text, start, self.line) {
            Ok(None) => false,
            Ok(Some(directive)) => {
                if let Some(escape) = directive.escape() {
                    self.out.escape = escape;
                }
                self.out.directives.push(directive);
                true
            }
            Err(kind) => {
                let span = Span::new(offset(start), offset(start + text.trim_end().len()));
                self.problem(span, self.line, kind);
                false
            }
        }
    }

    fn next_line(&mut self) -> Option<Line<'a>> {
        let start = self.at;
        let rest = self.text.get(start..).filter(|rest| !rest.is_empty())?;
        let end = rest.find('\n').map_or(self.text.len(), |length| start + length + 1);
        let text = self.text[start..end].trim_end_matches(['\n', '\r']);
        self.at = end;
        self.line += 1;
        if text.len() > MAX_LINE_BYTES {
            let span = Span::new(offset(start), offset(end));
            self.problem(span, self.line, ProblemKind::LineTooLong);
        }
        Some(Line { start, text, end })
    }

    fn word(&self, from: usize, text: &str) -> Word {
        let start = from + self.text[from..].find(text).unwrap_or(0);
        let span = Span::new(offset(start), offset(start + text.len()));
        debug_assert_eq!(self.file.slice(span), text, "a word stands where it says");
        Word { text: text.to_owned(), span }
    }

    fn piece(&mut self, kind: PieceKind, start: usize, end: usize) {
        if start < end {
            self.out.pieces.push(Piece { kind, span: Span::new(offset(start), offset(end)) });
        }
    }

    fn problem(&mut self, span: Span, line: u32, kind: ProblemKind) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Problem { span, line, kind });
        }
    }
}

/// Returns whether here-documents may follow: `ADD`, `COPY` or `RUN`, behind `ONBUILD` too, not
/// with a JSON array.
fn takes_heredocs(instruction: &Instruction) -> bool {
    let inner = match &instruction.arguments {
        Arguments::Nested(nested) => nested,
        _ => instruction,
    };
    inner.kind.is_some_and(Keyword::takes_heredocs)
        && !matches!(inner.arguments, Arguments::Json(_))
        && instruction.logical.text.contains("<<")
}

/// Returns how much of `text` is left without its continuation, if it ends with one: an escape
/// character, alone or after another character, and nothing but space.
fn continued(text: &str, escape: char) -> Option<usize> {
    let rest = text.trim_end_matches([' ', '\t']).strip_suffix(escape)?;
    (!rest.ends_with(escape)).then_some(rest.len())
}

/// Returns an offset as spans count.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

impl super::tree::Directive {
    /// Returns the escape character this directive sets, if it sets one.
    fn escape(&self) -> Option<char> {
        (self.kind == super::tree::DirectiveKind::Escape)
            .then(|| self.value.text.chars().next())
            .flatten()
    }
}

/// Returns a word of the file: `text`, which stands at `start`.
fn word_at(start: usize, text: &str) -> Word {
    let from = offset(start);
    Word { text: text.to_owned(), span: Span::new(from, from + length(text)) }
}
