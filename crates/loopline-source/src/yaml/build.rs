//! Builds the tree from the parser's events, iteratively and within bounds.

use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, Span as EventSpan, Tag};

use super::{Anchor, Data, Document, Entry, Error, ErrorKind, Limits, Node, Parsed, Scalar, Style};
use crate::{SourceFile, Span};

/// A collection whose end has not been read yet.
struct Open {
    start: u32,
    properties: Option<Span>,
    tag: Option<Arc<str>>,
    anchor: Option<(usize, Anchor)>,
    mapping: bool,
    items: Vec<Node>,
    /// Nodes inside, aliases expanded.
    weight: usize,
}

struct Builder<'a> {
    file: &'a SourceFile,
    limits: &'a Limits,
    offsets: Offsets,
    stack: Vec<Open>,
    /// Anchored nodes by the parser's number, with their expanded weight. `None` while open.
    anchors: Vec<Option<(Node, usize)>>,
    documents: Vec<Document>,
    root: Option<Node>,
    total: usize,
    /// Where the last event ended; a block scalar's header is looked for from here.
    last_end: u32,
}

/// Where an event's node stands.
struct Place {
    /// The node's own text.
    span: Span,
    /// Its tag and anchor.
    properties: Option<Span>,
    /// Its anchor, `&` included.
    anchor: Option<Span>,
}

/// Turns the parser's character indices into byte offsets; indices grow, mostly.
struct Offsets {
    /// Byte offset of every 64th character; empty where the text is ASCII.
    every: Vec<u32>,
    ascii: bool,
    length: u32,
}

const STRIDE: usize = 64;

/// How deep the scanner lets flow collections nest.
const SCANNER_FLOW_DEPTH: usize = 255;

impl Offsets {
    fn new(text: &str) -> Self {
        let ascii = text.is_ascii();
        let every = if ascii {
            Vec::new()
        } else {
            text.char_indices().step_by(STRIDE).map(|(offset, _)| offset as u32).collect()
        };
        Self { every, ascii, length: text.len() as u32 }
    }

    fn byte(&self, text: &str, character: usize) -> u32 {
        if self.ascii {
            return (character as u32).min(self.length);
        }
        let Some(base) = self.every.get(character / STRIDE) else { return self.length };
        text[*base as usize..]
            .char_indices()
            .nth(character % STRIDE)
            .map_or(self.length, |(offset, _)| base + offset as u32)
    }
}

pub(super) fn parse(file: &SourceFile, limits: &Limits) -> Parsed {
    // A byte order mark is no character of the document, but it shifts the offsets.
    let text = file.text();
    let mut builder = Builder {
        file,
        limits,
        offsets: Offsets::new(text),
        stack: Vec::new(),
        anchors: Vec::new(),
        documents: Vec::new(),
        root: None,
        total: 0,
        last_end: 0,
    };
    let mut parser = Parser::new_from_str(text);
    let mut error = None;
    while let Some(event) = parser.next_event() {
        let step = match event {
            Ok((Event::StreamEnd, _)) => break,
            Ok((event, span)) => builder.event(event, span),
            Err(scan) => {
                let at = builder.offsets.byte(text, scan.marker().index());
                Err(builder.scan_error(Span::at(at), scan.info()))
            }
        };
        if let Err(found) = step {
            error = Some(found);
            break;
        }
    }
    builder.close_rest();
    Parsed { documents: builder.documents, error }
}

