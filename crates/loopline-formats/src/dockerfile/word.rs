//! Words of instructions: quotes, escapes and variables, as the builder's own small shell reads
//! them.
//!
//! ```
//! use std::collections::BTreeMap;
//! use loopline_formats::dockerfile::word::Lexer;
//!
//! let variables = BTreeMap::from([("FILE".to_owned(), "app.tar.gz".to_owned())]);
//! let expanded = Lexer::new('\\').expand("/opt/${FILE%%.*}-${TAG:-latest}", &variables)?;
//! assert_eq!(expanded.text, "/opt/app-latest");
//! assert_eq!(expanded.used.into_iter().collect::<Vec<_>>(), ["FILE"]);
//! # Ok::<(), loopline_formats::dockerfile::word::Error>(())
//! ```

mod pattern;

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::str::Chars;

/// How deep `${a:-${b}}` may nest.
pub const MAX_DEPTH: usize = 64;
/// The longest result, in bytes: `${x//a/bbbb}` grows, and so may chains of variables.
pub const MAX_RESULT_BYTES: usize = 16 * 1024 * 1024;

/// The most steps that matching the pattern of one `${x#p}` may take.
pub const MAX_MATCH_STEPS: usize = 20_000_000;

/// Where the values of variables come from.
pub trait Variables {
    /// Returns the value of `name`, if it is set.
    fn get(&self, name: &str) -> Option<&str>;
}

/// No variable is set.
#[derive(Clone, Copy, Debug)]
pub struct NoVariables;

impl Variables for NoVariables {
    fn get(&self, _name: &str) -> Option<&str> {
        None
    }
}

impl Variables for BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<&str> {
        self.get(name).map(String::as_str)
    }
}

/// Why a word cannot be expanded. The wording is BuildKit's.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("failed to process {word:?}: {kind}")]
pub struct Error {
    /// The whole word.
    pub word: String,
    /// What is wrong with it.
    pub kind: ErrorKind,
}

/// What is wrong with a word.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ErrorKind {
    /// `'` is not closed.
    #[error("unexpected end of statement while looking for matching single-quote")]
    SingleQuote,
    /// `"` is not closed.
    #[error("unexpected end of statement while looking for matching double-quote")]
    DoubleQuote,
    /// `${` is not closed.
    #[error("syntax error: missing '}}'")]
    MissingBrace,
    /// `${x/` has no second `/`.
    #[error("syntax error: missing '/' in ${{}}")]
    MissingSlash,
    /// `${}`, `${:`, `${{`.
    #[error("syntax error: bad substitution")]
    BadSubstitution,
    /// `${x=y}` and what else the builder does not know.
    #[error("unsupported modifier ({0}) in substitution")]
    Modifier(String),
    /// `${x?}` of a variable that is not set, or what the word says about it.
    #[error("{name}: {message}")]
    Required {
        /// The variable.
        name: String,
        /// What is wrong with it.
        message: String,
    },
    /// A pattern escapes a character that has no meaning in it.
    #[error("invalid pattern ({pattern}) in substitution: invalid escape '\\{escaped}'")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// The character.
        escaped: String,
    },
    /// The word nests deeper than [`MAX_DEPTH`].
    #[error("substitutions nested deeper than {MAX_DEPTH}")]
    TooDeep,
    /// Matching a pattern takes more than [`MAX_MATCH_STEPS`].
    #[error("pattern ({0}) in substitution takes too long to match")]
    Costly(String),
    /// The result is longer than [`MAX_RESULT_BYTES`].
    #[error("longer than {MAX_RESULT_BYTES} bytes once variables are expanded")]
    TooLong,
}

/// A word after expansion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expanded {
    /// The text as one word.
    pub text: String,
    /// The text split at space that is not quoted.
    pub words: Vec<String>,
    /// The variables that were used and set.
    pub used: BTreeSet<String>,
    /// The variables that were used and not set, where the word does not say what then.
    pub missing: BTreeSet<String>,
}

