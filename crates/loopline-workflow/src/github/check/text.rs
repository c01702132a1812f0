//! Scalars of a workflow, with the place a person would point at and the way back from an offset
//! in the value to the byte in the file. Nothing here knows keys or rules.

use std::sync::Arc;

use loopline_source::yaml::{Data, Node, Style};
use loopline_source::{SourceFile, Span};

/// What a plain scalar is to YAML 1.2's core schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    Null,
    Bool,
    Integer,
    Float,
    String,
}

/// One scalar as text.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) value: Arc<str>,
    /// Where it is said to be: its anchor, header, quote or first character.
    pub(crate) span: Span,
    pub(crate) node: Node,
}

impl Text {
    pub(crate) fn is_empty(&self) -> bool {
        self.value.is_empty()
    }

    pub(crate) fn lower(&self) -> String {
        self.value.to_ascii_lowercase()
    }

    /// Returns whether some `${{ ... }}` is inside.
    pub(crate) fn has_expression(&self) -> bool {
        has_expression(&self.value)
    }

    /// Returns whether the text is one `${{ ... }}` and nothing else.
    pub(crate) fn is_expression(&self) -> bool {
        let text = self.value.trim();
        text.starts_with("${{") && text.ends_with("}}") && text.matches("${{").count() == 1
    }

    /// Returns the span in the file of the value's bytes from `from` to `to`.
    pub(crate) fn place(&self, file: &SourceFile, from: usize, to: usize) -> Span {
        let start = self.offset(file, from);
        let end = if to > from { self.offset(file, to - 1) + 1 } else { start };
        Span::new(start, end.max(start))
    }

    /// Walks the source and the value side by side up to byte `target` of the value.
    fn offset(&self, file: &SourceFile, target: usize) -> u32 {
        let Some(scalar) = self.node.as_scalar() else { return self.span.start };
        let style = scalar.style;
        let raw = file.slice(self.node.span);
        let mut at = content_start(raw, style);
        let base = self.node.span.start as usize;
        let value = &*self.value;
        if matches!(style, Style::Plain) && !raw.contains('\n') {
            return u32::try_from(base + at + target).unwrap_or(u32::MAX);
        }
        let mut index = 0;
        while index < target {
            let Some(wanted) = value[index..].chars().next() else { break };
            let Some(found) = raw[at.min(raw.len())..].chars().next() else { break };
            if matches!(style, Style::DoubleQuoted) && found == '\\' {
                at += escape_length(&raw[at..]);
                if raw[..at].ends_with(['\n', '\r']) {
                    // An escaped line break yields no character; the indentation goes with it.
                    at += raw[at..].len() - raw[at..].trim_start_matches([' ', '\t']).len();
                    continue;
                }
            } else if matches!(style, Style::SingleQuoted) && raw[at..].starts_with("''") {
                at += 2;
            } else if found == wanted && found != '\n' {
                at += found.len_utf8();
            } else if found.is_whitespace() && wanted.is_whitespace() {
                // A fold or a line's indentation: one run on both sides.
                at += raw[at..].len() - raw[at..].trim_start().len();
                let rest = value[index..].trim_start();
                index = value.len() - rest.len();
                continue;
            } else {
                at += found.len_utf8();
                continue;
            }
            index += wanted.len_utf8();
        }
        // A line's indentation stands before its first character.
        if value[target.min(value.len())..].starts_with(|c: char| !c.is_whitespace()) {
            let rest = &raw[at.min(raw.len())..];
            at += rest.len() - rest.trim_start().len();
        }
        u32::try_from(base + at.min(raw.len())).unwrap_or(u32::MAX)
    }
}

/// Returns the length in bytes of the escape at the start of `raw`.
fn escape_length(raw: &str) -> usize {
    let hexadecimal = match raw.as_bytes().get(1) {
        Some(b'x') => 2,
        Some(b'u') => 4,
        Some(b'U') => 8,
        _ => 0,
    };
    let second = raw.chars().nth(1).map_or(0, char::len_utf8);
    (1 + second + hexadecimal).min(raw.len())
}

/// Returns where the text itself starts in `raw`: past an opening quote or a block's header.
fn content_start(raw: &str, style: Style) -> usize {
    match style {
        Style::Plain => 0,
        Style::SingleQuoted | Style::DoubleQuoted => 1,
        Style::Literal | Style::Folded => raw.find('\n').map_or(raw.len(), |at| at + 1),
    }
}

/// Returns whether some `${{ ... }}` is in `text`.
pub(crate) fn has_expression(text: &str) -> bool {
    text.find("${{").is_some_and(|at| text[at..].contains("}}"))
}

