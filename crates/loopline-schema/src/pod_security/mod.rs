//! The Pod Security Standards: whether a pod keeps to a level, worded as Kubernetes words it.
//!
//! A level is a list of checks, each of which applies from a version of Kubernetes on; a stricter
//! check takes the place of the weaker one about the same. The checks look at the metadata and
//! the `spec` of a pod, or of a template of one.

mod baseline;
mod level;
mod restricted;

use serde_json::Value;

use crate::error::quote;
use crate::tree::list;

pub use level::{LATEST_MINOR, Level, ParseError, Policy};

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What is wrong, in few words: `host namespaces`.
    pub reason: String,
    /// Where, and with which values; may be empty.
    pub detail: String,
}

/// A check: what it finds in the metadata and the `spec` of a pod.
type Check = fn(&Value, &Value) -> Option<Violation>;

/// Returns what keeps a pod from a level, in Kubernetes' order. `minor` is the version of the
/// standards, as the second number of Kubernetes 1.x.
pub fn violations(level: Level, minor: u32, metadata: &Value, spec: &Value) -> Vec<Violation> {
    let checks = match level {
        Level::Privileged => Vec::new(),
        Level::Baseline => baseline::checks(minor),
        Level::Restricted => {
            let stricter = restricted::checks(minor);
            let overridden = stricter.iter().filter_map(|check| check.overrides);
            let overridden: Vec<&str> = overridden.collect();
            let mut checks = baseline::checks(minor);
            checks.retain(|check| !overridden.contains(&check.id));
            checks.extend(stricter);
            checks
        }
    };
    checks.iter().filter_map(|check| (check.run)(metadata, spec)).collect()
}

/// Returns violations as one line: `privileged (container "a" ...), hostPort (...)`.
pub fn describe(violations: &[Violation]) -> String {
    let parts: Vec<String> = violations
        .iter()
        .map(|violation| match &*violation.detail {
            "" => violation.reason.clone(),
            detail => format!("{} ({detail})", violation.reason),
        })
        .collect();
    parts.join(", ")
}

/// A check that applies to a version.
struct Applied {
    id: &'static str,
    /// The weaker check whose place it takes.
    overrides: Option<&'static str>,
    run: Check,
}

fn violation(reason: &str, detail: String) -> Option<Violation> {
    Some(Violation { reason: reason.to_owned(), detail })
}

/// Returns all containers of a pod: those that begin first, the ordinary and the ephemeral ones.
fn containers(spec: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers", "ephemeralContainers"]
        .into_iter()
        .flat_map(|key| list(spec, key))
}

fn name(container: &Value) -> String {
    container["name"].as_str().unwrap_or_default().to_owned()
}

/// Returns `container "a"` or `containers "a", "b"`.
fn named(containers: &[String]) -> String {
    format!("{} {}", plural("container", "containers", containers.len()), quoted(containers))
}

fn plural<'a>(one: &'a str, many: &'a str, count: usize) -> &'a str {
    if count == 1 { one } else { many }
}

fn quoted<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> String {
    let mut line = String::new();
    for text in texts {
        if !line.is_empty() {
            line.push_str(", ");
        }
        quote(text.as_ref(), &mut line);
    }
    line
}

/// Returns `pod`, `container "a"`, or both: who sets something.
fn setters(pod: bool, containers: &[String]) -> Option<String> {
    match (pod, containers) {
        (false, []) => None,
        (true, []) => Some("pod".to_owned()),
        (false, some) => Some(named(some)),
        (true, some) => Some(format!("pod and {}", named(some))),
    }
}

/// Returns whether the pod says that it is for Windows, where some fields mean nothing.
fn is_windows(spec: &Value) -> bool {
    spec["os"]["name"] == "windows"
}

/// Returns whether the pod has users of its own, so that its root is nobody outside.
fn has_own_users(spec: &Value) -> bool {
    spec["hostUsers"].as_bool() == Some(false)
}
