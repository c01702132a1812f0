//! Turns commands and problem matches into annotations.
//!
//! The checks of lines and columns are those of GitHub's runner. Counting and masking is the
//! pipeline's business.

use std::path::{Component, Path, PathBuf};

use loopline_workflow::run::{Annotation, Level, Place};

use super::commands::Command;
use super::matchers::Match;

/// How long an annotation's message may be, in characters (GitHub's runner).
const MAX_MESSAGE_CHARS: usize = 4096;

/// What cuts a message to the length annotations may have.
pub(super) fn message(text: &str) -> String {
    match text.char_indices().nth(MAX_MESSAGE_CHARS) {
        Some((end, _)) => text[..end].to_owned(),
        None => text.to_owned(),
    }
}

/// Returns the annotation an `error`, `warning` or `notice` command asks for.
pub(super) fn from_command(level: Level, command: &Command, workspace: &Path) -> Annotation {
    let number = |name: &str| command.property(name).and_then(|text| text.parse::<u32>().ok());
    let (mut line, mut end_line) = (number("line"), number("endline"));
    let (mut column, mut end_column) = (number("col"), number("endcolumn"));
    line = line.or(end_line);
    column = column.or(end_column);
    if line.is_none() {
        (column, end_column) = (None, None);
    }
    if end_line.zip(line).is_some_and(|(end, start)| end < start) {
        (line, end_line) = (None, None);
    }
    if end_column.zip(column).is_some_and(|(end, start)| end < start)
        || end_line.zip(line).is_some_and(|(end, start)| end != start)
    {
        (column, end_column) = (None, None);
    }
    let place = command.property("file").map(|file| Place {
        file: relative(file, workspace),
        line: line.unwrap_or(0),
        column: column.unwrap_or(0),
    });
    Annotation {
        level,
        message: message(&command.data),
        title: command.property("title").map(str::to_owned),
        end_line: end_line.filter(|_| place.is_some()),
        end_column: end_column.filter(|_| place.is_some()),
        place,
    }
}

/// Returns the annotation a problem match asks for; nothing if it says nothing, or with a
/// severity there is not. A file counts only where it `exists` in the workspace.
pub(super) fn from_match(
    found: &Match,
    workspace: &Path,
    exists: &mut dyn FnMut(&Path) -> bool,
) -> Option<Annotation> {
    let text = found.get("message")?;
    let level = match found.get("severity").map(str::to_ascii_lowercase).as_deref() {
        None | Some("error") => Level::Error,
        Some("warning") => Level::Warning,
        Some("notice") => Level::Notice,
        Some(_) => return None,
    };
    let number = |name| found.get(name).and_then(|text| text.parse::<u32>().ok());
    let place = found.get("file").and_then(|file| {
        let full = rooted(file, found.get("fromPath"), workspace);
        let inside = full.strip_prefix(workspace).ok()?;
        exists(&full).then(|| Place {
            file: inside.to_string_lossy().into_owned(),
            line: number("line").unwrap_or(0),
            column: number("column").unwrap_or(0),
        })
    });
    Some(Annotation {
        level,
        message: message(text),
        title: found.get("code").map(|code| code.trim().to_owned()),
        place,
        end_line: None,
        end_column: None,
    })
}

/// Returns the full path of a file a tool names: relative ones stand beside `from` (the project
/// file it names) or in the workspace.
fn rooted(file: &str, from: Option<&str>, workspace: &Path) -> PathBuf {
    let folder = from.and_then(|from| Path::new(from).parent()).unwrap_or(Path::new(""));
    let mut full = PathBuf::new();
    for part in workspace.join(folder).join(file).components() {
        match part {
            Component::ParentDir => {
                full.pop();
            }
            Component::CurDir => {}
            part => full.push(part),
        }
    }
    full
}

fn relative(file: &str, workspace: &Path) -> String {
    match Path::new(file).strip_prefix(workspace) {
        Ok(inside) => inside.to_string_lossy().into_owned(),
        Err(_) => file.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::commands;
    use super::*;

    fn show(line: &str) -> String {
        let command = commands::parse(line, None).unwrap();
        let annotation = from_command(Level::Error, &command, Path::new("/w"));
        let place = annotation.place.unwrap_or_default();
        format!(
            "{}:{}-{:?}:{}-{:?}",
            place.file, place.line, annotation.end_line, place.column, annotation.end_column
        )
    }

    #[test]
    fn lines_and_columns() {
        for (properties, expected) in [
            ("file=a,line=3,col=4", "a:3-None:4-None"),
            ("file=/w/b/a,line=3", "b/a:3-None:0-None"),
            ("file=a,endLine=3", "a:3-Some(3):0-None"),
            ("file=a,col=3", "a:0-None:0-None"),
            ("file=a,line=3,endLine=2", "a:0-None:0-None"),
            ("file=a,line=3,endLine=4,col=1", "a:3-Some(4):0-None"),
            ("file=a,line=3,endLine=3,col=5,endColumn=4", "a:3-Some(3):0-None"),
            ("file=a,line=3,endColumn=4", "a:3-None:4-Some(4)"),
            ("line=3", ":0-None:0-None"),
        ] {
            assert_eq!(show(&format!("::error {properties}::m")), expected, "{properties}");
        }
    }

    #[test]
    fn roots() {
        for (file, from, full) in [
            ("a.c", None, "/w/a.c"),
            ("/x/a.c", None, "/x/a.c"),
            ("../a.c", Some("src/lib/p.csproj"), "/w/src/a.c"),
            ("a.c", Some("/w/src/p.csproj"), "/w/src/a.c"),
            ("../../../a.c", None, "/a.c"),
        ] {
            assert_eq!(rooted(file, from, Path::new("/w")), Path::new(full));
        }
    }
}
