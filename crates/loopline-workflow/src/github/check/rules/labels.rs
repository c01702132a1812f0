//! Labels of runners: whether they exist, and whether one runner can have them all.

use loopline_diagnostic::rule_set as rules;

use super::configuration::Configuration;
use crate::github::check::checker::Options;
use crate::github::check::expression::{Kind, parse};
use crate::github::check::findings::Findings;
use crate::github::check::model::{
    Combination, Combinations, Job, MatrixRow, Raw, RawData, Workflow,
};
use crate::github::check::text::Text;

/// An operating system that runners have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum System {
    Linux,
    MacOs,
    Windows,
}

/// Labels of GitHub's runners, each line one image.
const IMAGES: &[&[&str]] = &[
    &[
        "ubuntu-latest",
        "ubuntu-24.04",
        "ubuntu-latest-4-cores",
        "ubuntu-latest-8-cores",
        "ubuntu-latest-16-cores",
    ],
    &["ubuntu-26.04"],
    &["ubuntu-26.04-arm"],
    &["ubuntu-24.04-arm"],
    &["ubuntu-22.04"],
    &["ubuntu-22.04-arm"],
    &["ubuntu-slim"],
    &["windows-latest", "windows-2025", "windows-latest-8-cores"],
    &["windows-2025-vs2026"],
    &["windows-2022"],
    &["windows-11-arm"],
    &["windows-11-vs2026-arm"],
    // GitHub is moving `macos-latest` from one of these to the other.
    &[
        "macos-latest",
        "macos-latest-xlarge",
        "macos-15",
        "macos-15-xlarge",
        "macos-26",
        "macos-26-xlarge",
    ],
    &["macos-latest-large", "macos-15-large", "macos-15-intel"],
    &["macos-26-large", "macos-26-intel"],
    &["macos-14", "macos-14-xlarge"],
    &["macos-14-large"],
    &["xcode-27", "xcode-27-xlarge"],
];
/// Labels that GitHub gives self-hosted runners.
const SELF_HOSTED: &[&str] = &["self-hosted", "x64", "arm", "arm64", "linux", "macos", "windows"];

pub(super) fn check(
    workflow: &Workflow,
    configuration: &Configuration,
    options: &Options,
    findings: &mut Findings<'_>,
) {
    for job in &workflow.jobs {
        let labels = labels(job);
        for group in &labels {
            let mut kinds: Vec<(&Text, Kinds)> = Vec::new();
            for label in group {
                let lower = label.lower();
                if label.is_empty() || label.has_expression() {
                    continue;
                }
                let known = IMAGES.iter().any(|image| image.contains(&&*lower))
                    || SELF_HOSTED.contains(&&*lower);
                if !known {
                    let custom = configuration.labels.iter().chain(&options.runner_labels);
                    if !custom.clone().any(|pattern| glob(&pattern.to_lowercase(), &lower)) {
                        unknown(label, findings);
                    }
                }
                conflict(label, &lower, &mut kinds, findings);
            }
        }
    }
}

fn unknown(label: &Text, findings: &mut Findings<'_>) {
    let message = format!("no runner of GitHub has the label `{}`", label.value);
    let known = IMAGES.iter().flat_map(|image| image.iter()).chain(SELF_HOSTED).copied();
    findings.add_unknown(&rules::RUNNER_LABEL, label.span, message, &label.value, known);
}

/// What a label says of the runner: the system, and the image.
#[derive(Clone, Copy, PartialEq)]
struct Kinds {
    system: Option<System>,
    image: Option<usize>,
}

