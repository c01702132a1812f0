//! Patches that know no types, field sets, and differences.

use loopline_merge::difference;
use loopline_merge::path::PathSet;
use loopline_merge::{json_patch, merge_patch};
use serde_json::{Value, json};

use crate::kind::kind;

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn json_patches_do_what_the_standard_says() {
    // Document, patch, and the result or the message.
    let cases = [
        (r#"{"a":1}"#, r#"[{"op":"add","path":"/b","value":2}]"#, r#"{"a":1,"b":2}"#),
        (r#"{"a":[1,2]}"#, r#"[{"op":"add","path":"/a/1","value":9}]"#, r#"{"a":[1,9,2]}"#),
        (r#"{"a":[1,2]}"#, r#"[{"op":"add","path":"/a/-","value":9}]"#, r#"{"a":[1,2,9]}"#),
        (r#"{"a":[1,2]}"#, r#"[{"op":"add","path":"/a/2","value":9}]"#, r#"{"a":[1,2,9]}"#),
        (r#"{"a":1}"#, r#"[{"op":"add","path":"/a","value":{"b":1}}]"#, r#"{"a":{"b":1}}"#),
        (r#"{"a":1}"#, r#"[{"op":"add","path":"","value":[1]}]"#, "[1]"),
        (r#"{"a":1}"#, r#"[{"op":"replace","path":"","value":null}]"#, "null"),
        (r#"{"a":1,"b":2}"#, r#"[{"op":"remove","path":"/a"}]"#, r#"{"b":2}"#),
        (r#"{"a":[1,2,3]}"#, r#"[{"op":"remove","path":"/a/1"}]"#, r#"{"a":[1,3]}"#),
        (r#"{"a":1}"#, r#"[{"op":"replace","path":"/a","value":[]}]"#, r#"{"a":[]}"#),
        (
            r#"{"a":{"b":1},"c":2}"#,
            r#"[{"op":"move","from":"/a/b","path":"/c"}]"#,
            r#"{"a":{},"c":1}"#,
        ),
        (r#"{"a":[1,2,3]}"#, r#"[{"op":"move","from":"/a/0","path":"/a/2"}]"#, r#"{"a":[2,3,1]}"#),
        (r#"{"a":1}"#, r#"[{"op":"move","from":"/a","path":"/a"}]"#, r#"{"a":1}"#),
        (
            r#"{"a":{"b":1}}"#,
            r#"[{"op":"copy","from":"/a","path":"/c"}]"#,
            r#"{"a":{"b":1},"c":{"b":1}}"#,
        ),
        (r#"{"a":1.0}"#, r#"[{"op":"test","path":"/a","value":1}]"#, r#"{"a":1.0}"#),
        (
            r#"{"a":{"x":1,"y":2}}"#,
            r#"[{"op":"test","path":"/a","value":{"y":2,"x":1}}]"#,
            r#"{"a":{"x":1,"y":2}}"#,
        ),
        (
            r#"{"a/b":1,"c~d":2}"#,
            r#"[{"op":"remove","path":"/a~1b"},{"op":"remove","path":"/c~0d"}]"#,
            "{}",
        ),
        (r#"{"~1":1}"#, r#"[{"op":"remove","path":"/~01"}]"#, "{}"),
        (r#"{"":1}"#, r#"[{"op":"test","path":"/","value":1}]"#, r#"{"":1}"#),
        (r#"{"a":1}"#, "[]", r#"{"a":1}"#),
        (r#"{"a":1}"#, "{}", "a JSON patch is a list of operations"),
        (r#"{"a":1}"#, "[1]", "operation 0: an operation is an object"),
        (
            r#"{"a":1}"#,
            r#"[{"op":"frob","path":"/a"}]"#,
            r#"operation 0: unknown operation "frob""#,
        ),
        (r#"{"a":1}"#, r#"[{"path":"/a"}]"#, r#"operation 0: "op" must be a string"#),
        (r#"{"a":1}"#, r#"[{"op":"add","path":"/a"}]"#, r#"operation 0: "value" is missing"#),
        (r#"{"a":1}"#, r#"[{"op":"copy","path":"/a"}]"#, r#"operation 0: "from" must be a string"#),
        (
            r#"{"a":1}"#,
            r#"[{"op":"remove","path":"a"}]"#,
            r#"operation 0: "a" is not a JSON pointer"#,
        ),
        (
            r#"{"a":1}"#,
            r#"[{"op":"remove","path":"/~2"}]"#,
            r#"operation 0: "/~2" is not a JSON pointer"#,
        ),
        (
            r#"{"a":1}"#,
            r#"[{"op":"remove","path":"/a"},{"op":"remove","path":"/a"}]"#,
            r#"operation 1 (remove /a): nothing at "/a""#,
        ),
        (
            r#"{"a":1}"#,
            r#"[{"op":"replace","path":"/b","value":1}]"#,
            r#"operation 0 (replace /b): nothing at "/b""#,
        ),
        (
            r#"{"a":1}"#,
            r#"[{"op":"add","path":"/b/c","value":1}]"#,
            r#"operation 0 (add /b/c): nothing at "/b""#,
        ),
        (
            r#"{"a":[1]}"#,
            r#"[{"op":"add","path":"/a/2","value":1}]"#,
            r#"operation 0 (add /a/2): no position "2" in the list"#,
        ),
        (
            r#"{"a":[1]}"#,
            r#"[{"op":"add","path":"/a/01","value":1}]"#,
            r#"operation 0 (add /a/01): no position "01" in the list"#,
        ),
        (
            r#"{"a":[1]}"#,
            r#"[{"op":"remove","path":"/a/-"}]"#,
            r#"operation 0 (remove /a/-): nothing at "/a/-""#,
        ),
        (
            r#"{"a":1}"#,
            r#"[{"op":"remove","path":""}]"#,
            "operation 0 (remove ): the whole document cannot be removed",
        ),
        (
            r#"{"a":{"b":1}}"#,
            r#"[{"op":"move","from":"/a","path":"/a/b"}]"#,
            "operation 0 (move /a/b): a value cannot be moved into itself",
        ),
        (
            r#"{"a":1}"#,
            r#"[{"op":"test","path":"/a","value":"1"}]"#,
            "operation 0 (test /a): test failed: found 1",
        ),
    ];
    for (document, patch, expected) in cases {
        let found = match json_patch::apply(&value(document), &value(patch)) {
            Ok(result) => result.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected, "{document} {patch}");
    }
}

#[test]
fn json_patches_are_bounded() {
    let many = vec![json!({"op": "test", "path": "", "value": {}}); 10_001];
    assert_eq!(
        json_patch::apply(&json!({}), &Value::from(many)).map_err(|error| error.to_string()),
        Err("The allowed maximum operations in a JSON patch is 10000, got 10001".to_owned())
    );
    // Each copy doubles the document.
    let doubling = vec![json!({"op": "copy", "from": "", "path": "/-"}); 40];
    let error = json_patch::apply(&json!([1]), &Value::from(doubling)).expect_err("too much");
    assert!(error.to_string().contains("copies add up to more than"), "{error}");
}

#[test]
fn merge_patches_do_what_the_standard_says() {
    // Target, patch, result: the standard's examples, and nesting.
    let cases = [
        (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
        (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
        (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
        (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
        (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
        (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
        (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
        (r#"{"a":"foo"}"#, "null", "null"),
        (r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#),
        (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
        ("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
        ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        (r#"{"a":{"b":1}}"#, r#"{"a":{"b":null}}"#, r#"{"a":{}}"#),
    ];
    for (target, patch, expected) in cases {
        let result = merge_patch::apply(value(target), &value(patch)).expect("it is not deep");
        assert_eq!(result.to_string(), expected, "{target} {patch}");
    }
    let (old, new) =
        (json!({"a": {"b": 1, "c": 2}, "d": [1]}), json!({"a": {"b": 1}, "d": [2], "e": 3}));
    let patch = merge_patch::between(&old, &new).expect("it is not deep");
    assert_eq!(patch, json!({"a": {"c": null}, "d": [2], "e": 3}));
    assert_eq!(merge_patch::apply(old, &patch), Ok(new));
}

#[test]
fn values_may_be_deep_but_not_bottomless() {
    let mut deep = json!(1);
    for _ in 0..300 {
        deep = json!({ "a": deep });
    }
    assert!(merge_patch::apply(json!({}), &deep).is_err());
    assert!(json_patch::apply(&deep, &json!([])).is_err());
    assert!(loopline_merge::strategic::apply(json!({}), &deep, kind("deduced")).is_err());
    assert!(loopline_merge::structured::field_set(&deep, kind("deduced")).is_err());
    assert!(difference::between(&deep, &deep, kind("deduced")).is_err());
}

#[test]
fn field_sets_are_read_and_written_in_one_order() {
    let written = concat!(
        r#"{"f:a":{},"f:b":{".":{},"f:c":{}},"k:{\"a\":1,\"b\":\"x\"}":{".":{},"f:d":{}},"#,
        r#""v:1":{},"v:\"z\"":{},"v:true":{},"i:3":{}}"#
    );
    let shuffled = concat!(
        r#"{"v:true":{},"i:3":{},"k:{\"b\":\"x\",\"a\":1}":{"f:d":{},".":{}},"x:later":{},"#,
        r#""v:\"z\"":{},"f:b":{"f:c":{},".":{}},"v:1":{},"f:a":{}}"#
    );
    let set = PathSet::from_fields_v1(&value(shuffled)).expect("a set");
    assert_eq!(set.to_fields_v1().to_string(), written);
    assert_eq!(PathSet::from_fields_v1(&value(written)), Ok(set.clone()));
    let mut paths = Vec::new();
    set.for_each(|path| paths.push(loopline_merge::path::Path(path.to_vec()).to_string()));
    assert_eq!(
        paths,
        [
            ".a",
            ".b",
            ".b.c",
            "[a=1,b=\"x\"]",
            "[a=1,b=\"x\"].d",
            "[=1]",
            "[=\"z\"]",
            "[=true]",
            "[3]"
        ]
    );
    assert_eq!(set.len(), paths.len());
}

#[test]
fn malformed_field_sets_say_why() {
    let cases = [
        ("[]", r#"field set at "." must be an object"#),
        (r#"{"f:a":1}"#, r#"field set at "f:a" must be an object"#),
        (r#"{"f":{}}"#, r#"field set key "f" does not start with a kind and a colon"#),
        (r#"{"":{}}"#, r#"field set key "" does not start with a kind and a colon"#),
        (r#"{"k:[]":{}}"#, r#"field set key "k:[]" has a malformed object of key fields"#),
        (r#"{"k:":{}}"#, r#"field set key "k:" has a malformed object of key fields"#),
        (r#"{"v:nope":{}}"#, r#"field set key "v:nope" has a malformed JSON value"#),
        (r#"{"i:x":{}}"#, r#"field set key "i:x" has a malformed position"#),
        (r#"{".":{"f:a":{}}}"#, r#"field set key "." has a malformed value"#),
        (r#"{"v:1":{},"v:1.0":{}}"#, r#"field set key "v:1.0" is given twice"#),
    ];
    for (text, expected) in cases {
        let error = PathSet::from_fields_v1(&value(text)).expect_err("it is malformed");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn differences_pair_items_by_their_keys() {
    let old = json!({"list": [{"name": "a", "value": 1}, {"name": "b", "value": 2}], "set": [1, 2], "unrelated": 1});
    let new = json!({"list": [{"name": "b", "value": 3}, {"name": "c"}], "set": [2, 3], "unrelated": 1.0});
    let text = |old: &Value, new: &Value| -> Vec<String> {
        difference::between(old, new, kind("duplicates"))
            .expect("it is not deep")
            .iter()
            .map(|found| {
                let show = |value: Option<&Value>| value.map_or("-".to_owned(), Value::to_string);
                format!("{} {} {}", found.path, show(found.old), show(found.new))
            })
            .collect()
    };
    assert_eq!(
        text(&old, &new),
        [
            r#".list[name="a"] {"name":"a","value":1} -"#,
            r#".list[name="b"].value 2 3"#,
            r#".list[name="c"] - {"name":"c"}"#,
            ".set[=1] 1 -",
            ".set[=3] - 3",
        ]
    );
    // Items that cannot be told apart are paired by their positions.
    assert_eq!(text(&json!({"set": [1, 1]}), &json!({"set": [1, 2]})), [".set[1] 1 2"]);
}