impl Builder<'_> {
    fn span(&self, span: EventSpan) -> Span {
        let text = self.file.text();
        Span::new(
            self.offsets.byte(text, span.start.index()),
            self.offsets.byte(text, span.end.index()),
        )
    }

    /// Names the scanner's errors that are our own kinds.
    fn scan_error(&self, span: Span, info: &str) -> Error {
        let kind = match info {
            // The scanner bounds flow collections before their events reach us.
            "recursion limit exceeded" => {
                ErrorKind::TooDeep(self.limits.depth.min(SCANNER_FLOW_DEPTH))
            }
            "while parsing node, found unknown anchor" => {
                let rest = &self.file.text().as_bytes()[span.start as usize..];
                let end = span.start + word_length(rest);
                let name = self.file.slice(Span::new(span.start, end));
                let kind = ErrorKind::UnknownAnchor(name.trim_start_matches('*').into());
                return Error { span: Span::new(span.start, end), kind };
            }
            _ => ErrorKind::Syntax(info.to_owned()),
        };
        Error { span, kind }
    }

    fn event(&mut self, event: Event<'_>, span: EventSpan) -> Result<(), Error> {
        let span = self.span(span);
        let result = self.node_event(event, span);
        self.last_end = span.end;
        result
    }

    fn node_event(&mut self, event: Event<'_>, span: Span) -> Result<(), Error> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd => {}
            Event::DocumentStart(_) => self.root = None,
            Event::DocumentEnd => self.end_document(span),
            Event::Alias(id) => self.alias(id, span)?,
            Event::Scalar(value, style, id, tag) => {
                let style = style_of(style);
                let block = matches!(style, Style::Literal | Style::Folded);
                let place = self.place(span, id != 0 || tag.is_some(), block);
                let anchor = self.anchor(id, place.anchor);
                let mut span = trim_block(self.file, place.span, style);
                if value.is_empty() && style == Style::Plain && place.properties.is_none() {
                    span = after_indicator(self.file, span);
                }
                let mut value = value.as_ref();
                // The parser adds the line break that a text may lack at its end.
                if block && span_ends_text(self.file, place.span) {
                    value = value.strip_suffix('\n').unwrap_or(value);
                }
                let data = Data::Scalar(Scalar { value: value.into(), style });
                let (tag, properties) = (tag_of(tag), place.properties);
                let node = Node { span, properties, alias: None, tag, anchor: None, data };
                self.finish(node, anchor, 1, span)?;
            }
            Event::SequenceStart(id, tag) => self.open(id, tag, span, false)?,
            Event::MappingStart(id, tag) => self.open(id, tag, span, true)?,
            Event::SequenceEnd | Event::MappingEnd => self.close(span)?,
        }
        Ok(())
    }

    /// Notes that the anchor `id`, whose name stands at `name`, has begun.
    fn anchor(&mut self, id: usize, name: Option<Span>) -> Option<(usize, Anchor)> {
        if id == 0 {
            return None;
        }
        if self.anchors.len() <= id {
            self.anchors.resize(id + 1, None);
        }
        self.anchors[id] = None;
        let span = name?;
        let text = self.file.slice(span).trim_start_matches('&');
        Some((id, Anchor { name: text.into(), span }))
    }

    /// Splits an event's place into the node's properties (tag and anchor) and its own text.
    ///
    /// The parser lets a node with properties begin at the first of them, and a block scalar at
    /// its first line of text; incumbents place a block scalar at its `|` or `>`.
    fn place(&mut self, span: Span, has_properties: bool, block: bool) -> Place {
        let text = self.file.text();
        let mut place = Place { span, properties: None, anchor: None };
        let mut at = if block && !has_properties { self.last_end } else { span.start };
        if has_properties || block {
            let mut first = None;
            let mut last = at;
            loop {
                at = skip_blank(text, at, block);
                let rest = &text.as_bytes()[at as usize..];
                let length = match rest.first() {
                    Some(b'!') => tag_length(rest),
                    Some(b'&') => word_length(rest),
                    _ => break,
                };
                if rest[0] == b'&' {
                    place.anchor = Some(Span::new(at, at + length));
                }
                first = first.or(Some(at));
                at += length;
                last = at;
            }
            place.properties = first.map(|first| Span::new(first, last));
            // An empty node ends where its properties end.
            let start = if at <= span.end { at } else { last };
            place.span = Span::new(start, span.end.max(start));
        }
        place
    }

    fn open(
        &mut self,
        id: usize,
        tag: Option<std::borrow::Cow<'_, Tag>>,
        span: Span,
        mapping: bool,
    ) -> Result<(), Error> {
        if self.stack.len() >= self.limits.depth {
            return Err(Error { span, kind: ErrorKind::TooDeep(self.limits.depth) });
        }
        let place = self.place(span, id != 0 || tag.is_some(), false);
        let anchor = self.anchor(id, place.anchor);
        let tag = tag_of(tag);
        self.stack.push(Open {
            start: place.span.start,
            properties: place.properties,
            tag,
            anchor,
            mapping,
            items: Vec::new(),
            weight: 1,
        });
        Ok(())
    }

    fn close(&mut self, span: Span) -> Result<(), Error> {
        let Some(open) = self.stack.pop() else { return Ok(()) };
        let end = self.end_of(&open, span);
        let Open { start, properties, tag, anchor, mapping, items, weight } = open;
        let data = if mapping {
            let mut entries = Vec::with_capacity(items.len() / 2);
            let mut items = items.into_iter();
            while let Some(key) = items.next() {
                // A key without a value happens only where reading ended early.
                let value = items.next().unwrap_or_else(|| empty(key.span.end));
                entries.push(Entry { key, value });
            }
            Data::Mapping(entries.into())
        } else {
            Data::Sequence(items.into())
        };
        let span_of = Span::new(start, end);
        let node = Node { span: span_of, properties, alias: None, tag, anchor: None, data };
        self.finish(node, anchor, weight, span)
    }

    /// Block collections end where their last item ends, flow ones at their bracket.
    fn end_of(&self, open: &Open, span: Span) -> u32 {
        let flow = matches!(
            self.file.text().as_bytes().get(open.start as usize),
            Some(b'[' | b'{') if span.end > span.start
        );
        if flow {
            return span.end;
        }
        open.items.last().map_or(span.start, |item| item.site().end).max(open.start)
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<(), Error> {
        let name: Arc<str> = self.file.slice(span).trim_start_matches('*').into();
        let open = self
            .stack
            .iter()
            .any(|open| open.anchor.as_ref().is_some_and(|(anchor, _)| *anchor == id));
        if open {
            return Err(Error { span, kind: ErrorKind::RecursiveAlias(name) });
        }
        let Some((node, weight)) = self.anchors.get(id).cloned().flatten() else {
            return Err(Error { span, kind: ErrorKind::UnknownAnchor(name) });
        };
        let node = Node { alias: Some(span), ..node };
        self.finish(node, None, weight, span)
    }

    fn finish(
        &mut self,
        mut node: Node,
        anchor: Option<(usize, Anchor)>,
        weight: usize,
        site: Span,
    ) -> Result<(), Error> {
        if let Some((id, anchor)) = anchor {
            node.anchor = Some(anchor);
            self.anchors[id] = Some((node.clone(), weight));
        }
        // Collections were counted item by item, so only their own node is new here; an alias
        // brings everything it names.
        let added =
            if node.alias.is_some() || matches!(node.data, Data::Scalar(_)) { weight } else { 1 };
        self.total = self.total.saturating_add(added);
        match self.stack.last_mut() {
            Some(open) => {
                open.weight = open.weight.saturating_add(weight);
                open.items.push(node);
            }
            None => self.root = Some(node),
        }
        if self.total > self.limits.nodes {
            let kind = ErrorKind::TooManyNodes(self.limits.nodes);
            return Err(Error { span: site, kind });
        }
        Ok(())
    }

    fn end_document(&mut self, span: Span) {
        let root = self.root.take().unwrap_or_else(|| empty(span.start));
        self.documents.push(Document { root });
        self.anchors.clear();
    }

    /// Keeps what was read of a document whose end was not.
    fn close_rest(&mut self) {
        let end = Span::at(self.offsets.length);
        while !self.stack.is_empty() {
            if self.close(end).is_err() {
                self.stack.clear();
            }
        }
        if let Some(root) = self.root.take() {
            self.documents.push(Document { root });
        }
    }
}