/// How words are read.
#[derive(Clone, Copy, Debug)]
pub struct Lexer {
    /// The escape character.
    pub escape: char,
    /// Quotes stay in the result.
    pub raw_quotes: bool,
    /// Escape characters stay in the result.
    pub raw_escapes: bool,
    /// Quotes have no meaning (the lines of a here-document).
    pub ignore_quotes: bool,
    /// Variables that are not set stay as they are written.
    pub keep_unset: bool,
}

impl Lexer {
    /// Returns the reader for words of instructions.
    pub const fn new(escape: char) -> Self {
        Self {
            escape,
            raw_quotes: false,
            raw_escapes: false,
            ignore_quotes: false,
            keep_unset: false,
        }
    }

    /// Expands `word` with `variables`.
    ///
    /// # Errors
    /// [`Error`], each kind as it says.
    pub fn expand(&self, word: &str, variables: &dyn Variables) -> Result<Expanded, Error> {
        let mut scan = Scan {
            lexer: *self,
            variables,
            input: word.chars().peekable(),
            depth: 0,
            budget: MAX_RESULT_BYTES,
            used: BTreeSet::new(),
            missing: BTreeSet::new(),
        };
        match scan.until(None, self.raw_escapes) {
            Ok((text, words)) => {
                Ok(Expanded { text, words, used: scan.used, missing: scan.missing })
            }
            Err(kind) => Err(Error { word: word.to_owned(), kind }),
        }
    }
}

/// Words as they are found.
#[derive(Default)]
struct Words {
    word: String,
    words: Vec<String>,
    inside: bool,
}

impl Words {
    fn push(&mut self, c: char) {
        if !c.is_whitespace() {
            self.word.push(c);
            self.inside = true;
        } else if self.inside && !self.word.is_empty() {
            self.words.push(std::mem::take(&mut self.word));
            self.inside = false;
        }
    }

    fn push_raw(&mut self, text: &str) {
        self.word.push_str(text);
        self.inside = true;
    }

    fn finish(mut self) -> Vec<String> {
        if !self.word.is_empty() {
            self.words.push(self.word);
        }
        self.words
    }
}

struct Scan<'a> {
    lexer: Lexer,
    variables: &'a dyn Variables,
    input: Peekable<Chars<'a>>,
    depth: usize,
    /// How many bytes the results may still grow.
    budget: usize,
    used: BTreeSet<String>,
    missing: BTreeSet<String>,
}

