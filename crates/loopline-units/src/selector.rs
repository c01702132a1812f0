//! Label selectors: `app=web,tier in (a, b),!legacy`.
//!
//! Keys and values are checked as Kubernetes checks them; the checks themselves
//! ([`check_key`], [`check_value`]) are here for everybody who writes labels.

use std::fmt;

/// The longest text that is read as a selector, in bytes.
const LONGEST: usize = 64 * 1024;

/// How a key and its values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// The value is one of these.
    In,
    /// The value is none of these, or there is none.
    NotIn,
    /// There is a value.
    Exists,
    /// There is none.
    DoesNotExist,
    /// The value is a number above.
    GreaterThan,
    /// The value is a number below.
    LessThan,
}

/// One condition of a selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The label.
    pub key: String,
    /// The comparison.
    pub operator: Operator,
    /// What it is compared with; empty for existence.
    pub values: Vec<String>,
}

/// Conditions that all hold; without any, everything is selected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// The conditions, in the order they were written.
    pub requirements: Vec<Requirement>,
}

/// Why a text is no selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Something else was expected.
    #[error("unable to parse requirement: found '{found}', expected: {expected}")]
    Unexpected {
        /// What was there.
        found: String,
        /// What could have been.
        expected: &'static str,
    },
    /// A key is no label key.
    #[error("unable to parse requirement: <nil>: Invalid value: {key:?}: {reason}")]
    Key {
        /// The key.
        key: String,
        /// Why not.
        reason: String,
    },
    /// A value is no label value.
    #[error(
        "unable to parse requirement: values[{index}][{key}]: Invalid value: {value:?}: {reason}"
    )]
    Value {
        /// Which of the values.
        index: usize,
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// Why not.
        reason: String,
    },
    /// The text is too long to be read.
    #[error("a selector has at most {LONGEST} bytes")]
    TooLong,
}

impl Selector {
    /// Parses `=`, `==`, `!=`, `in`, `notin`, `key`, `!key`, `<` and `>`, joined with commas.
    ///
    /// # Errors
    /// [`Error`] with the part that is wrong.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > LONGEST {
            return Err(Error::TooLong);
        }
        let tokens = lex(text);
        let mut parser = Parser { tokens: &tokens, at: 0 };
        let mut requirements = Vec::new();
        if parser.peek().is_none() {
            return Ok(Self::default());
        }
        loop {
            requirements.push(parser.requirement()?);
            match parser.next() {
                None => break,
                Some(Token::Symbol(",")) if parser.peek().is_some() => {}
                Some(Token::Symbol(",")) => {
                    return Err(unexpected(None, "identifier after ','"));
                }
                other => return Err(unexpected(other, "',' or 'end of string'")),
            }
        }
        Ok(Self { requirements })
    }

    /// Returns whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Returns whether the labels, looked up with `label`, satisfy all conditions.
    pub fn matches<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements.iter().all(|requirement| requirement.matches(label(&requirement.key)))
    }
}