/// Returns what a person would point at to mean `node`: its tag and anchor included. A value that
/// is missing is right after its `:` or `-`, or at the `,` or bracket that stands in its place.
pub(crate) fn place(file: &SourceFile, node: &Node) -> Span {
    let missing = node.properties.is_none()
        && node.as_scalar().is_some_and(|s| s.value.is_empty() && s.style == Style::Plain);
    if !missing {
        return Span::new(node.start(), node.span.end);
    }
    let (before, after) = file.text().split_at(node.span.start as usize);
    let blanks = after.len() - after.trim_start_matches(' ').len();
    let at = if after[blanks..].starts_with([',', '}', ']']) {
        node.span.start as usize + blanks
    } else {
        let code = before.trim_end_matches(' ');
        if code.ends_with([':', '-', '?']) { code.len() } else { before.len() }
    };
    Span::at(u32::try_from(at).unwrap_or(u32::MAX))
}

/// Returns what `node`'s scalar is, by its style and text.
pub(crate) fn tag(node: &Node) -> Tag {
    let Some(scalar) = node.as_scalar() else { return Tag::String };
    if let Some(tag) = node.tag.as_deref() {
        return match tag.rsplit(':').next() {
            Some("null") => Tag::Null,
            Some("bool") => Tag::Bool,
            Some("int") => Tag::Integer,
            Some("float") => Tag::Float,
            _ => Tag::String,
        };
    }
    if scalar.style != Style::Plain {
        return Tag::String;
    }
    plain_tag(&scalar.value)
}

fn plain_tag(text: &str) -> Tag {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Tag::Null,
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => return Tag::Bool,
        ".nan" | ".NaN" | ".NAN" => return Tag::Float,
        _ => {}
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        return Tag::Float;
    }
    let digits = |text: &str, radix: u32| {
        !text.is_empty() && text.chars().all(|c| c.is_digit(radix) || c == '_')
    };
    let based = [("0x", 16), ("0o", 8), ("0b", 2)];
    if based.iter().any(|(prefix, radix)| {
        unsigned.strip_prefix(prefix).is_some_and(|rest| digits(rest, *radix))
    }) {
        return Tag::Integer;
    }
    if unsigned.starts_with(|c: char| c.is_ascii_digit()) && digits(unsigned, 10) {
        return Tag::Integer;
    }
    let float = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && unsigned.contains(|c: char| c.is_ascii_digit())
        && unsigned
            .chars()
            .all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-' | '_'))
        && unsigned.replace('_', "").parse::<f64>().is_ok();
    if float { Tag::Float } else { Tag::String }
}

/// Returns the tag as YAML writes it, for messages.
pub(crate) fn tag_name(node: &Node) -> &'static str {
    match &node.data {
        Data::Sequence(_) => "a list",
        Data::Mapping(_) => "a mapping",
        Data::Scalar(_) => match tag(node) {
            Tag::Null => "nothing",
            Tag::Bool => "a boolean",
            Tag::Integer => "an integer",
            Tag::Float => "a number",
            Tag::String => "text",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_lead_back_to_the_source_in_every_style() {
        for source in [
            "a: x ${{ foo }}",
            "a: 'it''s ${{ foo }}'",
            "a: \"\\n \\u0041 ${{ foo }}\"",
            "a: |\n  x\n    y ${{ foo }}\n",
            "a: >-\n  x\n\n  y\n  ${{ foo }}\n",
            "a: x\n  y ${{ foo }}",
            "a: &b é ${{ foo }}",
            "a: !!str ${{ foo }}",
        ] {
            let file = SourceFile::new("t.yml", source);
            let parsed = loopline_source::yaml::parse(&file, &Default::default());
            let node = parsed.documents[0].root.get("a").expect("a is there").clone();
            let value: Arc<str> = node.as_str().expect("a scalar").into();
            let at = value.find("foo").expect("foo is there");
            let text = Text { value, span: place(&file, &node), node };
            assert_eq!(file.slice(text.place(&file, at, at + 3)), "foo", "{source}");
        }
    }

    #[test]
    fn scalars_are_told_apart() {
        for (text, expected) in [
            ("1", Tag::Integer),
            ("-3.5", Tag::Float),
            ("1e3", Tag::Float),
            ("0x1f", Tag::Integer),
            ("on", Tag::String),
            ("True", Tag::Bool),
            ("~", Tag::Null),
            ("1.2.3", Tag::String),
        ] {
            assert_eq!(plain_tag(text), expected, "{text}");
        }
    }
}
