//! From a workflow and what is known of the world to a plan, or to the reasons why there is none.

use std::collections::BTreeMap;
use std::sync::Arc;

use loopline_diagnostic::{Diagnostic, Severity, rule_set};

use super::check;
use super::describe::{Plan, PlanContexts, describe};
use super::graph::Graph;
use super::inputs::dispatch_inputs;
use super::settings::Settings;
use super::trigger::{broken_patterns, triggers};
use crate::github::event::{Event, Facts, RunFacts, github_context};
use crate::github::expression::{Object, Value};
use crate::github::model::Workflow;
use crate::github::schedule::{Contexts, Scenario, Source, value};

/// Everything a plan is made from.
#[derive(Clone, Debug)]
pub struct Request {
    /// The workflow, with those it calls.
    pub workflow: Arc<Workflow>,
    /// What it is a run of.
    pub event: Event,
    /// What is known of the repository.
    pub facts: Facts,
    /// What is known of the run.
    pub run: RunFacts,
    /// The inputs of a dispatch, as text.
    pub inputs: BTreeMap<String, String>,
    /// `vars`.
    pub vars: BTreeMap<String, String>,
    /// `secrets`.
    pub secrets: BTreeMap<String, String>,
    /// What the user chose.
    pub settings: Settings,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
#[error("plan the run: {} found", count(.findings))]
pub struct Refused {
    /// What is wrong, errors and warnings.
    pub findings: Vec<Diagnostic>,
}

fn count(findings: &[Diagnostic]) -> String {
    let errors = findings.iter().filter(|it| it.severity == Severity::Error).count();
    if errors == 1 { "1 error".to_owned() } else { format!("{errors} errors") }
}

/// Plans a run. What need not stop it is in [`Plan::warnings`].
///
/// # Errors
/// [`Refused`], with every reason why the run must not begin.
pub fn plan(request: Request) -> Result<Plan, Refused> {
    let Request { workflow, mut event, facts, run, inputs, vars, secrets, settings } = request;
    let mut findings = Vec::new();
    for (span, reason) in broken_patterns(&workflow) {
        findings.push(Diagnostic::new(&rule_set::GLOB_PATTERN, &workflow.file, span, reason));
    }
    let verdict = triggers(&workflow, &event);
    let inputs = dispatch_inputs(&workflow, &event.name, &inputs, &mut findings);
    if matches!(event.name.as_str(), "workflow_dispatch" | "workflow_call") {
        set_inputs(&mut event, &inputs);
    }
    let source = Source { repository: None, reference: None, path: run.workflow_path.clone() };
    let graph = Graph::new(Arc::clone(&workflow), source, &mut findings);
    let name = workflow.name.as_ref().map(|name| &*name.value);
    let github = Value::from_json(&github_context(&event, &facts, &run, name));
    let text_map = |map: &BTreeMap<String, String>| -> Value {
        map.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Object>().into()
    };
    let contexts =
        PlanContexts { github, vars: text_map(&vars), inputs, secrets: text_map(&secrets) };
    let Some(graph) = graph else { return Err(Refused { findings }) };
    if graph.workflow.jobs.is_empty() {
        let span = workflow.on_span.unwrap_or_default();
        findings.push(Diagnostic::new(
            &rule_set::JOB_NEEDS,
            &workflow.file,
            span,
            "the workflow has no jobs",
        ));
    }
    for name in settings.selection.unknown(&graph) {
        findings.push(
            Diagnostic::new(
                &rule_set::JOB_NEEDS,
                &workflow.file,
                workflow.on_span.unwrap_or_default(),
                format!("the workflow has no job `{name}`"),
            )
            .hint(format!(
                "it has {}",
                graph
                    .workflow
                    .jobs
                    .iter()
                    .map(|job| format!("`{}`", &*job.id.value))
                    .collect::<Vec<_>>()
                    .join(", ")
            )),
        );
    }
    let base = Contexts {
        github: contexts.github.clone(),
        vars: contexts.vars.clone(),
        inputs: contexts.inputs.clone(),
        secrets: contexts.secrets.clone(),
        ..Contexts::default()
    };
    let title = match &workflow.run_name {
        Some(token) => match value(token, &base, Scenario::SUCCESS) {
            Ok(title) if !title.to_text().trim().is_empty() => Some(title.to_text().into_owned()),
            Ok(_) => None,
            Err(error) => {
                findings.push(check::broken(&workflow.file, &error, "`run-name`"));
                None
            }
        },
        None => None,
    };
    let title = title.unwrap_or_else(|| {
        let subject = facts.message.lines().next().filter(|line| !line.is_empty());
        subject.or(name).unwrap_or(&run.workflow_path).to_owned()
    });
    let jobs = describe(&graph, &base, &settings, &mut findings);
    if !jobs.is_empty()
        && jobs.iter().all(|job| job.refused)
        && findings.iter().all(|it| it.severity < Severity::Error)
    {
        findings.push(Diagnostic::new(
            &rule_set::RUNNER_UNAVAILABLE,
            &workflow.file,
            workflow.on_span.unwrap_or_default(),
            "no job of the workflow can run on this machine",
        ));
    }
    if findings.iter().any(|finding| finding.severity == Severity::Error) {
        return Err(Refused { findings });
    }
    Ok(Plan {
        workflow: run.workflow_path,
        name: name.unwrap_or(&graph.source.path).to_owned(),
        title,
        event: event.name,
        git_ref: event.git_ref,
        sha: event.sha,
        trigger: verdict,
        jobs,
        warnings: findings,
        settings,
        contexts,
        graph,
    })
}

fn set_inputs(event: &mut Event, inputs: &Value) {
    if let serde_json::Value::Object(payload) = &mut event.payload {
        // The payload of a dispatch holds its inputs as text.
        let texts = match inputs {
            Value::Object(object) => object
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_text().into_owned().into()))
                .collect(),
            _ => serde_json::Map::new(),
        };
        let inputs = if texts.is_empty() { serde_json::Value::Null } else { texts.into() };
        payload.insert("inputs".to_owned(), inputs);
    }
}