impl Requirement {
    /// Returns whether a label with this value, or without one, satisfies the condition.
    pub fn matches(&self, value: Option<&str>) -> bool {
        let listed = value.is_some_and(|value| self.values.iter().any(|one| one == value));
        let compare = |wanted: std::cmp::Ordering| {
            let [found, bound] = [value, self.values.first().map(String::as_str)]
                .map(|text| text.and_then(|text| text.parse::<i64>().ok()));
            found.zip(bound).is_some_and(|(found, bound)| found.cmp(&bound) == wanted)
        };
        match self.operator {
            Operator::In => listed,
            Operator::NotIn => !listed,
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan => compare(std::cmp::Ordering::Greater),
            Operator::LessThan => compare(std::cmp::Ordering::Less),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Requirement { key, operator, values }) in self.requirements.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            match (operator, values.as_slice()) {
                (Operator::In, [value]) => write!(f, "{key}={value}")?,
                (Operator::NotIn, [value]) => write!(f, "{key}!={value}")?,
                (Operator::In, values) => write!(f, "{key} in ({})", values.join(","))?,
                (Operator::NotIn, values) => write!(f, "{key} notin ({})", values.join(","))?,
                (Operator::Exists, _) => f.write_str(key)?,
                (Operator::DoesNotExist, _) => write!(f, "!{key}")?,
                (Operator::GreaterThan, values) => write!(f, "{key}>{}", values.join(","))?,
                (Operator::LessThan, values) => write!(f, "{key}<{}", values.join(","))?,
            }
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token<'a> {
    Symbol(&'static str),
    Word(&'a str),
}

fn lex(text: &str) -> Vec<Token<'_>> {
    const SYMBOLS: [&str; 9] = ["==", "!=", "=", "!", "(", ")", ",", ">", "<"];
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if let Some(symbol) = SYMBOLS.into_iter().find(|symbol| rest.starts_with(symbol)) {
            tokens.push(Token::Symbol(symbol));
            rest = &rest[symbol.len()..];
        } else {
            let end = rest
                .find(|c: char| c.is_whitespace() || "=!(),<>".contains(c))
                .unwrap_or(rest.len());
            tokens.push(Token::Word(&rest[..end]));
            rest = &rest[end..];
        }
        rest = rest.trim_start();
    }
    tokens
}

fn unexpected(found: Option<&Token<'_>>, expected: &'static str) -> Error {
    let found = match found {
        None => String::new(),
        Some(Token::Symbol(symbol)) => (*symbol).to_owned(),
        Some(Token::Word(word)) => (*word).to_owned(),
    };
    Error::Unexpected { found, expected }
}

struct Parser<'a> {
    tokens: &'a [Token<'a>],
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a Token<'a>> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<&'a Token<'a>> {
        let token = self.peek();
        self.at += usize::from(token.is_some());
        token
    }

    fn requirement(&mut self) -> Result<Requirement, Error> {
        let negated = self.peek() == Some(&Token::Symbol("!"));
        self.at += usize::from(negated);
        let key = match self.next() {
            Some(Token::Word(word)) => (*word).to_owned(),
            other if negated => return Err(unexpected(other, "identifier")),
            other => return Err(unexpected(other, "!, identifier, or 'end of string'")),
        };
        if let Some(reason) = check_key(&key).into_iter().next() {
            return Err(Error::Key { key, reason });
        }
        if negated {
            return Ok(Requirement { key, operator: Operator::DoesNotExist, values: Vec::new() });
        }
        let (operator, values) = match self.peek() {
            None | Some(Token::Symbol(",")) => (Operator::Exists, Vec::new()),
            Some(token) => {
                self.at += 1;
                match token {
                    Token::Symbol("=" | "==") => (Operator::In, vec![self.value()]),
                    Token::Symbol("!=") => (Operator::NotIn, vec![self.value()]),
                    Token::Symbol(">") => (Operator::GreaterThan, vec![self.number()?]),
                    Token::Symbol("<") => (Operator::LessThan, vec![self.number()?]),
                    Token::Word("in") => (Operator::In, self.values()?),
                    Token::Word("notin") => (Operator::NotIn, self.values()?),
                    other => {
                        return Err(unexpected(Some(other), "in, notin, =, ==, !=, gt, lt"));
                    }
                }
            }
        };
        for (index, value) in values.iter().enumerate() {
            if let Some(reason) = check_value(value).into_iter().next() {
                return Err(Error::Value { index, key, value: value.clone(), reason });
            }
        }
        Ok(Requirement { key, operator, values })
    }

    /// Reads the value after `=`; there may be none.
    fn value(&mut self) -> String {
        match self.peek() {
            Some(Token::Word(word)) => {
                self.at += 1;
                (*word).to_owned()
            }
            _ => String::new(),
        }
    }

    fn number(&mut self) -> Result<String, Error> {
        match self.next() {
            Some(Token::Word(word)) if word.parse::<i64>().is_ok() => Ok((*word).to_owned()),
            other => Err(unexpected(other, "an integer")),
        }
    }

    fn values(&mut self) -> Result<Vec<String>, Error> {
        match self.next() {
            Some(Token::Symbol("(")) => {}
            other => return Err(unexpected(other, "'('")),
        }
        let mut values = vec![self.value()];
        loop {
            match self.next() {
                Some(Token::Symbol(",")) => values.push(self.value()),
                Some(Token::Symbol(")")) => break,
                other => return Err(unexpected(other, "',' or ')'")),
            }
        }
        values.sort();
        values.dedup();
        Ok(values)
    }
}

