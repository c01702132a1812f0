//! Expressions of policies in CEL.
//!
//! The variable `authorizer` is not known here yet: policies that name it are refused when they
//! are written.

use std::sync::Arc;

use super::expression::{EvaluationFuture, Expression, Expressions, Scope};
use crate::cel::{Program, from_json, to_json};

/// The variable that asks who may do what.
const AUTHORIZER: &str = "authorizer";

/// The engine of CEL.
#[derive(Clone, Copy, Debug)]
pub struct Cel;

struct Compiled(Program);

impl Expressions for Cel {
    fn compile(&self, text: &str, variables: &[&str]) -> Result<Arc<dyn Expression>, String> {
        let known: Vec<&str> =
            variables.iter().copied().filter(|variable| *variable != AUTHORIZER).collect();
        let program = Program::compile(text, &known).map_err(|error| {
            // Admission says itself that it was the compilation that failed.
            let text = error.to_string();
            text.strip_prefix("compilation failed: ").unwrap_or(&text).to_owned()
        })?;
        Ok(Arc::new(Compiled(program)))
    }
}

impl Expression for Compiled {
    fn evaluate<'a>(&'a self, scope: &'a Scope<'a>) -> EvaluationFuture<'a> {
        let bindings: Vec<_> =
            scope.values.iter().map(|(name, value)| (&**name, from_json(value))).collect();
        let value =
            self.0.evaluate(&bindings).map_err(|error| error.to_string()).and_then(|value| {
                to_json(&value).ok_or_else(|| "the value has no JSON form".to_owned())
            });
        Box::pin(std::future::ready(value))
    }
}
