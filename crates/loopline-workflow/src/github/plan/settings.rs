//! What the user chose: which jobs, which legs, and what this machine passes for.

use std::collections::BTreeSet;

use serde::Serialize;

use super::graph::Graph;
use crate::github::expression::Value;
use crate::github::schedule::RunsOn;

/// The user's choices, as far as they decide what runs.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Settings {
    /// The labels this machine has.
    pub labels: Labels,
    /// Whether jobs for other machines are passed over rather than refused.
    pub skip_unsupported: bool,
    /// Which jobs run.
    pub selection: Selection,
    /// Which legs run: `KEY`, `VALUE`; legs whose matrix has the key must have the value.
    pub matrix: Vec<(String, String)>,
    /// Whether containers can be run.
    pub has_image_engine: bool,
    /// Whether keys that are not honoured stop the run rather than warn.
    pub strict: bool,
}

impl Settings {
    /// Returns whether the user wants the leg with this matrix.
    pub fn selects_leg(&self, matrix: &Value) -> bool {
        self.matrix.iter().all(|(key, wanted)| {
            let found = matrix.get(key);
            found.is_none_or(|found| found.to_text().eq_ignore_ascii_case(wanted))
        })
    }
}

/// The labels this machine has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Labels {
    /// Labels by name, in lower case.
    names: BTreeSet<String>,
}

impl Default for Labels {
    fn default() -> Self {
        Self::new("x64", [] as [&str; 0])
    }
}

/// Labels that every Linux runner answers to, whatever release it is.
const LINUX: [&str; 3] = ["self-hosted", "linux", "ubuntu-latest"];

impl Labels {
    /// Returns the labels of a Linux machine of this architecture (`x64`, `arm64`), and `more`.
    pub fn new<S: AsRef<str>>(architecture: &str, more: impl IntoIterator<Item = S>) -> Self {
        let mut names: BTreeSet<String> = LINUX.iter().map(|name| (*name).to_owned()).collect();
        names.insert(architecture.to_ascii_lowercase());
        names.extend(more.into_iter().map(|name| name.as_ref().to_ascii_lowercase()));
        Self { names }
    }

    /// Returns whether the machine has the label.
    pub fn has(&self, label: &str) -> bool {
        let label = label.to_ascii_lowercase();
        self.names.contains(&label) || self.is_hosted_linux(&label)
    }

    /// `ubuntu-24.04`, `ubuntu-slim`, `ubuntu-24.04-arm`, `ubuntu-latest-8-cores`: Linux, of the
    /// machine's own architecture.
    fn is_hosted_linux(&self, label: &str) -> bool {
        let Some(release) = label.strip_prefix("ubuntu-") else { return false };
        let is_number = |part: &str| part.len() == 2 && part.bytes().all(|it| it.is_ascii_digit());
        let version = release.split('-').next().unwrap_or_default();
        let known = matches!(version, "slim" | "latest")
            || version
                .split_once('.')
                .is_some_and(|(year, month)| is_number(year) && is_number(month));
        let is_arm = release.split('-').any(|part| part.starts_with("arm"));
        known && (!is_arm || self.names.contains("arm64"))
    }

    /// Says why the machine is not what a job asks for; `None` where it is.
    pub fn unsupported(&self, runs_on: &RunsOn) -> Option<String> {
        let label = runs_on.labels.iter().find(|label| !label.is_empty() && !self.has(label));
        if let Some(label) = label {
            let lower = label.to_ascii_lowercase();
            let what = if lower.starts_with("windows") {
                "asks for Windows, and this machine is Linux"
            } else if lower.starts_with("macos") {
                "asks for macOS, and this machine is Linux"
            } else {
                "is not a label of this machine"
            };
            return Some(format!("the runner label `{label}` {what}"));
        }
        match &runs_on.group {
            Some(group) if !self.has(group) => {
                Some(format!("the runner group `{group}` does not exist on this machine"))
            }
            _ => None,
        }
    }
}

/// Which jobs of a workflow run: all, or those named and what they need.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Selection {
    /// `build`, `deploy/migrate`; all where empty.
    jobs: Vec<String>,
}

impl Selection {
    /// Returns the selection of these jobs; a job of a called workflow is `CALLER/JOB`.
    pub fn new(jobs: impl IntoIterator<Item = String>) -> Self {
        Self { jobs: jobs.into_iter().collect() }
    }

    /// Returns whether everything runs.
    pub fn is_all(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Returns the names that are no job of `graph`.
    pub fn unknown(&self, graph: &Graph) -> Vec<&str> {
        self.jobs.iter().map(String::as_str).filter(|name| !exists(graph, name)).collect()
    }

    /// Returns for each job of `graph` whether it runs.
    pub fn closure(&self, graph: &Graph) -> Vec<bool> {
        let count = graph.workflow.jobs.len();
        if self.is_all() {
            return vec![true; count];
        }
        let mut wanted = vec![false; count];
        let mut open: Vec<usize> =
            self.jobs.iter().filter_map(|name| find(graph, first(name))).collect();
        while let Some(job) = open.pop() {
            if !std::mem::replace(&mut wanted[job], true) {
                open.extend(&graph.needs[job]);
            }
        }
        wanted
    }

    /// Returns what is selected of the workflow that `job` calls: all of it, unless only jobs
    /// inside it are named.
    #[must_use]
    pub fn inner(&self, job: &str) -> Self {
        let mut jobs = Vec::new();
        for name in self.jobs.iter().filter(|name| first(name).eq_ignore_ascii_case(job)) {
            match name.split_once('/') {
                Some((_, inner)) => jobs.push(inner.to_owned()),
                None => return Self::default(),
            }
        }
        Self { jobs }
    }
}

fn first(name: &str) -> &str {
    name.split_once('/').map_or(name, |(first, _)| first)
}

fn find(graph: &Graph, id: &str) -> Option<usize> {
    graph.workflow.jobs.iter().position(|job| job.id.eq_ignore_ascii_case(id))
}

fn exists(graph: &Graph, name: &str) -> bool {
    let Some(job) = find(graph, first(name)) else { return false };
    match (name.split_once('/'), &graph.calls[job]) {
        (None, _) => true,
        (Some((_, inner)), Some(called)) => exists(called, inner),
        (Some(_), None) => false,
    }
}
