//! Identifiers of jobs and steps, and which job waits for which.

use std::collections::HashMap;

use loopline_diagnostic::{Fix, rule_set as rules};

use crate::github::check::findings::Findings;
use crate::github::check::model::{Action, Job, Step, Workflow};
use crate::github::check::text::Text;

pub(super) fn check(workflow: &Workflow, findings: &mut Findings<'_>) {
    for job in &workflow.jobs {
        identifier(&job.id, "a job", findings);
        for need in &job.needs {
            identifier(need, "a job", findings);
        }
        step_ids(&job.steps, findings);
    }
    needs(&workflow.jobs, findings);
}

/// Checks the identifiers of the steps of one job.
pub(super) fn step_ids(steps: &[Step], findings: &mut Findings<'_>) {
    let mut seen = HashMap::new();
    visit(steps, &mut seen, findings);
}

fn visit<'s>(steps: &'s [Step], seen: &mut HashMap<String, &'s Text>, findings: &mut Findings<'_>) {
    for step in steps {
        if let Some(id) = &step.id
            && !id.is_empty()
        {
            identifier(id, "a step", findings);
            if let Some(first) = seen.get(&id.lower()) {
                let (file, first) = (findings.file.clone(), first.span);
                let message = format!("another step of this job has the id `{}`", id.value);
                if let Some(found) = findings.add(&rules::IDENTIFIER, id.span, message) {
                    *found = found.clone().also(&file, first, "first here");
                }
            } else {
                seen.insert(id.lower(), id);
            }
        }
        if let Action::Parallel { steps: inner, .. } = &step.action {
            visit(inner, seen, findings);
        }
    }
}

fn identifier(id: &Text, of: &str, findings: &mut Findings<'_>) {
    let mut characters = id.value.chars();
    let valid = characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if !valid && !id.is_empty() && !id.has_expression() {
        findings.add_hint(
            &rules::IDENTIFIER,
            id.span,
            format!("`{}` cannot be the id of {of}", id.value),
            "start with a letter or `_`; then letters, digits, `-` and `_`",
        );
    }
}

fn needs(jobs: &[Job], findings: &mut Findings<'_>) {
    let index: HashMap<String, usize> =
        jobs.iter().enumerate().map(|(at, job)| (job.id.lower(), at)).collect();
    let mut complete = true;
    let mut edges: Vec<Vec<usize>> = Vec::with_capacity(jobs.len());
    for job in jobs {
        let mut targets = Vec::new();
        let mut seen = Vec::new();
        for need in &job.needs {
            let lower = need.lower();
            if need.is_empty() {
                continue;
            }
            if seen.contains(&lower) {
                let message = format!("`{}` is needed twice (case does not count)", need.value);
                findings.add(&rules::JOB_NEEDS, need.span, message);
                continue;
            }
            match index.get(&lower) {
                Some(at) => targets.push(*at),
                None => {
                    complete = false;
                    let known: Vec<_> = jobs.iter().map(|job| &*job.id.value).collect();
                    let file = findings.file.clone();
                    let message = format!(
                        "job `{}` needs `{}`, which does not exist",
                        job.id.value, need.value
                    );
                    let near = crate::github::check::findings::nearest(&need.value, &known);
                    if let Some(found) = findings.add(&rules::JOB_NEEDS, job.id.span, message) {
                        *found = found.clone().also(&file, need.span, "no such job");
                        if let Some(near) = near {
                            found.hints.push(format!("did you mean `{near}`?"));
                            found.fix = (file.slice(need.span) == &*need.value)
                                .then(|| Fix { span: need.span, replacement: near.to_owned() });
                        }
                    }
                }
            }
            seen.push(lower);
        }
        edges.push(targets);
    }
    if complete {
        circle(jobs, &edges, findings);
    }
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    New,
    Open,
    Done,
}

/// Finds one circle by depth-first search without recursion, and names it from its first job.
fn circle(jobs: &[Job], edges: &[Vec<usize>], findings: &mut Findings<'_>) {
    let mut states = vec![State::New; jobs.len()];
    for start in 0..jobs.len() {
        if states[start] != State::New {
            continue;
        }
        let mut path: Vec<(usize, usize)> = vec![(start, 0)];
        states[start] = State::Open;
        while let Some((at, next)) = path.last_mut() {
            let Some(target) = edges[*at].get(*next).copied() else {
                states[*at] = State::Done;
                path.pop();
                continue;
            };
            *next += 1;
            match states[target] {
                State::Done => {}
                State::New => {
                    states[target] = State::Open;
                    path.push((target, 0));
                }
                State::Open => {
                    let from = path.iter().position(|(job, _)| *job == target).unwrap_or(0);
                    let circle: Vec<usize> = path[from..].iter().map(|(job, _)| *job).collect();
                    report(jobs, &circle, findings);
                    return;
                }
            }
        }
    }
}

fn report(jobs: &[Job], circle: &[usize], findings: &mut Findings<'_>) {
    let first = circle
        .iter()
        .enumerate()
        .min_by_key(|(_, job)| jobs[**job].id.span.start)
        .map_or(0, |(at, _)| at);
    let ordered: Vec<usize> =
        circle.iter().cycle().skip(first).take(circle.len()).copied().collect();
    let Some(head) = ordered.first() else { return };
    let names: Vec<_> =
        ordered.iter().chain([head]).map(|job| format!("`{}`", jobs[*job].id.value)).collect();
    let message = format!("these jobs wait for each other: {}", names.join(" needs "));
    findings.add(&rules::JOB_NEEDS, jobs[*head].id.span, message);
}
