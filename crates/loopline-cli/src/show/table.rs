//! Tables of the API (`meta.k8s.io/v1` `Table`) as text.

use serde_json::Value;

/// The least width of a column.
const MIN_WIDTH: usize = 6;

/// What stands between columns.
const PADDING: usize = 3;

/// How a table is printed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Form<'a> {
    /// Columns that only `-o wide` has, too.
    pub(crate) wide: bool,
    /// A first column with the namespace.
    pub(crate) namespaces: bool,
    /// A last column with the labels.
    pub(crate) labels: bool,
    /// What stands before each name.
    pub(crate) prefix: Option<&'a str>,
    /// No line of headings.
    pub(crate) no_headers: bool,
}

/// Returns the lines of tables of one kind; the first one's columns count.
pub(crate) fn lines(tables: &[Value], form: Form<'_>) -> Vec<String> {
    let Some(first) = tables.first() else { return Vec::new() };
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let columns: Vec<(usize, String, bool)> = list(first, "columnDefinitions")
        .iter()
        .enumerate()
        .filter(|(_, column)| form.wide || column["priority"].as_i64().unwrap_or(0) == 0)
        .map(|(index, column)| {
            let name = column["name"].as_str().unwrap_or_default();
            (index, name.to_uppercase(), name == "Name")
        })
        .collect();
    let mut rows: Vec<Vec<String>> = Vec::new();
    if !form.no_headers {
        let mut header: Vec<String> = columns.iter().map(|(_, name, _)| name.clone()).collect();
        if form.namespaces {
            header.insert(0, "NAMESPACE".to_owned());
        }
        if form.labels {
            header.push("LABELS".to_owned());
        }
        rows.push(header);
    }
    for row in tables.iter().flat_map(|table| list(table, "rows")) {
        let cells = list(&row, "cells");
        let metadata = &row["object"]["metadata"];
        let mut line: Vec<String> = columns
            .iter()
            .map(|(index, _, is_name)| {
                let cell = cells.get(*index).map_or_else(String::new, cell);
                match form.prefix {
                    Some(prefix) if *is_name => format!("{prefix}/{cell}"),
                    _ => cell,
                }
            })
            .collect();
        if form.namespaces {
            line.insert(0, metadata["namespace"].as_str().unwrap_or_default().to_owned());
        }
        if form.labels {
            let labels: Vec<String> = metadata["labels"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
                .collect();
            line.push(if labels.is_empty() { "<none>".to_owned() } else { labels.join(",") });
        }
        rows.push(line);
    }
    aligned(&rows)
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "<none>".to_owned(),
        Value::String(text) => match text.split_once('\n') {
            Some((line, _)) => format!("{line}..."),
            None => text.clone(),
        },
        other => other.to_string(),
    }
}

/// Aligns rows of cells in columns; the last one is not padded.
fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let longest =
            rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        (longest.max().unwrap_or(0) + PADDING).max(MIN_WIDTH)
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    rows.iter()
        .map(|row| {
            let mut line = String::new();
            for (index, cell) in row.iter().enumerate() {
                line.push_str(cell);
                if index + 1 < row.len() {
                    let missing = widths[index].saturating_sub(cell.chars().count());
                    line.extend(std::iter::repeat_n(' ', missing));
                }
            }
            line
        })
        .collect()
}
