//! The exec form: a JSON array of strings, with the place of each.
//!
//! Not a JSON array is no mistake here (the line is then the shell form), so the reader has to
//! accept exactly what Go's does.

use std::ops::Range;

/// How deep arrays and objects may nest, as in Go's reader.
const MAX_DEPTH: usize = 10_000;

/// What a text is, read as JSON.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// An array of strings, decoded, and where each stands with its quotes.
    Strings(Vec<(String, Range<usize>)>),
    /// An array that holds something else.
    Others,
    /// No array, or not JSON.
    Not,
}

/// Reads `text`, which may end with space.
pub(super) fn array(text: &str) -> Read {
    let mut reader = Reader { bytes: text.as_bytes(), text, at: 0 };
    reader.array().filter(|_| reader.at == text.len()).unwrap_or(Read::Not)
}

struct Reader<'a> {
    bytes: &'a [u8],
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn array(&mut self) -> Option<Read> {
        self.take(b'[')?;
        let mut strings = Vec::new();
        let mut others = false;
        self.space();
        if self.take(b']').is_none() {
            loop {
                self.space();
                let start = self.at;
                if self.peek() == Some(b'"') {
                    let text = self.string()?;
                    strings.push((text, start..self.at));
                } else {
                    others = true;
                    self.value()?;
                }
                self.space();
                if self.take(b',').is_none() {
                    self.take(b']')?;
                    break;
                }
            }
        }
        self.space();
        Some(if others { Read::Others } else { Read::Strings(strings) })
    }

    /// Skips one value. Nesting is counted, not recursed into.
    fn value(&mut self) -> Option<()> {
        let mut open: Vec<u8> = Vec::new();
        loop {
            self.space();
            match self.peek()? {
                opening @ (b'[' | b'{') => {
                    self.at += 1;
                    if open.len() >= MAX_DEPTH {
                        return None;
                    }
                    open.push(opening + 2);
                    self.space();
                    if self.take(opening + 2).is_none() {
                        if opening == b'{' {
                            self.key()?;
                        }
                        continue;
                    }
                    open.pop();
                }
                b'"' => drop(self.string()?),
                b't' => self.literal("true")?,
                b'f' => self.literal("false")?,
                b'n' => self.literal("null")?,
                _ => self.number()?,
            }
            // After a value: the end of what is open, or the next value in it.
            loop {
                let Some(closing) = open.last().copied() else { return Some(()) };
                self.space();
                if self.take(b',').is_some() {
                    if closing == b'}' {
                        self.key()?;
                    }
                    break;
                }
                self.take(closing)?;
                open.pop();
            }
        }
    }

    fn key(&mut self) -> Option<()> {
        self.space();
        self.string()?;
        self.space();
        self.take(b':')
    }

    fn string(&mut self) -> Option<String> {
        self.take(b'"')?;
        let mut text = String::new();
        loop {
            let c = self.text[self.at..].chars().next()?;
            self.at += c.len_utf8();
            match c {
                '"' => return Some(text),
                '\\' => text.push(self.escaped()?),
                '\0'..='\u{1f}' => return None,
                _ => text.push(c),
            }
        }
    }

    fn escaped(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(match c {
            b'"' | b'\\' | b'/' => char::from(c),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.hexadecimal()?;
                if !(0xd800..0xe000).contains(&first) {
                    return char::from_u32(first);
                }
                // A half that has no other half is replaced, as Go does.
                let at = self.at;
                if first < 0xdc00
                    && self.take(b'\\').is_some()
                    && self.take(b'u').is_some()
                    && let Some(second @ 0xdc00..0xe000) = self.hexadecimal()
                {
                    return char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00));
                }
                self.at = at;
                char::REPLACEMENT_CHARACTER
            }
            _ => return None,
        })
    }

    fn hexadecimal(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        self.at += 4;
        u32::from_str_radix(digits, 16).ok()
    }

    fn number(&mut self) -> Option<()> {
        self.take(b'-');
        if self.take(b'0').is_none() {
            self.digits()?;
        }
        if self.take(b'.').is_some() {
            self.digits()?;
        }
        if self.take(b'e').or_else(|| self.take(b'E')).is_some() {
            self.take(b'+').or_else(|| self.take(b'-'));
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn literal(&mut self, word: &str) -> Option<()> {
        let end = self.at + word.len();
        (self.bytes.get(self.at..end)? == word.as_bytes()).then(|| self.at = end)
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek() == Some(byte)).then(|| self.at += 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(text: &str) -> Option<Vec<String>> {
        match array(text) {
            Read::Strings(strings) => Some(strings.into_iter().map(|(text, _)| text).collect()),
            Read::Others | Read::Not => None,
        }
    }

    #[test]
    fn arrays_of_strings_are_decoded() {
        assert_eq!(strings("[]"), Some(vec![]));
        assert_eq!(strings(r#"[ "a" , "\u00e9\n" ]  "#), Some(vec!["a".into(), "é\n".into()]));
        assert_eq!(strings(r#"["\ud83d\ude00","\ud83d","\ud83dx"]"#).expect("an array")[0], "😀");
        assert_eq!(strings(r#"["\ud83dx"]"#), Some(vec!["\u{fffd}x".into()]));
    }

    #[test]
    fn what_is_no_array_is_told_from_what_holds_other_things() {
        for text in ["", "x", "[", "['a']", "[\"a\"", "[\"a\"] x", "[\"a\",]", "[01]", "[{1:2}]"] {
            assert_eq!(array(text), Read::Not, "{text}");
        }
        for text in ["[1]", "[null]", "[[\"a\"]]", "[\"a\", {\"b\": [-1.5e+3, true]}]", "[{}, []]"]
        {
            assert_eq!(array(text), Read::Others, "{text}");
        }
        assert_eq!(array(&"[".repeat(100_000)), Read::Not);
    }
}
