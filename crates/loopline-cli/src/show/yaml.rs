//! YAML as kubectl writes it (`sigs.k8s.io/yaml`): keys in a natural order, lists level with their
//! key, strings quoted where they would be read as something else, long ones folded at 80 columns.

use std::cmp::Ordering;
use std::iter::Peekable;
use std::str::Chars;

use loopline_schema::manifest;
use serde_json::{Map, Value};

/// Where long strings are folded.
const WIDTH: usize = 80;

/// Returns a value as a YAML document.
pub(crate) fn yaml(value: &Value) -> String {
    let mut out = Writer { text: String::new() };
    match value {
        Value::Object(map) if !map.is_empty() => out.mapping(map, 0, true),
        Value::Array(items) if !items.is_empty() => out.sequence(items, 0, true),
        other => {
            out.scalar(other, 0, false);
            out.text.push('\n');
        }
    }
    out.text
}

struct Writer {
    text: String,
}

impl Writer {
    fn indent(&mut self, indent: usize) {
        self.text.extend(std::iter::repeat_n(' ', indent));
    }

    /// Writes a mapping whose first key stands where the text ends, or on a line of its own.
    fn mapping(&mut self, map: &Map<String, Value>, indent: usize, fresh: bool) {
        let mut keys: Vec<&String> = map.keys().collect();
        keys.sort_by(|a, b| natural(a, b));
        for (index, key) in keys.into_iter().enumerate() {
            if index > 0 || fresh {
                self.indent(indent);
            }
            self.string(key, indent, true);
            self.text.push(':');
            match &map[key] {
                Value::Object(inner) if !inner.is_empty() => {
                    self.text.push('\n');
                    self.mapping(inner, indent + 2, true);
                }
                Value::Array(items) if !items.is_empty() => {
                    self.text.push('\n');
                    self.sequence(items, indent, true);
                }
                other => {
                    self.text.push(' ');
                    self.scalar(other, indent, false);
                    self.text.push('\n');
                }
            }
        }
    }

    fn sequence(&mut self, items: &[Value], indent: usize, fresh: bool) {
        for (index, item) in items.iter().enumerate() {
            if index > 0 || fresh {
                self.indent(indent);
            }
            self.text.push_str("- ");
            match item {
                Value::Object(inner) if !inner.is_empty() => self.mapping(inner, indent + 2, false),
                Value::Array(items) if !items.is_empty() => self.sequence(items, indent + 2, false),
                other => {
                    self.scalar(other, indent, false);
                    self.text.push('\n');
                }
            }
        }
    }

    fn scalar(&mut self, value: &Value, indent: usize, key: bool) {
        match value {
            Value::String(text) => self.string(text, indent, key),
            Value::Object(_) => self.text.push_str("{}"),
            Value::Array(_) => self.text.push_str("[]"),
            other => self.text.push_str(&other.to_string()),
        }
    }

    fn string(&mut self, text: &str, indent: usize, key: bool) {
        let analysis = Analysis::of(text);
        if text.contains('\n') {
            if analysis.block && !key {
                return self.literal(text, indent);
            }
            return self.double_quoted(text, indent, key);
        }
        let other = is_sexagesimal(text) || is_date(text) || is_not_finite(text);
        if other || !manifest::is_plain_string(text) {
            return self.double_quoted(text, indent, key);
        }
        if analysis.plain {
            self.folded(text, indent, key);
        } else if analysis.single {
            self.text.push('\'');
            self.folded(&text.replace('\'', "''"), indent, key);
            self.text.push('\'');
        } else {
            self.double_quoted(text, indent, key);
        }
    }

    /// Writes text that may be broken at single spaces.
    fn folded(&mut self, text: &str, indent: usize, key: bool) {
        let mut column = self.column();
        let mut after_space = false;
        let mut chars = text.chars().enumerate().peekable();
        while let Some((index, char)) = chars.next() {
            let next = chars.peek().map(|(_, next)| *next);
            let breaks = char == ' '
                && !key
                && !after_space
                && column > WIDTH
                && index > 0
                && next.is_some_and(|next| next != ' ');
            after_space = char == ' ';
            if breaks {
                self.text.push('\n');
                self.indent(indent + 2);
                column = indent + 2;
            } else {
                self.text.push(char);
                column += 1;
            }
        }
    }

