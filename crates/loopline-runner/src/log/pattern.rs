//! Translates the regular expressions of problem matchers into the `regex` crate's dialect.
//!
//! They are written for .NET's ECMAScript mode. What that mode shares with linear-time engines
//! is translated; what needs backtracking (look-around, back-references) is refused by name, so
//! that no line of output can stall a run. The result never matches across a line end, which
//! lets many lines be searched at once.

use regex::bytes::{Regex, RegexBuilder};

/// How large a compiled expression may get, in bytes.
const MAX_COMPILED_BYTES: usize = 4 * 1024 * 1024;
/// How long an expression may be, in bytes.
const MAX_PATTERN_BYTES: usize = 8 * 1024;

/// Why an expression cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PatternError {
    /// The expression needs a backtracking engine.
    #[error("uses {0}, which needs unbounded time and is not supported")]
    Backtracking(&'static str),
    /// The expression is longer than any real one.
    #[error("is longer than {MAX_PATTERN_BYTES} bytes")]
    TooLong,
    /// The expression is not well-formed.
    #[error("is not well-formed")]
    Invalid(#[from] Box<regex::Error>),
}

/// Compiles an expression to search one line, or many lines at once.
pub(super) fn compile(pattern: &str) -> Result<Regex, PatternError> {
    Ok(build(&translate(pattern)?)?)
}

/// Compiles an expression that matches where any of `translated` does; nothing if there is none
/// or they are too large together.
pub(super) fn any(translated: &[String]) -> Option<Regex> {
    if translated.is_empty() {
        return None;
    }
    let parts: Vec<String> = translated.iter().map(|part| format!("(?:{part})")).collect();
    build(&parts.join("|")).ok()
}

fn build(translated: &str) -> Result<Regex, Box<regex::Error>> {
    RegexBuilder::new(translated)
        .multi_line(true)
        .size_limit(MAX_COMPILED_BYTES)
        .build()
        .map_err(Box::new)
}

/// Rewrites an expression; the groups keep their numbers.
pub(super) fn translate(pattern: &str) -> Result<String, PatternError> {
    if pattern.len() > MAX_PATTERN_BYTES {
        return Err(PatternError::TooLong);
    }
    let mut out = String::with_capacity(pattern.len() + 16);
    let chars: Vec<char> = pattern.chars().collect();
    let mut at = 0;
    while let Some(&char) = chars.get(at) {
        match char {
            '\\' => at = escape(&chars, at, &mut out, false)?,
            '[' => at = class(&chars, at, &mut out)?,
            '(' => {
                refuse_group(&chars[at..])?;
                out.push('(');
                at += 1;
            }
            '{' if !is_repetition(&chars[at..]) => {
                out.push_str("\\{");
                at += 1;
            }
            '}' if !out_has_open_repetition(&chars[..at]) => {
                out.push_str("\\}");
                at += 1;
            }
            ']' => {
                out.push_str("\\]");
                at += 1;
            }
            '\n' | '\r' => {
                out.push_str("[a&&b]");
                at += 1;
            }
            _ => {
                out.push(char);
                at += 1;
            }
        }
    }
    Ok(out)
}

fn refuse_group(rest: &[char]) -> Result<(), PatternError> {
    let starts = |text: &str| text.chars().enumerate().all(|(i, char)| rest.get(i) == Some(&char));
    if starts("(?=") || starts("(?!") {
        return Err(PatternError::Backtracking("look-ahead"));
    }
    if starts("(?<=") || starts("(?<!") {
        return Err(PatternError::Backtracking("look-behind"));
    }
    if starts("(?>") {
        return Err(PatternError::Backtracking("an atomic group"));
    }
    if starts("(?(") {
        return Err(PatternError::Backtracking("a conditional group"));
    }
    Ok(())
}

/// Returns whether `{` begins `{n}`, `{n,}` or `{n,m}`.
fn is_repetition(rest: &[char]) -> bool {
    let Some(end) = rest.iter().position(|char| *char == '}') else { return false };
    let inside: String = rest[1..end].iter().collect();
    let (least, most) = inside.split_once(',').unwrap_or((&inside, ""));
    !least.is_empty() && [least, most].iter().all(|n| n.chars().all(|c| c.is_ascii_digit()))
}

/// Returns whether a `}` at this place closes a repetition.
fn out_has_open_repetition(before: &[char]) -> bool {
    let Some(open) = before.iter().rposition(|char| *char == '{') else { return false };
    let mut rest = before[open..].to_vec();
    rest.push('}');
    is_repetition(&rest) && (open == 0 || before[open - 1] != '\\')
}

/// Translates what begins with the backslash at `at`; returns where it ends.
fn escape(
    chars: &[char],
    at: usize,
    out: &mut String,
    in_class: bool,
) -> Result<usize, PatternError> {
    let Some(&char) = chars.get(at + 1) else {
        out.push_str("\\\\");
        return Ok(at + 1);
    };
    let ended = at + 2;
    let replacement = match (char, in_class) {
        ('d', false) => "[0-9]",
        ('d', true) => "0-9",
        ('D', false) => r"[^0-9\n]",
        ('D', true) => "[^0-9]",
        ('w', false) => "[0-9A-Za-z_]",
        ('w', true) => "0-9A-Za-z_",
        ('W', false) => r"[^0-9A-Za-z_\n]",
        ('W', true) => "[^0-9A-Za-z_]",
        // A line has no line end, so white space need not match one.
        ('s', _) => r"[ \t\x0B\x0C\r\u{a0}\u{feff}]",
        ('S', false) => r"[^ \t\x0B\x0C\r\u{a0}\u{feff}\n]",
        ('S', true) => r"[^ \t\x0B\x0C\r\u{a0}\u{feff}]",
        ('b', false) => r"(?-u:\b)",
        ('B', false) => r"(?-u:\B)",
        ('b', true) => r"\x08",
        ('n', false) => "[a&&b]",
        ('n', true) => r"\n",
        ('e', _) => r"\x1B",
        ('0', _) => r"\x00",
        ('v', _) => r"\x0B",
        ('t' | 'r' | 'f' | 'a', _) => {
            out.push('\\');
            out.push(char);
            return Ok(ended);
        }
        ('A', false) => r"(?-m:^)",
        ('Z' | 'z', false) => "$",
        ('G', false) => return Err(PatternError::Backtracking(r"`\G`")),
        ('1'..='9' | 'k', false) => return Err(PatternError::Backtracking("a back-reference")),
        ('x', _) => return Ok(code_point(chars, ended, 2, 'x', out)),
        ('u', _) => return Ok(code_point(chars, ended, 4, 'u', out)),
        ('c', _) => {
            let Some(letter) = chars.get(ended).filter(|char| char.is_ascii_alphabetic()) else {
                out.push('c');
                return Ok(ended);
            };
            let code = u32::from(letter.to_ascii_uppercase()) - 64;
            out.push_str(&format!("\\x{code:02X}"));
            return Ok(ended + 1);
        }
        ('p' | 'P', _) => {
            out.push('\\');
            out.push(char);
            return Ok(ended);
        }
        _ => {
            push_literal(char, out);
            return Ok(ended);
        }
    };
    out.push_str(replacement);
    Ok(ended)
}

fn code_point(chars: &[char], at: usize, digits: usize, letter: char, out: &mut String) -> usize {
    let hex: String =
        chars.iter().skip(at).take(digits).take_while(|char| char.is_ascii_hexdigit()).collect();
    if hex.len() == digits {
        out.push_str(&format!("\\x{{{hex}}}"));
        at + digits
    } else {
        push_literal(letter, out);
        at
    }
}

fn push_literal(char: char, out: &mut String) {
    if char.is_ascii_punctuation() && !matches!(char, '<' | '>') {
        out.push('\\');
    }
    out.push(char);
}

/// Translates the class that begins at `at`; returns where it ends.
fn class(chars: &[char], at: usize, out: &mut String) -> Result<usize, PatternError> {
    let negated = chars.get(at + 1) == Some(&'^');
    let mut index = at + 1 + usize::from(negated);
    match (negated, chars.get(index) == Some(&']')) {
        // `[]` matches nothing and `[^]` anything.
        (false, true) => {
            out.push_str("[a&&b]");
            return Ok(index + 1);
        }
        (true, true) => {
            out.push('.');
            return Ok(index + 1);
        }
        _ => {}
    }
    out.push_str(if negated { "[^\\n" } else { "[[" });
    while let Some(&char) = chars.get(index) {
        match char {
            ']' => {
                out.push_str(if negated { "]" } else { "]&&[^\\n]]" });
                return Ok(index + 1);
            }
            '\\' => index = escape(chars, index, out, true)?,
            '-' if chars.get(index + 1).is_some_and(|next| *next != ']')
                && out.ends_with(|last: char| last.is_alphanumeric())
                && chars.get(index + 1).is_none_or(|next| *next != '[') =>
            {
                out.push('-');
                index += 1;
            }
            '[' | '&' | '~' | '^' | '-' => {
                // A range such as `+-/` needs its hyphen; one at an edge is itself.
                let is_range = char == '-'
                    && index > at + 1 + usize::from(negated)
                    && chars.get(index + 1).is_some_and(|next| *next != ']');
                if !is_range {
                    out.push('\\');
                }
                out.push(char);
                index += 1;
            }
            _ => {
                out.push(char);
                index += 1;
            }
        }
    }
    // Never closed: let the engine name the fault.
    Ok(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pattern: &str, line: &str) -> bool {
        compile(pattern).unwrap().is_match(line.as_bytes())
    }

    #[test]
    fn matches_like_ecmascript() {
        for (pattern, line, expected) in [
            (r"^(.+):\sline\s(\d+)$", "a.js: line 5", true),
            (r"^\d+$", "٣", false),
            (r"[^[]\]", "a]", true),
            (r"[\w-]+@[\w.-]+", "a-b@c.d", true),
            (r"^[\s\S]*$", "anything at all", true),
            (r"a{2}b{", "aab{", true),
            (r"{x}", "{x}", true),
            (r"\/src\/", "/src/", true),
            (r"\<a\>", "<a>", true),
            (r"[a&&b]", "&", true),
            (r"\u0041\x42", "AB", true),
            (r"[^]x", "?x", true),
            (r"\u00e4", "ä", true),
            (
                r"^\s+(\d+):(\d+)\s+(error|warning|info)\s+(.*)\s\s+(.*)$",
                "  1:2  error  no  x",
                true,
            ),
            (r"(?<name>a)", "a", true),
            (r"[+-]?\d", "-5", true),
            (r"[a\-z]", "-", true),
            (r"[\d-x]", "-", true),
        ] {
            assert_eq!(found(pattern, line), expected, "{pattern} on {line}");
        }
    }

    #[test]
    fn never_matches_across_lines() {
        for pattern in
            [r"a[^b]c", r"a\sc", r"a\Wc", r"a[\s\S]c", r"a\nc", r"a[^]c", r"a.c", r"a\Dc"]
        {
            assert!(!found(pattern, "a\nc"), "{pattern}");
        }
    }

    #[test]
    fn refuses_what_needs_backtracking() {
        for pattern in ["(?=a)", "(?!a)", "(?<=a)", "(?<!a)", r"(a)\1", "(?>a)", "(?(1)a|b)"] {
            assert!(matches!(compile(pattern), Err(PatternError::Backtracking(_))), "{pattern}");
        }
        assert!(matches!(compile("(a"), Err(PatternError::Invalid(_))));
        assert!(matches!(compile("[a"), Err(PatternError::Invalid(_))));
    }
}