fn empty(offset: u32) -> Node {
    let data = Data::Scalar(Scalar { value: "".into(), style: Style::Plain });
    let span = Span::at(offset);
    Node { span, properties: None, alias: None, tag: None, anchor: None, data }
}

/// Returns the offset past blanks, line breaks and comments at `at`, and, before a block
/// scalar's header, past the indicators `:`, `-` and `?`.
fn skip_blank(text: &str, mut at: u32, indicators: bool) -> u32 {
    let bytes = text.as_bytes();
    while let Some(byte) = bytes.get(at as usize) {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => at += 1,
            b':' | b'-' | b'?' if indicators => at += 1,
            b'#' => {
                let rest = &bytes[at as usize..];
                let line = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
                at += line as u32;
            }
            _ => break,
        }
    }
    at
}

/// Returns the length of the anchor or alias at the start of `rest`.
fn word_length(rest: &[u8]) -> u32 {
    let ends = |byte: &u8| byte.is_ascii_whitespace() || b"[]{},".contains(byte);
    rest.iter().position(ends).unwrap_or(rest.len()) as u32
}

/// Returns the length of the tag at the start of `rest`.
fn tag_length(rest: &[u8]) -> u32 {
    if rest.get(1) == Some(&b'<') {
        return rest.iter().position(|byte| *byte == b'>').map_or(rest.len(), |end| end + 1) as u32;
    }
    word_length(rest)
}

/// Places an empty value after its `:`, `-` or `?`, as incumbents do.
fn after_indicator(file: &SourceFile, span: Span) -> Span {
    match file.text().as_bytes().get(span.start as usize) {
        Some(b':' | b'-' | b'?') => Span::at(span.start + 1),
        _ => Span::at(span.start),
    }
}

/// Returns whether `span` reaches the end of a text that has no line break there.
fn span_ends_text(file: &SourceFile, span: Span) -> bool {
    span.end as usize >= file.text().len() && !file.text().ends_with(['\n', '\r'])
}

/// Leaves the line break after a block scalar out of its span.
fn trim_block(file: &SourceFile, span: Span, style: Style) -> Span {
    if !matches!(style, Style::Literal | Style::Folded) {
        return span;
    }
    let trimmed = file.slice(span).trim_end_matches(['\n', '\r', ' ']);
    Span::new(span.start, span.start + trimmed.len() as u32)
}

