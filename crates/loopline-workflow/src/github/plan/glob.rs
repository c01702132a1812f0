//! The filter patterns of `on`: `*`, `**`, `?`, `+`, `[...]` and `!`.

use regex::Regex;

use crate::github::model::Text;

/// Returns the last pattern that matches `name`, and whether it accepts (`!` rejects). Patterns
/// that cannot be read match nothing; the reader and the checks report them.
pub(super) fn last_match<'a>(patterns: &'a [Text], name: &str) -> Option<(&'a Text, bool)> {
    patterns.iter().rev().find_map(|pattern| {
        let (text, accepts) = match pattern.strip_prefix('!') {
            Some(rest) => (rest, false),
            None => (&*pattern.value, true),
        };
        to_regex(text)?.is_match(name).then_some((pattern, accepts))
    })
}

fn to_regex(pattern: &str) -> Option<Regex> {
    let mut text = String::from("^(?s:");
    let mut rest = pattern.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '*' if rest.peek() == Some(&'*') => {
                rest.next();
                if rest.peek() == Some(&'/') {
                    rest.next();
                    text.push_str("(?:.*/)?");
                } else {
                    text.push_str(".*");
                }
            }
            '*' => text.push_str("[^/]*"),
            '?' | '+' => text.push(character),
            '[' => {
                text.push('[');
                for inner in rest.by_ref() {
                    if inner == ']' {
                        break;
                    }
                    if inner != '-' {
                        text.push_str(&regex::escape(inner.encode_utf8(&mut [0; 4])));
                    } else {
                        text.push('-');
                    }
                }
                text.push(']');
            }
            '\\' => {
                let escaped = rest.next().unwrap_or('\\');
                text.push_str(&regex::escape(escaped.encode_utf8(&mut [0; 4])));
            }
            other => text.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    text.push_str(")$");
    Regex::new(&text).ok()
}
