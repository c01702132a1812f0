//! JSONPath templates (`-o jsonpath=`): text, paths in braces, and ranges over what they find.

use loopline_apiserver::crd::jsonpath::JsonPath;
use serde_json::Value;

use super::compact_json;

/// How deep ranges nest.
const MAX_RANGES: usize = 16;

/// A template that was read.
#[derive(Debug)]
pub(crate) struct Template {
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Text(String),
    Path(JsonPath),
    Range(JsonPath, Vec<Part>),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// What cannot be read, as a fragment.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut rest = text;
        let parts = parts(&mut rest, 0)?;
        Ok(Self { parts })
    }

    /// Returns the text for a value.
    pub(crate) fn fill(&self, value: &Value) -> String {
        let mut out = String::new();
        write(&self.parts, value, &mut out);
        out
    }
}

/// Reads until the end, or until the end of a range.
fn parts(rest: &mut &str, depth: usize) -> Result<Vec<Part>, String> {
    if depth > MAX_RANGES {
        return Err(format!("more than {MAX_RANGES} ranges in one another"));
    }
    let mut found = Vec::new();
    while !rest.is_empty() {
        let Some(open) = rest.find('{') else {
            found.push(Part::Text((*rest).to_owned()));
            *rest = "";
            break;
        };
        if open > 0 {
            found.push(Part::Text(rest[..open].to_owned()));
        }
        let close = closing(&rest[open..]).ok_or("unclosed action")? + open;
        let inner = rest[open + 1..close].trim();
        *rest = &rest[close + 1..];
        let path = |text: &str| {
            let text = text.trim();
            let text = text.strip_prefix('$').unwrap_or(text);
            let text = if text.is_empty() || text == "." { "" } else { text };
            JsonPath::parse(text.strip_prefix('@').unwrap_or(text))
        };
        if inner == "end" {
            if depth == 0 {
                return Err("not in range, nothing to end".to_owned());
            }
            return Ok(found);
        } else if let Some(over) = inner.strip_prefix("range ") {
            let over = path(over)?;
            found.push(Part::Range(over, parts(rest, depth + 1)?));
        } else if inner.starts_with(['"', '\'']) {
            found.push(Part::Text(unquoted(inner)?));
        } else {
            found.push(Part::Path(path(inner)?));
        }
    }
    if depth > 0 {
        return Err("unterminated range: `{end}` is missing".to_owned());
    }
    Ok(found)
}

/// Returns where the brace closes that a text begins with; braces in quotes do not count.
fn closing(text: &str) -> Option<usize> {
    let mut quote: Option<char> = None;
    let mut escaped = false;
    for (index, char) in text.char_indices().skip(1) {
        match quote {
            _ if escaped => escaped = false,
            Some(_) if char == '\\' => escaped = true,
            Some(open) if char == open => quote = None,
            Some(_) => {}
            None if char == '"' || char == '\'' => quote = Some(char),
            None if char == '}' => return Some(index),
            None => {}
        }
    }
    None
}

fn unquoted(text: &str) -> Result<String, String> {
    let quote = text.chars().next().unwrap_or('"');
    let inner = text
        .strip_prefix(quote)
        .and_then(|text| text.strip_suffix(quote))
        .ok_or_else(|| format!("unterminated quoted string {text}"))?;
    let mut out = String::new();
    let mut chars = inner.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            out.push(char);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some(other @ ('\\' | '"' | '\'')) => out.push(other),
            other => return Err(format!("unknown escape {other:?} in {text}")),
        }
    }
    Ok(out)
}

fn write(parts: &[Part], value: &Value, out: &mut String) {
    for part in parts {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Path(path) => {
                let found: Vec<String> = path.find(value).into_iter().map(shown).collect();
                out.push_str(&found.join(" "));
            }
            Part::Range(path, inner) => {
                for one in path.find(value) {
                    write(inner, one, out);
                }
            }
        }
    }
}

/// Returns a value as templates and conditions show it.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "<nil>".to_owned(),
        Value::Object(_) | Value::Array(_) => compact_json(value),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn templates_are_filled() {
        let value = json!({"items": [
            {"name": "a", "n": 1, "c": [{"t": "Ready", "s": "True"}]},
            {"name": "b", "n": 2, "m": {"z": 1, "a": "<"}},
        ]});
        for (template, wanted) in [
            ("{.items[*].name}", "a b"),
            ("{range .items[*]}{.name}={.n}{\"\\n\"}{end}", "a=1\nb=2\n"),
            ("x{.items[0].c[?(@.t==\"Ready\")].s}y", "xTruey"),
            ("{.items[1].m}", "{\"a\":\"\\u003c\",\"z\":1}"),
            ("{.missing}", ""),
            ("{$.items[-1].name}", "b"),
            ("plain", "plain"),
        ] {
            assert_eq!(Template::parse(template).unwrap().fill(&value), wanted, "{template}");
        }
        for bad in ["{.a", "{range .a}", "{end}", "{.a[}"] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
    }
}
