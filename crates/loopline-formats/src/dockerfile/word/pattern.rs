//! Patterns of `${x#p}`, `${x%p}` and `${x/p/r}`: `*`, `?` and escapes, without brackets.

use super::{ErrorKind, MAX_MATCH_STEPS};

/// A pattern; wildcards do not match line breaks, as in the builder.
pub(super) struct Pattern {
    text: String,
    elements: Vec<Element>,
    /// How many steps matching may still take.
    steps: usize,
}

#[derive(Clone, Copy)]
enum Element {
    /// One character.
    Literal(char),
    /// `?`: any one character.
    Any,
    /// `*`: any number of characters.
    Star,
}

impl Pattern {
    pub(super) fn new(text: &str) -> Result<Self, ErrorKind> {
        let mut elements = Vec::new();
        let mut characters = text.chars().peekable();
        while let Some(c) = characters.next() {
            elements.push(match c {
                '*' => Element::Star,
                '?' => Element::Any,
                // An escape that kept the pattern from ending is no part of it.
                '\\' if matches!(characters.peek(), Some('}' | '/')) => continue,
                '\\' => match characters.next() {
                    Some(escaped @ ('*' | '?' | '\\')) => Element::Literal(escaped),
                    other => {
                        let escaped = super::shown(other);
                        return Err(ErrorKind::Pattern { pattern: text.to_owned(), escaped });
                    }
                },
                _ => Element::Literal(c),
            });
        }
        Ok(Self { text: text.to_owned(), elements, steps: MAX_MATCH_STEPS })
    }

    pub(super) fn without_prefix(
        &mut self,
        value: &str,
        longest: bool,
    ) -> Result<String, ErrorKind> {
        let characters: Vec<char> = value.chars().collect();
        let end = self.matched(&characters, longest)?.unwrap_or(0);
        Ok(characters[end..].iter().collect())
    }

    pub(super) fn without_suffix(
        &mut self,
        value: &str,
        longest: bool,
    ) -> Result<String, ErrorKind> {
        self.elements.reverse();
        let characters: Vec<char> = value.chars().rev().collect();
        let end = self.matched(&characters, longest)?.unwrap_or(0);
        Ok(characters[end..].iter().rev().collect())
    }

    /// Returns `value` with the first match, or all, replaced. The longest match counts.
    pub(super) fn replaced(
        &mut self,
        value: &str,
        replacement: &str,
        all: bool,
    ) -> Result<String, ErrorKind> {
        let characters: Vec<char> = value.chars().collect();
        let mut result = String::new();
        let mut at = 0;
        let mut last_end = None;
        let mut done = false;
        while at <= characters.len() {
            let length = if done { None } else { self.matched(&characters[at..], true)? };
            // An empty match right behind a match is none.
            if let Some(length) = length.filter(|length| *length > 0 || last_end != Some(at)) {
                if result.len() > super::MAX_RESULT_BYTES {
                    return Err(ErrorKind::TooLong);
                }
                result.push_str(replacement);
                done = !all;
                at += length;
                last_end = Some(at);
                if length > 0 {
                    continue;
                }
            }
            result.extend(characters.get(at));
            at += 1;
        }
        Ok(result)
    }

    /// Returns how many characters from the start of `text` match, if any do.
    fn matched(&mut self, text: &[char], longest: bool) -> Result<Option<usize>, ErrorKind> {
        let end = self.elements.len();
        // `reached[i]`: the first `i` elements match the text so far.
        let mut reached = vec![false; end + 1];
        reached[0] = true;
        self.skip_stars(&mut reached);
        let mut found = None;
        for length in 0..=text.len() {
            if reached[end] {
                found = Some(length);
                if !longest {
                    break;
                }
            }
            let Some(&c) = text.get(length) else { break };
            self.steps = self
                .steps
                .checked_sub(end + 1)
                .ok_or_else(|| ErrorKind::Costly(self.text.clone()))?;
            let mut next = vec![false; end + 1];
            for (index, element) in self.elements.iter().enumerate().filter(|(at, _)| reached[*at])
            {
                match element {
                    Element::Star => next[index] |= c != '\n',
                    Element::Any => next[index + 1] |= c != '\n',
                    Element::Literal(literal) => next[index + 1] |= c == *literal,
                }
            }
            self.skip_stars(&mut next);
            reached = next;
            if !reached.contains(&true) {
                break;
            }
        }
        Ok(found)
    }

    /// A star may match nothing.
    fn skip_stars(&self, reached: &mut [bool]) {
        for (index, element) in self.elements.iter().enumerate() {
            if matches!(element, Element::Star) && reached[index] {
                reached[index + 1] = true;
            }
        }
    }
}
