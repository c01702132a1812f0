//! Objects and the rows kubectl shows of them.

use loopline_schema::columns;

use crate::cases::{kind, run};
use crate::yaml::documents;

/// 2026-01-01T12:00:00Z.
const NOW: i64 = 1_767_268_800;

#[test]
fn rows_are_those_of_kubectl() {
    let count = run("columns.txt", |lines| {
        let object = documents("case", &lines.join("\n")).remove(0);
        let (group, version, kind) = kind(&object);
        let table = columns::table(&group, &version, &kind).expect("the kind is built in");
        let cells = columns::cells(table, &object, NOW);
        assert_eq!(cells.len(), table.columns.len(), "{object}");
        let headings: Vec<_> = table
            .columns
            .iter()
            .map(|column| format!("{}{}", column.name, if column.priority > 0 { "*" } else { "" }))
            .collect();
        let cells: Vec<_> = cells.iter().map(ToString::to_string).collect();
        vec![headings.join(" | "), cells.join(" | ")]
    });
    assert!(count >= 60, "{count} cases");
}

#[test]
fn other_kinds_have_a_name_and_a_time() {
    assert!(columns::table("example.com", "v1", "Widget").is_none());
    let table = columns::table("rbac.authorization.k8s.io", "v1", "Role").expect("built in");
    assert_eq!(table.columns, columns::fallback().columns);
    let pod = documents("case", "status: {phase: Succeeded}").remove(0);
    assert_eq!(columns::conditions("", "Pod", &pod)[0]["reason"], "Succeeded");
}
