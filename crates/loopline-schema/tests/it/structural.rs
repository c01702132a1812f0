//! Schemas of custom resources and objects under them.

use bolero::check;
use loopline_merge::{Shape, Type as _};
use loopline_schema::structural::{Step, apply_defaults, compile, prune, validate, validations};
use loopline_schema::{FieldError, Scalar, unknown_fields};
use serde_json::{Value, json};

const PATH: &str = "openAPIV3Schema";

fn read(text: &str) -> Value {
    crate::yaml::documents("case", text).pop().expect("a document")
}

fn texts(errors: &[FieldError]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn schemas_and_values_are_judged_as_the_api_judges_them() {
    let count = crate::cases::run("structural.txt", |lines| {
        let (what, rest) = lines[0].split_once(' ').expect("what it is, then YAML");
        let schema = match what {
            "schema" => read(rest),
            _ => json!({"type": "object", "properties": {"spec": read(rest)}}),
        };
        let compiled = match compile(&schema, PATH) {
            Ok(compiled) => compiled,
            Err(errors) => return texts(&errors),
        };
        let Some(value) = lines.get(1) else { return vec!["structural".to_owned()] };
        let value = read(value.strip_prefix("value ").expect("a value"));
        let original =
            json!({"apiVersion": "g/v1", "kind": "K", "metadata": {"name": "n"}, "spec": value});
        let mut object = original.clone();
        // The same fields are unknown to the strict decoder.
        let unknown = unknown_fields(compiled.root(), &object);
        let removed = prune(compiled.root(), &mut object);
        assert_eq!(removed, unknown, "{value}");
        apply_defaults(compiled.root(), &mut object);
        let mut answers: Vec<_> = removed.iter().map(|path| format!("pruned {path}")).collect();
        if object != original {
            answers.push(format!("became {}", object["spec"]));
        }
        answers.extend(texts(&validate(&compiled, &object)));
        if answers.is_empty() {
            answers.push("fits".to_owned());
        }
        answers
    });
    assert!(count >= 65, "{count} cases");
}

#[test]
fn custom_resources_merge_as_their_schema_says() {
    let schema = read(
        "{type: object, properties: {spec: {type: object, properties: {
            map: {type: array, x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [n], items: {type: object, required: [n], properties: {n: {type: string}}}},
            set: {type: array, x-kubernetes-list-type: set, items: {type: string}},
            plain: {type: array, items: {type: string}},
            whole: {type: object, x-kubernetes-map-type: atomic, additionalProperties: {type: string}},
            open: {type: object, x-kubernetes-preserve-unknown-fields: true},
            any: {x-kubernetes-preserve-unknown-fields: true},
            port: {x-kubernetes-int-or-string: true},
        }}}}",
    );
    let compiled = compile(&schema, PATH).unwrap();
    let root = compiled.root();
    let spec = root.get("spec").unwrap();
    let shape = |name: &str| format!("{:?}", spec.get(name).unwrap().shape());
    assert_eq!(shape("map"), r#"ListMap(["n"])"#);
    assert_eq!(shape("set"), "Set");
    assert_eq!(shape("plain"), "AtomicList");
    assert_eq!(shape("whole"), "AtomicMap");
    assert_eq!(shape("open"), "Map");
    assert_eq!(shape("any"), "Deduced");
    assert_eq!(spec.get("open").unwrap().get("x").unwrap().shape(), Shape::Deduced);
    assert_eq!(spec.get("port").unwrap().scalar(), Some(Scalar::IntOrString));
    // Metadata is that of every object.
    assert_eq!(root.get("metadata").unwrap().get("finalizers").unwrap().shape(), Shape::Set);
    assert!(root.declares("kind") && !root.declares("status"));
}

#[test]
fn rules_in_cel_are_listed_with_their_places() {
    let schema = read(
        "{type: object, x-kubernetes-validations: [{rule: a}], properties: {spec: {type: object, properties: {
            l: {type: array, items: {type: object, x-kubernetes-validations: [{rule: b}, {rule: c}], additionalProperties: {type: string, x-kubernetes-validations: [{rule: d}]}}}}}}}",
    );
    let compiled = compile(&schema, PATH).unwrap();
    let found: Vec<_> = validations(&compiled)
        .into_iter()
        .map(|place| {
            (
                place.steps,
                place.rules.iter().map(|rule| rule["rule"].as_str().unwrap()).collect::<Vec<_>>(),
            )
        })
        .collect();
    let l = [Step::Field("spec".into()), Step::Field("l".into()), Step::Items];
    let values = [l.as_slice(), &[Step::Values]].concat();
    assert_eq!(found, [(vec![], vec!["a"]), (l.to_vec(), vec!["b", "c"]), (values, vec!["d"])]);
}

