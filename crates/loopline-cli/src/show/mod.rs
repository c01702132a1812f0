//! How objects are shown, as kubectl shows them: YAML, JSON, tables, JSONPath templates, and what
//! differs between two texts. Values in, text out.

pub(crate) mod table;
pub(crate) mod template;
pub(crate) mod unified;
pub(crate) mod yaml;

use serde_json::Value;

/// Returns JSON as kubectl prints it: sorted keys, four spaces.
pub(crate) fn json(value: &Value) -> String {
    let mut sorted = value.clone();
    sorted.sort_all_objects();
    let text = format!("{sorted:#}");
    // Strings hold no line breaks, so what a line begins with is indentation.
    let lines: Vec<String> = text
        .lines()
        .map(|line| {
            let inner = line.trim_start_matches(' ');
            format!("{}{inner}", " ".repeat((line.len() - inner.len()) * 2))
        })
        .collect();
    html_escaped(&lines.join("\n"))
}

/// Returns JSON on one line, with sorted keys.
pub(crate) fn compact_json(value: &Value) -> String {
    let mut sorted = value.clone();
    sorted.sort_all_objects();
    html_escaped(&sorted.to_string())
}

/// Escapes what Go's encoder escapes inside strings; outside of strings it does not stand.
fn html_escaped(text: &str) -> String {
    text.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}
