//! The tree of a Dockerfile: instructions with the place of every word, and pieces that cover
//! the whole text.

use std::fmt;

use loopline_source::{SourceFile, Span};

/// A file as it was read; [`super::parse::Problem`]s say what of it is not a Dockerfile.
#[derive(Clone, Debug)]
pub struct Dockerfile {
    /// The text.
    pub file: SourceFile,
    /// The directives before everything else: `# syntax=`, `# escape=`, `# check=`.
    pub directives: Vec<Directive>,
    /// The instructions in the order of the file, broken ones included.
    pub instructions: Vec<Instruction>,
    /// What every byte of the text is, in order and without gaps.
    pub pieces: Vec<Piece>,
    /// The character that escapes and continues lines: `\`, or a backquote by `# escape=`.
    pub escape: char,
}

/// A parser directive: a comment that says how to read the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// Which one.
    pub kind: DirectiveKind,
    /// What it was set to.
    pub value: Word,
    /// Its line, from 1.
    pub line: u32,
}

/// The directives that exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectiveKind {
    /// `# syntax=docker/dockerfile:1`: the front end that the file is written for.
    Syntax,
    /// `` # escape=` ``: the escape character.
    Escape,
    /// `# check=skip=all;error=true`: how the build checks behave.
    Check,
}

/// Some text and where it was written. The two differ where a word goes on over a line break.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word {
    /// The text, line breaks removed; quotes and escapes as written.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

/// One instruction.
#[derive(Clone, Debug)]
pub struct Instruction {
    /// The first word as it was written.
    pub keyword: Word,
    /// Which instruction it is; `None` for a word that is none.
    pub kind: Option<Keyword>,
    /// The words that start with `--`, unquoted.
    pub flags: Vec<Word>,
    /// What comes after the flags.
    pub arguments: Arguments,
    /// The here-documents, in the order of their markers.
    pub heredocs: Vec<Heredoc>,
    /// The whole instruction on one line, without what comments and line breaks it had.
    pub logical: Logical,
    /// From the first character to the last, here-documents included.
    pub span: Span,
    /// The first line, from 1.
    pub first_line: u32,
    /// The last line, from 1.
    pub last_line: u32,
    /// The comments right above, without `#` and the space around them.
    pub comments: Vec<Word>,
    /// Whether an empty line stands between its lines, which will be an error one day.
    pub empty_continuation: Option<Span>,
}

/// The instructions that exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "they are the words of the format")]
pub enum Keyword {
    Add,
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    Stopsignal,
    User,
    Volume,
    Workdir,
}

impl Keyword {
    /// All instructions.
    pub const ALL: [Self; 18] = [
        Self::Add,
        Self::Arg,
        Self::Cmd,
        Self::Copy,
        Self::Entrypoint,
        Self::Env,
        Self::Expose,
        Self::From,
        Self::Healthcheck,
        Self::Label,
        Self::Maintainer,
        Self::Onbuild,
        Self::Run,
        Self::Shell,
        Self::Stopsignal,
        Self::User,
        Self::Volume,
        Self::Workdir,
    ];

    /// Returns the instruction in capital letters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Arg => "ARG",
            Self::Cmd => "CMD",
            Self::Copy => "COPY",
            Self::Entrypoint => "ENTRYPOINT",
            Self::Env => "ENV",
            Self::Expose => "EXPOSE",
            Self::From => "FROM",
            Self::Healthcheck => "HEALTHCHECK",
            Self::Label => "LABEL",
            Self::Maintainer => "MAINTAINER",
            Self::Onbuild => "ONBUILD",
            Self::Run => "RUN",
            Self::Shell => "SHELL",
            Self::Stopsignal => "STOPSIGNAL",
            Self::User => "USER",
            Self::Volume => "VOLUME",
            Self::Workdir => "WORKDIR",
        }
    }

    /// Returns the instruction called `name`, in any case.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|keyword| keyword.name().eq_ignore_ascii_case(name))
    }

    /// Returns whether here-documents belong to this instruction.
    pub const fn takes_heredocs(self) -> bool {
        matches!(self, Self::Add | Self::Copy | Self::Run)
    }
}

