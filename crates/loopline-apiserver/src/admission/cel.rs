//! Expressions of policies in CEL.

use std::sync::Arc;

use super::expression::{EvaluationFuture, Expression, Expressions, Scope};
use crate::auth::Decision;
use crate::cel::authorizer::{self, Answer, Question};
use crate::cel::{Program, Value, from_json, to_json};

/// How many different questions one evaluation may ask of the authorizer.
const MAX_QUESTIONS: usize = 64;

/// The engine of CEL.
#[derive(Clone, Copy, Debug)]
pub struct Cel;

struct Compiled(Program);

impl Expressions for Cel {
    fn compile(&self, text: &str, variables: &[&str]) -> Result<Arc<dyn Expression>, String> {
        let program = Program::compile(text, variables).map_err(|error| {
            // Admission says itself that it was the compilation that failed.
            let text = error.to_string();
            text.strip_prefix("compilation failed: ").unwrap_or(&text).to_owned()
        })?;
        Ok(Arc::new(Compiled(program)))
    }
}

impl Expression for Compiled {
    fn evaluate<'a>(&'a self, scope: &'a Scope<'a>) -> EvaluationFuture<'a> {
        Box::pin(async move {
            let value = self.value(scope).await?;
            to_json(&value).ok_or_else(|| "the value has no JSON form".to_owned())
        })
    }
}

impl Compiled {
    /// Evaluates the program, anew with every answer that it has to wait for.
    async fn value(&self, scope: &Scope<'_>) -> Result<Value, String> {
        let mut bindings: Vec<_> =
            scope.values.iter().map(|(name, value)| (&**name, from_json(value))).collect();
        if self.0.names(authorizer::VARIABLE) {
            let request = scope.values.get("request").unwrap_or(&serde_json::Value::Null);
            bindings.push((authorizer::VARIABLE, authorizer::value(request)));
        }
        let mut answers: Vec<(Question, Answer)> = Vec::new();
        loop {
            let (value, open) =
                authorizer::with_answers(answers.clone(), || self.0.evaluate(&bindings));
            if open.is_empty() {
                return value.map_err(|error| error.to_string());
            }
            if answers.len() + open.len() > MAX_QUESTIONS {
                return Err(format!(
                    "the authorizer was asked more than {MAX_QUESTIONS} different questions"
                ));
            }
            for question in open {
                let answer = ask(scope, &question).await;
                answers.push((question, answer));
            }
        }
    }
}

async fn ask(scope: &Scope<'_>, question: &Question) -> Answer {
    let user = question.user(scope.user);
    match scope.server.authorizer().authorize(&user, &question.action).await {
        Ok(Decision::Allow(reason)) => Answer { allowed: true, reason, error: None },
        Ok(Decision::Deny(reason)) => Answer { allowed: false, reason, error: None },
        Err(status) => Answer { error: Some(status.message), ..Answer::default() },
    }
}
