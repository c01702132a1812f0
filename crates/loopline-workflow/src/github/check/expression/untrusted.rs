//! Values that anybody on the internet can set: what a script must not be pasted together from.
//!
//! The list is GitHub's ("Understanding the risk of script injections").

use std::ops::Range;

use super::syntax::{Expression, Kind};

/// Paths that outsiders can set; `*` stands for an index or `.*`.
const PATHS: &[&str] = &[
    "github.event.comment.body",
    "github.event.commits.*.author.email",
    "github.event.commits.*.author.name",
    "github.event.commits.*.message",
    "github.event.discussion.body",
    "github.event.discussion.title",
    "github.event.head_commit.author.email",
    "github.event.head_commit.author.name",
    "github.event.head_commit.message",
    "github.event.issue.body",
    "github.event.issue.title",
    "github.event.pages.*.page_name",
    "github.event.pull_request.body",
    "github.event.pull_request.head.label",
    "github.event.pull_request.head.ref",
    "github.event.pull_request.head.repo.default_branch",
    "github.event.pull_request.title",
    "github.event.review.body",
    "github.event.review_comment.body",
    "github.event.workflow_run.head_branch",
    "github.event.workflow_run.head_commit.author.email",
    "github.event.workflow_run.head_commit.author.name",
    "github.event.workflow_run.head_commit.message",
    "github.event.workflow_run.head_repository.description",
    "github.head_ref",
];

/// Functions whose result outsiders cannot choose.
const SAFE: &[&str] = &["contains", "endswith", "startswith"];

/// Returns where `expression` reads what outsiders can set, and what that is.
pub(crate) fn untrusted(expression: &Expression) -> Vec<(Range<usize>, Vec<&'static str>)> {
    let mut found = Vec::new();
    visit(expression, &mut found);
    found
}

fn visit(expression: &Expression, found: &mut Vec<(Range<usize>, Vec<&'static str>)>) {
    if let Some(path) = path(expression) {
        let hits: Vec<_> =
            PATHS.iter().copied().filter(|candidate| matches_path(&path, candidate)).collect();
        if !hits.is_empty() {
            found.push((expression.range.clone(), hits));
        }
    }
    inside(expression, found);
}

/// Visits the parts of `expression` that are values of their own.
fn inside(expression: &Expression, found: &mut Vec<(Range<usize>, Vec<&'static str>)>) {
    match &expression.kind {
        Kind::Null | Kind::Boolean(_) | Kind::Number(_) | Kind::String(_) | Kind::Variable(_) => {}
        Kind::Property(receiver, _) | Kind::Filter(receiver) => chain(receiver, found),
        Kind::Index(receiver, index) => {
            chain(receiver, found);
            visit(index, found);
        }
        Kind::Call(name, arguments) => {
            if !SAFE.contains(&&*name.to_lowercase()) {
                for argument in arguments {
                    visit(argument, found);
                }
            }
        }
        Kind::Not(inner) => visit(inner, found),
        Kind::And(operands) | Kind::Or(operands) => {
            operands.iter().for_each(|operand| visit(operand, found));
        }
        Kind::Compare(_, left, right) => {
            visit(left, found);
            visit(right, found);
        }
    }
}

/// Visits what stands inside a path, the path itself being judged as a whole.
fn chain(receiver: &Expression, found: &mut Vec<(Range<usize>, Vec<&'static str>)>) {
    if matches!(receiver.kind, Kind::Property(..) | Kind::Filter(_) | Kind::Index(..)) {
        inside(receiver, found);
    } else if !matches!(receiver.kind, Kind::Variable(_)) {
        visit(receiver, found);
    }
}

fn path(expression: &Expression) -> Option<Vec<String>> {
    match &expression.kind {
        Kind::Variable(name) => Some(vec![name.to_lowercase()]),
        Kind::Property(receiver, name) => {
            let mut path = path(receiver)?;
            path.push(name.to_lowercase());
            Some(path)
        }
        Kind::Filter(receiver) => {
            let mut path = path(receiver)?;
            path.push("*".into());
            Some(path)
        }
        Kind::Index(receiver, index) => {
            let mut path = path(receiver)?;
            path.push(match &index.kind {
                Kind::String(name) => name.to_lowercase(),
                _ => "[]".into(),
            });
            Some(path)
        }
        _ => None,
    }
}

fn matches_path(path: &[String], candidate: &str) -> bool {
    let mut parts = candidate.split('.');
    let fits =
        |part: &str, wanted: &str| part == "*" || part == wanted || (part == "[]" && wanted == "*");
    path.iter().all(|part| parts.next().is_some_and(|wanted| fits(part, wanted)))
        && parts.next().is_none()
}