impl Scan<'_> {
    /// Reads up to `stop`, or to the end without one.
    fn until(
        &mut self,
        stop: Option<char>,
        raw_escapes: bool,
    ) -> Result<(String, Vec<String>), ErrorKind> {
        if self.depth > MAX_DEPTH {
            return Err(ErrorKind::TooDeep);
        }
        self.depth += 1;
        let before = std::mem::replace(&mut self.lexer.raw_escapes, raw_escapes);
        let result = self.until_stop(stop);
        self.lexer.raw_escapes = before;
        self.depth -= 1;
        result
    }

    fn until_stop(&mut self, stop: Option<char>) -> Result<(String, Vec<String>), ErrorKind> {
        let mut result = String::new();
        let mut words = Words::default();
        while let Some(&c) = self.input.peek() {
            if Some(c) == stop {
                self.input.next();
                return Ok((result, words.finish()));
            }
            match c {
                '$' => {
                    let value = self.dollar()?;
                    value.chars().for_each(|c| words.push(c));
                    result.push_str(&value);
                }
                '\'' | '"' if !self.lexer.ignore_quotes => {
                    let value = if c == '"' { self.double_quote() } else { self.single_quote() }?;
                    words.push_raw(&value);
                    result.push_str(&value);
                }
                '<' => {
                    let value = self.possible_heredoc();
                    words.push_raw(&value);
                    result.push_str(&value);
                }
                _ => {
                    self.input.next();
                    if c != self.lexer.escape {
                        words.push(c);
                        result.push(c);
                        continue;
                    }
                    if self.lexer.raw_escapes {
                        words.push_raw(c.encode_utf8(&mut [0; 4]));
                        result.push(c);
                    }
                    let Some(next) = self.input.next() else { break };
                    words.push_raw(next.encode_utf8(&mut [0; 4]));
                    result.push(next);
                }
            }
        }
        if stop.is_some() {
            // The caller knows what was missing.
            return Err(ErrorKind::MissingBrace);
        }
        Ok((result, words.finish()))
    }

    /// Reads `<`, or `<<` with the space after it, which belongs to a here-document's marker.
    fn possible_heredoc(&mut self) -> String {
        let mut text = String::new();
        text.extend(self.input.next());
        if let Some(second) = self.input.next_if_eq(&'<') {
            text.push(second);
            while let Some(space) = self.input.next_if(|c| matches!(c, ' ' | '\t' | '\r')) {
                text.push(space);
            }
        }
        text
    }

    fn single_quote(&mut self) -> Result<String, ErrorKind> {
        let mut result = String::new();
        self.input.next();
        for c in self.input.by_ref() {
            if c == '\'' {
                return Ok(if self.lexer.raw_quotes { format!("'{result}'") } else { result });
            }
            result.push(c);
        }
        Err(ErrorKind::SingleQuote)
    }

    fn double_quote(&mut self) -> Result<String, ErrorKind> {
        let mut result = String::new();
        self.input.next();
        while let Some(&c) = self.input.peek() {
            if c == '$' {
                let value = self.dollar()?;
                result.push_str(&value);
                continue;
            }
            self.input.next();
            if c == '"' {
                let raw = self.lexer.raw_quotes;
                return Ok(if raw { format!("\"{result}\"") } else { result });
            }
            if c != self.lexer.escape {
                result.push(c);
                continue;
            }
            if self.lexer.raw_escapes {
                result.push(c);
            }
            match self.input.peek() {
                None => {}
                Some(&next) if matches!(next, '"' | '$') || next == self.lexer.escape => {
                    self.input.next();
                    result.push(next);
                }
                // Any other escape is left as it is.
                Some(_) => result.push(c),
            }
        }
        Err(ErrorKind::DoubleQuote)
    }

    /// Reads `$name`, `${name}` and the forms with a modifier.
    fn dollar(&mut self) -> Result<String, ErrorKind> {
        self.input.next();
        if self.input.peek() != Some(&'{') {
            let name = self.name();
            if name.is_empty() {
                return Ok("$".to_owned());
            }
            let value = self.value(&name)?;
            return Ok(match value {
                None if self.lexer.keep_unset => format!("${name}"),
                value => value.unwrap_or_default(),
            });
        }
        self.input.next();
        match self.input.peek() {
            None => return Err(ErrorKind::MissingBrace),
            Some('{' | '}' | ':') => return Err(ErrorKind::BadSubstitution),
            Some(_) => {}
        }
        let name = self.name();
        match self.input.next() {
            Some('}') => {
                let value = self.value(&name)?;
                Ok(match value {
                    None if self.lexer.keep_unset => format!("${{{name}}}"),
                    value => value.unwrap_or_default(),
                })
            }
            Some(':') => {
                let modifier = self.input.next();
                self.modified(&name, modifier, true)
            }
            Some(modifier @ ('+' | '-' | '?' | '#' | '%')) => {
                self.modified(&name, Some(modifier), false)
            }
            Some('/') => self.replaced(&name),
            other => Err(ErrorKind::Modifier(shown(other))),
        }
    }

    fn modified(
        &mut self,
        name: &str,
        modifier: Option<char>,
        colon: bool,
    ) -> Result<String, ErrorKind> {
        let raw = matches!(modifier, Some('#' | '%'));
        let (word, _) = self.until(Some('}'), raw)?;
        let known = self.missing.contains(name);
        let value = self.value(name)?;
        if matches!(modifier, Some('-' | '+')) && !known {
            self.missing.remove(name);
        }
        let written = || format!("{}{}", if colon { ":" } else { "" }, shown(modifier));
        if value.is_none() && self.lexer.keep_unset {
            return Ok(format!("${{{name}{}{word}}}", written()));
        }
        let empty = value.as_deref().is_none_or(|value| colon && value.is_empty());
        match modifier {
            Some('-') => Ok(if empty { word } else { value.unwrap_or_default() }),
            Some('+') => Ok(if empty { String::new() } else { word }),
            Some('?') => {
                if !empty {
                    return Ok(value.unwrap_or_default());
                }
                let state = if value.is_none() { "unset" } else { "empty" };
                let message =
                    if word.is_empty() { format!("is not allowed to be {state}") } else { word };
                Err(ErrorKind::Required { name: name.to_owned(), message })
            }
            Some(side @ ('#' | '%')) => {
                let value = value.unwrap_or_default();
                let (pattern, longest) = match word.strip_prefix(side) {
                    Some(pattern) => (pattern, true),
                    None => (word.as_str(), false),
                };
                let mut compiled = pattern::Pattern::new(pattern)?;
                if side == '#' {
                    compiled.without_prefix(&value, longest)
                } else {
                    compiled.without_suffix(&value, longest)
                }
            }
            _ => Err(ErrorKind::Modifier(written())),
        }
    }

    fn replaced(&mut self, name: &str) -> Result<String, ErrorKind> {
        let all = self.input.next_if_eq(&'/').is_some();
        let (pattern, _) = self.until(Some('/'), true).map_err(|kind| match kind {
            ErrorKind::MissingBrace if self.input.peek().is_none() => ErrorKind::MissingSlash,
            kind => kind,
        })?;
        let (replacement, _) = self.until(Some('}'), true)?;
        let value = self.value(name)?;
        let Some(value) = value.or_else(|| (!self.lexer.keep_unset).then(String::new)) else {
            let slashes = if all { "//" } else { "/" };
            return Ok(format!("${{{name}{slashes}{pattern}/{replacement}}}"));
        };
        let result = pattern::Pattern::new(&pattern)?.replaced(&value, &replacement, all)?;
        self.spend(result.len())?;
        Ok(result)
    }

    /// Reads a name: letters, digits and `_`; only digits; or one special character.
    fn name(&mut self) -> String {
        let mut name = String::new();
        match self.input.peek() {
            Some(c) if c.is_numeric() => {
                while let Some(c) = self.input.next_if(|c| c.is_numeric()) {
                    name.push(c);
                }
            }
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => name.extend(self.input.next()),
            _ => {
                while let Some(c) = self.input.next_if(|c| c.is_alphanumeric() || *c == '_') {
                    name.push(c);
                }
            }
        }
        name
    }

    fn value(&mut self, name: &str) -> Result<Option<String>, ErrorKind> {
        let value = self.variables.get(name).map(str::to_owned);
        match &value {
            Some(value) => {
                self.spend(value.len())?;
                self.used.insert(name.to_owned());
            }
            None => {
                self.missing.insert(name.to_owned());
            }
        }
        Ok(value)
    }

    fn spend(&mut self, bytes: usize) -> Result<(), ErrorKind> {
        self.budget = self.budget.checked_sub(bytes).ok_or(ErrorKind::TooLong)?;
        Ok(())
    }
}

