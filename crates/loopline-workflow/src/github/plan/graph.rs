//! The jobs of a workflow as a graph, with the workflows they call.

use std::collections::HashMap;
use std::sync::Arc;

use loopline_diagnostic::{Diagnostic, rule_set};
use loopline_source::Span;

use crate::github::model::{JobKind, UsesRef, Workflow};
use crate::github::schedule::{Source, place_of};
use crate::run::Place;

/// How deep workflows may call workflows; the reader allows no more.
const MAX_DEPTH: usize = 16;

/// A workflow whose jobs know each other by their place in the file.
#[derive(Debug)]
pub struct Graph {
    /// The workflow.
    pub workflow: Arc<Workflow>,
    /// Where its file comes from.
    pub source: Source,
    /// For each job, the jobs it names in `needs`.
    pub needs: Vec<Vec<usize>>,
    /// For each job, the jobs that name it.
    pub dependants: Vec<Vec<usize>>,
    /// For each job, the workflow it calls.
    pub calls: Vec<Option<Arc<Graph>>>,
    /// The jobs, each after those it needs, else in the order of the file.
    pub order: Vec<usize>,
}

impl Graph {
    /// Links the jobs of `workflow`; what is wrong with `needs` goes to `findings`, and where
    /// there is such a thing there is no graph.
    pub fn new(
        workflow: Arc<Workflow>,
        source: Source,
        findings: &mut Vec<Diagnostic>,
    ) -> Option<Arc<Self>> {
        Self::at_depth(workflow, source, findings, 0)
    }

    fn at_depth(
        workflow: Arc<Workflow>,
        source: Source,
        findings: &mut Vec<Diagnostic>,
        depth: usize,
    ) -> Option<Arc<Self>> {
        let before = findings.len();
        let count = workflow.jobs.len();
        let ids: HashMap<String, usize> = workflow
            .jobs
            .iter()
            .enumerate()
            .map(|(index, job)| (job.id.to_ascii_lowercase(), index))
            .collect();
        let mut needs = vec![Vec::new(); count];
        let mut dependants = vec![Vec::new(); count];
        for (index, job) in workflow.jobs.iter().enumerate() {
            for need in &job.needs {
                let Some(&other) = ids.get(&need.to_ascii_lowercase()) else {
                    let message = format!(
                        "job `{}` needs `{}`, which is no job of this workflow",
                        &*job.id.value, &*need.value
                    );
                    let rule = &rule_set::JOB_NEEDS;
                    findings.push(Diagnostic::new(rule, &workflow.file, need.span, message));
                    continue;
                };
                if !needs[index].contains(&other) {
                    needs[index].push(other);
                    dependants[other].push(index);
                }
            }
        }
        let order = order(&needs, &dependants);
        if order.len() < count && findings.len() == before {
            findings.push(circle(&workflow, &find_cycle(&needs, &order)));
        }
        let mut calls = vec![None; count];
        for (index, job) in workflow.jobs.iter().enumerate() {
            let JobKind::Reusable(reusable) = &job.kind else { continue };
            let rule = &rule_set::REUSABLE_WORKFLOW;
            let span = reusable.uses.span;
            let Some(called) = &reusable.called else {
                let message = format!(
                    "the workflow `{}` that job `{}` calls was not loaded",
                    &*reusable.uses.value, &*job.id.value
                );
                let finding = Diagnostic::new(rule, &workflow.file, span, message)
                    .hint("a workflow of another repository must be fetched or mirrored first");
                findings.push(finding);
                continue;
            };
            if depth >= MAX_DEPTH {
                let message = "workflows call each other too deeply";
                findings.push(Diagnostic::new(rule, &workflow.file, span, message));
                continue;
            }
            let source = called_source(&source, &reusable.uses);
            let called = Arc::new(called.workflow.clone());
            calls[index] = Self::at_depth(called, source, findings, depth + 1);
        }
        (findings.len() == before)
            .then(|| Arc::new(Self { workflow, source, needs, dependants, calls, order }))
    }

    /// Returns where `span` begins.
    pub fn place(&self, span: Span) -> Place {
        place_of(&self.workflow.file, span)
    }
}

fn circle(workflow: &Workflow, cycle: &[usize]) -> Diagnostic {
    let ids: Vec<_> = cycle.iter().map(|&job| &workflow.jobs[job].id).collect();
    let mut names: Vec<&str> = ids.iter().map(|id| &*id.value).collect();
    names.extend(names.first().copied());
    let message = format!("jobs need each other in a circle: {}", names.join(" -> "));
    let span = ids.first().map_or(Span::default(), |id| id.span);
    let finding = Diagnostic::new(&rule_set::JOB_NEEDS, &workflow.file, span, message);
    ids.iter()
        .skip(1)
        .fold(finding, |finding, id| finding.also(&workflow.file, id.span, "part of the circle"))
}

/// Returns where the file of a called workflow comes from.
fn called_source(caller: &Source, uses: &str) -> Source {
    match UsesRef::parse(uses) {
        Some(UsesRef::Remote { owner, repository, path, reference }) => Source {
            repository: Some(format!("{owner}/{repository}")),
            reference: Some(reference.to_owned()),
            path: path.to_owned(),
        },
        // A called file that says `./` or `$/` means its own repository, at its own commit.
        Some(UsesRef::Local(path) | UsesRef::Own(path)) => {
            Source { path: path.to_owned(), ..caller.clone() }
        }
        _ => Source { path: uses.to_owned(), ..caller.clone() },
    }
}

/// Sorts jobs so that each comes after those it needs; jobs on a circle are left out.
fn order(needs: &[Vec<usize>], dependants: &[Vec<usize>]) -> Vec<usize> {
    let mut waiting: Vec<usize> = needs.iter().map(Vec::len).collect();
    let mut order: Vec<usize> = (0..needs.len()).filter(|&job| waiting[job] == 0).collect();
    let mut next = 0;
    while let Some(&job) = order.get(next) {
        next += 1;
        for &dependant in &dependants[job] {
            waiting[dependant] -= 1;
            if waiting[dependant] == 0 {
                order.push(dependant);
            }
        }
    }
    order
}

/// Finds one circle among the jobs that `order` left out: each of them needs another of them.
fn find_cycle(needs: &[Vec<usize>], order: &[usize]) -> Vec<usize> {
    let mut sorted = vec![false; needs.len()];
    for &job in order {
        sorted[job] = true;
    }
    let Some(mut at) = sorted.iter().position(|sorted| !sorted) else { return Vec::new() };
    let mut seen = vec![None; needs.len()];
    let mut path = Vec::new();
    loop {
        if let Some(start) = seen[at] {
            return path.split_off(start);
        }
        seen[at] = Some(path.len());
        path.push(at);
        match needs[at].iter().find(|&&need| !sorted[need]) {
            Some(&need) => at = need,
            None => return path,
        }
    }
}
