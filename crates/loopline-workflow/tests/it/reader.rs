//! GitHub's own reader cases: a file with options, workflows, and the JSON they must become.

mod json;

use loopline_source::{SourceFile, yaml};
use loopline_workflow::github::parse::{self, Options, PermissionsPolicy};
use loopline_workflow::github::template::Limits;
use serde_json::Value;

/// How many of the visible cases must pass, in percent.
const FLOOR: usize = 95;

/// One case file.
struct Case {
    options: Options,
    with_source: bool,
    files: Vec<(String, String)>,
    expected: Value,
}

#[test]
fn reader_cases() {
    let Some(folder) = super::folder("LOOPLINE_CONFORMANCE") else { return };
    let folder = folder.join("github-workflow-reader");
    let mut names: Vec<_> = fs_err::read_dir(&folder)
        .expect("the folder is readable")
        .map(|entry| entry.expect("an entry is readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yml"))
        .collect();
    names.sort();
    let mut failures = Vec::new();
    for path in &names {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs_err::read_to_string(path).expect("the case is readable");
        if let Err(why) = read_case(&name, &text).and_then(|case| run(&case)) {
            failures.push(format!("{name}: {why}"));
        }
    }
    let passed = names.len() - failures.len();
    println!("reader cases: {passed} of {} pass", names.len());
    for failure in &failures {
        println!("  {failure}");
    }
    assert!(passed * 100 >= names.len() * FLOOR, "{passed} of {} pass", names.len());
}

/// Writes what is read of each case in a folder beside it, for `scripts/reader-differences.mjs`.
#[test]
#[ignore = "a step of a comparison with GitHub's own reader"]
fn what_is_read_is_written() {
    let Some(folder) = super::folder("LOOPLINE_READER_CASES") else { return };
    for path in super::files(&folder, "yml") {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs_err::read_to_string(&path).expect("the case is readable");
        let case = read_case(&name, &text).expect("the case is one");
        let actual = read(&case).to_string();
        fs_err::write(path.with_extension("json"), actual).expect("the folder is writable");
    }
}

/// Splits a case file at its `---` lines.
fn read_case(name: &str, text: &str) -> Result<Case, String> {
    let mut parts = vec![String::new()];
    for line in text.lines() {
        if line.trim_end() == "---" {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push_str(line);
            part.push('\n');
        }
    }
    // The line break before a separator belongs to the separator.
    let last = parts.len() - 1;
    for part in &mut parts[..last] {
        part.pop();
    }
    let expected = parts.pop().unwrap_or_default();
    let expected = serde_json::from_str(&expected).map_err(|error| error.to_string())?;
    let mut parts = parts.into_iter();
    let (options, with_source) = read_options(&parts.next().unwrap_or_default())?;
    let main = parts.next().ok_or("no workflow")?;
    let mut files = vec![(format!(".github/workflows/{name}"), main)];
    while let (Some(name), Some(text)) = (parts.next(), parts.next()) {
        files.push((name.trim().to_owned(), text));
    }
    Ok(Case { options, with_source, files, expected })
}

fn read_options(text: &str) -> Result<(Options, bool), String> {
    let file = SourceFile::new("options", text);
    let parsed = yaml::parse(&file, &yaml::Limits::default());
    let root = parsed.documents.first().map(|document| document.root.clone());
    // The published cases are written for the servers' limits, without anchors.
    let mut options = Options { limits: Limits::github(), ..Options::default() };
    options.limits.anchors = false;
    // Two of GitHub's parsers take events as they come; a case they skip is for the third.
    let skips = |who: &str| {
        let list = root.as_ref().and_then(|root| root.get("skip")?.as_sequence());
        list.is_some_and(|list| list.iter().any(|item| item.as_str() == Some(who)))
    };
    options.strict_events = skips("C#") && skips("Go");
    let mut with_source = false;
    for entry in root.iter().filter_map(|root| root.as_mapping()).flatten() {
        let (key, value) = (entry.key.as_str().unwrap_or_default(), entry.value.as_str());
        let number = || value.and_then(|value| value.parse().ok()).ok_or("not a number");
        match key {
            "include-source" => with_source = value == Some("true"),
            "skip" | "experimental-features" | "include-events" => {}
            // An option the published parser no longer has.
            "is-partial-rerun" => {}
            "max-depth" => options.limits.depth = number()?,
            "max-file-size" => options.limits.file_size = number()?,
            "max-result-size" => options.limits.result_size = number()?,
            "max-files" => options.files = number()?,
            "max-job-limit" => options.jobs = Some(number()?),
            "max-nested-reusable-workflows-depth" => options.nesting = number()?,
            "allow-anchors" => options.limits.anchors = value == Some("true"),
            "skip-reusable-workflows" => options.called_workflows = value != Some("true"),
            "permissions-policy" => {
                options.policy = match value {
                    Some("LimitedRead") => PermissionsPolicy::LimitedRead,
                    _ => PermissionsPolicy::Write,
                }
            }
            other => return Err(format!("unknown option {other}")),
        }
    }
    Ok((options, with_source))
}

fn run(case: &Case) -> Result<(), String> {
    let mut actual = read(case);
    // Each of GitHub's parsers writes one of these two only.
    for key in ["events", "input-types"] {
        if case.expected.get(key).is_none()
            && let Some(actual) = actual.as_object_mut()
        {
            actual.shift_remove(key);
        }
    }
    if actual == case.expected { Ok(()) } else { Err(difference(&actual, &case.expected, "$")) }
}

/// Reads a case's workflow to the JSON of the published cases.
fn read(case: &Case) -> Value {
    let (name, text) = &case.files[0];
    let main = SourceFile::new(name.as_str(), text.as_str());
    let mut loader = |uses: &str, _: &SourceFile| {
        let found = case.files.iter().find(|(name, _)| name == uses)?;
        Some(SourceFile::new(found.0.as_str(), found.1.as_str()))
    };
    let (workflow, errors) = parse::workflow(&main, &case.options, &mut loader);
    if errors.is_empty() {
        json::Writer::new(case.with_source).workflow(&workflow)
    } else {
        let errors: Vec<_> = errors
            .iter()
            .map(|error| serde_json::json!({ "Message": error.to_string() }))
            .collect();
        serde_json::json!({ "errors": errors })
    }
}

/// Says where two values differ first.
fn difference(actual: &Value, expected: &Value, path: &str) -> String {
    match (actual, expected) {
        (Value::Object(actual), Value::Object(expected)) => {
            for (key, value) in expected {
                match actual.get(key) {
                    Some(found) if found == value => {}
                    Some(found) => return difference(found, value, &format!("{path}.{key}")),
                    None => return format!("{path}.{key} is missing"),
                }
            }
            let extra: Vec<_> = actual.keys().filter(|key| !expected.contains_key(*key)).collect();
            format!("{path} has more keys: {extra:?}")
        }
        (Value::Array(actual), Value::Array(expected)) if actual.len() == expected.len() => {
            let different = actual.iter().zip(expected).position(|(a, b)| a != b).unwrap_or(0);
            let path = format!("{path}[{different}]");
            difference(&actual[different], &expected[different], &path)
        }
        _ => format!("{path} is {actual}, not {expected}"),
    }
}
