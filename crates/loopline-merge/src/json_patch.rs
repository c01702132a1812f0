//! JSON patch (RFC 6902): a list of operations that happens as a whole or not at all.

use std::fmt;

use serde_json::{Map, Value};

use crate::depth::{TooDeep, bounded};
use crate::order::equal;

/// How many operations a patch may have, as in real API servers.
pub const MAX_OPERATIONS: usize = 10_000;
/// How many values `copy` may bring into one document all in all.
pub const MAX_COPIED_VALUES: usize = 1_000_000;

/// A patch that is not applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The patch is not a list.
    #[error("a JSON patch is a list of operations")]
    NotAList,
    /// The patch has too many operations.
    #[error("The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {0}")]
    TooMany(usize),
    /// An operation is malformed: the patch is wrong whatever the document.
    #[error("operation {index}: {fault}")]
    Malformed {
        /// The operation's position, from 0.
        index: usize,
        /// What is wrong.
        fault: Fault,
    },
    /// An operation does not fit the document.
    #[error("operation {index} ({name} {path}): {fault}")]
    Failed {
        /// The operation's position, from 0.
        index: usize,
        /// What it does.
        name: Name,
        /// The place it is about.
        path: String,
        /// What is wrong.
        fault: Fault,
    },
    /// The patch, or the document it makes, nests too deep.
    #[error(transparent)]
    TooDeep(#[from] TooDeep),
}

/// The kinds of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// Adds a member, inserts an item, or replaces.
    Add,
    /// Removes what must be there.
    Remove,
    /// Replaces what must be there.
    Replace,
    /// Removes from one place and adds at another.
    Move,
    /// Adds what stands at another place.
    Copy,
    /// Fails unless a value is there.
    Test,
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Add => "add",
            Self::Remove => "remove",
            Self::Replace => "replace",
            Self::Move => "move",
            Self::Copy => "copy",
            Self::Test => "test",
        })
    }
}

/// What is wrong with an operation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The operation is not an object.
    #[error("an operation is an object")]
    NotAnObject,
    /// A member is missing or not a string.
    #[error("{0:?} must be a string")]
    NoString(&'static str),
    /// There is no value.
    #[error("\"value\" is missing")]
    NoValue,
    /// There is no such operation.
    #[error("unknown operation {0:?}")]
    Unknown(String),
    /// A place is not a JSON pointer.
    #[error("{0:?} is not a JSON pointer")]
    NotAPointer(String),
    /// There is nothing at a place.
    #[error("nothing at {0:?}")]
    Nothing(String),
    /// A list has no such position.
    #[error("no position {0:?} in the list")]
    NoPosition(String),
    /// A value cannot be moved into itself.
    #[error("a value cannot be moved into itself")]
    IntoItself,
    /// The document itself cannot be removed.
    #[error("the whole document cannot be removed")]
    WholeDocument,
    /// `test` found something else.
    #[error("test failed: found {0}")]
    Differs(String),
    /// Copies add up to too much.
    #[error("copies add up to more than {MAX_COPIED_VALUES} values")]
    TooMuchCopied,
}

impl Error {
    /// Returns whether the patch itself is wrong, rather than not fitting the document.
    #[must_use]
    pub fn is_malformed(&self) -> bool {
        !matches!(self, Self::Failed { .. })
    }
}

/// Applies a patch. The document is changed only if all operations succeed.
///
/// # Errors
///
/// Fails with the first operation that is malformed or does not fit the document.
pub fn apply(document: &Value, patch: &Value) -> Result<Value, Error> {
    let Value::Array(operations) = patch else { return Err(Error::NotAList) };
    if operations.len() > MAX_OPERATIONS {
        return Err(Error::TooMany(operations.len()));
    }
    bounded(document)?;
    bounded(patch)?;
    let mut result = document.clone();
    let mut copied = 0_usize;
    for (index, operation) in operations.iter().enumerate() {
        let operation =
            Operation::read(operation).map_err(|fault| Error::Malformed { index, fault })?;
        let failed = |fault| Error::Failed {
            index,
            name: operation.name,
            path: operation.path.to_owned(),
            fault,
        };
        if operation.name == Name::Copy {
            let from = operation.from.unwrap_or_default();
            let source = get(&result, from).map_err(failed)?;
            copied += count(source);
            if copied > MAX_COPIED_VALUES {
                return Err(failed(Fault::TooMuchCopied));
            }
        }
        operation.run(&mut result).map_err(failed)?;
        // Copies and moves can nest what did not nest so deep before.
        if matches!(operation.name, Name::Copy | Name::Move | Name::Add) {
            bounded(&result)?;
        }
    }
    Ok(result)
}

fn count(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(count).sum::<usize>(),
        Value::Object(map) => 1 + map.values().map(count).sum::<usize>(),
        _ => 1,
    }
}

struct Operation<'a> {
    name: Name,
    path: &'a str,
    from: Option<&'a str>,
    value: Option<&'a Value>,
}