/// Returns what is wrong with a qualified name: `name` or `example.com/name`.
pub fn check_key(key: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let name = match key.split_once('/') {
        None => key,
        Some((_, rest)) if rest.contains('/') => {
            return vec![format!(
                "a qualified name {} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
                pattern(QUALIFIED, NAME_PATTERN, &["MyName", "my.name", "123-abc"])
            )];
        }
        Some((prefix, name)) => {
            if prefix.is_empty() {
                problems.push("prefix part must be non-empty".to_owned());
            } else {
                let wrong = check_subdomain(prefix);
                problems.extend(wrong.into_iter().map(|text| format!("prefix part {text}")));
            }
            name
        }
    };
    if name.is_empty() {
        problems.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        problems.push("name part must be no more than 63 bytes".to_owned());
    }
    if !is_name(name) {
        problems.push(format!(
            "name part {}",
            pattern(QUALIFIED, NAME_PATTERN, &["MyName", "my.name", "123-abc"])
        ));
    }
    problems
}

/// Returns what is wrong with a label's value.
pub fn check_value(value: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if value.len() > 63 {
        problems.push("must be no more than 63 bytes".to_owned());
    }
    if !value.is_empty() && !is_name(value) {
        problems.push(pattern(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
            "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?",
            &["MyValue", "my_value", "12345"],
        ));
    }
    problems
}

/// Returns what is wrong with a DNS subdomain (RFC 1123).
pub fn check_subdomain(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if text.len() > 253 {
        problems.push("must be no more than 253 bytes".to_owned());
    }
    if !text.split('.').all(is_dns_label) {
        problems.push(pattern(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
            r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*",
            &["example.com"],
        ));
    }
    problems
}

/// Returns whether a text is a lower-case DNS label of any length.
pub fn is_dns_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    text.bytes().all(inner) && !text.is_empty() && !text.starts_with('-') && !text.ends_with('-')
}

/// Returns the sentence Kubernetes writes about a text that does not fit a pattern.
pub fn pattern(message: &str, pattern: &str, examples: &[&str]) -> String {
    let mut text = format!("{message} (");
    for (index, example) in examples.iter().enumerate() {
        text.push_str(if index == 0 { "e.g. '" } else { " or '" });
        text.push_str(example);
        text.push_str("', ");
    }
    text.push_str("regex used for validation is '");
    text.push_str(pattern);
    text.push_str("')");
    text
}

const QUALIFIED: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
const NAME_PATTERN: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";

fn is_name(text: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_select() {
        let labels = [("app", "web"), ("tier", "front"), ("n", "5"), ("empty", "")];
        let label = |key: &str| labels.iter().find(|(name, _)| *name == key).map(|(_, v)| *v);
        for (text, shown, selects) in [
            ("", "", true),
            ("app=web", "app=web", true),
            ("app == web , tier!=back", "app=web,tier!=back", true),
            ("app in (api, web)", "app in (api,web)", true),
            ("app in (web)", "app=web", true),
            ("tier notin (front,back)", "tier notin (back,front)", false),
            ("nothing notin (a)", "nothing!=a", true),
            ("nothing!=a", "nothing!=a", true),
            ("app", "app", true),
            ("!app", "!app", false),
            ("! gone", "!gone", true),
            ("n>4,n<6", "n>4,n<6", true),
            ("n>5", "n>5", false),
            ("empty=", "empty=", true),
            ("app=", "app=", false),
            ("in in (in)", "in=in", false),
            ("example.com/a.b_c", "example.com/a.b_c", false),
        ] {
            let selector = Selector::parse(text).expect(text);
            assert_eq!(selector.to_string(), shown, "{text}");
            assert_eq!(selector.matches(label), selects, "{text}");
        }
    }

    #[test]
    fn what_is_no_selector_is_refused_with_its_part() {
        for (text, error) in [
            ("app=web,", "unable to parse requirement: found '', expected: identifier after ','"),
            (
                "=web",
                "unable to parse requirement: found '=', expected: !, identifier, or 'end of string'",
            ),
            ("app in web", "unable to parse requirement: found 'web', expected: '('"),
            ("app in (web", "unable to parse requirement: found '', expected: ',' or ')'"),
            (
                "app web",
                "unable to parse requirement: found 'web', expected: in, notin, =, ==, !=, gt, lt",
            ),
            ("app=a b", "unable to parse requirement: found 'b', expected: ',' or 'end of string'"),
            ("!", "unable to parse requirement: found '', expected: identifier"),
            ("n>x", "unable to parse requirement: found 'x', expected: an integer"),
            (
                "a/b/c=d",
                "unable to parse requirement: <nil>: Invalid value: \"a/b/c\": a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
            ),
            (
                "a=-b",
                "unable to parse requirement: values[0][a]: Invalid value: \"-b\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
            ),
        ] {
            assert_eq!(Selector::parse(text).expect_err(text).to_string(), error);
        }
    }
}
