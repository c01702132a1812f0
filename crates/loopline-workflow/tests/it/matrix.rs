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
    check(
        r#"{"os": ["linux", "mac"], "node": [18, 20.5]}"#,
        expect![[r#"
        job (linux, 18) {"os": "linux","node": 18}
        job (linux, 20.5) {"os": "linux","node": 20.5}
        job (mac, 18) {"os": "mac","node": 18}
        job (mac, 20.5) {"os": "mac","node": 20.5}
    "#]],
    );
    check(
        r#"{"one": [null, "", false, {"a": [1, null, {"b": "x"}]}]}"#,
        expect![[r#"
        job {"one": null}
        job {"one": ""}
        job (false) {"one": false}
        job (1, x) {"one": {"a": [1,null,{"b": "x"}]}}
    "#]],
    );
}

#[test]
fn exclude_drops_what_is_equal_as_expressions_are() {
    check(
        r#"{"os": ["linux", "Mac"], "node": [18, 20], "exclude": [{"OS": "mac", "node": "18"}, {"node": "0x14", "os": "LINUX"}]}"#,
        expect![[r#"
            job (linux, 18) {"os": "linux","node": 18}
            job (Mac, 20) {"os": "Mac","node": 20}
        "#]],
    );
    check(
        r#"{"v": [{"node": 1, "npm": [6, 7]}, {"node": 2}], "exclude": [{"v": {"npm": [6]}}]}"#,
        expect![[r#"
            job (2) {"v": {"node": 2}}
        "#]],
    );
    check(
        r#"{"v": [{"node": 1}, {"node": 2}], "exclude": [{"v": {"other": ""}}]}"#,
        expect![[r#""#]],
    );
}

#[test]
fn include_extends_or_adds() {
    // The example of GitHub's documentation.
    check(
        r#"{"fruit": ["apple", "pear"], "animal": ["cat", "dog"], "include": [
            {"color": "green"}, {"color": "pink", "animal": "cat"}, {"fruit": "apple", "shape": "circle"},
            {"fruit": "banana"}, {"fruit": "banana", "animal": "cat"}]}"#,
        expect![[r#"
            job (apple, cat) {"fruit": "apple","animal": "cat","color": "pink","shape": "circle"}
            job (apple, dog) {"fruit": "apple","animal": "dog","color": "green","shape": "circle"}
            job (pear, cat) {"fruit": "pear","animal": "cat","color": "pink"}
            job (pear, dog) {"fruit": "pear","animal": "dog","color": "green"}
            job (banana) {"fruit": "banana"}
            job (banana, cat) {"fruit": "banana","animal": "cat"}
        "#]],
    );
    check(
        r#"{"include": [{"site": "prod", "n": 1}, {"site": "dev"}]}"#,
        expect![[r#"
        job (prod, 1) {"site": "prod","n": 1}
        job (dev) {"site": "dev"}
    "#]],
    );
    check(
        r#"{"a": [1], "include": [{"x": 1, "a": 2}]}"#,
        expect![[r#"
        job (1) {"a": 1}
        job (2, 1) {"a": 2,"x": 1}
    "#]],
    );
    check(
        r#"{"a": [1], "exclude": [{"a": 1}], "include": [{"a": 1, "x": 2}]}"#,
        expect![[r#"
        job (1, 2) {"a": 1,"x": 2}
    "#]],
    );
}

#[test]
fn what_is_wrong_is_said() {
    let long =
        format!(r#"{{"a": [1], "include": [{}{{"a": 1}}]}}"#, r#"{"x": 1},"#.repeat(MAX_FILTERS));
    let include = format!(r#"{{"include": [{}{{"a": 1}}]}}"#, r#"{"x": 1},"#.repeat(256));
    let exclude = format!(r#"{{"a": [1{}], "exclude": [{{"a": 0}}]}}"#, ", 1".repeat(256));
    let cases = [
        "[]",
        "{}",
        r#"{"include": []}"#,
        r#"{"a": 1}"#,
        r#"{"a": []}"#,
        r#"{"a": [1], "include": {}}"#,
        r#"{"a": [1], "include": [1]}"#,
        r#"{"a": [1], "include": [{}]}"#,
        r#"{"a": [1], "exclude": [{}]}"#,
        r#"{"a": [1], "exclude": [{"b": 1}]}"#,
        &long,
        &include,
        &exclude,
    ];
    let lines: Vec<_> =
        cases.iter().map(|json| format!("{:.40} -> {}\n", json, text(json))).collect();
    expect![[r#"
        [] -> error: A matrix must be a mapping
        {} -> error: Matrix must define at least one vector
        {"include": []} -> error: Matrix must define at least one vector
        {"a": 1} -> error: The value of the matrix key 'a' must be a sequence
        {"a": []} -> error: Matrix vector 'a' does not contain any values
        {"a": [1], "include": {}} -> error: The value of the matrix key 'include' must be a sequence
        {"a": [1], "include": [1]} -> error: Item 0 of the matrix key 'include' must be a mapping
        {"a": [1], "include": [{}]} -> error: Matrix include mapping does not contain any values
        {"a": [1], "exclude": [{}]} -> error: Matrix exclude filter must not be empty
        {"a": [1], "exclude": [{"b": 1}]} -> error: Matrix exclude key 'b' does not match any key within the matrix
        {"a": [1], "include": [{"x": 1},{"x": 1} -> error: The matrix key 'include' has 1025 items, which is over the limit of 1024
        {"include": [{"x": 1},{"x": 1},{"x": 1}, -> error: The matrix makes 257 or more jobs, which is over the limit of 256
        {"a": [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,  -> error: The matrix makes 257 or more jobs, which is over the limit of 256
    "#]].assert_eq(&lines.concat());
}

#[test]
fn a_matrix_of_a_million_is_refused_at_once() {
    let axis = format!("[1{}]", ", 1".repeat(999));
    check(
        &format!(r#"{{"a": {axis}, "b": {axis}}}"#),
        expect!["error: The matrix makes 1000000 or more jobs, which is over the limit of 256"],
    );
    check(
        &format!(r#"{{"a": {axis}, "b": {axis}, "exclude": [{{"a": 2}}]}}"#),
        expect!["error: The matrix has more than 16384 combinations before 'exclude'"],
    );
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