fn style_of(style: ScalarStyle) -> Style {
    match style {
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::SingleQuoted => Style::SingleQuoted,
        ScalarStyle::DoubleQuoted => Style::DoubleQuoted,
        ScalarStyle::Literal => Style::Literal,
        ScalarStyle::Folded => Style::Folded,
    }
}

fn tag_of(tag: Option<std::borrow::Cow<'_, Tag>>) -> Option<Arc<str>> {
    tag.map(|tag| format!("{}{}", tag.handle, tag.suffix).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Parsed {
        parse(&SourceFile::new("t.yml", text), &Limits { depth: 20, nodes: 1000 })
    }

    fn show(node: &Node) -> String {
        match &node.data {
            Data::Scalar(scalar) => format!("{:?}", scalar.value),
            Data::Sequence(items) => {
                format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", "))
            }
            Data::Mapping(entries) => {
                let pairs: Vec<_> = entries
                    .iter()
                    .map(|entry| format!("{}: {}", show(&entry.key), show(&entry.value)))
                    .collect();
                format!("{{{}}}", pairs.join(", "))
            }
        }
    }

    #[test]
    fn aliases_share_and_remember_their_place() {
        let text = "é: &x [1, 2]\nb: *x\n";
        let parsed = tree(text);
        assert_eq!(parsed.error, None);
        let root = &parsed.documents[0].root;
        assert_eq!(show(root), r#"{"é": ["1", "2"], "b": ["1", "2"]}"#);
        let aliased = root.get("b").expect("b is there");
        let file = SourceFile::new("t.yml", text);
        assert_eq!(file.slice(aliased.span), "[1, 2]");
        assert_eq!(file.slice(aliased.site()), "*x");
        let anchor = aliased.anchor.as_ref().expect("the anchor is kept");
        assert_eq!((&*anchor.name, file.slice(anchor.span)), ("x", "&x"));
    }

    #[test]
    fn hostile_texts_run_into_bounds() {
        let bomb: String = (0..20)
            .map(|n| match n {
                0 => "a0: &a0 [x, x]\n".to_owned(),
                n => format!("a{n}: &a{n} [*a{p}, *a{p}, *a{p}]\n", p = n - 1),
            })
            .collect();
        assert!(matches!(
            tree(&bomb).error.map(|error| error.kind),
            Some(ErrorKind::TooManyNodes(1000))
        ));
        assert!(matches!(
            tree(&"[".repeat(1_000_000)).error.map(|error| error.kind),
            Some(ErrorKind::TooDeep(20))
        ));
        assert!(matches!(
            tree("a: &a [*a]").error.map(|error| error.kind),
            Some(ErrorKind::RecursiveAlias(_))
        ));
    }

    #[test]
    fn what_stands_before_an_error_is_kept() {
        let parsed = tree("a: 1\nb:\n  - x\n  - {y\nc: 2\n");
        assert!(parsed.error.is_some());
        assert!(show(&parsed.documents[0].root).starts_with(r#"{"a": "1", "b": ["x""#));
    }

    #[test]
    fn properties_and_headers_have_their_own_places() {
        let text =
            "a: !!int \"3\"\nb: !!str &x |\n  l\nc: # why\n  &y\n  k: v\nd: >-\n\n  f\ne:\nf: &z\n";
        let parsed = tree(text);
        assert_eq!(parsed.error, None);
        let file = SourceFile::new("t.yml", text);
        let place = |key: &str| {
            let node = parsed.documents[0].root.get(key).expect("the key is there");
            let properties = node.properties.map_or("", |span| file.slice(span));
            (properties, file.slice(node.span), file.position(node.start()).to_string())
        };
        assert_eq!(place("a"), ("!!int", "\"3\"", "1:4".to_owned()));
        assert_eq!(place("b"), ("!!str &x", "|\n  l", "2:4".to_owned()));
        assert_eq!(place("c"), ("&y", "k: v", "5:3".to_owned()));
        assert_eq!(place("d"), ("", ">-\n\n  f", "7:4".to_owned()));
        assert_eq!(place("e"), ("", "", "10:3".to_owned()));
        assert_eq!(place("f"), ("&z", "", "11:4".to_owned()));
        let without_break = tree("a: |\n  x");
        assert_eq!(show(&without_break.documents[0].root), r#"{"a": "x"}"#);
        let unknown = tree("a: *nowhere\n").error.expect("there is no such anchor");
        assert_eq!(unknown.to_string(), "alias `*nowhere` has no anchor before it");
    }
}