impl fmt::Display for Keyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an instruction is given.
#[derive(Clone, Debug)]
pub enum Arguments {
    /// Nothing.
    None,
    /// The rest of the line as one text: the shell form, `USER`, `WORKDIR`.
    Text(Word),
    /// Words between spaces.
    Words(Vec<Word>),
    /// A JSON array of strings: the exec form. The texts are decoded.
    Json(Vec<Word>),
    /// `name=value` pairs, or one `name value`.
    Pairs(Vec<Pair>),
    /// The instruction behind `ONBUILD`.
    Nested(Box<Instruction>),
    /// `HEALTHCHECK`'s type and what follows it.
    Health(Word, Box<Arguments>),
    /// Text that is not what this instruction takes; a problem says why.
    Invalid(Word),
}

/// One pair of `ENV` or `LABEL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The name, quotes and escapes as written.
    pub key: Word,
    /// The value, quotes and escapes as written.
    pub value: Word,
    /// Whether it was written `name value`, without `=`.
    pub legacy: bool,
}

/// A here-document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heredoc {
    /// The word that ends it, unquoted; also the name of the file that `COPY` makes of it.
    pub name: String,
    /// The number before `<<`; 0 where there is none.
    pub descriptor: u32,
    /// Whether variables in it are expanded: no part of its name is quoted.
    pub expand: bool,
    /// Whether leading tabs are removed (`<<-`).
    pub chomp: bool,
    /// Where its lines are.
    pub body: Span,
}

impl Heredoc {
    /// Returns the lines as they reach the shell or the file: without leading tabs for `<<-`.
    pub fn content(&self, file: &SourceFile) -> String {
        let body = file.slice(self.body);
        if !self.chomp {
            return body.to_owned();
        }
        body.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
    }
}

/// The lines of an instruction joined to one, and where each part of it comes from.
#[derive(Clone, Debug, Default)]
pub struct Logical {
    /// The joined text.
    pub text: String,
    /// Where each part starts: in the joined text, and in the file.
    parts: Vec<(u32, u32)>,
}

impl Logical {
    /// Appends `text`, which stands at `offset` in the file.
    pub(super) fn push(&mut self, text: &str, offset: u32) {
        if !text.is_empty() {
            self.parts.push((length(&self.text), offset));
            self.text.push_str(text);
        }
    }

    /// Returns where the character at `index` of the joined text stands in the file.
    pub fn offset(&self, index: usize) -> u32 {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        let part = self.parts.partition_point(|(start, _)| *start <= index).saturating_sub(1);
        self.parts.get(part).map_or(0, |(start, offset)| offset + (index - start.min(&index)))
    }

    /// Returns where `start..end` of the joined text stands in the file.
    pub fn span(&self, start: usize, end: usize) -> Span {
        let from = self.offset(start);
        if end <= start {
            return Span::at(from);
        }
        Span::new(from, self.offset(end - 1) + 1)
    }

    /// Returns the word at `start..end` of the joined text.
    pub(super) fn word(&self, start: usize, end: usize) -> Word {
        Word { text: self.text[start..end].to_owned(), span: self.span(start, end) }
    }

    /// Returns the part from `start` on as a text of its own.
    pub(super) fn tail(&self, start: usize) -> Self {
        let mut tail = Self::default();
        for (index, (from, offset)) in self.parts.iter().enumerate() {
            let to = self.parts.get(index + 1).map_or(self.text.len(), |(next, _)| *next as usize);
            let begin = (*from as usize).max(start);
            if begin < to {
                let skipped = u32::try_from(begin - *from as usize).unwrap_or(u32::MAX);
                tail.push(&self.text[begin..to], offset + skipped);
            }
        }
        tail
    }
}

/// Returns a length as spans count; files are shorter than [`SourceFile::MAX_BYTES`].
pub(super) fn length(text: &str) -> u32 {
    u32::try_from(text.len()).unwrap_or(u32::MAX)
}

/// A stretch of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// What it is.
    pub kind: PieceKind,
    /// Where it is.
    pub span: Span,
}

/// What a stretch of the text is. Each ends with its line break, except [`Self::Code`] before
/// a [`Self::Continuation`], and the file's last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PieceKind {
    /// The byte order mark.
    Mark,
    /// A parser directive.
    Directive,
    /// A comment, between the lines of an instruction too.
    Comment,
    /// A line of nothing but space.
    Blank,
    /// Text of an instruction, on one line.
    Code,
    /// The escape character at the end of a line, and the line break.
    Continuation,
    /// The lines of a here-document.
    Heredoc,
    /// The line that ends a here-document.
    Terminator,
    /// What is past the bounds of a file, and was not read.
    Unread,
}
