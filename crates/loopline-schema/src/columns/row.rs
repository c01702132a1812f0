//! One object on its way into cells.

use loopline_units::quantity::Quantity;
use loopline_units::show_age;
use serde_json::Value;

use crate::tree::{list, text};

/// An object and the time it is shown at.
pub(crate) struct Row<'a> {
    /// The object.
    pub(crate) object: &'a Value,
    /// Seconds since 1970.
    pub(crate) now: i64,
}

impl<'a> Row<'a> {
    /// Returns a field of the object.
    pub(crate) fn at(&self, path: &[&str]) -> &'a Value {
        path.iter().fold(self.object, |value, key| &value[*key])
    }

    /// Returns a text of the object, or an empty one.
    pub(crate) fn text(&self, path: &[&str]) -> &'a str {
        self.at(path).as_str().unwrap_or_default()
    }

    /// Returns a text of the object, or what stands for none.
    pub(crate) fn text_or(&self, path: &[&str], none: &'static str) -> Value {
        match self.text(path) {
            "" => none.into(),
            text => text.into(),
        }
    }

    /// Returns an integer of the object, or 0.
    pub(crate) fn integer(&self, path: &[&str]) -> i64 {
        self.at(path).as_i64().unwrap_or(0)
    }

    /// Returns the cell of the name.
    pub(crate) fn name(&self) -> Value {
        self.text(&["metadata", "name"]).into()
    }

    /// Returns the cell of the age.
    pub(crate) fn age(&self) -> Value {
        self.since(self.at(&["metadata", "creationTimestamp"])).into()
    }

    /// Returns how long ago a time was.
    pub(crate) fn since(&self, time: &Value) -> String {
        seconds(time).map_or("<unknown>".to_owned(), |then| show_age(self.now - then))
    }

    /// Returns whether the object is on its way out.
    pub(crate) fn is_deleted(&self) -> bool {
        !self.at(&["metadata", "deletionTimestamp"]).is_null()
    }

    /// Returns whether a condition of the object is true.
    pub(crate) fn has(&self, condition: &str) -> bool {
        list(self.at(&["status"]), "conditions")
            .iter()
            .find(|found| text(found, "type") == condition)
            .is_some_and(|found| text(found, "status") == "True")
    }
}

/// Returns the seconds since 1970 of an RFC 3339 time.
pub(crate) fn seconds(time: &Value) -> Option<i64> {
    time.as_str()?.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second)
}

/// Returns a quantity in its canonical form; nothing at all is `0`.
pub(crate) fn quantity(value: &Value) -> String {
    let written = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return "0".to_owned(),
    };
    Quantity::parse(&written).map_or(written, |quantity| quantity.to_string())
}

/// Returns the names and the images of containers.
pub(crate) fn containers(spec: &Value) -> [Value; 2] {
    ["name", "image"].map(|key| {
        let texts: Vec<_> =
            list(spec, "containers").iter().map(|container| text(container, key)).collect();
        texts.join(",").into()
    })
}

/// Returns a list with at most three entries shown and the rest counted.
pub(crate) fn some(entries: &[String], none: &str) -> String {
    const SHOWN: usize = 3;
    match entries.len() {
        0 => none.to_owned(),
        1..=SHOWN => entries.join(","),
        count => format!("{} + {} more...", entries[..SHOWN].join(","), count - SHOWN),
    }
}

/// Returns the texts of a list of texts, joined with commas.
pub(crate) fn joined(list: &Value) -> String {
    let texts: Vec<_> = list.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    texts.join(",")
}
