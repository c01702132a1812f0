//! Runs the table of `data/strategic.txt`.

use std::collections::HashMap;
use std::fmt::Write as _;

use loopline_merge::equal;
use loopline_merge::strategic::{apply, three_way, two_way};
use serde_json::{Value, json};

use crate::kind::kind;

/// How many cases the table has: a case that is lost is noticed.
const CASES: usize = 114;

#[test]
fn the_table_holds() {
    let mut cases = 0;
    let mut failures = String::new();
    for case in include_str!("data/strategic.txt").split("\ncase ").skip(1) {
        cases += 1;
        let (name, lines) = case.split_once('\n').expect("a case has a name and lines");
        let parts: HashMap<&str, &str> = lines
            .lines()
            .filter(|line| !line.is_empty())
            .map(|line| line.split_once(' ').expect("a word and a value"))
            .collect();
        if let Err(reason) = run(&parts) {
            write!(failures, "\n{name}: {reason}").expect("strings take text");
        }
    }
    assert!(failures.is_empty(), "{failures}");
    assert_eq!(cases, CASES);
}

fn run(parts: &HashMap<&str, &str>) -> Result<(), String> {
    let part = |word: &str| -> Option<Value> {
        parts.get(word).map(|text| serde_json::from_str(text).expect("parts are JSON"))
    };
    let kind = kind("patched");
    let old = part("old").unwrap_or(Value::Null);
    let same = |what: &str, found: &Value, expected: &Value| {
        if equal(found, expected) {
            Ok(())
        } else {
            Err(format!("{what} is {found}\n  expected {expected}"))
        }
    };
    if let Some(patch) = part("patch") {
        return match (apply(old, &patch, kind), parts.get("error")) {
            (Err(error), Some(expected))
                if error.to_string().replace('\n', " ").contains(expected) =>
            {
                Ok(())
            }
            (Ok(found), None) => same("the result", &found, &part("after").expect("after")),
            other => Err(format!("{other:?}")),
        };
    }
    let (new, now) = (part("new").expect("new"), part("now").expect("now"));
    let text = |error: loopline_merge::strategic::Error| error.to_string();
    let base = if old.is_null() { json!({}) } else { old.clone() };
    let two = two_way(&base, &new, kind).map_err(text)?;
    same("the two-way patch", &two, &part("two").expect("two"))?;
    let after = apply(old.clone(), &two, kind).map_err(text)?;
    same("what it leads to", &after, &part("after").unwrap_or(new.clone()))?;
    let three = three_way(Some(&old), &new, &now, kind).map_err(text)?;
    same("the three-way patch", &three, &part("three").expect("three"))?;
    let result = apply(now, &three, kind).map_err(text)?;
    same("the result", &result, &part("result").expect("result"))?;
    let again = three_way(Some(&new), &new, &result, kind).map_err(text)?;
    let unchanged = apply(result.clone(), &again, kind).map_err(text)?;
    same("applying again", &unchanged, &result)
}
