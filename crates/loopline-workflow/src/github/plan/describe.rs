//! The plan as data: every job with its legs and steps, as far as they are known before the run.

use std::collections::HashMap;
use std::sync::Arc;

use loopline_diagnostic::{Diagnostic, rule_set};
use loopline_source::SourceFile;
use serde::{Serialize, Serializer};

use super::check;
use super::graph::Graph;
use super::settings::Settings;
use super::trigger;
use crate::github::expression::Value;
use crate::github::model::{Job, JobKind, OrdinaryJob, ReusableJob, Step, StepKind};
use crate::github::schedule::{
    Contexts, ExpandError, Scenario, call_contexts, condition, environment, expand, leg_name,
    matrix_of, referenced, runs_on, value,
};
use crate::github::template::{Kind, Token};
use crate::run::Place;

/// What a run will do.
#[derive(Debug, Serialize)]
pub struct Plan {
    /// The workflow's path in the repository.
    pub workflow: String,
    /// Its name.
    pub name: String,
    /// `run-name`, evaluated, or what stands for it.
    pub title: String,
    /// The event.
    pub event: String,
    /// `github.ref`.
    pub git_ref: String,
    /// `github.sha`.
    pub sha: String,
    /// Whether the event would start the workflow on GitHub, and why.
    pub trigger: trigger::Verdict,
    /// The jobs, each after those it needs; those of a called workflow follow the job that calls
    /// it.
    pub jobs: Vec<PlannedJob>,
    /// What need not stop the run.
    #[serde(serialize_with = "messages")]
    pub warnings: Vec<Diagnostic>,
    /// What the user chose.
    pub settings: Settings,
    /// The contexts that are fixed for the whole run; secrets among them, so never serialised.
    #[serde(skip)]
    pub contexts: PlanContexts,
    /// The graph that [`crate::github::schedule::Run`] runs.
    #[serde(skip)]
    pub graph: Arc<Graph>,
}

fn messages<S: Serializer>(findings: &[Diagnostic], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(findings.iter().map(|finding| {
        let position = finding.primary.file.position(finding.primary.span.start);
        format!(
            "{}:{position}: {}: {}",
            finding.primary.file.name(),
            finding.rule.code,
            finding.message
        )
    }))
}

/// The contexts that are fixed for the whole run.
#[derive(Clone, Debug, Default)]
pub struct PlanContexts {
    /// `github`, without what job and step add.
    pub github: Value,
    /// `vars`.
    pub vars: Value,
    /// `inputs`.
    pub inputs: Value,
    /// `secrets`.
    pub secrets: Value,
}

/// One job of the plan.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedJob {
    /// Its key, without legs: `build`, `deploy/migrate`.
    pub key: String,
    /// Its name where it has no legs that are known.
    pub name: String,
    /// The keys of the jobs it needs.
    pub needs: Vec<String>,
    /// Whether it runs.
    pub condition: Verdict,
    /// Its legs.
    pub legs: Legs,
    /// The workflow it calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<String>,
    /// The environment, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Its steps.
    pub steps: Vec<PlannedStep>,
    /// Whether no leg of it can run on this machine.
    pub refused: bool,
    /// Where it stands.
    pub place: Place,
}

/// Whether a job runs, as far as that is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// It runs.
    Runs,
    /// It runs once all it depends on has succeeded.
    RunsAfterSuccess,
    /// It does not run.
    Skipped {
        /// The condition.
        condition: String,
        /// Its parts with their values.
        trace: Vec<String>,
    },
    /// It depends on what happens before.
    Dynamic {
        /// The condition.
        condition: String,
    },
}

/// The legs of a job.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Legs {
    /// There is no matrix.
    One(PlannedLeg),
    /// The matrix is known.
    Matrix {
        /// The legs.
        legs: Vec<PlannedLeg>,
        /// Whether one failure cancels the others.
        fail_fast: bool,
        /// How many run at once.
        max_parallel: usize,
    },
    /// The matrix is known only when the jobs it is made from have ended.
    Dynamic,
}

/// One leg of a job.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedLeg {
    /// Its key: `test.0`.
    pub key: String,
    /// The name people see.
    pub name: String,
    /// Its matrix; null where there is none.
    #[serde(skip_serializing_if = "serde_json::Value::is_null")]
    pub matrix: serde_json::Value,
    /// What it runs on, where that is known.
    pub runs_on: Option<Vec<String>>,
    /// Whether this machine is not that.
    pub refused: bool,
}

/// One step of a job.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedStep {
    /// Its number, from 1.
    pub number: usize,
    /// The name people see; expressions that are not known yet stay as written.
    pub name: String,
    /// `run`, `uses`, `wait`, `wait-all`, `cancel`, `parallel`.
    pub kind: &'static str,
    /// The action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uses: Option<String>,
    /// Its line.
    pub line: u32,
}