fn conflict<'l>(
    label: &'l Text,
    lower: &str,
    before: &mut Vec<(&'l Text, Kinds)>,
    findings: &mut Findings<'_>,
) {
    let kinds = Kinds {
        system: system_of(lower),
        image: IMAGES.iter().position(|image| image.contains(&lower)),
    };
    let clash = before.iter().find(|(_, other)| {
        let systems = kinds.system.zip(other.system).is_some_and(|(a, b)| a != b);
        let images = kinds.image.zip(other.image).is_some_and(|(a, b)| a != b);
        systems || images
    });
    if let Some((other, _)) = clash {
        let (file, place) = (findings.file.clone(), other.span);
        let message = format!("no runner is both `{}` and `{}`", other.value, label.value);
        if let Some(found) = findings.add(&rules::RUNNER_LABEL, label.span, message) {
            found.hints.push("to run on each of them, use a matrix".to_owned());
            *found = found.clone().also(&file, place, "the other label");
        }
        return;
    }
    before.push((label, kinds));
}

fn system_of(label: &str) -> Option<System> {
    if label == "linux" || label.starts_with("ubuntu-") {
        Some(System::Linux)
    } else if label == "windows" || label.starts_with("windows-") {
        Some(System::Windows)
    } else if label == "macos" || label.starts_with("macos-") || label.starts_with("xcode-") {
        Some(System::MacOs)
    } else {
        None
    }
}

/// Returns the system that all runners of `job` have, where the labels say so.
pub(super) fn system(job: &Job) -> Option<System> {
    let runs_on = job.runs_on.as_ref()?;
    if runs_on.expression.is_some() {
        return None;
    }
    runs_on.labels.iter().find_map(|label| system_of(&label.lower()))
}

/// Returns the labels of `job`, each group for one runner; those of a matrix resolved.
fn labels(job: &Job) -> Vec<Vec<Text>> {
    let Some(runs_on) = &job.runs_on else { return Vec::new() };
    if let Some(expression) = &runs_on.expression {
        return matrix_values(job, expression).into_iter().map(|value| texts(&value)).collect();
    }
    if runs_on.labels.iter().any(Text::is_expression) {
        // Each value of the matrix makes another set of labels.
        let fixed: Vec<Text> =
            runs_on.labels.iter().filter(|label| !label.has_expression()).cloned().collect();
        let mut groups = vec![fixed.clone()];
        for label in runs_on.labels.iter().filter(|label| label.is_expression()) {
            for value in matrix_values(job, label) {
                groups.push(texts(&value).into_iter().chain(fixed.clone()).collect());
            }
        }
        return groups;
    }
    vec![runs_on.labels.clone()]
}

fn texts(value: &Raw) -> Vec<Text> {
    match &value.data {
        RawData::Scalar(text) => vec![text.clone()],
        RawData::List(items) => items.iter().flat_map(texts).collect(),
        RawData::Mapping(_) => Vec::new(),
    }
}

/// Returns the values that `${{ matrix.NAME }}` can have.
fn matrix_values(job: &Job, expression: &Text) -> Vec<Raw> {
    let value = expression.value.trim();
    let Ok((parsed, _)) = parse(value.strip_prefix("${{").unwrap_or(value), false) else {
        return Vec::new();
    };
    let Kind::Property(receiver, name) = parsed.kind else { return Vec::new() };
    if !matches!(&receiver.kind, Kind::Variable(context) if context.eq_ignore_ascii_case("matrix"))
    {
        return Vec::new();
    }
    let Some(matrix) = job.strategy.as_ref().and_then(|strategy| strategy.matrix.as_ref()) else {
        return Vec::new();
    };
    let name = name.to_lowercase();
    let mut found = Vec::new();
    for row in matrix.rows.iter().filter(|row| row.name.lower() == name) {
        if let MatrixRow::Values(values) = &row.value {
            found.extend(values.iter().cloned());
        }
    }
    if let Some(Combinations::List(list)) = &matrix.include {
        for combination in list {
            if let Combination::Assigns(assigns) = combination {
                let own = assigns.iter().filter(|assign| assign.name.lower() == name);
                found.extend(own.map(|assign| assign.value.clone()));
            }
        }
    }
    found
}

/// Returns whether `text` matches `pattern`, in which `*` is any run and `?` any character.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    p = at + 1;
                    t = from + 1;
                    star = Some((at, from + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}
