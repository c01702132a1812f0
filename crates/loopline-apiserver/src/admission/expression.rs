//! Expressions of policies (CEL): what compiles and evaluates them, as admission sees it.
//!
//! The engine is given to the server (`Options::expressions`). Without one, policies and conditions
//! are refused when they are written: what is not evaluated must not look as if it were.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value};

use super::Attributes;
use crate::Server;
use crate::auth::User;

/// The most expressions that are kept compiled.
const MAX_COMPILED: usize = 4096;

/// What an expression can see.
pub struct Scope<'a> {
    /// The variables by their names: `object`, `oldObject`, `request`, `params`,
    /// `namespaceObject`, `variables`.
    pub values: &'a Map<String, Value>,
    /// Whom `authorizer` asks.
    pub server: &'a Server,
    /// About whom `authorizer` asks.
    pub user: &'a User,
}

/// A boxed future of an evaluation.
pub type EvaluationFuture<'a> = Pin<Box<dyn Future<Output = Result<Value, String>> + Send + 'a>>;

/// An expression that was compiled.
pub trait Expression: Send + Sync + 'static {
    /// Evaluates it; an error says why it has no value.
    fn evaluate<'a>(&'a self, scope: &'a Scope<'a>) -> EvaluationFuture<'a>;
}

/// Compiles expressions.
pub trait Expressions: Send + Sync + 'static {
    /// Compiles an expression that may use some variables.
    ///
    /// # Errors
    /// What is wrong with it, for the one who wrote it.
    fn compile(&self, text: &str, variables: &[&str]) -> Result<Arc<dyn Expression>, String>;
}

/// The expressions that were compiled, by their text and what they may use.
#[derive(Default)]
pub(crate) struct Compiled(Mutex<HashMap<(String, String), Arc<dyn Expression>>>);

impl Server {
    /// Returns an expression, compiled once.
    pub(crate) fn expression(
        &self,
        text: &str,
        variables: &[&str],
    ) -> Result<Arc<dyn Expression>, String> {
        let engine = self
            .expressions()
            .ok_or_else(|| "expressions are not evaluated by this server".to_owned())?;
        let key = (text.to_owned(), variables.join(" "));
        let compiled = &self.compiled().0;
        if let Some(found) = compiled.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Arc::clone(found));
        }
        let expression = engine.compile(text, variables)?;
        let mut compiled = compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if compiled.len() >= MAX_COMPILED {
            compiled.clear();
        }
        compiled.insert(key, Arc::clone(&expression));
        Ok(expression)
    }
}

/// Returns whether an expression is true.
pub(crate) async fn holds(
    server: &Server,
    scope: &Scope<'_>,
    variables: &[&str],
    text: &str,
) -> Result<bool, String> {
    let value = match server.expression(text, variables) {
        Ok(expression) => expression.evaluate(scope).await,
        Err(error) => Err(error),
    };
    match value {
        Ok(Value::Bool(holds)) => Ok(holds),
        Ok(_) => Err(format!("expression '{text}' resulted in a value that is no bool")),
        Err(error) => Err(format!("expression '{text}' resulted in error: {error}")),
    }
}

/// Returns whether all conditions hold. One that does not makes the others' errors not matter.
pub(crate) async fn all_hold(
    server: &Server,
    attributes: &Attributes,
    values: &Map<String, Value>,
    variables: &[&str],
    conditions: &[Value],
) -> Result<bool, String> {
    let scope = Scope { values, server, user: &attributes.user };
    let mut failed = None;
    for condition in conditions {
        let text = condition["expression"].as_str().unwrap_or("");
        match holds(server, &scope, variables, text).await {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(true), Err)
}
