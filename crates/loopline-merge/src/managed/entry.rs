//! The entries of `metadata.managedFields`, read and written.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::path::{FieldsError, PathSet};
use crate::structured::{Managers, Owned};

/// What a manager did to own fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// It applied a configuration.
    Apply,
    /// It created or updated the object.
    Update,
}

impl Operation {
    /// Returns the operation as entries name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// What tells managers apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ManagerId {
    /// The manager's name: `kubectl`.
    pub manager: Arc<str>,
    /// What it did.
    pub operation: Operation,
    /// The version it used; empty for appliers, which stay the same with any version.
    pub api_version: Arc<str>,
    /// The subresource it used; empty for the object itself.
    pub subresource: Arc<str>,
}

/// The managers of an object and when their fields changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManagedFields {
    /// Who owns what.
    pub managers: Managers<ManagerId>,
    /// When. A manager need not have a time.
    pub times: BTreeMap<ManagerId, Timestamp>,
}

/// `managedFields` that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The entries are not a list, or one is not an object.
    #[error("managedFields must be a list of objects")]
    NotEntries,
    /// A member of an entry is not a string.
    #[error("{1} must be a string in managed fields entry {0}")]
    NotAString(usize, &'static str),
    /// An entry has another operation.
    #[error("operation must be `Apply` or `Update` in managed fields entry {0}")]
    Operation(usize),
    /// An entry does not say which version its fields are of.
    #[error("apiVersion must not be empty in managed fields entry {0}")]
    NoVersion(usize),
    /// An entry does not say of which type its fields are.
    #[error("missing fieldsType in managed fields entry {0}")]
    NoFieldsType(usize),
    /// An entry has fields of another type.
    #[error("invalid fieldsType {1:?} in managed fields entry {0}")]
    FieldsType(usize, String),
    /// An entry's time is not one.
    #[error("invalid time {1:?} in managed fields entry {0}")]
    Time(usize, String),
    /// An entry's fields cannot be read.
    #[error("managed fields entry {0}: {1}")]
    Fields(usize, FieldsError),
}

impl ManagedFields {
    /// Reads the entries of an object.
    ///
    /// # Errors
    ///
    /// Fails with the first entry that is not one.
    pub fn of(object: &Value) -> Result<Self, DecodeError> {
        match entries(object) {
            Some(entries) => Self::decode(entries),
            None => Ok(Self::default()),
        }
    }

    /// Reads a list of entries.
    ///
    /// # Errors
    ///
    /// Fails with the first entry that is not one.
    pub fn decode(entries: &Value) -> Result<Self, DecodeError> {
        let Value::Array(entries) = entries else { return Err(DecodeError::NotEntries) };
        let mut decoded = Self::default();
        for (index, entry) in entries.iter().enumerate() {
            let Value::Object(entry) = entry else { return Err(DecodeError::NotEntries) };
            let text = |name| text(entry, name, index);
            let operation = match text("operation")? {
                "Apply" => Operation::Apply,
                "Update" => Operation::Update,
                _ => return Err(DecodeError::Operation(index)),
            };
            let version = text("apiVersion")?;
            if version.is_empty() {
                return Err(DecodeError::NoVersion(index));
            }
            match text("fieldsType")? {
                "FieldsV1" => {}
                "" => return Err(DecodeError::NoFieldsType(index)),
                other => return Err(DecodeError::FieldsType(index, other.to_owned())),
            }
            let set = match entry.get("fieldsV1") {
                None | Some(Value::Null) => PathSet::new(),
                Some(fields) => PathSet::from_fields_v1(fields)
                    .map_err(|error| DecodeError::Fields(index, error))?,
            };
            let version: Arc<str> = Arc::from(version);
            let id = ManagerId {
                manager: Arc::from(text("manager")?),
                operation,
                api_version: match operation {
                    Operation::Apply => Arc::from(""),
                    Operation::Update => Arc::clone(&version),
                },
                subresource: Arc::from(text("subresource")?),
            };
            match text("time")? {
                "" => {}
                time => {
                    let parsed =
                        time.parse().map_err(|_| DecodeError::Time(index, time.to_owned()))?;
                    decoded.times.insert(id.clone(), parsed);
                }
            }
            let owned = Owned { set, version, applied: operation == Operation::Apply };
            decoded.managers.insert(id, owned);
        }
        Ok(decoded)
    }

    /// Returns the entries as objects hold them: appliers first, then by time, then by name.
    #[must_use]
    pub fn encode(&self) -> Vec<Value> {
        let seconds = |id| self.times.get(id).map_or(0, |time: &Timestamp| time.as_second());
        let mut ordered: Vec<(&ManagerId, &Owned)> = self.managers.iter().collect();
        ordered.sort_by(|(left, left_owned), (right, right_owned)| {
            (left.operation, seconds(left), &left.manager, &left_owned.version, &left.subresource)
                .cmp(&(
                    right.operation,
                    seconds(right),
                    &right.manager,
                    &right_owned.version,
                    &right.subresource,
                ))
        });
        ordered.into_iter().map(|(id, owned)| self.encode_entry(id, owned)).collect()
    }

    fn encode_entry(&self, id: &ManagerId, owned: &Owned) -> Value {
        let mut entry = Map::new();
        let mut put = |name: &str, value: Value| entry.insert(name.to_owned(), value);
        if !id.manager.is_empty() {
            put("manager", Value::from(&*id.manager));
        }
        put("operation", Value::from(id.operation.name()));
        put("apiVersion", Value::from(&*owned.version));
        if let Some(time) = self.times.get(id) {
            let time = Timestamp::from_second(time.as_second()).unwrap_or(*time);
            put("time", Value::from(time.to_string()));
        }
        put("fieldsType", Value::from("FieldsV1"));
        put("fieldsV1", owned.set.to_fields_v1());
        if !id.subresource.is_empty() {
            put("subresource", Value::from(&*id.subresource));
        }
        Value::Object(entry)
    }
}

fn text<'a>(
    entry: &'a Map<String, Value>,
    name: &'static str,
    index: usize,
) -> Result<&'a str, DecodeError> {
    match entry.get(name) {
        None | Some(Value::Null) => Ok(""),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(DecodeError::NotAString(index, name)),
    }
}

/// Returns the entries of an object, if it has the field and it is not null.
pub(crate) fn entries(object: &Value) -> Option<&Value> {
    object.get("metadata")?.get("managedFields").filter(|entries| !entries.is_null())
}

/// Takes the entries out of an object.
pub(crate) fn take_entries(object: &mut Value) {
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.shift_remove("managedFields");
    }
}

/// Puts entries into an object. Objects without metadata have none.
pub(crate) fn put_entries(object: &mut Value, managed: &ManagedFields) {
    let entries = managed.encode();
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        if entries.is_empty() {
            metadata.shift_remove("managedFields");
        } else {
            metadata.insert("managedFields".to_owned(), Value::Array(entries));
        }
    }
}
