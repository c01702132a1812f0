//! The expression language: the published cases, tables, traces, and what must never panic.

mod conformance;
mod fuzz;
mod tables;

use std::sync::Arc;

use loopline_workflow::github::expression::{EvalError, Object, Scope, Value};

/// Contexts given as an object, and no functions but the status ones.
pub(crate) struct Contexts(pub(crate) Value);

impl Scope for Contexts {
    fn context(&self, name: &str) -> Option<Value> {
        self.0.get(name).cloned()
    }

    fn function(&self, name: &str, _arguments: &[Value]) -> Option<Result<Value, EvalError>> {
        match name.to_ascii_lowercase().as_str() {
            "always" | "success" => Some(Ok(Value::Bool(true))),
            "failure" | "cancelled" => Some(Ok(Value::Bool(false))),
            _ => None,
        }
    }
}

/// Reads contexts from JSON.
pub(crate) fn contexts(json: &str) -> Contexts {
    Contexts(loopline_workflow::github::expression::from_json_text(json).expect("valid JSON"))
}

/// Returns the names of contexts.
pub(crate) fn names(contexts: &Contexts) -> Vec<Arc<str>> {
    match &contexts.0 {
        Value::Object(object) => object.iter().map(|(name, _)| Arc::clone(name)).collect(),
        _ => Object::new().iter().map(|(name, _)| Arc::clone(name)).collect(),
    }
}