/// Which contexts are not known before the run.
#[derive(Clone, Copy)]
struct Unknown {
    inputs: bool,
}

impl Unknown {
    fn has(self, name: &str) -> bool {
        match name.to_ascii_lowercase().as_str() {
            "needs" | "secrets" | "env" | "steps" | "job" | "jobs" | "runner" => true,
            "inputs" => self.inputs,
            _ => false,
        }
    }

    fn touches(self, token: &Token) -> bool {
        let mut touched = false;
        referenced(token, &mut |found| touched |= self.has(&found.context));
        touched
    }
}

/// Returns the jobs of a graph and of all it calls.
pub(super) fn describe(
    graph: &Graph,
    contexts: &Contexts,
    settings: &Settings,
    findings: &mut Vec<Diagnostic>,
) -> Vec<PlannedJob> {
    let mut describer = Describer { settings, findings, jobs: Vec::new() };
    let selection = &settings.selection;
    describer.graph(graph, contexts, "", "", Unknown { inputs: false }, selection);
    describer.jobs
}

struct Describer<'a> {
    settings: &'a Settings,
    findings: &'a mut Vec<Diagnostic>,
    jobs: Vec<PlannedJob>,
}

impl Describer<'_> {
    /// The depth of the graph bounds the recursion.
    fn graph(
        &mut self,
        graph: &Graph,
        contexts: &Contexts,
        key_prefix: &str,
        name_prefix: &str,
        unknown: Unknown,
        selection: &super::Selection,
    ) {
        let wanted = selection.closure(graph);
        let mut skipped: HashMap<usize, bool> = HashMap::new();
        for &index in graph.order.iter().filter(|&&index| wanted[index]) {
            let job = &graph.workflow.jobs[index];
            let verdict = self.condition(graph, index, contexts, unknown, &skipped);
            let is_skipped = matches!(verdict, Verdict::Skipped { .. });
            skipped.insert(index, is_skipped);
            let before = self.findings.len();
            let legs = self.legs(graph, job, contexts, key_prefix, name_prefix, unknown);
            let refused = match &legs {
                Legs::One(leg) => leg.refused,
                Legs::Matrix { legs, .. } => legs.iter().all(|leg| leg.refused),
                Legs::Dynamic => false,
            };
            let mut planned = PlannedJob {
                key: format!("{key_prefix}{}", &*job.id.value),
                name: format!("{name_prefix}{}", shown_name(&graph.workflow.file, job)),
                needs: graph.needs[index]
                    .iter()
                    .map(|&need| format!("{key_prefix}{}", &*graph.workflow.jobs[need].id.value))
                    .collect(),
                condition: verdict,
                legs,
                calls: None,
                environment: None,
                steps: Vec::new(),
                refused,
                place: graph.place(job.id.span),
            };
            match &job.kind {
                JobKind::Ordinary(ordinary) => {
                    check::job(
                        &graph.workflow.file,
                        &job.id,
                        ordinary,
                        self.settings,
                        self.findings,
                    );
                    planned.environment = self.environment(graph, ordinary, contexts, unknown);
                    planned.steps = steps(graph, ordinary, contexts, unknown);
                    self.jobs.push(planned);
                }
                JobKind::Reusable(reusable) => {
                    planned.calls = Some(reusable.uses.to_string());
                    let (key, name) = (format!("{}/", planned.key), format!("{} / ", planned.name));
                    self.jobs.push(planned);
                    if let Some(called) = &graph.calls[index] {
                        let inner = selection.inner(&job.id);
                        let (contexts, unknown) = self.called(graph, reusable, contexts, unknown);
                        self.graph(called, &contexts, &key, &name, unknown, &inner);
                    }
                }
            }
            // A job that cannot run whatever happens asks nothing of the machine.
            if is_skipped {
                self.findings.truncate(before);
            }
        }
    }

    fn condition(
        &mut self,
        graph: &Graph,
        index: usize,
        contexts: &Contexts,
        unknown: Unknown,
        skipped: &HashMap<usize, bool>,
    ) -> Verdict {
        let job = &graph.workflow.jobs[index];
        let needs = &graph.needs[index];
        let text = match &job.condition.kind {
            Kind::Expression(expression) => expression.text.to_string(),
            _ => job.condition.as_str().unwrap_or("always").to_owned(),
        };
        let needs_skipped = needs.iter().any(|need| skipped.get(need).copied().unwrap_or(false));
        if needs_skipped && text.starts_with("success() && (") {
            // The reader's own `success()`, which stands before everything else.
            return Verdict::Skipped { condition: text, trace: Vec::new() };
        }
        if unknown.touches(&job.condition) {
            return Verdict::Dynamic { condition: text };
        }
        let scenarios: &[Scenario] = if needs.is_empty() {
            &[Scenario::SUCCESS]
        } else if needs_skipped {
            &[Scenario::SKIPPED, Scenario::FAILURE]
        } else {
            &[Scenario::SUCCESS, Scenario::FAILURE, Scenario::SKIPPED]
        };
        let mut verdicts = Vec::new();
        for scenario in scenarios {
            match condition(&job.condition, contexts, *scenario) {
                Ok(verdict) => verdicts.push(verdict),
                Err(error) => {
                    let finding = check::broken(&graph.workflow.file, &error, "`if`");
                    self.findings.push(finding);
                    return Verdict::Dynamic { condition: text };
                }
            }
        }
        let holds: Vec<bool> = verdicts.iter().map(|verdict| verdict.holds).collect();
        match holds.as_slice() {
            all if all.iter().all(|holds| *holds) => Verdict::Runs,
            all if all.iter().all(|holds| !holds) => {
                let trace =
                    verdicts.into_iter().next().map(|verdict| verdict.trace).unwrap_or_default();
                Verdict::Skipped { condition: text, trace }
            }
            [true, false, false] => Verdict::RunsAfterSuccess,
            _ => Verdict::Dynamic { condition: text },
        }
    }

    fn legs(
        &mut self,
        graph: &Graph,
        job: &Job,
        contexts: &Contexts,
        key_prefix: &str,
        name_prefix: &str,
        unknown: Unknown,
    ) -> Legs {
        let file = &graph.workflow.file;
        if job.strategy.as_ref().is_some_and(|strategy| unknown.touches(strategy)) {
            return Legs::Dynamic;
        }
        let expanded = match expand(job.strategy.as_ref(), contexts) {
            Ok(expanded) => expanded,
            Err(error) => {
                let span = job.strategy.as_ref().map(|token| error.span(token)).unwrap_or_default();
                self.findings.push(Diagnostic::new(
                    &rule_set::MATRIX,
                    file,
                    span,
                    error.to_string(),
                ));
                return Legs::Dynamic;
            }
        };
        let is_matrix = expanded.legs.is_some();
        let combinations = expanded
            .legs
            .map_or_else(|| vec![None], |legs| legs.into_iter().map(Some).collect::<Vec<_>>());
        let mut legs = Vec::new();
        let mut reported = false;
        for (index, combination) in combinations.into_iter().enumerate() {
            let matrix = matrix_of(combination.as_ref());
            if is_matrix && !self.settings.selects_leg(&matrix) {
                continue;
            }
            let contexts = Contexts { matrix, ..contexts.clone() };
            let name = if unknown.touches(&job.name) {
                shown_name(file, job)
            } else {
                leg_name(job, &contexts, combination.as_ref()).unwrap_or_else(|error| {
                    self.findings.push(check::broken(file, &error, "`name`"));
                    shown_name(file, job)
                })
            };
            let id = &*job.id.value;
            let mut leg = PlannedLeg {
                key: if is_matrix {
                    format!("{key_prefix}{id}.{index}")
                } else {
                    format!("{key_prefix}{id}")
                },
                name: format!("{name_prefix}{name}"),
                matrix: contexts.matrix.to_json(),
                runs_on: None,
                refused: false,
            };
            if let JobKind::Ordinary(ordinary) = &job.kind
                && let Some(token) = &ordinary.runs_on
                && !unknown.touches(token)
            {
                match runs_on(ordinary, &contexts) {
                    Ok(found) => {
                        let mut own = Vec::new();
                        leg.refused =
                            check::runner(file, token.span, id, &found, self.settings, &mut own);
                        leg.runs_on = Some(found.labels);
                        // One finding a job: a matrix of ten Windows legs is one mistake.
                        if !reported {
                            self.findings.append(&mut own);
                        }
                        reported |= leg.refused;
                    }
                    Err(error) => self.findings.push(check::broken(file, &error, "`runs-on`")),
                }
            }
            legs.push(leg);
        }
        if legs.is_empty() {
            let span = job.strategy.as_ref().map(|token| token.span).unwrap_or_default();
            let message = ExpandError::NoneSelected.to_string();
            self.findings.push(Diagnostic::new(&rule_set::MATRIX, file, span, message));
        }
        if is_matrix {
            let (fail_fast, max_parallel) = (expanded.fail_fast, expanded.max_parallel);
            return Legs::Matrix { legs, fail_fast, max_parallel };
        }
        legs.pop().map_or(Legs::Dynamic, Legs::One)
    }

    fn environment(
        &mut self,
        graph: &Graph,
        job: &OrdinaryJob,
        contexts: &Contexts,
        unknown: Unknown,
    ) -> Option<String> {
        let token = job.environment.as_ref()?;
        let name = token.get("name").unwrap_or(token);
        let mut uses_matrix = false;
        referenced(name, &mut |found| uses_matrix |= found.context.eq_ignore_ascii_case("matrix"));
        if uses_matrix || unknown.touches(name) {
            return None;
        }
        match environment(job, contexts) {
            Ok(environment) => environment.map(|environment| environment.name),
            Err(error) => {
                self.findings.push(check::broken(&graph.workflow.file, &error, "`environment`"));
                None
            }
        }
    }

    /// Returns the contexts of a called workflow, and what of them is not known.
    fn called(
        &mut self,
        graph: &Graph,
        job: &ReusableJob,
        contexts: &Contexts,
        unknown: Unknown,
    ) -> (Contexts, Unknown) {
        let mut uses_matrix = false;
        if let Some(with) = &job.with {
            referenced(with, &mut |found| {
                uses_matrix |=
                    matches!(found.context.to_ascii_lowercase().as_str(), "matrix" | "strategy");
            });
        }
        let plain = Contexts {
            github: contexts.github.clone(),
            vars: contexts.vars.clone(),
            ..Contexts::default()
        };
        if uses_matrix || job.with.as_ref().is_some_and(|with| unknown.touches(with)) {
            return (plain, Unknown { inputs: true });
        }
        match call_contexts(job, contexts) {
            Ok(contexts) => (contexts, Unknown { inputs: false }),
            Err(error) => {
                self.findings.push(check::broken(&graph.workflow.file, &error, "`with`"));
                (plain, Unknown { inputs: true })
            }
        }
    }
}