#[test]
fn schemas_and_values_that_are_too_deep_are_refused() {
    let mut schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    for _ in 0..300 {
        schema = json!({"type": "object", "properties": {"a": schema}});
    }
    let errors = compile(&schema, PATH).unwrap_err();
    assert!(texts(&errors)[0].ends_with("Forbidden: schemas nest at most 256 deep"), "{errors:?}");
    let compiled = compile(
        &read("{type: object, properties: {a: {x-kubernetes-preserve-unknown-fields: true}}}"),
        PATH,
    )
    .unwrap();
    let mut value = json!(1);
    for _ in 0..1000 {
        value = json!({"a": value});
    }
    prune(compiled.root(), &mut value);
    apply_defaults(compiled.root(), &mut value);
    assert_eq!(validate(&compiled, &value), []);
}

/// Schemas put together from pieces of real ones are compiled or refused, and never fit or
/// change a value twice.
#[test]
fn any_schema_is_compiled_or_refused() {
    let keys = [
        "type",
        "properties",
        "items",
        "additionalProperties",
        "anyOf",
        "not",
        "default",
        "nullable",
        "required",
        "enum",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-map-type",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-int-or-string",
        "x-kubernetes-embedded-resource",
        "pattern",
        "minimum",
        "a",
        "b",
    ];
    let words = [
        json!("object"),
        json!("array"),
        json!("string"),
        json!("integer"),
        json!("map"),
        json!("set"),
        json!(true),
        json!(1),
        json!(null),
        json!(["a"]),
        json!("a"),
        json!({}),
    ];
    check!().with_iterations(3_000).with_max_len(96).for_each(|input: &[u8]| {
        let mut stack = vec![json!({"type": "object"})];
        for pair in input.chunks_exact(2) {
            let key = keys[usize::from(pair[0]) % keys.len()];
            let choice = usize::from(pair[1]) % (words.len() + 3);
            let top = stack.pop().unwrap_or_default();
            stack.push(match choice.checked_sub(words.len()) {
                None => with(top, key, words[choice].clone()),
                Some(0) => json!({"type": "object", key: top}),
                Some(1) => json!({"type": "object", "properties": {key: top}}),
                Some(_) => json!({"type": "object", key: [top]}),
            });
        }
        let schema = stack.pop().unwrap_or_default();
        let Ok(compiled) = compile(&schema, PATH) else { return };
        for value in &words {
            let mut object = json!({"a": value, "b": {"a": [value, value]}, "properties": value});
            prune(compiled.root(), &mut object);
            apply_defaults(compiled.root(), &mut object);
            validate(&compiled, &object);
            let once = object.clone();
            assert_eq!(prune(compiled.root(), &mut object), Vec::<String>::new(), "{schema}");
            apply_defaults(compiled.root(), &mut object);
            assert_eq!(object, once, "{schema}");
        }
    });
}

fn with(mut value: Value, key: &str, inner: Value) -> Value {
    if let Value::Object(map) = &mut value {
        map.insert(key.to_owned(), inner);
    }
    value
}

/// Schemas that are in use are structural, and defaults of theirs are values of theirs.
#[test]
fn schemas_in_use_are_compiled() {
    #[expect(clippy::disallowed_methods, reason = "tests are told where their data is")]
    let Some(root) = std::env::var_os("LOOPLINE_CONFORMANCE") else { return };
    let mut files = Vec::new();
    crate::guide::manifests(&std::path::Path::new(&root).join("charts"), &mut files);
    let mut count = 0;
    for file in files {
        let text = fs_err::read_to_string(&file).expect("the file can be read");
        if !text.contains("kind: CustomResourceDefinition") || text.contains("{{") {
            continue;
        }
        for crd in crate::yaml::documents(&file.to_string_lossy(), &text) {
            for version in crd["spec"]["versions"].as_array().into_iter().flatten() {
                let Some(schema) = version["schema"].get("openAPIV3Schema") else { continue };
                let compiled = compile(schema, PATH)
                    .unwrap_or_else(|errors| panic!("{}: {:#?}", file.display(), texts(&errors)));
                assert!(compiled.root().get("metadata").is_some());
                let at = loopline_schema::builtin(
                    "apiextensions.k8s.io",
                    "v1",
                    "CustomResourceDefinition",
                )
                .unwrap();
                assert_eq!(unknown_fields(at, &crd), Vec::<String>::new(), "{}", file.display());
                count += 1;
            }
        }
    }
    println!("{count} schemas of custom resources");
    assert!(count >= 8, "{count} schemas");
}
