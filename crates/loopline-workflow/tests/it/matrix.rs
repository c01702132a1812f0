//! Matrices: GitHub's own examples, its order and names, and matrices that are too large.

use expect_test::{Expect, expect};
use loopline_workflow::github::expression::{from_json_text, to_json_text};
use loopline_workflow::github::matrix::{MAX_FILTERS, MAX_NAME_LENGTH, expand};

fn text(json: &str) -> String {
    match expand(&from_json_text(json).expect("valid JSON")) {
        Err(error) => format!("error: {error}"),
        Ok(combinations) => {
            let lines = combinations.into_iter().map(|combination| {
                let values = to_json_text(&combination.values.clone().as_ref().clone().into());
                let values = values.replace("\n", "").replace("  ", "");
                format!("{} {values}\n", combination.name("job"))
            });
            lines.collect()
        }
    }
}

fn check(json: &str, expected: Expect) {
    expected.assert_eq(&text(json));
}

#[test]
fn the_first_axis_is_the_slowest() {
    check(r#"{"os": ["linux", "mac"], "node": [18, 20.5]}"#, expect![[r#""#]]);
    check(r#"{"one": [null, "", false, {"a": [1, null, {"b": "x"}]}]}"#, expect![[r#""#]]);
}

#[test]
fn exclude_drops_what_is_equal_as_expressions_are() {
    check(
        r#"{"os": ["linux", "Mac"], "node": [18, 20], "exclude": [{"OS": "mac", "node": "18"}, {"node": "0x14", "os": "LINUX"}]}"#,
        expect![[r#""#]],
    );
    check(
        r#"{"v": [{"node": 1, "npm": [6, 7]}, {"node": 2}], "exclude": [{"v": {"npm": [6]}}]}"#,
        expect![[r#""#]],
    );
    check(r#"{"v": [{"node": 1}, {"node": 2}], "exclude": [{"v": {"other": ""}}]}"#, expect![[r#""#]]);
}

#[test]
fn include_extends_or_adds() {
    // The example of GitHub's documentation.
    check(
        r#"{"fruit": ["apple", "pear"], "animal": ["cat", "dog"], "include": [
            {"color": "green"}, {"color": "pink", "animal": "cat"}, {"fruit": "apple", "shape": "circle"},
            {"fruit": "banana"}, {"fruit": "banana", "animal": "cat"}]}"#,
        expect![[r#""#]],
    );
    check(r#"{"include": [{"site": "prod", "n": 1}, {"site": "dev"}]}"#, expect![[r#""#]]);
    check(r#"{"a": [1], "include": [{"x": 1, "a": 2}]}"#, expect![[r#""#]]);
    check(r#"{"a": [1], "exclude": [{"a": 1}], "include": [{"a": 1, "x": 2}]}"#, expect![[r#""#]]);
}

#[test]
fn what_is_wrong_is_said() {
    let long = format!(r#"{{"a": [1], "include": [{}{{"a": 1}}]}}"#, r#"{"x": 1},"#.repeat(MAX_FILTERS));
    let include = format!(r#"{{"include": [{}{{"a": 1}}]}}"#, r#"{"x": 1},"#.repeat(256));
    let exclude = format!(r#"{{"a": [1{}], "exclude": [{{"a": 0}}]}}"#, ", 1".repeat(256));
    let cases = [
        "[]", "{}", r#"{"include": []}"#, r#"{"a": 1}"#, r#"{"a": []}"#, r#"{"a": [1], "include": {}}"#,
        r#"{"a": [1], "include": [1]}"#, r#"{"a": [1], "include": [{}]}"#,
        r#"{"a": [1], "exclude": [{}]}"#, r#"{"a": [1], "exclude": [{"b": 1}]}"#, &long, &include, &exclude,
    ];
    let lines: Vec<_> = cases.iter().map(|json| format!("{:.40} -> {}\n", json, text(json))).collect();
    expect![[r#""#]].assert_eq(&lines.concat());
}

#[test]
fn a_matrix_of_a_million_is_refused_at_once() {
    let axis = format!("[1{}]", ", 1".repeat(999));
    check(&format!(r#"{{"a": {axis}, "b": {axis}}}"#), expect![[r#""#]]);
    check(&format!(r#"{{"a": {axis}, "b": {axis}, "exclude": [{{"a": 2}}]}}"#), expect![[r#""#]]);
    let many: Vec<_> = (0..40).map(|number| format!(r#""{number}": {axis}"#)).collect();
    assert!(text(&format!("{{{}}}", many.join(","))).starts_with("error: The matrix makes"));
}

#[test]
fn long_names_are_cut() {
    let value = "😊".repeat(60);
    let matrix = from_json_text(&format!(r#"{{"a": ["{value}", "{}"]}}"#, "x".repeat(94))).unwrap();
    let names: Vec<_> = expand(&matrix).unwrap().iter().map(|it| it.name("job")).collect();
    for name in &names {
        assert!(name.encode_utf16().count() <= MAX_NAME_LENGTH && name.starts_with("job ("));
    }
    assert!(names[0].ends_with("😊..."));
    assert!(names[1].ends_with("x)"));
}
