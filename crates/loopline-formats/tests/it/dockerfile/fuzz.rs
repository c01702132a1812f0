//! Any text is read or refused; nothing panics.

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
