//! Any text is read or refused; nothing panics.

use std::fmt::Write as _;

use bolero::check;
use loopline_formats::dockerfile::ignore::Patterns;
use loopline_formats::dockerfile::mount;
use loopline_formats::dockerfile::word::{Lexer, NoVariables};

use super::SEEDS;
use super::lossless::prove;

/// How many inputs one run makes up.
const ITERATIONS: usize = 2_000;
/// How long a made-up input is, in bytes.
const MAX_LENGTH: usize = 4_096;

#[test]
fn any_text_is_read_or_refused() {
    check!().with_iterations(ITERATIONS).with_max_len(MAX_LENGTH).for_each(|input: &[u8]| {
        prove(&String::from_utf8_lossy(input));
    });
}

/// Lines of real files in any order reach deeper than random bytes.
#[test]
fn any_arrangement_of_lines_is_read_or_refused() {
    let lines: Vec<&str> = SEEDS.iter().flat_map(|seed| seed.split_inclusive('\n')).collect();
    check!().with_iterations(ITERATIONS).with_max_len(256).for_each(|input: &[u8]| {
        prove(
            &input.iter().map(|byte| lines[usize::from(*byte) % lines.len()]).collect::<String>(),
        );
    });
}

#[test]
fn any_word_is_expanded_or_refused() {
    const ALPHABET: &[u8] = b"${}$:-+?#%/\\'\"ab*`<- ";
    check!().with_iterations(ITERATIONS).with_max_len(64).for_each(|input: &[u8]| {
        let word: String = input
            .iter()
            .map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]))
            .collect();
        for escape in ['\\', '`'] {
            for bits in 0..16 {
                let lexer = Lexer {
                    escape,
                    raw_quotes: bits & 1 != 0,
                    raw_escapes: bits & 2 != 0,
                    ignore_quotes: bits & 4 != 0,
                    keep_unset: bits & 8 != 0,
                };
                let _ = lexer.expand(&word, &NoVariables);
            }
        }
    });
}

#[test]
fn any_mount_and_pattern_is_read_or_refused() {
    const ALPHABET: &[u8] = b"type=cachsr,\"[]^-\\*?!/.#0m\n ";
    check!().with_iterations(ITERATIONS).with_max_len(64).for_each(|input: &[u8]| {
        let text: String = input
            .iter()
            .map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]))
            .collect();
        let _ = mount::parse(&text, &mut |value| Ok(value.to_owned()));
        if let Ok(patterns) = Patterns::parse(&text) {
            let _ = patterns.matches("a/b/c");
        }
    });
}

/// Files that are large in one way each: what they cost must not grow with the square.
#[test]
fn large_files_are_read_checked_and_planned() {
    let many = |part: &str, count: usize| part.repeat(count);
    let pairs: String = (0..50_000).fold(String::new(), |mut text, number| {
        let _infallible = write!(text, " a{number}=$a{}", number + 1);
        if number % 1_000 == 0 {
            text.push_str(" \\\n");
        }
        text
    });
    let stages: String = (0..2_000).fold(String::new(), |mut text, number| {
        let _infallible = write!(text, "FROM a:1 AS s{number}\nCOPY --from=t{number} x.tar y\n");
        text
    });
    for text in [
        format!("FROM a:1\nENV{pairs}\n"),
        format!("FROM scratch\nCOPY {} /\n", many("$abc x.tar \\\n", 50_000)),
        stages,
        format!(
            "FROM a:1\n{}",
            many("COPY x.tar /\nRUN tar xf x.tar | rm -rf /root/.cache\n", 2_000)
        ),
        format!("FROM a:1\nRUN {}\n", many("apt-get install a && \\\n", 50_000)),
        format!("FROM a:1\nRUN {}\n", many("$(( \"`' ${x \\\n", 20_000)),
        format!("FROM a:1\n{}RUN x\n", many("# hadolint ignore=DL3008\n", 20_000)),
        format!("FROM a:1\n{}", many("RUN <<E\n", 5_000)),
        many("FROM a:1\n", 20_000),
    ] {
        prove(&text);
    }
}