/// Returns a character as messages show it; the end of the text as Go prints it.
fn shown(c: Option<char>) -> String {
    c.unwrap_or(char::REPLACEMENT_CHARACTER).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(word: &str) -> Result<String, String> {
        let variables = BTreeMap::from(
            [
                ("x", "value"),
                ("empty", ""),
                ("p", "a/b/c.tar.gz"),
                ("star", "a*b"),
                ("lines", "a\nb"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let expanded = Lexer::new('\\').expand(word, &variables);
        expanded.map(|expanded| expanded.text).map_err(|error| error.kind.to_string())
    }

    #[test]
    fn variables_are_expanded() {
        let cases = [
            ("$x-${x}", "value-value"),
            ("$xy|${xy}|$", "||$"),
            ("'$x' \"$x\" \\$x", "$x value $x"),
            ("\"\\$x \\\" \\\\ \\n\"", "$x \" \\ \\n"),
            ("${x:-d}${empty:-d}${empty-d}${y:-d}${y-d}", "valueddd"),
            ("${x:+d}${empty:+d}${empty+d}${y:+d}${y+d}", "dd"),
            ("${y:-${z:-deep}}", "deep"),
            ("${y:-\"a b\"}", "a b"),
            ("${x:?}${empty?}", "value"),
            ("${p#*/}|${p##*/}", "b/c.tar.gz|c.tar.gz"),
            ("${p%.*}|${p%%.*}", "a/b/c.tar|a/b/c"),
            ("${p#x}|${p%?gz}", "a/b/c.tar.gz|a/b/c.tar"),
            ("${p/b/x}|${p//\\//-}|${p//[/]}", "a/x/c.tar.gz|a-b-c.tar.gz|a/b/c.tar.gz"),
            ("${star#a\\*}|${star%\\*b}", "b|a"),
            ("${lines#*b}", "a\nb"),
            ("$$|$1|$12a|$@", "||a|"),
            ("a\\", "a"),
        ];
        for (word, expected) in cases {
            assert_eq!(expand(word).as_deref(), Ok(expected), "{word}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        let cases = [
            ("'a", "unexpected end of statement while looking for matching single-quote"),
            ("\"a", "unexpected end of statement while looking for matching double-quote"),
            ("${", "syntax error: missing '}'"),
            ("${x:-a", "syntax error: missing '}'"),
            ("${x/a", "syntax error: missing '/' in ${}"),
            ("${x/a/b", "syntax error: missing '}'"),
            ("${}", "syntax error: bad substitution"),
            ("${:-a}", "syntax error: bad substitution"),
            ("${{x}}", "syntax error: bad substitution"),
            ("${x=a}", "unsupported modifier (=) in substitution"),
            ("${x:=a}", "unsupported modifier (:=) in substitution"),
            ("${x", "unsupported modifier (\u{fffd}) in substitution"),
            ("${y?}", "y: is not allowed to be unset"),
            ("${empty:?}", "empty: is not allowed to be empty"),
            ("${y:?say so}", "y: say so"),
            ("${x#\\a}", "invalid pattern (\\a) in substitution: invalid escape '\\a'"),
        ];
        for (word, expected) in cases {
            assert_eq!(expand(word), Err(expected.to_owned()), "{word}");
        }
        let deep = "${y:-".repeat(MAX_DEPTH + 1) + &"}".repeat(MAX_DEPTH + 1);
        assert_eq!(expand(&deep), Err(ErrorKind::TooDeep.to_string()));
    }

    #[test]
    fn words_are_split_after_expansion() {
        let variables = BTreeMap::from([("x".to_owned(), " a b ".to_owned())]);
        let words = |word| Lexer::new('\\').expand(word, &variables).expect("a word").words;
        assert_eq!(words("$x c"), ["a", "b", "c"]);
        assert_eq!(words("\"$x\" 'c d' e\\ f"), [" a b ", "c d", "e f"]);
        assert_eq!(words("  '' "), Vec::<String>::new());
    }

    #[test]
    fn results_are_bounded() {
        let variables = BTreeMap::from([("x".to_owned(), "a".repeat(1 << 20))]);
        let error = Lexer::new('\\').expand(&"$x".repeat(17), &variables).expect_err("too long");
        assert_eq!(error.kind, ErrorKind::TooLong);
    }
}