fn steps(
    graph: &Graph,
    job: &OrdinaryJob,
    contexts: &Contexts,
    unknown: Unknown,
) -> Vec<PlannedStep> {
    job.steps
        .iter()
        .enumerate()
        .map(|(index, step)| {
            let (kind, uses) = match &step.kind {
                StepKind::Run { .. } => ("run", None),
                StepKind::Uses { uses, .. } => ("uses", Some(uses.to_string())),
                StepKind::Wait(_) => ("wait", None),
                StepKind::WaitAll => ("wait-all", None),
                StepKind::Cancel(_) => ("cancel", None),
                StepKind::Parallel(_) => ("parallel", None),
            };
            PlannedStep {
                number: index + 1,
                name: step_name(&graph.workflow.file, step, contexts, unknown),
                kind,
                uses,
                line: graph.place(step.span).line,
            }
        })
        .collect()
}

/// Returns the name of a step as the runner shows it, expressions that are not known as written.
fn step_name(file: &SourceFile, step: &Step, contexts: &Contexts, unknown: Unknown) -> String {
    if let Some(name) = &step.name {
        let mut dynamic = unknown.touches(name);
        referenced(name, &mut |found| dynamic |= matches!(&*found.context, "matrix" | "strategy"));
        if !dynamic && let Ok(name) = value(name, contexts, Scenario::SUCCESS) {
            return name.to_text().into_owned();
        }
        return as_written(file, name);
    }
    match &step.kind {
        StepKind::Run { run, .. } => {
            let text = as_written(file, run);
            format!("Run {}", text.trim().lines().next().unwrap_or_default())
        }
        StepKind::Uses { uses, .. } => format!("Run {}", &*uses.value),
        StepKind::Wait(ids) => {
            let ids: Vec<&str> = ids.iter().map(|id| &*id.value).collect();
            format!("Wait for {}", ids.join(", "))
        }
        StepKind::WaitAll => "Wait for all background steps".to_owned(),
        StepKind::Cancel(id) => format!("Cancel {}", &*id.value),
        StepKind::Parallel(inner) => format!("{} steps side by side", inner.len()),
    }
}

fn shown_name(file: &SourceFile, job: &Job) -> String {
    match as_written(file, &job.name) {
        name if name.is_empty() => job.id.to_string(),
        name => name,
    }
}

/// Returns a value as the file has it, without quotes; of a block, its first line.
fn as_written(file: &SourceFile, token: &Token) -> String {
    match &token.kind {
        Kind::Expression(_) => {
            let text = file.slice(token.span).trim();
            let text = if text.starts_with(['|', '>']) {
                text.lines().skip(1).map(str::trim).find(|line| !line.is_empty()).unwrap_or("")
            } else {
                text
            };
            let quoted = ['\'', '"']
                .iter()
                .find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote));
            quoted.unwrap_or(text).to_owned()
        }
        Kind::String(text) => text.to_string(),
        Kind::Number(number) => Value::Number(*number).to_text().into_owned(),
        Kind::Boolean(value) => value.to_string(),
        _ => String::new(),
    }
}
