//! Reads the documents that `-f` names: files, folders and standard input.
//!
//! What a document means is `loopline_schema::manifest`'s; here is where it stands, so that every
//! refusal names a file and a line.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use loopline_schema::manifest;
use loopline_source::SourceFile;
use serde_json::Value;

use crate::error::CommandError;

/// Standard input, as `-f` names it.
const STANDARD_INPUT: &str = "-";

/// The endings of files that a folder is searched for.
const ENDINGS: &[&str] = &["json", "yaml", "yml"];

/// The largest file of documents.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// The deepest folder that `--recursive` looks into.
const MAX_FOLDERS: usize = 32;

/// How deep lists may hold lists.
const MAX_LISTS: usize = 8;

/// Where documents come from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    /// Files, folders and `-`.
    pub(crate) files: Vec<String>,
    /// Whether folders in folders count.
    pub(crate) recursive: bool,
}

/// A document, or an item of a list that stands in one.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    /// The object.
    pub(crate) object: Value,
    /// `file:line`.
    pub(crate) place: String,
}

impl Document {
    /// Returns its kind.
    pub(crate) fn kind(&self) -> &str {
        self.object["kind"].as_str().unwrap_or_default()
    }

    /// Returns its group and its version.
    pub(crate) fn group_version(&self) -> (&str, &str) {
        let version = self.object["apiVersion"].as_str().unwrap_or_default();
        version.rsplit_once('/').unwrap_or(("", version))
    }
}

/// Reads all documents, in the order of the files' names.
///
/// # Errors
/// Where a file cannot be read, is no YAML, repeats a key, or has a document without a kind.
pub(crate) fn read(sources: &Sources) -> Result<Vec<Document>, CommandError> {
    let mut documents = Vec::new();
    for name in &sources.files {
        if name == STANDARD_INPUT {
            let mut text = String::new();
            std::io::stdin().lock().take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
            if text.len() as u64 > MAX_FILE_BYTES {
                let message = format!("STDIN has more than {MAX_FILE_BYTES} bytes");
                return Err(CommandError::usage(message));
            }
            parse("STDIN", text, &mut documents)?;
            continue;
        }
        if name.starts_with("http://") || name.starts_with("https://") {
            let message = format!("{name} is an address, and documents are read from files");
            return Err(CommandError::usage(message).hint("fetch it, and pipe it into `-f -`"));
        }
        let path = Path::new(name);
        if !path.exists() {
            return Err(CommandError::usage(format!("the path {name:?} does not exist")));
        }
        let mut files = Vec::new();
        if path.is_dir() {
            search(path, sources.recursive, 0, &mut files)?;
            if files.is_empty() {
                let message = format!(
                    "error reading [{name}]: recognized file extensions are [.json .yaml .yml]"
                );
                return Err(CommandError::usage(message));
            }
        } else {
            files.push(path.to_owned());
        }
        for file in files {
            if fs_err::metadata(&file)?.len() > MAX_FILE_BYTES {
                let message = format!("{} has more than {MAX_FILE_BYTES} bytes", file.display());
                return Err(CommandError::usage(message));
            }
            let text = fs_err::read_to_string(&file)?;
            parse(&file.to_string_lossy(), text, &mut documents)?;
        }
    }
    Ok(documents)
}

fn search(
    folder: &Path,
    recursive: bool,
    depth: usize,
    found: &mut Vec<PathBuf>,
) -> Result<(), CommandError> {
    if depth > MAX_FOLDERS {
        let message = format!("{} is deeper than {MAX_FOLDERS} folders", folder.display());
        return Err(CommandError::usage(message));
    }
    let mut entries: Vec<PathBuf> = fs_err::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    entries.sort();
    for path in entries {
        if path.is_dir() {
            if recursive {
                search(&path, recursive, depth + 1, found)?;
            }
        } else if path.extension().is_some_and(|ending| ENDINGS.iter().any(|one| *one == ending)) {
            found.push(path);
        }
    }
    Ok(())
}

fn parse(name: &str, text: String, into: &mut Vec<Document>) -> Result<(), CommandError> {
    let file = SourceFile::new(name, text);
    let at = |offset: u32| format!("{name}:{}", file.position(offset).line);
    let manifests = manifest::from_yaml(&file)
        .map_err(|error| CommandError::usage(format!("{}: {error}", at(error.span.start))))?;
    for document in manifests {
        let place = at(document.span.start);
        if let Some(key) = document.duplicates.first() {
            return Err(CommandError::usage(format!("{place}: the key {key:?} stands twice")));
        }
        flatten(document.value, place, 0, into)?;
    }
    Ok(())
}

/// Adds an object, or the items of a list of them.
fn flatten(
    object: Value,
    place: String,
    depth: usize,
    into: &mut Vec<Document>,
) -> Result<(), CommandError> {
    let missing: Vec<&str> = ["apiVersion", "kind"]
        .into_iter()
        .filter(|key| object[*key].as_str().is_none_or(str::is_empty))
        .collect();
    if !missing.is_empty() {
        return Err(CommandError::usage(format!("{place}: {} not set", missing.join(", "))));
    }
    let list = object["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
    if list && let Value::Array(items) = &object["items"] {
        if depth > MAX_LISTS {
            return Err(CommandError::usage(format!("{place}: lists of lists of lists")));
        }
        for (index, item) in items.iter().enumerate() {
            flatten(item.clone(), format!("{place}: items[{index}]"), depth + 1, into)?;
        }
        return Ok(());
    }
    into.push(Document { object, place });
    Ok(())
}
