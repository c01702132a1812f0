//! A job whose needs have ended: whether it runs, and in which legs.

use loopline_source::Span;

use super::action::Action;
use super::context::{Contexts, finished_job, strategy};
use super::evaluate::{EvaluationError, Scenario, condition, value};
use super::leg::{Leg, LegState, is_true};
use super::run::{Ancestors, MAX_JOBS, NodeId, Run, Work};
use crate::github::expression::{Object, Value};

use crate::github::matrix::{self, Combination, MatrixError};
use crate::github::model::Job;
use crate::github::template::{Kind, Token};
use crate::run::{Conclusion, JobKey, Skip};

/// `strategy`, evaluated.
#[derive(Clone, Debug, Default)]
pub struct Expanded {
    /// The legs; `None` where there is no matrix.
    pub legs: Option<Vec<Combination>>,
    /// Whether one failure cancels the others.
    pub fail_fast: bool,
    /// How many legs may run at once.
    pub max_parallel: usize,
}

/// Why a job has no legs.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ExpandError {
    /// An expression failed, or gave what cannot be used.
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
    /// The matrix cannot be expanded.
    #[error("{error}")]
    Matrix {
        /// Why.
        error: MatrixError,
        /// Where the matrix stands.
        span: Span,
    },
    /// There are none.
    #[error("the matrix makes no job at all")]
    Empty,
    /// The user's choice of legs leaves none.
    #[error("no leg of the matrix is left by `--matrix`")]
    NoneSelected,
}

impl ExpandError {
    /// Returns where in the file it is wrong.
    pub fn span(&self, strategy: &Token) -> Span {
        match self {
            Self::Evaluation(error) => error.span,
            Self::Matrix { span, .. } => *span,
            Self::Empty | Self::NoneSelected => strategy.span,
        }
    }
}

/// Evaluates `strategy`.
///
/// # Errors
/// [`ExpandError`], each variant as it says.
pub fn expand(token: Option<&Token>, contexts: &Contexts) -> Result<Expanded, ExpandError> {
    let one = Expanded { legs: None, fail_fast: true, max_parallel: 1 };
    let Some(token) = token else { return Ok(one) };
    let strategy = value(token, contexts, Scenario::SUCCESS)?;
    if !matches!(strategy, Value::Object(_)) {
        if matches!(strategy, Value::Null) {
            return Ok(one);
        }
        return Err(EvaluationError::invalid(token, "`strategy` must be a mapping").into());
    }
    let fail_fast =
        strategy.get("fail-fast").filter(|it| !matches!(it, Value::Null)).is_none_or(is_true);
    let limit = match strategy.get("max-parallel") {
        None | Some(Value::Null) => None,
        Some(limit) => {
            let number = limit.to_number();
            if number.is_nan() || number < 1.0 {
                let reason =
                    format!("`max-parallel` is `{}`; it must be 1 or more", limit.to_text());
                return Err(EvaluationError::invalid(token, reason).into());
            }
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "saturates, and is positive"
            )]
            Some(number as usize)
        }
    };
    let matrix_token = match &token.kind {
        Kind::Mapping(_) => token.get("matrix").unwrap_or(token),
        _ => token,
    };
    let Some(definition) = strategy.get("matrix").filter(|it| !matches!(it, Value::Null)) else {
        return Ok(Expanded { fail_fast, ..one });
    };
    let legs = matrix::expand(definition)
        .map_err(|error| ExpandError::Matrix { error, span: matrix_token.span })?;
    if legs.is_empty() {
        return Err(ExpandError::Empty);
    }
    let max_parallel = limit.unwrap_or(legs.len());
    Ok(Expanded { legs: Some(legs), fail_fast, max_parallel })
}

impl Run {
    /// Decides on a job all of whose needs have ended.
    pub(super) fn decide(&mut self, id: NodeId) {
        let node = &self.nodes[id];
        let instance = &self.instances[node.instance];
        let graph = std::sync::Arc::clone(&instance.graph);
        let job = &graph.workflow.jobs[node.job];
        let cancelled = instance.cancelled;

        let mut ancestors = Ancestors { all_succeeded: true, any_failed: false };
        let mut needs_fresh = false;
        let mut needs = Object::new();
        for &need in &graph.needs[node.job] {
            let Some(other) = instance.nodes[need].map(|other| &self.nodes[other]) else {
                continue;
            };
            let result = other.result.unwrap_or(Conclusion::Skipped);
            ancestors.all_succeeded &=
                result == Conclusion::Success && other.ancestors.all_succeeded;
            ancestors.any_failed |= result == Conclusion::Failure || other.ancestors.any_failed;
            needs_fresh |= other.fresh;
            needs
                .insert(&*graph.workflow.jobs[need].id.value, finished_job(result, &other.outputs));
        }
        let mut contexts = instance.contexts.clone();
        contexts.needs = needs.into();
        let node = &mut self.nodes[id];
        node.needs = contexts.needs.clone();
        node.ancestors = ancestors;
        node.needs_fresh = needs_fresh;
        node.fresh = needs_fresh;

        let scenario = Scenario {
            success: ancestors.all_succeeded && !cancelled,
            failure: ancestors.any_failed,
            cancelled,
        };
        match condition(&job.condition, &contexts, scenario) {
            Err(error) => {
                let place = error.place(&graph.workflow.file);
                self.fail_node(id, error.to_string(), place);
            }
            Ok(verdict) if !verdict.holds => {
                let reason = self.why_skipped(id, &verdict.text);
                let skip = Skip {
                    reason,
                    condition: Some(verdict.text),
                    trace: verdict.trace,
                    place: Some(graph.place(job.condition.span)),
                };
                self.skip_node(id, skip);
            }
            Ok(_) => self.make_legs(id, job, &contexts),
        }
    }

