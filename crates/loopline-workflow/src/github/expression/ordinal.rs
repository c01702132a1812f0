//! Strings compared without regard to case, as .NET's `OrdinalIgnoreCase` does it: one character
//! at a time, in upper case, in the order of UTF-16.

use std::borrow::Cow;
use std::cmp::Ordering;

/// Returns whether two strings are equal but for case.
pub fn equals_ignore_case(left: &str, right: &str) -> bool {
    if left.is_ascii() && right.is_ascii() {
        return left.eq_ignore_ascii_case(right);
    }
    left.chars().map(upper).eq(right.chars().map(upper))
}

/// Compares two strings but for case.
pub fn compare_ignore_case(left: &str, right: &str) -> Ordering {
    left.chars().map(|it| utf16_key(upper(it))).cmp(right.chars().map(|it| utf16_key(upper(it))))
}

/// Returns whether `text` contains `part` but for case, in linear time.
pub fn contains_ignore_case(text: &str, part: &str) -> bool {
    text.contains(part) || (!part.is_empty() && fold(text).contains(&*fold(part)))
}

/// Returns whether `text` begins with `part` but for case.
pub(super) fn starts_with_ignore_case(text: &str, part: &str) -> bool {
    prefix(text.chars(), part.chars())
}

/// Returns whether `text` ends with `part` but for case.
pub(super) fn ends_with_ignore_case(text: &str, part: &str) -> bool {
    prefix(text.chars().rev(), part.chars().rev())
}

fn prefix(mut text: impl Iterator<Item = char>, part: impl Iterator<Item = char>) -> bool {
    part.map(upper).all(|expected| text.next().map(upper) == Some(expected))
}

/// Returns one form for all strings that are equal but for case; lower-case ASCII is its own.
pub(super) fn fold(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|it| upper(it).to_ascii_lowercase()).collect())
}

/// Returns a character's upper case where that is one character, itself otherwise.
fn upper(character: char) -> char {
    if character.is_ascii() {
        return character.to_ascii_uppercase();
    }
    match character {
        // Dotless i and long s would become ASCII letters; ordinal comparison leaves them alone.
        '\u{131}' | '\u{17F}' => return character,
        // Iota subscripts: the full mapping is two characters, the simple one is one.
        '\u{1F80}'..='\u{1F87}' | '\u{1F90}'..='\u{1F97}' | '\u{1FA0}'..='\u{1FA7}' => {
            return char::from_u32(u32::from(character) + 8).unwrap_or(character);
        }
        '\u{1FB3}' | '\u{1FC3}' | '\u{1FF3}' => {
            return char::from_u32(u32::from(character) + 9).unwrap_or(character);
        }
        _ => {}
    }
    let mut mapped = character.to_uppercase();
    match (mapped.next(), mapped.next()) {
        (Some(single), None) => single,
        _ => character,
    }
}

/// Returns a key that orders characters as their UTF-16 units do.
fn utf16_key(character: char) -> u32 {
    let code = u32::from(character);
    match code {
        // Surrogates stand before the last private and compatibility characters.
        0xE000..=0xFFFF => code + 0x11_0000,
        _ => code,
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use super::*;

    #[test]
    fn case_is_ignored_one_character_at_a_time() {
        for (left, right) in [("abc", "ABC"), ("ς", "Σ"), ("ä", "Ä"), ("𐐨", "𐐀"), ("ᾳ", "ᾼ")]
        {
            assert!(equals_ignore_case(left, right), "{left} {right}");
            assert_eq!(fold(left), fold(right));
            assert!(contains_ignore_case(&format!("-{left}-"), right));
        }
        for (left, right) in
            [("ß", "SS"), ("i", "İ"), ("ı", "I"), ("ſ", "s"), ("\u{212A}", "k"), ("a", "ab")]
        {
            assert!(!equals_ignore_case(left, right), "{left} {right}");
            assert_ne!(fold(left), fold(right));
        }
    }

    #[test]
    fn order_is_that_of_upper_case_utf16() {
        for (less, more) in [("a", "["), ("A", "b"), ("a", "ab"), ("😊", "\u{FB00}"), ("", "a")] {
            assert_eq!(compare_ignore_case(less, more), Ordering::Less, "{less} {more}");
        }
        assert_eq!(compare_ignore_case("aB", "Ab"), Ordering::Equal);
    }

    #[test]
    fn ends_are_compared_without_case() {
        assert!(starts_with_ignore_case("Ärger", "äR"));
        assert!(!starts_with_ignore_case("a", "ab"));
        assert!(ends_with_ignore_case("main.RS", ".rs"));
        assert!(ends_with_ignore_case("x", ""));
    }
}