impl<'a> Operation<'a> {
    fn read(operation: &'a Value) -> Result<Self, Fault> {
        let Value::Object(map) = operation else { return Err(Fault::NotAnObject) };
        let name = match string(map, "op")? {
            "add" => Name::Add,
            "remove" => Name::Remove,
            "replace" => Name::Replace,
            "move" => Name::Move,
            "copy" => Name::Copy,
            "test" => Name::Test,
            other => return Err(Fault::Unknown(other.to_owned())),
        };
        let path = pointer(string(map, "path")?)?;
        let from = match name {
            Name::Move | Name::Copy => Some(pointer(string(map, "from")?)?),
            _ => None,
        };
        let value = match name {
            Name::Add | Name::Replace | Name::Test => Some(map.get("value").ok_or(Fault::NoValue)?),
            _ => None,
        };
        Ok(Self { name, path, from, value })
    }

    fn run(&self, document: &mut Value) -> Result<(), Fault> {
        let value = || self.value.cloned().unwrap_or_default();
        let from = self.from.unwrap_or_default();
        match self.name {
            Name::Add => add(document, self.path, value()),
            Name::Remove => remove(document, self.path).map(|_| ()),
            Name::Replace => {
                *get_mut(document, self.path)? = value();
                Ok(())
            }
            Name::Move => {
                if self.path == from {
                    return get(document, from).map(|_| ());
                }
                let below = self.path.strip_prefix(from);
                if below.is_some_and(|below| below.starts_with('/')) {
                    return Err(Fault::IntoItself);
                }
                let moved = remove(document, from)?;
                add(document, self.path, moved)
            }
            Name::Copy => {
                let copy = get(document, from)?.clone();
                add(document, self.path, copy)
            }
            Name::Test => {
                let found = get(document, self.path)?;
                if self.value.is_some_and(|value| equal(value, found)) {
                    Ok(())
                } else {
                    Err(Fault::Differs(shorten(found)))
                }
            }
        }
    }
}

/// A found value may be a secret's or a megabyte long: messages hold its beginning at most.
fn shorten(value: &Value) -> String {
    const LONGEST: usize = 80;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

fn string<'a>(map: &'a Map<String, Value>, name: &'static str) -> Result<&'a str, Fault> {
    map.get(name).and_then(Value::as_str).ok_or(Fault::NoString(name))
}

fn pointer(text: &str) -> Result<&str, Fault> {
    let mut rest = text;
    while let Some(tilde) = rest.find('~') {
        rest = &rest[tilde + 1..];
        if !rest.starts_with(['0', '1']) {
            return Err(Fault::NotAPointer(text.to_owned()));
        }
    }
    if text.is_empty() || text.starts_with('/') {
        Ok(text)
    } else {
        Err(Fault::NotAPointer(text.to_owned()))
    }
}

fn token(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}

/// Reads a position: digits without a leading zero.
fn position(token: &str) -> Option<usize> {
    let canonical = token == "0" || !token.starts_with(['0', '+']);
    canonical.then(|| token.parse().ok()).flatten()
}

fn get<'a>(document: &'a Value, pointer: &str) -> Result<&'a Value, Fault> {
    let nothing = || Fault::Nothing(pointer.to_owned());
    pointer.split('/').skip(1).try_fold(document, |value, step| match value {
        Value::Object(map) => map.get(&token(step)).ok_or_else(nothing),
        Value::Array(items) => {
            position(step).and_then(|index| items.get(index)).ok_or_else(nothing)
        }
        _ => Err(nothing()),
    })
}

fn get_mut<'a>(document: &'a mut Value, pointer: &str) -> Result<&'a mut Value, Fault> {
    let nothing = || Fault::Nothing(pointer.to_owned());
    pointer.split('/').skip(1).try_fold(document, |value, step| match value {
        Value::Object(map) => map.get_mut(&token(step)).ok_or_else(nothing),
        Value::Array(items) => {
            position(step).and_then(|index| items.get_mut(index)).ok_or_else(nothing)
        }
        _ => Err(nothing()),
    })
}

fn add(document: &mut Value, pointer: &str, value: Value) -> Result<(), Fault> {
    let Some((parent, last)) = pointer.rsplit_once('/') else {
        *document = value;
        return Ok(());
    };
    match get_mut(document, parent)? {
        Value::Object(map) => {
            map.insert(token(last), value);
        }
        Value::Array(items) => {
            let index = if last == "-" { Some(items.len()) } else { position(last) };
            let index = index
                .filter(|index| *index <= items.len())
                .ok_or_else(|| Fault::NoPosition(last.to_owned()))?;
            items.insert(index, value);
        }
        _ => return Err(Fault::Nothing(parent.to_owned())),
    }
    Ok(())
}

fn remove(document: &mut Value, pointer: &str) -> Result<Value, Fault> {
    let nothing = || Fault::Nothing(pointer.to_owned());
    let (parent, last) = pointer.rsplit_once('/').ok_or(Fault::WholeDocument)?;
    match get_mut(document, parent)? {
        Value::Object(map) => map.shift_remove(&token(last)).ok_or_else(nothing),
        Value::Array(items) => {
            let index = position(last).filter(|index| *index < items.len());
            Ok(items.remove(index.ok_or_else(nothing)?))
        }
        _ => Err(nothing()),
    }
}
