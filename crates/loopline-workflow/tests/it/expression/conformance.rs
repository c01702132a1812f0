//! Every case GitHub publishes for its expressions.

use loopline_workflow::github::expression::{
    EvaluateOptions, ParseOptions, Value, evaluate_with, from_json_text, parse, to_json_text,
};

use super::{Contexts, names};

/// The memory GitHub's evaluator allows where nobody says otherwise, which the cases assume.
const MAX_MEMORY_BYTES: usize = 1024 * 1024;

#[test]
fn every_published_case_passes() {
    let Some(data) = crate::folder("LOOPLINE_CONFORMANCE") else { return };
    let paths = crate::files(&data.join("github-expressions"), "json");
    let (mut count, mut errors, mut wrong) = (0, 0, Vec::new());
    for path in &paths {
        let text = fs_err::read_to_string(path).expect("the file is UTF-8");
        let file = from_json_text(&text).expect("the file is JSON");
        let Value::Object(groups) = file else { panic!("{} holds groups", path.display()) };
        for (group, cases) in groups.iter() {
            let Value::Array(cases) = cases else { panic!("{group} holds cases") };
            for case in cases.iter() {
                count += 1;
                errors += usize::from(case.get("err").is_some());
                if let Err(found) = check(case) {
                    let expression = field(case, "expr").to_text().into_owned();
                    wrong.push(format!("{}: {group}: {expression}\n  {found}", path.display()));
                }
            }
        }
    }
    let passed = count - wrong.len();
    println!("github expressions: {passed} of {count} cases pass, {errors} of them about errors");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 0, "there are no cases in {}", data.display());
}

fn field(value: &Value, name: &str) -> Value {
    value.get(name).cloned().unwrap_or_default()
}

fn check(case: &Value) -> Result<(), String> {
    let expression = field(case, "expr");
    let contexts = Contexts(field(case, "contexts"));
    let options = ParseOptions::only(names(&contexts), []);
    let error = case.get("err").map(|error| field(error, "value").to_text().into_owned());
    // A case gives the beginning of a message at least; where GitHub's two evaluators word one
    // differently, either wording is GitHub's.
    let texts = |texts: &[String]| match &error {
        Some(expected) if texts.iter().any(|text| text.contains(&**expected)) => Ok(()),
        Some(expected) => Err(format!("expected {expected}\n  found    {}", texts[0])),
        None => Err(format!("unexpected error: {}", texts[0])),
    };
    let parsed = match parse(&expression.to_text(), &options) {
        Ok(parsed) => parsed,
        Err(error) => return texts(&[error.to_string(), error.language_service_text()]),
    };
    let limits = EvaluateOptions { max_memory_bytes: MAX_MEMORY_BYTES };
    let value = match evaluate_with(&parsed, &contexts, limits) {
        Ok(value) => value,
        Err(error) => return texts(&[error.to_string()]),
    };
    if let Some(error) = error {
        return Err(format!("expected the error {error}, found {}", to_json_text(&value)));
    }
    let expected = field(case, "result");
    // JSON has no number for NaN and the infinities; the cases have null in their place.
    let (kind, text) = (value.kind().to_string(), value.to_json().to_string());
    let (expected_kind, expected) =
        (field(&expected, "kind"), field(&expected, "value").to_json().to_string());
    if kind == *expected_kind.to_text() && text == expected {
        Ok(())
    } else {
        Err(format!("expected {expected_kind:?} {expected}, found {kind} {text}"))
    }
}
