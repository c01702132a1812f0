//! Objects: named values in order, found without regard to case.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::ordinal::{equals_ignore_case, fold};
use super::value::Value;

/// Up to this many entries a scan is faster than an index.
const SCAN_UP_TO: usize = 12;

/// Named values in the order they were added.
#[derive(Clone, Debug, Default)]
pub struct Object {
    entries: Vec<(Arc<str>, Value)>,
    /// Where a folded name stands, once there are many.
    index: HashMap<Box<str>, usize>,
    case_sensitive: bool,
}

impl Object {
    /// Makes an empty object whose names do not know case.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes an empty object whose names know case, as `env` on Linux.
    pub fn case_sensitive() -> Self {
        Self { case_sensitive: true, ..Self::default() }
    }

    /// Returns how many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the value of a name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.position(name).map(|position| &self.entries[position].1)
    }

    /// Returns whether a name is there.
    pub fn contains_key(&self, name: &str) -> bool {
        self.position(name).is_some()
    }

    /// Sets the value of a name, in its old place if it has one, and returns the old value.
    pub fn insert(&mut self, name: impl Into<Arc<str>>, value: impl Into<Value>) -> Option<Value> {
        let name = name.into();
        if let Some(position) = self.position(&name) {
            return Some(std::mem::replace(&mut self.entries[position].1, value.into()));
        }
        self.push(name, value.into());
        None
    }

    /// Adds a member of a JSON object: the same name again replaces its value, a name that differs
    /// only in case is dropped.
    pub(super) fn insert_json(&mut self, name: impl Into<Arc<str>>, value: Value) {
        let name = name.into();
        match self.position(&name) {
            None => self.push(name, value),
            Some(position) => {
                let entry = &mut self.entries[position];
                if entry.0 == name {
                    entry.1 = value;
                }
            }
        }
    }

    /// Iterates over names and values in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, &Value)> + DoubleEndedIterator {
        self.entries.iter().map(|(name, value)| (name, value))
    }

    /// Iterates over the values in order.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &Value> + DoubleEndedIterator {
        self.entries.iter().map(|(_, value)| value)
    }

    fn push(&mut self, name: Arc<str>, value: Value) {
        if self.entries.len() == SCAN_UP_TO {
            self.index = self
                .entries
                .iter()
                .enumerate()
                .map(|(position, (name, _))| (self.key(name).into(), position))
                .collect();
        }
        if self.entries.len() >= SCAN_UP_TO {
            self.index.insert(self.key(&name).into(), self.entries.len());
        }
        self.entries.push((name, value));
    }

    fn key<'a>(&self, name: &'a str) -> Cow<'a, str> {
        if self.case_sensitive { Cow::Borrowed(name) } else { fold(name) }
    }

    fn position(&self, name: &str) -> Option<usize> {
        if self.entries.len() > SCAN_UP_TO {
            return self.index.get(&*self.key(name)).copied();
        }
        self.entries.iter().position(|(other, _)| {
            &**other == name || (!self.case_sensitive && equals_ignore_case(other, name))
        })
    }
}

impl<K: Into<Arc<str>>, V: Into<Value>> FromIterator<(K, V)> for Object {
    fn from_iter<T: IntoIterator<Item = (K, V)>>(entries: T) -> Self {
        let mut object = Self::new();
        object.extend(entries);
        object
    }
}

impl<K: Into<Arc<str>>, V: Into<Value>> Extend<(K, V)> for Object {
    fn extend<T: IntoIterator<Item = (K, V)>>(&mut self, entries: T) {
        for (name, value) in entries {
            self.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_know_case_however_many_there_are() {
        for count in [1, SCAN_UP_TO, SCAN_UP_TO + 1, 1000] {
            let mut object: Object = (0..count)
                .map(|number| (format!("Name{number}"), f64::from(number as u32)))
                .collect();
            assert_eq!(object.len(), count);
            for number in 0..count {
                let name = format!("nAME{number}");
                assert_eq!(object.get(&name).map(Value::to_number), Some(number as f64));
            }
            assert!(object.get("name").is_none());
            assert!(object.insert("NAME0", "new").is_some());
            object.insert_json("nAmE0", "ignored".into());
            assert_eq!(object.len(), count);
            assert_eq!(object.iter().next().map(|(name, _)| &**name), Some("Name0"));
            assert_eq!(
                object.get("name0").map(|it| it.to_text().into_owned()).as_deref(),
                Some("new")
            );
        }
    }

    #[test]
    fn env_knows_case() {
        for count in [1, 100] {
            let mut object = Object::case_sensitive();
            object.extend((0..count).map(|number| (format!("Name{number}"), "a")));
            assert!(object.get("Name0").is_some());
            assert!(object.get("NAME0").is_none());
            object.insert("NAME0", "b");
            assert_eq!(object.len(), count + 1);
        }
    }
}
