//! Tables of what the published cases leave open, and of what is ours.

use expect_test::{Expect, expect};
use loopline_workflow::github::expression::{
    ParseOptions, calls_status_function, evaluate, evaluate_traced, named_values, parse,
    to_json_text,
};

use super::contexts;

const DATA: &str = r#"{
  "github": {"ref": "refs/heads/dev", "event": {"labels": [{"name": "bug"}, {"name": "Docs"}, {}], "n": 3}},
  "env": {"A": "a", "EMPTY": ""},
  "matrix": {"os": "linux", "list": [10, 20], "odd name": 1},
  "steps": {"one": {"outputs": {"x": "1"}}, "two": {"outputs": {"x": "2", "y": "3"}}}
}"#;

fn value(text: &str) -> String {
    match parse(text, &ParseOptions::default()) {
        Err(error) => format!("error: {error}"),
        Ok(expression) => match evaluate(&expression, &contexts(DATA)) {
            Err(error) => format!("error: {error}"),
            Ok(value) => to_json_text(&value).replace("\n", "").replace("  ", ""),
        },
    }
}

fn check(texts: &[&str], expected: Expect) {
    let lines: Vec<_> = texts.iter().map(|text| format!("{text} -> {}\n", value(text))).collect();
    expected.assert_eq(&lines.concat());
}

