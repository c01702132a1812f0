//! The contexts a job sees.

use std::collections::BTreeMap;

use crate::github::expression::{Object, Value};
use crate::run::Conclusion;

/// The contexts that are fixed when a job starts; `env`, `job`, `runner` and `steps` are the
/// runner's. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Contexts {
    /// `github`, without what job and step add.
    pub github: Value,
    /// `vars`.
    pub vars: Value,
    /// `inputs`: of the dispatch, or of the called workflow.
    pub inputs: Value,
    /// `needs`: result and outputs of the jobs that this job names.
    pub needs: Value,
    /// `strategy`.
    pub strategy: Value,
    /// `matrix`; null for a job that has none.
    pub matrix: Value,
    /// `secrets`: those of the workflow.
    pub secrets: Value,
}

impl Contexts {
    /// Returns every context with its name.
    pub fn named(&self) -> [(&'static str, &Value); 7] {
        [
            ("github", &self.github),
            ("vars", &self.vars),
            ("inputs", &self.inputs),
            ("needs", &self.needs),
            ("strategy", &self.strategy),
            ("matrix", &self.matrix),
            ("secrets", &self.secrets),
        ]
    }
}

/// Returns what `needs` (and `jobs`) hold of one job.
pub(super) fn finished_job(conclusion: Conclusion, outputs: &BTreeMap<String, String>) -> Value {
    let outputs: Object =
        outputs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut job = Object::new();
    job.insert("result", conclusion.as_str());
    job.insert("outputs", outputs);
    job.into()
}

/// Returns the `strategy` context of one leg.
pub(super) fn strategy(fail_fast: bool, index: usize, total: usize, max_parallel: usize) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "legs are counted in hundreds")]
    let number = |value: usize| Value::Number(value as f64);
    Value::object([
        ("fail-fast", Value::Bool(fail_fast)),
        ("job-index", number(index)),
        ("job-total", number(total)),
        ("max-parallel", number(max_parallel)),
    ])
}
