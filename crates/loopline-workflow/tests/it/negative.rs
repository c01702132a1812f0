//! Workflows that must never be green: each is refused, or ends red, and says why.
//!
//! `negative.txt` holds them: `=== NAME`, then `# says TEXT` and what the test does (`# fail
//! JOB`, `# output JOB NAME VALUE`, ...), then the workflow and those it calls.

use loopline_workflow::github::plan::Selection;
use loopline_workflow::run::Conclusion;

use crate::plan::Given;
use crate::schedule::{Script, simulate};

const CASES: &str = include_str!("negative.txt");

/// How many cases there are at least, so that none is lost unseen.
const FLOOR: usize = 100;

#[test]
fn none_is_green() {
    let mut count = 0;
    let mut wrong = Vec::new();
    for case in CASES.split("=== ").skip(1) {
        let (name, rest) = case.split_once('\n').expect("a case has a name");
        count += 1;
        if let Some(problem) = check(rest) {
            wrong.push(format!("{name}: {problem}"));
        }
    }
    println!("{count} negative workflows, {} of them wrong", wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(count >= FLOOR, "{count} cases");
}

fn check(case: &'static str) -> Option<String> {
    let mut given = Given::default();
    let mut script = Script::default();
    let mut says = "";
    let mut text = case;
    while let Some((line, rest)) = text.split_once('\n')
        && let Some(directive) = line.strip_prefix("# ")
    {
        text = rest;
        let (verb, value) = directive.split_once(' ').unwrap_or((directive, ""));
        let pair = || value.split_once('=').expect("NAME=VALUE");
        match verb {
            "says" => says = value,
            "fail" => {
                script.results.insert(value, (Conclusion::Failure, Vec::new()));
            }
            "output" => {
                let mut parts = value.splitn(3, ' ');
                let mut next = || parts.next().expect("JOB NAME VALUE");
                let (job, name, value) = (next(), next(), next());
                script.results.insert(job, (Conclusion::Success, vec![(name, value)]));
            }
            "cancel" => script.cancel_at = Some(value),
            "reject" => script.reject.push(value),
            "refuse" => script.refuse.push(value),
            "event" => given.event = Some(value),
            "job" => given.settings.selection = Selection::new([value.to_owned()]),
            "strict" => given.settings.strict = true,
            "skip-unsupported" => given.settings.skip_unsupported = true,
            "input" => {
                let (name, value) = pair();
                given.inputs.insert(name.to_owned(), value.to_owned());
            }
            "matrix" => {
                let (name, value) = pair();
                given.settings.matrix.push((name.to_owned(), value.to_owned()));
            }
            other => panic!("the test does not know `{other}`"),
        }
    }
    let (log, conclusion) = simulate(text, given, script);
    match conclusion {
        Some(Conclusion::Success | Conclusion::Skipped) => Some(format!("it is green\n{log}")),
        _ if says.is_empty() => Some("the case does not name its reason".to_owned()),
        _ if !log.contains(says) => Some(format!("it does not say `{says}`\n{log}")),
        _ => None,
    }
}