#[test]
fn values() {
    check(
        &[
            "",
            "2 <= 3 == true",
            "' ' == 0",
            "null == 0",
            "NaN == NaN",
            "'a' < '['",
            "'ß' == 'SS'",
            "1 == '0x1'",
            "github == github",
            "matrix.list == matrix.list",
            "fromJSON('[]') == fromJSON('[]')",
            "matrix['LIST'][true]",
            "matrix.list['0x0']",
            "matrix.list[.5]",
            "matrix.list[-1]",
            "matrix.list[2147483648]",
            "matrix['odd name']",
            "matrix[github]",
            "github.event.labels.*.name",
            "github.event.labels[*].*",
            "steps.*.outputs.y",
            "steps.*.outputs['x']",
            "steps.*[0]",
            "env.missing.*",
            "env.missing.deeper[1]",
            "contains(github.event.labels.*.name, 'DOCS')",
            "contains('abc', '')",
            "contains(github, 'ref')",
            "join(matrix.list, ' + ')",
            "join(matrix.list, github)",
            "join(matrix)",
            "join('one')",
            "format('{{{0}}}', 'a')",
            "format('{1}{0}{1}', 1, null)",
            "format('{0}', github)",
            "format('}}{{')",
            "case(false, 1, true, 2, 3)",
            "case(false, 1, 3)",
            "case(true, 1, fromJSON(''))",
            "true || fromJSON('')",
            "github.event.n && 'yes' || 'no'",
            "!env.EMPTY",
            "startsWith(github.ref, 'REFS/')",
            "endsWith(12.5, '.5')",
            "1234567890123456789",
            "-0",
            "0.1",
            "toJSON(matrix.list)",
            "toJSON('é\"')",
        ],
        expect![[r#"
             -> null
            2 <= 3 == true -> true
            ' ' == 0 -> true
            null == 0 -> true
            NaN == NaN -> false
            'a' < '[' -> true
            'ß' == 'SS' -> false
            1 == '0x1' -> true
            github == github -> true
            matrix.list == matrix.list -> true
            fromJSON('[]') == fromJSON('[]') -> false
            matrix['LIST'][true] -> 20
            matrix.list['0x0'] -> 10
            matrix.list[.5] -> 10
            matrix.list[-1] -> null
            matrix.list[2147483648] -> null
            matrix['odd name'] -> 1
            matrix[github] -> null
            github.event.labels.*.name -> ["bug","Docs"]
            github.event.labels[*].* -> ["bug","Docs"]
            steps.*.outputs.y -> ["3"]
            steps.*.outputs['x'] -> ["1","2"]
            steps.*[0] -> []
            env.missing.* -> []
            env.missing.deeper[1] -> null
            contains(github.event.labels.*.name, 'DOCS') -> true
            contains('abc', '') -> true
            contains(github, 'ref') -> false
            join(matrix.list, ' + ') -> "10 + 20"
            join(matrix.list, github) -> "10,20"
            join(matrix) -> ""
            join('one') -> "one"
            format('{{{0}}}', 'a') -> "{a}"
            format('{1}{0}{1}', 1, null) -> "1"
            format('{0}', github) -> "Object"
            format('}}{{') -> "}{"
            case(false, 1, true, 2, 3) -> 2
            case(false, 1, 3) -> 3
            case(true, 1, fromJSON('')) -> 1
            true || fromJSON('') -> true
            github.event.n && 'yes' || 'no' -> "yes"
            !env.EMPTY -> true
            startsWith(github.ref, 'REFS/') -> true
            endsWith(12.5, '.5') -> true
            1234567890123456789 -> 1.23456789012346E+18
            -0 -> 0
            0.1 -> 0.1
            toJSON(matrix.list) -> "[\n10,\n20\n]"
            toJSON('é"') -> "\"é\\\"\""
        "#]],
    );
}

#[test]
fn errors() {
    check(
        &[
            "a.b",
            "foo()",
            "contains('a')",
            "contains('a', 'b', 'c')",
            "case(true, 1)",
            "case(true, 1, false, 2)",
            "format()",
            "hashFiles()",
            "1 +",
            "(1",
            "1)",
            "()",
            "f(,)",
            "format('a',)",
            "github[*.a]",
            "github.*.*[0",
            "github.'a'",
            "'é' 'b'",
            "'😊' == a",
            "1 = 1",
            "github..a",
            "\"a\"",
            "case(1, 2, 3)",
            "format('{0}')",
            "format('{0', 1)",
            "format('{a}', 1)",
            "format('{0:x}', 1)",
            "format('{256}', 1)",
            "format('}', 1)",
            "fromJSON('')",
            "fromJSON('{')",
            "hashFiles('a')",
        ],
        expect![[r#"
            a.b -> error: Unrecognized named-value: 'a'. Located at position 1 within expression: a.b
            foo() -> error: Unrecognized function: 'foo'. Located at position 1 within expression: foo()
            contains('a') -> error: Too few parameters supplied: '('. Located at position 9 within expression: contains('a')
            contains('a', 'b', 'c') -> error: Too many parameters supplied: '('. Located at position 9 within expression: contains('a', 'b', 'c')
            case(true, 1) -> error: Too few parameters supplied: '('. Located at position 5 within expression: case(true, 1)
            case(true, 1, false, 2) -> error: Even number of parameters supplied, requires an odd number of parameters: '('. Located at position 5 within expression: case(true, 1, false, 2)
            format() -> error: Too few parameters supplied: '('. Located at position 7 within expression: format()
            hashFiles() -> error: Too few parameters supplied: '('. Located at position 10 within expression: hashFiles()
            1 + -> error: Unexpected symbol: '+'. Located at position 3 within expression: 1 +
            (1 -> error: Unexpected end of expression: '1'. Located at position 2 within expression: (1
            1) -> error: Unexpected symbol: ')'. Located at position 2 within expression: 1)
            () -> error: Unexpected symbol: ')'. Located at position 2 within expression: ()
            f(,) -> error: Unrecognized function: 'f'. Located at position 1 within expression: f(,)
            format('a',) -> error: Unexpected symbol: ')'. Located at position 12 within expression: format('a',)
            github[*.a] -> error: Unexpected symbol: '.'. Located at position 9 within expression: github[*.a]
            github.*.*[0 -> error: Unexpected end of expression: '0'. Located at position 12 within expression: github.*.*[0
            github.'a' -> error: Unexpected symbol: ''a''. Located at position 8 within expression: github.'a'
            'é' 'b' -> error: Unexpected symbol: ''b''. Located at position 5 within expression: 'é' 'b'
            '😊' == a -> error: Unrecognized named-value: 'a'. Located at position 9 within expression: '😊' == a
            1 = 1 -> error: Unexpected symbol: '='. Located at position 3 within expression: 1 = 1
            github..a -> error: Unexpected symbol: '.'. Located at position 8 within expression: github..a
            "a" -> error: Unexpected symbol: '"a"'. Located at position 1 within expression: "a"
            case(1, 2, 3) -> error: case predicate must evaluate to a boolean value
            format('{0}') -> error: The following format string references more arguments than were supplied: {0}
            format('{0', 1) -> error: The following format string is invalid: {0
            format('{a}', 1) -> error: The following format string is invalid: {a}
            format('{0:x}', 1) -> error: The format specifiers 'x' are not valid for objects of type 'Number'
            format('{256}', 1) -> error: The following format string is invalid: {256}
            format('}', 1) -> error: The following format string is invalid: }
            fromJSON('') -> error: Error parsing fromJson: empty input
            fromJSON('{') -> error: Error parsing fromJson: unexpected end of JSON input
            hashFiles('a') -> error: The function 'hashFiles' is not available here
        "#]],
    );
}

#[test]
fn long_and_deep_texts_are_refused() {
    let error = |text: &str| parse(text, &ParseOptions::default()).unwrap_err().to_string();
    assert_eq!(error(&"1".repeat(21_001)), "Exceeded max expression length 21000");
    assert_eq!(
        error(&"!".repeat(49).replace('!', "! ").repeat(2)).split(':').next(),
        Some("Unexpected end of expression")
    );
    assert_eq!(error(&format!("{}1", "1 == ".repeat(50))), "Exceeded max expression depth 50");
    assert!(parse(&format!("{}1", "1 == ".repeat(49)), &ParseOptions::default()).is_ok());
}

#[test]
fn memory_is_bounded() {
    let text = format!(
        "format('{}', format('{}', toJSON(github)))",
        "{0}".repeat(6_000),
        "{0}".repeat(100)
    );
    let expression = parse(&text, &ParseOptions::default()).unwrap();
    let error = evaluate(&expression, &contexts(DATA)).err().map(|error| error.to_string());
    assert!(error.is_some_and(|it| it.starts_with("The maximum allowed memory size was exceeded")));
}

#[test]
fn status_functions_are_found_in_the_tree() {
    for (text, expected) in [
        ("success()", true),
        ("!CANCELLED()", true),
        ("format('{0}', always()) == 'x' || true", true),
        ("'success()'", false),
        ("github.failure", false),
    ] {
        let expression = parse(text, &ParseOptions::default()).unwrap();
        assert_eq!(calls_status_function(&expression), expected, "{text}");
    }
}

#[test]
fn uses_of_contexts_are_listed() {
    let text = "(github.event)['labels'].*.name == steps[env.A].outputs.x && needs.a.outputs.b || toJSON((matrix).os) || github";
    let expression = parse(text, &ParseOptions::default()).unwrap();
    let lines: Vec<_> = named_values(&expression)
        .map(|it| format!("{} {:?} {} `{}`\n", it.context, it.path, it.complete, &text[it.span]))
        .collect();
    expect![[r#"
        github ["event", "labels"] false `(github.event)['labels']`
        steps [] false `steps`
        env ["A"] true `env.A`
        needs ["a", "outputs", "b"] true `needs.a.outputs.b`
        matrix ["os"] true `(matrix).os`
        github [] true `github`
    "#]]
    .assert_eq(&lines.concat());
}

#[test]
fn a_trace_tells_why() {
    let trace = |text: &str| {
        let expression = parse(text, &ParseOptions::default()).unwrap();
        evaluate_traced(&expression, &contexts(DATA)).1.to_string()
    };
    expect!["github.ref == 'refs/heads/main' -> false  (github.ref = 'refs/heads/dev')"]
        .assert_eq(&trace("github.ref == 'refs/heads/main'"));
    expect![[r#"
        success() && (github.ref == 'refs/heads/main' && env.A == 'a') || contains(github.event.labels.*.name, 'bug') -> true
          success() && (github.ref == 'refs/heads/main' && env.A == 'a') -> false
            success() -> true
            github.ref == 'refs/heads/main' -> false  (github.ref = 'refs/heads/dev')
            env.A == 'a' -> not evaluated
          contains(github.event.labels.*.name, 'bug') -> true  (github.event.labels.*.name = ["bug", "Docs"])"#]].assert_eq(&trace(
        "success() && (github.ref == 'refs/heads/main' && env.A == 'a') || contains(github.event.labels.*.name, 'bug')",
    ));
    expect!["!github.event.n -> false  (github.event.n = 3)"].assert_eq(&trace("!github.event.n"));
}
