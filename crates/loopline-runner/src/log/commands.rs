//! Reads workflow commands (`::error file=a::text`, `##[group]text`) from single lines.
//!
//! What a command does is the pipeline's business.

use std::collections::BTreeMap;

/// Begins a command, and ends its head.
pub(super) const MARK: &str = "::";
/// Begins a command of the older form, which may stand anywhere in a line.
pub(super) const OLD_MARK: &str = "##[";

/// The commands there are.
const NAMES: [&str; 16] = [
    "add-mask",
    "add-matcher",
    "add-path",
    "debug",
    "echo",
    "endgroup",
    "error",
    "group",
    "internal-set-repo-path",
    "notice",
    "remove-matcher",
    "save-state",
    "set-env",
    "set-output",
    STOP,
    "warning",
];

/// Pauses commands until its token comes as a command.
pub(super) const STOP: &str = "stop-commands";
/// Never a token, though not a command (GitHub's runner keeps it free).
const RESERVED_TOKEN: &str = "pause-logging";

/// One command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Command {
    /// Its name, in lowercase (a token as written).
    pub(super) name: String,
    /// Its properties, names in lowercase.
    properties: BTreeMap<String, String>,
    /// What follows the head.
    pub(super) data: String,
}

impl Command {
    /// Returns a property that is not empty.
    pub(super) fn property(&self, name: &str) -> Option<&str> {
        self.properties.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// Returns whether `token` may pause commands.
pub(super) fn is_safe_token(token: &str) -> bool {
    !token.is_empty()
        && !token.eq_ignore_ascii_case(RESERVED_TOKEN)
        && !NAMES.iter().any(|name| name.eq_ignore_ascii_case(token))
}

/// Returns the command that `line` is; while commands are paused only `token` is one.
pub(super) fn parse(line: &str, token: Option<&str>) -> Option<Command> {
    new_form(line, token).or_else(|| old_form(line, token))
}

fn known(name: &str, token: Option<&str>) -> Option<String> {
    match token {
        Some(token) => token.eq_ignore_ascii_case(name).then(|| token.to_owned()),
        None => NAMES
            .iter()
            .find(|known| **known != "internal-set-repo-path" && known.eq_ignore_ascii_case(name))
            .map(|known| (*known).to_owned()),
    }
}

fn new_form(line: &str, token: Option<&str>) -> Option<Command> {
    let rest = line.trim_start().strip_prefix(MARK)?;
    let (head, data) = rest.split_once(MARK)?;
    let (name, properties) = head.split_once(' ').unwrap_or((head, ""));
    Some(Command {
        name: known(name, token)?,
        properties: properties_of(properties.trim(), ',', |value| {
            unescape(value, &[("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ",")])
        }),
        data: unescape(data, &[("%0D", "\r"), ("%0A", "\n")]),
    })
}

fn old_form(line: &str, token: Option<&str>) -> Option<Command> {
    const ESCAPES: &[(&str, &str)] = &[("%3B", ";"), ("%0D", "\r"), ("%0A", "\n"), ("%5D", "]")];
    let (_, rest) = line.split_once(OLD_MARK)?;
    let (head, data) = rest.split_once(']')?;
    let (name, properties) = head.split_once(' ').unwrap_or((head, ""));
    Some(Command {
        name: known(name, token)?,
        properties: properties_of(properties, ';', |value| unescape(value, ESCAPES)),
        data: unescape(data, ESCAPES),
    })
}

fn properties_of(
    text: &str,
    separator: char,
    unescape: impl Fn(&str) -> String,
) -> BTreeMap<String, String> {
    let mut properties = BTreeMap::new();
    for property in text.split(separator) {
        // GitHub's runner passes over leading separators, so `=a=b` names `a`.
        let Some((name, value)) = property.trim_start_matches('=').split_once('=') else {
            continue;
        };
        let value = value.trim_start_matches('=');
        if !name.is_empty() && !value.is_empty() {
            properties.insert(name.trim().to_ascii_lowercase(), unescape(value));
        }
    }
    properties
}

/// Undoes escapes; `%25` last, so that `%250A` stays the text `%0A`.
fn unescape(text: &str, escapes: &[(&str, &str)]) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let mut out = text.to_owned();
    for (escape, character) in escapes {
        out = out.replace(escape, character);
    }
    out.replace("%25", "%")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(line: &str) -> String {
        parse(line, None).map_or_else(
            || "none".to_owned(),
            |command| format!("{} {:?} {:?}", command.name, command.properties, command.data),
        )
    }

    #[test]
    fn reads() {
        for (line, expected) in [
            ("::error::x", r#"error {} "x""#),
            ("  ::ERROR file=a.c,line=3::x::y", r#"error {"file": "a.c", "line": "3"} "x::y""#),
            (
                "::warning  Title=a%2Cb%3Ac%25,x=::%0Aa%250A%3A",
                r#"warning {"title": "a,b:c%"} "\na%0A%3A""#,
            ),
            ("::error", "none"),
            ("::nonsense::x", "none"),
            ("::error ::", r#"error {} """#),
            ("say ::error::x", "none"),
            ("say ##[error]x", r#"error {} "x""#),
            ("##[warning file=a;line=1]x%3By%5D", r#"warning {"file": "a", "line": "1"} "x;y]""#),
            ("##[nonsense]x", "none"),
            ("##[error", "none"),
            ("", "none"),
            (":::error::x", "none"),
            ("::internal-set-repo-path::x", "none"),
        ] {
            assert_eq!(show(line), expected, "{line}");
        }
    }

    #[test]
    fn tokens() {
        assert!(parse("::error::x", Some("tok")).is_none());
        assert!(parse("::TOK::", Some("tok")).is_some());
        for (token, safe) in
            [("", false), ("add-mask", false), ("Pause-Logging", false), ("a8f3", true)]
        {
            assert_eq!(is_safe_token(token), safe, "{token}");
        }
    }
}
