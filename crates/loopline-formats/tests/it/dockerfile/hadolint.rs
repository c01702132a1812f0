//! hadolint's rules: what hadolint 2.15.1 said of made-up files, and of the guide's.
//!
//! Each line of `hadolint.txt` is a Dockerfile with `\n` for line breaks, and after `=>` what was
//! found as `line:code`. Where this check says more or less on purpose, the line goes on with
//! `more`, `less` and the reason.

use std::collections::{BTreeMap, BTreeSet};

use loopline_formats::dockerfile::check;
use loopline_formats::dockerfile::parse::parse;
use loopline_source::{MemoryTree, SourceFile};

use crate::folder;

const CASES: &str = include_str!("hadolint.txt");

/// Returns hadolint's codes for `text`, each with the first line of its instruction.
pub(crate) fn codes(text: &str) -> BTreeSet<String> {
    let file = SourceFile::new("Dockerfile", text);
    let tree = parse(&file).dockerfile;
    let report = check::dockerfile(&file, &MemoryTree::new());
    let found = report.findings.iter().filter(|finding| finding.rule.code.starts_with("DL"));
    found
        .map(|finding| {
            let at = finding.primary.span.start;
            let instruction = tree
                .instructions
                .iter()
                .rfind(|instruction| instruction.span.start <= at)
                .expect("findings are about instructions");
            format!("{}:{}", instruction.first_line, finding.rule.code)
        })
        .collect()
}

/// Reads the escapes of a case.
fn unescaped(case: &str) -> String {
    let mut text = String::new();
    let mut characters = case.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => match characters.next() {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some('\\') | None => text.push('\\'),
                Some(other) => text.extend(['\\', other]),
            },
            c => text.push(c),
        }
    }
    text.push('\n');
    text
}

#[test]
fn every_case_has_hadolints_verdict() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in CASES.lines().filter(|line| !line.is_empty()) {
        let (case, verdict) = line.split_once("  =>").expect("a verdict");
        let mut parts = verdict.split(" | ");
        let mut expected: BTreeSet<String> =
            parts.next().unwrap_or("").split_whitespace().map(str::to_owned).collect();
        for part in parts {
            let mut words = part.split_whitespace();
            let kind = words.next();
            for code in
                words.take_while(|word| word.contains(":DL")).map(|word| word.trim_end_matches(':'))
            {
                match kind {
                    Some("more") => assert!(expected.insert(code.to_owned()), "{line}"),
                    Some("less") => assert!(expected.remove(code), "{line}"),
                    _ => panic!("`more` or `less`: {line}"),
                }
            }
        }
        let found = codes(&unescaped(case));
        if found != expected {
            let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| {
                a.difference(b).cloned().collect::<Vec<_>>().join(" ")
            };
            wrong.push(format!(
                "{case}\n    missing: {}   extra: {}",
                only(&expected, &found),
                only(&found, &expected)
            ));
        }
        count += 1;
    }
    println!("hadolint's cases: {} of {count} as expected", count - wrong.len());
    assert!(count > 600);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The version whose verdicts `hadolint.txt` holds.
const VERSION: &str = "2.15.1";

/// Where that version is installed, it is asked again.
#[test]
fn hadolint_itself_says_so() {
    #[expect(clippy::disallowed_methods, reason = "the tools of whoever runs the tests")]
    let hadolint = || std::process::Command::new("hadolint");
    let version = hadolint()
        .arg("--version")
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    match version {
        Ok(version) if version.ends_with(VERSION) => println!("asking {version}"),
        Ok(other) => return println!("skipped: {other} is not hadolint {VERSION}"),
        Err(_) => return println!("skipped: hadolint is not installed"),
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut expected = Vec::new();
    for (number, line) in CASES.lines().filter(|line| !line.is_empty()).enumerate() {
        let (case, verdict) = line.split_once("  =>").expect("a verdict");
        let path = folder.path().join(format!("{number}.Dockerfile"));
        fs_err::write(&path, unescaped(case)).expect("a case is written");
        let codes = verdict.split(" | ").next().unwrap_or("").split_whitespace();
        let codes: BTreeSet<String> = codes.map(str::to_owned).collect();
        expected.push((path, case, codes));
    }
    let output = hadolint()
        .args(["--no-fail", "--no-color", "--config", "/dev/null"])
        .args(expected.iter().map(|(path, ..)| path))
        .output()
        .expect("hadolint runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let mut found: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let place = words.next().and_then(|place| place.rsplit_once(':'));
        if let (Some((path, line)), Some(code)) = (place, words.next())
            && code.starts_with("DL")
        {
            found.entry(path).or_default().insert(format!("{line}:{code}"));
        }
    }
    for (path, case, codes) in &expected {
        let said = found.remove(path.to_str().expect("a name")).unwrap_or_default();
        assert_eq!(&said, codes, "{case}");
    }
    println!("hadolint says of {} files what is kept", expected.len());
}

/// What hadolint 2.15.1 gives for the guide's four files.
const GUIDE: [(&str, &[&str]); 4] = [
    (
        "docker/hardened",
        &["4:DL3018", "12:DL3066", "17:DL3066", "24:DL3066", "34:DL3066", "37:DL3025"],
    ),
    ("docker/java", &["25:DL3008", "25:DL3015", "37:DL3066", "40:DL3025"]),
    ("docker/node", &["21:DL3018", "33:DL3066", "38:DL3025"]),
    ("docker2", &["22:DL3059", "33:DL3066", "39:DL3025"]),
];

#[test]
fn the_guides_files_give_every_code_of_hadolint() {
    let Some(folder) = folder("LOOPLINE_GUIDE") else { return };
    let mut count = 0;
    for (name, expected) in GUIDE {
        let path = folder.join(name).join("Dockerfile");
        let text = fs_err::read_to_string(&path).expect("a Dockerfile of the guide");
        let found = codes(&text);
        let expected: BTreeSet<String> = expected.iter().map(|code| (*code).to_owned()).collect();
        assert_eq!(found, expected, "{name}");
        count += expected.len();
    }
    println!("hadolint's codes in the guide: {count} of 16 found");
    assert_eq!(count, 16);
}
