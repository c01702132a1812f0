//! Data files of cases, and their accepted answers.
//!
//! A case is a block of lines; answers begin with `> `. With `LOOPLINE_BLESS` set, a file is
//! written again with the answers as they are, to be read before they are committed.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// One block: its lines, and the answers that were accepted.
pub(crate) struct Case {
    /// The lines before the answers.
    pub(crate) lines: Vec<String>,
    /// The answers.
    pub(crate) answers: Vec<String>,
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// Runs every case of a file; returns how many there are.
pub(crate) fn run(name: &str, answer: impl Fn(&[String]) -> Vec<String>) -> usize {
    let path = data(name);
    let text = fs_err::read_to_string(&path).expect("the cases are there");
    let mut blessed = String::new();
    let mut wrong = String::new();
    let mut count = 0;
    for block in text.split("\n\n") {
        let (comments, lines): (Vec<_>, Vec<_>) =
            block.lines().filter(|line| !line.is_empty()).partition(|line| line.starts_with('#'));
        let (answers, lines): (Vec<_>, Vec<_>) =
            lines.into_iter().partition(|line| line.starts_with('>'));
        let case = Case {
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
            answers: answers.iter().map(|line| line[1..].trim_start().to_owned()).collect(),
        };
        let mut found = Vec::new();
        if !case.lines.is_empty() {
            count += 1;
            found = answer(&case.lines);
            if found != case.answers {
                wrong.push_str(&format!(
                    "{}\n  expected\n    {}\n  found\n    {}\n",
                    case.lines.join("\n"),
                    case.answers.join("\n    "),
                    found.join("\n    ")
                ));
            }
        }
        for line in comments.iter().chain(&lines) {
            blessed.push_str(line);
            blessed.push('\n');
        }
        for line in found {
            blessed.push_str(&format!("> {line}\n"));
        }
        blessed.push('\n');
    }
    #[expect(clippy::disallowed_methods, reason = "a developer asks for the answers this way")]
    if std::env::var_os("LOOPLINE_BLESS").is_some() {
        fs_err::write(&path, blessed.trim_end().to_owned() + "\n")
            .expect("the file can be written");
    } else {
        assert!(wrong.is_empty(), "{name}\n{wrong}");
    }
    count
}

/// Changes an object by lines such as `/spec/replicas = -1`; a missing value removes.
pub(crate) fn change(object: &mut Value, line: &str) {
    let (path, value) = line.split_once('=').expect("a change has a path and a value");
    let value = value.trim();
    let (parent, key) = path.trim().rsplit_once('/').expect("a path begins with a slash");
    let key = key.replace("~1", "/");
    let mut at = object;
    for step in parent.split('/').skip(1) {
        let step = step.replace("~1", "/");
        if let Ok(index) = step.parse::<usize>() {
            at = &mut at[index];
        } else {
            if at[&step].is_null() {
                at[&step] = Value::Object(serde_json::Map::new());
            }
            at = &mut at[&step];
        }
    }
    let parsed = || -> Value {
        // A long text is written as `"x" * 300`.
        if let Some((text, times)) = value.rsplit_once(" * ")
            && let Ok(times) = times.parse()
        {
            let text: String = serde_json::from_str(text).expect(line);
            return text.repeat(times).into();
        }
        serde_json::from_str(value).expect(line)
    };
    match (at, value) {
        (Value::Object(fields), "") => {
            fields.shift_remove(&key);
        }
        (Value::Object(fields), _) => {
            fields.insert(key, parsed());
        }
        (Value::Array(items), _) => match key.parse::<usize>() {
            Ok(index) if index < items.len() => items[index] = parsed(),
            _ => items.push(parsed()),
        },
        (other, _) => panic!("{line}: {other} has no fields"),
    }
}

/// Splits `apiVersion` and `kind`.
pub(crate) fn kind(object: &Value) -> (String, String, String) {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let kind = object["kind"].as_str().unwrap_or_default();
    (group.to_owned(), version.to_owned(), kind.to_owned())
}
