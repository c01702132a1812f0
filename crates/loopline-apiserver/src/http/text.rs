//! Values as YAML.

use std::fmt::Write as _;

use serde_json::Value;

/// Returns a value as YAML in block style.
pub(crate) fn yaml(value: &Value) -> String {
    let mut text = String::new();
    write(&mut text, value, 0, false);
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// Writes a value; `inline` says that a key or a dash stands before it on the line.
fn write(text: &mut String, value: &Value, indent: usize, inline: bool) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (index, (key, value)) in map.iter().enumerate() {
                if index > 0 || !inline {
                    let _ = write!(text, "{:indent$}", "");
                }
                text.push_str(&scalar(&Value::String(key.clone())));
                text.push(':');
                below(text, value, indent);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            for (index, value) in list.iter().enumerate() {
                if index > 0 || !inline {
                    let _ = write!(text, "{:indent$}", "");
                }
                text.push_str("- ");
                write(text, value, indent + 2, true);
                if !text.ends_with('\n') {
                    text.push('\n');
                }
            }
        }
        other => text.push_str(&scalar(other)),
    }
}

/// Writes the value of a key.
fn below(text: &mut String, value: &Value, indent: usize) {
    let nested = match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => false,
    };
    if nested {
        text.push('\n');
        // Lists stand at the column of their key, as every Kubernetes tool writes them.
        let indent = if value.is_array() { indent } else { indent + 2 };
        write(text, value, indent, false);
    } else {
        text.push(' ');
        text.push_str(&scalar(value));
        text.push('\n');
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(string) if is_plain(string) => string.clone(),
        // A JSON string is a YAML double-quoted scalar.
        other => other.to_string(),
    }
}

/// Returns whether a string reads as itself without quotes, for readers of any YAML version.
fn is_plain(string: &str) -> bool {
    let Some(first) = string.chars().next() else { return false };
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ' ');
    let reserved = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    first.is_ascii_alphabetic()
        && !string.ends_with(' ')
        && string.chars().all(|c| safe(c) || c == ':')
        && !string.contains(": ")
        && !string.ends_with(':')
        && !reserved.contains(&string.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn yaml_reads_back() {
        let value = json!({
            "a": "yes", "b": [1, {"c": "x: y", "d": []}], "e": {}, "f": "multi\nline", "g": null,
            "h": [[1, 2], ["a"]], "i": "10", "j": "web:1", "k": {"l": {"m": true}},
        });
        let text = super::yaml(&value);
        let file = loopline_source::SourceFile::new("test", text.clone());
        let read = loopline_schema::manifest::from_yaml(&file).unwrap();
        assert_eq!(read[0].value, value, "{text}");
    }
}
