//! Fuzz targets of the YAML tree, bounded so that they run with the other tests.
//!
//! `cargo test` makes up a few thousand inputs; `cargo bolero test` goes on.

use bolero::check;
use loopline_source::yaml::{self, Data, Limits, Node};
use loopline_source::{SourceFile, Span};

/// How many inputs one run makes up.
const ITERATIONS: usize = 4_000;
/// How long a made-up input is, in bytes.
const MAX_LENGTH: usize = 2_048;
const LIMITS: Limits = Limits { depth: 30, nodes: 5_000 };

/// Pieces that meet in real and in hostile YAML.
const PIECES: [&str; 40] = [
    "a",
    "b: ",
    ": ",
    "- ",
    "? ",
    "\n",
    "\n  ",
    "\n    ",
    "\t",
    "\r\n",
    "&x ",
    "*x",
    "&y ",
    "*y",
    "!!str ",
    "!<tag:x> ",
    "! ",
    "|\n",
    ">-\n",
    "|2\n",
    "'",
    "\"",
    "[",
    "]",
    "{",
    "}",
    ", ",
    "#c",
    " #c\n",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "<<: ",
    "é",
    "\u{feff}",
    "\u{85}",
    "\\x",
    "~",
    "1e3",
    "null",
];

#[test]
fn any_text_is_read_or_refused() {
    check!().with_iterations(ITERATIONS).with_max_len(MAX_LENGTH).for_each(|input: &[u8]| {
        read(&String::from_utf8_lossy(input));
    });
}

#[test]
fn any_arrangement_of_pieces_is_read_or_refused() {
    check!().with_iterations(ITERATIONS).with_max_len(256).for_each(|input: &[u8]| {
        let piece = |byte: &u8| PIECES[usize::from(*byte) % PIECES.len()];
        read(&input.iter().map(piece).collect::<String>());
    });
}

#[test]
fn kept_inputs_are_read_or_refused() {
    for text in [
        "",
        "\u{feff}a: 1",
        "a: &a\nb: *a",
        "&a",
        "!!str",
        "- &a !!map\n- *a",
        "? |\n  x\n: >\n y",
        "a: 1\r\nb: 2\r",
        "a:\tb",
        "\ta: b",
        "a: 1\na: 2",
        "<<: {a: 1}\na: 2",
        "a: 'x\n  y'",
        "[a, [b, {c: d",
        "a: \"\\ud800\"",
        "--- a\n--- b\n",
        "é: &é ü\nb: *é\n",
        "a: !<x",
        "a: &",
    ] {
        read(text);
    }
}

/// Reads a text within bounds and checks what every tree must hold to.
fn read(text: &str) {
    let file = SourceFile::new("fuzz.yml", text);
    let parsed = yaml::parse(&file, &LIMITS);
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    let within = |span: Span| span.start <= span.end && span.end <= length;
    if let Some(error) = &parsed.error {
        assert!(within(error.span), "{error:?} in {text:?}");
        assert!(!error.to_string().is_empty());
    }
    let mut open: Vec<(&Node, usize)> =
        parsed.documents.iter().map(|document| (&document.root, 0)).collect();
    while let Some((node, depth)) = open.pop() {
        assert!(within(node.span), "{node:?} in {text:?}");
        assert!(within(node.site()) && node.start() <= node.span.end, "{node:?} in {text:?}");
        if let Some(anchor) = &node.anchor {
            assert!(file.slice(anchor.span).starts_with('&'), "{node:?} in {text:?}");
        }
        // An alias may bring a collection that is itself as deep as allowed.
        assert!(depth <= LIMITS.nodes);
        match &node.data {
            Data::Scalar(_) => {}
            Data::Sequence(items) => open.extend(items.iter().map(|item| (item, depth + 1))),
            Data::Mapping(entries) => {
                for entry in entries.iter() {
                    open.extend([(&entry.key, depth + 1), (&entry.value, depth + 1)]);
                }
            }
        }
    }
}