    fn double_quoted(&mut self, text: &str, indent: usize, key: bool) {
        self.text.push('"');
        let mut column = self.column();
        let mut after_space = false;
        let mut chars = text.chars().enumerate().peekable();
        while let Some((index, char)) = chars.next() {
            let last = chars.peek().is_none();
            if char == ' ' && !key && !after_space && column > WIDTH && index > 0 && !last {
                self.text.push('\n');
                self.indent(indent + 2);
                column = indent + 2;
                after_space = true;
                if chars.peek().is_some_and(|(_, next)| *next == ' ') {
                    self.text.push('\\');
                    column += 1;
                }
                continue;
            }
            after_space = char == ' ';
            let before = self.text.len();
            match char {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                '\n' => self.text.push_str("\\n"),
                '\t' => self.text.push_str("\\t"),
                '\r' => self.text.push_str("\\r"),
                '\0' => self.text.push_str("\\0"),
                '\u{7}' => self.text.push_str("\\a"),
                '\u{8}' => self.text.push_str("\\b"),
                '\u{b}' => self.text.push_str("\\v"),
                '\u{c}' => self.text.push_str("\\f"),
                '\u{1b}' => self.text.push_str("\\e"),
                '\u{85}' => self.text.push_str("\\N"),
                '\u{2028}' => self.text.push_str("\\L"),
                '\u{2029}' => self.text.push_str("\\P"),
                other if is_printable(other) => self.text.push(other),
                other => {
                    let code = u32::from(other);
                    let escape = match code {
                        0..=0xff => format!("\\x{code:02X}"),
                        0x100..=0xffff => format!("\\u{code:04X}"),
                        _ => format!("\\U{code:08X}"),
                    };
                    self.text.push_str(&escape);
                }
            }
            column += self.text[before..].chars().count();
        }
        self.text.push('"');
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.text.push('|');
        if text.starts_with([' ', '\n']) {
            self.text.push('2');
        }
        if !text.ends_with('\n') {
            self.text.push('-');
        } else if text.ends_with("\n\n") || text == "\n" {
            self.text.push('+');
        }
        let body = text.strip_suffix('\n').unwrap_or(text);
        for line in body.split('\n') {
            self.text.push('\n');
            if !line.is_empty() {
                self.indent(indent + 2);
                self.text.push_str(line);
            }
        }
    }

    fn column(&self) -> usize {
        self.text.rsplit('\n').next().map_or(0, |line| line.chars().count())
    }
}

/// Which forms of a string say what it is.
struct Analysis {
    plain: bool,
    single: bool,
    block: bool,
}

impl Analysis {
    fn of(text: &str) -> Self {
        let mut indicators = text.starts_with("---") || text.starts_with("...");
        let (mut special, mut space_break, mut break_space) = (false, false, false);
        let mut before: Option<char> = None;
        let mut chars = text.chars().peekable();
        while let Some(char) = chars.next() {
            let blank_follows = chars.peek().is_none_or(|next| matches!(next, ' ' | '\t' | '\n'));
            let first = before.is_none();
            indicators |= match char {
                '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"'
                | '%' | '@' | '`'
                    if first =>
                {
                    true
                }
                '?' | ':' | '-' if first => blank_follows,
                ':' => blank_follows,
                '#' => matches!(before, Some(' ' | '\t' | '\n')),
                _ => false,
            };
            special |= char != '\n' && !is_printable(char);
            space_break |= char == '\n' && before == Some(' ');
            break_space |= char == ' ' && before == Some('\n');
            before = Some(char);
        }
        let ends = |blank: char| (text.starts_with(blank), text.ends_with(blank));
        let (leading_space, trailing_space) = ends(' ');
        let (leading_break, trailing_break) = ends('\n');
        let edges = leading_space || trailing_space || leading_break || trailing_break;
        let odd = space_break || special;
        Self {
            plain: !(indicators || edges || break_space || odd || text.contains('\n')),
            single: !(break_space || odd),
            block: !(trailing_space || odd),
        }
    }
}

