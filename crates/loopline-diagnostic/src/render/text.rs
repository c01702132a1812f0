//! Findings for a terminal: the message, the line it is about, and what to do.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use loopline_source::{Position, SourceFile};

use crate::{Diagnostic, Label, Severity};

/// How text is rendered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextOptions {
    /// Whether to colour; the caller knows the terminal, `NO_COLOR` and `CLICOLOR_FORCE`.
    pub color: bool,
}

/// The longest part of a source line that is shown, in characters.
const MAX_LINE_CHARACTERS: usize = 160;

const RESET: &str = "\x1b[0m";
const BOLD: &str = "\x1b[1m";
const FRAME: &str = "\x1b[1;34m";

/// Returns `findings` as text, each followed by an empty line.
pub fn text(findings: &[Diagnostic], options: &TextOptions) -> String {
    let mut out = String::new();
    for finding in findings {
        one(&mut out, finding, options.color);
        out.push('\n');
    }
    out
}

/// Returns one line that counts `findings`, or says that there are none.
pub fn summary(findings: &[Diagnostic]) -> String {
    let count = |severity| findings.iter().filter(|found| found.severity == severity).count();
    let mut parts = Vec::new();
    for (severity, one, many) in [
        (Severity::Error, "error", "errors"),
        (Severity::Warning, "warning", "warnings"),
        (Severity::Note, "note", "notes"),
    ] {
        match count(severity) {
            0 => {}
            1 => parts.push(format!("1 {one}")),
            found => parts.push(format!("{found} {many}")),
        }
    }
    if parts.is_empty() {
        return "no findings".to_owned();
    }
    let files: BTreeSet<&str> = findings.iter().map(|found| found.primary.file.name()).collect();
    let files =
        if files.len() == 1 { "1 file".to_owned() } else { format!("{} files", files.len()) };
    format!("{} in {files}", parts.join(", "))
}

fn one(out: &mut String, finding: &Diagnostic, color: bool) {
    let paint = |style: &'static str| if color { style } else { "" };
    let (word, style) = match finding.severity {
        Severity::Error => ("error", "\x1b[1;31m"),
        Severity::Warning => ("warning", "\x1b[1;33m"),
        Severity::Note => ("note", "\x1b[1;36m"),
    };
    let (style, frame, bold, reset) = (paint(style), paint(FRAME), paint(BOLD), paint(RESET));
    let code = finding.rule.code;
    let message = printable(&finding.message);
    push(out, format_args!("{style}{word}[{code}]{reset}{bold}: {message}{reset}\n"));
    let labels = || std::iter::once(&finding.primary).chain(&finding.secondary);
    let width = labels().map(|label| digits(position(label).line)).max().unwrap_or(1);
    for (index, label) in labels().enumerate() {
        let arrow = if index == 0 { "-->" } else { ":::" };
        let style = if index == 0 { style } else { frame };
        let name = printable(label.file.name());
        let at = position(label);
        push(out, format_args!("{:width$}{frame}{arrow}{reset} {name}:{at}\n", ""));
        push(out, format_args!("{:width$} {frame}|{reset}\n", ""));
        let (line, start, length) = excerpt(&label.file, label, at);
        push(out, format_args!("{frame}{:>width$} |{reset} {line}\n", at.line));
        let sign = if index == 0 { "^" } else { "-" }.repeat(length);
        let said = printable(&label.text);
        let said = if said.is_empty() { said } else { format!(" {said}") };
        push(
            out,
            format_args!("{:width$} {frame}|{reset} {:start$}{style}{sign}{said}{reset}\n", "", ""),
        );
    }
    out.push('\n');
    for hint in &finding.hints {
        push(out, format_args!("{bold}hint{reset}: {}\n", printable(hint)));
    }
    if let Some(fix) = &finding.fix
        && !finding.hints.iter().any(|hint| hint.contains(&fix.replacement))
    {
        let old = printable(finding.primary.file.slice(fix.span));
        let new = printable(&fix.replacement);
        push(out, format_args!("{bold}hint{reset}: write `{new}` in place of `{old}`\n"));
    }
    push(out, format_args!("{bold}hint{reset}: `loopline explain {code}` for details\n"));
}

fn push(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing into a string does not fail.
    let _ = out.write_fmt(arguments);
}

fn position(label: &Label) -> Position {
    label.file.position(label.span.start)
}

fn digits(number: u32) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

/// Returns the line to show, where in it the mark starts and how long the mark is, all in
/// characters. Of a long line only the part around the mark is kept.
fn excerpt(file: &SourceFile, label: &Label, at: Position) -> (String, usize, usize) {
    let whole: Vec<char> = file.line_text(at.line).chars().collect();
    let column = (at.column as usize - 1).min(whole.len());
    let end = file.position(label.span.end.max(label.span.start));
    let end = if end.line > at.line { whole.len() } else { end.column as usize - 1 };
    let first = if column > MAX_LINE_CHARACTERS / 2 && whole.len() > MAX_LINE_CHARACTERS {
        column - MAX_LINE_CHARACTERS / 2
    } else {
        0
    };
    let last = (first + MAX_LINE_CHARACTERS).min(whole.len());
    let shown: String = whole[first..last].iter().collect();
    let length = end.min(last).saturating_sub(column).max(1);
    (printable(&shown), column - first, length)
}

/// Returns `text` on one line and without characters that a terminal would obey.
fn printable(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '\t' | '\n' | '\r' => ' ',
            // Marks that reorder text could hide what a line says.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
            character if character.is_control() => '\u{fffd}',
            character => character,
        })
        .collect()
}
