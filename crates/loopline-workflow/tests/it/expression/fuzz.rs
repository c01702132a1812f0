//! Whatever the text: parsing and evaluating end, and do not panic.

use loopline_workflow::github::expression::{
    ParseOptions, calls_status_function, evaluate, evaluate_traced, from_json_text, named_values,
    parse,
};

use super::contexts;

/// How many texts are tried in a test run; a fuzzer goes on.
const ITERATIONS: usize = 20_000;
/// How long a text is at most, in bytes.
const MAX_LENGTH: usize = 200;

/// Parts that make texts more likely to be expressions than bytes would be.
const WORDS: [&str; 48] = [
    "github",
    "env",
    "foo",
    ".",
    "[",
    "]",
    "(",
    ")",
    ",",
    "*",
    "!",
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "&&",
    "||",
    "'",
    "''",
    "'a'",
    "'B'",
    "1",
    "-1.5",
    "0x1F",
    "0o17",
    "1e400",
    "NaN",
    "Infinity",
    "true",
    "false",
    "null",
    " ",
    "\n",
    "contains(",
    "format('{0}{1}',",
    "join(",
    "toJSON(",
    "fromJSON('",
    "[1,{\"a\":2}]')",
    "case(",
    "startsWith(",
    "endsWith(",
    "success()",
    "${{",
    "}}",
    "ſ😊ß",
];

fn exercise(text: &str) {
    let scope =
        contexts(r#"{"github": {"a": [1, {"b": "c"}, [null]]}, "env": {"B": "é"}, "foo": "x"}"#);
    for options in [ParseOptions::default(), ParseOptions::syntax_only()] {
        match parse(text, &options) {
            Ok(expression) => {
                let value = evaluate(&expression, &scope);
                let (traced, trace) = evaluate_traced(&expression, &scope);
                assert_eq!(value.is_ok(), traced.is_ok());
                assert!(!trace.to_string().is_empty());
                calls_status_function(&expression);
                for value in named_values(&expression) {
                    assert!(
                        text[value.span].to_lowercase().contains(&value.context.to_lowercase())
                    );
                }
            }
            Err(error) => {
                assert!(error.offset <= text.len());
                assert!(!error.to_string().is_empty() && !error.language_service_text().is_empty());
            }
        }
    }
    let _value = from_json_text(text);
}

#[test]
fn bytes_never_panic() {
    bolero::check!()
        .with_iterations(ITERATIONS)
        .with_max_len(MAX_LENGTH)
        .for_each(|bytes: &[u8]| exercise(&String::from_utf8_lossy(bytes)));
}

#[test]
fn words_never_panic() {
    bolero::check!().with_iterations(ITERATIONS).with_max_len(MAX_LENGTH).for_each(
        |bytes: &[u8]| {
            let text: String =
                bytes.iter().map(|byte| WORDS[usize::from(*byte) % WORDS.len()]).collect();
            exercise(&text);
        },
    );
}

#[test]
fn seeds_never_panic() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/expression");
    let seeds = crate::files(folder.as_ref(), "txt");
    assert!(!seeds.is_empty(), "the seed corpus is kept in {folder}");
    for seed in seeds {
        for line in fs_err::read_to_string(seed).expect("seeds are UTF-8").lines() {
            exercise(line);
        }
    }
}

#[test]
fn extremes_end_quickly() {
    for text in [
        "(".repeat(20_999),
        format!("{}1{}", "(".repeat(10_000), ")".repeat(10_000)),
        "!".repeat(20_999),
        "[".repeat(20_999),
        format!("github{}", ".a".repeat(10_000)),
        format!("github{}", "[*]".repeat(6_000)),
        format!("1{}", "&&1".repeat(6_999)),
        format!("{}1{}", "(1&&".repeat(4_000), ")".repeat(4_000)),
        format!("{}1", "1==".repeat(6_000)),
        format!("{}1{}", "toJSON(".repeat(2_000), ")".repeat(2_000)),
        "'".repeat(20_999),
        "1".repeat(20_999),
        "a".repeat(22_000),
        "${{".repeat(100_000),
        "[".repeat(1_000_000),
        format!("format('{}')", "{0}".repeat(6_000)),
    ] {
        exercise(&text);
    }
}
