//! Objects as rows of a `Table`, which is what people are shown.

use std::sync::Arc;

use loopline_clock::{Clock, Timestamp};
use loopline_schema::columns;
use serde_json::{Value, json};

use super::resource::partial;
use crate::registry::Entry;
use crate::request::Query;

/// Prints objects of one resource.
#[derive(Debug)]
pub(crate) struct Printer {
    entry: Arc<Entry>,
    include: Include,
    now: Timestamp,
}

/// What a row carries beside its cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Include {
    Metadata,
    Object,
    Nothing,
}

impl Printer {
    /// Makes a printer for a request.
    pub(crate) fn new(entry: &Arc<Entry>, query: &Query, clock: &Clock) -> Self {
        let include = match query.get("includeObject") {
            Some("Object") => Include::Object,
            Some("None") => Include::Nothing,
            _ => Include::Metadata,
        };
        Self { entry: Arc::clone(entry), include, now: clock.now() }
    }

    /// Returns a table of objects; the columns are described where `described` says so.
    pub(crate) fn table(
        &self,
        version: &str,
        metadata: Value,
        objects: &[Value],
        described: bool,
    ) -> Value {
        let rows: Vec<Value> = objects.iter().map(|object| self.row(object, version)).collect();
        let definitions = if described { Value::Array(self.definitions()) } else { Value::Null };
        json!({
            "kind": "Table",
            "apiVersion": format!("meta.k8s.io/{version}"),
            "metadata": metadata,
            "columnDefinitions": definitions,
            "rows": rows,
        })
    }

    fn definitions(&self) -> Vec<Value> {
        match self.entry.custom() {
            Some(custom) => custom.column_definitions(),
            None => self
                .built_in()
                .columns
                .iter()
                .map(|column| {
                    json!({
                        "name": column.name,
                        "type": column.kind,
                        "format": column.format,
                        "description": column.description,
                        "priority": column.priority,
                    })
                })
                .collect(),
        }
    }

    fn row(&self, object: &Value, version: &str) -> Value {
        let cells = match self.entry.custom() {
            Some(custom) => custom.cells(object, self.now),
            None => columns::cells(self.built_in(), object, self.now.as_second()),
        };
        let mut row = json!({"cells": cells});
        let resource = &self.entry.resource;
        let conditions = columns::conditions(&resource.group, &resource.kind, object);
        if self.entry.custom().is_none() && !conditions.is_empty() {
            row["conditions"] = Value::Array(conditions);
        }
        match self.include {
            Include::Metadata => row["object"] = partial(object.clone(), version),
            Include::Object => row["object"] = object.clone(),
            Include::Nothing => {}
        }
        row
    }

    fn built_in(&self) -> &'static columns::Table {
        let resource = &self.entry.resource;
        columns::table(&resource.group, &resource.version, &resource.kind)
            .unwrap_or_else(columns::fallback)
    }
}