/// Returns whether a character stands for itself; those past the basic plane do not.
fn is_printable(char: char) -> bool {
    matches!(char,
        '\n' | ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{d7ff}'
        | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

/// Returns whether YAML reads infinity, or no number.
fn is_not_finite(text: &str) -> bool {
    let bare = text.strip_prefix(['-', '+']).unwrap_or(text);
    matches!(bare, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN")
}

/// Returns whether YAML 1.1 reads a number of base 60: `1:30`.
fn is_sexagesimal(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let mut parts = text.split(':');
    let digits = |part: &str| {
        part.starts_with(|char: char| char.is_ascii_digit())
            && part.chars().all(|char| char.is_ascii_digit() || char == '_')
    };
    if !text.contains(':') || !parts.next().is_some_and(digits) {
        return false;
    }
    let rest: Vec<&str> = parts.collect();
    rest.iter().enumerate().all(|(index, part)| {
        let last = index + 1 == rest.len();
        let whole = if last { part.split('.').next().unwrap_or(part) } else { part };
        let sixty = whole.parse::<u8>().is_ok_and(|number| number < 60) && whole.len() <= 2;
        sixty && part.chars().all(|char| char.is_ascii_digit() || matches!(char, '.' | '_'))
    })
}

/// Returns whether YAML 1.1 reads a date or a time.
fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() < 8 || !bytes[..4].iter().all(u8::is_ascii_digit) || bytes[4] != b'-' {
        return false;
    }
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some(text[at + 1..].trim_start())),
        None => (text, None),
    };
    let parts: Vec<&str> = date.split('-').collect();
    let number = |part: &str| (1..=2).contains(&part.len()).then(|| part.parse::<u8>().ok())?;
    let day = match parts.as_slice() {
        [_, month, day] => {
            number(month).is_some_and(|month| (1..=12).contains(&month))
                && number(day).is_some_and(|day| (1..=31).contains(&day))
        }
        _ => false,
    };
    day && time.is_none_or(|time| {
        let clock: String =
            time.chars().take_while(|char| char.is_ascii_digit() || *char == ':').collect();
        clock.split(':').count() == 3
    })
}

/// Orders keys as the writer of kubectl does: numbers in names by their value.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a.chars().peekable(), b.chars().peekable());
    let mut digits_before = false;
    loop {
        let (Some(x), Some(y)) = (left.peek().copied(), right.peek().copied()) else {
            return a.chars().count().cmp(&b.chars().count());
        };
        if x == y {
            digits_before = x.is_ascii_digit() && (digits_before || x != '0');
            left.next();
            right.next();
            continue;
        }
        return match (x.is_alphabetic(), y.is_alphabetic()) {
            (true, true) => x.cmp(&y),
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => {
                // A number that goes on is compared by its length first, a zero is part of it.
                let lead = u64::from((x == '0' || y == '0') && digits_before);
                let (one, one_length) = number(&mut left, lead);
                let (other, other_length) = number(&mut right, lead);
                one.cmp(&other).then(one_length.cmp(&other_length)).then(x.cmp(&y))
            }
        };
    }
}

fn number(chars: &mut Peekable<Chars<'_>>, lead: u64) -> (u64, usize) {
    let (mut value, mut length) = (lead, 0);
    while let Some(digit) = chars.peek().and_then(|char| char.to_digit(10)) {
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
        length += 1;
        chars.next();
    }
    (value, length)
}

#[cfg(test)]
mod tests {
    use loopline_source::SourceFile;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let long = "word ".repeat(60);
        let value = json!({
            "a10": 1, "a2": [1.5, true, null, {}, [], [[1], {"x": "y"}]],
            "plain": "hello world", "colon": "a: b", "number": "0123", "yes": "yes", "date": "2024-01-01",
            "sixty": "1:30", "lines": "a\n  b\nc\n", "no end": "a\nb", "many": "a\n\n", "first": "  a\nb\n",
            "tab": "a\tb", "trailing": "x ", "quote": "it's", "'": "'x'", "hash": "a #b", "dash": "- x",
            "long": long.trim(), "long colon": format!("x: {}", long.trim()), "control": "\u{1}\u{1f600}",
            "space break": "a \nb", "empty": "", "star": "*x", "break": "\n", "url": "http://x:80/y",
        });
        let text = yaml(&value);
        let read = manifest::from_yaml(&SourceFile::new("x", text.as_str())).unwrap();
        assert_eq!(read[0].value, value, "{text}");
        let keys: Vec<&str> = text.lines().filter(|line| line.starts_with('a')).collect();
        assert_eq!(keys, ["a2:", "a10: 1"]);
    }
}
