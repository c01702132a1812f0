//! The tables kubectl shows: which columns a kind has, and an object's cells.
//!
//! Every column is always filled in; those with a priority above 0 are for `-o wide`. Ages are
//! text, made from the time the caller passes.

mod access;
mod cluster;
mod core;
mod network;
mod pod;
mod row;
mod storage;
mod workloads;

use serde_json::{Value, json};

use row::Row;

/// One column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// The heading.
    pub name: &'static str,
    /// The type of its cells: `string`, `integer`, `boolean`.
    pub kind: &'static str,
    /// `name` for the column that holds the object's name, else empty.
    pub format: &'static str,
    /// What it says.
    pub description: &'static str,
    /// 0 where it is always shown.
    pub priority: i32,
}

/// The columns of a kind, and how they are filled.
pub struct Table {
    /// The columns.
    pub columns: &'static [Column],
    print: fn(&Row<'_>) -> Vec<Value>,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table").field("columns", &self.columns).finish_non_exhaustive()
    }
}

/// Returns the table of a built-in kind; `None` for kinds of other groups, whose definitions say
/// what their columns are.
pub fn table(group: &str, _version: &str, kind: &str) -> Option<&'static Table> {
    let special = match group {
        "" => core::table(kind),
        "apps" | "batch" | "autoscaling" | "policy" => workloads::table(kind),
        "networking.k8s.io" | "discovery.k8s.io" => network::table(kind),
        "storage.k8s.io" => storage::table(kind),
        "rbac.authorization.k8s.io" | "certificates.k8s.io" | "admissionregistration.k8s.io" => {
            access::table(kind)
        }
        _ => cluster::table(group, kind),
    };
    special.or_else(|| (!group.contains('.') || group.ends_with(".k8s.io")).then_some(&FALLBACK))
}

/// Returns the table of kinds that have none of their own: name and creation time.
pub fn fallback() -> &'static Table {
    &FALLBACK
}

/// Returns the cells of an object, one a column. `now` is in seconds since 1970.
pub fn cells(table: &Table, object: &Value, now: i64) -> Vec<Value> {
    (table.print)(&Row { object, now })
}

/// Returns the conditions of an object's row: whether it has completed.
pub fn conditions(group: &str, kind: &str, object: &Value) -> Vec<Value> {
    if (group, kind) != ("", "Pod") {
        return Vec::new();
    }
    let (reason, message) = match object["status"]["phase"].as_str() {
        Some("Succeeded") => ("Succeeded", "The pod has completed successfully."),
        Some("Failed") => ("Failed", "The pod failed."),
        _ => return Vec::new(),
    };
    vec![json!({"type": "Completed", "status": "True", "reason": reason, "message": message})]
}

static FALLBACK: Table = Table {
    columns: &[
        NAME,
        Column {
            name: "Created At",
            kind: "date",
            format: "",
            description: "When the server made the object.",
            priority: 0,
        },
    ],
    print: |row| vec![row.name(), row.object["metadata"]["creationTimestamp"].clone()],
};

const NAME: Column = Column {
    name: "Name",
    kind: "string",
    format: "name",
    description: "The name of the object, unique in its namespace.",
    priority: 0,
};

const AGE: Column = text("Age", "How long ago the server made the object.");
const CONTAINERS: Column = wide("Containers", "The names of the containers of the template.");
const IMAGES: Column = wide("Images", "The images of the containers of the template.");
const SELECTOR: Column = wide("Selector", "The labels of the pods it is about.");

const fn text(name: &'static str, description: &'static str) -> Column {
    Column { name, kind: "string", format: "", description, priority: 0 }
}

const fn integer(name: &'static str, description: &'static str) -> Column {
    Column { name, kind: "integer", format: "", description, priority: 0 }
}

const fn boolean(name: &'static str, description: &'static str) -> Column {
    Column { name, kind: "boolean", format: "", description, priority: 0 }
}

const fn wide(name: &'static str, description: &'static str) -> Column {
    Column { name, kind: "string", format: "", description, priority: 1 }
}