    /// Says in one sentence why a condition did not hold.
    fn why_skipped(&self, id: NodeId, text: &str) -> String {
        let node = &self.nodes[id];
        let instance = &self.instances[node.instance];
        if instance.cancelled {
            let what = if self.instances[0].cancelled { "run" } else { "call it belongs to" };
            return format!("the {what} was cancelled");
        }
        let implicit = text.trim_start().to_ascii_lowercase().starts_with("success()");
        if implicit && !node.ancestors.all_succeeded {
            let needs = &instance.graph.needs[node.job];
            let direct = needs.iter().find_map(|&need| {
                let result = self.nodes[instance.nodes[need]?].result?;
                (result != Conclusion::Success).then(|| {
                    format!(
                        "`{}` ended as {}",
                        &*instance.graph.workflow.jobs[need].id.value,
                        result.as_str()
                    )
                })
            });
            return direct.unwrap_or_else(|| {
                "a job it depends on through others did not succeed".to_owned()
            });
        }
        "its condition does not hold".to_owned()
    }

    fn make_legs(&mut self, id: NodeId, job: &Job, contexts: &Contexts) {
        let graph = std::sync::Arc::clone(&self.instances[self.nodes[id].instance].graph);
        let expanded = match expand(job.strategy.as_ref(), contexts) {
            Ok(expanded) => expanded,
            Err(error) => {
                let place = job.strategy.as_ref().map(|token| graph.place(error.span(token)));
                return self.fail_node(id, error.to_string(), place);
            }
        };
        let is_matrix = expanded.legs.is_some();
        let combinations = expanded
            .legs
            .map_or_else(|| vec![None], |legs| legs.into_iter().map(Some).collect::<Vec<_>>());
        let total = combinations.len();
        if self.legs.len() + total > MAX_JOBS {
            return self.fail_node(
                id,
                format!("the run would hold more than {MAX_JOBS} jobs"),
                None,
            );
        }
        let base = self.node_key(&self.nodes[id]);
        let first = self.legs.len();
        for (index, combination) in combinations.into_iter().enumerate() {
            let matrix = matrix_of(combination.as_ref());
            if is_matrix && !self.settings.selects_leg(&matrix) {
                continue;
            }
            let key = if is_matrix { JobKey(format!("{base}.{index}")) } else { base.clone() };
            let strategy = strategy(expanded.fail_fast, index, total, expanded.max_parallel);
            let leg_contexts =
                Contexts { matrix: matrix.clone(), strategy: strategy.clone(), ..contexts.clone() };
            let name = match leg_name(job, &leg_contexts, combination.as_ref()) {
                Ok(name) => name,
                Err(error) => {
                    let place = error.place(&graph.workflow.file);
                    self.legs.truncate(first);
                    return self.fail_node(id, error.to_string(), place);
                }
            };
            let name = format!("{}{name}", self.instances[self.nodes[id].instance].name_prefix);
            self.legs.push(Leg {
                node: id,
                key,
                name,
                state: LegState::Queued,
                matrix,
                strategy,
                tolerated: false,
                environment: None,
                claim: None,
                start: None,
                called: None,
                instance: None,
            });
        }
        if self.legs.len() == first {
            let place = job.strategy.as_ref().map(|token| graph.place(token.span));
            return self.fail_node(id, ExpandError::NoneSelected.to_string(), place);
        }
        for leg in first..self.legs.len() {
            self.by_key.insert(self.legs[leg].key.clone(), leg);
            let Leg { key, name, .. } = &self.legs[leg];
            self.actions.push(Action::Queue { key: key.clone(), name: name.clone() });
        }
        let node = &mut self.nodes[id];
        node.legs = (first..self.legs.len()).collect();
        node.unfinished = node.legs.len();
        node.queue = node.legs.iter().copied().collect();
        node.fail_fast = expanded.fail_fast;
        node.max_parallel = expanded.max_parallel;
        self.work.push_back(Work::Fill(id));
    }
}

/// Returns the `matrix` context of a leg.
pub(crate) fn matrix_of(combination: Option<&Combination>) -> Value {
    combination.map_or(Value::Null, |found| Value::Object(std::sync::Arc::clone(&found.values)))
}

/// Returns the name of one leg, callers left out.
pub(crate) fn leg_name(
    job: &Job,
    contexts: &Contexts,
    combination: Option<&Combination>,
) -> Result<String, EvaluationError> {
    let name = value(&job.name, contexts, Scenario::SUCCESS)?;
    let name = name.to_text();
    let base = if name.is_empty() { &*job.id.value } else { &*name };
    // A name that is an expression tells the legs apart by itself.
    Ok(match combination {
        Some(combination) if !job.name.is_expression() => combination.name(base),
        _ => base.to_owned(),
    })
}
