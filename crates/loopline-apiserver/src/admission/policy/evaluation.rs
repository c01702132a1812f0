//! Evaluating a policy's expressions about a write.

use serde_json::{Map, Value, json};

use super::bound::Bound;
use crate::Server;
use crate::admission::expression::{Scope, all_hold};
use crate::admission::matching::in_version;
use crate::admission::{Attributes, review};
use crate::status::Result;

/// What the expressions of a policy can see.
pub(super) const VARIABLES: &[&str] =
    &["object", "oldObject", "request", "params", "namespaceObject", "authorizer", "variables"];

/// A policy's expressions with what they can see.
pub(super) struct Evaluation<'a> {
    server: &'a Server,
    attributes: &'a Attributes,
    values: Map<String, Value>,
    /// The policy's own variables that have no value, with why.
    broken: Vec<(String, String)>,
}

impl<'a> Evaluation<'a> {
    /// Prepares the evaluation of a policy with one of its parameters.
    pub(super) async fn new(
        server: &'a Server,
        attributes: &'a Attributes,
        bound: &Bound,
        params: &Value,
    ) -> Result<Self> {
        let entry = &bound.entry;
        let mut request = review::request(attributes, entry, "")?;
        let mut values = Map::new();
        if let Some(request) = request.as_object_mut() {
            for field in ["object", "oldObject"] {
                let value = request.shift_remove(field).unwrap_or(Value::Null);
                values.insert(field.to_owned(), value);
            }
        }
        let namespace = if attributes.namespace.is_empty() {
            Value::Null
        } else {
            Value::clone(&*server.namespace(&attributes.namespace).await?)
        };
        values.insert("request".to_owned(), request);
        values.insert("params".to_owned(), params.clone());
        values.insert("namespaceObject".to_owned(), namespace);
        values.insert("variables".to_owned(), json!({}));
        Ok(Self { server, attributes, values, broken: Vec::new() })
    }

    /// Evaluates the policy's own variables, each of which sees those before it. One that fails is
    /// an error only for the expressions that use it.
    pub(super) async fn define(&mut self, policy: &Value) {
        for variable in policy["spec"]["variables"].as_array().into_iter().flatten() {
            let name = variable["name"].as_str().unwrap_or("").to_owned();
            match self.value(variable["expression"].as_str().unwrap_or("")).await {
                Ok(value) => self.values["variables"][&name] = value,
                Err(error) => self.broken.push((name, error)),
            }
        }
    }

    /// Shows the expressions an object as it was changed meanwhile.
    pub(super) fn set_object(&mut self, object: &Value, bound: &Bound) -> Result<()> {
        self.values.insert("object".to_owned(), in_version(object, &bound.entry)?);
        Ok(())
    }

    /// Returns the value of an expression.
    pub(super) async fn value(&self, text: &str) -> std::result::Result<Value, String> {
        let expression = self.server.expression(text, VARIABLES)?;
        let scope =
            Scope { values: &self.values, server: self.server, user: &self.attributes.user };
        expression.evaluate(&scope).await.map_err(|error| {
            let cause =
                self.broken.iter().find(|(name, _)| text.contains(&format!("variables.{name}")));
            match cause {
                Some((name, why)) => {
                    format!("composited variable {name:?} fails to evaluate: {why}")
                }
                None => error,
            }
        })
    }

    /// Returns whether an expression is true.
    pub(super) async fn holds(&self, text: &str) -> std::result::Result<bool, String> {
        match self.value(text).await {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(_) => Err(format!("expression '{text}' resulted in a value that is no bool")),
            Err(error) => Err(format!("expression '{text}' resulted in error: {error}")),
        }
    }

    /// Returns whether all conditions of a policy hold.
    pub(super) async fn conditions(&self, conditions: &Value) -> std::result::Result<bool, String> {
        let conditions = conditions.as_array().map(Vec::as_slice).unwrap_or_default();
        all_hold(self.server, self.attributes, &self.values, VARIABLES, conditions).await
    }
}
